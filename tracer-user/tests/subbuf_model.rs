//! Writer, reader and pool against a model that a person can check: random steps of both
//! sides, one at a time.
#![cfg(not(tracer_loom))]

use std::collections::VecDeque;

use proptest::prelude::*;
use tracer::record::pool::{Pool, PoolConfig};
use tracer::record::subbuf::{
    self, AppendError, Closing, Config, Mode, NotNow, Packet, Reader, Writer,
};
use tracer::sys::page_size;

const HEADER_LEN: usize = 88;
/// Runs beside those of the buffer.
const EXTRA_RUNS: usize = 1;

#[derive(Clone, Debug)]
enum Step {
    /// Appends an event of so many bytes.
    Append(usize),
    Close,
    /// Takes a packet and is done with it at once, as a file is.
    Take,
    /// Takes a packet and holds its pages, as a socket does.
    Hold,
    /// Gives the pages back that were held longest.
    Release,
    /// Looks at the packet with this number among those that wait.
    Peek(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let page = page_size();
    prop_oneof![
        4 => (1..=400_usize).prop_map(Step::Append),
        // Larger than a page, and now and then than a sub-buffer.
        2 => (page..=2 * page + 100).prop_map(Step::Append),
        4 => Just(Step::Close),
        3 => Just(Step::Take),
        1 => Just(Step::Hold),
        1 => Just(Step::Release),
        2 => (0..4_u64).prop_map(Step::Peek),
    ]
}

/// What a packet should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    sequence: u64,
    content: Vec<u8>,
    events: u64,
}

struct Both {
    mode: Mode,
    slots: usize,
    pool: Pool,
    writer: Writer,
    reader: Reader,
    held: VecDeque<(Packet, Model)>,
    open: Option<Model>,
    waiting: VecDeque<Model>,
    written: u64,
    overwritten: Vec<u64>,
    discarded: u64,
    oversized: u64,
}

impl Both {
    fn new(slots: u16, mode: Mode) -> Self {
        let pool = Pool::new(PoolConfig {
            run_bytes: 2 * page_size(),
            max_runs: usize::from(slots) + 1 + EXTRA_RUNS,
            reuse: true,
        })
        .unwrap();
        let config = Config {
            slots,
            mode,
            header_len: HEADER_LEN,
        };
        let (writer, reader) = subbuf::create(config, &pool).unwrap();
        Self {
            mode,
            slots: usize::from(slots),
            pool,
            writer,
            reader,
            held: VecDeque::new(),
            open: None,
            waiting: VecDeque::new(),
            written: 0,
            overwritten: Vec::new(),
            discarded: 0,
            oversized: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Append(len) => self.append(len),
            Step::Close => self.close(),
            Step::Take => self.take(false),
            Step::Hold => self.take(true),
            Step::Release => self.release(),
            Step::Peek(at) => self.peek(at),
        }
        for (packet, model) in &mut self.held {
            check(packet, model);
        }
    }

    /// Opens a packet in the model; false if the buffer is full.
    fn open(&mut self) -> bool {
        if self.open.is_some() {
            return true;
        }
        if self.waiting.len() == self.slots {
            match self.mode {
                Mode::Discard => return false,
                Mode::Overwrite => {
                    let lost = self.waiting.pop_front().unwrap();
                    self.overwritten.push(lost.sequence);
                }
            }
        }
        self.open = Some(Model {
            sequence: self.written,
            content: vec![0; HEADER_LEN],
            events: 0,
        });
        true
    }

    fn append(&mut self, len: usize) {
        let event: Vec<_> = (0..len)
            .map(|at| (at as u64 + self.written) as u8)
            .collect();
        let answer = self.writer.append(&event);
        let room = self.writer.capacity() - HEADER_LEN;
        if len > room {
            self.oversized += 1;
            assert_eq!(answer, Err(AppendError::Oversized { len, room }));
        } else if !self.open() {
            self.discarded += 1;
            assert_eq!(answer, Err(AppendError::Full));
        } else if let Some(open) = &mut self.open {
            let start = open.content.len().next_multiple_of(8);
            if start + len > self.writer.capacity() {
                assert_eq!(answer, Err(AppendError::NoRoom));
            } else {
                assert_eq!(answer, Ok(start));
                open.content.resize(start, 0);
                open.content.extend(event);
                open.events += 1;
            }
        }
    }

    fn close(&mut self) {
        let events = self.open.as_ref().map_or(0, |open| open.events);
        let closing = Closing {
            packet_len: self.writer.capacity(),
            events,
            ..Closing::default()
        };
        let sequence = self.writer.close(closing, |header, sequence| {
            header[..HEADER_LEN].fill(sequence as u8);
        });
        let closed = self.open.take();
        assert_eq!(sequence, closed.as_ref().map(|closed| closed.sequence));
        if let Some(mut closed) = closed {
            closed.content[..HEADER_LEN].fill(closed.sequence as u8);
            self.written += 1;
            self.waiting.push_back(closed);
        }
    }

    fn take(&mut self, hold: bool) {
        let spare = hold.then(|| self.pool.take()).flatten();
        let expected = self.waiting.pop_front();
        match self.reader.get() {
            Err(reason) => {
                assert_eq!((reason, expected), (NotNow::Empty, None));
                if let Some(run) = spare {
                    self.pool.give_back(run);
                }
            }
            Ok(mut packet) => {
                let model = expected.expect("no packet waits");
                let mut content = vec![0; packet.content_len()];
                packet.read_at(0, &mut content);
                assert_eq!(content, model.content);
                match spare {
                    Some(spare) => self.held.push_back((packet.detach(spare), model)),
                    None => packet.put(),
                }
            }
        }
    }

    fn release(&mut self) {
        if let Some((packet, _)) = self.held.pop_front() {
            self.pool.give_back(packet.into_run());
        }
    }

    fn peek(&mut self, at: u64) {
        let position = self.reader.positions().start + at;
        match (self.reader.peek(position), self.waiting.get(at as usize)) {
            (Err(NotNow::Empty), None) => {}
            (Ok(packet), Some(model)) => {
                assert_eq!(packet.sequence(), model.sequence);
                assert!(packet.put_back(), "nobody was there meanwhile");
            }
            (answer, model) => panic!("{answer:?} for {model:?}"),
        }
    }

    /// Takes all that is left, and compares the counts.
    fn finish(mut self) {
        self.close();
        while !self.waiting.is_empty() {
            self.take(false);
        }
        let stats = self.writer.stats();
        assert_eq!(stats.packets, self.written);
        assert_eq!(stats.overwritten_packets, self.overwritten.len() as u64);
        assert_eq!(
            (stats.discarded, stats.oversized),
            (self.discarded, self.oversized)
        );
        assert_eq!(
            self.pool.stats().in_flight(),
            self.slots + 1 + self.held.len()
        );
        drop(self.writer);
        assert!(matches!(self.reader.get(), Err(NotNow::Finished)));
    }
}

/// A packet whose pages are held is as it was when it was taken.
fn check(packet: &mut Packet, model: &Model) {
    let mut content = vec![0; packet.content_len()];
    packet.read_at(0, &mut content);
    let found = Model {
        sequence: packet.sequence(),
        content,
        events: packet.events(),
    };
    assert_eq!(&found, model);
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: if cfg!(miri) { 4 } else { 256 },
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Miri takes its time.
const STEPS: usize = if cfg!(miri) { 12 } else { 80 };

proptest! {
    #![proptest_config(config())]

    #[test]
    fn discard_mode_is_a_bounded_queue(
        slots in 1..4_u16,
        steps in prop::collection::vec(step(), 0..STEPS),
    ) {
        let mut both = Both::new(slots, Mode::Discard);
        for step in &steps {
            both.step(step);
        }
        both.finish();
    }

    #[test]
    fn overwrite_mode_is_a_queue_that_drops_the_oldest(
        slots in 1..4_u16,
        steps in prop::collection::vec(step(), 0..STEPS),
    ) {
        let mut both = Both::new(slots, Mode::Overwrite);
        for step in &steps {
            both.step(step);
        }
        both.finish();
    }
}
