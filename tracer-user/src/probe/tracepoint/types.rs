//! Types of fields, with their natural alignment, from the types of C that the kernel names.

use crate::kernel::tracefs::ctype::{self, strip_qualifiers};
use crate::kernel::tracefs::format::{FormatField, Shape};
use crate::trace::event::{Display, FieldType, IntegerType};

/// The type of a field that lies in the record itself and has `len` bits.
pub(super) fn fixed_type(field: &FormatField, len: u64, display: Option<Display>) -> FieldType {
    if let Shape::BitField(_) = field.shape {
        let display = display.filter(|&display| display != Display::Text);
        return FieldType::Integer(IntegerType {
            size_bits: len as u16,
            ..IntegerType::natural(1, field.signed, display.unwrap_or(Display::Decimal))
        });
    }
    let Shape::Array(count) = field.shape else {
        return match field.size {
            1 | 2 | 4 | 8 => FieldType::Integer(scalar(field, display)),
            _ => bytes(field.size),
        };
    };
    if strip_qualifiers(&field.c_type) == "char" {
        return FieldType::Array {
            element: IntegerType::natural(1, false, Display::Text),
            length: field.size,
        };
    }
    let element_size = match count {
        Some(count) if count > 0 && field.size.is_multiple_of(count) => Some(field.size / count),
        _ => ctype::lookup(&field.c_type).map(|known| u32::from(known.size)),
    };
    match element_size {
        Some(size @ (1 | 2 | 4 | 8))
            if field.size.is_multiple_of(size) && !field.c_type.starts_with("struct ") =>
        {
            FieldType::Array {
                element: element(field, size as u16, display),
                length: field.size / size,
            }
        }
        _ => bytes(field.size),
    }
}

fn scalar(field: &FormatField, display: Option<Display>) -> IntegerType {
    let display = match display {
        // Only a byte can be a character.
        Some(Display::Text) if field.size != 1 => Display::Decimal,
        Some(display) => display,
        None if is_pointer(&field.c_type) => Display::Hexadecimal,
        None => Display::Decimal,
    };
    IntegerType::natural(field.size as u16, field.signed, display)
}

/// An element of an array: unsigned bytes are data rather than numbers.
fn element(field: &FormatField, size: u16, display: Option<Display>) -> IntegerType {
    let raw_byte = size == 1 && !field.signed && strip_qualifiers(&field.c_type) != "bool";
    let display = match display {
        Some(display @ (Display::Hexadecimal | Display::Octal)) => display,
        _ if raw_byte || is_pointer(&field.c_type) => Display::Hexadecimal,
        _ => Display::Decimal,
    };
    IntegerType::natural(size, field.signed, display)
}

fn is_pointer(c_type: &str) -> bool {
    ctype::lookup(c_type).is_some_and(|known| known.pointer)
}

/// Values without a known type are displayed byte by byte.
fn bytes(length: u32) -> FieldType {
    FieldType::Array {
        element: BYTE,
        length,
    }
}

pub(super) const BYTE: IntegerType = IntegerType::natural(1, false, Display::Hexadecimal);

/// The type of a field that a locator word points to: a string or a sequence.
pub(super) fn dynamic_type(field: &FormatField, print_fmt: &str) -> FieldType {
    if strip_qualifiers(&field.c_type) == "char" && !is_hex_dump(&field.name, print_fmt) {
        return FieldType::String;
    }
    let element = match ctype::lookup(&field.c_type) {
        Some(known) if known.size > 1 => {
            // `__print_array` of the kernel prints words in hexadecimal, too.
            let display = if known.signed || known.size < 8 {
                Display::Decimal
            } else {
                Display::Hexadecimal
            };
            IntegerType::natural(known.size, known.signed, display)
        }
        _ => BYTE,
    };
    FieldType::Sequence { element }
}

/// Characters that the kernel dumps as bytes are not a string and may contain zeroes.
fn is_hex_dump(name: &str, print_fmt: &str) -> bool {
    ["dynamic_array", "rel_dynamic_array"].iter().any(|getter| {
        ["__print_hex", "__print_hex_str"]
            .iter()
            .any(|printer| print_fmt.contains(&format!("{printer}(__get_{getter}({name})")))
    })
}
