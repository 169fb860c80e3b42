//! The committed numbers of instructions, and how far a new count may be from them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// A count may differ by this share: compilers and kernels of a series do not make exactly
/// the same instructions.
pub(super) const TOLERANCE: f64 = 0.02;

const HEADER: &str = "\
# Instructions that recording adds to a system call, counted in a virtual machine.
# Written by `cargo xtask bench instructions --update`; the test tier `vm` compares with it.
";

/// Instructions per event by name of the measurement.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Baseline(pub(super) BTreeMap<String, f64>);

/// The result of a comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Change {
    /// No more and no less than the tolerance allows.
    Same,
    Grown(f64),
    Shrunk(f64),
    /// The file does not have it.
    New,
}

impl Baseline {
    pub(super) fn path() -> PathBuf {
        workspace::root().join("xtask/baselines/instructions.toml")
    }

    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| {
            format!(
                "cannot read `{}`; write it by `cargo xtask bench instructions --update`",
                path.display()
            )
        })?;
        Self::parse(&text).with_context(|| format!("cannot read `{}`", path.display()))
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        fs::create_dir_all(path.parent().unwrap_or(path))
            .and_then(|()| fs::write(path, self.text()))
            .with_context(|| format!("cannot write `{}`", path.display()))
    }

    pub(super) fn change(&self, name: &str, counted: f64) -> Change {
        let Some(known) = self.0.get(name) else {
            return Change::New;
        };
        let share = counted / known - 1.0;
        if share > TOLERANCE {
            Change::Grown(share)
        } else if share < -TOLERANCE {
            Change::Shrunk(share)
        } else {
            Change::Same
        }
    }

    fn text(&self) -> String {
        let mut text = HEADER.to_owned();
        for (name, count) in &self.0 {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "\"{name}\" = {count:.1}");
        }
        text
    }

    /// Reads the one form that [`text`](Self::text) writes.
    fn parse(text: &str) -> Result<Self> {
        let mut counts = BTreeMap::new();
        for line in text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let pair = line.split_once(" = ").and_then(|(name, count)| {
                let name = name.strip_prefix('"')?.strip_suffix('"')?;
                Some((name.to_owned(), count.parse().ok()?))
            });
            let Some((name, count)) = pair else {
                bail!("`{line}` is not of the form `\"NAME\" = NUMBER`");
            };
            counts.insert(name, count);
        }
        Ok(Self(counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(count: f64) -> Baseline {
        Baseline([("tracer x:y".to_owned(), count)].into())
    }

    #[test]
    fn a_written_file_is_read_back() {
        assert_eq!(Baseline::parse(&of(711.5).text()).unwrap(), of(711.5));
    }

    #[test]
    fn a_line_of_another_form_is_refused() {
        assert!(Baseline::parse("x = many\n").is_err());
    }

    #[test]
    fn only_more_than_the_tolerance_is_a_change() {
        assert_eq!(of(1000.0).change("tracer x:y", 1019.0), Change::Same);
        assert!(matches!(
            of(1000.0).change("tracer x:y", 1021.0),
            Change::Grown(_)
        ));
        assert!(matches!(
            of(1000.0).change("tracer x:y", 979.0),
            Change::Shrunk(_)
        ));
        assert_eq!(of(1000.0).change("tracer z", 1.0), Change::New);
    }
}
