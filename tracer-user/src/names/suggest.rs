//! "Did you mean": existing names similar to one that does not exist.

use std::fmt;

/// The most names that are suggested.
const MAX_SUGGESTIONS: usize = 3;

/// Similarity (Jaro-Winkler, 0 to 1) below which a name is not suggested.
const MIN_SIMILARITY: f64 = 0.8;

/// Names that the user may have meant, best first. Displays as the end of a message,
/// `; did you mean …?`; empty if there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Suggestions(Vec<String>);

impl Suggestions {
    /// These names.
    #[must_use]
    pub fn of(names: Vec<String>) -> Self {
        Self(names)
    }

    /// Up to three of `candidates`, those most similar to `name`.
    #[must_use]
    pub fn near<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Self {
        let mut scored: Vec<(f64, &str)> = candidates
            .map(|candidate| (similarity(name, candidate), candidate))
            .filter(|&(score, _)| score >= MIN_SIMILARITY)
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        scored.dedup_by_key(|&mut (_, candidate)| candidate);
        Self(
            scored
                .into_iter()
                .take(MAX_SUGGESTIONS)
                .map(|(_, candidate)| candidate.to_owned())
                .collect(),
        )
    }

    /// Puts `prefix` before each name.
    #[must_use]
    pub fn prefixed(self, prefix: &str) -> Self {
        Self(
            self.0
                .into_iter()
                .map(|name| format!("{prefix}{name}"))
                .collect(),
        )
    }

    /// Changes each name.
    #[must_use]
    pub fn map(self, change: impl FnMut(String) -> String) -> Self {
        Self(self.0.into_iter().map(change).collect())
    }

    /// Separator before the next part of a message: none after a suggestion, which ends with a
    /// question mark.
    #[must_use]
    pub fn separator(&self) -> &'static str {
        if self.0.is_empty() { ";" } else { "" }
    }

    /// The names, best first.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

/// A candidate that contains `name` is similar however long it is.
fn similarity(name: &str, candidate: &str) -> f64 {
    let similarity = strsim::jaro_winkler(name, candidate);
    if name.len() >= 4 && candidate.contains(name) {
        similarity.max(0.9)
    } else {
        similarity
    }
}

impl fmt::Display for Suggestions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, "; did you mean {}?", alternatives(&self.0))
    }
}

/// Names as alternatives: "`a`, `b` or `c`".
#[must_use]
pub fn alternatives<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    let names = names.into_iter();
    let mut names: Vec<String> = names.map(|name| format!("`{}`", name.as_ref())).collect();
    match (names.pop(), names.as_slice()) {
        (None, _) => String::new(),
        (Some(last), []) => last,
        (Some(last), others) => format!("{} or {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 5] = ["vfs_read", "vfs_readv", "vfs_write", "do_exit", "kfree"];

    #[test]
    fn the_most_similar_comes_first() {
        let near = Suggestions::near("vfs_reed", NAMES.into_iter());
        assert_eq!(near.names().first().map(String::as_str), Some("vfs_read"));
        assert!(near.names().len() <= MAX_SUGGESTIONS);
    }

    #[test]
    fn without_a_similar_name_the_text_is_empty() {
        let near = Suggestions::near("zzzz", NAMES.into_iter());
        assert_eq!(near.to_string(), "");
    }

    #[test]
    fn they_read_as_a_question() {
        let text = |names: &[&str]| {
            Suggestions::of(names.iter().map(|&name| name.to_owned()).collect()).to_string()
        };
        assert_eq!(text(&["a"]), "; did you mean `a`?");
        assert_eq!(text(&["a", "b"]), "; did you mean `a` or `b`?");
        assert_eq!(text(&["a", "b", "c"]), "; did you mean `a`, `b` or `c`?");
    }
}
