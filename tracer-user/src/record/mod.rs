//! Recording: from resolved probes to packets in files, pipes and sockets.
//!
//! | module | offers |
//! |---|---|
//! | [`attach`] | loading the eBPF programs and attaching them |
//! | `namespace` | ids and times of the recorder's namespaces and the kernel's |
//! | [`ring`] | the consuming side of a BPF ring |
//! | [`stream`] | batching events into packets |
//! | [`subbuf`] | sub-buffers with one owner, between the writer and the reader of a stream |
//! | [`pool`] | pages for them, used again and again |
//! | [`sink`] | writing packets to a file, a pipe or a socket |
//! | [`output`] | where a trace goes: packets, metadata, names |
//! | [`session`] | a recording, joined from all of the above |
//! | [`detach`] | detaching programs after the end of a recording, in a process of its own |
//! | [`control`] | names of running recordings, and the socket by which their owner talks to one |

pub mod attach;
pub(crate) mod clock;
pub mod control;
pub mod detach;
pub(crate) mod namespace;
pub mod output;
pub mod pool;
pub mod programs;
pub mod ring;
pub mod session;
pub mod sink;
pub(crate) mod size;
pub mod stream;
pub mod subbuf;
