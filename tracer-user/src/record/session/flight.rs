//! The thread that reads the sub-buffers of a stream in overwrite mode: only when a
//! snapshot asks for them, and without taking them.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use crate::record::pool::Pool;
use crate::record::sink::{Sink, total_len};
use crate::record::stream::Preamble;
use crate::record::stream::shared::{CopyJob, Delivered, Overtaken, StreamCopy, Written};
use crate::record::subbuf::{NotNow, Peeked, Reader};
use crate::sys::thread_cpu_ns;
use crate::trace::ctf::packet::PacketHeader;

/// Reads one stream.
pub(super) struct FlightReader {
    reader: Reader,
    pool: Arc<Pool>,
}

impl FlightReader {
    pub(super) fn new(reader: Reader, pool: Arc<Pool>) -> Self {
        Self { reader, pool }
    }

    /// Carries out jobs until their sender is gone.
    pub(super) fn run(mut self, jobs: &Receiver<CopyJob>) -> Delivered {
        while let Ok(CopyJob { sink, reply }) = jobs.recv() {
            // The snapshot may have been given up.
            let _ = reply.send(self.write_to(sink));
        }
        Delivered {
            overtaken: Some(Overtaken {
                stats: self.reader.stats(),
                classes: self.reader.overwritten().clone(),
            }),
            pool: self.pool.stats(),
            cpu_ns: thread_cpu_ns(),
            ..Delivered::default()
        }
    }

    /// Writes what is there when it begins, oldest first; what the writer overwrites
    /// meanwhile is left out.
    fn write_to(&mut self, sink: Box<dyn Sink>) -> io::Result<StreamCopy> {
        let mut copy = Copy::new(sink);
        let mut waiting = self.reader.positions();
        while !waiting.is_empty() {
            let position = waiting.start;
            waiting.start += 1;
            let refused = match self.reader.peek(position) {
                Ok(packet) => copy.add(packet).map(|()| None)?,
                Err(why) => Some(why),
            };
            match refused {
                None => {}
                Some(NotNow::Again) => {
                    let oldest = self.reader.positions().start.max(waiting.start);
                    copy.note_overtaken(oldest.min(waiting.end) - position);
                    waiting.start = oldest;
                }
                Some(NotNow::Empty | NotNow::Finished) => break,
            }
        }
        copy.finish()
    }
}

/// A copy of a stream, being written.
struct Copy {
    sink: Box<dyn Sink>,
    written: Written,
    /// Loss before the first packet: the copy reports only what was lost after it.
    lost_before: u64,
    begin_ns: Option<u64>,
    end_ns: u64,
    overtaken: u64,
}

impl Copy {
    fn new(sink: Box<dyn Sink>) -> Self {
        Self {
            sink,
            written: Written::default(),
            lost_before: 0,
            begin_ns: None,
            end_ns: 0,
            overtaken: 0,
        }
    }

    fn add(&mut self, mut packet: Peeked<'_>) -> io::Result<()> {
        let original = PacketHeader::parse(packet.header()).map_err(io::Error::other)?;
        if self.begin_ns.is_none() {
            self.lost_before = packet.discarded_before();
        }
        let header = PacketHeader {
            events_discarded: original.events_discarded - self.lost_before,
            ..original
        };
        if self.begin_ns.is_none() && header.events_discarded > 0 {
            self.write(&Preamble::before(&header)?.pieces())?;
        }
        // The reader owns the packet meanwhile.
        header.write_to(packet.header_mut());
        let written = self.write(&packet.io_slices());
        original.write_to(packet.header_mut());
        written?;
        self.begin_ns.get_or_insert(header.timestamp_begin);
        self.end_ns = header.timestamp_end;
        self.written.packets += 1;
        self.written.events += packet.events();
        self.written.classes.add(packet.classes());
        Ok(())
    }

    /// Packets that the writer has overwritten. Before the first packet they are not missed.
    fn note_overtaken(&mut self, packets: u64) {
        if self.begin_ns.is_some() {
            self.overtaken += packets;
        }
    }

    fn write(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        self.sink.write_packet(pieces)?;
        self.written.bytes += total_len(pieces) as u64;
        Ok(())
    }

    fn finish(mut self) -> io::Result<StreamCopy> {
        self.sink.finish()?;
        Ok(StreamCopy {
            written: self.written,
            begin_ns: self.begin_ns,
            end_ns: self.end_ns,
            overtaken: self.overtaken,
        })
    }
}
