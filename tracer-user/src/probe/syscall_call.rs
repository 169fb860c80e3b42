//! System calls as one event each: the layout of the event, and where a filter finds its fields
//! in what is kept of the call.

use std::mem::offset_of;

use tracer_common::{
    CALL_STRING_SLOT_LEN, CallEntry, CallSpec, KeptCall, MAX_CALL_STRINGS, MAX_STRING_LEN,
    MAX_SYSCALL_ARGS, call_traits, call_values,
};

use crate::kernel::tracefs::format::Format;
use crate::probe::fetch::{Base, Fetch, FieldSource, Load};
use crate::probe::syscalls::{entry_layout, exit_layout};
use crate::trace::event::{
    Display, Field, FieldType, IntegerType, STRING_CUT, STRING_FAULT, UNFINISHED,
};

/// The field with the time from entry to return, in nanoseconds.
const DURATION: &str = "duration";

/// Calls that do not return.
const NEVER_RETURN: [&str; 2] = ["exit", "exit_group"];

/// Calls that give the process another memory.
const REPLACE_MEMORY: [&str; 2] = ["execve", "execveat"];

/// The fields of the event of a whole call and the call's row in the program's table, from the
/// format file of `sys_enter_CALL`. The class of the row is still 0.
///
/// The arguments are as in the event of the entry. `ret`, `duration` and `unfinished` follow, and
/// for a call with strings the same masks as there.
#[must_use]
pub fn call_layout(call: &str, format: &Format) -> (Vec<Field>, CallSpec) {
    let (mut fields, entry) = entry_layout(call, format);
    fields.truncate(entry.arg_count.into());
    fields.extend(exit_layout(call).0);
    let number = |name: &str, bytes, signed, display| Field {
        name: name.to_owned(),
        ty: FieldType::Integer(IntegerType::natural(bytes, signed, display)),
    };
    fields.push(number(DURATION, 8, true, Display::Decimal));
    fields.push(number(UNFINISHED, 1, false, Display::Decimal));
    let strings = (0..entry.arg_count).filter(|index| entry.strings >> index & 1 == 1);
    let mut slots = [0; MAX_SYSCALL_ARGS];
    for (slot, index) in (0..).zip(strings) {
        slots[usize::from(index)] = slot;
    }
    if entry.strings != 0 {
        fields.push(number(STRING_CUT, 1, false, Display::Hexadecimal));
        fields.push(number(STRING_FAULT, 1, false, Display::Hexadecimal));
    }
    let has = |calls: [&str; 2], bit| if calls.contains(&call) { bit } else { 0 };
    let spec = CallSpec {
        enabled: 1,
        arg_count: entry.arg_count,
        strings: entry.strings,
        narrow: entry.narrow,
        traits: has(NEVER_RETURN, call_traits::NEVER_RETURNS)
            | has(REPLACE_MEMORY, call_traits::REPLACES_MEMORY),
        slots,
        ..CallSpec::default()
    };
    (fields, spec)
}

/// Whether what is kept of a call has room for all of its strings.
#[must_use]
pub fn keeps_strings(spec: &CallSpec) -> bool {
    spec.strings.count_ones() as usize <= MAX_CALL_STRINGS
}

/// Where a program reads the fields of a whole call when it filters.
#[must_use]
pub fn call_sources(spec: &CallSpec) -> Vec<FieldSource> {
    let value = |index: usize| {
        FieldSource::Fetch(Fetch {
            base: Base::Argument(index as u8),
            steps: Vec::new(),
            load: Load::Itself,
        })
    };
    let argument = |index: u8| {
        if spec.strings >> index & 1 == 0 {
            return value(index.into());
        }
        let slot = usize::from(spec.slots[usize::from(index)]);
        let offset = size_of::<KeptCall>() + slot * CALL_STRING_SLOT_LEN;
        FieldSource::Kept {
            offset: (offset - size_of::<CallEntry>()) as u32,
            len: MAX_STRING_LEN as u32 - 1,
            fault: Some(index),
        }
    };
    let mut sources: Vec<FieldSource> = (0..spec.arg_count).map(argument).collect();
    sources.extend((call_values::RET..call_values::COUNT).map(value));
    if spec.strings != 0 {
        sources.extend([FieldSource::Nowhere, FieldSource::Nowhere]);
    }
    debug_assert_eq!(offset_of!(KeptCall, unreadable), size_of::<CallEntry>());
    sources
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

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

    fn names(fields: &[Field]) -> Vec<&str> {
        fields.iter().map(|field| field.name.as_str()).collect()
    }

    #[test]
    fn result_and_duration_follow_the_arguments() {
        let (fields, spec) = call_layout("close", &format(&["unsigned int fd"]));
        assert_eq!(names(&fields), ["fd", "ret", "duration", "unfinished"]);
        assert_eq!((spec.arg_count, spec.strings, spec.traits), (1, 0, 0));
        assert_eq!(call_sources(&spec).len(), fields.len());
    }

    #[test]
    fn each_string_has_a_slot() {
        let arguments = [
            "int olddfd",
            "const char * oldname",
            "int newdfd",
            "const char * newname",
        ];
        let (fields, spec) = call_layout("renameat", &format(&arguments));
        assert_eq!(names(&fields)[4..7], ["ret", "duration", "unfinished"]);
        assert_eq!(names(&fields)[7..], [STRING_CUT, STRING_FAULT]);
        assert_eq!((spec.strings, spec.slots), (0b1010, [0, 0, 0, 1, 0, 0]));
        assert!(keeps_strings(&spec));
        let sources = call_sources(&spec);
        assert_eq!(sources.len(), fields.len());
        let kept = |slot: u32, fault| FieldSource::Kept {
            offset: 120 - 16 + slot * 4104,
            len: 4095,
            fault: Some(fault),
        };
        assert_eq!((&sources[1], &sources[3]), (&kept(0, 1), &kept(1, 3)));
    }

    #[test]
    fn exits_do_not_return_and_execs_replace_the_memory() {
        let traits = |call| call_layout(call, &format(&[])).1.traits;
        assert_eq!(traits("exit_group"), call_traits::NEVER_RETURNS);
        assert_eq!(traits("execve"), call_traits::REPLACES_MEMORY);
        assert_eq!(traits("getppid"), 0);
    }
}
