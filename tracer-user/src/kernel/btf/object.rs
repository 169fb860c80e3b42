//! One piece of BTF: where its types begin, and its strings.

use std::sync::{Arc, OnceLock};

use crate::kernel::btf::names::Names;

const MAGIC: u16 = 0xeb9f;
const VERSION: u8 = 1;

/// Bytes of the header that all versions have.
const MIN_HEADER_LEN: u32 = 24;

/// Bytes that each type begins with: name, info, and size or another type.
pub(super) const TYPE_LEN: usize = 12;

/// Why bytes are not BTF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// They start with other bytes.
    #[error("not BTF in this machine's byte order")]
    Magic,
    /// A later version of the format.
    #[error("BTF version {0} is not supported (only {VERSION} is)")]
    Version(u8),
    /// The header or a section is longer than the data.
    #[error("truncated")]
    Truncated,
    /// A kind that this version does not know.
    #[error("type {id} has unknown kind {kind}")]
    UnknownKind {
        /// Number of the type.
        id: u32,
        /// Number of its kind.
        kind: u8,
    },
    /// A type that extends past the end of the types.
    #[error("type {0} is truncated")]
    TruncatedType(u32),
}

/// One piece of BTF: the kernel's, or that of a module on top of it.
#[derive(Debug)]
pub struct Btf {
    bytes: Vec<u8>,
    /// Start and end of the strings in `bytes`.
    strings: (usize, usize),
    /// Start of each type in `bytes`.
    types: Vec<u32>,
    /// The BTF whose numbering of types and strings this one continues.
    base: Option<Arc<Btf>>,
    names: OnceLock<Names>,
}

impl Btf {
    /// Parses a whole piece of BTF; `base` is the kernel's, for a module.
    pub fn parse(bytes: Vec<u8>, base: Option<Arc<Self>>) -> Result<Self, BtfError> {
        let field = |at| u32_at(&bytes, at).ok_or(BtfError::Truncated);
        let [magic_low, magic_high, version, ..] = *bytes.as_slice() else {
            return Err(BtfError::Truncated);
        };
        if u16::from_le_bytes([magic_low, magic_high]) != MAGIC {
            return Err(BtfError::Magic);
        }
        if version != VERSION {
            return Err(BtfError::Version(version));
        }
        let header_len = field(4)?;
        if header_len < MIN_HEADER_LEN {
            return Err(BtfError::Truncated);
        }
        let section = |start: u32, len: u32| {
            let start = (header_len as usize).checked_add(start as usize)?;
            let end = start.checked_add(len as usize)?;
            (end <= bytes.len()).then_some((start, end))
        };
        let types = section(field(8)?, field(12)?).ok_or(BtfError::Truncated)?;
        let strings = section(field(16)?, field(20)?).ok_or(BtfError::Truncated)?;
        let first_id = base.as_ref().map_or(1, |base| base.end_id());
        Ok(Self {
            types: type_offsets(&bytes[..types.1], types.0, first_id)?,
            bytes,
            strings,
            base,
            names: OnceLock::new(),
        })
    }

    /// The numbers of its types, without those of the base.
    #[must_use]
    pub fn ids(&self) -> std::ops::Range<u32> {
        self.first_id()..self.end_id()
    }

    fn first_id(&self) -> u32 {
        self.base.as_ref().map_or(1, |base| base.end_id())
    }

    fn end_id(&self) -> u32 {
        self.first_id() + self.types.len() as u32
    }

    /// The BTF whose numbering this one continues.
    pub(super) fn base(&self) -> Option<&Self> {
        self.base.as_deref()
    }

    /// Its types by name, which `read` provides when they are first needed.
    pub(super) fn names(&self, read: impl FnOnce() -> Names) -> &Names {
        self.names.get_or_init(read)
    }

    /// The bytes from the start of a type to the end of all.
    pub(super) fn type_bytes(&self, id: u32) -> Option<&[u8]> {
        let Some(index) = id.checked_sub(self.first_id()) else {
            return self.base.as_ref()?.type_bytes(id);
        };
        let start = *self.types.get(index as usize)?;
        self.bytes.get(start as usize..)
    }

    /// The string at an offset, empty if there is none.
    pub(super) fn string(&self, offset: u32) -> &str {
        let base_len = self.base.as_ref().map_or(0, |base| base.strings_len());
        let Some(offset) = offset.checked_sub(base_len) else {
            return self.base.as_ref().map_or("", |base| base.string(offset));
        };
        let strings = &self.bytes[self.strings.0..self.strings.1];
        let rest = strings.get(offset as usize..).unwrap_or_default();
        let end = rest.iter().position(|&byte| byte == 0).unwrap_or(0);
        std::str::from_utf8(&rest[..end]).unwrap_or_default()
    }

    /// Size of all strings in bytes, including those of the base.
    fn strings_len(&self) -> u32 {
        let base_len = self.base.as_ref().map_or(0, |base| base.strings_len());
        base_len.saturating_add((self.strings.1 - self.strings.0) as u32)
    }
}

/// The start of each type. `bytes` end with the last one.
fn type_offsets(bytes: &[u8], start: usize, first_id: u32) -> Result<Vec<u32>, BtfError> {
    // Most types of a kernel have 12 to 40 bytes.
    let mut offsets = Vec::with_capacity((bytes.len() - start) / 24);
    let mut at = start;
    while at < bytes.len() {
        let id = first_id.saturating_add(offsets.len() as u32);
        let truncated = BtfError::TruncatedType(id);
        let info = Info(u32_at(bytes, at + 4).ok_or(truncated)?);
        let tail = info.tail_len().ok_or(BtfError::UnknownKind {
            id,
            kind: info.kind(),
        })?;
        offsets.push(at as u32);
        at += TYPE_LEN + tail;
        if at > bytes.len() {
            return Err(truncated);
        }
    }
    Ok(offsets)
}

/// The second word of a type.
#[derive(Clone, Copy)]
pub(super) struct Info(pub(super) u32);

/// Numbers of kinds (`BTF_KIND_` of `include/uapi/linux/btf.h`).
pub(super) mod kind {
    pub(crate) const INT: u8 = 1;
    pub(crate) const PTR: u8 = 2;
    pub(crate) const ARRAY: u8 = 3;
    pub(crate) const STRUCT: u8 = 4;
    pub(crate) const UNION: u8 = 5;
    pub(crate) const ENUM: u8 = 6;
    pub(crate) const FWD: u8 = 7;
    pub(crate) const TYPEDEF: u8 = 8;
    pub(crate) const VOLATILE: u8 = 9;
    pub(crate) const CONST: u8 = 10;
    pub(crate) const RESTRICT: u8 = 11;
    pub(crate) const FUNC: u8 = 12;
    pub(crate) const FUNC_PROTO: u8 = 13;
    pub(crate) const VAR: u8 = 14;
    pub(crate) const DATASEC: u8 = 15;
    pub(crate) const FLOAT: u8 = 16;
    pub(crate) const DECL_TAG: u8 = 17;
    pub(crate) const TYPE_TAG: u8 = 18;
    pub(crate) const ENUM64: u8 = 19;
}

impl Info {
    pub(super) fn kind(self) -> u8 {
        (self.0 >> 24) as u8 & 0x1f
    }

    /// Number of members, enumerators or arguments.
    pub(super) fn count(self) -> usize {
        (self.0 & 0xffff) as usize
    }

    pub(super) fn flag(self) -> bool {
        self.0 >> 31 == 1
    }

    /// Bytes after the three words that every type has.
    fn tail_len(self) -> Option<usize> {
        Some(match self.kind() {
            kind::INT | kind::VAR | kind::DECL_TAG => 4,
            kind::ARRAY => 12,
            kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => 12 * self.count(),
            kind::ENUM | kind::FUNC_PROTO => 8 * self.count(),
            kind::PTR..=kind::FUNC | kind::FLOAT | kind::TYPE_TAG => 0,
            _ => return None,
        })
    }
}

/// The word at a byte.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(word.try_into().ok()?))
}

#[cfg(test)]
#[path = "object_tests.rs"]
mod tests;
