//! Cutting types that are made up.

use super::*;

/// BTF of rows of words; names are places in `strings`.
fn btf(types: &[&[u32]], strings: &str) -> Vec<u8> {
    let words: Vec<u8> = types
        .concat()
        .into_iter()
        .flat_map(u32::to_le_bytes)
        .collect();
    let mut bytes = vec![0x9f, 0xeb, 1, 0];
    let len = words.len() as u32;
    for word in [24, 0, len, len, strings.len() as u32] {
        bytes.extend(u32::to_le_bytes(word));
    }
    bytes.extend(words);
    bytes.extend(strings.as_bytes());
    bytes
}

const fn info(kind: u32, parts: u32) -> u32 {
    kind << 24 | parts
}

/// `struct a { struct b *b; struct a *a; }`, `struct b { int i; }`, and others.
fn sample() -> Vec<u8> {
    let types: [&[u32]; 8] = [
        &[7, info(kind::FLOAT, 0), 8],
        &[5, info(kind::INT, 0), 4, 32],
        &[3, info(kind::STRUCT, 1), 4, 5, 2, 0],
        &[0, info(kind::CONST, 0), 3],
        &[0, info(kind::PTR, 0), 4],
        &[1, info(kind::STRUCT, 2), 16, 3, 5, 0, 1, 7, 64],
        &[0, info(kind::PTR, 0), 6],
        &[1, info(kind::VAR, 0), 6, 0],
    ];
    btf(&types, "\0a\0b\0i\0f\0")
}

#[test]
fn a_type_brings_its_members_and_the_names_of_pointed_types() {
    let cut = cut(&sample(), &["a"]).unwrap();
    let expected: [&[u32]; 5] = [
        &[1, info(kind::STRUCT, 2), 16, 3, 2, 0, 1, 5, 64],
        &[0, info(kind::PTR, 0), 3],
        &[0, info(kind::CONST, 0), 4],
        &[3, info(kind::FWD, 0), 0],
        &[0, info(kind::PTR, 0), 1],
    ];
    assert_eq!(cut, btf(&expected, "\0a\0b\0"));
}

#[test]
fn wanted_types_are_kept_even_if_only_pointers_lead_to_them() {
    let cut = cut(&sample(), &["a", "b"]).unwrap();
    let whole = Whole::read(&cut).unwrap();
    let kinds: Vec<u32> = whole.types.iter().map(|ty| kind_of(ty)).collect();
    let (pointer, structure) = (kind::PTR, kind::STRUCT);
    assert_eq!(
        kinds,
        [
            structure,
            pointer,
            kind::CONST,
            structure,
            kind::INT,
            pointer
        ]
    );
}

#[test]
fn a_missing_type_is_named() {
    let error = cut(&sample(), &["c"]).unwrap_err();
    assert_eq!(error.to_string(), "no type `c`");
    let error = cut(&sample()[..30], &["a"]).unwrap_err();
    assert_eq!(error.to_string(), "a section ends early");
}
