//! Types of this machine's kernel.

use std::collections::HashSet;
use std::path::Path;

use tracer::kernel::btf::{KernelBtf, Kind, NameKind};
use tracer::probe::fetch::{
    ARGUMENT_REGISTERS, Base, FetchList, Fetched, Load, Scope, arguments, returned,
    returned_and_arguments,
};
use tracer::trace::event::{FieldType, IntegerType};

fn kernel() -> KernelBtf {
    KernelBtf::read(Path::new("/sys")).unwrap()
}

/// Fields that programs can fill: numbers of whole words, strings, and no name twice.
fn assert_recordable(name: &str, fetched: &[Fetched]) {
    let mut names = HashSet::new();
    for value in fetched {
        assert!(names.insert(&value.field.name), "{name}: {value:?}");
        match &value.field.ty {
            FieldType::Integer(number) | FieldType::Labeled { number, .. } => {
                let size = number.size_bits / 8;
                assert!(matches!(size, 1 | 2 | 4 | 8), "{name}: {value:?}");
                let natural = IntegerType::natural(size, number.signed, number.display);
                assert_eq!(*number, natural, "{name}");
                assert_eq!(value.fetch.load, Load::Itself, "{name}");
            }
            FieldType::String => {
                assert!(matches!(value.fetch.load, Load::String { .. }), "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn every_function_has_typed_arguments() {
    let kernel = kernel();
    let (mut functions, mut values, mut results) = (0, 0, 0);
    for name in kernel.functions() {
        let function = kernel.function(name).unwrap();
        let typed = arguments(&function);
        assert_recordable(name, &typed);
        let count = function.prototype.arguments().count();
        assert!(
            typed.len() <= count.min(ARGUMENT_REGISTERS.into()),
            "{name}"
        );
        for value in &typed {
            let Base::Argument(register) = value.fetch.base else {
                panic!("{name}: {value:?}");
            };
            assert!(register < ARGUMENT_REGISTERS, "{name}");
        }
        let result = returned(&function);
        assert_recordable(name, result.as_slice());
        assert_recordable(name, &returned_and_arguments(&function));
        functions += 1;
        values += typed.len();
        results += usize::from(result.is_some());
    }
    // Small kernels have some 20,000 functions; most take and return something.
    assert!(functions > 10_000, "{functions}");
    assert!(values > functions, "{values} of {functions}");
    assert!(results > functions / 3, "{results} of {functions}");
}

#[test]
fn every_raw_tracepoint_has_typed_arguments() {
    let kernel = kernel();
    let mut names: Vec<&str> = kernel.raw_tracepoints().collect();
    assert!(names.contains(&"sched_switch"));
    names.sort_unstable();
    for name in names {
        let tracepoint = kernel.raw_tracepoint(name).unwrap();
        assert_recordable(name, &arguments(&tracepoint));
    }
}

#[test]
fn every_structure_can_be_read() {
    let kernel = kernel();
    let btf = kernel.vmlinux();
    let mut members = 0;
    for ty in btf.ids().map(|id| btf.get(id)) {
        let Kind::Composite(composite) = ty.kind() else {
            continue;
        };
        let size = u64::from(composite.size());
        for member in composite.unfolded() {
            // Members at the very end may have no size; none lies beyond.
            let bits = member.bits.map_or(0, u64::from);
            assert!(member.bit_offset + bits <= size * 8, "{ty} {member:?}");
            members += 1;
        }
    }
    assert!(members > 10_000, "{members}");
}

#[test]
fn a_path_leads_through_structures_of_the_kernel() {
    let kernel = kernel();
    let open = kernel.function("vfs_open").unwrap();
    let scope = Scope::entry(None, Some(&open));
    let list = FetchList::parse(
        "path->dentry->d_name.name:str, file->f_flags:x32, \
         ((struct task_struct *)arg0)->pid, ((struct task_struct *)arg0)->comm",
    );
    let fetched = list.unwrap().resolve(&scope).unwrap();
    assert_eq!(fetched[0].field.ty, FieldType::String);
    assert_eq!(fetched[0].fetch.steps.len(), 2);
    assert!(matches!(
        fetched[2].field.ty,
        FieldType::Integer(number) if number.signed && number.size_bits == 32
    ));
    assert!(matches!(
        fetched[3].field.ty,
        FieldType::Array { length: 16, .. }
    ));
}

#[test]
fn a_member_that_is_not_there_brings_near_ones() {
    let kernel = kernel();
    let scope = Scope::instruction(Some(kernel.vmlinux()));
    let list = FetchList::parse("((struct task_struct *)arg0)->pidd").unwrap();
    let error = list.resolve(&scope).unwrap_err().to_string();
    assert!(
        error.contains("`struct task_struct` has no member `pidd`"),
        "{error}"
    );
    assert!(error.contains("`pid`"), "{error}");
}

#[test]
fn names_of_enumerators_are_found() {
    let kernel = kernel();
    let states = kernel
        .vmlinux()
        .find(NameKind::Enum, "hrtimer_restart")
        .unwrap();
    let Kind::Enum(states) = states.kind() else {
        panic!("{states:?}");
    };
    let names: Vec<&str> = states.enumerators().map(|(name, _)| name).collect();
    assert_eq!(names, ["HRTIMER_NORESTART", "HRTIMER_RESTART"]);
}
