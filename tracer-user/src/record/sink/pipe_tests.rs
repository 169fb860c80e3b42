use std::fs::File;
use std::io::{IoSlice, Read};
use std::thread;

use rustix::pipe::{PipeFlags, pipe_with};

use super::*;
use crate::record::sink::faults::Faults;
use crate::record::sink::source::{PACKET, SUB_BUFFERS, Source};
use crate::sys::memory::PageBuffer;
use crate::trace::folder::frames::{HEADER_LEN, unpack};

/// Reads all of a pipe in pieces, meanwhile.
fn reader(end: OwnedFd) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        File::from(end).read_to_end(&mut bytes).unwrap();
        bytes
    })
}

fn packet(stream: u64, sequence: u64) -> Vec<u8> {
    (0..4096 * (1 + sequence as usize % 3))
        .map(|at| (at as u64 * 7 + stream * 13 + sequence * 31) as u8)
        .collect()
}

#[test]
fn streams_that_write_at_once_come_out_apart() {
    const PACKETS: u64 = 200;
    let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let reader = reader(read_end);
    let pipe = Arc::new(SharedPipe::new(write_end, "the pipe"));
    pipe.send(Frame::Metadata, b"text").unwrap();
    let writers: Vec<_> = (0..4)
        .map(|stream| {
            let mut sink = PipeSink::new(Arc::clone(&pipe), stream);
            thread::spawn(move || {
                for sequence in 0..PACKETS {
                    sink.write_packet(&[IoSlice::new(&packet(stream, sequence))])
                        .unwrap();
                }
                sink.finish().unwrap();
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    pipe.send(Frame::End, b"").unwrap();
    drop(pipe);
    let dir = tempfile::tempdir().unwrap();
    let unpacked = unpack(&mut reader.join().unwrap().as_slice(), dir.path()).unwrap();
    assert_eq!((unpacked.packets, unpacked.complete), (4 * PACKETS, true));
    for stream in 0..4 {
        let expected: Vec<u8> = (0..PACKETS).flat_map(|n| packet(stream, n)).collect();
        let found = std::fs::read(dir.path().join(format!("channel0_{stream}"))).unwrap();
        assert!(found == expected, "stream {stream}");
    }
}

#[test]
fn a_late_reader_sees_the_bytes_that_were_sent() {
    const ROUNDS: usize = 5;
    let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    // A frame may begin and end in the middle of the pipe's pages.
    let whole = ROUNDS * SUB_BUFFERS * (PACKET + 2 * 4096);
    rustix::pipe::fcntl_setpipe_size(&write_end, whole).unwrap();
    let mut source = Source::new(0, 0);
    let pool = Arc::clone(&source.pool);
    let mut sink = PipeSink::new(Arc::new(SharedPipe::new(write_end, "the pipe")), 0);
    for _ in 0..ROUNDS * SUB_BUFFERS {
        source.send(&mut sink).unwrap();
    }
    // All pages were in use, and no others: each was written over while the pipe held what
    // it had before.
    let stats = pool.stats();
    assert_eq!((stats.allocated, stats.spare), (SUB_BUFFERS as u64, 0));
    drop(sink);
    assert!(reader(read_end).join().unwrap() == source.expected);
}

#[test]
fn a_late_reader_would_see_pages_that_are_rewritten_after_vmsplice() {
    let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let mut page = PageBuffer::new(4096).unwrap();
    page.fill(b'o');
    let call = Call::Vmsplice {
        pipe: write_end.as_fd(),
        bytes: &page,
    };
    assert_eq!(KernelCalls.call(call), Ok(4096));
    page.fill(b'n');
    drop(write_end);
    assert_eq!(reader(read_end).join().unwrap(), [b'n'; 4096]);
}

#[test]
fn short_counts_and_interruptions_change_nothing() {
    let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let reader = reader(read_end);
    let mut turn = 0;
    let mut calls = Faults::new(move |call| {
        turn += 1;
        match (turn % 4, call) {
            (0, _) => Some(Err(Errno::INTR)),
            (1, _) => Some(Err(Errno::AGAIN)),
            (_, Call::Write { head, body, .. }) => {
                *head = &head[..head.len().min(7)];
                *body = if head.len() == 7 {
                    &[]
                } else {
                    &body[..body.len().min(1001)]
                };
                None
            }
            _ => None,
        }
    });
    // The rule itself is what is tested with: a call of it must not be lost.
    assert_eq!(
        calls.call(Call::Sync {
            file: write_end.as_fd()
        }),
        Err(Errno::AGAIN)
    );
    let pipe = SharedPipe::with(calls, write_end, "the pipe");
    let bytes = packet(1, 2);
    pipe.send(Frame::Packet(1), &bytes).unwrap();
    drop(pipe);
    let found = reader.join().unwrap();
    assert_eq!(
        found[..HEADER_LEN],
        Frame::Packet(1).header(bytes.len() as u64)
    );
    assert!(found[HEADER_LEN..] == bytes);
}

#[test]
fn a_pipe_that_does_not_block_is_waited_for() {
    let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    rustix::io::ioctl_fionbio(&write_end, true).unwrap();
    let reader = thread::spawn(move || {
        thread::yield_now();
        reader(read_end).join().unwrap()
    });
    let pipe = SharedPipe::new(write_end, "the pipe");
    let bytes = vec![7; 1 << 20];
    pipe.send(Frame::Packet(0), &bytes).unwrap();
    drop(pipe);
    assert!(reader.join().unwrap()[HEADER_LEN..] == bytes);
}

#[test]
fn a_reader_that_has_gone_is_an_error_once_and_for_all() {
    let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    drop(read_end);
    let pipe = SharedPipe::new(write_end, "the pipe");
    for _ in 0..2 {
        let error = pipe.send(Frame::Metadata, b"text").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert!(error.to_string().contains("`the pipe`"), "{error}");
    }
}

#[test]
fn behind_a_broken_frame_comes_nothing() {
    let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let mut turn = 0;
    let calls = Faults::new(move |call| {
        turn += 1;
        match (turn, call) {
            (1, Call::Write { body, .. }) => {
                *body = &body[..100];
                None
            }
            (2, _) => Some(Err(Errno::IO)),
            _ => None,
        }
    });
    let pipe = SharedPipe::with(calls, write_end, "the pipe");
    assert!(pipe.send(Frame::Packet(0), &[1; 4096]).is_err());
    assert!(pipe.send(Frame::Packet(1), &[2; 4096]).is_err());
    drop(pipe);
    assert_eq!(reader(read_end).join().unwrap().len(), HEADER_LEN + 100);
}

#[test]
fn a_fifo_is_known_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    assert!(SharedPipe::is_at(&path));
    assert!(!SharedPipe::is_at(dir.path()));
    let reader = thread::spawn({
        let path = path.clone();
        move || reader(File::open(path).unwrap().into()).join().unwrap()
    });
    SharedPipe::open(&path)
        .unwrap()
        .send(Frame::End, b"")
        .unwrap();
    assert_eq!(reader.join().unwrap(), Frame::End.header(0));
}
