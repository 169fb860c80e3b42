//! Parser of the `format` files of tracefs.
//!
//! The kernel writes them in `f_show` of `kernel/trace/trace_events.c`:
//!
//! ```text
//! name: sched_process_exec
//! ID: 365
//! format:
//!     field:unsigned short common_type;  offset:0;  size:2;  signed:0;
//!     …
//!     field:__data_loc char[] filename;  offset:8;  size:4;  signed:0;
//!
//! print fmt: "filename=%s …", __get_str(filename), …
//! ```

/// One tracepoint as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// Event name, without the subsystem.
    pub name: String,
    /// The id under which it is opened with `perf_event_open`.
    pub id: u32,
    /// End of the last `common_` field, in bytes.
    pub common_len: u32,
    /// Its fields, without the `common_` ones.
    pub fields: Vec<FormatField>,
    /// The text after `print fmt:`.
    pub print_fmt: String,
}

/// One field of a kernel record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatField {
    /// Its name.
    pub name: String,
    /// Its C type (for an array, of an element), without `__data_loc` and brackets:
    /// `unsigned long`, `const char *`.
    pub c_type: String,
    /// Offset in the record, in bytes.
    pub offset: u32,
    /// Size in the record, in bytes; for a dynamic field the size of its locator.
    pub size: u32,
    /// Whether the value, or each element of an array, is signed.
    pub signed: bool,
    /// One value, several, or elsewhere.
    pub shape: Shape,
}

/// How many values a field holds and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One value.
    Scalar,
    /// One value in this number of bits.
    BitField(u16),
    /// Several, in place; how many, if the kernel gives a number.
    Array(Option<u32>),
    /// Several, elsewhere in the record: `offset | size << 16`, from the record's start.
    DataLoc,
    /// Several, elsewhere in the record, from the end of the locator.
    RelLoc,
}

/// What is wrong with a format file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// No `name:` line.
    #[error("no `name:` line")]
    NoName,
    /// No `ID:` line with a number.
    #[error("no `ID:` line with a number")]
    NoId,
    /// A field line that cannot be parsed.
    #[error("invalid field line `{0}`")]
    Field(String),
}

impl Format {
    /// Parses the text of a format file.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let mut name = None;
        let mut id = None;
        let mut common_len = 0;
        let mut fields = Vec::new();
        let mut print_fmt = String::new();
        for line in text.lines() {
            let line = line.trim_start();
            if let Some(rest) = line.strip_prefix("field:") {
                let field = parse_field(rest).ok_or_else(|| FormatError::Field(line.to_owned()))?;
                if field.name.starts_with("common_") {
                    common_len = common_len.max(field.offset.saturating_add(field.size));
                } else {
                    fields.push(field);
                }
            } else if let Some(rest) = line.strip_prefix("name:") {
                name = Some(rest.trim().to_owned());
            } else if let Some(rest) = line.strip_prefix("ID:") {
                id = rest.trim().parse().ok();
            } else if let Some(rest) = line.strip_prefix("print fmt:") {
                rest.trim().clone_into(&mut print_fmt);
            }
        }
        Ok(Self {
            name: name
                .filter(|name| !name.is_empty())
                .ok_or(FormatError::NoName)?,
            id: id.ok_or(FormatError::NoId)?,
            common_len,
            fields,
            print_fmt,
        })
    }
}

/// Parses what follows `field:` in a line: a C declaration and its location.
fn parse_field(text: &str) -> Option<FormatField> {
    let mut parts = text.split(';').map(str::trim);
    let declaration = parts.next()?;
    let (mut offset, mut size, mut signed) = (None, None, false);
    for part in parts {
        match part.split_once(':') {
            Some(("offset", value)) => offset = value.parse().ok(),
            Some(("size", value)) => size = value.parse().ok(),
            Some(("signed", value)) => signed = value == "1",
            _ => {}
        }
    }
    let declaration = Declaration::parse(declaration)?;
    Some(FormatField {
        name: declaration.name.to_owned(),
        c_type: declaration.c_type,
        offset: offset?,
        size: size?,
        signed,
        shape: declaration.shape,
    })
}

struct Declaration<'a> {
    c_type: String,
    name: &'a str,
    shape: Shape,
}

impl<'a> Declaration<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (text, locator) = if let Some(rest) = text.strip_prefix("__data_loc ") {
            (rest, Some(Shape::DataLoc))
        } else if let Some(rest) = text.strip_prefix("__rel_loc ") {
            (rest, Some(Shape::RelLoc))
        } else {
            (text, None)
        };
        let (text, bits) = split_bits(text);
        let (text, brackets) = match text.find('[') {
            // `char name[16]`: brackets end the declaration.
            Some(start) if text.ends_with(']') => (&text[..start], Some(&text[start..])),
            _ => (text, None),
        };
        let text = text.trim_end();
        let name_start = text
            .rfind(|c: char| !c.is_alphanumeric() && c != '_')
            .map_or(0, |last| {
                last + text[last..].chars().next().map_or(1, char::len_utf8)
            });
        let (c_type, name) = text.split_at(name_start);
        if name.is_empty() || c_type.trim().is_empty() {
            return None;
        }
        let shape = match (locator, brackets, bits) {
            (Some(locator), _, _) => locator,
            (None, Some(brackets), _) => Shape::Array(element_count(brackets)),
            (None, None, Some(bits)) => Shape::BitField(bits),
            (None, None, None) => Shape::Scalar,
        };
        Some(Self {
            // `char[] name`: brackets belong to the type of a dynamic array.
            c_type: c_type.trim().trim_end_matches("[]").trim_end().to_owned(),
            name,
            shape,
        })
    }
}

/// Splits `name:3` into the declaration and the number of bits.
fn split_bits(text: &str) -> (&str, Option<u16>) {
    if let Some((declaration, bits)) = text.rsplit_once(':')
        && let Ok(bits @ 1..=64) = bits.trim().parse()
    {
        (declaration.trim_end(), Some(bits))
    } else {
        (text, None)
    }
}

/// The product of all dimensions: `[4][6]` is 24; `None` if one is empty or a name.
fn element_count(brackets: &str) -> Option<u32> {
    brackets
        .strip_prefix('[')?
        .strip_suffix(']')?
        .split("][")
        .try_fold(1_u32, |count, dimension| {
            count.checked_mul(dimension.trim().parse().ok()?)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_field(line: &str) -> FormatField {
        let text = format!("name: x\nID: 1\nformat:\n\tfield:{line}\n");
        Format::parse(&text).unwrap().fields.remove(0)
    }

    #[test]
    fn common_fields_are_measured_and_left_out() {
        let text = "name: x\nID: 7\nformat:\n\
            \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
            \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
            \tfield:long ret;\toffset:8;\tsize:8;\tsigned:1;\n\n\
            print fmt: \"%ld\", REC->ret\n";
        let format = Format::parse(text).unwrap();
        assert_eq!((format.name.as_str(), format.id), ("x", 7));
        assert_eq!(format.common_len, 8);
        assert_eq!(format.fields.len(), 1);
        assert!(format.fields[0].signed);
        assert_eq!(format.print_fmt, "\"%ld\", REC->ret");
    }

    #[test]
    fn declarations_split_into_type_and_name() {
        for (line, c_type, name, shape) in [
            ("int x; offset:8; size:4;", "int", "x", Shape::Scalar),
            (
                "const char * p; offset:8; size:8;",
                "const char *",
                "p",
                Shape::Scalar,
            ),
            (
                "const char *p; offset:8; size:8;",
                "const char *",
                "p",
                Shape::Scalar,
            ),
            (
                "char comm[16]; offset:8; size:16;",
                "char",
                "comm",
                Shape::Array(Some(16)),
            ),
            (
                "u8 m[2][3]; offset:8; size:6;",
                "u8",
                "m",
                Shape::Array(Some(6)),
            ),
            (
                "char c[TASK_COMM_LEN]; offset:8; size:16;",
                "char",
                "c",
                Shape::Array(None),
            ),
            (
                "unsigned long e[]; offset:8; size:0;",
                "unsigned long",
                "e",
                Shape::Array(None),
            ),
            (
                "__data_loc char[] s; offset:8; size:4;",
                "char",
                "s",
                Shape::DataLoc,
            ),
            (
                "__data_loc cpumask_t m; offset:8; size:4;",
                "cpumask_t",
                "m",
                Shape::DataLoc,
            ),
            (
                "__rel_loc u64[] a; offset:8; size:4;",
                "u64",
                "a",
                Shape::RelLoc,
            ),
            (
                "unsigned int b:3; offset:8; size:4;",
                "unsigned int",
                "b",
                Shape::BitField(3),
            ),
        ] {
            let field = one_field(line);
            assert_eq!(
                (field.c_type.as_str(), field.name.as_str(), field.shape),
                (c_type, name, shape),
                "{line}"
            );
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(Format::parse(""), Err(FormatError::NoName));
        assert_eq!(Format::parse("name: x\nID: many\n"), Err(FormatError::NoId));
        let bad = "name: x\nID: 1\n\tfield:int;\toffset:8;\tsize:4;\n";
        assert!(matches!(Format::parse(bad), Err(FormatError::Field(_))));
        let no_size = "name: x\nID: 1\n\tfield:int x;\toffset:8;\n";
        assert!(matches!(Format::parse(no_size), Err(FormatError::Field(_))));
    }
}
