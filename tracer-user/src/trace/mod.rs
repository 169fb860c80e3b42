//! The trace as data: what events and their fields are, how a trace lies on disk, and how it
//! is read back. Nothing here needs a Linux kernel.
//!
//! | module | offers |
//! |---|---|
//! | [`event`] | event classes: names and typed fields, shared by writing and reading |
//! | [`ctf`] | the Common Trace Format: metadata, packets, indexes, one stream |
//! | [`folder`] | a whole trace: its folder, chunks, a trace on a pipe, repair |
//! | [`sidecar`] | the hidden files beside the streams: names of threads, kernel functions, mappings |
//! | [`errno`] | names of error numbers |
//! | [`lttng`] | the names and layouts of LTTng's kernel events |
//!
//! [`Value`] is a value that was read, [`Class`] the class of an event that was read, and
//! [`FieldPlace`] the place of a field in an event that is not in a trace yet.

mod class;
pub mod ctf;
pub mod errno;
pub mod event;
pub mod folder;
pub mod lttng;
mod place;
pub mod sidecar;
mod value;

pub use class::{Class, ClassField};
pub use place::FieldPlace;
pub use value::{Named, Number, Numbers, SetBits, Value};
