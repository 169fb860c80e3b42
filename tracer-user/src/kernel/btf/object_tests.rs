//! BTF as it is, on top of another, and damaged.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::kernel::btf::builder::Builder;
use crate::kernel::btf::{Kind, NameKind};

/// Types of all kinds.
fn everything() -> Builder {
    let mut btf = Builder::new();
    let int = btf.integer("int", 4, true);
    let word = btf.integer("long unsigned int", 8, false);
    let pointer = btf.pointer(int);
    let array = btf.array(word, 4);
    let inner = btf.union("", 8, &[("a", int), ("b", word)]);
    btf.structure(
        "outer",
        56,
        &[
            ("p", pointer, 0),
            ("", inner, 8),
            ("row", array, 16),
            ("self", 7, 48),
        ],
    );
    btf.pointer(6);
    btf.bit_fields("bits", 4, &[("low", int, 0, 3), ("high", int, 3, 29)]);
    btf.enumeration("color", true, &[("RED", -1), ("BLUE", 7)]);
    btf.enumeration64("wide", &[("HUGE", 1 << 40)]);
    btf.forward("elsewhere");
    let definition = btf.typedef("word_t", word);
    let constant = btf.constant(definition);
    btf.any("", kind::VOLATILE, false, 0, constant, &[]);
    btf.any("", kind::RESTRICT, false, 0, pointer, &[]);
    btf.any("note", kind::DECL_TAG, false, 0, 6, &[0]);
    btf.any("variable", kind::VAR, false, 0, int, &[1]);
    btf.any(".data", kind::DATASEC, false, 1, 4, &[17, 0, 4]);
    btf.float("double", 8);
    let user = btf.user(int);
    let user = btf.pointer(user);
    btf.boolean();
    btf.function("f", int, &[("x", pointer), ("", user)]);
    btf
}

#[test]
fn names_find_types_of_their_kind() {
    let btf = everything().build();
    for (what, name) in [
        (NameKind::Struct, "outer"),
        (NameKind::Typedef, "word_t"),
        (NameKind::Enum, "wide"),
        (NameKind::Number, "int"),
        (NameKind::Function, "f"),
    ] {
        assert_eq!(btf.find(what, name).unwrap().name(), name);
    }
    assert!(btf.find(NameKind::Struct, "word_t").is_none());
    assert!(btf.find(NameKind::Struct, "").is_none());
}

#[test]
fn members_are_found_through_those_without_a_name() {
    let btf = everything().build();
    let Kind::Composite(outer) = btf.find(NameKind::Struct, "outer").unwrap().kind() else {
        panic!("no structure");
    };
    let member = outer.member("b").unwrap();
    assert_eq!((member.bit_offset, member.bits), (64, None));
    assert_eq!(outer.member("row").unwrap().ty.size(), Some(32));
    assert!(outer.member("c").is_none());
    let names: Vec<&str> = outer.unfolded().map(|member| member.name).collect();
    assert_eq!(names, ["p", "row", "self", "a", "b"]);
}

#[test]
fn bit_fields_have_their_place() {
    let btf = everything().build();
    let Kind::Composite(bits) = btf.find(NameKind::Struct, "bits").unwrap().kind() else {
        panic!("no structure");
    };
    let high = bits.member("high").unwrap();
    assert_eq!((high.bit_offset, high.bits), (3, Some(29)));
}

#[test]
fn enumerators_have_the_sign_of_their_type() {
    let btf = everything().build();
    let values = |name| match btf.find(NameKind::Enum, name).unwrap().kind() {
        Kind::Enum(enumeration) => enumeration.enumerators().collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(values("color"), [("RED", u64::MAX), ("BLUE", 7)]);
    assert_eq!(values("wide"), [("HUGE", 1 << 40)]);
}

#[test]
fn types_are_shown_as_in_c() {
    let btf = everything().build();
    let shown: Vec<String> = [3, 4, 5, 7, 14, 0, 11, 21]
        .map(|id| btf.get(id).to_string())
        .into();
    assert_eq!(
        shown,
        [
            "int *",
            "long unsigned int [4]",
            "union {…}",
            "struct outer *",
            "word_t",
            "void",
            "struct elsewhere",
            "int *"
        ]
    );
}

#[test]
fn a_module_goes_on_from_the_kernel() {
    let kernel = everything();
    let mut module = Builder::module_of(&kernel);
    let own = module.structure("own", 4, &[("n", 1, 0)]);
    let kernel = Arc::new(kernel.build());
    assert_eq!(own, kernel.ids().end);
    let module = Btf::parse(module.bytes(), Some(kernel)).unwrap();
    let ty = module.find(NameKind::Struct, "own").unwrap();
    assert_eq!(ty.id(), own);
    let Kind::Composite(own) = ty.kind() else {
        panic!("no structure");
    };
    assert_eq!(own.member("n").unwrap().ty.to_string(), "int");
    assert_eq!(module.find(NameKind::Struct, "outer").unwrap().id(), 6);
}

#[test]
fn bytes_that_are_not_btf_are_reported() {
    let parse = |bytes: &[u8]| Btf::parse(bytes.to_vec(), None).unwrap_err();
    let bytes = everything().bytes();
    assert_eq!(parse(b""), BtfError::Truncated);
    assert_eq!(parse(&[0xeb, 0x9f, 1, 0]), BtfError::Magic);
    assert_eq!(parse(&[0x9f, 0xeb, 2, 0]), BtfError::Version(2));
    assert_eq!(parse(&bytes[..bytes.len() - 1]), BtfError::Truncated);
    let mut unknown = Builder::new();
    unknown.any("", 31, false, 0, 0, &[]);
    let error = BtfError::UnknownKind { id: 1, kind: 31 };
    assert_eq!(parse(&unknown.bytes()), error);
    let mut short = Builder::new();
    short.any("", kind::STRUCT, false, 2, 0, &[0, 0, 0]);
    assert_eq!(parse(&short.bytes()), BtfError::TruncatedType(1));
}

#[test]
fn types_that_go_in_circles_come_to_an_end() {
    let mut btf = Builder::new();
    btf.typedef("a", 2);
    btf.constant(1);
    btf.array(3, 2);
    btf.structure("s", 8, &[("", 4, 0), ("", 5, 0)]);
    btf.union("", 8, &[("", 4)]);
    btf.pointer(6);
    let btf = btf.build();
    look_at_everything(&btf);
    assert!(matches!(btf.get(1).stripped().kind(), Kind::Void));
    assert_eq!(btf.get(3).size(), None);
}

/// Reads all that there is to read.
fn look_at_everything(btf: &Btf) {
    for ty in btf.ids().chain([0, u32::MAX]).map(|id| btf.get(id)) {
        let (stripped, _) = ty.stripped_and_tagged();
        let shown = (ty.size(), ty.to_string(), stripped.id());
        assert!(shown.2 <= btf.ids().end || shown.2 == u32::MAX || !shown.1.is_empty());
        match ty.kind() {
            Kind::Composite(composite) => drop(composite.member("nothing")),
            Kind::Enum(enumeration) => drop(enumeration.enumerators().count()),
            Kind::Prototype(prototype) => drop(prototype.arguments().count()),
            _ => {}
        }
        let found = btf.find(NameKind::Struct, ty.name());
        assert!(found.is_none_or(|found| found.name() == ty.name()));
    }
}

proptest! {
    #[test]
    fn damaged_btf_is_no_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        end in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = everything().bytes();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        if let Ok(btf) = Btf::parse(bytes, None) {
            look_at_everything(&btf);
        }
    }

    #[test]
    fn random_bytes_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let head = vec![0x9f, 0xeb, 1, 0, 24, 0, 0, 0];
        for bytes in [bytes.clone(), [head, bytes].concat()] {
            if let Ok(btf) = Btf::parse(bytes, None) {
                look_at_everything(&btf);
            }
        }
    }
}
