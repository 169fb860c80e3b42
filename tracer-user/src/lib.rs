//! `tracer` as a library: every part of the command is a module that can be used and
//! tested without those above it.
//!
//! | module | offers |
//! |---|---|
//! | [`event`] | event classes: names and typed fields, shared by all sides |
//! | [`lttng`] | the names that readers of LTTng's kernel traces know |
//! | [`names`] | names as users type them: patterns and suggestions |
//! | [`probe`] | from a probe's text to event classes and places to attach |
//! | [`btf`] | the kernel's description of its types and functions |
//! | [`fetch`] | values that programs fetch from registers and memory |
//! | [`filter`] | conditions on events, as users type them |
//! | [`attach`] | loading the eBPF programs and attaching them |
//! | [`ring`] | the consuming side of a BPF ring |
//! | [`stream`] | batching events into packets |
//! | [`subbuf`] | sub-buffers with one owner, between the writer and the reader of a stream |
//! | [`pool`] | pages for them, used again and again |
//! | [`sink`] | where packets go |
//! | [`control`] | names of running recordings, and the socket by which their owner talks to one |
//! | [`session`] | a recording, joined from all of the above |
//! | [`ctf`] | the trace format: metadata, packets, and reading them back |
//! | [`report`] | events of a trace as text or JSON |
//! | [`doctor`] | what this machine can record |
//! | [`sys`] | system calls and memory mappings |
#![deny(unsafe_code)]

pub mod attach;
pub mod btf;
pub mod cli;
pub mod control;
pub mod ctf;
pub mod doctor;
pub mod event;
pub mod fetch;
pub mod filter;
pub mod lttng;
pub mod names;
pub mod pool;
pub mod probe;
pub mod programs;
pub mod report;
pub mod ring;
pub mod session;
pub mod sink;
pub mod stream;
pub mod subbuf;
pub mod sys;
