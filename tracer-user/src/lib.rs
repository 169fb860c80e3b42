//! `tracer` as a library, in five wings. A wing uses only those it builds on, which
//! `tests/wings.rs` checks: [`view`] uses [`trace`] alone, so that reading a trace needs neither
//! root nor Linux.
//!
//! | wing | offers |
//! |---|---|
//! | [`trace`] | the trace as data: event classes, values, CTF, folders and chunks, sidecar files |
//! | [`kernel`] | what the running kernel provides: BTF, tracefs, functions, features |
//! | [`probe`] | what users ask for: from the text of a probe to event classes and attach points |
//! | [`record`] | recording: programs, rings, sub-buffers, sinks, outputs, sessions, control |
//! | [`view`] | reading a trace: reports |
//!
//! In addition: [`names`], names as users type them (patterns and suggestions); [`sys`], system
//! calls and memory mappings; [`doctor`], what this system supports; [`cli`], the command line,
//! which nothing else uses.
//!
//! Without the feature `record`, only what reading needs is built: [`trace`], [`view`], [`names`],
//! and the commands `report` and `repair`.
#![deny(unsafe_code)]
// These panic if the output is full or closed: `sys::stderr` has what to use instead.
#![deny(clippy::print_stderr, clippy::print_stdout)]

pub mod cli;
#[cfg(feature = "record")]
pub mod doctor;
#[cfg(feature = "record")]
pub mod kernel;
pub mod names;
#[cfg(feature = "record")]
pub mod probe;
#[cfg(feature = "record")]
pub mod record;
pub mod sys;
pub mod trace;
pub mod view;
