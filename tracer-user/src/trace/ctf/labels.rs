//! Names of values and bits in metadata.
//!
//! CTF 1.8 has enumerations (§4.1.8), which say less than what is known: it has no names of
//! bits, and readers that know LTTng's events take their fields for plain integers. So a
//! table is an enumeration that no field has, and a field of it is a plain integer whose
//! type's name starts with the name of the table:
//!
//! ```text
//! typealias enum : label_t { "GFP_DMA" = 1, "GFP_ZERO" = 256 } := bits_7c_0;
//! typealias integer { size = 32; align = 32; signed = false; base = 16; } := bits_7c_0_u32a32x;
//! ```
//!
//! `7c` is what stands between the names of bits, byte by byte in hexadecimal. Tables of
//! values are called `values_N`. Values of events that are the kernel's own, which no reader
//! knows beforehand, are enumerations as CTF means them: `enum_N_TYPE`. Values without a name
//! are [`UNNAMED`] there, because babeltrace 1 warns of each that is not declared.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::trace::ctf::metadata::{alias, attributes, quoted};
use crate::trace::ctf::schema::Enumeration;
use crate::trace::event::{EventClass, FieldType, IntegerType, Label, LabelKind, Labels};

/// The most names of one table; numbers with more have none.
pub(crate) const MAX_LABELS: usize = 4096;

/// What enumerations call values that have no name.
pub(crate) const UNNAMED: &str = "?";

/// The type of the numbers of a table.
const LABEL_TYPE: &str = "label_t";

/// The names of the types that were declared for labels.
#[derive(Default)]
pub(crate) struct Types<'a> {
    /// The number of each table.
    tables: HashMap<&'a Labels, usize>,
    declared: BTreeSet<String>,
}

/// How a number with labels is declared.
enum Declared {
    /// As any other number.
    Plain,
    /// As a number with a table.
    Table,
    Enumeration,
}

impl Declared {
    fn of(class: &EventClass, number: IntegerType, labels: &Labels) -> Self {
        if !labels.entries.iter().any(is_readable) || labels.entries.len() > MAX_LABELS {
            return Self::Plain;
        }
        // An enumeration of a number that is larger than any signed one is not for all readers.
        let all_fit = number.signed
            || labels
                .entries
                .iter()
                .all(|label| i64::try_from(label.value).is_ok());
        match labels.kind {
            LabelKind::Values if all_fit && !is_known_to_readers(class) => Self::Enumeration,
            _ => Self::Table,
        }
    }
}

/// Events that readers know beforehand have LTTng's names, which have no group.
fn is_known_to_readers(class: &EventClass) -> bool {
    !class.name.contains(':')
}

impl<'a> Types<'a> {
    /// Declares what the labels of `classes` need, each table once. All integers are declared
    /// already.
    pub(crate) fn declare(out: &mut String, classes: &'a [EventClass]) -> Self {
        let mut types = Self::default();
        for class in classes {
            for field in class.context.iter().chain(&class.fields) {
                if let FieldType::Labeled { number, labels } = &field.ty {
                    types.add(out, class, *number, labels);
                }
            }
        }
        if !types.declared.is_empty() {
            out.push('\n');
        }
        types
    }

    fn add(
        &mut self,
        out: &mut String,
        class: &EventClass,
        number: IntegerType,
        labels: &'a Labels,
    ) {
        let declared = Declared::of(class, number, labels);
        if matches!(declared, Declared::Plain) {
            return;
        }
        if self.tables.is_empty() {
            let _ = writeln!(
                out,
                "typealias integer {{ size = 64; align = 8; signed = true; }} := {LABEL_TYPE};"
            );
        }
        let next = self.tables.len();
        self.tables.entry(labels).or_insert(next);
        let name = self.name(class, number, labels);
        if self.declared.contains(&name) {
            return;
        }
        if matches!(declared, Declared::Enumeration) {
            push_enumeration(out, labels, Some(&range(number)), &alias(number), &name);
        } else {
            let table = self.table_name(labels);
            if self.declared.insert(table.clone()) {
                push_enumeration(out, labels, None, LABEL_TYPE, &table);
            }
            let attributes = attributes(number);
            let _ = writeln!(out, "typealias integer {{ {attributes} }} := {name};");
        }
        self.declared.insert(name);
    }

    /// The name of the type of a field with labels.
    pub(crate) fn name(&self, class: &EventClass, number: IntegerType, labels: &Labels) -> String {
        let alias = alias(number);
        match Declared::of(class, number, labels) {
            Declared::Plain => alias,
            Declared::Table => format!("{}_{alias}", self.table_name(labels)),
            Declared::Enumeration => format!("enum_{}_{alias}", self.tables[labels]),
        }
    }

    fn table_name(&self, labels: &Labels) -> String {
        let number = self.tables[labels];
        match &labels.kind {
            LabelKind::Values => format!("values_{number}"),
            LabelKind::Bits { delimiter } => {
                let mut name = "bits_".to_owned();
                for byte in delimiter.bytes() {
                    // writing to a string cannot fail
                    let _ = write!(name, "{byte:02x}");
                }
                let _ = write!(name, "_{number}");
                name
            }
        }
    }
}

/// Declares an enumeration of these names, and of [`UNNAMED`] for what is left of `range`.
/// Readers differ in what they make of two names for a value: the first one counts.
fn push_enumeration(
    out: &mut String,
    labels: &Labels,
    range: Option<&RangeInclusive<i64>>,
    base: &str,
    name: &str,
) {
    let _ = write!(out, "typealias enum : {base} {{ ");
    let mut values = BTreeSet::new();
    let mut separator = "";
    for label in labels.entries.iter().filter(|label| is_readable(label)) {
        let value = label.value as i64;
        if values.insert(value) {
            let _ = write!(out, "{separator}{} = {value}", quoted(&label.name));
            separator = ", ";
        }
    }
    for gap in range.iter().flat_map(|range| gaps(range, &values)) {
        let _ = write!(
            out,
            "{separator}\"{UNNAMED}\" = {} ... {}",
            gap.start(),
            gap.end()
        );
    }
    let _ = writeln!(out, " }} := {name};");
}

/// The values of a number, but those with which a reader written in Java has trouble: no
/// literal may be larger than its `long`, with or without its sign.
fn range(number: IntegerType) -> RangeInclusive<i64> {
    let all = u64::MAX >> (64 - number.size_bits);
    if number.signed {
        let most = (all >> 1) as i64;
        (-most - 1).max(-i64::MAX)..=most
    } else {
        0..=all.min(i64::MAX as u64) as i64
    }
}

/// See [`range`].
fn is_readable(label: &Label) -> bool {
    label.value != i64::MIN as u64
}

/// What is left of `range` without `values`.
fn gaps(range: &RangeInclusive<i64>, values: &BTreeSet<i64>) -> Vec<RangeInclusive<i128>> {
    let mut gaps = Vec::new();
    let mut start = i128::from(*range.start());
    let end = i128::from(*range.end()) + 1;
    for value in values.iter().copied().map(i128::from).chain([end]) {
        if start < value {
            gaps.push(start..=value - 1);
        }
        start = value + 1;
    }
    gaps
}

/// The name of the table that the type of this name belongs to, if it does to any.
pub(crate) fn table_of(type_name: &str) -> Option<&str> {
    let (table, _) = type_name.rsplit_once('_')?;
    kind(table).map(|_| table)
}

/// The table of this name.
pub(crate) fn table(name: &str, enumeration: &Enumeration) -> Option<Arc<Labels>> {
    let entries = enumeration.labels.iter().map(|(value, last, name)| {
        let value = i64::try_from(*value).ok().filter(|_| value == last)?;
        Some(Label {
            value: value as u64,
            name: name.clone(),
        })
    });
    Some(Arc::new(Labels {
        kind: kind(name)?,
        entries: entries.collect::<Option<_>>()?,
    }))
}

/// What a table of this name has names of.
fn kind(table: &str) -> Option<LabelKind> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(number) = table.strip_prefix("values_") {
        return is_number(number).then_some(LabelKind::Values);
    }
    let (delimiter, number) = table.strip_prefix("bits_")?.split_once('_')?;
    let (pairs, rest) = delimiter.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes = pairs.iter().map(byte).collect::<Option<Vec<u8>>>()?;
    let delimiter = String::from_utf8(bytes).ok()?;
    (rest.is_empty() && is_number(number)).then_some(LabelKind::Bits { delimiter })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::ctf::metadata::{TraceInfo, metadata};
    use crate::trace::event::{Display, Field};

    const U32: IntegerType = IntegerType::natural(4, false, Display::Hexadecimal);

    fn labels(kind: LabelKind, entries: &[(u64, &str)]) -> Arc<Labels> {
        let label = |&(value, name): &(u64, &str)| Label {
            value,
            name: name.to_owned(),
        };
        let entries = entries.iter().map(label).collect();
        Arc::new(Labels { kind, entries })
    }

    fn bits(entries: &[(u64, &str)]) -> Arc<Labels> {
        let delimiter = "|".to_owned();
        labels(LabelKind::Bits { delimiter }, entries)
    }

    fn class(id: u32, name: &str, labels: &Arc<Labels>) -> EventClass {
        EventClass {
            id,
            name: name.to_owned(),
            context: Vec::new(),
            fields: vec![Field {
                name: "x".to_owned(),
                ty: FieldType::Labeled {
                    number: U32,
                    labels: Arc::clone(labels),
                },
            }],
        }
    }

    fn text(classes: &[EventClass]) -> String {
        metadata(&TraceInfo::default(), classes)
    }

    #[test]
    fn equal_tables_are_declared_once() {
        let entries = [(1, "ONE"), (2, "TWO")];
        let text = text(&[
            class(0, "a:a", &bits(&entries)),
            class(1, "a:b", &bits(&entries)),
        ]);
        assert_eq!(text.matches("\"ONE\" = 1").count(), 1, "{text}");
        assert_eq!(
            text.matches("\t\tbits_7c_0_u32a32x _x;").count(),
            2,
            "{text}"
        );
    }

    #[test]
    fn the_first_name_of_a_value_counts() {
        let text = text(&[class(
            0,
            "a:a",
            &labels(LabelKind::Values, &[(1, "A"), (1, "B"), (2, "A")]),
        )]);
        assert!(
            text.contains("{ \"A\" = 1, \"A\" = 2, \"?\" = 0 ... 0, \"?\" = 3 ... 4294967295 } := enum_0_u32a32x;"),
            "{text}"
        );
    }

    #[test]
    fn gaps_are_what_is_left() {
        let of = |range, values: &[i64]| gaps(&range, &values.iter().copied().collect());
        assert_eq!(of(0..=9, &[0, 4, 9]), [1..=3, 5..=8]);
        assert_eq!(of(0..=9, &[1]), [0..=0, 2..=9]);
        let all = -i64::MAX..=i64::MAX;
        let most = i128::from(i64::MAX);
        assert_eq!(
            of(all.clone(), &[-i64::MAX, i64::MAX]),
            [1 - most..=most - 1]
        );
        assert_eq!(of(all, &[0]), [-most..=-1, 1..=most]);
    }

    #[test]
    fn literals_are_those_that_all_readers_have() {
        let labels = labels(
            LabelKind::Values,
            &[(u64::MAX, "minus one"), (1 << 63, "least")],
        );
        let mut class = class(0, "a:a", &labels);
        let number = IntegerType::natural(8, true, Display::Decimal);
        class.fields[0].ty = FieldType::Labeled { number, labels };
        let text = text(&[class]);
        assert!(
            text.contains("= -9223372036854775807 ... -2") && !text.contains("least"),
            "{text}"
        );
    }

    #[test]
    fn fields_that_readers_know_are_plain_integers() {
        let text = text(&[class(
            0,
            "irq_softirq_entry",
            &labels(LabelKind::Values, &[(1, "TIMER")]),
        )]);
        assert!(
            text.contains(":= values_0;") && text.contains("\t\tvalues_0_u32a32x _x;"),
            "{text}"
        );
    }

    #[test]
    fn numbers_without_names_or_with_too_many_have_no_table() {
        let many: Vec<_> = (0..=MAX_LABELS as u64).map(|value| (value, "N")).collect();
        for entries in [&[][..], &many] {
            let text = text(&[class(0, "a:a", &labels(LabelKind::Values, entries))]);
            assert!(text.contains("\t\tu32a32x _x;") && !text.contains("enum"));
        }
    }

    #[test]
    fn the_name_of_a_table_says_what_it_is() {
        assert_eq!(table_of("bits_7c_12_u32a32x"), Some("bits_7c_12"));
        assert_eq!(table_of("values_3_s64a64"), Some("values_3"));
        for other in [
            "u32a32",
            "bits_7_0_u32",
            "bits_7c_x_u32",
            "values__u32",
            "bits_ff_0_u32",
            "values_3",
        ] {
            assert_eq!(table_of(other), None, "{other}");
        }
        assert_eq!(
            kind("bits__0"),
            Some(LabelKind::Bits {
                delimiter: String::new()
            })
        );
    }
}
