//! How the events of a trace are decoded: metadata, compiled once into steps.
//!
//! `references` finds which fields others refer to, `compile` turns types into fields,
//! `header` recognises headers of events that are read without a look at their fields.

mod clock;
mod compile;
mod header;
mod references;

use std::collections::HashMap;

use self::compile::{Compiler, align_of};
use self::references::{Outer, References};
use crate::trace::class::{Class, ClassField, Count, Extent, Hidden, Kind, Record};
use crate::trace::ctf::metadata::{Clock, TraceInfo};
use crate::trace::ctf::schema::{Document, EventBlock, Role, Scope, StreamBlock, Type};
use crate::trace::value::{Bits, Slots};

pub(crate) use self::clock::TimeBase;
pub(crate) use self::header::{Header, visit};

/// The largest id of an event class; a table is indexed by it.
const MAX_CLASS_ID: u64 = 1 << 20;

/// All that is needed to decode a trace.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) info: TraceInfo,
    /// The identity that each packet has to have.
    pub(crate) uuid: Option<[u8; 16]>,
    pub(crate) packet_header: Record,
    pub(crate) streams: Vec<StreamClass>,
}

/// How the packets and events of some streams are decoded.
#[derive(Clone, Debug)]
pub(crate) struct StreamClass {
    pub(crate) id: u64,
    pub(crate) time: TimeBase,
    /// As that of the trace; keeps what only fields of this stream refer to.
    pub(crate) packet_header: Record,
    pub(crate) packet_context: Record,
    pub(crate) header: Header,
    pub(crate) header_align_bits: u64,
    pub(crate) context: Record,
    pub(crate) thread: Thread,
    /// The class of events whose headers name none.
    only_class: u64,
    /// Position in the classes of the trace by id, `u32::MAX` for none.
    by_id: Vec<u32>,
}

/// Where an event says which thread it is from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Thread {
    /// In bits from the start of the context of the stream.
    Fixed {
        tid: Option<(u64, Bits)>,
        pid: Option<(u64, Bits)>,
        /// With the number of its bytes.
        comm: Option<(u64, u32)>,
    },
    /// That depends on the event.
    Anywhere,
}

impl Layout {
    /// Compiles metadata: the layout, and its event classes, whose indexes count from
    /// `first_index`.
    ///
    /// # Errors
    /// What it is in the metadata that this reader does not support.
    pub(crate) fn new(
        document: Document,
        first_index: usize,
    ) -> Result<(Self, Vec<Class>), String> {
        let mut outer = Outer::default();
        outer.add(Scope::PacketHeader, document.packet_header.as_ref())?;
        let outer_of = |stream: &StreamBlock| {
            let mut outer = outer.clone();
            outer.add(Scope::PacketContext, stream.packet_context.as_ref())?;
            outer.add(Scope::EventHeader, stream.event_header.as_ref())?;
            outer.add(Scope::StreamContext, stream.event_context.as_ref())?;
            Ok::<_, String>(outer)
        };
        let outers = document.streams.iter().map(outer_of);
        let mut outers = outers.collect::<Result<Vec<_>, _>>()?;
        let mut positions = HashMap::new();
        for (position, stream) in document.streams.iter().enumerate() {
            if positions.insert(stream.id, position).is_some() {
                return Err(format!("there are two streams with id {}", stream.id));
            }
        }
        let position = |event: &EventBlock| {
            positions.get(&event.stream_id).copied().ok_or_else(|| {
                in_event(
                    event,
                    &format!("there is no stream with id {}", event.stream_id),
                )
            })
        };

        // What events refer to outside of them has to be known before that is compiled.
        let mut references = Vec::with_capacity(document.events.len());
        for event in &document.events {
            let of_event = outers[position(event)?].event(event);
            references.push(of_event.map_err(|what| in_event(event, &what))?);
        }
        let shared = outers.iter().map(Outer::slots).max().unwrap_or(0);
        let packet_header = Compiler::new(Scope::PacketHeader, outer.references())
            .record(document.packet_header.as_ref())?;
        let streams = document.streams.iter().zip(&outers);
        let streams = streams.map(|(stream, outer)| {
            StreamClass::new(stream, outer.references(), &document)
                .map_err(|what| format!("stream {}: {what}", stream.id))
        });
        let mut streams = streams.collect::<Result<Vec<_>, _>>()?;

        let mut classes = Vec::with_capacity(document.events.len());
        for (event, references) in document.events.iter().zip(&references) {
            let wrong = |what: String| in_event(event, &what);
            if shared + references.slots() > Slots::COUNT {
                return Err(wrong("too many lengths and selectors".to_owned()));
            }
            let stream = &mut streams[position(event)?];
            let index = first_index + classes.len();
            let class = compile_class(event, index, references, &stream.context).map_err(wrong)?;
            stream
                .add_class(&class)
                .map_err(|what| wrong(what.to_owned()))?;
            classes.push(class);
        }
        let time = streams.first().map(|stream| stream.time);
        let clock = streams
            .first()
            .and_then(|_| clock::of(&document.streams[0], &document));
        let layout = Self {
            info: TraceInfo {
                uuid: document.uuid.unwrap_or_default(),
                clock: Clock {
                    uuid: clock.and_then(|clock| clock.uuid).unwrap_or_default(),
                    offset_ns: time.map_or(0, |time| time.offset_ns().max(0) as u64),
                },
                env: document.env,
            },
            uuid: document.uuid,
            packet_header,
            streams,
        };
        Ok((layout, classes))
    }

    /// The class of the streams whose packets have this number, if they have one.
    pub(crate) fn stream(&self, id: Option<u64>) -> Option<usize> {
        match id {
            Some(id) => self.streams.iter().position(|stream| stream.id == id),
            None => (self.streams.len() == 1).then_some(0),
        }
    }
}

fn in_event(event: &EventBlock, what: &str) -> String {
    format!("line {}: event `{}`: {what}", event.line, event.name)
}

impl StreamClass {
    fn new(
        stream: &StreamBlock,
        references: &References,
        document: &Document,
    ) -> Result<Self, String> {
        let record = |scope, ty: Option<&Type>| Compiler::new(scope, references).record(ty);
        let event_header = record(Scope::EventHeader, stream.event_header.as_ref())?;
        let header_align_bits = event_header.extent.align_bits;
        let context = record(Scope::StreamContext, stream.event_context.as_ref())?;
        let time = TimeBase::of(clock::of(stream, document))?;
        Ok(Self {
            id: stream.id,
            time,
            packet_header: record(Scope::PacketHeader, document.packet_header.as_ref())?,
            packet_context: record(Scope::PacketContext, stream.packet_context.as_ref())?,
            header: Header::of(event_header),
            header_align_bits,
            thread: Thread::of(&context),
            context,
            only_class: u64::MAX,
            by_id: Vec::new(),
        })
    }

    fn add_class(&mut self, class: &Class) -> Result<(), &'static str> {
        let slot = class.id as usize;
        if self.by_id.len() <= slot {
            self.by_id.resize(slot + 1, u32::MAX);
        }
        if self.by_id[slot] != u32::MAX {
            return Err("the id belongs to another event");
        }
        if self.by_id.iter().all(|&index| index == u32::MAX) {
            self.only_class = u64::from(class.id);
        }
        self.by_id[slot] = class.index as u32;
        Ok(())
    }

    /// The class of this id; `None` in `id`: of the events whose headers have none.
    #[inline]
    pub(crate) fn class<'c>(&self, id: Option<u64>, classes: &'c [Class]) -> Option<&'c Class> {
        let id = id.unwrap_or(self.only_class);
        let index = *self.by_id.get(usize::try_from(id).ok()?)?;
        classes.get(index as usize)
    }
}

impl Thread {
    fn of(context: &Record) -> Self {
        let (mut tid, mut pid, mut comm) = (None, None, None);
        let mut end = Some(0u64);
        for field in &context.fields {
            let start = end.map(|end| end.next_multiple_of(field.kind.align_bits()));
            let is_new = match field.role {
                Some(Role::Tid) => tid.is_none(),
                Some(Role::Pid) => pid.is_none(),
                Some(Role::Comm) => comm.is_none(),
                _ => false,
            };
            if is_new {
                let Some(start) = start else {
                    return Self::Anywhere;
                };
                match (&field.kind, field.role) {
                    (Kind::Number(bits), Some(Role::Tid)) => tid = Some((start, *bits)),
                    (Kind::Number(bits), Some(Role::Pid)) => pid = Some((start, *bits)),
                    (
                        Kind::Array {
                            count: Count::Fixed(count),
                            ..
                        },
                        Some(Role::Comm),
                    ) => comm = Some((start, *count)),
                    _ => return Self::Anywhere,
                }
            }
            end = end.and_then(|end| field.kind.end_bits(end));
        }
        Self::Fixed { tid, pid, comm }
    }
}

fn compile_class(
    event: &EventBlock,
    index: usize,
    references: &References,
    stream_context: &Record,
) -> Result<Class, String> {
    if event.id > MAX_CLASS_ID {
        return Err("the id is too large".to_owned());
    }
    let record = |scope, ty: Option<&Type>| Compiler::new(scope, references).record(ty);
    let own_context = record(Scope::EventContext, event.context.as_ref())?;
    let payload = record(Scope::Payload, event.fields.as_ref())?;
    Ok(Class {
        index,
        id: event.id as u32,
        name: event.name.clone(),
        context: visible(stream_context, &own_context),
        own_context,
        payload_extent: payload.extent,
        fields: payload.fields,
    })
}

/// The fields of both contexts that are shown as fields.
fn visible(stream: &Record, own: &Record) -> Vec<ClassField> {
    let mut fields = Vec::new();
    let mut hidden = Vec::new();
    for field in &stream.fields {
        if matches!(field.role, Some(Role::Tid | Role::Pid | Role::Comm)) {
            hidden.push(Hidden::Field(field.clone()));
        } else {
            fields.push(ClassField {
                before: std::mem::take(&mut hidden).into(),
                ..field.clone()
            });
        }
    }
    hidden.push(Hidden::Align(own.extent.align_bits));
    for field in &own.fields {
        fields.push(ClassField {
            before: std::mem::take(&mut hidden).into(),
            ..field.clone()
        });
    }
    fields
}

impl Record {
    fn new(fields: Vec<ClassField>, align_bits: u64) -> Self {
        Self {
            extent: Extent::of(&fields, align_bits),
            fields,
        }
    }
}

impl Compiler<'_> {
    /// Compiles a structure, or nothing.
    fn record(mut self, ty: Option<&Type>) -> Result<Record, String> {
        let of = match ty {
            None => return Ok(Record::default()),
            Some(Type::Struct(found)) => found,
            Some(_) => return Err("a structure is expected".into()),
        };
        let fields = self.fields(of)?;
        Ok(Record::new(fields, align_of(of)))
    }
}
