//! Types to fields.

use std::sync::Arc;

use crate::trace::class::{Choice, ClassField, Count, Elements, Kind, Record};
use crate::trace::ctf::layout::references::{References, element, is_length, root};
use crate::trace::ctf::schema::{
    Array, Enumeration, Integer, Length, Member, Role, Scope, Selected, Struct, Type, Variant,
};
use crate::trace::value::Bits;

/// Alignment of a structure in bits: its own, or that of its members (CTF 1.8 §4.2.1).
pub(super) fn align_of(of: &Struct) -> u64 {
    let members = of.members.iter().map(|member| type_align(&member.ty));
    members.fold(of.align_bits, u64::max)
}

fn type_align(ty: &Type) -> u64 {
    match ty {
        Type::Integer(integer) | Type::Labeled(integer, _) => u64::from(integer.ty.align_bits),
        Type::Enumeration(names) => u64::from(names.base.ty.align_bits),
        Type::Float(float) => u64::from(float.align_bits),
        Type::Array(array) => array.align_bits.max(type_align(&array.element)),
        Type::Struct(of) => align_of(of),
        Type::Variant(_) => 1,
        Type::String => 8,
    }
}

/// Compiles the types of one part of packets or events.
pub(super) struct Compiler<'r> {
    scope: Scope,
    references: &'r References,
    /// Where in the part it is.
    path: Vec<Arc<str>>,
}

impl<'r> Compiler<'r> {
    pub(super) fn new(scope: Scope, references: &'r References) -> Self {
        Self {
            scope,
            references,
            path: root(scope),
        }
    }

    /// The fields of a structure; a length becomes part of the sequence directly after it.
    pub(super) fn fields(&mut self, of: &Struct) -> Result<Vec<ClassField>, String> {
        let mut fields: Vec<ClassField> = Vec::with_capacity(of.members.len());
        let mut previous: Option<&Member> = None;
        for member in &of.members {
            let count = match (&member.ty, previous) {
                (Type::Array(array), Some(before)) if is_length(before, array, &self.path) => {
                    Some(self.count_before(before, &mut fields))
                }
                _ => None,
            };
            self.path.push(Arc::clone(&member.name));
            fields.push(self.field(&member.name, &member.ty, count)?);
            self.path.pop();
            previous = Some(member);
        }
        Ok(fields)
    }

    /// The length that is the last of `fields`, which is taken off if nothing else needs it.
    fn count_before(&mut self, before: &Member, fields: &mut Vec<ClassField>) -> Count {
        self.path.push(Arc::clone(&before.name));
        let slot = self.slot();
        self.path.pop();
        match (slot, fields.last().map(|field| &field.kind)) {
            (None, Some(Kind::Number(bits))) => {
                let bits = *bits;
                fields.pop();
                Count::Before(bits)
            }
            (slot, _) => Count::Slot(slot.unwrap_or(u8::MAX)),
        }
    }

    fn slot(&self) -> Option<u8> {
        if self.references.is_empty() {
            return None;
        }
        self.references.slot(&self.path)
    }

    fn field(&mut self, name: &str, ty: &Type, count: Option<Count>) -> Result<ClassField, String> {
        let role = self.role(name, ty);
        let kind = match (ty, count) {
            (Type::Array(array), Some(count)) => self.array(array, count)?,
            _ => self.kind(ty)?,
        };
        let shown = name.strip_prefix('_').unwrap_or(name);
        Ok(ClassField {
            slot: self.slot(),
            role,
            ..ClassField::new(shown, kind)
        })
    }

    fn kind(&mut self, ty: &Type) -> Result<Kind, String> {
        Ok(match ty {
            Type::Integer(integer) => Kind::Number(bits(integer)),
            Type::Labeled(integer, labels) => Kind::Labeled(bits(integer), Arc::clone(labels)),
            Type::Enumeration(names) => Kind::Enumeration(bits(&names.base), Arc::clone(names)),
            Type::Float(float) => Kind::Float(*float),
            Type::String => Kind::String,
            Type::Struct(of) => {
                let fields = self.fields(of)?;
                Kind::Struct(Arc::new(Record::new(fields, align_of(of))))
            }
            Type::Variant(variant) => self.variant(variant)?,
            Type::Array(array) => {
                let count = match &array.length {
                    Length::Fixed(count) => Count::Fixed(*count),
                    Length::Field(_) => {
                        let target = self.references.target(&self.path);
                        Count::Slot(target.ok_or("a sequence without length")?.slot)
                    }
                };
                self.array(array, count)?
            }
        })
    }

    fn array(&mut self, array: &Array, count: Count) -> Result<Kind, String> {
        let align_bits = array.align_bits.max(type_align(&array.element));
        match &array.element {
            Type::Integer(integer) if u64::from(integer.ty.align_bits) == align_bits => {
                Ok(Kind::Array {
                    element: bits(integer),
                    count,
                })
            }
            ty => {
                self.path.push(element());
                let element = self.field("", ty, None)?;
                self.path.pop();
                Ok(Kind::List(Arc::new(Elements {
                    element,
                    count,
                    align_bits,
                })))
            }
        }
    }

    fn variant(&mut self, variant: &Variant) -> Result<Kind, String> {
        let target = self.references.target(&self.path);
        let target = target.ok_or("a variant without selector")?.clone();
        let mut ranges = Vec::new();
        let mut options = Vec::with_capacity(variant.options.len());
        for (index, option) in variant.options.iter().enumerate() {
            match (&option.selected, &target.names) {
                (Selected::ByValue(values), _) => {
                    ranges.extend(values.iter().map(|&(first, last)| (first, last, index)));
                }
                (Selected::ByName, Some(names)) => {
                    ranges.extend(ranges_of(names, &option.name).map(|(a, b)| (a, b, index)));
                }
                (Selected::ByName, None) => {
                    return Err("the selector of a variant is not an enumeration".to_owned());
                }
            }
            self.path.push(Arc::clone(&option.name));
            options.push(self.field(&option.name, &option.ty, None)?);
            self.path.pop();
        }
        Ok(Kind::Variant(Arc::new(Choice {
            slot: target.slot,
            signed: target.signed,
            ranges,
            options,
            optional: variant.optional,
        })))
    }

    /// What a field is for: as CTF 2 says, or by the name that it has in CTF 1.8.
    fn role(&self, name: &str, ty: &Type) -> Option<Role> {
        let integer = match ty {
            Type::Integer(integer) | Type::Labeled(integer, _) => Some(integer),
            Type::Enumeration(names) => Some(&names.base),
            Type::Array(array) => match &array.element {
                Type::Integer(integer) => Some(integer),
                _ => None,
            },
            _ => None,
        };
        integer
            .and_then(|integer| integer.role)
            .or(match self.scope {
                Scope::PacketHeader => match name {
                    "magic" => Some(Role::Magic),
                    "uuid" => Some(Role::Uuid),
                    "stream_id" => Some(Role::StreamClass),
                    "stream_instance_id" => Some(Role::StreamInstance),
                    _ => None,
                },
                Scope::PacketContext => match name {
                    "timestamp_begin" => Some(Role::Timestamp),
                    "timestamp_end" => Some(Role::TimestampEnd),
                    "content_size" => Some(Role::ContentBits),
                    "packet_size" => Some(Role::PacketBits),
                    "packet_seq_num" => Some(Role::Sequence),
                    "events_discarded" => Some(Role::Discarded),
                    "cpu_id" => Some(Role::Cpu),
                    _ => None,
                },
                Scope::EventHeader => match name {
                    "id" => Some(Role::EventClass),
                    "timestamp" => Some(Role::Timestamp),
                    _ if integer.is_some_and(|integer| integer.clock.is_some()) => {
                        Some(Role::Timestamp)
                    }
                    _ => None,
                },
                Scope::StreamContext if self.path.len() == 2 => {
                    match name.strip_prefix('_').unwrap_or(name) {
                        "tid" => Some(Role::Tid),
                        "pid" => Some(Role::Pid),
                        "procname" => Some(Role::Comm),
                        _ => None,
                    }
                }
                _ => None,
            })
    }
}

fn bits(integer: &Integer) -> Bits {
    Bits {
        ty: integer.ty,
        encoding: integer.encoding,
    }
}

/// The values that an enumeration calls `name`.
fn ranges_of<'e>(names: &'e Enumeration, name: &str) -> impl Iterator<Item = (i128, i128)> + 'e {
    let name = name.to_owned();
    let labels = names.labels.iter();
    labels.filter_map(move |(first, last, label)| (*label == name).then_some((*first, *last)))
}
