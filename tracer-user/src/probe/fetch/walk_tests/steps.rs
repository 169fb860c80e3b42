//! Steps on the way, and what is read at its end.

use super::*;
use crate::kernel::btf::NameKind;

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
fn elements_follow_each_other() {
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
        FetchProblem::NoSuchElement {
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
        FetchProblem::NoAddress(_)
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
    assert!(matches!(problem("&path"), FetchProblem::NoAddress(_)));
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
        FetchProblem::CastToStructure("struct sock".into())
    );
    assert!(matches!(
        problem("(struct sock *)file->f_mode"),
        FetchProblem::Wider {
            bits: 32,
            wanted_bits: 64,
            ..
        }
    ));
    assert!(
        matches!(problem("(struct u32 *)arg0"), FetchProblem::NoSuchType { suggestions, .. }
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
    assert_eq!(
        problem("path->dentry->links[1][0]"),
        FetchProblem::UserPointer
    );
}

#[test]
fn distances_that_programs_cannot_add_are_refused() {
    assert_eq!(problem("path[4294967295].mnt"), FetchProblem::TooFar);
    assert_eq!(
        problem("path->dentry->rest[4294967295]"),
        FetchProblem::TooFar
    );
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
    assert!(kernel.vmlinux().find(NameKind::Struct, "sock").is_some());
    let scope = Scope::entry(None, kernel.function("f").as_ref());
    let fetched = fetch_all("sk->state", &scope).unwrap();
    assert_eq!(fetched[0].fetch.load, number(4, 4));
}
