//! Synthetic traces, written with the code that the recorder uses: [`classes`], [`events`] of
//! these, [`folder`]s of streams, and [`samples`]; and, for tests of the host,
//! [recordings](recording) of its kernel.
// each test binary uses its part of this
#![allow(dead_code, unused_imports)]

mod classes;
mod events;
pub(crate) mod fields;
mod folder;
#[cfg(feature = "host-tests")]
pub(crate) mod recording;
mod samples;
#[cfg(feature = "host-tests")]
pub(crate) mod trace;

use std::process::Output;

pub(crate) use classes::{
    EVERYTHING, GETPPID, KPROBE, LABELED, OPENAT, SWITCH, class, classes, field, number, slot,
    slot64,
};
pub(crate) use events::{event, everything, labeled_event, openat, switch, with_context};
pub(crate) use folder::{
    Chunk, PACKET_LEN, START_NS, StreamBytes, TraceDir, UUID, chunk_name, info,
};
pub(crate) use samples::{labeled_sample, sample};

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone())
        .unwrap_or_else(|error| panic!("{}", String::from_utf8_lossy(error.as_bytes())))
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8 on stderr")
}
