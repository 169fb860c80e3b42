//! Values of fields, read in place from the bytes of a packet.

use crate::trace::event::{Display, IntegerType, Label, LabelKind, Labels};

/// The value of a field; text and arrays borrow from the packet.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// A number.
    Number(Number),
    /// A number that has a label in the metadata.
    Labeled(Number, ValueLabel<'a>),
    /// Text up to the first NUL, which is excluded. Not necessarily UTF-8.
    Text(&'a [u8]),
    /// The elements of an array or a sequence.
    Numbers(Numbers<'a>),
}

/// The label of a number.
#[derive(Clone, Copy, Debug)]
pub enum ValueLabel<'a> {
    /// The name of the value.
    Value(&'a str),
    /// The names of its bits, of which at least one has a name.
    Bits(SetBits<'a>),
}

/// The bits of a number that are set.
#[derive(Clone, Copy, Debug)]
pub struct SetBits<'a> {
    bits: u64,
    labels: &'a [Label],
    delimiter: &'a str,
}

impl<'a> ValueLabel<'a> {
    /// `None` if neither the value nor any of its bits has a label.
    pub(crate) fn of_number(number: Number, labels: &'a Labels) -> Option<Self> {
        let value = |value| {
            let mut entries = labels.entries.iter();
            let label = entries.find(|label| label.value == value)?;
            Some(Self::Value(label.name.as_str()))
        };
        let LabelKind::Bits { delimiter } = &labels.kind else {
            return value(number.raw);
        };
        let bits = number.stored_bits();
        if bits == 0 {
            return value(0);
        }
        let set = SetBits {
            bits,
            labels: &labels.entries,
            delimiter,
        };
        let (mut any, mut rest) = (false, 0);
        set.each(|_| any = true, |bits| rest = bits);
        any.then_some(Self::Bits(set))
    }
}

impl<'a> SetBits<'a> {
    /// Calls `name` for each name, in the order of the kernel
    /// (`trace_print_flags_seq` in `kernel/trace/trace_output.c`), then `rest` with the bits
    /// that have none, if there are any.
    pub fn each(&self, mut name: impl FnMut(&'a str), rest: impl FnOnce(u64)) {
        let mut bits = self.bits;
        for label in self.labels {
            if label.value != 0 && bits & label.value == label.value {
                bits &= !label.value;
                name(&label.name);
            }
        }
        if bits != 0 {
            rest(bits);
        }
    }

    /// Separator of the names.
    #[must_use]
    pub const fn delimiter(&self) -> &'a str {
        self.delimiter
    }
}

/// A number and its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// Two's complement, sign-extended to 64 bits if the type is signed.
    pub raw: u64,
    /// How it is stored and displayed.
    pub ty: IntegerType,
}

impl Number {
    /// The bits as stored, without sign extension.
    #[must_use]
    pub const fn stored_bits(self) -> u64 {
        self.raw & (u64::MAX >> (64 - self.ty.size_bits))
    }
}

/// Iterator over the elements of an array or a sequence.
#[derive(Clone, Debug)]
pub struct Numbers<'a> {
    cursor: Cursor<'a>,
    element: IntegerType,
    left: u32,
}

impl Iterator for Numbers<'_> {
    type Item = Number;

    fn next(&mut self) -> Option<Number> {
        self.left = self.left.checked_sub(1)?;
        let raw = self.cursor.number(self.element)?;
        Some(Number {
            raw,
            ty: self.element,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left as usize))
    }
}

/// A position in the content of a packet. Never reads past the end of the content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    /// Bits from the start of the packet.
    position: u64,
    end: u64,
}

impl<'a> Cursor<'a> {
    /// A cursor at bit `position` of a packet whose content ends at bit `end`.
    pub(crate) fn new(bytes: &'a [u8], position: u64, end: u64) -> Self {
        Self {
            bytes,
            position,
            end: end.min(bytes.len() as u64 * 8),
        }
    }

    pub(crate) const fn position(&self) -> u64 {
        self.position
    }

    /// Moves to the next multiple of `align_bits`, which may be past the end.
    #[inline]
    pub(crate) const fn align(&mut self, align_bits: u64) {
        self.position = (self.position + align_bits - 1) & !(align_bits - 1);
    }

    /// Skips `bits`; `None` if fewer are left.
    #[inline]
    pub(crate) fn skip(&mut self, bits: u64) -> Option<()> {
        let next = self.position.checked_add(bits)?;
        if next > self.end {
            return None;
        }
        self.position = next;
        Some(())
    }

    /// Reads a number at the next position with the alignment of its type.
    #[inline]
    pub(crate) fn number(&mut self, ty: IntegerType) -> Option<u64> {
        self.align(u64::from(ty.align_bits));
        let first = self.position;
        self.skip(u64::from(ty.size_bits))?;
        let at = (first / 8) as usize;
        let bytes = self.bytes.get(at..)?;
        if !first.is_multiple_of(8) {
            return bits(bytes, first % 8, ty);
        }
        Some(match (ty.size_bits, ty.signed) {
            (8, false) => u64::from(*bytes.first()?),
            (32, false) => u64::from(u32::from_le_bytes(*bytes.first_chunk()?)),
            (32, true) => i64::from(i32::from_le_bytes(*bytes.first_chunk()?)) as u64,
            (64, _) => u64::from_le_bytes(*bytes.first_chunk()?),
            (16, false) => u64::from(u16::from_le_bytes(*bytes.first_chunk()?)),
            (16, true) => i64::from(i16::from_le_bytes(*bytes.first_chunk()?)) as u64,
            _ => return bits(bytes, 0, ty),
        })
    }

    /// The bytes up to the next NUL, which is skipped.
    pub(crate) fn string(&mut self) -> Option<&'a [u8]> {
        self.align(8);
        let rest = self
            .bytes
            .get((self.position / 8) as usize..(self.end / 8) as usize)?;
        let len = rest.iter().position(|&byte| byte == 0)?;
        self.position += (len as u64 + 1) * 8;
        rest.get(..len)
    }

    /// Reads `length` elements: text if they are characters of one byte.
    pub(crate) fn elements(&mut self, element: IntegerType, length: u32) -> Option<Value<'a>> {
        self.align(u64::from(element.align_bits));
        let from = *self;
        let size = u64::from(element.size_bits);
        let stride = size.next_multiple_of(u64::from(element.align_bits));
        if let Some(others) = length.checked_sub(1) {
            self.skip(u64::from(others) * stride + size)?;
        }
        let characters = element.display == Display::Text && stride == 8 && size == 8;
        if !characters || !from.position.is_multiple_of(8) {
            return Some(Value::Numbers(Numbers {
                cursor: from,
                element,
                left: length,
            }));
        }
        let start = (from.position / 8) as usize;
        let bytes = self.bytes.get(start..start + length as usize)?;
        let len = bytes.iter().position(|&byte| byte == 0);
        Some(Value::Text(&bytes[..len.unwrap_or(bytes.len())]))
    }
}

/// A little-endian number of any size that starts at bit `shift` of `bytes`.
#[cold]
fn bits(bytes: &[u8], shift: u64, ty: IntegerType) -> Option<u64> {
    let count = (shift + u64::from(ty.size_bits)).div_ceil(8) as usize;
    let wide = bytes
        .get(..count)?
        .iter()
        .rev()
        .fold(0u128, |value, &byte| value << 8 | u128::from(byte));
    let unused = 64 - u32::from(ty.size_bits);
    let high = ((wide >> shift) as u64) << unused;
    Some(if ty.signed {
        (high as i64 >> unused) as u64
    } else {
        high >> unused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ty(size_bits: u16, align_bits: u16, signed: bool) -> IntegerType {
        IntegerType {
            size_bits,
            align_bits,
            signed,
            display: Display::Decimal,
        }
    }

    fn cursor(bytes: &[u8]) -> Cursor<'_> {
        Cursor::new(bytes, 0, bytes.len() as u64 * 8)
    }

    #[test]
    fn bit_fields_start_at_the_lowest_bit() {
        let bytes = [0b1010_0101, 0b0000_0001];
        let mut cursor = cursor(&bytes);
        assert_eq!(cursor.number(ty(5, 1, false)), Some(0b00101));
        assert_eq!(cursor.number(ty(4, 1, false)), Some(0b1101));
    }

    #[test]
    fn signs_are_extended() {
        for size in [3, 8, 16, 24, 32, 64] {
            let bytes = [0xff; 8];
            assert_eq!(cursor(&bytes).number(ty(size, 1, true)), Some(u64::MAX));
        }
    }

    #[test]
    fn a_number_can_span_nine_bytes() {
        let bytes = [0xf0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f];
        let mut cursor = Cursor::new(&bytes, 4, 72);
        assert_eq!(cursor.number(ty(64, 1, false)), Some(u64::MAX));
    }

    #[test]
    fn nothing_is_read_past_the_end_of_the_content() {
        let bytes = [1; 16];
        assert_eq!(Cursor::new(&bytes, 0, 31).number(ty(32, 8, false)), None);
        assert_eq!(Cursor::new(&bytes, 0, 1 << 40).skip(129), None);
        assert_eq!(Cursor::new(&bytes, 1 << 40, 1 << 41).string(), None);
    }

    #[test]
    fn text_ends_at_its_first_nul() {
        let text = IntegerType::natural(1, false, Display::Text);
        let value = cursor(b"ab\0c").elements(text, 4);
        assert!(matches!(value, Some(Value::Text(b"ab"))));
    }

    #[test]
    fn elements_keep_their_alignment() {
        let bytes = [1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0];
        let Some(Value::Numbers(numbers)) = cursor(&bytes).elements(ty(32, 64, false), 2) else {
            panic!("numbers expected");
        };
        let raw: Vec<_> = numbers.map(|number| number.raw).collect();
        assert_eq!(raw, [1, 2]);
    }

    #[test]
    fn more_elements_than_content_are_refused() {
        assert!(
            cursor(&[0; 8])
                .elements(ty(64, 64, false), u32::MAX)
                .is_none()
        );
    }
}
