//! Quotes in probe texts: `uprobe:"/path, with a comma":"main.F[a,b]"`.
//!
//! A part in quotes is taken literally: it may contain commas, braces, colons, `+` and the word
//! `if`. In double quotes, `\"` and `\\` stand for `"` and `\`. A quote opens only at the start of
//! a part, so the apostrophe in `/home/o'neill/x` is one.

use std::borrow::Cow;

/// If a quoted part starts at byte `at` of `text`, the byte after its end.
#[must_use]
pub fn quoted_end(text: &str, at: usize) -> Option<usize> {
    let quote = text[at..]
        .chars()
        .next()
        .filter(|c| matches!(c, '"' | '\''))?;
    let before = text[..at].chars().next_back();
    if !before.is_none_or(|c| matches!(c, ':' | ',') || c.is_whitespace()) {
        return None;
    }
    let mut escaped = false;
    for (offset, c) in text[at + 1..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            _ if c == quote => return Some(at + 1 + offset + 1),
            _ => {}
        }
    }
    None
}

/// The characters of a text that are not in quotes, with their positions.
pub fn unquoted_chars(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut skip_to = 0;
    text.char_indices().filter(move |&(at, _)| {
        if at < skip_to {
            return false;
        }
        match quoted_end(text, at) {
            Some(end) => {
                skip_to = end;
                false
            }
            None => true,
        }
    })
}

/// Splits a list at the commas that are not in quotes.
pub fn split_list(text: &str) -> impl Iterator<Item = &str> {
    let commas = unquoted_chars(text).filter(|&(_, c)| c == ',');
    let mut start = 0;
    let ends = commas.map(|(at, _)| at).chain([text.len()]);
    ends.map(move |end| {
        let part = &text[start..end];
        start = end + 1;
        part
    })
}

/// Takes a quoted part from the start of a text: its value and what follows. `None` if the text
/// does not start with one.
#[must_use]
pub fn take_quoted(text: &str) -> Option<(String, &str)> {
    let end = quoted_end(text, 0)?;
    let inner = &text[1..end - 1];
    let value = if text.starts_with('"') {
        unescape(inner)
    } else {
        inner.to_owned()
    };
    Some((value, &text[end..]))
}

fn unescape(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    let mut escaped = false;
    for c in text.chars() {
        if c == '\\' && !escaped {
            escaped = true;
            continue;
        }
        if escaped && !matches!(c, '"' | '\\') {
            value.push('\\');
        }
        escaped = false;
        value.push(c);
    }
    value
}

/// A path as it can be typed: in quotes if it needs them.
#[must_use]
pub fn quoted_path(path: &str) -> Cow<'_, str> {
    let needed = is_special(path) || path.contains("::") || path.contains(['(', ')']);
    quoted_if(path, needed || path.starts_with(':') || path.ends_with(':'))
}

/// A symbol as it can be typed: in quotes if it needs them.
#[must_use]
pub fn quoted_symbol(symbol: &str) -> Cow<'_, str> {
    let is_address = symbol.starts_with("0x") || symbol.starts_with("0X");
    let needed = is_special(symbol)
        || is_address
        || symbol.contains('+')
        || symbol.replace("::", "").contains(':')
        || symbol.contains(":::")
        || symbol.starts_with(':')
        || symbol.ends_with(':')
        || !is_balanced(symbol);
    quoted_if(symbol, needed)
}

/// In quotes, if they are `needed`.
#[must_use]
pub fn quoted_if(text: &str, needed: bool) -> Cow<'_, str> {
    if needed {
        let text = text.replace('\\', "\\\\").replace('"', "\\\"");
        Cow::Owned(format!("\"{text}\""))
    } else {
        Cow::Borrowed(text)
    }
}

/// Whether a text would end a probe, or part of one, if it were not in quotes.
fn is_special(text: &str) -> bool {
    text.is_empty()
        || text.contains([',', '{', '}', '"', '\''])
        || text.trim() != text
        || text.split_whitespace().any(|word| word == "if")
}

fn is_balanced(text: &str) -> bool {
    let mut depth = 0_usize;
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => return false,
            ')' => depth -= 1,
            _ => {}
        }
    }
    depth == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_opens_at_the_start_of_a_part_only() {
        assert_eq!(quoted_end("a:'b':c", 2), Some(5));
        assert_eq!(quoted_end("o'neill'", 1), None);
        assert_eq!(quoted_end("'open", 0), None);
        assert_eq!(quoted_end(r#""a\"b":c"#, 0), Some(6));
    }

    #[test]
    fn commas_in_quotes_separate_nothing() {
        let parts: Vec<&str> = split_list("a:'b,c',d:\"e,\",f").collect();
        assert_eq!(parts, ["a:'b,c'", "d:\"e,\"", "f"]);
    }

    #[test]
    fn a_part_comes_back_as_it_was() {
        for text in [
            "/a, b", r#"x"y\z"#, "o'neill", "", " if ", "{}", "\\", "a\\nb", "0x1",
        ] {
            let quoted = quoted_if(text, true);
            let taken = take_quoted(&quoted).unwrap();
            assert_eq!(taken, (text.to_owned(), ""), "{quoted}");
        }
    }

    #[test]
    fn quotes_are_added_where_they_are_needed() {
        for plain in ["/bin/x y", "/a:b/c"] {
            assert_eq!(quoted_path(plain), plain);
        }
        assert_eq!(quoted_path("/a,b"), "\"/a,b\"");
        for plain in [
            "main",
            "a::b",
            "f(int)",
            "main.F[...]",
            "read*",
            "memcpy@GLIBC_2.2.5",
        ] {
            assert_eq!(quoted_symbol(plain), plain);
        }
        for special in [
            "F[a,b]",
            "x::{{closure}}",
            "operator+",
            "0x12",
            "a:b",
            "f)(",
        ] {
            assert_eq!(quoted_symbol(special), format!("\"{special}\""));
        }
    }
}
