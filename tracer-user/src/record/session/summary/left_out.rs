//! Events that --every and --limit left out: not a loss, and reported apart from losses.

use std::fmt::Write;

use crate::record::attach::{KernelCounts, LeftOut};
use crate::record::session::summary::{LISTED_CLASSES, grouped};

/// Writes how many events were left out, in total and of each class.
pub(super) fn write(out: &mut String, counts: &KernelCounts, names: &[String]) -> std::fmt::Result {
    let mut classes: Vec<(u32, LeftOut)> = counts
        .left_out
        .iter()
        .map(|(class, cpus)| (*class, sum(cpus.iter().copied())))
        .filter(|(_, left_out)| events(left_out) > 0)
        .collect();
    if classes.is_empty() {
        return Ok(());
    }
    let all = sum(classes.iter().map(|(_, left_out)| *left_out));
    writeln!(out, "left out {}", by_what(&all))?;
    classes.sort_by_key(|(_, left_out)| std::cmp::Reverse(events(left_out)));
    for (class, left_out) in classes.iter().take(LISTED_CLASSES) {
        let name = names.get(*class as usize).map_or("?", String::as_str);
        let events = grouped(events(left_out));
        writeln!(out, "{events:>14}  {name} ({})", by_what(left_out))?;
    }
    let more = classes.get(LISTED_CLASSES..).unwrap_or_default();
    if !more.is_empty() {
        let left_out = sum(more.iter().map(|(_, left_out)| *left_out));
        let events = grouped(events(&left_out));
        writeln!(out, "{events:>14}  in {} more classes", more.len())?;
    }
    Ok(())
}

/// `1,000 by --every, 20 by --limit`.
fn by_what(left_out: &LeftOut) -> String {
    let parts = [
        (left_out.by_every, "--every"),
        (left_out.by_limit, "--limit"),
    ];
    let parts = parts.into_iter().filter(|(events, _)| *events > 0);
    let texts = parts.map(|(events, option)| format!("{} by {option}", grouped(events)));
    texts.collect::<Vec<_>>().join(", ")
}

fn events(left_out: &LeftOut) -> u64 {
    left_out.by_every + left_out.by_limit
}

fn sum(parts: impl Iterator<Item = LeftOut>) -> LeftOut {
    parts.fold(LeftOut::default(), |sum, part| LeftOut {
        by_every: sum.by_every + part.by_every,
        by_limit: sum.by_limit + part.by_limit,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_out_events_are_listed_by_option_and_class() {
        let left_out = |by_every, by_limit| LeftOut { by_every, by_limit };
        let counts = KernelCounts {
            left_out: vec![
                (0, vec![left_out(0, 0), left_out(5, 0)]),
                (1, vec![left_out(0, 0)]),
                (2, vec![left_out(1000, 7), left_out(0, 1)]),
            ],
            ..KernelCounts::default()
        };
        let names = ["a:a", "b:b", "c:c"].map(str::to_owned);
        let mut out = String::new();
        write(&mut out, &counts, &names).unwrap();
        let expected = "left out 1,005 by --every, 8 by --limit\n\
            \x20        1,008  c:c (1,000 by --every, 8 by --limit)\n\
            \x20            5  a:a (5 by --every)\n";
        assert_eq!(out, expected);
    }

    #[test]
    fn without_left_out_events_nothing_is_written() {
        let mut out = String::new();
        write(&mut out, &KernelCounts::default(), &[]).unwrap();
        assert_eq!(out, "");
    }
}
