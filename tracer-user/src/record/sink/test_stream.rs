//! A stream that goes round its sub-buffers: for tests.

use std::io;
use std::sync::Arc;

use crate::record::pool::{Pool, PoolConfig};
use crate::record::sink::Sink;
use crate::record::subbuf::{self, Closing, Config, Mode, Reader, Writer};
use crate::trace::folder::frames::Frame;

/// Bytes of each packet.
pub(crate) const PACKET: usize = 16 << 10;
/// Sub-buffers of the writer.
const SLOTS: u16 = 2;
/// Those and the reader's.
pub(crate) const SUB_BUFFERS: usize = SLOTS as usize + 1;

/// A stream whose packets differ, and the frames that are expected of it.
pub(crate) struct TestStream {
    pub(crate) number: u64,
    pub(crate) pool: Arc<Pool>,
    writer: Writer,
    pub(crate) reader: Reader,
    sequence: u64,
    pub(crate) expected: Vec<u8>,
}

impl TestStream {
    /// With `spares` pages beside those of its sub-buffers.
    pub(crate) fn new(number: u64, spares: usize) -> Self {
        let pool = Pool::new(PoolConfig {
            run_bytes: PACKET,
            max_runs: SUB_BUFFERS + spares,
            reuse: true,
        });
        let pool = pool.unwrap();
        let config = Config {
            slots: SLOTS,
            mode: Mode::Discard,
            header_len: 8,
        };
        let (writer, reader) = subbuf::create(config, &pool).unwrap();
        Self {
            number,
            pool: Arc::new(pool),
            writer,
            reader,
            sequence: 0,
            expected: Vec::new(),
        }
    }

    /// Writes the next packet, which goes over the pages of one that was read before.
    pub(crate) fn write(&mut self) {
        let event = [(self.number * 64 + self.sequence + 1) as u8; PACKET - 8];
        self.writer.append(&event).unwrap();
        let closing = Closing {
            packet_len: PACKET,
            events: 1,
            ..Closing::default()
        };
        let sequence = self.sequence.to_le_bytes();
        self.writer.close(closing, |header, _| {
            header[..8].copy_from_slice(&sequence);
        });
        let header = Frame::Packet(self.number).header(PACKET as u64);
        self.expected.extend(header);
        self.expected.extend(sequence);
        self.expected.extend(event);
        self.sequence += 1;
    }

    /// Writes the next packet and passes it to the sink.
    pub(crate) fn send(&mut self, sink: &mut impl Sink) -> io::Result<()> {
        self.write();
        sink.take(self.reader.get().unwrap())
    }

    /// Pages that are in no sub-buffer and not in the pool.
    pub(crate) fn held(&self) -> usize {
        self.pool.stats().in_flight() - SUB_BUFFERS
    }
}
