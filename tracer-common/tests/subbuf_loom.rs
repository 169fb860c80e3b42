//! The sub-buffer protocol under loom: every order of steps of one writer and one reader,
//! for few slots and packets, so that the writer wraps around more than once.
//!
//! Run by `cargo xtask test --tier loom`. The content of a sub-buffer is a loom cell, which
//! fails the test if two owners access it without an order between the accesses.
#![cfg(tracer_loom)]

use loom::sync::Arc;
use loom::thread;
use tracer_common::subbuf::{Mode, NotNow, OwnedIndex, Positions, SlotWord, Table};
use tracer_common::sync::{AtomicU64, Ordering, UnsafeCell};

/// Runs `model` in every order of steps, and prints how many there are.
fn explore(model: impl Fn() + Send + Sync + 'static) {
    let orders = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = std::sync::Arc::clone(&orders);
    loom::model(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        model();
    });
    println!("{orders:?} orders");
}

/// A table and its sub-buffers.
struct Stream {
    positions: Positions,
    slots: Vec<AtomicU64>,
    contents: Vec<UnsafeCell<u64>>,
}

impl Stream {
    fn new(slots: usize) -> (Arc<Self>, Reader) {
        let stream = Arc::new(Self {
            positions: Positions::new(),
            slots: (0..slots).map(|_| AtomicU64::new(0)).collect(),
            contents: (0..=slots).map(|_| UnsafeCell::new(u64::MAX)).collect(),
        });
        let spare = stream.table().init();
        let reader = Reader {
            stream: Arc::clone(&stream),
            own: spare,
            next: 0,
            taken: Vec::new(),
        };
        (stream, reader)
    }

    fn table(&self) -> Table<'_> {
        Table {
            positions: &self.positions,
            slots: &self.slots,
        }
    }

    fn content(&self, owned: &OwnedIndex) -> u64 {
        // SAFETY: loom checks that the owner alone accesses it.
        self.contents[usize::from(owned.get())].with(|content| unsafe { *content })
    }

    fn set_content(&self, owned: &OwnedIndex, value: u64) {
        // SAFETY: as above.
        self.contents[usize::from(owned.get())].with_mut(|content| unsafe { *content = value });
    }

    fn is_overwritten_at(&self, position: u64) -> bool {
        self.positions.consumed() > position
    }
}

/// Writes a packet if there is room. Returns the position of the packet that it overwrote.
fn write_packet(stream: &Stream, mode: Mode) -> Option<u64> {
    let Ok(entered) = stream.table().enter(mode) else {
        thread::yield_now();
        return None;
    };
    // Twice, so that an incomplete packet differs from a complete one.
    stream.set_content(&entered.owned, u64::MAX);
    stream.set_content(&entered.owned, entered.position);
    assert_eq!(stream.table().commit(entered.owned), entered.position);
    entered
        .overwrites
        .then(|| entered.position - stream.slots.len() as u64)
}

/// Tries to write a packet `attempts` times, then ends the stream. Returns the positions
/// that it overwrote.
fn write(stream: &Stream, mode: Mode, attempts: usize) -> Vec<u64> {
    let overwritten = (0..attempts)
        .filter_map(|_| write_packet(stream, mode))
        .collect();
    stream.positions.finalize();
    overwritten
}

struct Reader {
    stream: Arc<Stream>,
    /// The spare, or the packet that was taken last.
    own: OwnedIndex,
    next: u64,
    taken: Vec<u64>,
}

impl Reader {
    /// Asks once for the packet at `position`.
    fn exchange(&mut self, position: u64) -> Result<(), NotNow> {
        self.stream.table().get(position, &mut self.own)?;
        assert_eq!(self.stream.content(&self.own), position, "another packet");
        Ok(())
    }

    /// Asks once for the next packet, and reads it slowly.
    fn take(&mut self) -> Result<(), NotNow> {
        let position = self.next.max(self.stream.positions.consumed());
        let outcome = self.exchange(position);
        if outcome == Err(NotNow::Again) {
            assert!(
                self.stream.is_overwritten_at(position),
                "turned away from a packet that was not overwritten"
            );
        }
        outcome?;
        self.stream.table().consume(position);
        thread::yield_now();
        assert_eq!(self.stream.content(&self.own), position, "it changed");
        self.taken.push(position);
        self.next = position + 1;
        Ok(())
    }

    /// Takes packets until the stream has ended.
    fn take_rest(&mut self) {
        loop {
            match self.take() {
                Err(NotNow::Finished) => return,
                Err(NotNow::Empty | NotNow::Again) => thread::yield_now(),
                Ok(()) => {}
            }
        }
    }

    /// Reads the packet at `position` and puts it back. Returns whether it could be read.
    fn peek(&mut self, position: u64) -> bool {
        let left = self.own.get();
        if self.exchange(position).is_err() {
            return false;
        }
        thread::yield_now();
        assert_eq!(self.stream.content(&self.own), position, "it changed");
        if !self.stream.table().put_back(position, &mut self.own, left) {
            assert!(
                self.stream.is_overwritten_at(position),
                "lost but not overwritten"
            );
        }
        true
    }

    /// Fails unless each sub-buffer is in one slot or owned by the reader.
    fn check_owners(&self) {
        let in_slots = self
            .stream
            .slots
            .iter()
            .map(|slot| SlotWord::from_bits(slot.load(Ordering::Relaxed)).index());
        let mut owned: Vec<_> = in_slots.chain([self.own.get()]).collect();
        owned.sort_unstable();
        let all: Vec<_> = (0..=self.stream.slots.len() as u16).collect();
        assert_eq!(owned, all, "a sub-buffer has two owners");
    }
}

fn sorted(parts: &[&[u64]]) -> Vec<u64> {
    let mut all = parts.concat();
    all.sort_unstable();
    all
}

/// The reader asks `asks` times while the writer writes, and takes the rest afterwards.
fn overwrite(slots: usize, packets: usize, asks: usize) {
    explore(move || {
        let (stream, mut reader) = Stream::new(slots);
        let writer = thread::spawn(move || write(&stream, Mode::Overwrite, packets));
        for _ in 0..asks {
            let _ = reader.take();
        }
        let overwritten = writer.join().unwrap();
        reader.take_rest();
        reader.check_owners();
        assert!(reader.taken.is_sorted(), "out of order: {:?}", reader.taken);
        // The gaps are exactly the packets that were overwritten.
        let all: Vec<_> = (0..packets as u64).collect();
        assert_eq!(sorted(&[&reader.taken, &overwritten]), all);
    });
}

fn discard(slots: usize, attempts: usize, asks: usize) {
    explore(move || {
        let (stream, mut reader) = Stream::new(slots);
        let writer = thread::spawn(move || {
            let overwritten = write(&stream, Mode::Discard, attempts);
            assert_eq!(overwritten, [], "a committed packet is lost");
            stream.positions.written()
        });
        for _ in 0..asks {
            assert_ne!(
                reader.take(),
                Err(NotNow::Again),
                "turned away in discard mode"
            );
        }
        let written = writer.join().unwrap();
        reader.take_rest();
        reader.check_owners();
        assert_eq!(reader.taken, (0..written).collect::<Vec<_>>());
    });
}

#[test]
fn discard_mode_loses_no_packet_with_2_sub_buffers() {
    discard(1, 3, 3);
}

#[test]
fn discard_mode_loses_no_packet_with_3_sub_buffers() {
    discard(2, 4, 2);
}

#[test]
fn overwritten_packets_are_the_gaps_with_2_sub_buffers() {
    overwrite(1, 3, 2);
}

#[test]
fn overwritten_packets_are_the_gaps_with_3_sub_buffers() {
    overwrite(2, 4, 2);
}

#[test]
fn overwritten_packets_are_the_gaps_with_4_sub_buffers() {
    overwrite(3, 5, 1);
}

#[test]
fn a_spare_is_not_written_while_it_is_still_read() {
    for mode in [Mode::Discard, Mode::Overwrite] {
        explore(move || {
            let (stream, mut reader) = Stream::new(2);
            // The sub-buffer of packet 0, read while the writer runs, is the spare that is left
            // in exchange for packet 1.
            write_packet(&stream, mode);
            write_packet(&stream, mode);
            let writer = thread::spawn(move || write(&stream, mode, 2));
            for _ in 0..2 {
                let _ = reader.take();
            }
            writer.join().unwrap();
            reader.take_rest();
            reader.check_owners();
        });
    }
}

#[test]
fn the_last_packet_is_taken_before_the_end_is_seen() {
    explore(|| {
        let (stream, mut reader) = Stream::new(2);
        let writer = thread::spawn(move || write(&stream, Mode::Discard, 2));
        reader.take_rest();
        assert_eq!(reader.taken, [0, 1]);
        writer.join().unwrap();
    });
}

#[test]
fn a_peeked_packet_is_taken_later_or_overwritten() {
    explore(|| {
        let (stream, mut reader) = Stream::new(2);
        write_packet(&stream, Mode::Overwrite);
        let writer = thread::spawn(move || write(&stream, Mode::Overwrite, 2));
        let peeked = reader.peek(0);
        let overwritten = writer.join().unwrap();
        reader.take_rest();
        reader.check_owners();
        let seen = sorted(&[&reader.taken, &overwritten]);
        // While the reader holds packet 0, the writer gets the spare instead.
        let lost_to_the_peek = peeked && seen == [1, 2];
        assert!(seen == [0, 1, 2] || lost_to_the_peek, "{seen:?}");
    });
}
