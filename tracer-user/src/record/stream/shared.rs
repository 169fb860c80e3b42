//! What the threads of a stream share: the drain that fills its sub-buffers, the thread that
//! reads them, and the control side.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::{Notify, oneshot};

use crate::record::pool::PoolStats;
use crate::record::sink::{Sink, SinkReport};
use crate::record::subbuf::{ClassTotals, ReaderStats};
use crate::sys::bell::Bell;

/// The bells and counters of one stream.
#[derive(Debug)]
pub(crate) struct StreamLink {
    /// Rings when there are orders, or when a sub-buffer that was waited for is free.
    pub(crate) drain_bell: Bell,
    /// Rings when a packet that was waited for is there, or when none will come.
    pub(crate) outlet_bell: Bell,
    pub(crate) counter: StreamCounter,
    outlet_gone: AtomicBool,
}

/// Running counts of one stream, for the progress line.
#[derive(Debug, Default)]
pub(crate) struct StreamCounter {
    pub(crate) events: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) overwritten: AtomicU64,
}

impl StreamLink {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            drain_bell: Bell::new()?,
            outlet_bell: Bell::new()?,
            counter: StreamCounter::default(),
            outlet_gone: AtomicBool::new(false),
        })
    }

    /// No packets are read any more: waiting for a free sub-buffer would never end.
    pub(crate) fn note_outlet_gone(&self) {
        // Relaxed: no data is published by it, and the bell rings after it.
        self.outlet_gone.store(true, Ordering::Relaxed);
        self.drain_bell.ring();
    }

    pub(crate) fn is_outlet_gone(&self) -> bool {
        self.outlet_gone.load(Ordering::Relaxed)
    }
}

/// An order to a drain.
pub(crate) enum Order {
    /// Take what is in the ring, close the packet, then pass this job to the reader.
    Snapshot(CopyJob),
    /// Take what is in the ring, close the stream, and end.
    Finish,
}

/// Asks the reader of a stream to copy the packets in memory to a sink.
pub(crate) struct CopyJob {
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) reply: oneshot::Sender<io::Result<StreamCopy>>,
}

/// A stream's part of a snapshot.
#[derive(Debug)]
pub(crate) struct StreamCopy {
    pub(crate) written: Written,
    /// When the first packet begins; none: there are no packets.
    pub(crate) begin_ns: Option<u64>,
    /// When the last packet ends.
    pub(crate) end_ns: u64,
    /// Packets after the first that were overwritten while others were being written.
    pub(crate) overtaken: u64,
}

/// Notifies the control side that a stream can no longer be written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failure(Arc<Notify>);

impl Failure {
    pub(crate) fn note(&self) {
        self.0.notify_one();
    }

    pub(crate) async fn happened(&self) {
        self.0.notified().await;
    }
}

/// Totals of what a sink has taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    pub(crate) packets: u64,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    pub(crate) classes: ClassTotals,
}

/// Totals of the reading side of a stream.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    pub(crate) written: Written,
    /// Events of packets that the sink did not take.
    pub(crate) unwritten: u64,
    /// Why writing failed.
    pub(crate) error: Option<io::Error>,
    /// How packets were written; none in overwrite mode, where they stay in memory.
    pub(crate) sink: Option<SinkReport>,
    pub(crate) overtaken: Option<Overtaken>,
    pub(crate) pool: PoolStats,
    /// CPU time of the thread in nanoseconds.
    pub(crate) cpu_ns: u64,
}

/// Packets that were overwritten while they were being read; the writer's counts do not
/// include them.
#[derive(Clone, Debug)]
pub(crate) struct Overtaken {
    pub(crate) stats: ReaderStats,
    pub(crate) classes: ClassTotals,
}
