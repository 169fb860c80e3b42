//! The table of certified recipes.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};

use crate::certify::table_path;

/// Keys and events, with the comment that the file begins with.
pub(super) struct Table {
    comment: String,
    /// Event and key: the lines are in the order of events.
    lines: BTreeSet<(String, String)>,
}

impl Table {
    pub(super) fn read() -> Result<Self> {
        let path = table_path();
        let text = fs::read_to_string(&path);
        Ok(Self::parse(&text.with_context(|| {
            format!("cannot read `{}`", path.display())
        })?))
    }

    fn parse(text: &str) -> Self {
        let (comments, lines): (Vec<&str>, _) =
            text.lines().partition(|line| line.starts_with('#'));
        let pair = |line: &str| {
            let (key, event) = line.split_once(' ')?;
            Some((event.to_owned(), key.to_owned()))
        };
        Self {
            comment: comments.join("\n") + "\n",
            lines: lines.into_iter().filter_map(pair).collect(),
        }
    }

    /// Adds keys and events.
    pub(super) fn extend(&mut self, found: impl Iterator<Item = (String, String)>) {
        self.lines.extend(found.map(|(key, event)| (event, key)));
    }

    fn text(&self) -> String {
        let lines = self.lines.iter();
        lines.fold(self.comment.clone(), |text, (event, key)| {
            text + key + " " + event + "\n"
        })
    }

    pub(super) fn write(&self) -> Result<()> {
        let path = table_path();
        fs::write(&path, self.text()).with_context(|| format!("cannot write `{}`", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_keys_are_added_in_the_order_of_events() {
        let text = "# comment\n0002 b:b\n";
        let mut table = Table::parse(text);
        let found = [("0003", "a:a"), ("0002", "b:b"), ("0001", "b:b")];
        table.extend(
            found
                .map(|(key, event)| (key.to_owned(), event.to_owned()))
                .into_iter(),
        );
        assert_eq!(table.text(), "# comment\n0003 a:a\n0001 b:b\n0002 b:b\n");
    }
}
