//! Event classes as read from metadata: each field with how to read it.

use std::sync::Arc;

use crate::trace::ctf::labels::UNNAMED;
use crate::trace::ctf::metadata::sequence_length_type;
use crate::trace::ctf::schema::{Encoding, Enumeration, Float, Role};
use crate::trace::event::{FieldType, Labels};
use crate::trace::value::{Bits, Cursor, List, Number, Slotted, Value, ValueLabel, View};

/// An event class as read from metadata.
#[derive(Clone, Debug)]
pub struct Class {
    /// Position in [`Trace::classes`](crate::trace::folder::Trace::classes).
    pub index: usize,
    /// The number in the header of each event.
    pub id: u32,
    /// The name in the metadata.
    pub name: String,
    /// The context of each event except tid, pid and thread name, in order: that of its
    /// stream, then its own.
    pub context: Vec<ClassField>,
    /// The payload, in order. Lengths directly before their sequences are not fields.
    pub fields: Vec<ClassField>,
    pub(crate) own_context: Record,
    pub(crate) payload_extent: Extent,
}

/// Fields with their extent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    pub(crate) fields: Vec<ClassField>,
    pub(crate) extent: Extent,
}

/// How to step over some fields of an event without a look at each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Extent {
    pub(crate) align_bits: u64,
    /// Their bits, if these are the same for all events.
    pub(crate) fixed_bits: Option<u64>,
    steps: Box<[Step]>,
}

/// A part of an extent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    Fixed {
        align_bits: u64,
        bits: u64,
    },
    String,
    /// The field of this index.
    Field(usize),
}

impl Default for Extent {
    fn default() -> Self {
        Self {
            align_bits: 1,
            fixed_bits: Some(0),
            steps: Box::default(),
        }
    }
}

impl Extent {
    /// The extent of `fields` in a structure of this alignment.
    pub(crate) fn of(fields: &[ClassField], align_bits: u64) -> Self {
        let fixed = |end, field: &ClassField| {
            if field.has_slot() {
                return None;
            }
            field.kind.end_bits(end)
        };
        let mut steps = Vec::new();
        for (index, field) in fields.iter().enumerate() {
            let Some(bits) = fixed(0, field) else {
                steps.push(match field.kind {
                    Kind::String => Step::String,
                    _ => Step::Field(index),
                });
                continue;
            };
            let align = field.kind.align_bits();
            match steps.last_mut() {
                // known to lie at the same distance in all events
                Some(Step::Fixed { align_bits, bits }) if align <= *align_bits => {
                    *bits = fixed(*bits, field).unwrap_or(*bits);
                }
                _ => steps.push(Step::Fixed {
                    align_bits: align,
                    bits,
                }),
            }
        }
        Self {
            align_bits,
            fixed_bits: fields.iter().try_fold(0, fixed),
            steps: steps.into(),
        }
    }

    /// Steps over the `fields` that this was made of; `None` if the content ends before.
    #[inline]
    pub(crate) fn skip<'a>(
        &'a self,
        fields: &'a [ClassField],
        cursor: &mut Cursor<'a>,
        slots: &mut impl Slotted,
    ) -> Option<()> {
        if let Some(bits) = self.fixed_bits {
            return cursor.skip(bits);
        }
        for step in &self.steps {
            match step {
                Step::Fixed { align_bits, bits } => {
                    cursor.align(*align_bits);
                    cursor.skip(*bits)?;
                }
                Step::String => drop(cursor.string()?),
                Step::Field(index) => fields[*index].skip(cursor, slots)?,
            }
        }
        Some(())
    }
}

/// A field of a [`Class`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClassField {
    /// The name without the leading underscore of TSDL.
    pub name: String,
    pub(crate) kind: Kind,
    /// Where its value is kept for the fields that refer to it.
    pub(crate) slot: Option<u8>,
    pub(crate) role: Option<Role>,
    /// What lies before it and is no field for users.
    pub(crate) before: Box<[Hidden]>,
}

/// A part of an event that is read, but not shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Hidden {
    /// Up to a multiple of these bits.
    Align(u64),
    Field(ClassField),
}

impl ClassField {
    pub(crate) fn new(name: &str, kind: Kind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            slot: None,
            role: None,
            before: Box::default(),
        }
    }

    /// Whether reading it leaves a value for others.
    pub(crate) fn has_slot(&self) -> bool {
        self.slot.is_some() || self.kind.has_slot()
    }

    /// Reads the field at `cursor`; `None` if the content ends before its end.
    #[inline]
    pub(crate) fn read<'a>(
        &'a self,
        cursor: &mut Cursor<'a>,
        view: &mut View<'a>,
    ) -> Option<Value<'a>> {
        if !self.before.is_empty() {
            self.skip_hidden(cursor, view)?;
        }
        self.kind.read(cursor, view)
    }

    /// Steps over the field at `cursor` and keeps the values that others refer to.
    pub(crate) fn skip<'a>(
        &'a self,
        cursor: &mut Cursor<'a>,
        slots: &mut impl Slotted,
    ) -> Option<()> {
        if let (Some(slot), Some(bits)) = (self.slot, self.kind.number()) {
            slots.set(slot, cursor.integer(bits)?);
            return Some(());
        }
        self.kind.skip(cursor, slots)
    }

    #[cold]
    fn skip_hidden<'a>(&'a self, cursor: &mut Cursor<'a>, view: &mut View<'a>) -> Option<()> {
        for hidden in &self.before {
            match hidden {
                Hidden::Align(bits) => cursor.align(*bits),
                Hidden::Field(field) => field.skip(cursor, view)?,
            }
        }
        Some(())
    }
}

/// The type of a field, as the reader needs it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Number(Bits),
    Labeled(Bits, Arc<Labels>),
    Enumeration(Bits, Arc<Enumeration>),
    Float(Float),
    /// Numbers, or text.
    Array {
        element: Bits,
        count: Count,
    },
    String,
    Struct(Arc<Record>),
    /// Elements that are not plain numbers.
    List(Arc<Elements>),
    Variant(Arc<Choice>),
}

/// How many elements there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Count {
    Fixed(u32),
    /// A number directly before the elements.
    Before(Bits),
    /// The value of another field.
    Slot(u8),
}

/// Elements of a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Elements {
    pub(crate) element: ClassField,
    pub(crate) count: Count,
    pub(crate) align_bits: u64,
}

/// The options of a variant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Choice {
    /// Where the value of the selector is.
    pub(crate) slot: u8,
    pub(crate) signed: bool,
    /// First and last value of the selector, and the option for these. The first that fits
    /// counts.
    pub(crate) ranges: Vec<(i128, i128, usize)>,
    pub(crate) options: Vec<ClassField>,
    /// It is an optional field: the name of the option is not shown.
    pub(crate) optional: bool,
}

impl From<&FieldType> for Kind {
    /// How a field of this type is read, without the names of numbers.
    fn from(ty: &FieldType) -> Self {
        match *ty {
            FieldType::Integer(ty) | FieldType::Labeled { number: ty, .. } => {
                Self::Number(ty.into())
            }
            FieldType::Array { element, length } => Self::Array {
                element: element.into(),
                count: Count::Fixed(length),
            },
            FieldType::Sequence { element } => Self::Array {
                element: element.into(),
                count: Count::Before(sequence_length_type(element).into()),
            },
            FieldType::String => Self::String,
        }
    }
}

impl Count {
    pub(crate) fn read(self, cursor: &mut Cursor<'_>, slots: &impl Slotted) -> Option<u32> {
        match self {
            Self::Fixed(count) => Some(count),
            Self::Before(length) => u32::try_from(cursor.integer(length)?).ok(),
            Self::Slot(slot) => u32::try_from(slots.get(slot)).ok(),
        }
    }
}

impl Kind {
    /// How the field is stored, if it is a number.
    pub(crate) const fn number(&self) -> Option<Bits> {
        match self {
            Self::Number(bits) | Self::Labeled(bits, _) | Self::Enumeration(bits, _) => Some(*bits),
            _ => None,
        }
    }

    /// Reads the field at `cursor`; `None` if the content ends before its end.
    #[inline]
    pub(crate) fn read<'a>(
        &'a self,
        cursor: &mut Cursor<'a>,
        view: &mut View<'a>,
    ) -> Option<Value<'a>> {
        match self {
            Self::Number(bits) => {
                let raw = cursor.integer(*bits)?;
                Some(Value::Number(Number { raw, ty: bits.ty }))
            }
            Self::Labeled(bits, labels) => {
                let raw = cursor.integer(*bits)?;
                let number = Number { raw, ty: bits.ty };
                Some(match ValueLabel::of_number(number, labels) {
                    Some(named) => Value::Labeled(number, named),
                    None => Value::Number(number),
                })
            }
            Self::Enumeration(bits, names) => {
                let raw = cursor.integer(*bits)?;
                let number = Number { raw, ty: bits.ty };
                let label = names.label(number.value());
                Some(match label.filter(|label| *label != UNNAMED) {
                    Some(label) => Value::Labeled(number, ValueLabel::Value(label)),
                    None => Value::Number(number),
                })
            }
            Self::Float(float) => cursor.float(*float).map(Value::Float),
            Self::Array { element, count } => {
                let count = count.read(cursor, view)?;
                cursor.elements(*element, count)
            }
            Self::String => cursor.string().map(Value::Text),
            Self::Struct(of) => {
                cursor.align(of.extent.align_bits);
                let fields = Fields::new(&of.fields, *cursor, view.clone());
                of.extent.skip(&of.fields, cursor, view)?;
                Some(Value::Struct(fields))
            }
            Self::List(list) => list.read(cursor, view),
            Self::Variant(choice) => {
                let option = choice.option(view)?;
                if choice.optional {
                    return option.kind.read(cursor, view);
                }
                let fields = Fields::new(std::slice::from_ref(option), *cursor, view.clone());
                option.skip(cursor, view)?;
                Some(Value::Struct(fields))
            }
        }
    }

    /// Steps over the field at `cursor`; `None` if the content ends before its end.
    pub(crate) fn skip<'a>(
        &'a self,
        cursor: &mut Cursor<'a>,
        slots: &mut impl Slotted,
    ) -> Option<()> {
        match self {
            Self::Number(bits) | Self::Labeled(bits, _) | Self::Enumeration(bits, _) => {
                if bits.encoding == Encoding::Variable {
                    return cursor.integer(*bits).map(drop);
                }
                cursor.align(u64::from(bits.ty.align_bits));
                cursor.skip(u64::from(bits.ty.size_bits))
            }
            Self::Float(float) => cursor.float(*float).map(drop),
            Self::Array { element, count } => {
                let count = count.read(cursor, slots)?;
                cursor.elements(*element, count).map(drop)
            }
            Self::String => cursor.string().map(drop),
            Self::Struct(of) => {
                cursor.align(of.extent.align_bits);
                of.extent.skip(&of.fields, cursor, slots)
            }
            Self::List(list) => {
                let count = list.count.read(cursor, slots)?;
                list.skip(count, cursor, slots)
            }
            Self::Variant(choice) => choice.option(slots)?.skip(cursor, slots),
        }
    }

    fn has_slot(&self) -> bool {
        match self {
            Self::Struct(of) => of.fields.iter().any(ClassField::has_slot),
            Self::List(list) => list.element.has_slot(),
            Self::Variant(choice) => choice.options.iter().any(ClassField::has_slot),
            _ => false,
        }
    }

    /// Alignment in bits.
    pub(crate) fn align_bits(&self) -> u64 {
        match self {
            Self::Number(bits) | Self::Labeled(bits, _) | Self::Enumeration(bits, _) => {
                u64::from(bits.ty.align_bits)
            }
            Self::Float(float) => u64::from(float.align_bits),
            Self::Array { element, count } => {
                let align_bits = u64::from(element.ty.align_bits);
                match count {
                    Count::Before(length) => align_bits.max(u64::from(length.ty.align_bits)),
                    _ => align_bits,
                }
            }
            Self::String => 8,
            Self::Struct(of) => of.extent.align_bits,
            Self::List(list) => list.align_bits,
            Self::Variant(_) => 1,
        }
    }

    /// Where the field ends if it starts at or after bit `start`; `None` if that depends on
    /// the event, or is absurd.
    pub(crate) fn end_bits(&self, start: u64) -> Option<u64> {
        let start = start.next_multiple_of(self.align_bits());
        match self {
            Self::Number(bits) | Self::Labeled(bits, _) | Self::Enumeration(bits, _) => {
                (bits.encoding != Encoding::Variable)
                    .then_some(start + u64::from(bits.ty.size_bits))
            }
            Self::Float(float) => Some(start + u64::from(float.size_bits)),
            Self::Array {
                element,
                count: Count::Fixed(count),
            } => {
                if element.encoding == Encoding::Variable {
                    return (*count == 0).then_some(start);
                }
                let size = u64::from(element.ty.size_bits);
                elements_end(start, *count, size, u64::from(element.ty.align_bits))
            }
            Self::Struct(of) => bounded(start + of.extent.fixed_bits?),
            Self::List(list) => match list.count {
                Count::Fixed(count) => elements_end(
                    start,
                    count,
                    list.element.kind.end_bits(0)?,
                    list.element.kind.align_bits(),
                ),
                _ => None,
            },
            Self::Array { .. } | Self::String | Self::Variant(_) => None,
        }
    }
}

/// Where `count` elements end whose first starts at bit `start`.
fn elements_end(start: u64, count: u32, size: u64, align_bits: u64) -> Option<u64> {
    let Some(others) = count.checked_sub(1) else {
        return Some(start);
    };
    let stride = size.next_multiple_of(align_bits);
    bounded(start + u64::from(others) * stride + size)
}

/// `bits`, unless no packet is so large.
fn bounded(bits: u64) -> Option<u64> {
    (bits < 1 << 40).then_some(bits)
}

impl Elements {
    fn read<'a>(&'a self, cursor: &mut Cursor<'a>, view: &mut View<'a>) -> Option<Value<'a>> {
        /// At most this many elements are given of a list whose elements have no bits.
        const MAX_EMPTY: u32 = 1024;

        let count = self.count.read(cursor, view)?;
        cursor.align(self.align_bits);
        let from = *cursor;
        self.skip(count, cursor, view)?;
        let given = if cursor.position() == from.position() {
            count.min(MAX_EMPTY)
        } else {
            count
        };
        Some(Value::List(List::new(
            &self.element,
            given,
            from,
            view.clone(),
        )))
    }

    fn skip<'a>(&'a self, count: u32, cursor: &mut Cursor<'a>, slots: &impl Slotted) -> Option<()> {
        cursor.align(self.align_bits);
        let has_slot = self.element.has_slot();
        if !has_slot && let Some(size) = self.element.kind.end_bits(0) {
            let end = elements_end(0, count, size, self.element.kind.align_bits());
            return cursor.skip(end?);
        }
        // Nothing after the list refers to values in it.
        let mut slots = *slots.slots();
        for _ in 0..count {
            let before = cursor.position();
            self.element.skip(cursor, &mut slots)?;
            // Nothing was read, so nothing changes: all that follow are as empty.
            if cursor.position() == before {
                break;
            }
        }
        Some(())
    }
}

impl Choice {
    /// The option that the selector has chosen.
    pub(crate) fn option(&self, slots: &impl Slotted) -> Option<&ClassField> {
        let raw = slots.get(self.slot);
        let value = if self.signed {
            i128::from(raw as i64)
        } else {
            i128::from(raw)
        };
        let mut ranges = self.ranges.iter();
        let range = ranges.find(|&&(first, last, _)| (first..=last).contains(&value))?;
        self.options.get(range.2)
    }
}

/// Iterates over the fields of an event or a structure.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: std::slice::Iter<'a, ClassField>,
    cursor: Cursor<'a>,
    view: View<'a>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(fields: &'a [ClassField], cursor: Cursor<'a>, view: View<'a>) -> Self {
        Self {
            rest: fields.iter(),
            cursor,
            view,
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a ClassField, Value<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let field = self.rest.next()?;
        let value = field.read(&mut self.cursor, &mut self.view)?;
        Some((field, value))
    }
}
