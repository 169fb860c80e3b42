//! The running kernel: its files, its types, its functions and its features.
//!
//! | module | offers |
//! |---|---|
//! | [`files`] | files of tracefs, procfs and debugfs, with their roots as parameters |
//! | [`tracefs`] | where tracefs is, format files of events and what they name |
//! | [`btf`] | the kernel's description of its types and functions |
//! | [`functions`] | functions that can be probed, and why one cannot |
//! | [`features`] | what the kernel supports, probed once |

pub mod btf;
pub mod features;
pub mod files;
pub mod functions;
pub mod tracefs;

pub use files::{KernelError, KernelFiles};
