//! What metadata declares, whichever language it is written in: [`tsdl`](super::tsdl) (CTF 1.8)
//! and [`json`](super::json) (CTF 2) both produce a [`Document`].
//!
//! Aliases are resolved; references from one field to another (lengths, selectors) are not:
//! [`layout`](super::layout) does that.

use std::sync::Arc;

use crate::trace::ctf::labels;
use crate::trace::ctf::metadata::EnvValue;
use crate::trace::event::{IntegerType, Labels};

/// How deep types may lie inside each other.
const MAX_DEPTH: u32 = 16;

/// Types inside one type: those that are used twice count twice.
const MAX_TYPES: u32 = 8192;

/// Members of one structure, labels of one enumeration.
pub(crate) const MAX_MEMBERS: usize = labels::MAX_LABELS;

/// Elements of an array.
pub(crate) const MAX_ARRAY_LENGTH: u64 = 1 << 20;

/// The largest alignment in bits: that of a page.
pub(crate) const MAX_ALIGN_BITS: u64 = 4096 * 8;

/// All blocks of a metadata stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document {
    pub(crate) uuid: Option<[u8; 16]>,
    pub(crate) packet_header: Option<Type>,
    pub(crate) env: Vec<(String, EnvValue)>,
    pub(crate) clocks: Vec<ClockBlock>,
    pub(crate) streams: Vec<StreamBlock>,
    pub(crate) events: Vec<EventBlock>,
}

/// A clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClockBlock {
    /// What time stamps refer to it by.
    pub(crate) name: String,
    pub(crate) uuid: Option<[u8; 16]>,
    /// Ticks per second.
    pub(crate) frequency: u64,
    /// Seconds from the epoch to the clock's zero, to be added to `offset`.
    pub(crate) offset_s: i64,
    /// Ticks from the epoch to the clock's zero.
    pub(crate) offset: i64,
}

/// A class of streams.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamBlock {
    pub(crate) id: u64,
    /// The clock of its time stamps; in CTF 1.8 their types name it instead.
    pub(crate) clock: Option<String>,
    pub(crate) packet_context: Option<Type>,
    pub(crate) event_header: Option<Type>,
    pub(crate) event_context: Option<Type>,
}

/// A class of events.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventBlock {
    pub(crate) name: String,
    pub(crate) id: u64,
    pub(crate) stream_id: u64,
    pub(crate) context: Option<Type>,
    pub(crate) fields: Option<Type>,
    /// Where the block starts: a line of TSDL, or the number of a fragment of CTF 2.
    pub(crate) line: u32,
}

/// A type, its aliases resolved. Cheap to copy: what can be large is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Integer(Integer),
    /// A number with a [table](crate::trace::ctf::labels).
    Labeled(Integer, Arc<Labels>),
    Enumeration(Arc<Enumeration>),
    Float(Float),
    Struct(Arc<Struct>),
    Variant(Arc<Variant>),
    Array(Arc<Array>),
    String,
}

/// Elements, all of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Array {
    pub(crate) element: Type,
    pub(crate) length: Length,
    /// Declared alignment in bits; that of the elements may be larger.
    pub(crate) align_bits: u64,
    pub(crate) size: Size,
}

/// How large a type is once all its parts are written out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// How many types lie inside each other.
    depth: u32,
    types: u32,
}

impl Size {
    /// That of a structure or variant of these; `None` if it would be too large.
    pub(crate) fn around<'t>(inner: impl IntoIterator<Item = &'t Type>) -> Option<Self> {
        let mut size = Self { depth: 0, types: 1 };
        for inner in inner.into_iter().map(Type::size) {
            size.depth = size.depth.max(inner.depth);
            size.types += inner.types;
            if size.types > MAX_TYPES {
                return None;
            }
        }
        size.depth += 1;
        (size.depth <= MAX_DEPTH).then_some(size)
    }

    /// That of an array of `element`s, which is no deeper than these unless they are arrays.
    pub(crate) fn of_array(element: &Type) -> Option<Self> {
        let inner = element.size();
        let depth = inner.depth + u32::from(matches!(element, Type::Array(_)));
        (depth <= MAX_DEPTH && inner.types < MAX_TYPES).then_some(Self {
            depth,
            types: inner.types + 1,
        })
    }
}

/// How many elements an array has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    Fixed(u32),
    /// The value of another field.
    Field(Reference),
}

/// One of several types, chosen by the value of another field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variant {
    /// `None` in a type that was declared to be used with different selectors.
    pub(crate) selector: Option<Reference>,
    pub(crate) options: Vec<VariantOption>,
    /// An optional field of CTF 2: its first option, or nothing.
    pub(crate) optional: bool,
    pub(crate) size: Size,
}

/// What a variant can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VariantOption {
    pub(crate) name: Arc<str>,
    pub(crate) ty: Type,
    pub(crate) selected: Selected,
}

/// When an option is the one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selected {
    /// The selector is an enumeration and has the option's name (CTF 1.8).
    ByName,
    /// First and last values of the selector, both included (CTF 2).
    ByValue(Vec<(i128, i128)>),
}

/// Names another field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// `len`, `v.len`, `stream.event.context.len`, as TSDL looks it up (CTF 1.8 §7.3.2).
    Tsdl(Arc<str>),
    /// A field location of CTF 2.
    Location {
        /// Where the path starts; `None`: the structure that has the referring field.
        origin: Option<Scope>,
        /// Names of members; `None`: the structure around this one.
        path: Vec<Option<Box<str>>>,
    },
}

/// The parts of a packet and an event, in the order in which they lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Scope {
    PacketHeader,
    PacketContext,
    EventHeader,
    StreamContext,
    EventContext,
    Payload,
}

impl Type {
    fn size(&self) -> Size {
        match self {
            Self::Struct(of) => of.size,
            Self::Variant(of) => of.size,
            Self::Array(of) => of.size,
            _ => Size { depth: 0, types: 1 },
        }
    }
}

/// Numbers that mean something to a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    Magic,
    /// An element of the identity of the trace.
    Uuid,
    StreamClass,
    StreamInstance,
    PacketBits,
    ContentBits,
    /// A time: of an event, or of the start of a packet.
    Timestamp,
    TimestampEnd,
    Sequence,
    Discarded,
    Cpu,
    EventClass,
    Tid,
    Pid,
    Comm,
}

/// A number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Integer {
    pub(crate) ty: IntegerType,
    pub(crate) encoding: Encoding,
    /// The clock that it counts, if it is a time stamp.
    pub(crate) clock: Option<Arc<str>>,
    /// What CTF 2 says it is for.
    pub(crate) role: Option<Role>,
}

/// How the bits of a number are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Encoding {
    LittleEndian,
    BigEndian,
    /// 7 bits in each byte, the lowest first, and the highest bit set in all but the last:
    /// LEB128. The size of the type is 64 bits.
    Variable,
}

/// A floating-point number of IEEE 754.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Float {
    /// 32 or 64.
    pub(crate) size_bits: u16,
    pub(crate) align_bits: u16,
    pub(crate) big_endian: bool,
}

/// Numbers with names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Enumeration {
    pub(crate) base: Integer,
    /// First and last value of each name.
    pub(crate) labels: Vec<(i128, i128, String)>,
}

impl Enumeration {
    /// The first name that `value` has.
    pub(crate) fn label(&self, value: i128) -> Option<&str> {
        self.labels
            .iter()
            .find(|&&(first, last, _)| (first..=last).contains(&value))
            .map(|(_, _, label)| label.as_str())
    }
}

/// Members, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Struct {
    pub(crate) members: Vec<Member>,
    /// Declared alignment in bits; that of the members may be larger.
    pub(crate) align_bits: u64,
    pub(crate) size: Size,
}

/// A member of a structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// As declared, with the underscore that TSDL puts before it.
    pub(crate) name: Arc<str>,
    pub(crate) ty: Type,
}
