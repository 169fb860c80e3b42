//! Loading the eBPF programs and attaching them.
//!
//! aya loads the object: its maps and the system-call programs. The programs for
//! tracepoints and functions are templates: each probe gets a copy of its own whose
//! constants are one row of a frozen table of specifications, so that the verifier
//! specialises it. Only the reference to the row differs between copies, which makes
//! loading one a matter of a tenth of a millisecond, where loading the object anew for
//! each probe would take many.

mod attached;
mod code;
mod follow;
mod functions;
mod kernel;
mod link;
mod many;
mod object;
mod origin;
mod rate;
mod syscalls;
mod template;
mod throttle;

pub use attached::{Attached, KernelCounts};
pub use follow::Processes;
pub use kernel::{Kernel, Settings};
pub use link::{AttachError, Emits, Link};
pub use origin::Origin;
pub use rate::{Rate, RateError};
pub use throttle::{LeftOut, Throttle};
