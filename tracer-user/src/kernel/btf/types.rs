//! A type and its kind.

use std::fmt::{self, Write as _};

use crate::kernel::btf::object::{Btf, Info, TYPE_LEN, kind, u32_at};
use crate::kernel::btf::views::{Composite, Enumeration, Integer, Prototype};

/// How many types may be nested without a pointer in between: more were made to
/// go in circles.
const MAX_CHAIN: usize = 64;

/// The type tag of pointers into the memory of a process (`__user`).
const USER_TAG: &str = "user";

/// A type of a piece of BTF.
#[derive(Clone, Copy)]
pub struct Type<'a> {
    pub(super) btf: &'a Btf,
    pub(super) id: u32,
}

/// The kind of a type.
#[derive(Clone, Copy, Debug)]
pub enum Kind<'a> {
    /// `void`, and whatever cannot be read.
    Void,
    /// A number, `bool` and `char` among them.
    Integer(Integer),
    /// A pointer to a type.
    Pointer(Type<'a>),
    /// A row of elements.
    Array {
        /// Of each element.
        element: Type<'a>,
        /// How many; 0 for those without a fixed number.
        length: u32,
    },
    /// A structure or a union.
    Composite(Composite<'a>),
    /// A number whose values have names.
    Enum(Enumeration<'a>),
    /// A structure or a union that is declared only.
    Forward {
        /// A union.
        union: bool,
    },
    /// A name for another type.
    Typedef(Type<'a>),
    /// `const`, `volatile` or `restrict` before another type.
    Qualified(Type<'a>),
    /// A note on a type, such as `user`, which is its name.
    Tagged(Type<'a>),
    /// A function; the type is its prototype.
    Function(Type<'a>),
    /// Arguments and the return type.
    Prototype(Prototype<'a>),
    /// A floating-point number, with its size in bytes.
    Float(u32),
    /// A variable, a section, a note on a declaration: no type of a value.
    Other,
}

impl<'a> Type<'a> {
    /// Its number.
    #[must_use]
    pub fn id(self) -> u32 {
        self.id
    }

    /// The BTF that it is in, or in which it was found.
    #[must_use]
    pub fn btf(self) -> &'a Btf {
        self.btf
    }

    /// Its name; many types have none.
    #[must_use]
    pub fn name(self) -> &'a str {
        let name = self.bytes().and_then(|bytes| u32_at(bytes, 0));
        name.map_or("", |name| self.btf.string(name))
    }

    /// Its kind, with what belongs to it.
    #[must_use]
    pub fn kind(self) -> Kind<'a> {
        self.read_kind().unwrap_or(Kind::Void)
    }

    fn bytes(self) -> Option<&'a [u8]> {
        self.btf.type_bytes(self.id)
    }

    fn read_kind(self) -> Option<Kind<'a>> {
        let bytes = self.bytes()?;
        let info = Info(u32_at(bytes, 4)?);
        let word = u32_at(bytes, 8)?;
        let tail = bytes.get(TYPE_LEN..)?;
        let other = self.btf.get(word);
        Some(match info.kind() {
            kind::INT => Kind::Integer(Integer::read(self.name(), word, tail)?),
            kind::PTR => Kind::Pointer(other),
            kind::ARRAY => Kind::Array {
                element: self.btf.get(u32_at(tail, 0)?),
                length: u32_at(tail, 8)?,
            },
            kind::STRUCT | kind::UNION => Kind::Composite(Composite::new(self, info, word, tail)),
            kind::ENUM | kind::ENUM64 => {
                let wide = info.kind() == kind::ENUM64;
                Kind::Enum(Enumeration::new(self.btf, info, wide, word, tail))
            }
            kind::FWD => Kind::Forward { union: info.flag() },
            kind::TYPEDEF => Kind::Typedef(other),
            kind::VOLATILE | kind::CONST | kind::RESTRICT => Kind::Qualified(other),
            kind::FUNC => Kind::Function(other),
            kind::FUNC_PROTO => Kind::Prototype(Prototype::new(other, info, tail)),
            kind::FLOAT => Kind::Float(word),
            kind::TYPE_TAG => Kind::Tagged(other),
            _ => Kind::Other,
        })
    }

    /// Itself without type definitions, qualifiers and tags.
    #[must_use]
    pub fn stripped(self) -> Self {
        self.stripped_and_tagged().0
    }

    /// The same, and whether it is tagged as lying in the memory of a process.
    #[must_use]
    pub fn stripped_and_tagged(self) -> (Self, bool) {
        let mut user = false;
        let mut ty = self;
        for _ in 0..MAX_CHAIN {
            ty = match ty.kind() {
                Kind::Typedef(other) | Kind::Qualified(other) => other,
                Kind::Tagged(other) => {
                    user |= ty.name() == USER_TAG;
                    other
                }
                _ => return (ty, user),
            };
        }
        (self.btf.get(0), user)
    }

    /// Its size in bytes; `None` for `void`, functions and declarations.
    #[must_use]
    pub fn size(self) -> Option<u64> {
        let mut factor = 1_u64;
        let mut ty = self;
        for _ in 0..MAX_CHAIN {
            let size = match ty.stripped().kind() {
                Kind::Integer(integer) => integer.size,
                Kind::Pointer(_) => 8,
                Kind::Composite(composite) => composite.size(),
                Kind::Enum(enumeration) => enumeration.size(),
                Kind::Float(size) => size,
                Kind::Array { element, length } => {
                    factor = factor.checked_mul(u64::from(length))?;
                    ty = element;
                    continue;
                }
                _ => return None,
            };
            return factor.checked_mul(u64::from(size));
        }
        None
    }
}

/// The name as C has it: `struct dentry *`.
impl fmt::Display for Type<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut suffix = String::new();
        let mut ty = *self;
        for _ in 0..MAX_CHAIN {
            let (tag, what) = match ty.kind() {
                Kind::Void | Kind::Other => ("", "void"),
                Kind::Pointer(other) => {
                    suffix.insert(0, '*');
                    ty = other;
                    continue;
                }
                Kind::Array { element, length } => {
                    write!(suffix, "[{length}]")?;
                    ty = element;
                    continue;
                }
                Kind::Qualified(other) | Kind::Tagged(other) => {
                    ty = other;
                    continue;
                }
                Kind::Composite(composite) if composite.is_union() => ("union ", ty.name()),
                Kind::Forward { union: true } => ("union ", ty.name()),
                Kind::Composite(_) | Kind::Forward { .. } => ("struct ", ty.name()),
                Kind::Enum(_) => ("enum ", ty.name()),
                Kind::Integer(_) | Kind::Float(_) | Kind::Typedef(_) => ("", ty.name()),
                Kind::Function(_) | Kind::Prototype(_) => ("", "function"),
            };
            let what = if what.is_empty() { "{…}" } else { what };
            let blank = if suffix.is_empty() { "" } else { " " };
            return write!(f, "{tag}{what}{blank}{suffix}");
        }
        f.write_str("void")
    }
}

impl fmt::Debug for Type<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({self})", self.id)
    }
}
