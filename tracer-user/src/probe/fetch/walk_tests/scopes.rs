//! What ways begin with at each kind of probe.

use std::path::Path;

use super::*;
use crate::kernel::tracefs::format::Format as RecordFormat;
use crate::probe::fetch::{arguments, returned, returned_and_arguments};
use crate::trace::event::LabelKind;

#[test]
fn arguments_are_typed_by_themselves() {
    let kernel = kernel();
    let typed = arguments(&kernel.function("typed").unwrap());
    let names: Vec<&str> = typed
        .iter()
        .map(|value| value.field.name.as_str())
        .collect();
    assert_eq!(names, ["flag", "color", "arg2", "buf", "flag_2", "n"]);
    assert_eq!(typed[0].field.ty, natural(1, false, Display::Decimal));
    let FieldType::Labeled { number, labels } = &typed[1].field.ty else {
        panic!("no names: {:?}", typed[1]);
    };
    assert!(number.signed && labels.kind == LabelKind::Values);
    assert_eq!(labels.entries[0].value, u64::MAX);
    assert_eq!(labels.entries[1].name, "BLUE");
    assert_eq!(typed[2].fetch, way(2, &[], string(0, Memory::Kernel)));
    assert_eq!(typed[3].fetch, way(3, &[], string(0, Memory::User)));
    assert_eq!(typed[4].field.ty, natural(8, false, Display::Hexadecimal));
    assert_eq!(typed[5].fetch, way(5, &[], Load::Itself));
}

#[test]
fn what_is_returned_has_its_type() {
    let kernel = kernel();
    let open = kernel.function("vfs_open").unwrap();
    let ret = returned(&open).unwrap();
    assert_eq!(ret.field.name, "ret");
    assert_eq!(ret.field.ty, natural(4, true, Display::Decimal));
    assert_eq!(
        (ret.fetch.base, ret.fetch.load),
        (Base::Return, Load::Itself)
    );
    let typed = kernel.function("typed").unwrap();
    assert_eq!(returned(&typed), None);
    let scope = Scope::exit_with_arguments(&typed);
    let error = fetch_all("ret", &scope).unwrap_err().to_string();
    assert!(error.contains("returns nothing"), "{error}");
    let scope = Scope::exit_with_arguments(&open);
    assert_eq!(fetch_all("ret, path, arg1", &scope).unwrap().len(), 3);
    let scope = Scope::exit(None, Some(&open));
    assert!(fetch_all("path", &scope).is_err());
}

#[test]
fn an_argument_that_is_called_like_the_result_has_another_name() {
    let kernel = kernel();
    let checked = kernel.function("checked").unwrap();
    let names: Vec<String> = returned_and_arguments(&checked)
        .into_iter()
        .map(|value| value.field.name)
        .collect();
    assert_eq!(names, ["ret", "ret_2", "arg5"]);
    let scope = Scope::exit_with_arguments(&checked);
    let fetched = fetch_all("ret, ret_2, arg5", &scope).unwrap();
    let bases: Vec<Base> = fetched.iter().map(|value| value.fetch.base).collect();
    assert_eq!(bases, [Base::Return, Base::Argument(0), Base::Argument(1)]);
}

#[test]
fn raw_tracepoints_have_their_arguments() {
    let kernel = kernel();
    let exec = kernel.raw_tracepoint("exec").unwrap();
    let names: Vec<String> = arguments(&exec)
        .into_iter()
        .map(|value| value.field.name)
        .collect();
    assert_eq!(names, ["file", "pid"]);
    let scope = Scope::raw_tracepoint(&exec);
    let fetched = fetch_all("file->f_mode, arg1:d32", &scope).unwrap();
    assert_eq!(fetched[0].fetch, way(0, &[], number(4, 4)));
    assert!(fetch_all("arg2", &scope).is_err());
}

#[test]
fn expressions_can_start_at_fields_of_a_record() {
    let format = "name: x\nID: 1\nformat:\n\
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
        \tfield:const struct file * file;\toffset:8;\tsize:8;\tsigned:0;\n\
        \tfield:void * skb;\toffset:16;\tsize:8;\tsigned:0;\n\
        \tfield:pid_t pid;\toffset:24;\tsize:4;\tsigned:1;\n\
        \tfield:enum color color;\toffset:28;\tsize:4;\tsigned:1;\n\
        \tfield:char comm[16];\toffset:32;\tsize:16;\tsigned:0;\n\
        \tfield:const char * name;\toffset:48;\tsize:8;\tsigned:0;\n\
        \tfield:struct none * none;\toffset:56;\tsize:8;\tsigned:0;\n\
        \nprint fmt: \"\"\n";
    let format = RecordFormat::parse(format).unwrap();
    let kernel = kernel();
    let scope = Scope::record(Some(kernel.vmlinux()), &format);
    let text = "file->f_mode, ((struct sock *)skb)->family, pid, color, name, name:str, none";
    let fetched = fetch_all(text, &scope).unwrap();
    let base = |offset, size, signed| Base::Record {
        offset,
        size,
        signed,
    };
    let bases: Vec<Base> = fetched.iter().map(|value| value.fetch.base).collect();
    assert_eq!(
        bases,
        [
            base(8, 8, false),
            base(16, 8, false),
            base(24, 4, true),
            base(28, 4, true),
            base(48, 8, false),
            base(48, 8, false),
            base(56, 8, false)
        ]
    );
    assert_eq!(fetched[1].fetch.load, number(4, 4));
    assert_eq!(fetched[2].field.ty, natural(4, true, Display::Decimal));
    assert!(matches!(fetched[3].field.ty, FieldType::Labeled { .. }));
    assert_eq!(fetched[4].field.ty, natural(8, false, Display::Hexadecimal));
    assert_eq!(fetched[5].field.ty, FieldType::String);
    assert_eq!(fetched[6].field.ty, natural(8, false, Display::Hexadecimal));
    let error = fetch_all("comm", &scope).unwrap_err().to_string();
    assert!(error.contains("remove the braces"), "{error}");
}

#[test]
fn registers_of_programs_lead_to_memory_of_the_process() {
    let kernel = kernel();
    let scope = Scope::user_entry(Some(kernel.vmlinux()));
    let fetched = fetch_all("str(arg0), arg1:d32, **(u32 **)arg2, arg3:str", &scope).unwrap();
    assert_eq!(fetched[0].fetch, way(0, &[], string(0, Memory::User)));
    assert_eq!(fetched[1].field.ty, natural(4, true, Display::Decimal));
    assert_eq!(fetched[2].fetch.steps, [0]);
    assert!(matches!(
        fetched[2].fetch.load,
        Load::Number {
            memory: Memory::User,
            size: 4,
            ..
        }
    ));
    assert_eq!(fetched[3].fetch.load, string(0, Memory::User));
    let scope = Scope::user_exit(None);
    assert_eq!(
        fetch_all("ret:x", &scope).unwrap()[0].fetch.base,
        Base::Return
    );
    assert!(matches!(
        fetch_all("(u32)ret", &scope).unwrap_err().problem(),
        FetchProblem::NoTypes(_)
    ));
}

#[test]
fn a_kernel_without_btf_has_registers() {
    let scope = Scope::entry(None, None);
    let fetched = fetch_all("arg0:str, arg5", &scope).unwrap();
    assert_eq!(fetched[1].field.ty, natural(8, false, Display::Hexadecimal));
    let error = fetch_all("path", &scope).unwrap_err().to_string();
    assert!(error.contains("`arg0`"), "{error}");
    assert!(KernelBtf::read(Path::new("/nowhere")).is_err());
}
