//! One pass over a trace for any number of analyses, on all cores.
//!
//! The trace is cut into pieces of time. Each thread takes the next piece and shows its events to
//! a new [`Analysis`]; the results are merged in the order of time. Several analyses share a pass
//! as a tuple.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use thiserror::Error;

use crate::trace::Class;
use crate::trace::ctf::{Event, Loss, Piece, ReadError, Tail};
use crate::trace::folder::{PacketSpan, Packets, Record, Trace};
use crate::view::losses::Losses;
use crate::view::select::{Filter, SelectError, Selection};

/// Pieces for each thread, so that all threads finish at about the same time.
const PIECES_PER_THREAD: u64 = 8;

/// How a pass is divided.
#[derive(Clone, Copy, Debug)]
pub struct Division {
    /// Number of threads, at least one.
    pub threads: usize,
    /// Bytes of events in a piece, at least: each piece decodes anew from the start of a packet.
    pub min_piece_len: u64,
}

impl Default for Division {
    /// One thread for each CPU.
    fn default() -> Self {
        Self {
            threads: thread::available_parallelism().map_or(1, usize::from),
            min_piece_len: 2 << 20,
        }
    }
}

/// Sees events and sums them up.
pub trait Analysis: Send + Sized {
    /// Whether it needs the events of all streams in the order of time. Otherwise, it sees
    /// those of one stream after those of another, which is faster.
    const ORDERED: bool;

    /// Whether it needs the events of a class.
    fn needs(&self, _class: &Class) -> bool {
        true
    }

    /// Sees a selected event.
    fn event(&mut self, event: &Event<'_>);

    /// Sees a loss on a selected CPU.
    fn loss(&mut self, _loss: &Loss) {}

    /// Adds what an analysis of the next piece has seen.
    fn merge(&mut self, later: Self);
}

impl<A: Analysis, B: Analysis> Analysis for (A, B) {
    const ORDERED: bool = A::ORDERED || B::ORDERED;

    fn needs(&self, class: &Class) -> bool {
        self.0.needs(class) || self.1.needs(class)
    }

    fn event(&mut self, event: &Event<'_>) {
        self.0.event(event);
        self.1.event(event);
    }

    fn loss(&mut self, loss: &Loss) {
        self.0.loss(loss);
        self.1.loss(loss);
    }

    fn merge(&mut self, later: Self) {
        self.0.merge(later.0);
        self.1.merge(later.1);
    }
}

/// Why a pass failed.
#[derive(Debug, Error)]
pub enum PassError {
    /// The selection does not fit this trace.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// The trace cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Result of a pass.
#[derive(Debug)]
pub struct Passed<A> {
    /// The analysis of all selected events.
    pub analysis: A,
    /// The packets that overlap the selected time, on the selected CPUs.
    pub packets: Vec<PacketSpan>,
    /// Incomplete packets at the ends of streams.
    pub tails: Vec<Tail>,
}

/// Shows the selected events of `trace` to analyses that `new` makes for its losses.
///
/// # Errors
/// If the selection does not fit the trace, or a stream is corrupt.
pub fn pass<A: Analysis>(
    trace: &Trace,
    selection: &Selection,
    division: Division,
    new: impl Fn(&Arc<Losses>) -> A + Sync,
) -> Result<Passed<A>, PassError> {
    let threads = division.threads;
    let Packets { mut spans, tails } = trace.packets()?;
    let start_ns = spans.iter().map(|span| span.begin_ns).min().unwrap_or(0);
    let filter = Filter::new(selection, trace.classes(), start_ns)?;
    let losses = Arc::new(Losses::new(&spans));
    let is_ascending = spans.is_sorted_by_key(|span| (span.stream, span.begin_ns));
    spans.retain(|span| {
        span.begin_ns <= filter.to_ns && span.end_ns >= filter.from_ns && filter.has_cpu(span.cpu)
    });
    let pieces = if threads > 1 && is_ascending {
        cut(&spans, filter.to_ns, division)
    } else {
        vec![Piece {
            to_ns: filter.to_ns,
            ..Piece::ALL
        }]
    };

    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let work = || {
        // each piece is taken once, which needs no order with other memory
        while let index = next.fetch_add(1, Ordering::Relaxed)
            && let Some(&piece) = pieces.get(index)
        {
            let result = see_piece(trace, &filter, piece, new(&losses));
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.push((index, result));
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.min(pieces.len()) {
            scope.spawn(work);
        }
        work();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|&(index, _)| index);
    let mut whole = new(&losses);
    for (_, result) in done {
        whole.merge(result?);
    }
    Ok(Passed {
        analysis: whole,
        packets: spans,
        tails,
    })
}

/// Cuts the time up to `to_ns` at packets, into pieces of about the same size.
fn cut(spans: &[PacketSpan], to_ns: u64, division: Division) -> Vec<Piece> {
    let mut packets: Vec<(u64, u64)> = spans
        .iter()
        .map(|span| (span.begin_ns, span.content_len))
        .collect();
    packets.sort_unstable();
    let total: u64 = packets.iter().map(|(_, len)| len).sum();
    let count = division.threads as u64 * PIECES_PER_THREAD;
    let len = division.min_piece_len.max(total / count);
    let mut pieces = Vec::new();
    let (mut from_ns, mut filled) = (0, 0);
    for (begin_ns, content_len) in packets {
        if filled >= len && begin_ns > from_ns {
            pieces.push(Piece {
                from_ns,
                to_ns: begin_ns - 1,
            });
            (from_ns, filled) = (begin_ns, 0);
        }
        filled += content_len;
    }
    pieces.push(Piece { from_ns, to_ns });
    pieces
}

fn see_piece<A: Analysis>(
    trace: &Trace,
    filter: &Filter,
    piece: Piece,
    mut analysis: A,
) -> Result<A, ReadError> {
    let wanted: Vec<bool> = trace
        .classes()
        .iter()
        .map(|class| filter.has_class(class) && analysis.needs(class))
        .collect();
    if A::ORDERED {
        let all = 0..trace.stream_count();
        see_streams(trace, all, filter, piece, &wanted, &mut analysis)?;
    } else {
        for stream in 0..trace.stream_count() {
            let one = stream..stream + 1;
            see_streams(trace, one, filter, piece, &wanted, &mut analysis)?;
        }
    }
    Ok(analysis)
}

fn see_streams<A: Analysis>(
    trace: &Trace,
    streams: Range<usize>,
    filter: &Filter,
    piece: Piece,
    wanted: &[bool],
    analysis: &mut A,
) -> Result<(), ReadError> {
    let mut events = trace.events_of(streams, filter.from_ns, piece)?;
    while let Some(record) = events.next()? {
        match record {
            Record::Event(event) => {
                if wanted[event.class.index]
                    && event.timestamp_ns <= filter.to_ns
                    && filter.has(&event)
                {
                    analysis.event(&event);
                }
            }
            Record::Loss(loss) => {
                if filter.has_cpu(loss.cpu) {
                    analysis.loss(&loss);
                }
            }
        }
    }
    Ok(())
}
