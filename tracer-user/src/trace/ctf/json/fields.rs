//! Field classes.

use std::sync::Arc;

use serde_json::Value;

use crate::trace::ctf::json::{Reader, Result, text, unsigned};
use crate::trace::ctf::schema::{
    Array, Encoding, Enumeration, Float, Integer, Length, MAX_ALIGN_BITS, MAX_ARRAY_LENGTH,
    MAX_MEMBERS, Member, Reference, Role, Scope, Selected, Size, Struct, Type, Variant,
    VariantOption,
};
use crate::trace::event::{Display, IntegerType};

impl Reader {
    /// A field class, or the name of one.
    pub(super) fn ty(&self, class: &Value) -> Result<Type> {
        if let Some(alias) = class.as_str() {
            let found = self.aliases.get(alias).cloned();
            return found.ok_or_else(|| format!("there is no field class `{alias}`"));
        }
        let kind = text(class, "type")?.ok_or("a field class has no `type`")?;
        match kind {
            "fixed-length-bit-array" | "fixed-length-bit-map" => {
                let bits = fixed(class, false, Display::Hexadecimal)?;
                Ok(Type::Integer(bits))
            }
            "fixed-length-boolean" => {
                let base = fixed(class, false, Display::Decimal)?;
                let most = i128::from(u64::MAX);
                let labels = vec![(0, 0, "false".to_owned()), (1, most, "true".to_owned())];
                Ok(Type::Enumeration(Arc::new(Enumeration { base, labels })))
            }
            "fixed-length-unsigned-integer" => with_names(class, fixed_number(class, false)?),
            "fixed-length-signed-integer" => with_names(class, fixed_number(class, true)?),
            "variable-length-unsigned-integer" => with_names(class, variable(class, false)?),
            "variable-length-signed-integer" => with_names(class, variable(class, true)?),
            "fixed-length-floating-point-number" => float(class).map(Type::Float),
            "null-terminated-string" => {
                check_utf8(class)?;
                Ok(Type::String)
            }
            "static-length-string" => {
                check_utf8(class)?;
                bytes(class, Display::Text, static_length(class)?)
            }
            "dynamic-length-string" => {
                check_utf8(class)?;
                bytes(class, Display::Text, dynamic_length(class)?)
            }
            "static-length-blob" => bytes(class, Display::Hexadecimal, static_length(class)?),
            "dynamic-length-blob" => bytes(class, Display::Hexadecimal, dynamic_length(class)?),
            "structure" => self.structure(class),
            "static-length-array" => self.array(class, static_length(class)?),
            "dynamic-length-array" => self.array(class, dynamic_length(class)?),
            "optional" => self.optional(class),
            "variant" => self.variant(class),
            other => Err(format!("unknown type of a field class: `{other}`")),
        }
    }

    fn required(&self, class: &Value, name: &str) -> Result<Type> {
        self.field_class(class, name)?
            .ok_or_else(|| format!("a field class has no `{name}`"))
    }

    fn structure(&self, class: &Value) -> Result<Type> {
        let classes = list(class, "member-classes")?;
        let member = |member: &Value| -> Result<Member> {
            let name = text(member, "name")?.ok_or("a member has no `name`")?;
            let ty = self.required(member, "field-class");
            Ok(Member {
                name: name.into(),
                ty: ty.map_err(|what| format!("member `{name}`: {what}"))?,
            })
        };
        let members = classes.iter().map(member).collect::<Result<Vec<_>>>()?;
        let size = Size::around(members.iter().map(|member| &member.ty)).ok_or(TOO_LARGE)?;
        Ok(Type::Struct(Arc::new(Struct {
            members,
            align_bits: align(class, "minimum-alignment")?,
            size,
        })))
    }

    fn array(&self, class: &Value, length: Length) -> Result<Type> {
        let element = self.required(class, "element-field-class")?;
        let size = Size::of_array(&element).ok_or(TOO_LARGE)?;
        Ok(Type::Array(Arc::new(Array {
            element,
            length,
            align_bits: align(class, "minimum-alignment")?,
            size,
        })))
    }

    fn optional(&self, class: &Value) -> Result<Type> {
        let ty = self.required(class, "field-class")?;
        let selected = match class.get("selector-field-ranges") {
            // a boolean
            None => vec![(i128::MIN, -1), (1, i128::MAX)],
            Some(ranges) => self::ranges(ranges)?,
        };
        let size = Size::around([&ty]).ok_or(TOO_LARGE)?;
        Ok(Type::Variant(Arc::new(Variant {
            selector: Some(location(class, "selector-field-location")?),
            optional: true,
            options: vec![
                VariantOption {
                    name: "present".into(),
                    ty,
                    selected: Selected::ByValue(selected),
                },
                VariantOption {
                    name: "absent".into(),
                    ty: Type::Struct(Arc::new(Struct {
                        align_bits: 1,
                        ..Struct::default()
                    })),
                    selected: Selected::ByValue(vec![(i128::MIN, i128::MAX)]),
                },
            ],
            size,
        })))
    }

    fn variant(&self, class: &Value) -> Result<Type> {
        let options = list(class, "options")?;
        let option = |(index, option): (usize, &Value)| -> Result<VariantOption> {
            let ranges = option.get("selector-field-ranges");
            let name = text(option, "name")?.map_or_else(|| index.to_string(), str::to_owned);
            Ok(VariantOption {
                name: name.into(),
                ty: self.required(option, "field-class")?,
                selected: Selected::ByValue(self::ranges(
                    ranges.ok_or("an option has no `selector-field-ranges`")?,
                )?),
            })
        };
        let options = options.iter().enumerate().map(option);
        let options = options.collect::<Result<Vec<_>>>()?;
        let size = Size::around(options.iter().map(|option| &option.ty)).ok_or(TOO_LARGE)?;
        Ok(Type::Variant(Arc::new(Variant {
            selector: Some(location(class, "selector-field-location")?),
            options,
            optional: false,
            size,
        })))
    }
}

const TOO_LARGE: &str = "a field class is nested too deeply or too large";

/// The property `name`, an array that is not too long; no such property is an empty one.
fn list<'a>(value: &'a Value, name: &str) -> Result<&'a [Value]> {
    let Some(found) = value.get(name) else {
        return Ok(&[]);
    };
    let found = found
        .as_array()
        .ok_or_else(|| format!("`{name}` is not an array"))?;
    if found.len() > MAX_MEMBERS {
        return Err(format!("`{name}` has too many elements"));
    }
    Ok(found)
}

fn align(class: &Value, name: &str) -> Result<u64> {
    let bits = unsigned(class, name)?.unwrap_or(1);
    if bits.is_power_of_two() && bits <= MAX_ALIGN_BITS {
        Ok(bits)
    } else {
        Err(format!("nothing can be aligned to {bits} bits"))
    }
}

fn is_big_endian(class: &Value) -> Result<bool> {
    let big_endian = match text(class, "byte-order")? {
        Some("little-endian") => false,
        Some("big-endian") => true,
        Some(other) => return Err(format!("`{other}` is not a byte order")),
        None => return Err("a field class has no `byte-order`".to_owned()),
    };
    match (text(class, "bit-order")?, big_endian) {
        (None, _) | (Some("first-to-last"), false) | (Some("last-to-first"), true) => {
            Ok(big_endian)
        }
        _ => Err("bits in the order opposite to the bytes' are not supported".to_owned()),
    }
}

fn display(class: &Value) -> Result<Display> {
    Ok(match unsigned(class, "preferred-display-base")? {
        Some(16) => Display::Hexadecimal,
        Some(8) => Display::Octal,
        _ => Display::Decimal,
    })
}

fn fixed_number(class: &Value, signed: bool) -> Result<Integer> {
    fixed(class, signed, display(class)?)
}

/// Bits of a fixed number.
fn fixed(class: &Value, signed: bool, display: Display) -> Result<Integer> {
    let size_bits = unsigned(class, "length")?.ok_or("a field class has no `length`")?;
    if !(1..=64).contains(&size_bits) {
        return Err(format!("an integer cannot have {size_bits} bits"));
    }
    Ok(Integer {
        ty: IntegerType {
            size_bits: size_bits as u16,
            align_bits: align(class, "alignment")? as u16,
            signed,
            display,
        },
        encoding: if is_big_endian(class)? {
            Encoding::BigEndian
        } else {
            Encoding::LittleEndian
        },
        clock: None,
        role: role(class)?,
    })
}

fn variable(class: &Value, signed: bool) -> Result<Integer> {
    Ok(Integer {
        ty: IntegerType {
            size_bits: 64,
            align_bits: 8,
            signed,
            display: display(class)?,
        },
        encoding: Encoding::Variable,
        clock: None,
        role: role(class)?,
    })
}

fn float(class: &Value) -> Result<Float> {
    let size_bits = match unsigned(class, "length")? {
        Some(32) => 32,
        Some(64) => 64,
        _ => return Err("only floating-point numbers of 32 and 64 bits are supported".to_owned()),
    };
    Ok(Float {
        size_bits,
        align_bits: align(class, "alignment")? as u16,
        big_endian: is_big_endian(class)?,
    })
}

/// What the number is for; roles that nothing here needs are passed over.
fn role(class: &Value) -> Result<Option<Role>> {
    let roles = list(class, "roles")?.iter().filter_map(Value::as_str);
    let mut known = roles.filter_map(|role| {
        Some(match role {
            "packet-magic-number" => Role::Magic,
            "metadata-stream-uuid" => Role::Uuid,
            "data-stream-class-id" => Role::StreamClass,
            "data-stream-id" => Role::StreamInstance,
            "packet-total-length" => Role::PacketBits,
            "packet-content-length" => Role::ContentBits,
            "default-clock-timestamp" => Role::Timestamp,
            "packet-end-default-clock-timestamp" => Role::TimestampEnd,
            "packet-sequence-number" => Role::Sequence,
            "discarded-event-record-counter-snapshot" => Role::Discarded,
            "event-record-class-id" => Role::EventClass,
            _ => return None,
        })
    });
    Ok(known.next())
}

/// The number as an enumeration, if it has mappings.
fn with_names(class: &Value, base: Integer) -> Result<Type> {
    let mappings = class.get("mappings").and_then(Value::as_object);
    let mut labels = Vec::new();
    for (name, ranges) in mappings.into_iter().flatten() {
        for (first, last) in self::ranges(ranges)? {
            labels.push((first, last, name.clone()));
        }
    }
    if labels.len() > MAX_MEMBERS {
        return Err("an enumeration with too many names".to_owned());
    }
    if labels.is_empty() {
        return Ok(Type::Integer(base));
    }
    Ok(Type::Enumeration(Arc::new(Enumeration { base, labels })))
}

/// `[[1, 2], [5, 5]]`.
fn ranges(ranges: &Value) -> Result<Vec<(i128, i128)>> {
    let number = |value: &Value| {
        let signed = value.as_i64().map(i128::from);
        signed.or_else(|| value.as_u64().map(i128::from))
    };
    let range = |range: &Value| match range.as_array().map(Vec::as_slice) {
        Some([first, last]) => Some((number(first)?, number(last)?)),
        _ => None,
    };
    let ranges = ranges
        .as_array()
        .filter(|ranges| ranges.len() <= MAX_MEMBERS);
    let ranges: Option<Vec<_>> = ranges.and_then(|ranges| ranges.iter().map(range).collect());
    ranges.ok_or_else(|| "expected ranges such as `[[0, 3], [5, 5]]`".to_owned())
}

fn check_utf8(class: &Value) -> Result<()> {
    match text(class, "encoding")? {
        None | Some("utf-8") => Ok(()),
        Some(other) => Err(format!("text in {other} is not supported")),
    }
}

fn static_length(class: &Value) -> Result<Length> {
    let length = unsigned(class, "length")?.ok_or("a field class has no `length`")?;
    if length > MAX_ARRAY_LENGTH {
        return Err(format!("an array cannot have {length} elements"));
    }
    Ok(Length::Fixed(length as u32))
}

fn dynamic_length(class: &Value) -> Result<Length> {
    location(class, "length-field-location").map(Length::Field)
}

/// An array of bytes.
fn bytes(class: &Value, display: Display, length: Length) -> Result<Type> {
    let element = Type::Integer(Integer {
        ty: IntegerType::natural(1, false, display),
        encoding: Encoding::LittleEndian,
        clock: None,
        role: role(class)?,
    });
    let size = Size::of_array(&element).ok_or(TOO_LARGE)?;
    Ok(Type::Array(Arc::new(Array {
        element,
        length,
        align_bits: 8,
        size,
    })))
}

/// A field location (CTF2-SPEC-2.0 §5.3.2).
fn location(class: &Value, name: &str) -> Result<Reference> {
    let location = class
        .get(name)
        .ok_or_else(|| format!("a field class has no `{name}`"))?;
    let origin = match text(location, "origin")? {
        None => None,
        Some("packet-header") => Some(Scope::PacketHeader),
        Some("packet-context") => Some(Scope::PacketContext),
        Some("event-record-header") => Some(Scope::EventHeader),
        Some("event-record-common-context") => Some(Scope::StreamContext),
        Some("event-record-specific-context") => Some(Scope::EventContext),
        Some("event-record-payload") => Some(Scope::Payload),
        Some(other) => return Err(format!("`{other}` is not the origin of a location")),
    };
    let element = |element: &Value| match element {
        Value::Null => Some(None),
        Value::String(name) => Some(Some(name.as_str().into())),
        _ => None,
    };
    let path: Option<Vec<_>> = list(location, "path")?.iter().map(element).collect();
    let path = path.ok_or_else(|| format!("the path of `{name}` is not one of names"))?;
    Ok(Reference::Location { origin, path })
}
