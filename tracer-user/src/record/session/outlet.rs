//! The thread that takes the packets of a stream to its sink.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::record::pool::Pool;
use crate::record::sink::Sink;
use crate::record::stream::Preamble;
use crate::record::stream::shared::{Delivered, Failure, StreamLink, Written};
use crate::record::subbuf::{ClassCount, NotNow, Packet, Reader, Taken};
use crate::sys::thread_cpu_ns;
use crate::trace::ctf::packet::PacketHeader;

/// Reads one stream into one sink.
pub(super) struct Outlet {
    reader: Reader,
    output: Output,
    link: Arc<StreamLink>,
}

/// Everything after the reader; a separate struct, because packets are borrowed from it.
struct Output {
    sink: Box<dyn Sink>,
    pool: Arc<Pool>,
    written: Written,
    /// Events of packets that the sink has not taken.
    unwritten: u64,
    /// Classes of the packet that is being written.
    classes: Vec<ClassCount>,
    /// Events of other classes are those of the state dump, and are not counted.
    probe_classes: u32,
    /// Why the sink takes no more.
    failed: Option<io::Error>,
    failure: Failure,
    link: Arc<StreamLink>,
}

impl Outlet {
    pub(super) fn new(
        reader: Reader,
        sink: Box<dyn Sink>,
        pool: Arc<Pool>,
        failure: &Failure,
        link: &Arc<StreamLink>,
        probe_classes: u32,
    ) -> Self {
        Self {
            reader,
            output: Output {
                sink,
                pool,
                written: Written::default(),
                unwritten: 0,
                classes: Vec::new(),
                probe_classes,
                failed: None,
                failure: failure.clone(),
                link: Arc::clone(link),
            },
            link: Arc::clone(link),
        }
    }

    /// Takes packet after packet until the stream has ended. After a failure to write they
    /// are taken all the same, and counted.
    pub(super) fn run(mut self) -> io::Result<Delivered> {
        let _gone = OnExit {
            link: Arc::clone(&self.link),
            failure: self.output.failure.clone(),
        };
        loop {
            match self.reader.get() {
                Ok(packet) => {
                    // Its slot has the reader's spare.
                    self.link.drain_bell.ring_if_expected();
                    let (waiting, capacity) = packet.backlog();
                    self.output.sink.note_backlog(waiting, capacity);
                    self.output.take(packet);
                }
                Err(NotNow::Again) => {}
                Err(NotNow::Empty) => self.wait()?,
                Err(NotNow::Finished) => return Ok(self.output.finish()),
            }
        }
    }

    fn wait(&self) -> io::Result<()> {
        self.link.outlet_bell.expect();
        if self.reader.has_news() {
            return Ok(());
        }
        self.link.outlet_bell.wait()
    }
}

/// Notifies the drain and the control side, also if the thread panics.
struct OnExit {
    link: Arc<StreamLink>,
    failure: Failure,
}

impl Drop for OnExit {
    fn drop(&mut self) {
        self.link.note_outlet_gone();
        // At the end of the stream, nothing waits for it.
        self.failure.note();
    }
}

impl Output {
    fn take(&mut self, packet: Taken<'_>) {
        // A sink may keep the packet.
        let bytes = packet.packet_len() as u64;
        self.classes.clear();
        self.classes.extend_from_slice(packet.classes());
        let bound = self.probe_classes;
        self.classes.retain(|count| count.class < bound);
        let events = self.classes.iter().map(|count| count.events).sum::<u64>();
        let written = match &self.failed {
            None => self.write(packet),
            Some(_) => Err(None),
        };
        match written {
            Ok(()) => {
                self.written.packets += 1;
                self.written.events += events;
                self.written.classes.add(&self.classes);
                self.add_bytes(bytes);
            }
            Err(error) => {
                self.unwritten += events;
                if let Some(error) = error {
                    self.failed = Some(error);
                    self.failure.note();
                }
            }
        }
    }

    fn write(&mut self, packet: Taken<'_>) -> Result<(), Option<io::Error>> {
        if self.written.packets == 0 {
            self.begin(&packet)?;
        }
        if self.pool.keeps_runs() {
            self.sink.take(packet)?;
            return Ok(());
        }
        // For comparison: fresh pages for each sub-buffer.
        let written = self.sink.write_packet(&packet.io_slices());
        if let Some(run) = self.pool.take() {
            self.pool.give_back(packet.detach(run).into_run());
        }
        Ok(written?)
    }

    /// Before the first packet of a stream.
    fn begin(&mut self, first: &Packet) -> io::Result<()> {
        let Ok(header) = PacketHeader::parse(first.header()) else {
            return Ok(());
        };
        if header.events_discarded > 0 {
            let preamble = Preamble::before(&header)?;
            self.sink.write_packet(&preamble.pieces())?;
            self.add_bytes(preamble.pieces()[0].len() as u64);
        }
        Ok(())
    }

    fn add_bytes(&mut self, bytes: u64) {
        self.written.bytes += bytes;
        // Relaxed: a number to show.
        let counter = &self.link.counter.bytes;
        counter.store(self.written.bytes, Ordering::Relaxed);
    }

    fn finish(mut self) -> Delivered {
        if self.failed.is_none()
            && let Err(error) = self.sink.finish()
        {
            self.failed = Some(error);
            self.failure.note();
        }
        Delivered {
            sink: Some(self.sink.report()),
            overtaken: None,
            written: self.written,
            unwritten: self.unwritten,
            error: self.failed,
            pool: self.pool.stats(),
            cpu_ns: thread_cpu_ns(),
        }
    }
}
