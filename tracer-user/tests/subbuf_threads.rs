//! Writer and reader on two threads of this machine, or of Miri, which looks for accesses
//! without an order between them in the pages themselves.
#![cfg(not(tracer_loom))]

use std::thread;

use tracer::record::pool::{Pool, PoolConfig};
use tracer::record::subbuf::{
    self, AppendError, Closing, Config, Mode, NotNow, Packet, Reader, Writer,
};
use tracer::sys::page_size;

const HEADER_LEN: usize = 88;
const PACKETS: u64 = if cfg!(miri) { 12 } else { 2_000 };

fn stream(mode: Mode, extra_runs: usize) -> (Pool, Writer, Reader) {
    let slots = 2;
    let pool = Pool::new(PoolConfig {
        run_bytes: 2 * page_size(),
        max_runs: usize::from(slots) + 1 + extra_runs,
        reuse: true,
    })
    .unwrap();
    let config = Config {
        slots,
        mode,
        header_len: HEADER_LEN,
    };
    let (writer, reader) = subbuf::create(config, &pool).unwrap();
    (pool, writer, reader)
}

/// Writes packets that are full of their sequence number; an event crosses the pages.
fn write(mut writer: Writer) -> Writer {
    let mut written = 0;
    while written < PACKETS {
        let event = vec![written as u8; page_size() + 8];
        match writer.append(&event) {
            Ok(_) => {}
            Err(AppendError::Full) => {
                thread::yield_now();
                continue;
            }
            Err(error) => panic!("{error}"),
        }
        let closing = Closing {
            packet_len: writer.capacity(),
            events: 1,
            ..Closing::default()
        };
        writer.close(closing, |header, sequence| {
            header[..8].copy_from_slice(&sequence.to_le_bytes());
        });
        written += 1;
    }
    writer
}

/// Fails unless the packet is that of its sequence number, all of it.
fn check(packet: &Packet) {
    let sequence = packet.sequence();
    assert_eq!(packet.header()[..8], sequence.to_le_bytes());
    let bytes = packet
        .io_slices()
        .iter()
        .fold(Vec::new(), |mut all, piece| {
            all.extend_from_slice(piece);
            all
        });
    let mut expected = vec![0; packet.packet_len()];
    expected[..HEADER_LEN].copy_from_slice(&bytes[..HEADER_LEN]);
    expected[HEADER_LEN..packet.content_len()].fill(sequence as u8);
    // Whole slices, because Miri compares those at once.
    assert!(bytes == expected, "packet {sequence} is not whole");
}

/// Calls `take` with a reader until the stream has ended.
fn until_finished(reader: &mut Reader, mut take: impl FnMut(subbuf::Taken<'_>)) {
    loop {
        match reader.get() {
            Ok(packet) => take(packet),
            Err(NotNow::Finished) => return,
            Err(NotNow::Again | NotNow::Empty) => thread::yield_now(),
        }
    }
}

#[test]
fn no_packet_is_lost_in_discard_mode() {
    let (_pool, writer, mut reader) = stream(Mode::Discard, 0);
    let writer = thread::spawn(|| write(writer).stats());
    let mut expected = 0;
    until_finished(&mut reader, |packet| {
        assert_eq!(packet.sequence(), expected);
        check(&packet);
        expected += 1;
        packet.put();
    });
    assert_eq!(
        (expected, writer.join().unwrap().packets),
        (PACKETS, PACKETS)
    );
}

#[test]
fn the_gaps_in_overwrite_mode_are_what_was_overwritten() {
    let (_pool, writer, mut reader) = stream(Mode::Overwrite, 0);
    let writer = thread::spawn(|| write(writer).stats());
    let (mut taken, mut last) = (0, None);
    until_finished(&mut reader, |packet| {
        assert!(Some(packet.sequence()) > last, "out of order");
        last = Some(packet.sequence());
        check(&packet);
        taken += 1;
        packet.put();
    });
    let stats = writer.join().unwrap();
    assert_eq!(taken + stats.overwritten_packets, PACKETS);
    assert_eq!(taken + stats.overwritten_events, stats.events);
}

#[test]
fn pages_that_a_sink_holds_do_not_change() {
    let (pool, writer, mut reader) = stream(Mode::Overwrite, 2);
    let writer = thread::spawn(|| write(writer).stats());
    let mut held = Vec::new();
    until_finished(&mut reader, |packet| {
        match pool.take() {
            Some(spare) => held.push(packet.detach(spare)),
            None => packet.put(),
        }
        held.iter().for_each(check);
        if held.len() == 2 {
            pool.give_back(held.remove(0).into_run());
        }
    });
    writer.join().unwrap();
    assert!(pool.stats().allocated <= 5, "{:?}", pool.stats());
}

#[test]
fn a_snapshot_leaves_the_packets_where_they_are() {
    let (_pool, writer, mut reader) = stream(Mode::Overwrite, 0);
    let writer = write(writer);
    for _ in 0..2 {
        let seen: Vec<_> = reader
            .positions()
            .map(|position| {
                let packet = reader.peek(position).unwrap();
                check(&packet);
                packet.sequence()
            })
            .collect();
        assert_eq!(seen, [PACKETS - 2, PACKETS - 1]);
    }
    drop(writer);
}

#[test]
fn a_snapshot_while_recording_sees_whole_packets() {
    let (_pool, writer, mut reader) = stream(Mode::Overwrite, 0);
    let writer = thread::spawn(|| write(writer).stats());
    let mut seen = 0;
    while !writer.is_finished() || seen == 0 {
        for position in reader.positions() {
            if let Ok(packet) = reader.peek(position) {
                assert_eq!(packet.sequence(), position);
                check(&packet);
                seen += 1;
                // Whether it went back or was overwritten meanwhile, both are in order.
                let _ = packet.put_back();
            }
        }
        thread::yield_now();
    }
    let mut taken = 0;
    until_finished(&mut reader, |packet| {
        taken += packet.events();
        packet.put();
    });
    let (stats, peeked) = (writer.join().unwrap(), reader.stats());
    let overwritten = stats.overwritten_events + peeked.overwritten_events;
    assert_eq!(taken + overwritten, stats.events);
}
