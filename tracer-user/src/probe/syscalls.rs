//! System calls: their numbers, and the typed layout of their entry and exit events.
//!
//! Names and argument types come from the `syscalls` events of tracefs, numbers from the
//! [architecture](tracer_common::arch). Calls of 32-bit processes (the compat table) are not
//! covered.

use std::collections::HashMap;

use tracer_common::arch::{Arch, NATIVE};
use tracer_common::{MAX_SYSCALL_ARGS, MAX_SYSCALLS, SYSCALL_ARG_SLOT_LEN, SyscallSpec};

use crate::kernel::tracefs::format::{Format, FormatField};
use crate::probe::fetch::{Base, Fetch, FieldSource, Load, Memory};
use crate::probe::syscall_args::{argument_type, is_string, returns_address};
use crate::trace::event::{Display, Field, FieldType, IntegerType, STRING_CUT, STRING_FAULT};

/// The subsystem of system-call events.
pub(super) const SYSCALLS: &str = "syscalls";
/// What the names of its entry events begin with.
pub(super) const ENTER: &str = "sys_enter_";
const EXIT: &str = "sys_exit_";

/// `sys_enter_openat` is `sys_enter_` and `openat`.
pub(super) fn split_event(name: &str) -> Option<(&'static str, &str)> {
    [ENTER, EXIT]
        .into_iter()
        .find_map(|prefix| Some((prefix, name.strip_prefix(prefix)?)))
}

/// Calls whose tracefs name (left) is not the one in tables of numbers (right): the
/// kernel names its functions, user space the ABI. Architectures add their own.
const ALIASES: [(&str, &str); 8] = [
    ("newfstat", "fstat"),
    ("newlstat", "lstat"),
    ("newstat", "stat"),
    ("newuname", "uname"),
    ("sendfile64", "sendfile"),
    ("umount", "umount2"),
    ("fadvise64_64", "fadvise64"),
    ("newfstatat", "fstatat"),
];

/// Other names under which a call may be meant: `fstat` and `newfstat`.
pub fn other_names(name: &str) -> impl Iterator<Item = &'static str> + use<'_> {
    names_in(NATIVE, name)
}

fn names_in(arch: Arch, name: &str) -> impl Iterator<Item = &'static str> + use<'_> {
    let aliases = ALIASES.iter().chain(arch.syscall_aliases);
    aliases.filter_map(move |&(kernel, abi)| {
        if kernel == name {
            Some(abi)
        } else if abi == name {
            Some(kernel)
        } else {
            None
        }
    })
}

/// Numbers by name.
#[derive(Debug)]
pub struct Numbers {
    arch: Arch,
    by_name: HashMap<&'static str, u32>,
}

impl Numbers {
    /// The table of an architecture.
    #[must_use]
    pub fn of(arch: Arch) -> Self {
        // Slots of the program's table; none of the numbers is near its end.
        let all = 0..MAX_SYSCALLS as u32;
        let by_name = all
            .filter_map(|number| Some(((arch.syscall_name)(number)?, number)))
            .collect();
        Self { arch, by_name }
    }

    /// The number of a call by its tracefs or its ABI name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<u32> {
        let number = |name: &str| self.by_name.get(name).copied();
        number(name).or_else(|| names_in(self.arch, name).find_map(number))
    }
}

/// The fields of an entry event and the call's row in the program's table, from the
/// format file of `sys_enter_CALL`. The class of the row is still 0.
///
/// Each value lies in a slot of [`SYSCALL_ARG_SLOT_LEN`] bytes, strings are padded to as
/// much; the last two fields of a call with strings are bit masks over its arguments:
/// `string_cut` and `string_fault` (not readable; the string is `(fault)` or `(null)`).
#[must_use]
pub fn entry_layout(call: &str, format: &Format) -> (Vec<Field>, SyscallSpec) {
    let mut fields = Vec::new();
    let mut strings = 0;
    let mut narrow = 0;
    let arguments: Vec<_> = arguments(format).take(MAX_SYSCALL_ARGS).collect();
    for (index, argument) in arguments.iter().enumerate() {
        let before_string = arguments
            .get(index + 1)
            .is_some_and(|next| is_string(call, &next.c_type, &next.name));
        let ty = if is_string(call, &argument.c_type, &argument.name) {
            strings |= 1 << index;
            FieldType::String
        } else {
            let mut integer = argument_type(call, &argument.c_type, &argument.name);
            if before_string && integer.size_bits < 64 {
                integer.size_bits = 32;
                narrow |= 1 << index;
            }
            FieldType::Integer(slot(integer))
        };
        fields.push(Field {
            name: argument.name.clone(),
            ty,
        });
    }
    let unused_tail = match fields.last().map(|field| &field.ty) {
        Some(FieldType::Integer(last)) => SYSCALL_ARG_SLOT_LEN as u8 - (last.size_bits / 8) as u8,
        _ => 0,
    };
    let spec = SyscallSpec {
        enabled: 1,
        arg_count: fields.len() as u8,
        unused_tail,
        strings,
        narrow,
        ..SyscallSpec::default()
    };
    if strings != 0 {
        let mask = IntegerType::natural(1, false, Display::Hexadecimal);
        fields.push(Field {
            name: STRING_CUT.into(),
            ty: FieldType::Integer(slot(mask)),
        });
        fields.push(Field {
            name: STRING_FAULT.into(),
            ty: FieldType::Integer(mask),
        });
    }
    (fields, spec)
}

/// Where a program reads the fields of an entry event when it filters.
#[must_use]
pub fn entry_sources(spec: &SyscallSpec) -> Vec<FieldSource> {
    let argument = |index: u8| {
        let is_string = spec.strings >> index & 1 == 1;
        let load = if is_string {
            Load::String {
                offset: 0,
                memory: Memory::User,
            }
        } else {
            Load::Itself
        };
        from_base(Base::Argument(index), load)
    };
    let mut sources: Vec<FieldSource> = (0..spec.arg_count).map(argument).collect();
    if spec.strings != 0 {
        // What was cut and what could not be read is known only afterwards.
        sources.extend([FieldSource::Nowhere, FieldSource::Nowhere]);
    }
    sources
}

/// Where a program reads the result of a call.
#[must_use]
pub fn exit_sources() -> Vec<FieldSource> {
    vec![from_base(Base::Return, Load::Itself)]
}

/// As [`entry_sources`], for the events of `raw_syscalls`.
pub(super) fn raw_sources(entry: bool) -> Vec<FieldSource> {
    let nr = from_base(Base::SyscallNumber, Load::Itself);
    if entry {
        vec![nr, FieldSource::Nowhere]
    } else {
        vec![nr, from_base(Base::Return, Load::Itself)]
    }
}

fn from_base(base: Base, load: Load) -> FieldSource {
    FieldSource::Fetch(Fetch {
        base,
        steps: Vec::new(),
        load,
    })
}

/// The arguments among the fields of a `sys_enter_*` event: those in 8-byte slots after
/// the number. Newer kernels append copies of user memory, which are not arguments.
pub fn arguments(format: &Format) -> impl Iterator<Item = &FormatField> {
    format.fields.iter().filter(|field| {
        field.name != "__syscall_nr"
            && field.name != "nr"
            && field.size as usize == SYSCALL_ARG_SLOT_LEN
    })
}

/// The C declaration of an argument, as the kernel has it.
#[must_use]
pub fn declaration(argument: &FormatField) -> String {
    let separator = if argument.c_type.ends_with('*') {
        ""
    } else {
        " "
    };
    format!("{}{separator}{}", argument.c_type, argument.name)
}

/// The fields of an exit event and the call's row. The class of the row is still 0.
#[must_use]
pub fn exit_layout(call: &str) -> (Vec<Field>, SyscallSpec) {
    let display = if returns_address(call) {
        Display::Hexadecimal
    } else {
        Display::Decimal
    };
    let fields = vec![Field {
        name: "ret".into(),
        ty: FieldType::Integer(IntegerType::natural(8, true, display)),
    }];
    let spec = SyscallSpec {
        enabled: 1,
        ..SyscallSpec::default()
    };
    (fields, spec)
}

/// The same number at the start of a slot: slots are little-endian words, whose low
/// bytes come first.
const fn slot(integer: IntegerType) -> IntegerType {
    IntegerType {
        align_bits: 8 * SYSCALL_ARG_SLOT_LEN as u16,
        ..integer
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use tracer_common::arch::{AARCH64, X86_64};

    use super::*;

    fn format(arguments: &[&str]) -> Format {
        let mut text = String::from(
            "name: x\nID: 1\nformat:\n\tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;\n",
        );
        for (index, argument) in arguments.iter().enumerate() {
            let offset = 16 + 8 * index;
            writeln!(
                text,
                "\tfield:{argument};\toffset:{offset};\tsize:8;\tsigned:0;"
            )
            .unwrap();
        }
        Format::parse(&text).unwrap()
    }

    fn integer(field: &Field) -> IntegerType {
        match field.ty {
            FieldType::Integer(integer) => integer,
            ref other => panic!("{other:?} is not an integer"),
        }
    }

    #[test]
    fn values_have_their_c_type_in_a_slot_of_eight_bytes() {
        let (fields, spec) = entry_layout(
            "read",
            &format(&["unsigned int fd", "char * buf", "size_t count"]),
        );
        assert_eq!((spec.arg_count, spec.strings, spec.enabled), (3, 0, 1));
        let shapes: Vec<(u16, u16, bool, Display)> = fields
            .iter()
            .map(integer)
            .map(|i| (i.size_bits, i.align_bits, i.signed, i.display))
            .collect();
        assert_eq!(
            shapes,
            [
                (32, 64, false, Display::Decimal),
                (64, 64, false, Display::Hexadecimal),
                (64, 64, false, Display::Decimal),
            ]
        );
    }

    #[test]
    fn strings_are_followed_by_their_masks() {
        let (fields, spec) = entry_layout(
            "openat",
            &format(&[
                "int dfd",
                "const char * filename",
                "int flags",
                "umode_t mode",
            ]),
        );
        assert_eq!((spec.arg_count, spec.strings), (4, 0b10));
        let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "dfd",
                "filename",
                "flags",
                "mode",
                "string_cut",
                "string_fault"
            ]
        );
        assert_eq!(fields[1].ty, FieldType::String);
        let mode = integer(&fields[3]);
        assert_eq!((mode.size_bits, mode.display), (16, Display::Octal));
        assert_eq!(integer(&fields[4]).align_bits, 64);
        assert_eq!(integer(&fields[5]).align_bits, 8);
    }

    #[test]
    fn copies_of_user_memory_are_not_arguments() {
        let mut format = format(&["unsigned int fd"]);
        let mut copy = format.fields[1].clone();
        copy.name = "__fd_val".into();
        copy.size = 4;
        format.fields.push(copy);
        assert_eq!(entry_layout("x", &format).1.arg_count, 1);
    }

    #[test]
    fn addresses_are_returned_in_hexadecimal() {
        assert_eq!(
            integer(&exit_layout("mmap").0[0]).display,
            Display::Hexadecimal
        );
        assert_eq!(integer(&exit_layout("read").0[0]).display, Display::Decimal);
        assert!(integer(&exit_layout("read").0[0]).signed);
    }

    #[test]
    fn numbers_are_found_under_either_name() {
        let x86 = Numbers::of(X86_64);
        assert_eq!(x86.get("openat"), Some(257));
        assert_eq!(x86.get("newfstat"), Some(5));
        assert_eq!(x86.get("fstat"), Some(5));
        assert_eq!(x86.get("umount"), Some(166));
        assert_eq!(x86.get("no_such_call"), None);
        assert_eq!(x86.get("arm64_personality"), None);
        let arm = Numbers::of(AARCH64);
        assert_eq!(arm.get("arm64_personality"), arm.get("personality"));
        assert_eq!(arm.get("openat"), Some(56));
        assert_eq!(arm.get("newuname"), Some(160));
        assert_eq!(arm.get("newfstatat"), Some(79));
    }
}
