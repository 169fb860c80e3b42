//! Ways through made-up types.

use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::super::{
    Base, Fetch, FetchError, FetchList, Load, Scope, arguments, returned, returned_and_arguments,
};
use super::*;
use crate::btf::builder::Builder;
use crate::btf::{KernelBtf, KernelBtfError, Named};
use crate::event::{Display, FieldType, IntegerType, LabelKind};
use crate::probe::format::Format as RecordFormat;

/// The kernel of [`types`].
fn kernel() -> KernelBtf {
    in_folder(&types().bytes()).unwrap()
}

/// A kernel with `vfs_open(const struct path *path, struct file *file)`,
/// `typed(...)` with arguments of many types, and the raw tracepoint `exec`.
fn types() -> Builder {
    let mut btf = Builder::new();
    let int = btf.integer("int", 4, true);
    let uint = btf.integer("unsigned int", 4, false);
    let word = btf.integer("long unsigned int", 8, false);
    let char = btf.integer("char", 1, true);
    let byte = btf.integer("unsigned char", 1, false);
    let boolean = btf.boolean();
    let const_char = btf.constant(char);
    let text = btf.pointer(const_char);
    let user_char = btf.user(char);
    let user_text = btf.pointer(user_char);
    let user_word = btf.user(text);
    let user_pointers = btf.pointer(user_word);
    let qstr = btf.structure("qstr", 16, &[("hash", uint, 0), ("name", text, 8)]);
    let comm = btf.array(char, 16);
    let mac = btf.array(byte, 6);
    let rest = btf.array(char, 0);
    let words = btf.array(word, 4);
    let inner = btf.union("", 8, &[("ino", word), ("seq", uint)]);
    let flags = btf.bit_fields(
        "flags",
        8,
        &[
            ("low", uint, 0, 3),
            ("cross", int, 6, 12),
            ("wide", word, 33, 31),
        ],
    );
    let unknown = btf.forward("unknown");
    let unknown = btf.pointer(unknown);
    let dentry = btf.structure(
        "dentry",
        144,
        &[
            ("d_name", qstr, 16),
            ("", inner, 32),
            ("comm", comm, 40),
            ("mac", mac, 56),
            ("words", words, 64),
            ("bits", flags, 96),
            ("secret", unknown, 104),
            ("links", user_pointers, 112),
            ("rest", rest, 144),
        ],
    );
    let dentry = btf.pointer(dentry);
    let path = btf.structure("path", 16, &[("mnt", word, 0), ("dentry", dentry, 8)]);
    let const_path = btf.constant(path);
    let path = btf.pointer(const_path);
    let mode = btf.typedef("fmode_t", uint);
    let file = btf.structure(
        "file",
        64,
        &[("f_mode", mode, 4), ("f_path", const_path, 16)],
    );
    let file = btf.pointer(file);
    btf.function("vfs_open", int, &[("path", path), ("file", file)]);
    let color = btf.enumeration("color", true, &[("NONE", -1), ("BLUE", 7)]);
    let double = btf.float("double", 8);
    btf.function(
        "typed",
        0,
        &[
            ("flag", boolean),
            ("color", color),
            ("", text),
            ("ratio", double),
            ("buf", user_text),
            ("flag", file),
            ("n", mode),
            ("late", int),
        ],
    );
    btf.function("checked", int, &[("ret", int), ("arg5", int)]);
    let void = btf.pointer(0);
    let exec = btf.prototype(0, &[("__data", void), ("file", file), ("pid", int)]);
    let exec = btf.pointer(exec);
    btf.typedef("btf_trace_exec", exec);
    btf.structure("sock", 16, &[("family", uint, 4)]);
    btf.typedef("u32", uint);
    btf
}

fn in_folder(btf: &[u8]) -> std::result::Result<KernelBtf, KernelBtfError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("kernel/btf")).unwrap();
    std::fs::write(folder.path().join("kernel/btf/vmlinux"), btf).unwrap();
    KernelBtf::read(folder.path())
}

fn fetch_all(text: &str, scope: &Scope<'_>) -> std::result::Result<Vec<Fetched>, FetchError> {
    FetchList::parse(text).unwrap().resolve(scope)
}

/// The only value of a list where `vfs_open` is entered.
fn fetch(text: &str) -> Fetched {
    let kernel = kernel();
    let scope = Scope::entry(None, kernel.function("vfs_open").as_ref());
    fetch_all(text, &scope).unwrap().remove(0)
}

fn problem(text: &str) -> Problem {
    let kernel = kernel();
    let scope = Scope::entry(None, kernel.function("vfs_open").as_ref());
    fetch_all(text, &scope).unwrap_err().problem().clone()
}

fn natural(size: u16, signed: bool, display: Display) -> FieldType {
    FieldType::Integer(IntegerType::natural(size, signed, display))
}

fn way(argument: u8, steps: &[i64], load: Load) -> Fetch {
    Fetch {
        base: Base::Argument(argument),
        steps: steps.to_vec(),
        load,
    }
}

fn number(offset: i64, size: u8) -> Load {
    Load::Number {
        offset,
        size,
        bits: None,
        memory: Memory::Kernel,
    }
}

fn string(offset: i64, memory: Memory) -> Load {
    Load::String { offset, memory }
}

#[test]
fn pointers_are_followed_to_a_string() {
    for text in [
        "path->dentry->d_name.name:str",
        "path.dentry.d_name->name",
        "(*(*path).dentry).d_name.name",
        "file->f_path.dentry->d_name.name",
    ] {
        let fetched = fetch(text);
        let expected = if text.starts_with("file") {
            way(1, &[24, 24], string(0, Memory::Kernel))
        } else {
            way(0, &[8, 24], string(0, Memory::Kernel))
        };
        assert_eq!(fetched.fetch, expected, "{text}");
        assert_eq!(fetched.field.ty, FieldType::String);
    }
    assert_eq!(
        fetch("path->dentry->d_name.name:str").field.name,
        "path_dentry_d_name_name"
    );
}

#[test]
fn numbers_have_the_type_or_the_format() {
    let plain = fetch("file->f_mode");
    assert_eq!(plain.fetch, way(1, &[], number(4, 4)));
    assert_eq!(plain.field.ty, natural(4, false, Display::Decimal));
    for (format, ty, size) in [
        ("x32", natural(4, false, Display::Hexadecimal), 4),
        ("x", natural(4, false, Display::Hexadecimal), 4),
        ("s16", natural(2, true, Display::Decimal), 2),
        ("o8", natural(1, false, Display::Octal), 1),
    ] {
        let fetched = fetch(&format!("file->f_mode:{format}"));
        assert_eq!(fetched.field.ty, ty, "{format}");
        assert_eq!(fetched.fetch.load, number(4, size), "{format}");
    }
}

#[test]
fn members_are_found_through_those_without_a_name() {
    assert_eq!(
        fetch("path->dentry->ino").fetch,
        way(0, &[8], number(32, 8))
    );
}

#[test]
fn elements_lie_behind_each_other() {
    let words = fetch("path->dentry->words[3]:x64");
    assert_eq!(words.fetch, way(0, &[8], number(88, 8)));
    assert_eq!(words.field.name, "path_dentry_words_3");
    assert_eq!(fetch("file[2].f_mode").fetch, way(1, &[], number(132, 4)));
    assert_eq!(
        fetch("*path->dentry->words").fetch,
        way(0, &[8], number(64, 8))
    );
    assert_eq!(
        problem("path->dentry->words[4]"),
        Problem::NoSuchElement {
            what: "path->dentry->words".into(),
            index: 4,
            length: 4
        }
    );
}

#[test]
fn bit_fields_are_cut_out_of_what_they_lie_in() {
    for (name, offset, size, bits) in [
        ("low", 96, 1, (0, 3)),
        ("cross", 96, 4, (6, 12)),
        ("wide", 100, 4, (1, 31)),
    ] {
        let fetched = fetch(&format!("path->dentry->bits.{name}"));
        let expected = Load::Number {
            offset,
            size,
            bits: Some(bits),
            memory: Memory::Kernel,
        };
        assert_eq!(fetched.fetch.load, expected, "{name}");
    }
    assert!(matches!(
        problem("&path->dentry->bits.low"),
        Problem::NoAddress(_)
    ));
}

#[test]
fn characters_in_place_are_text_or_a_string() {
    let text = fetch("path->dentry->comm");
    let load = Load::Bytes {
        offset: 40,
        len: 16,
        memory: Memory::Kernel,
    };
    assert_eq!(text.fetch, way(0, &[8], load));
    assert_eq!(
        text.field.ty,
        FieldType::Array {
            element: IntegerType::natural(1, false, Display::Text),
            length: 16
        }
    );
    let text = fetch("path->dentry->comm:str");
    assert_eq!(text.fetch, way(0, &[8], string(40, Memory::Kernel)));
    let text = fetch("path->dentry->rest:str");
    assert_eq!(text.fetch, way(0, &[8], string(144, Memory::Kernel)));
    let bytes = fetch("path->dentry->mac");
    assert!(matches!(
        bytes.field.ty,
        FieldType::Array { element, length: 6 } if element.display == Display::Hexadecimal
    ));
}

#[test]
fn addresses_are_taken_and_followed() {
    let address = fetch("&path->dentry->d_name");
    assert_eq!(address.fetch, way(0, &[8], Load::AddressOf { offset: 16 }));
    assert_eq!(address.field.ty, natural(8, false, Display::Hexadecimal));
    assert_eq!(
        fetch("(&path->dentry->d_name)->hash").fetch,
        way(0, &[8], number(16, 4))
    );
    assert!(matches!(problem("&path"), Problem::NoAddress(_)));
}

#[test]
fn casts_change_what_a_value_leads_to() {
    let family = fetch("((struct sock *)path->mnt)->family");
    assert_eq!(family.fetch, way(0, &[0], number(4, 4)));
    assert_eq!(fetch("(unsigned int)arg5").fetch, way(5, &[], Load::Itself));
    assert_eq!(fetch("*(u32 *)arg1").fetch, way(1, &[], number(0, 4)));
    assert_eq!(
        fetch("((struct sock *)path->dentry->comm)->family").fetch,
        way(0, &[8], number(44, 4))
    );
    assert_eq!(
        problem("(struct sock)arg0"),
        Problem::CastToStructure("struct sock".into())
    );
    assert!(matches!(
        problem("(struct sock *)file->f_mode"),
        Problem::Wider {
            bits: 32,
            wanted_bits: 64,
            ..
        }
    ));
    assert!(
        matches!(problem("(struct u32 *)arg0"), Problem::NoSuchType { suggestions, .. }
        if suggestions.names() == ["u32"])
    );
}

#[test]
fn memory_of_a_process_is_read_as_such() {
    let kernel = kernel();
    let scope = Scope::entry(None, kernel.function("typed").as_ref());
    let fetched = fetch_all("buf, buf[1], *(u32 __user *)arg2, buf:str", &scope).unwrap();
    let loads: Vec<Load> = fetched.iter().map(|value| value.fetch.load).collect();
    let at = |offset, size| Load::Number {
        offset,
        size,
        bits: None,
        memory: Memory::User,
    };
    assert_eq!(
        loads,
        [
            string(0, Memory::User),
            at(1, 1),
            at(0, 4),
            string(0, Memory::Kernel)
        ]
    );
    assert_eq!(problem("path->dentry->links[1][0]"), Problem::UserPointer);
}

#[test]
fn what_is_no_single_value_names_its_parts() {
    let message = |text: &str| problem(text).to_string();
    assert_eq!(
        message("path->dentry->d_name"),
        "`path->dentry->d_name` is a `struct qstr`, which is not recorded as a whole; name a \
         member: `hash`, `name`"
    );
    assert!(message("path->dentry->words").contains("name an element"));
    assert!(message("path->dentry->d_nam").contains("did you mean `d_name`?"));
    assert!(message("path->mnt->x").contains("((struct NAME *)path->mnt)->x"));
    assert!(message("path->dentry->secret->x").contains("does not say what is in"));
    assert!(message("*file->f_mode").contains("leads nowhere"));
    assert!(message("*path").contains("name a member"));
    assert!(message("file->f_mode:str").contains("strings are behind pointers"));
    assert!(message("file->f_mode:x64").contains("has 32 bits"));
    assert!(message("pat").contains("did you mean `path`?"));
    assert!(message("ret").contains("there is no `ret` here"));
}

#[test]
fn a_mistake_is_shown_in_the_text() {
    let kernel = kernel();
    let scope = Scope::entry(None, kernel.function("vfs_open").as_ref());
    let error = fetch_all("file, path->dentri->d_name", &scope).unwrap_err();
    let shown = error.to_string();
    assert!(
        shown.ends_with("\n  file, path->dentri->d_name\n              ^^^^^^"),
        "{shown}"
    );
}

#[test]
fn fields_have_different_names() {
    let kernel = kernel();
    let scope = Scope::entry(None, kernel.function("vfs_open").as_ref());
    let fetched = fetch_all("file, file:d, b=file, fetch_fault=arg1", &scope).unwrap_err();
    assert_eq!(*fetched.problem(), Problem::ReservedName);
    let fetched = fetch_all("arg1, arg1:d, arg1_2=file", &scope).unwrap();
    let names: Vec<&str> = fetched
        .iter()
        .map(|value| value.field.name.as_str())
        .collect();
    assert_eq!(names, ["arg1", "arg1_3", "arg1_2"]);
    let twice = fetch_all("a=file, a=path", &scope).unwrap_err();
    assert_eq!(*twice.problem(), Problem::DuplicateName("a".into()));
}

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
fn what_cannot_be_fetched_says_why() {
    let kernel = kernel();
    let scope = Scope::entry(None, kernel.function("typed").as_ref());
    for (name, reason) in [("ratio", "floating-point"), ("late", "on the stack")] {
        let error = fetch_all(name, &scope).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
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
fn records_begin_ways_at_their_fields() {
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
    assert!(
        error.contains("without braces") || error.contains("no braces"),
        "{error}"
    );
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
        Problem::NoTypes(_)
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

#[test]
fn distances_that_programs_cannot_add_are_refused() {
    assert_eq!(problem("path[4294967295].mnt"), Problem::TooFar);
    assert_eq!(problem("path->dentry->rest[4294967295]"), Problem::TooFar);
}

#[test]
fn a_forward_declaration_is_looked_up() {
    let mut btf = Builder::new();
    let int = btf.integer("int", 4, true);
    let forward = btf.forward("sock");
    let pointer = btf.pointer(forward);
    btf.structure("sock", 8, &[("state", int, 4)]);
    btf.function("f", int, &[("sk", pointer)]);
    let kernel = in_folder(&btf.bytes()).unwrap();
    assert!(kernel.vmlinux().find(Named::Struct, "sock").is_some());
    let scope = Scope::entry(None, kernel.function("f").as_ref());
    let fetched = fetch_all("sk->state", &scope).unwrap();
    assert_eq!(fetched[0].fetch.load, number(4, 4));
}

/// [`kernel`], made once for many texts.
static KERNEL: LazyLock<KernelBtf> = LazyLock::new(kernel);

/// Parts of fetch lists, some of which fit together.
const PARTS: [&str; 30] = [
    "path",
    "file",
    "arg0",
    "ret",
    "buf",
    "color",
    "->",
    ".",
    "dentry",
    "d_name",
    "name",
    "ino",
    "comm",
    "words",
    "bits",
    "cross",
    "links",
    "[1]",
    "[4294967295]",
    "*",
    "&",
    "(",
    ")",
    "(struct sock *)",
    "(u32)",
    "(char __user **)",
    ":str",
    ":x32",
    ",",
    "family",
];

proptest! {
    #[test]
    fn no_way_is_a_panic(
        parts in prop::collection::vec(prop::sample::select(&PARTS[..]), 1..12),
    ) {
        let Ok(list) = FetchList::parse(&parts.join("")) else {
            return Ok(());
        };
        let kernel = &*KERNEL;
        let (open, typed) = (kernel.function("vfs_open"), kernel.function("typed"));
        for scope in [
            Scope::entry(None, open.as_ref()),
            Scope::exit_with_arguments(&typed.unwrap()),
            Scope::user_entry(Some(kernel.vmlinux())),
            Scope::entry(None, None),
        ] {
            match list.resolve(&scope) {
                Ok(fetched) => prop_assert_eq!(fetched.len(), list.items().len()),
                Err(error) => prop_assert_eq!(error.to_string().lines().count(), 3),
            }
        }
    }

    #[test]
    fn damaged_types_are_no_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut bytes = types().bytes();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let Ok(kernel) = in_folder(&bytes) else {
            return Ok(());
        };
        for function in kernel.functions().filter_map(|name| kernel.function(name)) {
            let fetched = returned_and_arguments(&function);
            prop_assert!(fetched.len() <= 1 + function.prototype.arguments().count());
            let scope = Scope::entry(None, Some(&function));
            for text in ["path->dentry->d_name.name", "file[3].f_path.dentry->bits.cross:d"] {
                // Whatever comes of it.
                drop(fetch_all(text, &scope));
            }
        }
    }
}
