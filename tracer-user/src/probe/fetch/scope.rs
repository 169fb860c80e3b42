//! Names that expressions may start with, which depend on the probe.

use std::collections::HashSet;

use crate::kernel::btf::{Btf, Found, NameKind, Prototype};
use crate::kernel::tracefs::format::{Format, FormatField, Shape as RecordShape};
use crate::names::unique;
use crate::probe::fetch::parser;
use crate::probe::fetch::registers::{ARGUMENT_REGISTERS, places};
use crate::probe::fetch::syntax::TypeName;
use crate::probe::fetch::types::{CType, Shape};
use crate::probe::fetch::value::{Base, Memory};
use crate::trace::event::{Display, IntegerType};

/// The name of the return value.
const RETURN: &str = "ret";

/// The type of a register.
const REGISTER: IntegerType = IntegerType::natural(8, false, Display::Hexadecimal);

/// What is available when a probe fires.
#[derive(Debug)]
pub struct Scope<'a> {
    pub(super) values: Vec<Value<'a>>,
    /// Names of what cannot be fetched, with the reason.
    pub(super) left_out: Vec<(String, String)>,
    /// For casts.
    pub(super) types: Option<&'a Btf>,
    /// All memory is that of the process.
    pub(super) user: bool,
    /// Pointers to characters are strings.
    pub(super) strings: bool,
}

/// A value that an expression may start with.
#[derive(Clone, Debug)]
pub(super) struct Value<'a> {
    pub(super) name: String,
    pub(super) base: Base,
    pub(super) ty: CType<'a>,
}

impl<'a> Scope<'a> {
    /// On entry of a kernel function: its arguments by name, if `function` is known,
    /// and the registers `arg0` to `arg5`. `types` is for casts.
    #[must_use]
    pub fn entry(types: Option<&'a Btf>, function: Option<&Found<'a>>) -> Self {
        let mut scope = Self::empty(function.map(|found| found.ty.btf()).or(types));
        if let Some(function) = function {
            scope.add_arguments(function);
        }
        scope.add_registers(ARGUMENT_REGISTERS);
        scope
    }

    /// In the middle of a kernel function: the registers that passed arguments when it was
    /// entered.
    #[must_use]
    pub fn instruction(types: Option<&'a Btf>) -> Self {
        Self::entry(types, None)
    }

    /// On return of a kernel function, without its arguments: `ret`.
    #[must_use]
    pub fn exit(types: Option<&'a Btf>, function: Option<&Found<'a>>) -> Self {
        let mut scope = Self::empty(function.map(|found| found.ty.btf()).or(types));
        scope.add_return(function.map(|found| found.prototype));
        scope
    }

    /// On return of a kernel function, with its arguments: `ret` and those of
    /// [`entry`](Self::entry).
    #[must_use]
    pub fn exit_with_arguments(function: &Found<'a>) -> Self {
        let mut scope = Self::exit(None, Some(function));
        scope.add_arguments(function);
        scope.add_registers(ARGUMENT_REGISTERS);
        scope
    }

    /// At a raw tracepoint: its arguments.
    #[must_use]
    pub fn raw_tracepoint(tracepoint: &Found<'a>) -> Self {
        let mut scope = Self::empty(Some(tracepoint.ty.btf()));
        scope.add_arguments(tracepoint);
        scope.add_registers(tracepoint.prototype.arguments().count().min(64) as u8);
        scope
    }

    /// At a tracepoint with a record: the fields of `format`. Pointers to a structure have
    /// that type; those to characters are shown as addresses, unless a format is typed.
    #[must_use]
    pub fn record(types: Option<&'a Btf>, format: &Format) -> Self {
        let mut scope = Self {
            strings: false,
            ..Self::empty(types)
        };
        for field in &format.fields {
            match record_base(field) {
                Ok(base) => {
                    let ty = record_type(field, types);
                    scope.add(field.name.clone(), base, ty);
                }
                Err(reason) => scope.left_out.push((field.name.clone(), reason.to_owned())),
            }
        }
        scope
    }

    /// On entry of a function of a program: `arg0` to `arg5`. Memory is that of the
    /// process, also for the format `str`.
    #[must_use]
    pub fn user_entry(types: Option<&'a Btf>) -> Self {
        let mut scope = Self {
            user: true,
            ..Self::empty(types)
        };
        scope.add_registers(ARGUMENT_REGISTERS);
        scope
    }

    /// On return of a function of a program: `ret`, and the arguments on entry.
    #[must_use]
    pub fn user_exit(types: Option<&'a Btf>) -> Self {
        let mut scope = Self {
            user: true,
            ..Self::empty(types)
        };
        scope.add_return(None);
        scope.add_registers(ARGUMENT_REGISTERS);
        scope
    }

    /// In any thread: `task`, its `struct task_struct`, and `entry`, the number of a process
    /// in a namespace ([`Entry`](super::context::Entry)).
    #[must_use]
    pub fn thread(types: &'a Btf) -> Self {
        let mut scope = Self::empty(Some(types));
        for (name, base, structure) in [
            ("task", Base::Task, "task_struct"),
            ("entry", Base::Entry, "upid"),
        ] {
            let structure = types.find(NameKind::Struct, structure).map(CType::of_btf);
            if let Some(pointer) = structure.and_then(|ty| ty.pointed_to(Memory::Kernel)) {
                scope.add(name.to_owned(), base, pointer);
            }
        }
        scope
    }

    pub(super) fn empty(types: Option<&'a Btf>) -> Self {
        Self {
            values: Vec::new(),
            left_out: Vec::new(),
            types,
            user: false,
            strings: true,
        }
    }

    /// The first value with a name counts.
    fn add(&mut self, name: String, base: Base, ty: CType<'a>) {
        let is_known = self.values.iter().any(|known| known.name == name)
            || self.left_out.iter().any(|(known, _)| *known == name);
        if !is_known {
            self.values.push(Value { name, base, ty });
        }
    }

    pub(super) fn add_arguments(&mut self, found: &Found<'a>) {
        let mut names = HashSet::from([super::FETCH_FAULT.to_owned()]);
        names.extend(self.values.iter().map(|value| value.name.clone()));
        for (index, (argument, place)) in places(found).into_iter().enumerate() {
            let name = unique(&argument_name(index, argument.name), &mut names);
            match place {
                Ok(register) => {
                    self.add(name, Base::Argument(register), CType::of_btf(argument.ty));
                }
                Err(reason) => self.left_out.push((name, reason.to_string())),
            }
        }
    }

    fn add_registers(&mut self, count: u8) {
        for index in 0..count {
            let ty = CType::number(REGISTER);
            // Registers are available even if the argument is not.
            let name = format!("arg{index}");
            self.left_out.retain(|(known, _)| *known != name);
            self.add(name, Base::Argument(index), ty);
        }
    }

    fn add_return(&mut self, prototype: Option<Prototype<'a>>) {
        let Some(prototype) = prototype else {
            self.add(RETURN.into(), Base::Return, CType::number(REGISTER));
            return;
        };
        let ty = CType::of_btf(prototype.returned());
        match ty.shape() {
            Shape::Number(_) | Shape::Labeled(..) | Shape::Pointer { .. } => {
                self.add(RETURN.into(), Base::Return, ty);
            }
            Shape::Nothing if ty.size().is_none() => {
                let reason = "the function returns nothing".to_owned();
                self.left_out.push((RETURN.into(), reason));
            }
            _ => {
                let reason = format!("it is a `{ty}`, which does not fit one register");
                self.left_out.push((RETURN.into(), reason));
            }
        }
    }
}

/// Arguments without a name are named by their number.
fn argument_name(index: usize, name: &str) -> String {
    if name.is_empty() {
        format!("arg{index}")
    } else {
        name.to_owned()
    }
}

fn record_base(field: &FormatField) -> Result<Base, &'static str> {
    match (field.shape, field.size) {
        (RecordShape::Scalar, 1 | 2 | 4 | 8) => Ok(Base::Record {
            offset: field.offset,
            size: field.size as u8,
            signed: field.signed,
        }),
        (RecordShape::BitField(_), _) => Err("it is a bit-field of the record"),
        (RecordShape::Scalar, _) => Err("it is not a single number"),
        _ => Err("it is an array; remove the braces to record it"),
    }
}

/// Pointers and enumerations have their C type, if it is known; everything else is a number
/// as in the record.
fn record_type<'a>(field: &FormatField, types: Option<&'a Btf>) -> CType<'a> {
    let is_pointer = field.c_type.contains('*');
    let display = if is_pointer {
        Display::Hexadecimal
    } else {
        Display::Decimal
    };
    let number = IntegerType::natural(field.size as u16, field.signed, display);
    let named = |name: &TypeName| CType::named(name, types).ok();
    parser::type_name(&field.c_type)
        .ok()
        .filter(|_| is_pointer || field.c_type.contains("enum "))
        .and_then(|name| named(&name))
        .filter(|ty| ty.size() == Some(u64::from(field.size)))
        .unwrap_or(CType::number(number))
}
