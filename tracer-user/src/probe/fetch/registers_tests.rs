//! Arguments of made-up functions.

use tracer_common::arch::{AARCH64, X86_64};

use super::*;
use crate::kernel::btf::builder::Builder;
use crate::kernel::btf::{Btf, NameKind};

/// The places of the arguments of the function or tracepoint with this name.
fn places_of(arch: &Arch, btf: &Btf, what: NameKind, name: &str) -> Vec<Result<u8, LeftOut>> {
    let ty = btf.find(what, name).unwrap();
    let prototype = match ty.stripped().kind() {
        Kind::Function(prototype) | Kind::Pointer(prototype) => prototype,
        other => panic!("{other:?}"),
    };
    let Kind::Prototype(prototype) = prototype.kind() else {
        panic!("no prototype");
    };
    let found = Found {
        object: "vmlinux",
        ty,
        prototype,
    };
    let places = places_on(arch, &found).into_iter();
    places.map(|(_, place)| place).collect()
}

fn places_of_f(btf: &Btf) -> Vec<Result<u8, LeftOut>> {
    places_of(&X86_64, btf, NameKind::Function, "f")
}

fn places_on_arm(btf: &Btf) -> Vec<Result<u8, LeftOut>> {
    places_of(&AARCH64, btf, NameKind::Function, "f")
}

#[test]
fn tracepoints_have_a_word_for_each() {
    let mut btf = Builder::new();
    let int = btf.integer("int", 4, true);
    let prototype = btf.prototype(0, &[("", int); 8]);
    let pointer = btf.pointer(prototype);
    btf.typedef("btf_trace_x", pointer);
    let places = places_of(&X86_64, &btf.build(), NameKind::Typedef, "btf_trace_x");
    assert_eq!(places[5..], [Ok(5), Ok(6), Ok(7)]);
}

#[test]
fn the_seventh_argument_is_on_the_stack() {
    let mut btf = Builder::new();
    let int = btf.integer("int", 4, true);
    btf.function("f", 0, &[("", int); 7]);
    let places = places_of_f(&btf.build());
    assert_eq!(places[5..], [Ok(5), Err(LeftOut::Stack)]);
}

#[test]
fn small_structures_shift_what_follows() {
    let mut btf = Builder::new();
    let int = btf.integer("int", 4, true);
    let word = btf.integer("long int", 8, true);
    let one = btf.structure("one", 8, &[("a", int, 0), ("b", int, 4)]);
    let two = btf.structure("two", 16, &[("a", one, 0), ("b", word, 8)]);
    let large = btf.structure("large", 24, &[("a", two, 0), ("b", word, 16)]);
    let none = btf.structure("none", 0, &[]);
    btf.function(
        "f",
        0,
        &[
            ("", one),
            ("", int),
            ("", two),
            ("", large),
            ("", none),
            ("", word),
        ],
    );
    let structure = Err(LeftOut::Structure);
    assert_eq!(
        places_of_f(&btf.build()),
        [structure, Ok(1), structure, structure, structure, Ok(4)]
    );
}

#[test]
fn after_a_structure_that_does_not_fit_nothing_is_typed() {
    let mut btf = Builder::new();
    let word = btf.integer("long int", 8, true);
    let two = btf.structure("two", 16, &[("a", word, 0), ("b", word, 8)]);
    let mut arguments = vec![("", word); 5];
    arguments.extend([("", two), ("", word)]);
    btf.function("f", 0, &arguments);
    assert_eq!(
        places_of_f(&btf.build())[4..],
        [Ok(4), Err(LeftOut::Structure), Err(LeftOut::Stack)]
    );
}

#[test]
fn floating_point_takes_no_register() {
    let mut btf = Builder::new();
    let int = btf.integer("int", 4, true);
    let double = btf.float("double", 8);
    let mixed = btf.structure("mixed", 16, &[("a", double, 0), ("b", int, 8)]);
    btf.function("f", 0, &[("", double), ("", mixed), ("", int)]);
    assert_eq!(
        places_of_f(&btf.build()),
        [Err(LeftOut::Float), Err(LeftOut::Structure), Ok(1)]
    );
}

#[test]
fn packed_structures_are_on_the_stack() {
    let mut btf = Builder::new();
    let int = btf.integer("int", 4, true);
    let char = btf.integer("char", 1, true);
    let packed = btf.structure("packed", 5, &[("a", char, 0), ("b", int, 1)]);
    btf.function("f", 0, &[("", packed), ("", int)]);
    assert_eq!(places_of_f(&btf.build()), [Err(LeftOut::Structure), Ok(0)]);
}

#[test]
fn numbers_of_16_bytes_take_two() {
    let mut btf = Builder::new();
    let int = btf.integer("int", 4, true);
    let wide = btf.integer("__int128", 16, true);
    btf.function("f", 0, &[("", wide), ("", int)]);
    assert_eq!(places_of_f(&btf.build()), [Err(LeftOut::Wide), Ok(2)]);
}

#[test]
fn a_type_that_is_not_known_ends_what_can_be_told() {
    let mut btf = Builder::new();
    let int = btf.integer("int", 4, true);
    let unknown = btf.forward("unknown");
    btf.function("f", 0, &[("", int), ("", unknown), ("", int)]);
    assert_eq!(
        places_of_f(&btf.build()),
        [Ok(0), Err(LeftOut::Unknown), Err(LeftOut::Stack)]
    );
}

#[test]
fn structures_that_go_in_circles_come_to_an_end() {
    let mut btf = Builder::new();
    let many = btf.array(2, u32::MAX);
    btf.structure("s", 8, &[("a", many, 0), ("b", 2, 0), ("c", 2, 0)]);
    btf.function("f", 0, &[("", 2)]);
    assert_eq!(places_of_f(&btf.build()), [Err(LeftOut::Structure)]);
}

#[test]
fn arm_has_eight_registers() {
    let mut btf = Builder::new();
    let int = btf.integer("int", 4, true);
    btf.function("f", 0, &[("", int); 9]);
    let places = places_on_arm(&btf.build());
    assert_eq!(places[7..], [Ok(7), Err(LeftOut::Stack)]);
}

#[test]
fn arm_passes_all_words_of_small_structures_and_the_address_of_large_ones() {
    let mut btf = Builder::new();
    let int = btf.integer("int", 4, true);
    let char = btf.integer("char", 1, true);
    let packed = btf.structure("packed", 5, &[("a", char, 0), ("b", int, 1)]);
    let padded = btf.structure("padded", 16, &[("a", int, 0)]);
    let large = btf.structure("large", 24, &[("a", padded, 0)]);
    btf.function(
        "f",
        0,
        &[
            ("", packed),
            ("", int),
            ("", padded),
            ("", int),
            ("", large),
            ("", int),
        ],
    );
    let structure = Err(LeftOut::Structure);
    assert_eq!(
        places_on_arm(&btf.build()),
        [structure, Ok(1), structure, Ok(4), structure, Ok(6)]
    );
}

#[test]
fn numbers_of_16_bytes_start_at_an_even_register_on_arm() {
    let mut btf = Builder::new();
    let int = btf.integer("int", 4, true);
    let wide = btf.integer("__int128", 16, true);
    btf.function("f", 0, &[("", int), ("", wide), ("", int)]);
    assert_eq!(
        places_on_arm(&btf.build()),
        [Ok(0), Err(LeftOut::Wide), Ok(4)]
    );
}

#[test]
fn nothing_is_known_after_a_structure_with_floating_point_on_arm() {
    let mut btf = Builder::new();
    let int = btf.integer("int", 4, true);
    let double = btf.float("double", 8);
    let mixed = btf.structure("mixed", 16, &[("a", double, 0), ("b", int, 8)]);
    btf.function("f", 0, &[("", int), ("", mixed), ("", int)]);
    assert_eq!(
        places_on_arm(&btf.build()),
        [Ok(0), Err(LeftOut::Unknown), Err(LeftOut::Stack)]
    );
}
