//! The thread that moves events from a ring into the sub-buffers of its stream.

use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::{Timespec, epoll};
use tracer_common::EventHeader;

use crate::record::clock::monotonic_ns;
use crate::record::ring::{CpuStates, Ring};
use crate::record::session::plan::Plan;
use crate::record::stream::shared::{CopyJob, Failure, Order, StreamLink};
use crate::record::stream::{StreamStats, StreamWriter};
use crate::record::subbuf::{ClassTotals, WriterStats};
use crate::sys::thread_cpu_ns;
use crate::trace::lttng::state_dump;

/// A ring is looked at this often even if no batch has become ready.
const POLL_INTERVAL: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

/// What connects a drain to the control side and to the reader of its stream.
pub(super) struct Ends {
    pub(super) link: Arc<StreamLink>,
    pub(super) orders: Receiver<Order>,
    /// To the reader, in overwrite mode.
    pub(super) jobs: Option<Sender<CopyJob>>,
    pub(super) failure: Failure,
}

/// The writing end of a stream. Dropped, it wakes the reader and the control side.
pub(super) struct Input {
    // Before the other field: the bell rings when the stream has ended.
    pub(super) writer: StreamWriter,
    _end: InputEnd,
}

struct InputEnd {
    link: Arc<StreamLink>,
    failure: Failure,
}

impl Input {
    pub(super) fn new(writer: StreamWriter, link: &Arc<StreamLink>, failure: Failure) -> Self {
        Self {
            writer,
            _end: InputEnd {
                link: Arc::clone(link),
                failure,
            },
        }
    }
}

impl Drop for InputEnd {
    fn drop(&mut self) {
        self.link.outlet_bell.ring();
        // After an order to finish, nothing waits for it.
        self.failure.note();
    }
}

/// Drains one ring into one stream.
pub(super) struct Drain {
    cpu: u32,
    ring: Ring,
    intake: Intake,
    link: Arc<StreamLink>,
    orders: Receiver<Order>,
    jobs: Option<Sender<CopyJob>>,
    flush_interval: Duration,
    /// What the stream begins with, before anything from the ring.
    prologue: state_dump::Events,
}

/// Everything after the ring; a separate struct, because events are borrowed from the ring.
struct Intake {
    cpu: u32,
    input: Input,
    link: Arc<StreamLink>,
    states: Arc<CpuStates>,
    /// Classes below this are recorded; others are for observers only.
    classes: u32,
    /// Where the rest of the prologue begins.
    prologue_position: usize,
    /// Events of the prologue that are written.
    prologue_events: u64,
    malformed: u64,
    /// How often no sub-buffer was free.
    waits: u64,
}

/// Totals of a drain.
#[derive(Debug)]
pub(super) struct Drained {
    pub(super) stats: StreamStats,
    pub(super) packets: WriterStats,
    /// Events of all packets by class.
    pub(super) closed: ClassTotals,
    pub(super) overwritten: ClassTotals,
    /// Events lost in the ring.
    pub(super) lost: u64,
    /// Records of the ring that are not events.
    pub(super) malformed: u64,
    /// How often the ring had to wait for a free sub-buffer.
    pub(super) waits: u64,
    /// CPU time of the thread in nanoseconds.
    pub(super) cpu_ns: u64,
}

/// What is left in a ring.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    Events,
    /// Events for which no sub-buffer is free.
    Blocked,
}

impl Drain {
    pub(super) fn new(
        cpu: u32,
        ring: Ring,
        writer: StreamWriter,
        states: &Arc<CpuStates>,
        plan: &Plan,
        ends: Ends,
    ) -> Self {
        let Ends {
            link,
            orders,
            jobs,
            failure,
        } = ends;
        Self {
            cpu,
            ring,
            intake: Intake {
                cpu,
                input: Input::new(writer, &link, failure),
                link: Arc::clone(&link),
                states: Arc::clone(states),
                classes: plan.classes.len() as u32,
                prologue_position: 0,
                prologue_events: 0,
                malformed: 0,
                waits: 0,
            },
            link,
            orders,
            jobs,
            flush_interval: plan.flush_interval,
            prologue: state_dump::Events::default(),
        }
    }

    /// Sets the time from which the stream covers events.
    pub(super) fn begin_at(&mut self, start_ns: u64) {
        self.intake.input.writer.begin_at(start_ns);
    }

    /// Lets the stream begin with these events, before all of the ring.
    pub(super) fn begin_with(&mut self, events: state_dump::Events) {
        self.prologue = events;
    }

    pub(super) fn run(mut self) -> Result<Drained> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        // Edge-triggered: woken when the programs submit a batch. A level-triggered wait would
        // return for each single event.
        let edge = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&poll, self.ring.as_fd(), epoll::EventData::new_u64(0), edge)?;
        let level = epoll::EventFlags::IN;
        let bell = self.link.drain_bell.as_fd();
        epoll::add(&poll, bell, epoll::EventData::new_u64(1), level)?;
        let mut flushed = Instant::now();
        let mut finishing = false;
        let mut snapshots = Vec::new();
        loop {
            self.link.drain_bell.still();
            while let Ok(order) = self.orders.try_recv() {
                match order {
                    Order::Finish => finishing = true,
                    Order::Snapshot(job) => snapshots.push(job),
                }
            }
            let mut left = self.lap();
            // Before orders are passed on: a snapshot has what observers need for it.
            self.intake.input.writer.observe();
            let is_due = self.jobs.is_none() && flushed.elapsed() >= self.flush_interval;
            if left != Left::Blocked && (finishing || is_due || !snapshots.is_empty()) {
                // What is in memory is not to be overwritten by a packet without events.
                let ends = finishing && left == Left::Nothing && self.jobs.is_none();
                let closed = if ends {
                    self.intake.finish()
                } else {
                    self.intake.flush()
                };
                if !closed {
                    left = Left::Blocked;
                }
                flushed = Instant::now();
            }
            if left != Left::Blocked {
                self.pass_on(&mut snapshots);
            }
            self.count();
            if finishing && (left == Left::Nothing || self.link.is_outlet_gone()) {
                return Ok(self.drained());
            }
            match left {
                Left::Nothing => {}
                Left::Events => continue,
                Left::Blocked => {
                    self.intake.waits += 1;
                    self.link.drain_bell.expect();
                    if self.intake.input.writer.has_room() {
                        continue;
                    }
                }
            }
            let mut events = Vec::with_capacity(2);
            match epoll::wait(
                &poll,
                rustix::buffer::spare_capacity(&mut events),
                Some(&POLL_INTERVAL),
            ) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).context("cannot wait for events"),
            }
        }
    }

    /// Passes jobs to the reader of the stream. In discard mode there are none.
    fn pass_on(&self, snapshots: &mut Vec<CopyJob>) {
        for job in snapshots.drain(..) {
            if let Some(jobs) = &self.jobs {
                // An error means that the reader has failed, which joining it reports.
                let _ = jobs.send(job);
            }
        }
    }

    /// Takes what is in the ring, and what comes meanwhile, until it is empty or has been
    /// drained once around: orders must not wait for a pause.
    fn lap(&mut self) -> Left {
        let Self {
            ring,
            intake,
            prologue,
            ..
        } = self;
        if intake.take_prologue(prologue).is_break() {
            return Left::Blocked;
        }
        let mut taken = 0;
        while taken < ring.capacity() {
            match ring.consume(|event| intake.take(event)) {
                ControlFlow::Continue(0) => return Left::Nothing,
                ControlFlow::Continue(bytes) => taken += bytes,
                ControlFlow::Break(_) => return Left::Blocked,
            }
        }
        Left::Events
    }

    fn count(&self) {
        // Relaxed, all: numbers to show.
        let counter = &self.link.counter;
        let writer = &self.intake.input.writer;
        let events = writer.stats().events - self.intake.prologue_events;
        counter.events.store(events, Ordering::Relaxed);
        let lost = self.intake.states.lost(self.cpu);
        counter.lost.store(lost, Ordering::Relaxed);
        let overwritten = writer.packets().overwritten_events;
        counter.overwritten.store(overwritten, Ordering::Relaxed);
    }

    fn drained(&self) -> Drained {
        let intake = &self.intake;
        let writer = &intake.input.writer;
        Drained {
            stats: writer.stats(),
            packets: writer.packets(),
            closed: writer.closed().clone(),
            overwritten: writer.overwritten().clone(),
            lost: intake.states.lost(intake.cpu),
            malformed: intake.malformed,
            waits: intake.waits,
            cpu_ns: thread_cpu_ns(),
        }
    }
}

impl Intake {
    /// Takes one event from the ring; breaks if no sub-buffer is free for it.
    fn take(&mut self, event: &[u8]) -> ControlFlow<()> {
        let Some(header) = EventHeader::read(event) else {
            self.malformed += 1;
            return ControlFlow::Continue(());
        };
        if header.class >= self.classes {
            let observers = self.input.writer.observers();
            observers.see_unrecorded(event, &header);
            return ControlFlow::Continue(());
        }
        let size = header.size as usize;
        self.write(&event[..size.min(event.len())], &header)
    }

    /// Takes what the stream begins with, or the rest of it; breaks as [`take`](Self::take).
    fn take_prologue(&mut self, events: &state_dump::Events) -> ControlFlow<()> {
        while let Some((event, header)) = events.at(self.prologue_position) {
            self.write(event, &header)?;
            self.prologue_position = state_dump::next(self.prologue_position, header.size);
            self.prologue_events += 1;
        }
        ControlFlow::Continue(())
    }

    #[inline]
    fn write(&mut self, event: &[u8], header: &EventHeader) -> ControlFlow<()> {
        let (states, cpu) = (&self.states, self.cpu);
        let writer = &mut self.input.writer;
        let packets = writer.closed_packets();
        let pushed = writer.push(event, header, || states.lost(cpu));
        if writer.closed_packets() != packets {
            self.link.outlet_bell.ring_if_expected();
        }
        match pushed {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    /// Closes the stream; false if no sub-buffer is free for its last packet.
    fn finish(&mut self) -> bool {
        self.input.writer.observers().flush();
        let lost = self.states.lost(self.cpu);
        let finished = self.input.writer.finish(monotonic_ns(), lost);
        self.link.outlet_bell.ring_if_expected();
        finished.is_ok()
    }

    /// Closes the open packet; false if no sub-buffer is free to report a loss.
    fn flush(&mut self) -> bool {
        self.input.writer.observers().flush();
        let flushed = self.input.writer.flush(self.states.lost(self.cpu));
        self.link.outlet_bell.ring_if_expected();
        flushed.is_ok()
    }
}
