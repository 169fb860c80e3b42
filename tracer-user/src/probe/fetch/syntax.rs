//! The syntax tree of a fetch list, before names and types are resolved.
//!
//! Its `Display` is a text again, which parses to an equal tree.

use std::fmt;

use crate::names::place::{Span, Spanned};
use crate::probe::fetch::value::Memory;

/// One value to fetch: `name=path->dentry:x64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The name of the field, if one was typed.
    pub name: Option<Spanned<String>>,
    /// The expression.
    pub expr: Expr,
    /// The format, if one was typed.
    pub format: Option<Spanned<Format>>,
}

/// An expression that leads to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    /// `path`: an argument, `ret`, a register `arg0`, or a field of a tracepoint's record.
    Name(Spanned<String>),
    /// `of->name` or `of.name`: a member of a structure, or of what a pointer points to.
    Member {
        /// The structure or the pointer.
        of: Box<Expr>,
        /// It was typed as `->`. As in debuggers, `->` and `.` mean the same.
        arrow: bool,
        /// The member.
        name: Spanned<String>,
    },
    /// `of[3]`: an element of an array, or of what a pointer points to.
    Index {
        /// The array or the pointer.
        of: Box<Expr>,
        /// Index, from 0; its span includes the brackets.
        index: Spanned<u32>,
    },
    /// `*of`: what a pointer points to.
    Deref {
        /// The pointer.
        of: Box<Expr>,
        /// Of the sign.
        sign: Spanned<()>,
    },
    /// `&of`: an address.
    AddressOf {
        /// What has that address.
        of: Box<Expr>,
        /// Of the sign.
        sign: Spanned<()>,
    },
    /// `(struct sock *)of`.
    Cast {
        /// The type; its span includes the parentheses.
        ty: Spanned<TypeName>,
        /// What is cast.
        of: Box<Expr>,
    },
}

impl Expr {
    /// Its position in the text.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Self::Name(name) => name.span,
            Self::Member { of, name, .. } => of.span().to(name.span),
            Self::Index { of, index } => of.span().to(index.span),
            Self::Deref { of, sign } | Self::AddressOf { of, sign } => sign.span.to(of.span()),
            Self::Cast { ty, of } => ty.span.to(of.span()),
        }
    }

    /// The default name of the field: the path, with `_` between its
    /// parts.
    #[must_use]
    pub fn field_name(&self) -> String {
        match self {
            Self::Name(name) => name.value.clone(),
            Self::Member { of, name, .. } => format!("{}_{}", of.field_name(), name.value),
            Self::Index { of, index } => format!("{}_{}", of.field_name(), index.value),
            Self::Deref { of, .. } | Self::AddressOf { of, .. } | Self::Cast { of, .. } => {
                of.field_name()
            }
        }
    }

    /// Binds less tightly than a step: `(*a)->b`.
    const fn is_prefix(&self) -> bool {
        matches!(
            self,
            Self::Deref { .. } | Self::AddressOf { .. } | Self::Cast { .. }
        )
    }
}

/// A C type as typed: `struct sock *`, `u32`, `unsigned long`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeName {
    /// The tag before the name.
    pub tag: Tag,
    /// Without tag; words of C itself in BTF's order: `long unsigned int`.
    pub name: String,
    /// How many `*` follow.
    pub pointers: u8,
    /// `__user` was typed: the pointers point to memory of the process.
    pub user: bool,
}

/// The tag of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// `struct`.
    Struct,
    /// `union`.
    Union,
    /// `enum`.
    Enum,
    /// None: a number of C or a `typedef`.
    Plain,
}

impl Tag {
    /// Followed by a blank.
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Self::Struct => "struct ",
            Self::Union => "union ",
            Self::Enum => "enum ",
            Self::Plain => "",
        }
    }
}

/// How a value is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A string that ends with NUL.
    String(Memory),
    /// A number.
    Number {
        /// Sign and base.
        style: Style,
        /// 8, 16, 32 or 64; without, as many as the value's type has.
        bits: Option<u8>,
    },
}

/// Sign and base of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `d` or `s`: decimal, with a sign.
    Signed,
    /// `u`: decimal, without a sign.
    Unsigned,
    /// `x`.
    Hexadecimal,
    /// `o`.
    Octal,
}

impl Format {
    /// Parses what follows the colon. A size may follow each letter: `x`, `x32`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "str" => return Some(Self::String(Memory::Kernel)),
            "ustr" => return Some(Self::String(Memory::User)),
            _ => {}
        }
        let style = match text.chars().next()? {
            'd' | 's' => Style::Signed,
            'u' => Style::Unsigned,
            'x' => Style::Hexadecimal,
            'o' => Style::Octal,
            _ => return None,
        };
        let bits = match &text[1..] {
            "" => None,
            "8" => Some(8),
            "16" => Some(16),
            "32" => Some(32),
            "64" => Some(64),
            _ => return None,
        };
        Some(Self::Number { style, bits })
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{name}=")?;
        }
        write!(f, "{}", self.expr)?;
        match &self.format {
            Some(format) => write!(f, ":{format}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name}"),
            Self::Member { of, arrow, name } => {
                write!(f, "{}{}{name}", Stem(of), if *arrow { "->" } else { "." })
            }
            Self::Index { of, index } => write!(f, "{}[{index}]", Stem(of)),
            Self::Deref { of, .. } => write!(f, "*{of}"),
            Self::AddressOf { of, .. } => write!(f, "&{of}"),
            Self::Cast { ty, of } => write!(f, "({ty}){of}"),
        }
    }
}

/// What a step follows, in parentheses where they are needed.
struct Stem<'a>(&'a Expr);

impl fmt::Display for Stem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_prefix() {
            write!(f, "({})", self.0)
        } else {
            write!(f, "{}", self.0)
        }
    }
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.tag.prefix(), self.name)?;
        if self.user {
            f.write_str(" __user")?;
        }
        if self.pointers > 0 {
            write!(f, " {:*<1$}", "", usize::from(self.pointers))?;
        }
        Ok(())
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(Memory::Kernel) => f.write_str("str"),
            Self::String(Memory::User) => f.write_str("ustr"),
            Self::Number { style, bits } => {
                f.write_str(match (style, bits) {
                    (Style::Signed, None) => "d",
                    (Style::Signed, Some(_)) => "s",
                    (Style::Unsigned, _) => "u",
                    (Style::Hexadecimal, _) => "x",
                    (Style::Octal, _) => "o",
                })?;
                bits.map_or(Ok(()), |bits| write!(f, "{bits}"))
            }
        }
    }
}
