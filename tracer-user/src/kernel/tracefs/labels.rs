//! Names of values and bits, from the `print fmt` of a tracepoint.
//!
//! `__print_symbolic(REC->x, { 1, "ONE" }, …)` names values,
//! `__print_flags(REC->x, "|", { 1, "ONE" }, …)` names bits
//! (`include/trace/stages/stage3_trace_output.h`, `kernel/trace/trace_output.c`). A table is
//! used if it names the values of a field, or of a masked field: then its names are valid for
//! the field itself.

use std::collections::HashMap;
use std::sync::Arc;

use crate::kernel::tracefs::constant::evaluate;
use crate::kernel::tracefs::ctype;
use crate::kernel::tracefs::print_fmt::{split_arguments, string_end};
use crate::trace::event::{FieldType, IntegerType, Label, LabelKind, Labels};

/// Entries of one table.
const MAX_ENTRIES: usize = 2048;

/// The tables by the names of their fields. A field with several different tables has none, as
/// the event decides which one applies.
#[must_use]
pub fn labels(print_fmt: &str) -> HashMap<&str, Arc<Labels>> {
    let mut tables: HashMap<&str, Option<Labels>> = HashMap::new();
    let mut at = 0;
    while let Some(call) = Call::find(print_fmt, at) {
        at = call.end;
        let Some((field, labels)) = call.table(print_fmt) else {
            continue;
        };
        let known = tables.entry(field).or_insert_with(|| Some(labels.clone()));
        if known.as_ref() != Some(&labels) {
            *known = None;
        }
    }
    let table = |(field, labels): (_, Option<Labels>)| Some((field, Arc::new(labels?)));
    tables.into_iter().filter_map(table).collect()
}

/// A number whose values or bits have these names, as far as the number can have them.
#[must_use]
pub fn labeled(number: IntegerType, labels: &Arc<Labels>) -> FieldType {
    let all_bits = u64::MAX >> (64 - number.size_bits);
    let fits = |value: u64| {
        let unused = 64 - u32::from(number.size_bits);
        let extended = (((value << unused) as i64) >> unused) as u64;
        let signed = number.signed && value == extended;
        match labels.kind {
            LabelKind::Values if number.signed => signed,
            LabelKind::Values => value & !all_bits == 0,
            LabelKind::Bits { .. } => signed || value & !all_bits == 0,
        }
    };
    let stored = |value: u64| match labels.kind {
        LabelKind::Values => value,
        LabelKind::Bits { .. } => value & all_bits,
    };
    if labels
        .entries
        .iter()
        .all(|label| fits(label.value) && stored(label.value) == label.value)
    {
        return FieldType::Labeled {
            number,
            labels: Arc::clone(labels),
        };
    }
    let entries = labels.entries.iter().filter(|label| fits(label.value));
    let entries: Vec<Label> = entries
        .map(|label| Label {
            value: stored(label.value),
            name: label.name.clone(),
        })
        .collect();
    if entries.is_empty() {
        return FieldType::Integer(number);
    }
    let kind = labels.kind.clone();
    FieldType::Labeled {
        number,
        labels: Arc::new(Labels { kind, entries }),
    }
}

/// A call of one of the printers.
struct Call<'a> {
    bits: bool,
    /// Start of its name, in bytes from the start of the text.
    start: usize,
    arguments: &'a str,
    /// Position after its parenthesis.
    end: usize,
}

const SYMBOLIC: [&str; 2] = ["__print_symbolic", "__print_symbolic_u64"];
const FLAGS: [&str; 2] = ["__print_flags", "__print_flags_u64"];

impl<'a> Call<'a> {
    /// The first one at or after byte `at`, which must lie outside string literals.
    fn find(text: &'a str, mut at: usize) -> Option<Self> {
        let bytes = text.as_bytes();
        while at < bytes.len() {
            if bytes[at] == b'"' {
                at = string_end(bytes, at);
                continue;
            }
            let len = word_len(&bytes[at..]);
            if len == 0 {
                at += 1;
                continue;
            }
            let word = &bytes[at..at + len];
            let is = |names: [&str; 2]| names.iter().any(|name| name.as_bytes() == word);
            let (symbolic, flags) = (is(SYMBOLIC), is(FLAGS));
            if (symbolic || flags) && bytes.get(at + len) == Some(&b'(') {
                let open = at + len;
                let close = closing(bytes, open)?;
                return Some(Self {
                    bits: flags,
                    start: at,
                    arguments: &text[open + 1..close],
                    end: close + 1,
                });
            }
            at += len;
        }
        None
    }

    /// The field and the names of its values or bits.
    fn table(&self, text: &'a str) -> Option<(&'a str, Labels)> {
        let parts = split_arguments(self.arguments);
        let (named, mut entries) = parts.split_first()?;
        let (field, mask) = masked_field(named)?;
        let mut kind = LabelKind::Values;
        if self.bits {
            let (delimiter, rest) = entries.split_first()?;
            entries = rest;
            kind = LabelKind::Bits {
                delimiter: literal(delimiter)?,
            };
        }
        let mut labels = read_entries(entries)?;
        labels.retain(|label| label.value & !mask == 0);
        if self.bits {
            // a table's own name of 0 is never printed
            labels.retain(|label| label.value != 0);
            self.add_zero(text, named.trim(), field, &mut labels);
        }
        let entries = labels;
        (!entries.is_empty()).then_some((field, Labels { kind, entries }))
    }

    /// What stands around the call for no bits: `FIELD ? __print_flags(FIELD, …) : "none"`, and
    /// after it for another one: `, FIELD & 0x100 ? "+" : ""`, as of `sched_switch`.
    fn add_zero(&self, text: &str, named: &str, field: &str, labels: &mut Vec<Label>) {
        let condition = text[..self.start].trim_end().strip_suffix('?');
        let otherwise = text[self.end..].trim_start().strip_prefix(':');
        let (Some(condition), Some(otherwise)) = (condition, otherwise) else {
            return;
        };
        let same = format!("REC->{field}");
        if !is_last_argument(condition, named) && !is_last_argument(condition, &same) {
            return;
        }
        let parts = leading_arguments(otherwise, 2);
        let Some(zero) = parts.first().and_then(|part| literal(part)) else {
            return;
        };
        let suffix = parts.get(1).and_then(|part| {
            let (condition, choice) = part.split_once('?')?;
            let (set, unset) = choice.split_once(':')?;
            let (of, bits) = masked_field(condition)?;
            (of == field && literal(unset)?.is_empty()).then_some(())?;
            Some((bits, literal(set)?))
        });
        if let Some((value, suffix)) = suffix {
            let name = format!("{zero}{suffix}");
            labels.push(Label { value, name });
        }
        labels.push(Label {
            value: 0,
            name: zero,
        });
    }
}

/// Whether the last of these arguments is `argument`, maybe in parentheses.
fn is_last_argument(arguments: &str, argument: &str) -> bool {
    let end = arguments.trim_end();
    let before = end.strip_suffix(argument).or_else(|| {
        let end = end.strip_suffix(')')?.strip_suffix(argument)?;
        end.strip_suffix('(')
    });
    before.is_some_and(|before| before.trim_end().ends_with(','))
}

/// The first `count` arguments of `text`, without looking at all of it.
fn leading_arguments(text: &str, count: usize) -> Vec<&str> {
    /// An argument that is longer is not of the form that is looked for.
    const MOST: usize = 1024;
    let mut end = text.len().min(MOST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut parts = split_arguments(&text[..end]);
    parts.truncate(count);
    parts
}

/// `{ VALUE, "NAME" }` each, up to one whose name is not a string. All must parse.
fn read_entries(entries: &[&str]) -> Option<Vec<Label>> {
    if entries.len() > MAX_ENTRIES {
        return None;
    }
    let mut labels = Vec::with_capacity(entries.len());
    for entry in entries {
        let inside = entry.trim().strip_prefix('{')?.strip_suffix('}')?;
        let parts = split_arguments(inside);
        let [value, name] = parts.as_slice() else {
            return None;
        };
        // the end: `{ 0, ((void *)0) }`
        let Some(name) = literal(name) else {
            return (evaluate(name) == Some(0)).then_some(labels);
        };
        labels.push(Label {
            value: evaluate(value)?,
            name,
        });
    }
    Some(labels)
}

/// The content of a string literal; of several in a row, as C joins them.
fn literal(text: &str) -> Option<String> {
    let mut content = String::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        rest.starts_with('"').then_some(())?;
        let end = string_end(rest.as_bytes(), 0);
        let inside = rest.get(1..end.checked_sub(1)?)?;
        if inside.contains('\\') || rest.as_bytes()[end - 1] != b'"' {
            return None;
        }
        content.push_str(inside);
        rest = rest[end..].trim_start();
    }
    text.contains('"').then_some(content)
}

/// `REC->x` in parentheses or cast to 64 bits, maybe with `& CONSTANT`: the field, and the
/// bits of it that count.
fn masked_field(text: &str) -> Option<(&str, u64)> {
    let text = without_parentheses(text);
    if let Some(field) = bare_field(text) {
        return Some((field, u64::MAX));
    }
    let (left, right) = text.split_once('&')?;
    // operators of lower precedence would apply to more than the mask
    if without_parentheses(right) == right.trim() && right.contains(['|', '^']) {
        return None;
    }
    Some((bare_field(without_parentheses(left))?, evaluate(right)?))
}

fn bare_field(text: &str) -> Option<&str> {
    let mut text = without_parentheses(text);
    if let Some((name, rest)) = text.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        let wide = ctype::lookup(name.trim()).is_some_and(|ty| ty.size == 8);
        text = wide.then(|| without_parentheses(rest))?;
    }
    let name = text.strip_prefix("REC->")?.trim_end();
    (word_len(name.as_bytes()) == name.len()).then_some(name)
}

/// Without those around all of it.
fn without_parentheses(text: &str) -> &str {
    let mut text = text.trim();
    while text.starts_with('(') && closing(text.as_bytes(), 0) == Some(text.len() - 1) {
        text = text[1..text.len() - 1].trim();
    }
    text
}

/// The position at which the parenthesis that opens at `open` is closed.
fn closing(bytes: &[u8], open: usize) -> Option<usize> {
    let mut depth = 0_u32;
    let mut at = open;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at = string_end(bytes, at);
                continue;
            }
            b'(' => depth += 1,
            b')' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

fn word_len(bytes: &[u8]) -> usize {
    let of_word = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
    bytes.iter().take_while(of_word).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(print_fmt: &str, field: &str) -> Option<(LabelKind, Vec<(u64, String)>)> {
        let labels = Arc::clone(labels(print_fmt).get(field)?);
        let entries = labels.entries.iter();
        let entries = entries.map(|label| (label.value, label.name.clone()));
        Some((labels.kind.clone(), entries.collect()))
    }

    fn pairs(pairs: &[(u64, &str)]) -> Vec<(u64, String)> {
        let owned = |&(value, name): &(u64, &str)| (value, name.to_owned());
        pairs.iter().map(owned).collect()
    }

    fn bits(delimiter: &str) -> LabelKind {
        LabelKind::Bits {
            delimiter: delimiter.to_owned(),
        }
    }

    #[test]
    fn symbols_name_values() {
        let text = r#""vec=%u [action=%s]", REC->vec, __print_symbolic(REC->vec, { 0, "HI" }, { 1, "TI" "MER" })"#;
        let expected = (LabelKind::Values, pairs(&[(0, "HI"), (1, "TIMER")]));
        assert_eq!(table(text, "vec"), Some(expected));
    }

    #[test]
    fn flags_name_bits_and_none_of_them() {
        let text = r#""%s", (REC->gfp_flags) ? __print_flags((unsigned long)REC->gfp_flags, "|", {( unsigned long)(( gfp_t)((((1UL))) << (0))), "GFP_DMA"}, { 0, ((void *)0) } ) : "none""#;
        let expected = (bits("|"), pairs(&[(1, "GFP_DMA"), (0, "none")]));
        assert_eq!(table(text, "gfp_flags"), Some(expected));
    }

    #[test]
    fn states_of_sched_switch_are_the_letters_that_people_know() {
        let text = r#""prev_state=%s%s ==>", (REC->prev_state & ((((0x0 | 0x1 | 0x2) + 1) << 1) - 1)) ? __print_flags(REC->prev_state & ((((0x0 | 0x1 | 0x2) + 1) << 1) - 1), "|", { 0x1, "S" }, { 0x2, "D" }, { 0x80, "I" }) : "R", REC->prev_state & (((0x0 | 0x1 | 0x2) + 1) << 1) ? "+" : "", REC->next_comm"#;
        let expected = (bits("|"), pairs(&[(1, "S"), (2, "D"), (8, "R+"), (0, "R")]));
        assert_eq!(table(text, "prev_state"), Some(expected));
    }

    #[test]
    fn the_name_of_no_bits_needs_the_field_as_its_condition() {
        for condition in ["!(REC->x)", "REC->y", "REC->y & REC->x", "1 + (REC->x)"] {
            let text =
                format!(r#""%s", {condition} ? __print_flags(REC->x, "|", {{ 1, "A" }}) : "none""#);
            assert_eq!(
                table(&text, "x"),
                Some((bits("|"), pairs(&[(1, "A")]))),
                "{text}"
            );
        }
    }

    #[test]
    fn names_that_a_number_cannot_have_are_left_out() {
        let labels = |kind, values: &[u64]| {
            let label = |&value: &u64| Label {
                value,
                name: "N".to_owned(),
            };
            let entries = values.iter().map(label).collect();
            Arc::new(Labels { kind, entries })
        };
        let values = |number, table: &Arc<Labels>| match labeled(number, table) {
            FieldType::Labeled { labels, .. } => {
                labels.entries.iter().map(|label| label.value).collect()
            }
            _ => Vec::new(),
        };
        let byte = |signed| IntegerType::natural(1, signed, crate::trace::event::Display::Decimal);
        let all = [1, 0x80, 0x100, u64::MAX, i64::MIN as u64];
        let symbols = labels(LabelKind::Values, &all);
        assert_eq!(values(byte(false), &symbols), [1, 0x80]);
        assert_eq!(values(byte(true), &symbols), [1, u64::MAX]);
        let flags = labels(bits("|"), &all);
        assert_eq!(values(byte(false), &flags), [1, 0x80]);
        assert_eq!(values(byte(true), &flags), [1, 0x80, 0xff]);
        assert_eq!(
            values(byte(false), &labels(bits("|"), &[0x100])),
            Vec::<u64>::new()
        );
    }

    #[test]
    fn parts_that_were_shifted_are_not_the_field() {
        for text in [
            r#"__print_symbolic((REC->x >> 8 & 0x7), { 1, "A" })"#,
            r#"__print_flags((1 << REC->x), "|", { 1, "A" })"#,
            r#"__print_symbolic((u8)REC->x, { 1, "A" })"#,
            r#"__print_symbolic(REC->x + 1, { 1, "A" })"#,
            r#"__print_symbolic(REC->x[0], { 1, "A" })"#,
            r#"__print_symbolic(2, { 1, "A" })"#,
        ] {
            assert!(labels(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn a_value_that_is_not_known_leaves_the_table_out() {
        let text = r#"__print_flags(REC->a, "|", { 1, "A" }, { I_DIRTY, "D" }), __print_symbolic(REC->b, { 1, "B" })"#;
        assert_eq!(table(text, "a"), None);
        assert!(table(text, "b").is_some());
    }

    #[test]
    fn of_tables_that_differ_none_is_taken() {
        let vmx = r#"REC->isa == 1 ? __print_symbolic(REC->reason & 0xffff, { 1, "EXTERNAL" })"#;
        let svm = r#"__print_symbolic(REC->reason, { 1, "read_cr1" })"#;
        assert!(labels(&format!("{vmx} : {svm}")).is_empty());
        assert_eq!(labels(&format!("{svm}, {svm}")).len(), 1);
    }

    #[test]
    fn signs_in_names_and_strings_are_no_syntax() {
        let text = r#""__print_symbolic(REC->a, { 1, ", __print_symbolic(REC->b, { 1, "},)(" })"#;
        let expected = (LabelKind::Values, pairs(&[(1, "},)(")]));
        assert_eq!(table(text, "b"), Some(expected));
        assert_eq!(table(text, "a"), None);
    }

    #[test]
    fn broken_text_takes_no_time() {
        for piece in [
            "__print_flags(",
            "__print_symbolic(REC->a,{",
            "__print_flags(REC->a ? \"",
            "(",
            "\"",
        ] {
            assert!(labels(&piece.repeat(100_000)).is_empty(), "{piece}");
        }
        let calls = r#"x ? __print_flags(REC->a, "|", { 1, "A" }) : "#.repeat(20_000);
        assert_eq!(labels(&calls).len(), 1);
    }
}
