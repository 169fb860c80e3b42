//! Observers: what looks at the events of a stream besides its reader.
//!
//! # The interface
//! Whoever writes a stream calls [`Observers`] with the **final bytes of its events**, as they
//! are in the packet (timestamps included), each event once and in order. How they came there
//! makes no difference: an observer knows neither rings nor drains, so that a writer other than
//! the drain (a program that fills sub-buffers in the kernel) only has to make the same calls:
//!
//! | call | when |
//! |---|---|
//! | [`Observers::see_packet`] | for what was appended to a packet since the last call: at the latest before the packet is handed over, and often enough for observers that somebody waits for (the drain: once per lap, so at most 200 ms late) |
//! | [`Observers::see_unrecorded`] | for an event that is in no packet: one that the recorder needs for itself, such as the new name of a thread |
//! | [`Observers::flush`] | from time to time, and at the end: what was gathered is handed on |
//!
//! # Cost
//! Observers say which classes they want when they are put together. If none wants a class that
//! is recorded, packets are not looked at: [`see_packet`](Observers::see_packet) is never called,
//! and an event costs what it costs without observers.

use std::fmt;
use std::io::IoSlice;
use std::ops::Range;

use tracer_common::EventHeader;

use crate::record::stream::events::for_each_event;

/// Looks at events of one stream.
pub(crate) trait Observer: Send {
    /// Whether it wants the events of a class.
    fn wants(&self, class: u32) -> bool;

    /// Looks at an event of a class that it wants. `event` has all bytes, header included.
    fn see(&mut self, event: &[u8], header: &EventHeader);

    /// Hands on what it has gathered.
    fn flush(&mut self) {}
}

/// All observers of a stream.
#[derive(Default)]
pub(crate) struct Observers {
    list: Vec<Box<dyn Observer>>,
    /// By class, whether an observer wants it.
    wanted: Vec<bool>,
    /// Whether one of them is a class that is recorded.
    in_packets: bool,
}

impl Observers {
    /// Of a stream with classes below `classes`; those below `recorded` are in packets.
    pub(crate) fn new(list: Vec<Box<dyn Observer>>, recorded: u32, classes: u32) -> Self {
        let wants = |class| list.iter().any(|observer| observer.wants(class));
        let wanted: Vec<bool> = (0..classes).map(wants).collect();
        let in_packets = wanted.iter().take(recorded as usize).any(|wanted| *wanted);
        Self {
            list,
            wanted,
            in_packets,
        }
    }

    /// Whether there is a reason to call [`see_packet`](Self::see_packet).
    #[inline]
    pub(crate) fn want_packets(&self) -> bool {
        self.in_packets
    }

    /// Shows the events in `range` of a packet, whose bytes are `pieces`.
    pub(crate) fn see_packet(&mut self, pieces: &[IoSlice<'_>], range: Range<usize>) {
        let Self { list, wanted, .. } = self;
        for_each_event(pieces, range, |header, bytes| {
            if wanted.get(header.class as usize) == Some(&true)
                && let Some(event) = bytes.get()
            {
                see(list, event, header);
            }
        });
    }

    /// Shows an event that is in no packet.
    pub(crate) fn see_unrecorded(&mut self, event: &[u8], header: &EventHeader) {
        if self.wanted.get(header.class as usize) == Some(&true) {
            see(&mut self.list, event, header);
        }
    }

    /// Lets all of them hand on what they have gathered.
    pub(crate) fn flush(&mut self) {
        for observer in &mut self.list {
            observer.flush();
        }
    }
}

fn see(list: &mut [Box<dyn Observer>], event: &[u8], header: &EventHeader) {
    for observer in list {
        if observer.wants(header.class) {
            observer.see(event, header);
        }
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observers")
            .field("count", &self.list.len())
            .field("in_packets", &self.in_packets)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracer_common::EVENT_HEADER_LEN;

    use super::*;
    use crate::record::pool::{Pool, PoolConfig};
    use crate::record::stream::{HEADER_LEN, StreamIdentity, StreamWriter};
    use crate::record::subbuf::{self, Config, Mode, Reader};
    use crate::sys::page_size;

    /// Notes times and sizes of the events of one class.
    struct Notes {
        class: u32,
        seen: Arc<Mutex<Vec<(u64, usize)>>>,
    }

    impl Observer for Notes {
        fn wants(&self, class: u32) -> bool {
            class == self.class
        }

        fn see(&mut self, event: &[u8], header: &EventHeader) {
            assert_eq!(EventHeader::read(event).as_ref(), Some(header));
            let seen = (header.timestamp_ns, event.len());
            self.seen.lock().unwrap().push(seen);
        }
    }

    /// A stream of classes 0 and 1, with 2 for observers only, one of which wants `class`.
    struct Observed {
        writer: StreamWriter,
        _reader: Reader,
        seen: Arc<Mutex<Vec<(u64, usize)>>>,
    }

    impl Observed {
        fn new(class: u32) -> Self {
            let pool = PoolConfig {
                run_bytes: page_size(),
                max_runs: 3,
                reuse: true,
            };
            let config = Config {
                slots: 2,
                mode: Mode::Overwrite,
                header_len: HEADER_LEN,
            };
            let (writer, reader) = subbuf::create(config, &Pool::new(pool).unwrap()).unwrap();
            let identity = StreamIdentity {
                trace_uuid: [0; 16],
                cpu: 0,
                start_ns: 0,
            };
            let seen = Arc::default();
            let notes = Notes {
                class,
                seen: Arc::clone(&seen),
            };
            let mut writer = StreamWriter::new(identity, writer, 2);
            writer.observe_by(Observers::new(vec![Box::new(notes)], 2, 3));
            Self {
                writer,
                _reader: reader,
                seen,
            }
        }

        fn push(&mut self, timestamp_ns: u64, class: u32, size: usize) {
            let event = event(timestamp_ns, class, size);
            let header = EventHeader::read(&event).unwrap();
            self.writer.push(&event, &header, || 0).unwrap();
        }

        fn seen(&self) -> Vec<(u64, usize)> {
            self.seen.lock().unwrap().clone()
        }
    }

    fn event(timestamp_ns: u64, class: u32, size: usize) -> Vec<u8> {
        let mut event = vec![0; size];
        event[..8].copy_from_slice(&timestamp_ns.to_ne_bytes());
        event[8..12].copy_from_slice(&class.to_ne_bytes());
        event[20..EVENT_HEADER_LEN].copy_from_slice(&(size as u32).to_ne_bytes());
        event
    }

    #[test]
    fn each_event_is_seen_once_whether_its_packet_is_open_or_closed() {
        let mut stream = Observed::new(0);
        let sizes = (0..400).map(|i| EVENT_HEADER_LEN + i % 100);
        for (time, size) in sizes.clone().enumerate() {
            stream.push(time as u64, 0, size);
            if time.is_multiple_of(7) {
                stream.writer.observe();
            }
        }
        assert!(stream.writer.closed_packets() > 2);
        stream.writer.observe();
        let expected: Vec<_> = (0..).zip(sizes).collect();
        assert_eq!(stream.seen(), expected);
    }

    #[test]
    fn an_event_is_seen_with_the_time_that_it_has_in_the_packet() {
        let mut stream = Observed::new(0);
        for time in [10, 5] {
            stream.push(time, 0, 24);
        }
        stream.writer.flush(0).unwrap();
        assert_eq!(stream.seen(), [(10, 24), (10, 24)]);
    }

    #[test]
    fn other_classes_are_not_seen() {
        let mut stream = Observed::new(1);
        stream.push(1, 0, 24);
        stream.push(2, 1, 32);
        stream.writer.observe();
        assert_eq!(stream.seen(), [(2, 32)]);
    }

    #[test]
    fn packets_are_not_looked_at_for_events_that_are_in_none() {
        let mut stream = Observed::new(2);
        assert!(!stream.writer.observers().want_packets());
        let event = event(3, 2, 40);
        let header = EventHeader::read(&event).unwrap();
        stream.writer.observers().see_unrecorded(&event, &header);
        assert_eq!(stream.seen(), [(3, 40)]);
    }
}
