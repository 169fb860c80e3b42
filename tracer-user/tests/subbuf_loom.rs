//! Writer and reader with pages under loom: that they keep to the protocol, whose own
//! orders of steps `tracer-common` explores.
//!
//! Run by `cargo xtask test --tier loom`.
#![cfg(tracer_loom)]

use loom::thread;
use tracer::record::pool::{Pool, PoolConfig};
use tracer::record::subbuf::{
    self, Closing, Config, Mode, NotNow, Packet, Reader, Writer, WriterStats,
};
use tracer::sys::page_size;

fn stream(pool: &Pool, mode: Mode) -> (Writer, Reader) {
    let config = Config {
        slots: 1,
        mode,
        header_len: 8,
    };
    subbuf::create(config, pool).unwrap()
}

fn pool() -> Pool {
    Pool::new(PoolConfig {
        run_bytes: page_size(),
        max_runs: 3,
        reuse: true,
    })
    .unwrap()
}

fn write(mut writer: Writer, attempts: usize) -> WriterStats {
    for _ in 0..attempts {
        if writer.append(b"an event").is_err() {
            thread::yield_now();
            continue;
        }
        let closing = Closing {
            packet_len: page_size(),
            events: 1,
            ..Closing::default()
        };
        writer.close(closing, |header, sequence| {
            header[..8].copy_from_slice(&sequence.to_le_bytes());
        });
    }
    writer.stats()
}

fn check(packet: &Packet) {
    assert_eq!(packet.header()[..8], packet.sequence().to_le_bytes());
    assert_eq!(&packet.header()[8..16], b"an event");
}

/// Takes what there is, keeping the pages where the pool has others. Returns the packets.
fn take_all(reader: &mut Reader, pool: &Pool, kept: &mut Vec<Packet>) -> Vec<u64> {
    let mut sequences = Vec::new();
    loop {
        match reader.get() {
            Ok(packet) => {
                check(&packet);
                thread::yield_now();
                check(&packet);
                sequences.push(packet.sequence());
                match pool.take() {
                    Some(spare) => kept.push(packet.detach(spare)),
                    None => packet.put(),
                }
            }
            Err(NotNow::Finished) => return sequences,
            Err(NotNow::Again | NotNow::Empty) => thread::yield_now(),
        }
    }
}

fn explore(mode: Mode, attempts: usize, verify: fn(&[u64], WriterStats)) {
    loom::model(move || {
        let pool = pool();
        let (writer, mut reader) = stream(&pool, mode);
        let writer = thread::spawn(move || write(writer, attempts));
        let mut kept = Vec::new();
        let taken = take_all(&mut reader, &pool, &mut kept);
        verify(&taken, writer.join().unwrap());
        kept.iter().for_each(check);
    });
}

#[test]
fn every_closed_packet_is_taken_in_discard_mode() {
    explore(Mode::Discard, 3, |taken, stats| {
        assert_eq!(taken, (0..stats.packets).collect::<Vec<_>>());
        assert_eq!(stats.packets + stats.discarded, 3);
    });
}

#[test]
fn every_packet_is_taken_or_counted_in_overwrite_mode() {
    explore(Mode::Overwrite, 2, |taken, stats| {
        assert!(taken.is_sorted());
        assert_eq!(taken.len() as u64 + stats.overwritten_packets, 2);
        assert_eq!(stats.overwritten_packets, stats.overwritten_events);
    });
}

#[test]
fn a_peeked_packet_does_not_change() {
    loom::model(|| {
        let pool = pool();
        let (writer, mut reader) = stream(&pool, Mode::Overwrite);
        let writer = thread::spawn(move || write(writer, 2));
        for position in 0..2 {
            if let Ok(packet) = reader.peek(position) {
                check(&packet);
                thread::yield_now();
                check(&packet);
            }
            thread::yield_now();
        }
        let taken = take_all(&mut reader, &pool, &mut Vec::new()).len() as u64;
        let overwritten = reader.stats().overwritten_packets;
        let written = writer.join().unwrap();
        assert_eq!(taken + overwritten + written.overwritten_packets, 2);
    });
}
