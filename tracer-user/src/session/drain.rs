//! The threads that move events from rings into packets: one per ring, nothing shared
//! between them.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use tokio::sync::Notify;
use tracer_common::EventHeader;

use super::{
    plan::{Plan, TaskEvent},
    tasks::TaskLog,
};
use crate::{
    ring::{CpuStates, Ring},
    sink::{Sink, SinkReport},
    stream::{StreamStats, StreamWriter},
};

/// A ring is looked at this often even if no batch has become ready.
const POLL_INTERVAL: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

/// An open packet is closed after this time, so that little is lost with the recorder.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);

/// Drains one ring into one stream.
pub(super) struct Drain {
    cpu: u32,
    ring: Ring,
    output: Output,
    counter: Arc<StreamCounter>,
}

/// Everything behind the ring; apart from it, because events are borrowed from the ring.
struct Output {
    cpu: u32,
    writer: StreamWriter<Box<dyn Sink>>,
    states: Arc<CpuStates>,
    classes: ClassCounts,
    task_events: Arc<[TaskEvent]>,
    tasks: Arc<TaskLog>,
    task_lines: String,
    malformed: u64,
    failed: Option<io::Error>,
    failure: Failure,
    unwritten: u64,
}

/// Events of each class, apart by whether the sink has them: a packet that it fails to take
/// takes its events with it.
struct ClassCounts {
    written: Vec<u64>,
    in_open_packet: Vec<u64>,
    /// Packets that the counts in `written` are of.
    packets: u64,
}

/// What a stream has come to.
#[derive(Debug)]
pub(super) struct DrainedStream {
    pub(super) cpu: u32,
    pub(super) stats: StreamStats,
    pub(super) per_class: Vec<u64>,
    /// Events lost in the ring.
    pub(super) lost: u64,
    /// Events that were submitted and could not be written.
    pub(super) unwritten: u64,
    /// Why writing failed.
    pub(super) error: Option<io::Error>,
    /// Which way packets took.
    pub(super) sink: SinkReport,
}

/// Running numbers of one stream, for the line of progress.
#[derive(Debug, Default)]
pub(super) struct StreamCounter {
    pub(super) events: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) lost: AtomicU64,
}

/// Tells the control side that a stream can no longer be written.
#[derive(Clone, Debug, Default)]
pub(super) struct Failure(Arc<Notify>);

impl Failure {
    pub(super) async fn happened(&self) {
        self.0.notified().await;
    }
}

impl ClassCounts {
    fn new(classes: usize) -> Self {
        Self {
            written: vec![0; classes],
            in_open_packet: vec![0; classes],
            packets: 0,
        }
    }

    fn add(&mut self, class: usize) {
        self.in_open_packet[class] += 1;
    }

    /// Told how many packets the sink has taken by now.
    fn settle(&mut self, packets: u64) {
        if packets != self.packets {
            self.packets = packets;
            for (written, open) in self.written.iter_mut().zip(&mut self.in_open_packet) {
                *written += std::mem::take(open);
            }
        }
    }
}

impl Drain {
    pub(super) fn new(
        cpu: u32,
        ring: Ring,
        writer: StreamWriter<Box<dyn Sink>>,
        states: &Arc<CpuStates>,
        plan: &Plan,
        tasks: &Arc<TaskLog>,
        failure: &Failure,
    ) -> Self {
        Self {
            cpu,
            ring,
            output: Output {
                cpu,
                writer,
                states: Arc::clone(states),
                classes: ClassCounts::new(plan.classes.len()),
                task_events: Arc::clone(&plan.task_events),
                tasks: Arc::clone(tasks),
                task_lines: String::new(),
                malformed: 0,
                failed: None,
                failure: failure.clone(),
                unwritten: 0,
            },
            counter: Arc::default(),
        }
    }

    fn run(mut self, stop: &Stop) -> Result<DrainedStream> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        // Edge-triggered: woken when the programs say that a batch is ready. A level-triggered
        // wait would return for each single event.
        let edge = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&poll, self.ring.as_fd(), epoll::EventData::new_u64(0), edge)?;
        let level = epoll::EventFlags::IN;
        epoll::add(
            &poll,
            stop.event.as_fd(),
            epoll::EventData::new_u64(1),
            level,
        )?;
        let mut flushed = Instant::now();
        loop {
            let stopping = stop.requested.load(Ordering::Acquire);
            while self.drain_batch() > 0 {}
            if flushed.elapsed() >= FLUSH_INTERVAL || stopping {
                self.output.flush();
                flushed = Instant::now();
            }
            self.count();
            if stopping {
                return Ok(self.output.finish());
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

    /// Takes what is in the ring; returns the bytes of ring that were given back.
    fn drain_batch(&mut self) -> u64 {
        let Self { ring, output, .. } = self;
        let Ok(bytes) = ring.consume(|event| {
            output.take(event);
            Ok::<(), std::convert::Infallible>(())
        });
        bytes
    }

    fn count(&self) {
        let stats = self.output.writer.stats();
        // Relaxed: numbers to show.
        self.counter.events.store(stats.events, Ordering::Relaxed);
        self.counter.bytes.store(stats.bytes, Ordering::Relaxed);
        let lost = self.output.states.lost(self.cpu);
        self.counter.lost.store(lost, Ordering::Relaxed);
    }
}

impl Output {
    /// Takes one event from the ring. After a failure to write, events are only counted.
    fn take(&mut self, event: &[u8]) {
        let Some(header) = EventHeader::read(event) else {
            self.malformed += 1;
            return;
        };
        let class = header.class as usize;
        if class >= self.classes.written.len() {
            self.note_task(event, &header);
            return;
        }
        if self.failed.is_some() {
            self.unwritten += 1;
            return;
        }
        let (states, cpu) = (&self.states, self.cpu);
        let size = header.size as usize;
        let event = &event[..size.min(event.len())];
        let too_large = self.writer.stats().oversized;
        if let Err(error) = self.writer.push(event, &header, || states.lost(cpu)) {
            self.unwritten += 1;
            return self.fail(error);
        }
        let written = self.writer.stats();
        self.classes.settle(written.packets);
        if written.oversized == too_large {
            self.classes.add(class);
        }
    }

    fn fail(&mut self, error: io::Error) {
        self.failed = Some(error);
        self.failure.0.notify_one();
    }

    /// An event that the recorder asked for itself: a thread has a new name.
    fn note_task(&mut self, event: &[u8], header: &EventHeader) {
        for task in self
            .task_events
            .iter()
            .filter(|task| task.class == header.class)
        {
            if let Some(line) = task.line(event, header) {
                self.task_lines.push_str(&line);
            }
        }
        if self.task_lines.len() > 4096 {
            self.flush_tasks();
        }
    }

    fn flush_tasks(&mut self) {
        if !self.task_lines.is_empty() {
            self.tasks.append(&self.task_lines);
            self.task_lines.clear();
        }
    }

    fn flush(&mut self) {
        self.flush_tasks();
        if self.failed.is_none() {
            let lost = self.states.lost(self.cpu);
            let flushed = self.writer.flush(lost);
            self.settle(flushed);
        }
    }

    /// After the open packet was closed.
    fn settle(&mut self, outcome: io::Result<()>) {
        match outcome {
            Ok(()) => self.classes.settle(self.writer.stats().packets),
            Err(error) => self.fail(error),
        }
    }

    fn finish(mut self) -> DrainedStream {
        let lost = self.states.lost(self.cpu);
        if self.failed.is_none() {
            let finished = self.writer.finish(lost);
            self.settle(finished);
        }
        let stats = self.writer.stats();
        DrainedStream {
            cpu: self.cpu,
            stats,
            per_class: self.classes.written,
            lost,
            unwritten: self.unwritten + stats.unwritten + self.malformed,
            error: self.failed,
            sink: self.writer.sink_report(),
        }
    }
}

/// Asks all threads to finish.
#[derive(Debug)]
struct Stop {
    requested: AtomicBool,
    event: OwnedFd,
}

/// The running threads. Dropped before [`finish`](Self::finish), they are ended.
pub(super) struct Drains {
    threads: Vec<JoinHandle<Result<DrainedStream>>>,
    counters: Vec<Arc<StreamCounter>>,
    stop: Arc<Stop>,
}

impl Drains {
    pub(super) fn spawn(drains: Vec<Drain>) -> Result<Self> {
        let stop = Arc::new(Stop {
            requested: AtomicBool::new(false),
            event: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        });
        let mut this = Self {
            threads: Vec::with_capacity(drains.len()),
            counters: drains
                .iter()
                .map(|drain| Arc::clone(&drain.counter))
                .collect(),
            stop,
        };
        for drain in drains {
            let stop = Arc::clone(&this.stop);
            let thread = thread::Builder::new()
                .name(format!("drain-{}", drain.cpu))
                .spawn(move || drain.run(&stop))
                .context("cannot start a drain thread")?;
            this.threads.push(thread);
        }
        Ok(this)
    }

    pub(super) fn counters(&self) -> Vec<Arc<StreamCounter>> {
        self.counters.clone()
    }

    /// Has every thread empty its ring and close its stream. Nothing may be attached any
    /// more, or what is emitted meanwhile is left out.
    pub(super) fn finish(mut self) -> Result<Vec<DrainedStream>> {
        self.request_stop();
        self.threads
            .drain(..)
            .map(|thread| {
                thread
                    .join()
                    .map_err(|_| anyhow!("a drain thread panicked"))?
            })
            .collect()
    }

    fn request_stop(&self) {
        // Release: pairs with the acquire load in `Drain::run`; rings are final before it.
        self.stop.requested.store(true, Ordering::Release);
        // The counter cannot overflow by one write.
        let _ = rustix::io::write(&self.stop.event, &1u64.to_ne_bytes());
    }
}

impl Drop for Drains {
    fn drop(&mut self) {
        self.request_stop();
        for thread in self.threads.drain(..) {
            // What went wrong has been reported, or will be by the panic hook.
            let _ = thread.join();
        }
    }
}
