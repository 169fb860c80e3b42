//! Detaching programs after the end of a recording, in a process of its own.
//!
//! The kernel waits for grace periods for each perf event, tens of milliseconds one after the
//! other: detaching a thousand tracepoints takes a minute or two, and also a process that just
//! exits waits for it. So a recorder that is done [hands its links over](hand_over()) to a new
//! process, the detacher, and exits: the last one to close a link waits.
//!
//! The detacher is this program with the hidden command [`COMMAND`]. It has its own session, no
//! terminal and no mapping of the rings; its standard input is the socket with the links. It has
//! a socket by which `tracer sessions` lists it, under another name than the session's, which is
//! free again, and pauses while another recorder attaches, which the same locks of the kernel
//! would slow down. If it is killed, the kernel detaches the rest.
//!
//! It runs at normal priority: it needs hardly any time, and holds locks that others wait for.

mod detacher;
mod hand_over;
mod order;

pub use detacher::run;
pub use hand_over::hand_over;

/// The command that runs the detacher.
pub const COMMAND: &str = "detach-rest";
