//! What the running kernel says of itself.
//!
//! | module | offers |
//! |---|---|
//! | [`files`] | files of tracefs, procfs and debugfs, with their roots as parameters |
//! | [`tracefs`] | where tracefs is, format files of events and what they name |
//! | [`btf`] | the kernel's description of its types and functions |
//! | [`functions`] | the functions that can be probed, and why one cannot |

pub mod btf;
pub mod files;
pub mod functions;
pub mod tracefs;

pub use files::{KernelError, KernelFiles};
