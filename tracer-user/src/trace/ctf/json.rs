//! Metadata of CTF 2 (JSON fragments) to a [`Document`].
//!
//! A metadata stream is a sequence of JSON objects, each after a byte 0x1e
//! (CTF2-SPEC-2.0 §5, RFC 7464). Types that have an equivalent in CTF 1.8 become that:
//! booleans are enumerations, optional fields are variants with one option, blobs are arrays
//! of bytes.

mod fields;

use std::collections::HashMap;

use serde_json::Value;
use thiserror::Error;

use crate::trace::ctf::metadata::EnvValue;
use crate::trace::ctf::schema::{ClockBlock, Document, EventBlock, StreamBlock, Type};
use crate::trace::ctf::tsdl::parse_uuid;

/// What each fragment starts with (RFC 7464).
pub(crate) const SEPARATOR: u8 = 0x1e;

/// Why fragments are not metadata of CTF 2.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("fragment {fragment}: {what}")]
pub struct JsonError {
    /// Counted from 1.
    pub fragment: u32,
    /// What is wrong there.
    pub what: String,
}

type Result<T> = std::result::Result<T, String>;

/// Parses a metadata stream, which starts with a [`SEPARATOR`].
///
/// # Errors
/// At the first fragment that is not one of CTF 2, or has something unsupported.
pub(crate) fn parse(bytes: &[u8]) -> std::result::Result<Document, JsonError> {
    let mut reader = Reader::default();
    let fragments = bytes.split(|&byte| byte == SEPARATOR).skip(1);
    let mut count = 0;
    for (number, fragment) in (1..).zip(fragments) {
        count = number;
        reader
            .fragment(fragment, number)
            .map_err(|what| JsonError {
                fragment: number,
                what,
            })?;
    }
    if reader.saw_preamble {
        Ok(reader.document)
    } else {
        Err(JsonError {
            fragment: count,
            what: "there is no preamble".to_owned(),
        })
    }
}

#[derive(Default)]
struct Reader {
    document: Document,
    saw_preamble: bool,
    /// Field classes by the names of their aliases.
    aliases: HashMap<String, Type>,
}

impl Reader {
    fn fragment(&mut self, bytes: &[u8], number: u32) -> Result<()> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let kind = text(&value, "type")?.ok_or("it has no `type`")?;
        if !self.saw_preamble && kind != "preamble" {
            return Err(format!("expected the preamble, found `{kind}`"));
        }
        match kind {
            "preamble" => self.preamble(&value),
            "field-class-alias" => self.alias(&value),
            "trace-class" => self.trace(&value),
            "clock-class" => self.clock(&value),
            "data-stream-class" => self.stream(&value),
            "event-record-class" => self.event(&value, number),
            other => Err(format!("unknown type `{other}`")),
        }
    }

    fn preamble(&mut self, value: &Value) -> Result<()> {
        if self.saw_preamble {
            return Err("a second preamble".to_owned());
        }
        match value.get("version").and_then(Value::as_u64) {
            Some(2) => {}
            Some(other) => return Err(format!("CTF {other} is not supported, only 1.8 and 2")),
            None => return Err("it has no `version`".to_owned()),
        }
        let extensions = value.get("extensions").and_then(Value::as_object);
        if extensions.is_some_and(|extensions| !extensions.is_empty()) {
            return Err("extensions are not supported".to_owned());
        }
        self.saw_preamble = true;
        if let Some(uuid) = value.get("uuid") {
            let bytes: Option<Vec<u8>> = uuid.as_array().and_then(|bytes| {
                let byte = |byte: &Value| u8::try_from(byte.as_u64()?).ok();
                bytes.iter().map(byte).collect()
            });
            let bytes = bytes.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
            self.document.uuid = Some(bytes.ok_or("its `uuid` is not 16 bytes")?);
        }
        Ok(())
    }

    fn alias(&mut self, value: &Value) -> Result<()> {
        let name = text(value, "name")?.ok_or("it has no `name`")?;
        let ty = self.field_class(value, "field-class")?;
        let ty = ty.ok_or("it has no `field-class`")?;
        self.aliases.insert(name.to_owned(), ty);
        Ok(())
    }

    fn trace(&mut self, value: &Value) -> Result<()> {
        self.document.packet_header = self.field_class(value, "packet-header-field-class")?;
        let env = value.get("environment").and_then(Value::as_object);
        for (name, value) in env.into_iter().flatten() {
            let value = match value {
                Value::String(text) => EnvValue::Text(text.clone()),
                Value::Number(number) => {
                    let number = number.as_i64();
                    EnvValue::Number(number.ok_or("a number of 64 bits is expected")?)
                }
                _ => return Err(format!("`{name}` is neither text nor number")),
            };
            self.document.env.push((name.clone(), value));
        }
        Ok(())
    }

    fn clock(&mut self, value: &Value) -> Result<()> {
        // drafts of CTF 2 had no `id`
        let name = text(value, "id")?.or(text(value, "name")?);
        let offset = value.get("offset-from-origin");
        let part = |name: &str| match offset.and_then(|offset| offset.get(name)) {
            None => Ok(0),
            Some(part) => part
                .as_i64()
                .ok_or_else(|| format!("`{name}` of its offset is not a number of 64 bits")),
        };
        self.document.clocks.push(ClockBlock {
            name: name.ok_or("it has no `id`")?.to_owned(),
            uuid: text(value, "uid")?.and_then(parse_uuid),
            frequency: unsigned(value, "frequency")?.ok_or("it has no `frequency`")?,
            offset_s: part("seconds")?,
            offset: part("cycles")?,
        });
        Ok(())
    }

    fn stream(&mut self, value: &Value) -> Result<()> {
        let stream = StreamBlock {
            id: unsigned(value, "id")?.unwrap_or(0),
            clock: text(value, "default-clock-class-id")?
                .or(text(value, "default-clock-class-name")?)
                .map(str::to_owned),
            packet_context: self.field_class(value, "packet-context-field-class")?,
            event_header: self.field_class(value, "event-record-header-field-class")?,
            event_context: self.field_class(value, "event-record-common-context-field-class")?,
        };
        self.document.streams.push(stream);
        Ok(())
    }

    fn event(&mut self, value: &Value, number: u32) -> Result<()> {
        let event = EventBlock {
            name: text(value, "name")?.unwrap_or_default().to_owned(),
            id: unsigned(value, "id")?.unwrap_or(0),
            stream_id: unsigned(value, "data-stream-class-id")?.unwrap_or(0),
            context: self.field_class(value, "specific-context-field-class")?,
            fields: self.field_class(value, "payload-field-class")?,
            line: number,
        };
        self.document.events.push(event);
        Ok(())
    }

    /// The field class that is the property `name`, if there is one.
    fn field_class(&self, value: &Value, name: &str) -> Result<Option<Type>> {
        let class = value.get(name);
        class.map(|class| self.ty(class)).transpose()
    }
}

/// The property `name`, if there is one.
fn text<'a>(value: &'a Value, name: &str) -> Result<Option<&'a str>> {
    let property = value.get(name);
    property
        .map(|found| {
            found
                .as_str()
                .ok_or_else(|| format!("`{name}` is not text"))
        })
        .transpose()
}

/// The property `name`, if there is one.
fn unsigned(value: &Value, name: &str) -> Result<Option<u64>> {
    let property = value.get(name);
    property
        .map(|found| {
            found
                .as_u64()
                .ok_or_else(|| format!("`{name}` is not an unsigned number"))
        })
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(fragments: &[&str]) -> String {
        let bytes = ["", &fragments.join("\x1e")].join("\x1e");
        parse(bytes.as_bytes()).unwrap_err().to_string()
    }

    const PREAMBLE: &str = r#"{"type":"preamble","version":2}"#;

    #[test]
    fn an_error_names_its_fragment() {
        let unknown = error_of(&[PREAMBLE, r#"{"type":"x"}"#]);
        assert_eq!(unknown, "fragment 2: unknown type `x`");
    }

    #[test]
    fn the_preamble_comes_first_and_once() {
        assert!(error_of(&[r#"{"type":"trace-class"}"#]).contains("expected the preamble"));
        assert!(error_of(&[PREAMBLE, PREAMBLE]).contains("second preamble"));
        assert!(error_of(&["{\"type\":\"preamble\",\"version\":\"2\"}"]).contains("no `version`"));
    }

    #[test]
    fn other_versions_are_refused() {
        let other = error_of(&[r#"{"type":"preamble","version":3}"#]);
        assert!(other.contains("CTF 3 is not supported"), "{other}");
    }
}
