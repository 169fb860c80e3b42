//! Traces that many tests read.

use crate::common::classes::{GETPPID, KPROBE, LABELED};
use crate::common::events::{event, everything, labeled_event, openat, switch};
use crate::common::folder::{START_NS, StreamBytes, TraceDir};

/// Two streams that take turns, with each class of event.
pub(crate) fn sample() -> TraceDir {
    let t = START_NS;
    let first = StreamBytes::new(0)
        .packet(
            &[
                switch(t, ("bash", 41), ("kworker/0:1", 7)),
                openat(t + 2_000, 41, b"/etc/passwd"),
                event(t + 4_000, GETPPID, 41, &[]),
            ],
            0,
        )
        .packet(&[everything(t + 9_000, 3), everything(t + 9_001, 0)], 0);
    let second = StreamBytes::new(1)
        .packet(
            &[event(
                t + 1_000,
                KPROBE,
                52,
                &0xffff_8000_0000_1234u64.to_le_bytes(),
            )],
            0,
        )
        .packet(&[], 0)
        .packet(&[event(t + 3_000, GETPPID, 0, &[])], 0);
    let dir = TraceDir::new(&[first, second]);
    dir.name_threads(&[(41, "bash"), (52, "a thread")]);
    dir
}

/// Fields whose values and bits have names, and one that must be a plain integer.
pub(crate) fn labeled_sample() -> TraceDir {
    let stream = StreamBytes::new(0).packet(
        &[
            labeled_event(START_NS, 3, 0xc0, 1),
            labeled_event(START_NS + 1, -1, 0x8000_0041, 3),
            labeled_event(START_NS + 2, 1, 0, 0x13),
            labeled_event(START_NS + 3, 2, 0x10, 0),
            event(START_NS + 4, LABELED + 1, 7, &3u32.to_le_bytes()),
        ],
        0,
    );
    TraceDir::new(&[stream])
}
