//! Which argument of a function is in which register, by the calling convention of the
//! [architecture](tracer_common::arch): a number of registers take integers and pointers, also
//! those that small structures consist of, as long as enough are free. Everything else is on the
//! stack or in vector registers.

use std::fmt;

use tracer_common::arch::{Arch, NATIVE, Structures};

use crate::kernel::btf::{Argument, Found, Kind, Type};
use crate::probe::fetch::value::{Base, Fetch, Fetched, Load};
use crate::trace::event::{Display, Field, FieldType, IntegerType};

/// Registers that pass integers.
pub const ARGUMENT_REGISTERS: u8 = NATIVE.function_arguments.len() as u8;

/// The most arguments of a raw tracepoint, each in one word
/// (`MAX_BPF_FUNC_ARGS` of `include/linux/bpf.h`).
const TRACEPOINT_WORDS: u8 = 12;

/// Maximum nesting and number of parts of structures of 16 bytes: only damaged BTF has more.
const MAX_PARTS: u32 = 64;

/// Why an argument is not in a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::probe) enum LeftOut {
    /// All registers are taken by arguments before it.
    Stack,
    /// A structure as a whole.
    Structure,
    /// A floating-point number.
    Float,
    /// 16 bytes.
    Wide,
    /// Its type, or that of an argument before it, is unknown.
    Unknown,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stack => "it is passed on the stack",
            Self::Structure => "it is a structure, passed as a whole",
            Self::Float => "it is a floating-point number",
            Self::Wide => "it has 16 bytes",
            Self::Unknown => "its register is unknown",
        })
    }
}

/// The arguments in order, each with the number of its register, or of its word at a raw
/// tracepoint, from 0.
pub(in crate::probe) fn places<'a>(found: &Found<'a>) -> Vec<(Argument<'a>, Result<u8, LeftOut>)> {
    places_on(&NATIVE, found)
}

/// As [`places`], on any architecture.
fn places_on<'a>(arch: &Arch, found: &Found<'a>) -> Vec<(Argument<'a>, Result<u8, LeftOut>)> {
    let available = match found.ty.kind() {
        Kind::Function(_) => arch.function_arguments.len() as u8,
        _ => TRACEPOINT_WORDS,
    };
    let mut used = 0;
    // If an argument that does not fit is followed by one that does, the registers of a kprobe
    // and the slots of an fentry program differ.
    let mut skipped = false;
    found
        .prototype
        .arguments()
        .map(|argument| {
            let (count, reason) = match passed(arch.structures, argument.ty) {
                Passed::Registers(count) => (count, None),
                Passed::Elsewhere(reason) => (0, Some(reason)),
                Passed::InParts(count, reason) => (count, Some(reason)),
            };
            if reason == Some(LeftOut::Wide) && arch.structures == Structures::WholeOrAddress {
                used += used % 2;
            }
            skipped |= reason == Some(LeftOut::Unknown) || used + count > available;
            let first = used;
            let place = match reason {
                Some(reason) => Err(reason),
                None if skipped => Err(LeftOut::Stack),
                None => Ok(first),
            };
            if !skipped {
                used += count;
            }
            (argument, place)
        })
        .collect()
}

/// How a value is passed.
enum Passed {
    /// A number, in this many registers.
    Registers(u8),
    /// In this many registers, but not a number.
    InParts(u8, LeftOut),
    /// Neither.
    Elsewhere(LeftOut),
}

fn passed(structures: Structures, ty: Type<'_>) -> Passed {
    let ty = ty.stripped();
    match ty.kind() {
        Kind::Integer(integer) if integer.size > 8 => Passed::InParts(2, LeftOut::Wide),
        Kind::Integer(_) | Kind::Enum(_) | Kind::Pointer(_) => Passed::Registers(1),
        Kind::Float(_) => Passed::Elsewhere(LeftOut::Float),
        Kind::Composite(composite) if composite.size() <= 16 => {
            let mut halves = Halves::default();
            halves.add(ty, 0, MAX_PARTS);
            match structures {
                Structures::ByWord if halves.in_memory => Passed::Elsewhere(LeftOut::Structure),
                Structures::ByWord => {
                    let count = halves.integer.into_iter().filter(|half| *half).count();
                    Passed::InParts(count as u8, LeftOut::Structure)
                }
                // Those of floating-point numbers alone are in vector registers, and 16-byte
                // integers skip a register: both are too rare in kernels to be told apart.
                Structures::WholeOrAddress if halves.special => Passed::Elsewhere(LeftOut::Unknown),
                Structures::WholeOrAddress => {
                    let words = composite.size().div_ceil(8);
                    Passed::InParts(words as u8, LeftOut::Structure)
                }
            }
        }
        Kind::Composite(_) => match structures {
            Structures::ByWord => Passed::Elsewhere(LeftOut::Structure),
            Structures::WholeOrAddress => Passed::InParts(1, LeftOut::Structure),
        },
        _ => Passed::Elsewhere(LeftOut::Unknown),
    }
}

/// The two words that a small structure is taken apart into.
#[derive(Default)]
struct Halves {
    /// Each has something that is not a floating-point number.
    integer: [bool; 2],
    /// It has an unaligned part, so that all of it is passed on the stack.
    in_memory: bool,
    /// Contains a floating-point number, or an integer of 16 bytes.
    special: bool,
    parts: u32,
}

impl Halves {
    fn add(&mut self, ty: Type<'_>, offset: u64, depth: u32) {
        self.parts += 1;
        if depth == 0 || self.parts > MAX_PARTS {
            self.in_memory = true;
            self.special = true;
            return;
        }
        let ty = ty.stripped();
        match ty.kind() {
            Kind::Composite(composite) => {
                for member in composite.members() {
                    if member.bits.is_some() {
                        self.mark(offset + member.bit_offset / 8);
                    } else {
                        self.add(member.ty, offset + member.bit_offset / 8, depth - 1);
                    }
                }
            }
            Kind::Array { element, length } => {
                let size = element.size().unwrap_or(0);
                for index in 0..u64::from(length) {
                    if self.in_memory || size == 0 {
                        break;
                    }
                    self.add(element, offset.saturating_add(index * size), depth - 1);
                }
            }
            Kind::Float(size) => {
                self.special = true;
                self.in_memory |= size > 8;
            }
            _ => {
                let size = ty.size().unwrap_or(1).max(1);
                self.special |= size > 8;
                self.in_memory |= !offset.is_multiple_of(size);
                self.mark(offset);
                self.mark(offset + size - 1);
            }
        }
    }

    fn mark(&mut self, offset: u64) {
        match self.integer.get_mut((offset / 8) as usize) {
            Some(half) => *half = true,
            None => self.in_memory = true,
        }
    }
}

const REGISTER: FieldType =
    FieldType::Integer(IntegerType::natural(8, false, Display::Hexadecimal));

/// Fields of every function on entry: `arg0` and so on, the registers that pass
/// integers.
#[must_use]
pub fn registers() -> Vec<Fetched> {
    (0..ARGUMENT_REGISTERS)
        .map(|index| register(format!("arg{index}"), Base::Argument(index)))
        .collect()
}

/// What every function has on return: `ret`, the register that has the result.
#[must_use]
pub fn returned() -> Fetched {
    register("ret".into(), Base::Return)
}

fn register(name: String, base: Base) -> Fetched {
    Fetched {
        field: Field { name, ty: REGISTER },
        fetch: Fetch {
            base,
            steps: Vec::new(),
            load: Load::Itself,
        },
    }
}

#[cfg(test)]
#[path = "registers_tests.rs"]
mod tests;
