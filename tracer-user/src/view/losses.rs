//! When events are missing from a trace.

use std::collections::BTreeMap;

use crate::trace::folder::PacketSpan;

/// A time in which events may be missing, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gap {
    /// The earliest start of this gap and all later ones.
    from_ns: u64,
    until_ns: u64,
}

/// Losses of a trace by CPU.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    /// By their ends.
    gaps: BTreeMap<u32, Vec<Gap>>,
}

impl Losses {
    /// Finds them in packets, which are stream after stream. A recorder counts dropped events by
    /// packet: they may have happened at any time from the end of the packet before to the end of
    /// this one. Packets are missing between the two.
    #[must_use]
    pub fn new(spans: &[PacketSpan]) -> Self {
        let mut losses = Self::default();
        let mut before: Option<&PacketSpan> = None;
        for span in spans {
            let before = before.replace(span).filter(|b| b.stream == span.stream);
            if span.lost_events == 0 && span.lost_packets == 0 {
                continue;
            }
            let before_ns = before.map_or(0, |before| before.end_ns);
            losses.gaps.entry(span.cpu).or_default().push(Gap {
                from_ns: before_ns.min(span.begin_ns),
                until_ns: if span.lost_events > 0 {
                    span.end_ns
                } else {
                    span.begin_ns
                },
            });
        }
        for gaps in losses.gaps.values_mut() {
            gaps.sort_by_key(|gap| gap.until_ns);
            let mut earliest = u64::MAX;
            for gap in gaps.iter_mut().rev() {
                earliest = earliest.min(gap.from_ns);
                gap.from_ns = earliest;
            }
        }
        losses
    }

    /// Whether events of this CPU may be missing between these times.
    #[inline]
    #[must_use]
    pub fn are_between(&self, cpu: u32, from_ns: u64, to_ns: u64) -> bool {
        !self.gaps.is_empty() && self.find(cpu, from_ns, to_ns)
    }

    fn find(&self, cpu: u32, from_ns: u64, to_ns: u64) -> bool {
        self.gaps.get(&cpu).is_some_and(|gaps| {
            let next = gaps.partition_point(|gap| gap.until_ns < from_ns);
            gaps.get(next).is_some_and(|gap| gap.from_ns <= to_ns)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(stream: usize, begin_ns: u64, lost_events: u64, lost_packets: u64) -> PacketSpan {
        PacketSpan {
            stream,
            cpu: stream as u32,
            begin_ns,
            end_ns: begin_ns + 5,
            packet_len: 4096,
            content_len: 4096,
            lost_events,
            lost_packets,
        }
    }

    #[test]
    fn dropped_events_may_be_anywhere_in_their_packet() {
        let losses = Losses::new(&[span(0, 10, 0, 0), span(0, 20, 3, 0), span(1, 20, 0, 0)]);
        let found = |cpu, from, to| losses.are_between(cpu, from, to);
        assert!(!found(0, 10, 14));
        assert!(found(0, 10, 15) && found(0, 22, 23) && found(0, 25, 90));
        assert!(!found(0, 26, 90));
        assert!(!found(1, 0, 90));
    }

    #[test]
    fn packets_are_missing_before_the_next_one() {
        let losses = Losses::new(&[span(0, 10, 0, 0), span(0, 20, 0, 1), span(0, 30, 0, 0)]);
        assert!(losses.are_between(0, 14, 16) && losses.are_between(0, 20, 20));
        assert!(!losses.are_between(0, 21, 90));
    }
}
