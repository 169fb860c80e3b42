//! Counting tests, and showing the counts.

use std::fmt::{self, Write};
use std::ops::AddAssign;

/// Numbers of tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        match self.skipped {
            0 => Ok(()),
            skipped => write!(f, ", {skipped} skipped"),
        }
    }
}

/// The result of a tier.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) tier: &'static str,
    pub(super) seconds: f64,
    pub(super) tally: Tally,
    /// Why it did not run.
    pub(super) reason: Option<String>,
}

/// The table of tiers and, as its last line, the sum in the form `N passed, N failed`.
pub(super) fn summary(rows: &[Row]) -> String {
    let mut text = String::from("tier   passed  failed  seconds\n");
    let mut line = |tier: &str, tally: Tally, seconds: f64, note: &str| {
        let Tally { passed, failed, .. } = tally;
        let line = format!("{tier:5} {passed:7} {failed:7} {seconds:8.1}   {note}");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
    };
    let mut total = Tally::default();
    let mut total_seconds = 0.0;
    for row in rows {
        let note = row.reason.as_deref().map_or_else(String::new, |reason| {
            let verdict = if row.tally.failed > 0 {
                "not run"
            } else {
                "skipped"
            };
            format!("{verdict}: {reason}")
        });
        line(row.tier, row.tally, row.seconds, &note);
        total += row.tally;
        total_seconds += row.seconds;
    }
    line("all", total, total_seconds, "");
    let _ = writeln!(text, "{total}");
    text
}

/// The counts in a line of Rust's test harness, if it is one that holds them:
/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; …`.
pub(super) fn parse_result(line: &str) -> Option<Tally> {
    let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let count = |name: &str| {
        counts.split("; ").find_map(|part| {
            let number = part.strip_suffix(name)?.strip_suffix(' ')?;
            number.parse::<usize>().ok()
        })
    };
    Some(Tally {
        passed: count("passed")?,
        failed: count("failed")?,
        skipped: count("ignored")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; \
                        4 filtered out; finished in 0.00s";

    #[test]
    fn the_harness_counts_are_read() {
        let tally = Tally {
            passed: 3,
            failed: 2,
            skipped: 1,
        };
        assert_eq!(parse_result(LINE), Some(tally));
    }

    #[test]
    fn other_lines_have_no_counts() {
        assert_eq!(parse_result("test tally::works ... ok"), None);
    }

    #[test]
    fn the_summary_ends_with_the_sum() {
        let row = |passed, failed| Row {
            tier: "unit",
            seconds: 1.0,
            tally: Tally {
                passed,
                failed,
                skipped: 0,
            },
            reason: None,
        };
        let text = summary(&[row(3, 0), row(4, 1)]);
        assert_eq!(text.lines().last(), Some("7 passed, 1 failed"));
    }

    #[test]
    fn each_tier_has_its_numbers_and_its_time() {
        let row = |tier, failed, seconds| Row {
            tier,
            seconds,
            tally: Tally {
                passed: 120,
                failed,
                skipped: 0,
            },
            reason: None,
        };
        let text = summary(&[row("unit", 0, 61.26), row("host", 2, 300.0)]);
        assert_eq!(
            text,
            "tier   passed  failed  seconds\n\
             unit      120       0     61.3\n\
             host      120       2    300.0\n\
             all       240       2    361.3\n\
             240 passed, 2 failed\n"
        );
    }

    #[test]
    fn a_tier_that_did_not_run_is_shown_with_its_reason() {
        let text = summary(&[Row {
            tier: "vm",
            seconds: 0.0,
            tally: Tally {
                skipped: 1,
                ..Tally::default()
            },
            reason: Some("no qemu".to_owned()),
        }]);
        assert!(text.contains("vm          0       0      0.0   skipped: no qemu\n"));
    }
}
