use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use proptest::prelude::*;

use super::*;
use crate::record::sink::{Sink, SinkKind};
use crate::sys::memory::PageBuffer;
use crate::trace::ctf::PacketHeader;
use crate::trace::folder::chunk::{Before, METADATA, OPEN_METADATA};

const PACKET: usize = 4096;

const METADATA_TEXT: &str = "as text";

/// Nothing that is awaited takes so long.
const PATIENCE: Duration = Duration::from_mins(1);

/// Limits of packets, not of bytes.
fn limits(chunk: Option<u64>, max: Option<u64>) -> Rotation {
    Rotation {
        chunk_bytes: chunk.map(|packets| packets * PACKET as u64),
        chunk_time: None,
        max_bytes: max.map(|packets| packets * PACKET as u64),
    }
}

/// A recording of two CPUs in a private folder.
struct Recording {
    folder: tempfile::TempDir,
    keeper: Keeper,
    /// Number of the next packet of each stream.
    next: [u64; 2],
}

impl Recording {
    fn begin(rotation: Rotation) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = ChunkLayout {
            cpus: vec![0, 1],
            kind: SinkKind::Splice,
            packet_bytes: PACKET,
            counted_below: 1,
        };
        Self {
            keeper: Keeper::start(folder.path(), layout, METADATA_TEXT, rotation).unwrap(),
            folder,
            next: [0; 2],
        }
    }

    /// Writes the next packet of a stream. Half of all events are lost.
    fn write(&mut self, cpu: u32) -> io::Result<()> {
        let sequence = self.next[cpu as usize];
        let packet = packet(cpu, sequence);
        self.next[cpu as usize] += 1;
        let mut sink = self.keeper.sink(cpu).unwrap();
        sink.write_packet(&[IoSlice::new(&packet)])
    }

    /// Begins a chunk as if its time had come.
    fn rotate(&self) {
        self.keeper.chunks().replace_now().unwrap();
    }

    fn chunks(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut chunks: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        chunks.sort();
        chunks
    }

    /// Waits until this many chunks are complete.
    fn wait_for_complete(&self, count: usize) {
        let start = Instant::now();
        loop {
            let chunks = self.chunks();
            let complete = chunks.iter().filter(|chunk| is_complete(chunk));
            if complete.count() >= count {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "waited in vain: {chunks:?}");
            std::thread::yield_now();
        }
    }
}

fn is_complete(chunk: &Path) -> bool {
    chunk.join(METADATA).exists() && !chunk.join(OPEN_METADATA).exists()
}

fn packet(cpu: u32, sequence: u64) -> PageBuffer {
    let mut packet = PageBuffer::new(PACKET).unwrap();
    PacketHeader {
        stream_instance_id: u64::from(cpu),
        content_bits: PacketHeader::content_bits_for(0),
        packet_bits: PACKET as u64 * 8,
        sequence,
        events_discarded: sequence / 2,
        cpu,
        ..PacketHeader::default()
    }
    .write_to(&mut packet);
    packet
}

/// The numbers of the packets of a stream in a chunk.
fn packets(chunk: &Path, cpu: u32) -> Vec<u64> {
    let bytes = fs::read(chunk.join(format!("channel0_{cpu}"))).unwrap();
    assert_eq!(bytes.len() % PACKET, 0);
    bytes
        .chunks(PACKET)
        .map(|packet| {
            let header = PacketHeader::parse(packet).unwrap();
            assert_eq!(header.cpu, cpu);
            header.sequence
        })
        .collect()
}

#[derive(Clone, Debug)]
enum Step {
    Write(u32),
    Rotate,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..2u32).prop_map(Step::Write),
        1 => Just(Step::Rotate),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn each_packet_is_in_one_chunk_in_order(steps in steps(), size in prop::option::of(2..8u64)) {
        let mut recording = Recording::begin(limits(size, None));
        for step in steps {
            match step {
                Step::Write(cpu) => recording.write(cpu).unwrap(),
                Step::Rotate => recording.rotate(),
            }
        }
        prop_assert!(recording.keeper.close().error.is_none());
        let mut found = [Vec::new(), Vec::new()];
        for chunk in recording.chunks() {
            prop_assert!(is_complete(&chunk));
            let mut total = 0;
            let before = Before::open(&chunk).unwrap();
            for (cpu, found) in (0..2).zip(&mut found) {
                let last = before.0.get(&u64::from(cpu)).map(|last| last.sequence);
                prop_assert_eq!(last, found.last().copied());
                let packets = packets(&chunk, cpu);
                total += packets.len() as u64;
                found.extend(packets);
            }
            prop_assert!(size.is_none_or(|size| total <= size));
        }
        for (found, written) in found.into_iter().zip(recording.next) {
            prop_assert_eq!(found, (0..written).collect::<Vec<_>>());
        }
    }
}

#[test]
fn streams_that_write_at_the_same_time_lose_and_double_nothing() {
    const EACH: u64 = 500;
    let recording = Recording::begin(limits(Some(7), None));
    std::thread::scope(|scope| {
        for cpu in 0..2 {
            let mut sink = recording.keeper.sink(cpu).unwrap();
            scope.spawn(move || {
                for sequence in 0..EACH {
                    let packet = packet(cpu, sequence);
                    sink.write_packet(&[IoSlice::new(&packet)]).unwrap();
                }
                sink.finish().unwrap();
            });
        }
    });
    assert!(recording.keeper.close().error.is_none());
    for cpu in 0..2 {
        let chunks = recording.chunks();
        let found = chunks.iter().flat_map(|chunk| packets(chunk, cpu));
        assert!(found.eq(0..EACH));
    }
}

#[test]
fn a_chunk_that_is_written_is_not_complete_and_the_one_before_is() {
    let mut recording = Recording::begin(limits(None, None));
    recording.write(0).unwrap();
    recording.rotate();
    recording.write(1).unwrap();
    recording.wait_for_complete(1);
    let [old, open] = &recording.chunks()[..] else {
        panic!("not two chunks");
    };
    assert!(is_complete(old));
    assert!(!is_complete(open));
    assert_eq!((packets(old, 0), packets(old, 1)), (vec![0], vec![]));
}

#[test]
fn time_begins_a_chunk_though_nothing_is_written() {
    let recording = Recording::begin(Rotation {
        chunk_time: Some(Duration::from_millis(20)),
        ..limits(None, None)
    });
    recording.wait_for_complete(3);
    for chunk in &recording.chunks()[..3] {
        assert!(packets(chunk, 0).is_empty());
    }
}

#[test]
fn each_chunk_but_the_first_names_the_threads_that_there_are() {
    let recording = Recording::begin(limits(None, None));
    recording.rotate();
    recording.rotate();
    assert!(recording.keeper.close().error.is_none());
    for chunk in &recording.chunks()[1..] {
        let names = fs::read_to_string(chunk.join(".tasks")).unwrap();
        let thread = format!(" {} ", std::process::id());
        assert!(names.contains(&thread), "{names}");
    }
}

#[test]
fn metadata_grows_in_the_open_chunk_and_those_after_it() {
    let recording = Recording::begin(limits(None, None));
    recording.rotate();
    let chunks = recording.keeper.chunks();
    chunks.extend_metadata(", more").unwrap();
    recording.rotate();
    assert!(recording.keeper.close().error.is_none());
    let metadata: Vec<String> = recording
        .chunks()
        .iter()
        .map(|chunk| fs::read_to_string(chunk.join(METADATA)).unwrap())
        .collect();
    assert_eq!(metadata, ["as text", "as text, more", "as text, more"]);
}

#[test]
fn the_oldest_chunks_are_removed_and_counted() {
    let mut recording = Recording::begin(limits(Some(10), Some(40)));
    for _ in 0..200 {
        recording.write(0).unwrap();
    }
    let closed = recording.keeper.close();
    assert!(closed.error.is_none());
    assert_eq!(closed.begun, 20);
    let chunks = recording.chunks();
    assert_eq!(chunks.len() as u64, closed.begun - closed.removed.chunks);
    assert!(closed.removed.bytes > closed.removed.chunks * 10 * PACKET as u64);
    let bytes: u64 = chunks.iter().map(|chunk| bytes_in(chunk)).sum();
    assert!(bytes <= 40 * PACKET as u64, "{bytes}");
    // The newest are there.
    let first = 200 - 10 * chunks.len() as u64;
    let found = chunks.iter().flat_map(|chunk| packets(chunk, 0));
    assert!(found.eq(first..200));
}

fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| match entry.metadata().unwrap() {
            metadata if metadata.is_dir() => bytes_in(&entry.path()),
            metadata => metadata.len(),
        })
        .sum()
}

#[test]
fn a_complete_chunk_may_be_moved_away() {
    let elsewhere = tempfile::tempdir().unwrap();
    let mut recording = Recording::begin(limits(Some(10), Some(30)));
    for _ in 0..15 {
        recording.write(0).unwrap();
    }
    recording.wait_for_complete(1);
    let chunk = &recording.chunks()[0];
    fs::rename(chunk, elsewhere.path().join("shipped")).unwrap();
    for _ in 0..50 {
        recording.write(0).unwrap();
    }
    let closed = recording.keeper.close();
    assert!(closed.error.is_none());
    assert_eq!(
        packets(&elsewhere.path().join("shipped"), 0),
        (0..10).collect::<Vec<_>>()
    );
    let there = recording.chunks().len() as u64;
    assert_eq!(there + closed.removed.chunks + 1, closed.begun);
}

#[test]
fn chunks_may_be_moved_away_the_moment_they_are_complete() {
    let elsewhere = tempfile::tempdir().unwrap();
    let mut recording = Recording::begin(limits(Some(4), None));
    let trace = recording.folder.path().to_owned();
    let stop = AtomicBool::new(false);
    let closed = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for entry in fs::read_dir(&trace).unwrap() {
                    let chunk = entry.unwrap();
                    if is_complete(&chunk.path()) {
                        let shipped = elsewhere.path().join(chunk.file_name());
                        fs::rename(chunk.path(), shipped).unwrap();
                    }
                }
            }
        });
        let written: io::Result<()> = (0..400).try_for_each(|_| recording.write(0));
        let closed = recording.keeper.close();
        stop.store(true, Ordering::Relaxed);
        written.unwrap();
        closed
    });
    assert!(closed.error.is_none(), "{:?}", closed.error);
    let shipped = fs::read_dir(elsewhere.path()).unwrap();
    let shipped = shipped.map(|entry| entry.unwrap().path());
    let mut chunks: Vec<PathBuf> = shipped.chain(recording.chunks()).collect();
    chunks.sort_by_key(|chunk| chunk.file_name().map(ToOwned::to_owned));
    let found = chunks.iter().flat_map(|chunk| packets(chunk, 0));
    assert!(found.eq(0..400));
}

#[test]
fn a_chunk_that_cannot_be_made_is_an_error_for_its_writer() {
    let mut recording = Recording::begin(limits(Some(2), None));
    for _ in 0..2 {
        recording.write(0).unwrap();
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let moved = elsewhere.path().join("trace");
    fs::rename(recording.folder.path(), &moved).unwrap();
    let error = recording.write(0).unwrap_err();
    fs::rename(&moved, recording.folder.path()).unwrap();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(error.to_string().contains("chunk-000001"), "{error}");
    assert!(recording.keeper.close().error.is_none());
    assert_eq!(packets(&recording.chunks()[0], 0), [0, 1]);
}

#[test]
fn what_the_keeper_fails_at_ends_the_recording() {
    let mut recording = Recording::begin(limits(None, None));
    recording.write(0).unwrap();
    // Its file is there no longer when the chunk is finished.
    fs::remove_file(recording.chunks()[0].join("channel0_0")).unwrap();
    recording.rotate();
    // Taken when the one before is done with.
    recording.rotate();
    let error = recording.write(1).unwrap_err();
    assert!(error.to_string().contains("was removed"), "{error}");
    let closed = recording.keeper.close();
    assert_eq!(closed.error.unwrap().to_string(), error.to_string());
    // Readers find what there is.
    assert!(recording.chunks().iter().all(|chunk| is_complete(chunk)));
}

#[test]
fn a_keeper_that_is_dropped_has_ended() {
    let recording = Recording::begin(limits(None, None));
    let chunks = std::sync::Arc::clone(recording.keeper.chunks());
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || {
        drop(recording);
        sender.send(()).unwrap();
    });
    ended.recv_timeout(PATIENCE).unwrap();
    assert_eq!(std::sync::Arc::strong_count(&chunks), 1);
}
