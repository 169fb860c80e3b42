//! Layout of fetched values in the payload of an event.
//!
//! First a mask of the values that could not be read (if any is read from memory), then
//! what has a fixed size, each value with its natural alignment, then the strings, one after
//! the other. The fields of the class are in the same order.

use std::iter;

use crate::probe::fetch::value::{
    FETCH_FAULT, Fetch, Fetched, FieldSource, Load, MAX_FETCHED, MAX_FETCHED_STRING,
};
use crate::trace::event::{Display, Field, FieldType, IntegerType};

/// Values start at a multiple of 8 bytes, which is the alignment of the first field.
const ALIGN_BITS: u16 = 64;

const MASK: IntegerType = IntegerType {
    align_bits: ALIGN_BITS,
    ..IntegerType::natural(4, false, Display::Hexadecimal)
};

/// Fetched values, each with its offset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Values of fixed size, each with its offset in bytes.
    pub fixed: Vec<(u32, Fetched)>,
    /// Strings, one after the other, after the rest.
    pub strings: Vec<Fetched>,
    /// A mask of faults, of 4 bytes, precedes all values.
    pub faults: bool,
    /// Bytes before the strings.
    pub len: u32,
}

impl Layout {
    /// Lays out `fetched`; values beyond [`MAX_FETCHED`] are left out.
    #[must_use]
    pub fn new(fetched: &[Fetched]) -> Self {
        let fetched = fetched.get(..MAX_FETCHED).unwrap_or(fetched);
        let faults = fetched.iter().any(|value| value.fetch.reads_memory());
        let mut layout = Self {
            faults,
            len: if faults { 4 } else { 0 },
            ..Self::default()
        };
        for value in fetched {
            match size_and_alignment(&value.field.ty) {
                Some((size, align)) => {
                    let at = layout.len.next_multiple_of(align);
                    layout.len = at + size;
                    layout.fixed.push((at, value.clone()));
                }
                None => layout.strings.push(value.clone()),
            }
        }
        layout
    }

    /// Nothing is fetched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fixed.is_empty() && self.strings.is_empty()
    }

    /// Size of the values in bytes, if it is fixed.
    #[must_use]
    pub fn fixed_len(&self) -> Option<u32> {
        self.strings.is_empty().then_some(self.len)
    }

    /// The fields of these values, and their sources.
    pub fn fields(&self) -> impl Iterator<Item = (Field, FieldSource)> {
        let mask = self.faults.then(|| {
            let field = Field {
                name: FETCH_FAULT.to_owned(),
                ty: FieldType::Integer(MASK),
            };
            (field, FieldSource::Nowhere)
        });
        let values = self.values().enumerate().map(|(index, value)| {
            let mut field = value.field.clone();
            if let (0, false, FieldType::Integer(ty) | FieldType::Labeled { number: ty, .. }) =
                (index, self.faults, &mut field.ty)
            {
                ty.align_bits = ALIGN_BITS;
            }
            (field, FieldSource::Fetch(value.fetch.clone()))
        });
        mask.into_iter().chain(values)
    }

    /// Where a program finds the values after they were kept, in the order of
    /// [`fields`](Self::fields). Only the first string has a known position.
    pub fn kept(&self) -> impl Iterator<Item = FieldSource> {
        let fixed = self.fixed.iter().map(|(at, value)| {
            let (size, _) = size_and_alignment(&value.field.ty).unwrap_or_default();
            Some((*at, size))
        });
        let first_string = Some((self.len, MAX_FETCHED_STRING as u32 - 1));
        let places = fixed.chain([first_string]).chain(iter::repeat(None));
        let values = self
            .values()
            .zip(places)
            .zip(0..)
            .map(|((value, place), bit)| {
                place.map_or(FieldSource::Nowhere, |(offset, len)| FieldSource::Kept {
                    offset,
                    len,
                    fault: value.fetch.reads_memory().then_some(bit),
                })
            });
        let mask = self.faults.then_some(FieldSource::Nowhere);
        mask.into_iter().chain(values)
    }

    /// In the order of the bits of the mask of faults, and of the fields.
    fn values(&self) -> impl Iterator<Item = &Fetched> {
        let fixed = self.fixed.iter().map(|(_, value)| value);
        fixed.chain(&self.strings)
    }
}

/// Size in bytes, `None` for a value without fixed size.
fn size_and_alignment(ty: &FieldType) -> Option<(u32, u32)> {
    let bytes = |bits: u16| u32::from(bits).div_ceil(8).max(1);
    match ty {
        FieldType::Integer(ty) | FieldType::Labeled { number: ty, .. } => {
            Some((bytes(ty.size_bits), bytes(ty.align_bits)))
        }
        FieldType::Array { element, length } => {
            Some((bytes(element.size_bits) * length, bytes(element.align_bits)))
        }
        FieldType::Sequence { .. } | FieldType::String => None,
    }
}

impl Fetch {
    /// Whether memory is read, which may fail.
    #[must_use]
    pub fn reads_memory(&self) -> bool {
        !self.steps.is_empty() || !matches!(self.load, Load::Itself | Load::AddressOf { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::fetch::{Base, Memory};

    fn number(name: &str, bytes: u16, load: Load) -> Fetched {
        Fetched {
            field: Field {
                name: name.into(),
                ty: FieldType::Integer(IntegerType::natural(bytes, false, Display::Decimal)),
            },
            fetch: Fetch {
                base: Base::Argument(0),
                steps: Vec::new(),
                load,
            },
        }
    }

    fn string(name: &str) -> Fetched {
        let load = Load::String {
            offset: 0,
            memory: Memory::Kernel,
        };
        let mut string = number(name, 8, load);
        string.field.ty = FieldType::String;
        string
    }

    fn names(layout: &Layout) -> Vec<String> {
        layout.fields().map(|(field, _)| field.name).collect()
    }

    #[test]
    fn registers_need_no_mask() {
        let layout = Layout::new(&[number("a", 4, Load::Itself), number("b", 8, Load::Itself)]);
        assert_eq!(names(&layout), ["a", "b"]);
        assert_eq!(layout.fixed_len(), Some(16));
        let (first, _) = layout.fields().next().unwrap();
        let FieldType::Integer(ty) = first.ty else {
            panic!("a number expected");
        };
        assert_eq!((ty.size_bits, ty.align_bits), (32, 64));
    }

    #[test]
    fn the_mask_comes_first_and_strings_last() {
        let layout = Layout::new(&[string("s"), number("a", 8, Load::Itself)]);
        assert_eq!(names(&layout), [FETCH_FAULT, "a", "s"]);
        assert_eq!((layout.len, layout.fixed_len()), (16, None));
    }

    #[test]
    fn values_that_were_written_down_are_found_again() {
        let memory = Load::Number {
            offset: 0,
            size: 4,
            bits: None,
            memory: Memory::Kernel,
        };
        let layout = Layout::new(&[
            string("s"),
            number("a", 8, Load::Itself),
            string("t"),
            number("b", 4, memory),
        ]);
        assert_eq!(names(&layout), [FETCH_FAULT, "a", "b", "s", "t"]);
        let kept = |offset, len, fault| FieldSource::Kept { offset, len, fault };
        let places = [
            FieldSource::Nowhere,
            kept(8, 8, None),
            kept(16, 4, Some(1)),
            kept(20, 255, Some(2)),
            FieldSource::Nowhere,
        ];
        assert_eq!(layout.kept().collect::<Vec<_>>(), places);
    }

    #[test]
    fn what_is_beyond_the_mask_is_left_out() {
        let many = vec![number("a", 8, Load::Itself); MAX_FETCHED + 1];
        assert_eq!(Layout::new(&many).fixed.len(), MAX_FETCHED);
    }
}
