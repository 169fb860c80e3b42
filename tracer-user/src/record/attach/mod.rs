//! Loading the eBPF programs and attaching them.
//!
//! | module | offers |
//! |---|---|
//! | [`plan`] | which programs are attached, where and why: data, made without a kernel |
//! | `code` | instructions for filters, contexts and fetched values |
//! | `object`, `template` | the maps, and copies of the programs |
//! | `load` | makes and loads the program of a plan |
//! | `link` | links a program to its attach point |
//! | `attach` | carries the plan out |
//! | `attached` | starts, stops and detaches the programs; counts what they missed |
//!
//! aya loads the object for its maps. All of its programs are templates: each probe gets its
//! own copy whose constants are one row of a frozen table of specifications, so that the
//! verifier specializes it. Loading a copy takes about a tenth of a millisecond; loading the
//! object anew for each probe would take many.

#[expect(
    clippy::module_inception,
    reason = "the last of the steps of attaching"
)]
mod attach;
mod attached;
pub(in crate::record) mod code;
mod error;
mod follow;
mod link;
mod load;
mod object;
mod origin;
pub mod plan;
mod program;
mod rate;
mod settings;
mod template;
mod throttle;
mod types;

pub use attached::{Attached, KernelCounts, StillAttached};
pub use error::{AttachError, Refusal};
pub use follow::Processes;
pub use load::Loaded;
pub use origin::Origin;
pub use rate::{Rate, RateError};
pub use settings::Settings;
pub use throttle::{LeftOut, Throttle};
