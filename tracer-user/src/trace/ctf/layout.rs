//! How the events of a trace are decoded: metadata, turned into steps once.

use std::sync::Arc;

use crate::trace::class::{Class, ClassField, Extent, Kind};
use crate::trace::ctf::metadata::{Clock, TraceInfo};
use crate::trace::ctf::tsdl::{Document, Integer, Member, Struct, Type};
use crate::trace::event::IntegerType;

/// The largest id of an event class; a table is indexed by it.
const MAX_CLASS_ID: u64 = 1 << 20;

/// How event headers are laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Header {
    /// Time stamp, then id: what `tracer` writes.
    Plain {
        timestamp: IntegerType,
        id: IntegerType,
    },
    /// A small id with a short time stamp, or a tag that says that both follow in full:
    /// what LTTng writes.
    Compact {
        id: IntegerType,
        timestamp: IntegerType,
        extended_tag: u64,
        extended_id: IntegerType,
        extended_timestamp: IntegerType,
    },
}

/// All that is needed to decode a trace.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) info: TraceInfo,
    pub(crate) header: Header,
    pub(crate) header_align_bits: u64,
    pub(crate) context: Vec<ClassField>,
    pub(crate) context_align_bits: u64,
    pub(crate) classes: Vec<Class>,
    /// Position in `classes` by id, `u32::MAX` where there is none.
    by_id: Vec<u32>,
}

impl Layout {
    /// # Errors
    /// What it is in the metadata that this reader does not know.
    pub(crate) fn new(document: Document) -> Result<Self, String> {
        let trace = document.trace.ok_or("there is no `trace` block")?;
        if (trace.major, trace.minor) != (1, 8) {
            return Err(format!(
                "CTF {}.{} is not supported, only 1.8",
                trace.major, trace.minor
            ));
        }
        if let Some(order) = trace.byte_order.filter(|order| order != "le") {
            return Err(format!("byte order `{order}` is not supported, only `le`"));
        }
        check_packet(trace.packet_header.as_ref(), &PACKET_HEADER)
            .ok_or("the packet header is not laid out as `tracer` and LTTng do")?;
        let [stream] = document.streams.as_slice() else {
            return Err(format!(
                "there are {} stream classes, only one is supported",
                document.streams.len()
            ));
        };
        check_packet(stream.packet_context.as_ref(), &PACKET_CONTEXT)
            .ok_or("the packet context is not laid out as `tracer` and LTTng do")?;
        let header = members(stream.event_header.as_ref())?;
        let context = members(stream.event_context.as_ref())?;
        let context_fields = fields(context)?;
        let clock = match document.clocks.first() {
            None => Clock::default(),
            Some(clock) if clock.frequency == 1_000_000_000 => Clock {
                uuid: clock.uuid.unwrap_or_default(),
                offset_ns: clock
                    .offset_s
                    .saturating_mul(clock.frequency)
                    .saturating_add(clock.offset),
            },
            Some(_) => return Err("the clock does not count nanoseconds".into()),
        };

        let mut layout = Self {
            info: TraceInfo {
                uuid: trace.uuid.ok_or("the trace has no `uuid`")?,
                clock,
                env: document.env,
            },
            header: header_plan(header)
                .ok_or("the event header is not laid out as `tracer` and LTTng do")?,
            header_align_bits: align_of(header),
            context_align_bits: align_of(context),
            context: context_fields,
            classes: Vec::with_capacity(document.events.len()),
            by_id: Vec::new(),
        };
        for event in document.events {
            let wrong = |what: &str| format!("line {}: event `{}`: {what}", event.line, event.name);
            if event.stream_id != stream.id {
                return Err(wrong("there is no such stream"));
            }
            let part = |ty: Option<&Type>| {
                let of = members(ty)?;
                let fields = fields(of)?;
                let extent = Extent::of(&fields, align_of(of));
                Ok((fields, extent))
            };
            let wrong_part = |what: String| wrong(&what);
            let (context, context_extent) = part(event.context.as_ref()).map_err(wrong_part)?;
            let (fields, payload_extent) = part(event.fields.as_ref()).map_err(wrong_part)?;
            let class = Class {
                index: layout.classes.len(),
                id: class_id(event.id).map_err(wrong)?,
                name: event.name.clone(),
                context,
                fields,
                context_extent,
                payload_extent,
            };
            layout.add_class(class).map_err(wrong)?;
        }
        Ok(layout)
    }

    fn add_class(&mut self, class: Class) -> Result<(), &'static str> {
        let slot = class.id as usize;
        if self.by_id.len() <= slot {
            self.by_id.resize(slot + 1, u32::MAX);
        }
        if self.by_id[slot] != u32::MAX {
            return Err("the id belongs to another event");
        }
        self.by_id[slot] = class.index as u32;
        self.classes.push(class);
        Ok(())
    }

    #[inline]
    pub(crate) fn class(&self, id: u64) -> Option<&Class> {
        let index = *self.by_id.get(usize::try_from(id).ok()?)?;
        self.classes.get(index as usize)
    }
}

fn class_id(id: u64) -> Result<u32, &'static str> {
    if id > MAX_CLASS_ID {
        return Err("the id is too large");
    }
    Ok(id as u32)
}

/// Names and sizes in bytes of what [`PacketHeader`](super::PacketHeader) reads.
const PACKET_HEADER: [(&str, u32); 4] = [
    ("magic", 4),
    ("uuid", 16),
    ("stream_id", 4),
    ("stream_instance_id", 8),
];
const PACKET_CONTEXT: [(&str, u32); 7] = [
    ("timestamp_begin", 8),
    ("timestamp_end", 8),
    ("content_size", 8),
    ("packet_size", 8),
    ("packet_seq_num", 8),
    ("events_discarded", 8),
    ("cpu_id", 4),
];

fn check_packet(ty: Option<&Type>, expected: &[(&str, u32)]) -> Option<()> {
    let Some(Type::Struct(found)) = ty else {
        return None;
    };
    let packed = |ty: &Type| match ty {
        Type::Integer(Integer { ty, .. }) if ty.align_bits <= 8 && ty.size_bits % 8 == 0 => {
            Some(u32::from(ty.size_bits) / 8)
        }
        _ => None,
    };
    let as_found = found.members.iter().map(|member| {
        let bytes = match &member.ty {
            Type::Array(element, length) => packed(element)?.checked_mul(*length)?,
            ty => packed(ty)?,
        };
        Some((&*member.name, bytes))
    });
    as_found
        .eq(expected.iter().map(|&member| Some(member)))
        .then_some(())
}

static NO_MEMBERS: Struct = Struct {
    members: Vec::new(),
    align_bits: 1,
    depth: 1,
};

fn members(ty: Option<&Type>) -> Result<&Struct, String> {
    match ty {
        None => Ok(&NO_MEMBERS),
        Some(Type::Struct(found)) => Ok(found),
        Some(_) => Err("a structure is expected".into()),
    }
}

/// Alignment of a structure in bits: its own, or that of its members (CTF 1.8 §4.2.1).
fn align_of(of: &Struct) -> u64 {
    let members = of.members.iter().map(|member| type_align(&member.ty));
    members.fold(of.align_bits, u64::max)
}

fn type_align(ty: &Type) -> u64 {
    match ty {
        Type::Integer(integer) | Type::Labeled(integer, _) => u64::from(integer.ty.align_bits),
        Type::Enumeration(names) => u64::from(names.base.ty.align_bits),
        Type::Array(element, _) | Type::Sequence(element, _) => type_align(element),
        Type::Struct(of) => align_of(of),
        Type::Variant(_) => 1,
        Type::String => 8,
    }
}

fn header_plan(header: &Struct) -> Option<Header> {
    let [first, second] = header.members.as_slice() else {
        return None;
    };
    match (&first.ty, &second.ty) {
        (Type::Integer(timestamp), Type::Integer(id))
            if &*first.name == "timestamp" && &*second.name == "id" =>
        {
            (timestamp.ty.size_bits == 64).then_some(Header::Plain {
                timestamp: timestamp.ty,
                id: id.ty,
            })
        }
        (Type::Enumeration(tag), Type::Variant(choices)) => {
            let choice = |name: &str| {
                let found = choices.members.iter().find(|found| &*found.name == name)?;
                match &found.ty {
                    Type::Struct(of) => Some(of),
                    _ => None,
                }
            };
            let integer = |member: &Member, name: &str| match &member.ty {
                Type::Integer(integer) if &*member.name == name => Some(integer.ty),
                _ => None,
            };
            let [short] = choice("compact")?.members.as_slice() else {
                return None;
            };
            let [id, timestamp] = choice("extended")?.members.as_slice() else {
                return None;
            };
            let extended = tag.labels.iter().find(|(.., name)| name == "extended")?;
            Some(Header::Compact {
                id: tag.base.ty,
                timestamp: integer(short, "timestamp")?,
                extended_tag: u64::try_from(extended.0).ok()?,
                extended_id: integer(id, "id")?,
                extended_timestamp: integer(timestamp, "timestamp")?,
            })
        }
        _ => None,
    }
}

/// The fields of a structure; the length before a sequence becomes part of it.
fn fields(of: &Struct) -> Result<Vec<ClassField>, String> {
    let mut fields: Vec<ClassField> = Vec::with_capacity(of.members.len());
    let mut previous: Option<(&str, IntegerType)> = None;
    for member in &of.members {
        let kind = match &member.ty {
            Type::Integer(integer) => Kind::Number(integer.ty),
            Type::Labeled(integer, labels) => Kind::Labeled(integer.ty, Arc::clone(labels)),
            Type::Enumeration(names) => Kind::Enumeration(Arc::clone(names)),
            Type::String => Kind::String,
            Type::Array(element, length) => Kind::Array {
                element: number(member, element)?,
                length: *length,
            },
            Type::Sequence(element, length_name) => {
                let element = number(member, element)?;
                match previous {
                    Some((name, length)) if *name == **length_name => {
                        fields.pop();
                        Kind::Sequence { length, element }
                    }
                    _ => {
                        return Err(format!(
                            "the length of sequence `{}` is not right before it",
                            member.name
                        ));
                    }
                }
            }
            Type::Struct(_) | Type::Variant(_) => {
                return Err(format!(
                    "field `{}`: structures and variants are not supported",
                    member.name
                ));
            }
        };
        previous = match kind {
            Kind::Number(ty) => Some((&member.name, ty)),
            _ => None,
        };
        let name = member.name.strip_prefix('_').unwrap_or(&member.name);
        fields.push(ClassField {
            name: name.to_owned(),
            kind,
        });
    }
    Ok(fields)
}

fn number(member: &Member, element: &Type) -> Result<IntegerType, String> {
    match element {
        Type::Integer(Integer { ty, .. }) => Ok(*ty),
        _ => Err(format!(
            "field `{}`: only numbers can be elements",
            member.name
        )),
    }
}
