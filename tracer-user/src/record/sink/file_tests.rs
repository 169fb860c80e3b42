use std::fs;
use std::sync::{Arc, Mutex};

use rustix::io::Errno;

use super::*;
use crate::record::sink::faults::Faults;
use crate::sys::memory::PageBuffer;

const PACKET: usize = 64 << 10;
const KINDS: [SinkKind; 3] = [SinkKind::Auto, SinkKind::Splice, SinkKind::Copy];

/// A page-aligned packet that differs from every other one, at every place.
fn packet(sequence: u64, len: usize) -> PageBuffer {
    let mut packet = PageBuffer::new(len).unwrap();
    for (at, word) in packet.chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&(sequence << 32 | at as u64).to_le_bytes());
    }
    packet
}

/// Where the build is, which is on a disk; temporary files may be in memory.
fn folder() -> tempfile::TempDir {
    let test = std::env::current_exe().unwrap();
    tempfile::tempdir_in(test.parent().unwrap()).unwrap()
}

/// Writes `count` packets under these system calls; checks size and content.
fn write_all(calls: impl Calls, kind: SinkKind, count: u64) -> SinkReport {
    let folder = folder();
    let path = folder.path().join("stream");
    let mut sink = FileSink::create_with(calls, &path, kind, PACKET).unwrap();
    let mut expected = Vec::new();
    for sequence in 0..count {
        let mut packet = packet(sequence, PACKET);
        sink.write_packet(&[IoSlice::new(&packet)]).unwrap();
        expected.extend_from_slice(&packet);
        assert_eq!(path.metadata().unwrap().len(), expected.len() as u64);
        // Its owner may do this now.
        packet.fill(0xff);
    }
    sink.finish().unwrap();
    assert!(fs::read(&path).unwrap() == expected);
    sink.report()
}

#[test]
fn packets_are_appended_in_order() {
    for kind in KINDS {
        write_all(KernelCalls, kind, 40);
    }
}

#[test]
fn the_way_that_was_asked_for_is_taken() {
    let report = |way| SinkReport { way, reason: None };
    assert_eq!(
        write_all(KernelCalls, SinkKind::Splice, 1),
        report(Way::Splice)
    );
    assert_eq!(write_all(KernelCalls, SinkKind::Copy, 1), report(Way::Copy));
}

#[test]
fn short_counts_are_resumed() {
    for kind in KINDS {
        let calls = Faults::new(|call| {
            match call {
                Call::Vmsplice { bytes, .. } => *bytes = &bytes[..bytes.len().min(5 * 4096)],
                Call::Splice { len, .. } => *len = (*len).min(4096),
                Call::WriteAt { bytes, .. } => *bytes = &bytes[..bytes.len().min(777)],
                _ => {}
            }
            None
        });
        write_all(calls, kind, 5);
    }
}

#[test]
fn interruptions_are_waited_out() {
    for error in [Errno::INTR, Errno::AGAIN] {
        for kind in KINDS {
            let mut turn = 0;
            let calls = Faults::new(move |call| {
                turn += 1;
                let moves = matches!(
                    call,
                    Call::Vmsplice { .. } | Call::Splice { .. } | Call::WriteAt { .. }
                );
                (moves && turn % 3 != 0).then_some(Err(error))
            });
            let report = write_all(calls, kind, 5);
            let undisturbed = write_all(KernelCalls, kind, 1);
            assert_eq!(report, undisturbed);
        }
    }
}

#[test]
fn a_small_pipe_takes_several_rounds() {
    let rounds = Arc::new(Mutex::new(0));
    let calls = Faults::new({
        let rounds = Arc::clone(&rounds);
        move |call| match call {
            Call::SetPipeSize { .. } => Some(Err(Errno::PERM)),
            Call::Vmsplice { bytes, .. } => {
                *rounds.lock().unwrap() += 1;
                // As much as two pages, what a user beyond the limit gets.
                *bytes = &bytes[..bytes.len().min(8192)];
                None
            }
            _ => None,
        }
    });
    let report = write_all(calls, SinkKind::Splice, 3);
    assert_eq!(report.way, Way::Splice);
    assert_eq!(*rounds.lock().unwrap(), 3 * PACKET / 8192);
}

/// Answers each splice from the `from`th on with `error`, and cuts the others short.
fn splices_fail(from: u32, error: Errno) -> impl Calls {
    let mut splices = 0;
    Faults::new(move |call| match call {
        Call::Splice { len, .. } => {
            splices += 1;
            *len = (*len).min(12 << 10);
            (splices >= from).then_some(Err(error))
        }
        _ => None,
    })
}

#[test]
fn a_refusal_in_the_middle_goes_on_by_copy() {
    for error in [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP] {
        for kind in [SinkKind::Auto, SinkKind::Splice] {
            let report = write_all(splices_fail(9, error), kind, 4);
            assert_eq!(report.way, Way::Copy);
            let reason = report.reason.unwrap();
            assert!(reason.contains("buffered splice is refused"), "{reason}");
        }
    }
}

#[test]
fn a_refusal_of_direct_io_goes_on_through_the_page_cache() {
    let mut direct = false;
    let calls = Faults::new(move |call| match call {
        Call::SetDirect { on, .. } => {
            direct = *on;
            None
        }
        Call::Splice { len, .. } if direct => {
            // An odd count that leaves the rest unaligned, then a refusal.
            let first = *len == PACKET;
            *len = 1000;
            (!first).then_some(Err(Errno::INVAL))
        }
        _ => None,
    });
    assert_eq!(write_all(calls, SinkKind::Auto, 4).way, Way::Splice);
}

#[test]
fn without_vmsplice_it_is_copied() {
    let calls = Faults::new(|call| match call {
        Call::Vmsplice { .. } => Some(Err(Errno::PERM)),
        _ => None,
    });
    let report = write_all(calls, SinkKind::Splice, 3);
    assert_eq!(report.way, Way::Copy);
    assert!(report.reason.unwrap().contains("vmsplice"));
}

#[test]
fn odd_memory_and_odd_lengths_are_written_all_the_same() {
    for kind in KINDS {
        let folder = folder();
        let path = folder.path().join("stream");
        let mut sink = FileSink::create(&path, kind, PACKET).unwrap();
        let bytes = packet(1, 2 * PACKET);
        let pieces = [&bytes[..5], &bytes[5..4099], &bytes[4099..]];
        for piece in pieces {
            sink.write_packet(&[IoSlice::new(piece)]).unwrap();
        }
        sink.finish().unwrap();
        assert!(fs::read(&path).unwrap() == bytes[..], "{kind:?}");
    }
}

#[test]
fn a_failure_in_a_packet_leaves_the_packets_before_it() {
    for error in [Errno::NOSPC, Errno::DQUOT, Errno::IO, Errno::PIPE] {
        for kind in KINDS {
            let folder = folder();
            let path = folder.path().join("stream");
            let mut turn = 0;
            // The third packet gets in for 16 KiB.
            let calls = Faults::new(move |call| match call {
                Call::Splice { len: count, .. } => {
                    turn += 1;
                    *count = (*count).min(if turn < 3 { PACKET } else { 16 << 10 });
                    (turn == 4).then_some(Err(error))
                }
                Call::WriteAt { bytes, .. } => {
                    turn += 1;
                    *bytes = &bytes[..bytes.len().min(if turn < 3 { PACKET } else { 16 << 10 })];
                    (turn == 4).then_some(Err(error))
                }
                _ => None,
            });
            let mut sink = FileSink::create_with(calls, &path, kind, PACKET).unwrap();
            let packets: Vec<_> = (0..5).map(|n| packet(n, PACKET)).collect();
            sink.write_packet(&[IoSlice::new(&packets[0])]).unwrap();
            sink.write_packet(&[IoSlice::new(&packets[1])]).unwrap();
            let failure = sink.write_packet(&[IoSlice::new(&packets[2])]).unwrap_err();
            assert_eq!(failure.kind(), io::Error::from(error).kind());
            assert!(failure.to_string().contains("/stream`"), "{failure}");
            let whole = [&packets[0][..], &packets[1][..]].concat();
            assert!(fs::read(&path).unwrap() == whole, "{kind:?} {error}");
            // Nothing of the failed packet comes before the next one.
            sink.write_packet(&[IoSlice::new(&packets[3])]).unwrap();
            sink.finish().unwrap();
            let whole = [&whole[..], &packets[3][..]].concat();
            assert!(fs::read(&path).unwrap() == whole, "{kind:?} {error}");
        }
    }
}

#[test]
fn a_call_that_takes_nothing_is_not_repeated_for_ever() {
    let folder = folder();
    for kind in KINDS {
        let calls = Faults::new(|call| match call {
            Call::Splice { .. } | Call::WriteAt { .. } => Some(Ok(0)),
            _ => None,
        });
        let path = folder.path().join("stream");
        let mut sink = FileSink::create_with(calls, &path, kind, PACKET).unwrap();
        assert!(
            sink.write_packet(&[IoSlice::new(&packet(0, PACKET))])
                .is_err()
        );
    }
}

#[test]
fn no_allocated_space_stays_behind_the_end() {
    for kind in KINDS {
        let folder = folder();
        let path = folder.path().join("stream");
        let mut sink = FileSink::create(&path, kind, PACKET).unwrap();
        sink.write_packet(&[IoSlice::new(&packet(0, PACKET))])
            .unwrap();
        sink.finish().unwrap();
        let blocks_bytes = path.metadata().unwrap().blocks() * 512;
        assert!(blocks_bytes <= 2 * PACKET as u64, "{blocks_bytes}");
    }
}

#[test]
fn an_error_of_writing_back_is_told() {
    let folder = folder();
    let calls = Faults::new(|call| match call {
        Call::Sync { .. } => Some(Err(Errno::IO)),
        _ => None,
    });
    let path = folder.path().join("stream");
    let mut sink = FileSink::create_with(calls, &path, SinkKind::Auto, PACKET).unwrap();
    let error = sink.finish().unwrap_err();
    assert!(error.to_string().contains("cannot write back"), "{error}");
}

#[test]
fn a_file_that_was_removed_is_told() {
    let folder = folder();
    let path = folder.path().join("stream");
    let mut sink = FileSink::create(&path, SinkKind::Auto, PACKET).unwrap();
    sink.write_packet(&[IoSlice::new(&packet(0, PACKET))])
        .unwrap();
    fs::remove_file(&path).unwrap();
    sink.write_packet(&[IoSlice::new(&packet(1, PACKET))])
        .unwrap();
    let error = sink.finish().unwrap_err();
    assert!(error.to_string().contains("was removed"), "{error}");
}

#[test]
fn direct_io_that_is_insisted_on_is_an_error_where_there_is_none() {
    let folder = folder();
    let refuse = Faults::new(|call| match call {
        Call::SetDirect { .. } => Some(Err(Errno::INVAL)),
        _ => None,
    });
    let path = folder.path().join("stream");
    let error = FileSink::create_with(refuse, &path, SinkKind::Direct, PACKET)
        .err()
        .unwrap();
    assert!(error.to_string().contains("--sink auto"), "{error}");
}

#[test]
fn an_error_names_the_file() {
    let error =
        FileSink::create(Path::new("/nonexistent/stream"), SinkKind::Auto, PACKET).unwrap_err();
    assert!(
        error.to_string().contains("`/nonexistent/stream`"),
        "{error}"
    );
}

#[test]
fn a_sink_that_is_behind_goes_through_the_page_cache_until_it_has_caught_up() {
    let folder = folder();
    let path = folder.path().join("stream");
    let flags = Arc::new(Mutex::new(Vec::new()));
    let calls = Faults::new({
        let flags = Arc::clone(&flags);
        move |call| {
            if let Call::SetDirect { on, .. } = call {
                flags.lock().unwrap().push(*on);
            }
            None
        }
    });
    let mut sink = FileSink::create_with(calls, &path, SinkKind::Auto, PACKET).unwrap();
    if sink.report().way != Way::Direct {
        // Where the build is on no disk, nothing is to be chosen.
        return;
    }
    let mut expected = Vec::new();
    for (sequence, waiting) in [(0, 3), (1, 4), (2, 1), (3, 0), (4, 3)] {
        sink.note_backlog(waiting, 4);
        let packet = packet(sequence, PACKET);
        sink.write_packet(&[IoSlice::new(&packet)]).unwrap();
        expected.extend_from_slice(&packet);
    }
    sink.finish().unwrap();
    assert!(fs::read(&path).unwrap() == expected);
    assert_eq!(*flags.lock().unwrap(), [true, false, true]);
    let reason = sink.report().reason.unwrap();
    assert!(reason.contains("2 of 5 packets"), "{reason}");
}

#[test]
fn direct_alone_is_never_left() {
    let folder = folder();
    let path = folder.path().join("stream");
    let Ok(mut sink) = FileSink::create(&path, SinkKind::Direct, PACKET) else {
        return;
    };
    sink.note_backlog(4, 4);
    sink.write_packet(&[IoSlice::new(&packet(0, PACKET))])
        .unwrap();
    assert_eq!(sink.report().reason, None);
}
