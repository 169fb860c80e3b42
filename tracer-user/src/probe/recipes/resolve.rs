//! Resolves the names and types of a recipe's expressions against the kernel's BTF.

use crate::kernel::btf::{Btf, Found, Kind};
use crate::probe::fetch::types::{CType, Shape};
use crate::probe::fetch::{Memory, registers, type_name};
use crate::probe::recipes::node::{Bytes, Current, Node, Text};
use crate::probe::recipes::syntax::{Binary, Expr, Unary};
use crate::trace::event::{Display, IntegerType};

type Result<T> = std::result::Result<T, String>;

/// Size of a thread's name (`TASK_COMM_LEN`).
const COMM_LEN: u64 = 16;

/// A value of an expression.
#[derive(Clone, Debug)]
struct Value<'a> {
    ty: CType<'a>,
    place: ValuePlace,
    /// A pointer to a structure, or memory in one, whose type the verifier knows.
    typed: bool,
}

#[derive(Clone, Debug)]
enum ValuePlace {
    Number(Node),
    Memory {
        address: Node,
        offset: i64,
        bits: Option<(u8, u8)>,
    },
    /// `$comm`.
    Comm,
}

/// Resolves the expressions of one event.
pub(super) struct Resolver<'a> {
    arguments: Vec<(String, u8, CType<'a>)>,
    types: &'a Btf,
    /// Members that were followed so far, as text: they belong to what is certified.
    followed: Vec<String>,
}

const INT: IntegerType = IntegerType::natural(4, true, Display::Decimal);
const LONG: IntegerType = IntegerType::natural(8, true, Display::Decimal);
const UNSIGNED: IntegerType = IntegerType::natural(4, false, Display::Decimal);
const UNSIGNED_LONG: IntegerType = IntegerType::natural(8, false, Display::Decimal);

impl<'a> Resolver<'a> {
    pub(super) fn new(found: &Found<'a>) -> Self {
        let places = registers::places(found).into_iter();
        let arguments = places.filter_map(|(argument, place)| {
            let ty = CType::of_btf(argument.ty);
            Some((argument.name.to_owned(), place.ok()?, ty))
        });
        Self {
            arguments: arguments.collect(),
            types: found.ty.btf(),
            followed: Vec::new(),
        }
    }

    /// Members that were followed, each with its structure, place and type.
    pub(super) fn into_followed(self) -> Vec<String> {
        let mut followed = self.followed;
        followed.sort_unstable();
        followed.dedup();
        followed
    }

    /// The expression as a number.
    pub(super) fn number(&mut self, expr: &Expr) -> Result<Node> {
        Ok(self.scalar(expr)?.0)
    }

    /// The expression as `len` bytes of memory.
    pub(super) fn bytes(&mut self, expr: &Expr, len: u32) -> Result<Bytes> {
        if let Expr::Call(name, arguments) = expr
            && let ("bytes", [pointer]) = (name.as_str(), arguments.as_slice())
        {
            let address = self.number(pointer)?;
            return Ok(Bytes::At {
                address,
                offset: 0,
                typed: false,
            });
        }
        let value = self.value(expr)?;
        let size = match value.place {
            ValuePlace::Comm => Some(COMM_LEN),
            _ => value.ty.size(),
        };
        if size != Some(u64::from(len)) {
            let ty = value.ty;
            return Err(format!("a `{ty}` is not an array of {len} bytes"));
        }
        match value.place {
            ValuePlace::Comm => Ok(Bytes::Comm),
            ValuePlace::Memory {
                address,
                offset,
                bits: None,
            } => Ok(Bytes::At {
                address,
                offset,
                typed: value.typed,
            }),
            _ => Err("a number is not an array".to_owned()),
        }
    }

    /// The expression as a string.
    pub(super) fn text(&mut self, expr: &Expr) -> Result<Text> {
        match expr {
            Expr::Text(text) => Ok(Text::Literal(text.clone())),
            Expr::If(condition, then, otherwise) => Ok(Text::If {
                condition: self.number(condition)?,
                then: self.text(then)?.into(),
                otherwise: self.text(otherwise)?.into(),
            }),
            _ => {
                let value = self.value(expr)?;
                match (value.ty.shape(), value.place.clone()) {
                    (_, ValuePlace::Comm) => Ok(Text::Comm),
                    (
                        Shape::Array { element, .. },
                        ValuePlace::Memory {
                            address, offset, ..
                        },
                    ) if element.size() == Some(1) => Ok(Text::At(address.plus(offset))),
                    (Shape::Pointer { to, .. }, place) if to.size() == Some(1) => {
                        let (address, _) = scalar_of(Value { place, ..value })?;
                        Ok(Text::At(address))
                    }
                    _ => Err(format!("a `{}` is not a string", value.ty)),
                }
            }
        }
    }

    /// The expression as a number, with its type.
    fn scalar(&mut self, expr: &Expr) -> Result<(Node, CType<'a>)> {
        scalar_of(self.value(expr)?)
    }

    fn value(&mut self, expr: &Expr) -> Result<Value<'a>> {
        match expr {
            Expr::Name(name) => self.argument(name),
            Expr::Special(name) => special(name),
            Expr::Number(value) => Ok(constant(*value)),
            Expr::Text(_) => Err("a string is not a number".to_owned()),
            Expr::Member(of, name) => {
                let value = self.value(of)?;
                self.member(value, name)
            }
            Expr::Element(of, index) => self.element(of, index),
            Expr::Deref(of) => {
                let value = self.value(of)?;
                pointed_to(value)
            }
            Expr::AddressOf(of) => {
                let value = self.value(of)?;
                match value.place {
                    ValuePlace::Memory {
                        address,
                        offset,
                        bits: None,
                    } => {
                        let ty = value.ty.pointed_to(Memory::Kernel);
                        let ty = ty.ok_or("too many levels of indirection")?;
                        Ok(number(address.plus(offset), ty))
                    }
                    _ => Err("`&` needs a value in memory".to_owned()),
                }
            }
            Expr::Cast(ty, of) => self.cast(ty, of),
            Expr::Unary(operator, of) => self.unary(*operator, of),
            Expr::Binary(operator, left, right) => self.binary(*operator, left, right),
            Expr::If(condition, then, otherwise) => {
                let condition = self.number(condition)?;
                let (then, ty) = self.scalar(then)?;
                let (otherwise, other) = self.scalar(otherwise)?;
                let node = Node::If {
                    condition: condition.into(),
                    then: then.into(),
                    otherwise: otherwise.into(),
                };
                // A pointer or `0`.
                let ty = match (ty.shape(), other.shape()) {
                    (_, Shape::Pointer { .. }) => other,
                    (Shape::Pointer { .. }, _) => ty,
                    _ => CType::number(common(number_of(ty)?, number_of(other)?)),
                };
                Ok(number(node, ty))
            }
            Expr::ContainerOf(pointer, ty, members) => self.container_of(pointer, ty, members),
            Expr::SizeOf(ty) => {
                let size = self.named(ty)?.size().ok_or("it has no size")?;
                Ok(constant(size as i64))
            }
            Expr::Call(name, _) => Err(format!("there is no function `{name}`")),
        }
    }

    fn argument(&self, name: &str) -> Result<Value<'a>> {
        let mut arguments = self.arguments.iter();
        let (_, index, ty) = arguments
            .find(|(known, ..)| known == name)
            .ok_or_else(|| format!("the tracepoint has no argument `{name}`"))?;
        let number = number_of(*ty)?;
        Ok(Value {
            ty: *ty,
            typed: points_to_structure(*ty),
            place: ValuePlace::Number(Node::Argument {
                index: *index,
                bits: number.size_bits as u8,
                signed: number.signed,
            }),
        })
    }

    fn member(&mut self, value: Value<'a>, name: &str) -> Result<Value<'a>> {
        let value = match value.ty.shape() {
            Shape::Pointer { .. } | Shape::Array { .. } => pointed_to(value)?,
            _ => value,
        };
        let Shape::Composite(composite) = value.ty.shape() else {
            return Err(format!("a `{}` has no members", value.ty));
        };
        let member = composite
            .member(name)
            .ok_or_else(|| format!("a `{}` has no member `{name}`", value.ty))?;
        let ValuePlace::Memory {
            address, offset, ..
        } = value.place
        else {
            return Err("a structure is not in memory".to_owned());
        };
        let bits = member.bits;
        self.followed.push(format!(
            "{}.{name}@{}:{}:{}:{}",
            value.ty,
            member.bit_offset,
            bits.unwrap_or(0),
            member.ty,
            member.ty.size().unwrap_or(0),
        ));
        Ok(Value {
            ty: CType::of_btf(member.ty),
            typed: value.typed,
            place: ValuePlace::Memory {
                address,
                offset: offset + (member.bit_offset / 8) as i64,
                bits: bits.map(|width| ((member.bit_offset % 8) as u8, width)),
            },
        })
    }

    fn element(&mut self, of: &Expr, index: &Expr) -> Result<Value<'a>> {
        let array = self.value(of)?;
        let (length, is_array) = match array.ty.shape() {
            Shape::Array { length, .. } => (length, true),
            _ => (0, false),
        };
        let mut value = pointed_to(array)?;
        let size = value.ty.size().ok_or("its elements have no size")? as i64;
        let index = self.number(index)?;
        let ValuePlace::Memory {
            address, offset, ..
        } = &mut value.place
        else {
            return Err("an array is not in memory".to_owned());
        };
        if let Node::Constant(index) = index {
            if is_array && length != 0 && !(0..i64::from(length)).contains(&index) {
                return Err(format!("the array has only {length} elements"));
            }
            *offset += size * index;
            // The verifier follows a pointer to one structure, not to a row of them.
            value.typed &= is_array || index == 0;
            return Ok(value);
        }
        let distance = Node::Binary {
            operator: Binary::Multiply,
            left: index.into(),
            right: Node::Constant(size).into(),
            unsigned: true,
        };
        *address = Node::Binary {
            operator: Binary::Add,
            left: address.clone().into(),
            right: distance.into(),
            unsigned: true,
        };
        value.typed = false;
        Ok(value)
    }

    fn cast(&mut self, ty: &str, of: &Expr) -> Result<Value<'a>> {
        let ty = self.named(ty)?;
        let to = number_of(ty)?;
        let (node, from) = self.scalar(of)?;
        let from = number_of(from)?;
        let is_same = to.size_bits > from.size_bits && (!from.signed || to.signed)
            || to.size_bits == 64
            || (to.size_bits, to.signed) == (from.size_bits, from.signed);
        let node = if is_same {
            node
        } else {
            node.cut(to.size_bits as u8, to.signed)
        };
        Ok(number(node, ty))
    }

    fn unary(&mut self, operator: Unary, of: &Expr) -> Result<Value<'a>> {
        let (node, ty) = self.scalar(of)?;
        if let (Unary::Negate, Node::Constant(value)) = (operator, &node) {
            return Ok(constant(value.wrapping_neg()));
        }
        let ty = if operator == Unary::Not {
            INT
        } else {
            common(number_of(ty)?, INT)
        };
        let node = Node::Unary(operator, node.into()).cut(ty.size_bits as u8, ty.signed);
        Ok(number(node, CType::number(ty)))
    }

    fn binary(&mut self, operator: Binary, left: &Expr, right: &Expr) -> Result<Value<'a>> {
        let (left, left_type) = self.scalar(left)?;
        let (right, right_type) = self.scalar(right)?;
        let (a, b) = (number_of(left_type)?, number_of(right_type)?);
        let is_shift = matches!(operator, Binary::ShiftLeft | Binary::ShiftRight);
        let ty = if is_shift {
            common(a, INT)
        } else {
            common(a, b)
        };
        if matches!(operator, Binary::Divide | Binary::Remainder) && ty.signed {
            return Err("a division needs operands without a sign: cast them".to_owned());
        }
        // Both are extended to 64 bits; in C, a negative `int` becomes a large `unsigned int`.
        let fit = |node: Node, from: IntegerType| {
            if !ty.signed && from.signed && ty.size_bits == 32 {
                node.cut(32, false)
            } else {
                node
            }
        };
        let (left, right) = if operator == Binary::Both || operator == Binary::Either {
            (left, right)
        } else if is_shift {
            (fit(left, a), right)
        } else {
            (fit(left, a), fit(right, b))
        };
        let node = Node::Binary {
            operator,
            left: left.into(),
            right: right.into(),
            unsigned: !ty.signed,
        };
        if operator.is_condition() {
            return Ok(number(node, CType::number(INT)));
        }
        let can_overflow = matches!(
            operator,
            Binary::Add | Binary::Subtract | Binary::Multiply | Binary::ShiftLeft
        );
        let node = if can_overflow {
            node.cut(ty.size_bits as u8, ty.signed)
        } else {
            node
        };
        Ok(number(node, CType::number(ty)))
    }

    fn container_of(&mut self, pointer: &Expr, ty: &str, members: &[String]) -> Result<Value<'a>> {
        let ty = self.named(ty)?;
        let mut inner = Value {
            ty,
            typed: false,
            place: ValuePlace::Memory {
                address: Node::Constant(0),
                offset: 0,
                bits: None,
            },
        };
        for name in members {
            inner = self.member(inner, name)?;
        }
        let ValuePlace::Memory { offset, .. } = inner.place else {
            return Err("a member is not in memory".to_owned());
        };
        let (node, _) = self.scalar(pointer)?;
        let to = ty.pointed_to(Memory::Kernel);
        let to = to.ok_or("too many levels of indirection")?;
        Ok(number(node.plus(-offset), to))
    }

    fn named(&self, text: &str) -> Result<CType<'a>> {
        let name = type_name(text).ok_or_else(|| format!("`{text}` is not a type"))?;
        let known = CType::named(&name, Some(self.types));
        known.map_err(|problem| problem.to_string())
    }
}

/// A value as a number, with its type. An array is the address of its first element.
fn scalar_of(value: Value<'_>) -> Result<(Node, CType<'_>)> {
    let ty = value.ty;
    match (ty.shape(), value.place) {
        (_, ValuePlace::Number(node)) => Ok((node, ty)),
        (_, ValuePlace::Comm) => Err("`$comm` is not a number".to_owned()),
        (
            Shape::Array { element, .. },
            ValuePlace::Memory {
                address, offset, ..
            },
        ) => {
            let pointer = element.pointed_to(Memory::Kernel);
            let pointer = pointer.ok_or("too many levels of indirection")?;
            Ok((address.plus(offset), pointer))
        }
        (
            shape,
            ValuePlace::Memory {
                address,
                offset,
                bits,
            },
        ) => {
            let number = shape
                .as_number()
                .ok_or_else(|| format!("a `{ty}` is not a number"))?;
            let size = match bits {
                Some((shift, width)) => (shift + width).div_ceil(8).next_power_of_two(),
                None => (number.size_bits / 8) as u8,
            };
            let node = Node::Load {
                address: address.into(),
                offset,
                size,
                signed: number.signed,
                bits,
                typed: value.typed,
            };
            Ok((node, ty))
        }
    }
}

/// What a pointer points to, or the first element of an array.
fn pointed_to(value: Value<'_>) -> Result<Value<'_>> {
    match (value.ty.shape(), value.place.clone()) {
        (Shape::Array { element, .. }, ValuePlace::Memory { .. }) => Ok(Value {
            ty: element,
            ..value
        }),
        (Shape::Pointer { to, memory }, _) => {
            if memory == Memory::User {
                return Err("it points into the memory of a process".to_owned());
            }
            // A pointer that was read is as typed as the memory that it was in.
            let typed = value.typed && points_to_structure(value.ty);
            let (address, _) = scalar_of(value)?;
            Ok(Value {
                ty: to,
                typed,
                place: ValuePlace::Memory {
                    address,
                    offset: 0,
                    bits: None,
                },
            })
        }
        _ => Err(format!("a `{}` is not a pointer", value.ty)),
    }
}

fn special<'a>(name: &str) -> Result<Value<'a>> {
    let (current, ty) = match name {
        "tid" => (Current::Tid, INT),
        "pid" => (Current::Pid, INT),
        "cpu" => (Current::Cpu, INT),
        "jiffies" => (Current::Jiffies, UNSIGNED_LONG),
        "comm" => {
            return Ok(Value {
                ty: CType::number(INT),
                typed: false,
                place: ValuePlace::Comm,
            });
        }
        _ => return Err(format!("there is no `${name}`")),
    };
    Ok(number(Node::Current(current), CType::number(ty)))
}

fn number(node: Node, ty: CType<'_>) -> Value<'_> {
    Value {
        ty,
        typed: false,
        place: ValuePlace::Number(node),
    }
}

fn constant<'a>(value: i64) -> Value<'a> {
    let ty = if i32::try_from(value).is_ok() {
        INT
    } else if u32::try_from(value).is_ok() {
        UNSIGNED
    } else {
        LONG
    };
    number(Node::Constant(value), CType::number(ty))
}

fn number_of(ty: CType<'_>) -> Result<IntegerType> {
    let number = ty.shape().as_number();
    number.ok_or_else(|| format!("a `{ty}` is not a number"))
}

/// The type in which C computes with two numbers.
fn common(a: IntegerType, b: IntegerType) -> IntegerType {
    let promoted = |ty: IntegerType| if ty.size_bits < 32 { INT } else { ty };
    let (a, b) = (promoted(a), promoted(b));
    let size_bits = a.size_bits.max(b.size_bits);
    let is_unsigned = |ty: IntegerType| ty.size_bits == size_bits && !ty.signed;
    match (size_bits, is_unsigned(a) || is_unsigned(b)) {
        (64, true) => UNSIGNED_LONG,
        (64, false) => LONG,
        (_, true) => UNSIGNED,
        (_, false) => INT,
    }
}

/// Whether it points to a structure by a type of the kernel, not of a cast.
fn points_to_structure(ty: CType<'_>) -> bool {
    ty.is_plain_pointer_to(
        |to| matches!(to.kind(), Kind::Composite(composite) if !composite.is_union()),
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::kernel::btf::KernelBtf;
    use crate::kernel::btf::builder::Builder;
    use crate::probe::recipes::parser::parse;

    /// A tracepoint with a `struct task *p` and an `int delta`.
    fn with_resolver<T>(check: impl FnOnce(&mut Resolver<'_>) -> T) -> T {
        let mut types = Builder::new();
        let int = types.integer("int", 4, true);
        let unsigned = types.integer("unsigned int", 4, false);
        let long = types.integer("long", 8, true);
        let info = types.structure("info", 16, &[("cpu", unsigned, 4), ("next", long, 8)]);
        let to_info = types.pointer(info);
        let members = [("pid", int, 0), ("info", info, 8), ("link", to_info, 24)];
        let task = types.structure("task", 32, &members);
        let to_task = types.pointer(task);
        let data = types.pointer(0);
        let arguments = [("__data", data), ("p", to_task), ("delta", int)];
        let prototype = types.prototype(0, &arguments);
        let prototype = types.pointer(prototype);
        types.typedef("btf_trace_moved", prototype);
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("kernel/btf");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("vmlinux"), types.bytes()).unwrap();
        let btf = KernelBtf::read(root.path()).unwrap();
        let found = btf.raw_tracepoint("moved").unwrap();
        check(&mut Resolver::new(&found))
    }

    fn number(text: &str) -> Result<Node> {
        with_resolver(|resolver| resolver.number(&parse(text).unwrap()))
    }

    const P: Node = Node::Argument {
        index: 0,
        bits: 64,
        signed: false,
    };
    const DELTA: Node = Node::Argument {
        index: 1,
        bits: 32,
        signed: true,
    };

    fn load(address: Node, offset: i64, size: u8, signed: bool, typed: bool) -> Node {
        Node::Load {
            address: address.into(),
            offset,
            size,
            signed,
            bits: None,
            typed,
        }
    }

    #[test]
    fn members_are_loaded_with_the_sign_of_their_type() {
        assert_eq!(number("p->pid"), Ok(load(P, 0, 4, true, true)));
        assert_eq!(number("p->info.cpu"), Ok(load(P, 12, 4, false, true)));
        let link = load(P, 24, 8, false, true);
        assert_eq!(number("p->link->cpu"), Ok(load(link, 4, 4, false, true)));
        assert_eq!(number("delta"), Ok(DELTA));
    }

    #[test]
    fn the_verifier_does_not_know_the_type_of_a_cast_or_a_container() {
        assert_eq!(
            number("((struct info *)p)->cpu"),
            Ok(load(P, 4, 4, false, false))
        );
        let link = load(P, 24, 8, false, true);
        assert_eq!(
            number("container_of(p->link, struct task, info)->pid"),
            Ok(load(link.plus(-8), 0, 4, true, false))
        );
    }

    #[test]
    fn numbers_are_computed_in_the_type_of_c() {
        let difference = Node::Binary {
            operator: Binary::Subtract,
            left: load(P, 0, 4, true, true).into(),
            right: Node::Constant(100).into(),
            unsigned: false,
        };
        let cut = difference.clone().cut(32, true);
        assert_eq!(number("p->pid - 100"), Ok(cut.clone()));
        // A field of 4 bytes needs no more.
        assert_eq!(cut.stored_in(32), difference);
        assert_eq!(number("-1"), Ok(Node::Constant(-1)));
        assert_eq!(number("sizeof(struct task)"), Ok(Node::Constant(32)));
    }

    #[test]
    fn what_a_kernel_lacks_is_named() {
        for (text, expected) in [
            ("q", "the tracepoint has no argument `q`"),
            ("p->gone", "a `struct task` has no member `gone`"),
            ("delta->pid", "a `int` has no members"),
            ("p->info", "a `struct info` is not a number"),
            ("$no", "there is no `$no`"),
            (
                "delta / 2",
                "a division needs operands without a sign: cast them",
            ),
        ] {
            assert_eq!(number(text).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn followed_members_are_part_of_what_is_certified() {
        let followed = with_resolver(|resolver| {
            resolver.number(&parse("p->link->cpu").unwrap()).unwrap();
            std::mem::take(&mut resolver.followed)
        });
        assert_eq!(
            followed,
            [
                "struct task.link@192:0:struct info *:8",
                "struct info.cpu@32:0:unsigned int:4"
            ]
        );
    }
}
