//! Numbers, structures, enumerations and prototypes, decoded on demand.

use crate::kernel::btf::object::{Btf, Info, u32_at};
use crate::kernel::btf::types::{Kind, Type};

/// Bits of a number's encoding.
mod encoding {
    pub(super) const SIGNED: u32 = 1;
    pub(super) const BOOL: u32 = 4;
}

/// Maximum nesting of structures without names.
const MAX_ANONYMOUS: usize = 1024;

/// A number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Integer {
    /// In bytes.
    pub size: u32,
    /// Bits that are used; fewer than `size` has in bit-fields of old compilers.
    pub bits: u8,
    /// Bits that lie below those.
    pub bit_offset: u8,
    /// Two's complement.
    pub signed: bool,
    /// `bool`.
    pub boolean: bool,
    /// `char`, which holds text.
    pub character: bool,
}

impl Integer {
    pub(super) fn read(name: &str, size: u32, tail: &[u8]) -> Option<Self> {
        let word = u32_at(tail, 0)?;
        let encoding = word >> 24 & 0xf;
        Some(Self {
            size,
            bits: word as u8,
            bit_offset: (word >> 16) as u8,
            signed: encoding & encoding::SIGNED != 0,
            boolean: encoding & encoding::BOOL != 0,
            // Compilers do not set the bit for characters.
            character: name == "char",
        })
    }
}

/// A structure or a union.
#[derive(Clone, Copy, Debug)]
pub struct Composite<'a> {
    ty: Type<'a>,
    size: u32,
    union: bool,
    /// Members have a size in bits.
    bit_fields: bool,
    members: &'a [u8],
}

/// A member of a structure or a union.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// Empty for structures and unions whose members count as those around them.
    pub name: &'a str,
    /// Its type.
    pub ty: Type<'a>,
    /// Bits from the start of the structure on which it was looked up.
    pub bit_offset: u64,
    /// Width in bits, for a bit-field.
    pub bits: Option<u8>,
}

impl<'a> Composite<'a> {
    pub(super) fn new(ty: Type<'a>, info: Info, size: u32, tail: &'a [u8]) -> Self {
        Self {
            ty,
            size,
            union: info.kind() == super::object::kind::UNION,
            bit_fields: info.flag(),
            members: records(tail, 12, info),
        }
    }

    /// In bytes.
    #[must_use]
    pub fn size(self) -> u32 {
        self.size
    }

    /// A union rather than a structure.
    #[must_use]
    pub fn is_union(self) -> bool {
        self.union
    }

    /// Its members, in order; those of members without a name are not unfolded.
    pub fn members(self) -> impl Iterator<Item = Member<'a>> {
        self.members.chunks_exact(12).filter_map(move |bytes| {
            let ty = self.ty.btf.get(u32_at(bytes, 4)?);
            let word = u32_at(bytes, 8)?;
            let (offset, bits) = if self.bit_fields {
                (word & 0x00ff_ffff, (word >> 24) as u8)
            } else {
                (word, 0)
            };
            let mut member = Member {
                name: self.ty.btf.string(u32_at(bytes, 0)?),
                ty,
                bit_offset: u64::from(offset),
                bits: (bits != 0).then_some(bits),
            };
            // Before members had a size in bits, their type had it.
            if let Kind::Integer(integer) = ty.kind()
                && !self.bit_fields
                && u32::from(integer.bits) < integer.size.saturating_mul(8)
            {
                member.bit_offset += u64::from(integer.bit_offset);
                member.bits = Some(integer.bits);
            }
            Some(member)
        })
    }

    /// The member with a name, also within members without a name, with its offset in this
    /// structure.
    #[must_use]
    pub fn member(self, name: &str) -> Option<Member<'a>> {
        self.unfolded().find(|member| member.name == name)
    }

    /// All members that have a name, with those of members without one.
    pub fn unfolded(self) -> impl Iterator<Item = Member<'a>> {
        // Damaged BTF may have a structure that contains itself: visit each once.
        let mut seen = vec![self.ty.id];
        let mut waiting = vec![(0, self)];
        let mut found = Vec::new();
        while let Some((start, composite)) = waiting.pop() {
            for member in composite.members() {
                let member = Member {
                    bit_offset: start + member.bit_offset,
                    ..member
                };
                if !member.name.is_empty() {
                    found.push(member);
                    continue;
                }
                let inner = member.ty.stripped();
                if let Kind::Composite(composite) = inner.kind()
                    && !seen.contains(&inner.id)
                    && seen.len() < MAX_ANONYMOUS
                {
                    seen.push(inner.id);
                    waiting.push((member.bit_offset, composite));
                }
            }
        }
        found.into_iter()
    }
}

/// A number whose values have names.
#[derive(Clone, Copy, Debug)]
pub struct Enumeration<'a> {
    btf: &'a Btf,
    size: u32,
    signed: bool,
    wide: bool,
    enumerators: &'a [u8],
}

impl<'a> Enumeration<'a> {
    pub(super) fn new(btf: &'a Btf, info: Info, wide: bool, size: u32, tail: &'a [u8]) -> Self {
        Self {
            btf,
            size,
            signed: info.flag(),
            wide,
            enumerators: records(tail, if wide { 12 } else { 8 }, info),
        }
    }

    /// In bytes.
    #[must_use]
    pub fn size(self) -> u32 {
        self.size
    }

    /// Two's complement.
    #[must_use]
    pub fn is_signed(self) -> bool {
        self.signed
    }

    /// Names and values, which are sign-extended to 64 bits if signed.
    pub fn enumerators(self) -> impl Iterator<Item = (&'a str, u64)> {
        let len = if self.wide { 12 } else { 8 };
        self.enumerators.chunks_exact(len).filter_map(move |bytes| {
            let name = self.btf.string(u32_at(bytes, 0)?);
            let low = u32_at(bytes, 4)?;
            let value = match u32_at(bytes, 8) {
                Some(high) => u64::from(high) << 32 | u64::from(low),
                None if self.signed => i64::from(low as i32) as u64,
                None => u64::from(low),
            };
            Some((name, value))
        })
    }
}

/// Arguments and return type of a function.
#[derive(Clone, Copy, Debug)]
pub struct Prototype<'a> {
    returned: Type<'a>,
    arguments: &'a [u8],
}

/// An argument of a function.
#[derive(Clone, Copy, Debug)]
pub struct Argument<'a> {
    /// May be empty.
    pub name: &'a str,
    /// Its type.
    pub ty: Type<'a>,
}

impl<'a> Prototype<'a> {
    pub(super) fn new(returned: Type<'a>, info: Info, tail: &'a [u8]) -> Self {
        Self {
            returned,
            arguments: records(tail, 8, info),
        }
    }

    /// The return type, or `void`.
    #[must_use]
    pub fn returned(self) -> Type<'a> {
        self.returned
    }

    /// The same without its first argument.
    pub(super) fn without_first(self) -> Self {
        Self {
            arguments: self.arguments.get(8..).unwrap_or_default(),
            ..self
        }
    }

    /// The arguments, in order, without the `...` of those that take any number.
    pub fn arguments(self) -> impl Iterator<Item = Argument<'a>> {
        let btf = self.returned.btf;
        self.arguments
            .chunks_exact(8)
            .filter_map(move |bytes| Some((u32_at(bytes, 0)?, u32_at(bytes, 4)?)))
            .filter(|&words| words != (0, 0))
            .map(move |(name, ty)| Argument {
                name: btf.string(name),
                ty: btf.get(ty),
            })
    }
}

/// The records that follow a type, as far as they are present.
fn records(tail: &[u8], len: usize, info: Info) -> &[u8] {
    let all = len * info.count();
    &tail[..all.min(tail.len())]
}
