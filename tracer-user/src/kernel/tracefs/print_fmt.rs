//! How a field is displayed, from the `print fmt` of its tracepoint.
//!
//! A `print fmt` is a C format string and its arguments, in which fields appear as
//! `REC->name` (`include/trace/stages/stage4_event_cacheable.h`). Only plain uses are
//! understood: one conversion whose argument names one field. Everything else leaves the
//! field as its type suggests.

use std::collections::HashMap;

use crate::trace::event::Display;

/// How fields are shown, by name; fields shown in decimal are left out.
#[must_use]
pub fn displays(print_fmt: &str) -> HashMap<&str, Display> {
    let mut displays = HashMap::new();
    let Some((conversions, arguments)) = split(print_fmt) else {
        return displays;
    };
    for (conversion, argument) in conversions.into_iter().zip(arguments) {
        let Some(field) = only_field(argument) else {
            continue;
        };
        let display = match conversion {
            'x' | 'X' | 'p' => Display::Hexadecimal,
            'o' => Display::Octal,
            'c' => Display::Text,
            's' if argument.contains("__print_flags") => Display::Hexadecimal,
            _ => continue,
        };
        displays.entry(field).or_insert(display);
    }
    displays
}

/// The conversion letter of each argument, and the arguments.
fn split(print_fmt: &str) -> Option<(Vec<char>, Vec<&str>)> {
    let parts = split_arguments(print_fmt);
    let (format, arguments) = parts.split_first()?;
    Some((conversions(format), arguments.to_vec()))
}

/// Splits at commas that are outside of parentheses, braces and string literals.
pub(super) fn split_arguments(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut depth = 0_i32;
    let mut start = 0;
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at);
                continue;
            }
            b'(' | b'{' | b'[' => depth += 1,
            b')' | b'}' | b']' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    parts.push(&text[start..]);
    parts
}

/// The end of the string literal that starts with the quote at `start`: after its other
/// quote, or with the text.
pub(super) fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// One letter for each argument that a format string consumes; `*` for a width that is
/// an argument itself.
fn conversions(format: &str) -> Vec<char> {
    let mut found = Vec::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            continue;
        }
        for c in chars.by_ref() {
            match c {
                '%' => break,
                '*' => found.push('*'),
                '0'..='9' | '.' | '-' | '+' | ' ' | '#' | 'l' | 'h' | 'z' | 't' | 'j' | 'L' => {}
                letter => {
                    found.push(letter);
                    break;
                }
            }
        }
    }
    found
}

/// The name of the field, if the argument refers to exactly one.
fn only_field(argument: &str) -> Option<&str> {
    let mut names = argument.match_indices("REC->").map(|(at, arrow)| {
        let rest = &argument[at + arrow.len()..];
        let end = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        &rest[..end]
    });
    let first = names.next()?;
    names.all(|name| name == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_conversion_decides() {
        let shown = displays(
            r#""ip=%pS flags=0x%lx mode=%#o n=%d c=%c", (void *)REC->ip, REC->flags, REC->mode, REC->n, REC->c"#,
        );
        assert_eq!(shown.get("ip"), Some(&Display::Hexadecimal));
        assert_eq!(shown.get("flags"), Some(&Display::Hexadecimal));
        assert_eq!(shown.get("mode"), Some(&Display::Octal));
        assert_eq!(shown.get("c"), Some(&Display::Text));
        assert_eq!(shown.get("n"), None);
    }

    #[test]
    fn flag_tables_mean_hexadecimal() {
        let shown = displays(
            r#""a=%s b=%s", __print_flags(REC->a, "|", { 1, "x,y" }), __print_symbolic(REC->b, { 1, "(" })"#,
        );
        assert_eq!(shown.get("a"), Some(&Display::Hexadecimal));
        assert_eq!(shown.get("b"), None);
    }

    #[test]
    fn percent_signs_and_widths_keep_the_arguments_in_step() {
        let shown = displays(r#""100%% %*d %x", REC->w, REC->n, REC->x"#);
        assert_eq!(shown.len(), 1);
        assert_eq!(shown.get("x"), Some(&Display::Hexadecimal));
    }

    #[test]
    fn an_argument_of_two_fields_gives_no_display() {
        assert!(displays(r#""%lx", REC->a + REC->b"#).is_empty());
    }

    #[test]
    fn elements_of_an_array_speak_for_the_array() {
        let shown = displays(r#""(%lx, %lx)", REC->args[0], REC->args[1]"#);
        assert_eq!(shown.get("args"), Some(&Display::Hexadecimal));
    }
}
