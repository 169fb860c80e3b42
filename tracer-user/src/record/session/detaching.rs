//! The end of a recording after its summary: programs are detached.

use std::time::{Duration, Instant};

use crate::record::attach::{Attached, StillAttached};
use crate::record::control::protocol::{Detaching, Status};
use crate::record::detach;
use crate::record::session::options::Options;
use crate::record::session::progress::{ProbeProgress, grouped};
use crate::sys::stderr::message;

/// How long the user waits for programs to be detached.
const TIME: Duration = Duration::from_millis(500);

/// Detaches all programs of a session whose trace is complete. What takes too long goes on in
/// another process.
pub(super) fn detach(attached: Attached, session: Status, options: &Options) {
    let total = attached.program_count();
    let before = Instant::now();
    let rest = attached.detach(TIME);
    let left = rest.links.len();
    let session = Status {
        detaching: Some(Detaching {
            left: left as u64,
            total: total as u64,
        }),
        ..session
    };
    let detacher = if left == 0 {
        None
    } else {
        detach::hand_over(&rest, session)
            .inspect_err(|error| log::debug!("detaching here: {error}"))
            .ok()
    };
    if detacher.is_some() {
        // The detacher has them.
        drop(rest);
    } else {
        detach_here(rest, total);
    }
    if options.quiet {
        return;
    }
    let seconds = before.elapsed().as_secs_f64();
    let grouped = |number: usize| grouped(number as u64);
    match detacher {
        Some(pid) if options.stats => message!(
            "detached {} of {} programs in {seconds:.2} s; process {pid} detaches the rest in the background",
            grouped(total - left),
            grouped(total)
        ),
        Some(pid) => message!(
            "process {pid} detaches the remaining {} programs in the background",
            grouped(left)
        ),
        None if options.stats => {
            message!("detached {} programs in {seconds:.2} s", grouped(total));
        }
        None => {}
    }
}

/// Detaches the rest while the user waits.
fn detach_here(rest: StillAttached, total: usize) {
    let progress = ProbeProgress::new("the trace is complete; detaching", total);
    let done = total - rest.links.len();
    for (i, link) in rest.links.into_iter().enumerate() {
        drop(link);
        progress.show(done + i + 1);
    }
}
