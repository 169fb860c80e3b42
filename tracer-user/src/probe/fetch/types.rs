//! Types of expressions: those of BTF, with pointers to them from casts or `&`, and numbers
//! that BTF does not describe.

use std::fmt;
use std::sync::Arc;

use crate::kernel::btf::{Btf, Composite, Enumeration, Kind, NameKind, Type};
use crate::names::Suggestions;
use crate::probe::fetch::error::FetchProblem;
use crate::probe::fetch::syntax::{Tag, TypeName};
use crate::probe::fetch::value::Memory;
use crate::trace::event::{Display, FieldType, IntegerType, Label, LabelKind, Labels};

/// The type of a value.
#[derive(Clone, Copy, Debug)]
pub(in crate::probe) struct CType<'a> {
    of: Of<'a>,
    /// How many `*` follow it.
    pointers: u8,
    /// The outermost of these points to memory of the process.
    user: bool,
}

#[derive(Clone, Copy, Debug)]
enum Of<'a> {
    Btf(Type<'a>),
    Number(IntegerType),
}

/// What can be done with a value.
#[derive(Clone, Copy, Debug)]
pub(in crate::probe) enum Shape<'a> {
    /// It can be recorded.
    Number(IntegerType),
    /// It can be recorded, with names.
    Labeled(Enumeration<'a>, IntegerType),
    /// It can be recorded and followed.
    Pointer {
        /// What it points to.
        to: CType<'a>,
        /// Memory of the target.
        memory: Memory,
    },
    /// Its elements can be reached.
    Array {
        /// Type of an element.
        element: CType<'a>,
        /// 0 if it is not fixed.
        length: u32,
    },
    /// Its members can be reached.
    Composite(Composite<'a>),
    /// A structure that is declared but not defined.
    Forward,
    /// Nothing: `void`, functions, floats, numbers of 16 bytes.
    Nothing,
}

const POINTER: IntegerType = IntegerType::natural(8, false, Display::Hexadecimal);

impl<'a> CType<'a> {
    pub(in crate::probe) const fn of_btf(ty: Type<'a>) -> Self {
        Self {
            of: Of::Btf(ty),
            pointers: 0,
            user: false,
        }
    }

    pub(in crate::probe) const fn number(ty: IntegerType) -> Self {
        Self {
            of: Of::Number(ty),
            pointers: 0,
            user: false,
        }
    }

    /// A pointer to it; `None` for too many levels of indirection.
    pub(in crate::probe) fn pointed_to(self, memory: Memory) -> Option<Self> {
        Some(Self {
            pointers: self.pointers.checked_add(1)?,
            user: memory == Memory::User,
            ..self
        })
    }

    /// The same pointer, into memory of the process.
    pub(in crate::probe) fn in_memory_of_process(self) -> Self {
        Self { user: true, ..self }
    }

    pub(in crate::probe) fn shape(self) -> Shape<'a> {
        if let Some(pointers) = self.pointers.checked_sub(1) {
            let to = Self {
                pointers,
                user: false,
                ..self
            };
            let memory = if self.user {
                Memory::User
            } else {
                Memory::Kernel
            };
            return Shape::Pointer { to, memory };
        }
        match self.of {
            Of::Number(ty) => Shape::Number(ty),
            Of::Btf(ty) => shape_of(ty.stripped()),
        }
    }

    /// `char`: a row of them is text.
    pub(in crate::probe) fn is_char(self) -> bool {
        match self.of {
            Of::Btf(ty) if self.pointers == 0 => {
                matches!(ty.stripped().kind(), Kind::Integer(integer) if integer.character)
            }
            _ => false,
        }
    }

    /// Whether it is a pointer of BTF to kernel memory, without a cast, to such a type.
    pub(in crate::probe) fn is_plain_pointer_to(self, is: impl FnOnce(Type<'a>) -> bool) -> bool {
        match self.of {
            Of::Btf(ty) if self.pointers == 0 => match ty.stripped().kind() {
                Kind::Pointer(to) => match to.stripped_and_tagged() {
                    (to, false) => is(to),
                    (_, true) => false,
                },
                _ => false,
            },
            _ => false,
        }
    }

    /// In bytes; `None` for `void` and declarations.
    pub(in crate::probe) fn size(self) -> Option<u64> {
        match self.of {
            _ if self.pointers > 0 => Some(8),
            Of::Btf(ty) => ty.size(),
            Of::Number(ty) => Some(u64::from(ty.size_bits / 8)),
        }
    }

    /// The type with a name, looked up in `types`.
    pub(in crate::probe) fn named(
        name: &TypeName,
        types: Option<&'a Btf>,
    ) -> Result<Self, FetchProblem> {
        let btf = types.ok_or_else(|| FetchProblem::NoTypes(name.to_string()))?;
        let of = match name.tag {
            Tag::Plain if name.name == "void" => Some(btf.get(0)),
            Tag::Plain => find(btf, &[NameKind::Typedef, NameKind::Number], &name.name),
            Tag::Struct => find(btf, &[NameKind::Struct], &name.name),
            Tag::Union => find(btf, &[NameKind::Union], &name.name),
            Tag::Enum => find(btf, &[NameKind::Enum], &name.name),
        };
        let of = of.ok_or_else(|| no_such_type(name, btf))?;
        Ok(Self {
            of: Of::Btf(of),
            pointers: name.pointers,
            user: name.user,
        })
    }
}

fn shape_of(ty: Type<'_>) -> Shape<'_> {
    match ty.kind() {
        Kind::Integer(integer) => {
            let number = number(integer.size, integer.signed);
            number.map_or(Shape::Nothing, Shape::Number)
        }
        Kind::Enum(enumeration) => {
            let number = number(enumeration.size(), enumeration.is_signed());
            number.map_or(Shape::Nothing, |number| Shape::Labeled(enumeration, number))
        }
        Kind::Pointer(to) => {
            let (_, user) = to.stripped_and_tagged();
            Shape::Pointer {
                to: CType::of_btf(to),
                memory: if user { Memory::User } else { Memory::Kernel },
            }
        }
        Kind::Array { element, length } => Shape::Array {
            element: CType::of_btf(element),
            length,
        },
        Kind::Composite(composite) => Shape::Composite(composite),
        // Another part of the kernel may define it.
        Kind::Forward { union } => {
            let what = if union {
                NameKind::Union
            } else {
                NameKind::Struct
            };
            match ty.btf().find(what, ty.name()).map(Type::kind) {
                Some(Kind::Composite(composite)) => Shape::Composite(composite),
                _ => Shape::Forward,
            }
        }
        _ => Shape::Nothing,
    }
}

fn number(size: u32, signed: bool) -> Option<IntegerType> {
    matches!(size, 1 | 2 | 4 | 8)
        .then(|| IntegerType::natural(size as u16, signed, Display::Decimal))
}

fn find<'a>(btf: &'a Btf, what: &[NameKind], name: &str) -> Option<Type<'a>> {
    what.iter().find_map(|what| btf.find(*what, name))
}

/// Most often the tag is wrong or missing.
fn no_such_type(name: &TypeName, btf: &Btf) -> FetchProblem {
    let others = [
        (NameKind::Struct, "struct "),
        (NameKind::Union, "union "),
        (NameKind::Enum, "enum "),
        (NameKind::Typedef, ""),
    ];
    let tagged = others
        .into_iter()
        .filter(|(what, _)| btf.find(*what, &name.name).is_some())
        .map(|(_, tag)| format!("{tag}{}", name.name))
        .collect();
    FetchProblem::NoSuchType {
        name: format!("{}{}", name.tag.prefix(), name.name),
        suggestions: Suggestions::of(tagged),
    }
}

impl Shape<'_> {
    /// As a number, if it is one: pointers are.
    pub(in crate::probe) fn as_number(&self) -> Option<IntegerType> {
        match self {
            Self::Number(number) | Self::Labeled(_, number) => Some(*number),
            Self::Pointer { .. } => Some(POINTER),
            _ => None,
        }
    }

    /// The type of a field that is recorded as a number.
    pub(in crate::probe) fn field_type(&self) -> Option<FieldType> {
        match self {
            Self::Labeled(enumeration, number) => Some(labeled(*enumeration, *number)),
            other => other.as_number().map(FieldType::Integer),
        }
    }
}

/// An enumeration without names is a number.
fn labeled(enumeration: Enumeration<'_>, number: IntegerType) -> FieldType {
    let entries: Vec<Label> = enumeration
        .enumerators()
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| Label {
            value,
            name: name.to_owned(),
        })
        .collect();
    if entries.is_empty() {
        return FieldType::Integer(number);
    }
    FieldType::Labeled {
        number,
        labels: Arc::new(Labels {
            kind: LabelKind::Values,
            entries,
        }),
    }
}

impl fmt::Display for CType<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of {
            Of::Btf(ty) => write!(f, "{ty}")?,
            Of::Number(number) => {
                let sign = if number.signed { 's' } else { 'u' };
                write!(f, "{sign}{}", number.size_bits)?;
            }
        }
        if self.pointers > 0 {
            write!(f, " {:*<1$}", "", usize::from(self.pointers))?;
        }
        Ok(())
    }
}
