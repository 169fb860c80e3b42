//! The trace as data: event classes and their fields, how a trace is stored, and how it is read
//! back. Nothing here needs a Linux kernel.
//!
//! | module | offers |
//! |---|---|
//! | [`event`] | event classes: names and typed fields, used for writing and reading |
//! | [`ctf`] | the Common Trace Format: metadata, packets, indexes, streams |
//! | [`folder`] | a whole trace: its folder, chunks, a trace on a pipe, repair |
//! | [`sidecar`] | hidden files beside the streams: thread names, kernel functions, mappings |
//! | [`errno`] | names of error numbers |
//! | [`lttng`] | names and layouts of LTTng's kernel events |
//!
//! [`Value`] is the value of a field that was read, [`Class`] the class of an event that was
//! read, and [`FieldPlace`] locates a field in an event that is not in a trace yet.

mod class;
pub mod ctf;
pub mod errno;
pub mod event;
pub mod folder;
pub mod lttng;
mod place;
pub mod sidecar;
mod value;

pub use class::{Class, ClassField, Fields};
pub use place::FieldPlace;
pub use value::{List, Number, Numbers, SetBits, Value, ValueLabel};
