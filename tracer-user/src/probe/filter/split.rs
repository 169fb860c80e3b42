//! A probe with a filter in one text, as it is typed.

use crate::names::quote::unquoted_chars;

/// Splits `PROBE if FILTER` at the first word `if` that is not in quotes. Both come as
/// they were typed, without blanks at their ends.
#[must_use]
pub fn probe_and_filter(text: &str) -> (&str, Option<&str>) {
    let mut word_start = 0;
    for (at, c) in unquoted_chars(text) {
        if c.is_whitespace() {
            if &text[word_start..at] == "if" {
                return (text[..word_start].trim(), Some(text[at..].trim()));
            }
            word_start = at + c.len_utf8();
        }
    }
    if &text[word_start..] == "if" {
        return (text[..word_start].trim(), Some(""));
    }
    (text.trim(), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_may_have_no_filter() {
        assert_eq!(probe_and_filter(" sched:* "), ("sched:*", None));
    }

    #[test]
    fn the_first_if_separates() {
        assert_eq!(
            probe_and_filter("syscall:openat if filename == 'what if'"),
            ("syscall:openat", Some("filename == 'what if'"))
        );
        assert_eq!(probe_and_filter("a:b\tif\tc == 1"), ("a:b", Some("c == 1")));
        // An apostrophe within a word is no quote.
        let text = "uprobe:/o'neill/x:f if arg0 == 1";
        assert_eq!(
            probe_and_filter(text),
            ("uprobe:/o'neill/x:f", Some("arg0 == 1"))
        );
    }

    #[test]
    fn an_if_in_quotes_or_in_a_word_does_not() {
        for text in [
            "'a if b':c",
            "net:netif_rx",
            "iff:x",
            "a:b ifx",
            "x \"if \"",
            "uprobe:\"/a if b\":f",
            "uprobe:/a:'f if g'",
        ] {
            assert_eq!(probe_and_filter(text), (text, None));
        }
    }

    #[test]
    fn a_part_that_is_missing_is_empty() {
        assert_eq!(probe_and_filter("a:b if"), ("a:b", Some("")));
        assert_eq!(probe_and_filter("if pid == 1"), ("", Some("pid == 1")));
    }
}
