//! The results of one command of a guest, as `work keep` left them.

use std::fs;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, ensure};

use crate::vm::{Feature, Outcome};
use crate::wire;

/// The results of a command.
#[derive(Debug)]
pub(super) struct Kept {
    name: String,
    pub(super) status: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Kept {
    /// Reads the results of the command that was kept as `name`.
    pub(super) fn read(outcome: &Outcome, name: &str) -> Result<Self> {
        let dir: PathBuf = outcome.out_dir().join(name);
        let text = |entry: &str| {
            let path = dir.join(entry);
            fs::read(&path)
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .with_context(|| {
                    format!(
                        "the guest left no `{name}/{entry}`; its commands ended with {}: {}",
                        outcome.status, outcome.stderr
                    )
                })
        };
        Ok(Self {
            name: name.to_owned(),
            status: text(wire::STATUS_ENTRY)?.parse()?,
            stdout: text(wire::STDOUT_ENTRY)?,
            stderr: text(wire::STDERR_ENTRY)?,
        })
    }

    /// The same of a command that must have succeeded.
    pub(super) fn succeeded(outcome: &Outcome, name: &str) -> Result<Self> {
        let kept = Self::read(outcome, name)?;
        ensure!(
            kept.status == 0,
            "`{name}` ended with {}: {}",
            kept.status,
            kept.stderr
        );
        Ok(kept)
    }

    /// The number after `key` in the line that `work` prints, as in `read 1000 pid 83`.
    pub(super) fn number(&self, key: &str) -> Result<u64> {
        self.value(key)
    }

    /// The same of any kind of number.
    pub(super) fn value<T: FromStr>(&self, key: &str) -> Result<T> {
        let mut words = self.stdout.split_ascii_whitespace();
        words
            .find(|word| *word == key)
            .and_then(|_| words.next()?.parse().ok())
            .with_context(|| {
                format!(
                    "`{}` printed no number of `{key}`: {}",
                    self.name, self.stdout
                )
            })
    }

    /// Standard output has this line.
    pub(super) fn expect_line(&self, line: &str) -> Result<()> {
        ensure!(
            self.stdout.lines().any(|found| found == line),
            "no line `{line}` in the output of `{}`:\n{}",
            self.name,
            self.stdout
        );
        Ok(())
    }

    /// Standard error has this text.
    pub(super) fn expect_error(&self, text: &str) -> Result<()> {
        ensure!(
            self.stderr.contains(text),
            "no `{text}` on standard error of `{}`: {}",
            self.name,
            self.stderr
        );
        Ok(())
    }

    /// The number before `what` in the line of a class in the summary, as in
    /// `RECORDED  CLASS (NUMBER overwritten) (NUMBER lost)`; 0 if there is none.
    pub(super) fn number_of_class(&self, class: &str, what: &str) -> u64 {
        let head = format!("  {class} (");
        let line = self.stderr.lines().find(|line| line.contains(&head));
        line.map_or(0, |line| number_before(line, &format!(" {what})")))
    }

    /// Events that a recording may lack because the kernel skipped them: see
    /// [`Feature::PreemptibleSyscalls`].
    pub(super) fn skipped(&self, outcome: &Outcome) -> u64 {
        if outcome.kernel.has(Feature::PreemptibleSyscalls) {
            self.number_before(" events missed")
        } else {
            0
        }
    }

    /// The whole number that comes right before `text` on standard error, as people write
    /// it: `12,345`; 0 if there is no such text.
    pub(super) fn number_before(&self, text: &str) -> u64 {
        number_before(&self.stderr, text)
    }

    /// The same of standard output.
    pub(super) fn printed_before(&self, text: &str) -> u64 {
        number_before(&self.stdout, text)
    }
}

fn number_before(all: &str, text: &str) -> u64 {
    let Some((before, _)) = all.split_once(text) else {
        return 0;
    };
    let word = before.rsplit([' ', '\n', '(']).next().unwrap_or_default();
    word.replace(',', "").parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_has_its_own_numbers() {
        let kept = Kept {
            name: String::new(),
            status: 0,
            stdout: String::new(),
            stderr:
                "  9,000  kprobe:a+0x9 (1 lost)\n  8,000  kprobe:a (2,500 overwritten) (3 lost)\n"
                    .to_owned(),
        };
        let number = |class, what| kept.number_of_class(class, what);
        assert_eq!(number("kprobe:a", "overwritten"), 2500);
        assert_eq!(number("kprobe:a", "lost"), 3);
        assert_eq!(number("kprobe:b", "lost"), 0);
    }
}
