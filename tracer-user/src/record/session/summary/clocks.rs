//! A difference between the trace's clock and the wall clock, which makes times of day wrong.

use std::fmt::{Result, Write};

/// Differences up to this are not reported: reading two clocks takes time.
const TOLERANCE_NS: u64 = 1_000_000;

/// Reports by how much the wall clock advanced more than the trace's clock, which stops while the
/// machine is suspended and is never set.
pub(super) fn write(out: &mut String, wall_gain_ns: i64) -> Result {
    let difference = wall_gain_ns.unsigned_abs();
    if difference <= TOLERANCE_NS {
        return Ok(());
    }
    let seconds = difference as f64 / 1e9;
    if wall_gain_ns > 0 {
        writeln!(
            out,
            "the machine was suspended or its clock set forward by {seconds:.3} s: later times of \
             day in the trace are too early by that"
        )
    } else {
        writeln!(
            out,
            "the clock of the machine was set back by {seconds:.3} s: later times of day in the \
             trace are too late by that"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(wall_gain_ns: i64) -> String {
        let mut out = String::new();
        write(&mut out, wall_gain_ns).unwrap();
        out
    }

    #[test]
    fn a_suspend_is_reported() {
        let expected = "the machine was suspended or its clock set forward by 3.200 s: later times \
                        of day in the trace are too early by that\n";
        assert_eq!(text(3_200_000_000), expected);
    }

    #[test]
    fn a_clock_that_is_set_back_is_reported() {
        let expected = "the clock of the machine was set back by 1.500 s: later times of day in \
                        the trace are too late by that\n";
        assert_eq!(text(-1_500_000_000), expected);
    }

    #[test]
    fn clocks_that_agree_are_not_mentioned() {
        for difference in [0, 999_999, -1_000_000] {
            assert_eq!(text(difference), "");
        }
    }
}
