//! Values of fields, read in place from the bytes of a packet.

use std::sync::Arc;

use crate::trace::class::{ClassField, Fields};
use crate::trace::ctf::schema::{Encoding, Float};
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
    /// A floating-point number.
    Float(f64),
    /// The members of a structure; of a variant, the one that was chosen.
    Struct(Fields<'a>),
    /// Elements that are not plain numbers.
    List(List<'a>),
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
    /// The number, whether its type is signed or not.
    #[must_use]
    pub const fn value(self) -> i128 {
        if self.ty.signed {
            self.raw as i64 as i128
        } else {
            self.raw as i128
        }
    }

    /// The bits as stored, without sign extension.
    #[must_use]
    pub const fn stored_bits(self) -> u64 {
        self.raw & (u64::MAX >> (64 - self.ty.size_bits))
    }
}

/// How a number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bits {
    pub(crate) ty: IntegerType,
    pub(crate) encoding: Encoding,
}

impl From<IntegerType> for Bits {
    /// As this project's traces have it.
    fn from(ty: IntegerType) -> Self {
        Self {
            ty,
            encoding: Encoding::LittleEndian,
        }
    }
}

/// Values of fields that others refer to: lengths and selectors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slots([u64; Self::COUNT as usize]);

impl Slots {
    /// How many there are.
    pub(crate) const COUNT: u8 = 16;
    pub(crate) const EMPTY: Self = Self([0; Self::COUNT as usize]);
}

/// Something that has slots.
pub(crate) trait Slotted {
    fn slots(&self) -> &Slots;

    /// Keeps a value, unless it is known already.
    fn set(&mut self, slot: u8, value: u64);

    fn get(&self, slot: u8) -> u64 {
        self.slots().0.get(usize::from(slot)).copied().unwrap_or(0)
    }
}

impl Slotted for Slots {
    fn slots(&self) -> &Slots {
        self
    }

    fn set(&mut self, slot: u8, value: u64) {
        if let Some(place) = self.0.get_mut(usize::from(slot)) {
            *place = value;
        }
    }
}

/// The slots of an event, or of one element of a list in it, that was stepped over before: no
/// value changes any more.
#[derive(Clone, Debug)]
pub(crate) enum View<'a> {
    Event(&'a Slots),
    Element(Arc<Slots>),
}

impl Slotted for View<'_> {
    fn slots(&self) -> &Slots {
        match self {
            Self::Event(slots) => slots,
            Self::Element(slots) => slots,
        }
    }

    fn set(&mut self, _slot: u8, _value: u64) {}
}

/// Iterator over the elements of an array or a sequence.
#[derive(Clone, Debug)]
pub struct Numbers<'a> {
    cursor: Cursor<'a>,
    element: Bits,
    left: u32,
}

/// Elements that are not plain numbers, one after the other.
#[derive(Clone, Debug)]
pub struct List<'a> {
    element: &'a ClassField,
    left: u32,
    cursor: Cursor<'a>,
    view: View<'a>,
    /// Each element has values of its own in the slots.
    has_slots: bool,
}

impl<'a> List<'a> {
    pub(crate) fn new(
        element: &'a ClassField,
        count: u32,
        cursor: Cursor<'a>,
        view: View<'a>,
    ) -> Self {
        Self {
            element,
            left: count,
            cursor,
            view,
            has_slots: element.has_slot(),
        }
    }
}

impl<'a> Iterator for List<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        self.left = self.left.checked_sub(1)?;
        if self.has_slots {
            let mut slots = *self.view.slots();
            self.element.skip(&mut self.cursor.clone(), &mut slots)?;
            let mut view = View::Element(Arc::new(slots));
            return self.element.read(&mut self.cursor, &mut view);
        }
        self.element.read(&mut self.cursor, &mut self.view)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left as usize))
    }
}

impl Iterator for Numbers<'_> {
    type Item = Number;

    fn next(&mut self) -> Option<Number> {
        self.left = self.left.checked_sub(1)?;
        let raw = self.cursor.integer(self.element)?;
        Some(Number {
            raw,
            ty: self.element.ty,
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

    /// The place `bits` further on, which may be after the end.
    #[inline]
    pub(crate) const fn ahead(mut self, bits: u64) -> Self {
        self.position = self.position.saturating_add(bits);
        self
    }

    /// Text in `len` bytes, up to the first NUL.
    #[inline]
    pub(crate) fn characters(&self, len: u32) -> Option<&'a [u8]> {
        let start = (self.position / 8) as usize;
        let bytes = self.bytes.get(start..start + len as usize)?;
        let end = bytes.iter().position(|&byte| byte == 0);
        Some(&bytes[..end.unwrap_or(bytes.len())])
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

    /// Reads a number as it is stored.
    #[inline]
    pub(crate) fn integer(&mut self, bits: Bits) -> Option<u64> {
        match bits.encoding {
            Encoding::LittleEndian => self.number(bits.ty),
            Encoding::BigEndian => self.big_endian(bits.ty),
            Encoding::Variable => self.variable(bits.ty.signed),
        }
    }

    fn big_endian(&mut self, ty: IntegerType) -> Option<u64> {
        self.align(u64::from(ty.align_bits));
        let first = self.position;
        self.skip(u64::from(ty.size_bits))?;
        let count = (first % 8 + u64::from(ty.size_bits)).div_ceil(8);
        let at = (first / 8) as usize;
        let wide = self
            .bytes
            .get(at..at + count as usize)?
            .iter()
            .fold(0u128, |value, &byte| value << 8 | u128::from(byte));
        let after = count * 8 - first % 8 - u64::from(ty.size_bits);
        Some(extended((wide >> after) as u64, ty))
    }

    /// LEB128; `None` for more than 64 bits, too.
    fn variable(&mut self, signed: bool) -> Option<u64> {
        self.align(8);
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let at = (self.position / 8) as usize;
            self.skip(8)?;
            let byte = *self.bytes.get(at)?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                if signed && byte & 0x40 != 0 && shift < 57 {
                    value |= u64::MAX << (shift + 7);
                }
                return Some(value);
            }
        }
        None
    }

    pub(crate) fn float(&mut self, float: Float) -> Option<f64> {
        let bits = self.integer(Bits {
            ty: IntegerType {
                size_bits: float.size_bits,
                align_bits: float.align_bits,
                signed: false,
                display: Display::Decimal,
            },
            encoding: if float.big_endian {
                Encoding::BigEndian
            } else {
                Encoding::LittleEndian
            },
        })?;
        Some(if float.size_bits == 32 {
            f64::from(f32::from_bits(bits as u32))
        } else {
            f64::from_bits(bits)
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
    pub(crate) fn elements(&mut self, element: Bits, length: u32) -> Option<Value<'a>> {
        let ty = element.ty;
        self.align(u64::from(ty.align_bits));
        let from = *self;
        if element.encoding == Encoding::Variable {
            for _ in 0..length {
                self.variable(ty.signed)?;
            }
            return Some(from.numbers(element, length));
        }
        let size = u64::from(ty.size_bits);
        let stride = size.next_multiple_of(u64::from(ty.align_bits));
        if let Some(others) = length.checked_sub(1) {
            self.skip(u64::from(others) * stride + size)?;
        }
        let characters = ty.display == Display::Text && stride == 8 && size == 8;
        if !characters || !from.position.is_multiple_of(8) {
            return Some(from.numbers(element, length));
        }
        from.characters(length).map(Value::Text)
    }

    const fn numbers(self, element: Bits, count: u32) -> Value<'a> {
        Value::Numbers(Numbers {
            cursor: self,
            element,
            left: count,
        })
    }
}

/// A little-endian number of any size that starts at bit `shift` of `bytes`.
#[inline]
fn bits(bytes: &[u8], shift: u64, ty: IntegerType) -> Option<u64> {
    let end = shift + u64::from(ty.size_bits);
    if let Some(word) = bytes.first_chunk().filter(|_| end <= 64) {
        return Some(extended(u64::from_le_bytes(*word) >> shift, ty));
    }
    let wide = bytes
        .get(..end.div_ceil(8) as usize)?
        .iter()
        .rev()
        .fold(0u128, |value, &byte| value << 8 | u128::from(byte));
    Some(extended((wide >> shift) as u64, ty))
}

/// The lowest bits of `bits`, as many as the type has, with its sign extended.
fn extended(bits: u64, ty: IntegerType) -> u64 {
    let unused = 64 - u32::from(ty.size_bits);
    let high = bits << unused;
    if ty.signed {
        (high as i64 >> unused) as u64
    } else {
        high >> unused
    }
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
    fn big_endian_bit_fields_start_at_the_highest_bit() {
        let bytes = [0b1010_0101, 0b1000_0000, 0x12, 0x34];
        let mut cursor = cursor(&bytes);
        let mut next = |ty: IntegerType| cursor.big_endian(ty);
        assert_eq!(next(ty(5, 1, false)), Some(0b10100));
        assert_eq!(next(ty(4, 1, true)), Some(0b1011 | u64::MAX << 4));
        assert_eq!(next(ty(16, 8, false)), Some(0x1234));
    }

    #[test]
    fn numbers_of_variable_length_have_seven_bits_a_byte() {
        let read = |bytes: &[u8], signed| cursor(bytes).variable(signed);
        assert_eq!(read(&[0xe5, 0x8e, 0x26], false), Some(624_485));
        assert_eq!(read(&[0xc0, 0xbb, 0x78], true), Some(-123_456_i64 as u64));
        let mut most = [0xff; 10];
        assert_eq!(read(&most, false), None);
        most[9] = 1;
        assert_eq!(read(&most, false), Some(u64::MAX));
        assert_eq!(read(&[0x80], false), None);
    }

    #[test]
    fn text_ends_at_its_first_nul() {
        let text = IntegerType::natural(1, false, Display::Text);
        let value = cursor(b"ab\0c").elements(text.into(), 4);
        assert!(matches!(value, Some(Value::Text(b"ab"))));
    }

    #[test]
    fn elements_keep_their_alignment() {
        let bytes = [1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0];
        let Some(Value::Numbers(numbers)) = cursor(&bytes).elements(ty(32, 64, false).into(), 2)
        else {
            panic!("numbers expected");
        };
        let raw: Vec<_> = numbers.map(|number| number.raw).collect();
        assert_eq!(raw, [1, 2]);
    }

    #[test]
    fn more_elements_than_content_are_refused() {
        assert!(
            cursor(&[0; 8])
                .elements(ty(64, 64, false).into(), u32::MAX)
                .is_none()
        );
    }
}
