//! A pass over a trace sees the same events and losses, however it is divided.

mod common;

use tracer::trace::ctf::{Event, Loss};
use tracer::trace::folder::Trace;
use tracer::view::pass::{Analysis, Division, pass};
use tracer::view::select::Selection;

use self::common::{GETPPID, START_NS, StreamBytes, TraceDir, event};

/// Keeps time and CPU of each event, and each loss.
#[derive(Default)]
struct Seen<const ORDERED: bool> {
    events: Vec<(u64, u32)>,
    losses: Vec<Loss>,
}

impl<const ORDERED: bool> Analysis for Seen<ORDERED> {
    const ORDERED: bool = ORDERED;

    fn event(&mut self, event: &Event<'_>) {
        self.events.push((event.timestamp_ns, event.cpu));
    }

    fn loss(&mut self, loss: &Loss) {
        self.losses.push(*loss);
    }

    fn merge(&mut self, later: Self) {
        self.events.extend(later.events);
        self.losses.extend(later.losses);
    }
}

/// Three streams of packets that overlap. In each packet, events `swap` and `swap + 1` are
/// swapped.
fn trace(swap: Option<usize>) -> TraceDir {
    let streams: Vec<StreamBytes> = (0..3u64)
        .map(|cpu| {
            let mut stream = StreamBytes::new(cpu as u32);
            for packet in 0..20u64 {
                let time = |index: u64| START_NS + packet * 1_000 + index * 90 + cpu * 17;
                let mut events: Vec<_> = (0..10)
                    .map(|index| event(time(index), GETPPID, 41, &[]))
                    .collect();
                if let Some(swap) = swap {
                    events.swap(swap, swap + 1);
                }
                stream = stream.packet(&events, u64::from(packet == 7 + cpu));
                if packet == 12 {
                    stream = stream.skip(2);
                }
            }
            stream
        })
        .collect();
    TraceDir::new(&streams)
}

fn seen<const ORDERED: bool>(
    dir: &TraceDir,
    selection: &Selection,
    division: Division,
) -> Seen<ORDERED> {
    let trace = Trace::open(dir.path()).unwrap();
    pass(&trace, selection, division, |_| Seen::default())
        .unwrap()
        .analysis
}

const WHOLE: Division = Division {
    threads: 1,
    min_piece_len: u64::MAX,
};

const PIECES: [Division; 3] = [
    Division {
        threads: 2,
        min_piece_len: 1,
    },
    Division {
        threads: 5,
        min_piece_len: 1,
    },
    Division {
        threads: 3,
        min_piece_len: 3_000,
    },
];

#[test]
fn pieces_join_in_the_order_of_time() {
    let dir = trace(None);
    let selection = Selection::default();
    let whole: Seen<true> = seen(&dir, &selection, WHOLE);
    assert_eq!(whole.events.len(), 600);
    assert!(whole.events.is_sorted());
    let lost: u64 = whole.losses.iter().map(|loss| loss.events).sum();
    let missing: u64 = whole.losses.iter().map(|loss| loss.packets).sum();
    assert_eq!((lost, missing), (3, 6));
    for division in PIECES {
        let pieces: Seen<true> = seen(&dir, &selection, division);
        assert_eq!(pieces.events, whole.events, "{division:?}");
        assert_eq!(pieces.losses, whole.losses, "{division:?}");
    }
}

#[test]
fn no_event_is_seen_twice_or_never_if_time_goes_back() {
    for swap in [0, 4, 8] {
        let dir = trace(Some(swap));
        let selection = Selection::default();
        let mut whole: Seen<false> = seen(&dir, &selection, WHOLE);
        whole.events.sort_unstable();
        for division in PIECES {
            let mut pieces: Seen<false> = seen(&dir, &selection, division);
            pieces.events.sort_unstable();
            assert_eq!(pieces.events, whole.events, "{swap} {division:?}");
        }
    }
}

#[test]
fn pieces_keep_to_the_selected_time_and_cpus() {
    let dir = trace(None);
    let selection = Selection {
        from: Some("+0.000003".parse().unwrap()),
        to: Some("+0.000015".parse().unwrap()),
        cpus: Some("0,2".parse().unwrap()),
        ..Selection::default()
    };
    let whole: Seen<true> = seen(&dir, &selection, WHOLE);
    assert!(whole.events.len() > 200 && whole.events.iter().all(|&(_, cpu)| cpu != 1));
    for division in PIECES {
        let pieces: Seen<true> = seen(&dir, &selection, division);
        assert_eq!(pieces.events, whole.events, "{division:?}");
        assert_eq!(pieces.losses, whole.losses, "{division:?}");
    }
}
