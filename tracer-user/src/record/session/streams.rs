//! The two threads of each stream: one drains its ring into sub-buffers, the other takes
//! full ones to the sink. Nothing is shared between streams.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow};

use crate::record::session::drain::{Drain, Drained};
use crate::record::session::flight::FlightReader;
use crate::record::session::outlet::Outlet;
use crate::record::stream::shared::{CopyJob, Delivered, Order, StreamLink};

/// Gives orders to a stream.
#[derive(Clone)]
pub(super) struct Commander {
    pub(super) cpu: u32,
    link: Arc<StreamLink>,
    orders: Sender<Order>,
}

impl Commander {
    /// For a new stream; also returns what its threads need.
    pub(super) fn new(cpu: u32) -> Result<(Self, Arc<StreamLink>, Receiver<Order>)> {
        let link = Arc::new(StreamLink::new().context("cannot make a stream")?);
        let (orders, receiver) = mpsc::channel();
        let this = Self {
            cpu,
            link: Arc::clone(&link),
            orders,
        };
        Ok((this, link, receiver))
    }

    pub(super) fn order(&self, order: Order) {
        // An error means that the drain has failed, which joining it reports.
        let _ = self.orders.send(order);
        self.link.drain_bell.ring();
    }
}

/// A stream that is about to run.
pub(super) struct Stream {
    pub(super) cpu: u32,
    pub(super) drain: Drain,
    pub(super) reading: Reading,
    pub(super) commander: Commander,
}

/// Who reads a stream.
pub(super) enum Reading {
    /// In discard mode, packet after packet.
    Outlet(Outlet),
    /// In overwrite mode, for snapshots.
    Flight(FlightReader, Receiver<CopyJob>),
}

impl Reading {
    fn run(self) -> io::Result<Delivered> {
        match self {
            Self::Outlet(outlet) => outlet.run(),
            Self::Flight(reader, jobs) => Ok(reader.run(&jobs)),
        }
    }
}

/// Totals of a stream.
#[derive(Debug)]
pub(super) struct FinishedStream {
    pub(super) cpu: u32,
    pub(super) drained: Drained,
    pub(super) delivered: Delivered,
}

impl FinishedStream {
    /// Recorded events: those that the sink has taken, or, in overwrite mode, those that reached
    /// memory.
    pub(super) fn recorded(&self) -> u64 {
        match self.delivered.overtaken {
            Some(_) => self.drained.packets.events,
            None => self.delivered.written.events,
        }
    }

    /// The same of one class.
    pub(super) fn recorded_of(&self, class: u32) -> u64 {
        match self.delivered.overtaken {
            Some(_) => self.drained.closed.of(class),
            None => self.delivered.written.classes.of(class),
        }
    }

    /// Recorded events that were overwritten later.
    pub(super) fn overwritten(&self) -> u64 {
        let overtaken = self.delivered.overtaken.as_ref();
        self.drained.packets.overwritten_events
            + overtaken.map_or(0, |overtaken| overtaken.stats.overwritten_events)
    }

    /// The same of one class.
    pub(super) fn overwritten_of(&self, class: u32) -> u64 {
        let overtaken = self.delivered.overtaken.as_ref();
        self.drained.overwritten.of(class)
            + overtaken.map_or(0, |overtaken| overtaken.classes.of(class))
    }

    /// Events that were submitted and could not be written.
    pub(super) fn unwritten(&self) -> u64 {
        self.delivered.unwritten + self.drained.malformed
    }
}

/// The running threads. Dropped before [`finish`](Self::finish), they are ended.
pub(super) struct Streams {
    running: Vec<Running>,
}

struct Running {
    cpu: u32,
    commander: Commander,
    drain: JoinHandle<Result<Drained>>,
    outlet: JoinHandle<io::Result<Delivered>>,
}

impl Streams {
    pub(super) fn spawn(streams: Vec<Stream>) -> Result<Self> {
        let mut this = Self {
            running: Vec::with_capacity(streams.len()),
        };
        for Stream {
            cpu,
            drain,
            reading,
            commander,
        } in streams
        {
            let named = |name: &str| thread::Builder::new().name(format!("{name}-{cpu}"));
            let outlet = named("output")
                .spawn(move || reading.run())
                .context("cannot start an output thread")?;
            // If this fails, the stream ends with its drain, and the other thread with it.
            let drain = named("drain")
                .spawn(move || drain.run())
                .context("cannot start a drain thread")?;
            this.running.push(Running {
                cpu,
                commander,
                drain,
                outlet,
            });
        }
        Ok(this)
    }

    /// The ends of all streams.
    pub(super) fn commanders(&self) -> Vec<Commander> {
        let commanders = self.running.iter().map(|stream| stream.commander.clone());
        commanders.collect()
    }

    pub(super) fn links(&self) -> Vec<Arc<StreamLink>> {
        self.running
            .iter()
            .map(|stream| Arc::clone(&stream.commander.link))
            .collect()
    }

    /// Makes every drain empty its ring and close its stream. Events that are emitted meanwhile
    /// are left out.
    pub(super) fn finish(mut self) -> Result<Vec<FinishedStream>> {
        self.order_to_finish();
        // All of them, even if one has failed.
        let ended: Vec<_> = self.running.drain(..).map(Running::join).collect();
        ended.into_iter().collect()
    }

    fn order_to_finish(&self) {
        for stream in &self.running {
            stream.commander.order(Order::Finish);
        }
    }
}

impl Running {
    fn join(self) -> Result<FinishedStream> {
        let cpu = self.cpu;
        // Join both before looking at either: the sink is finished after a drain has failed.
        let (drained, delivered) = (self.drain.join(), self.outlet.join());
        let drained = drained.map_err(|_| anyhow!("the drain thread of CPU {cpu} panicked"))??;
        let delivered = delivered
            .map_err(|_| anyhow!("the output thread of CPU {cpu} panicked"))?
            .with_context(|| format!("cannot wait for packets of CPU {cpu}"))?;
        Ok(FinishedStream {
            cpu,
            drained,
            delivered,
        })
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.order_to_finish();
        for stream in self.running.drain(..) {
            // An error was reported, and a panic printed by its hook.
            let _ = stream.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::pin::pin;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context as Task, Waker};

    use super::*;
    use crate::record::pool::{Pool, PoolConfig};
    use crate::record::session::drain::Input;
    use crate::record::sink::{Sink, SinkReport, WriteMethod};
    use crate::record::stream::shared::Failure;
    use crate::record::stream::{HEADER_LEN, StreamIdentity, StreamWriter};
    use crate::record::subbuf::{self, Mode};
    use crate::sys::page_size;

    struct Nowhere {
        finished: Arc<AtomicBool>,
    }

    impl Sink for Nowhere {
        fn write_packet(&mut self, _pieces: &[IoSlice<'_>]) -> io::Result<()> {
            Ok(())
        }

        fn finish(&mut self) -> io::Result<()> {
            self.finished.store(true, Ordering::Relaxed);
            Ok(())
        }

        fn report(&self) -> SinkReport {
            SinkReport {
                way: WriteMethod::Copy,
                reason: None,
            }
        }
    }

    /// A stream whose drain dies at once.
    fn dying(failure: &Failure, finished: &Arc<AtomicBool>) -> Running {
        let pool = PoolConfig {
            run_bytes: page_size(),
            max_runs: 3,
            reuse: true,
        };
        let pool = Arc::new(Pool::new(pool).unwrap());
        let config = subbuf::Config {
            slots: 2,
            mode: Mode::Discard,
            header_len: HEADER_LEN,
        };
        let (writer, reader) = subbuf::create(config, &pool).unwrap();
        let identity = StreamIdentity {
            trace_uuid: [0; 16],
            cpu: 0,
            start_ns: 0,
        };
        let writer = StreamWriter::new(identity, writer, 1);
        let (commander, link, _) = Commander::new(0).unwrap();
        let input = Input::new(writer, &link, failure.clone());
        let finished = Arc::clone(finished);
        let sink = Box::new(Nowhere { finished });
        let outlet = Outlet::new(reader, sink, pool, failure, &link, 1);
        Running {
            cpu: 0,
            commander,
            drain: thread::spawn(move || {
                let _input = input;
                Err(anyhow!("the ring is gone"))
            }),
            outlet: thread::spawn(move || outlet.run()),
        }
    }

    #[test]
    fn the_sink_is_finished_after_a_drain_has_failed() {
        let finished = Arc::default();
        let error = dying(&Failure::default(), &finished).join().unwrap_err();
        assert!(error.to_string().contains("the ring is gone"), "{error}");
        assert!(finished.load(Ordering::Relaxed));
    }

    #[test]
    fn a_drain_that_has_failed_ends_the_recording() {
        let failure = Failure::default();
        dying(&failure, &Arc::default()).join().unwrap_err();
        let happened = pin!(failure.happened()).poll(&mut Task::from_waker(Waker::noop()));
        assert!(happened.is_ready());
    }
}
