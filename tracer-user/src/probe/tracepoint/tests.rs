//! Layouts of recorded and of made-up format files.

use tracer_common::{MAX_PIECES, spec_flags};

use super::*;
use crate::probe::tracepoint::types::BYTE;
use crate::trace::event::{Display, FieldType, IntegerType};

fn format(fields: &[&str], print_fmt: &str) -> Format {
    let mut text = String::from(
        "name: x\nID: 1\nformat:\n\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n",
    );
    for field in fields {
        text.push_str("\tfield:");
        text.push_str(field);
        text.push('\n');
    }
    text.push_str("print fmt: ");
    text.push_str(print_fmt);
    Format::parse(&text).unwrap()
}

fn integer(ty: &FieldType) -> IntegerType {
    match ty {
        FieldType::Integer(integer) => *integer,
        other => panic!("{other:?} is not an integer"),
    }
}

fn pieces(spec: &ProbeSpec) -> Vec<(u32, u32, u32)> {
    assert_eq!(spec.flags, spec_flags::PIECES | spec_flags::VARIABLE);
    spec.pieces[..spec.piece_count as usize]
        .iter()
        .map(|piece| (piece.kind, piece.offset, piece.len))
        .collect()
}

const FIXED: u32 = PieceKind::Fixed as u32;

#[test]
fn plain_fields_are_one_copy_without_padding_at_the_end() {
    let Layout { fields, spec, .. } = layout(&format(
        &[
            "u8 a; offset:8; size:1; signed:0;",
            "int b; offset:12; size:4; signed:1;",
            "u16 c; offset:16; size:2; signed:0;",
        ],
        "",
    ))
    .unwrap();
    assert_eq!(
        (spec.flags, spec.payload_offset, spec.payload_len),
        (0, 8, 10)
    );
    let aligns: Vec<u16> = fields
        .iter()
        .map(|field| integer(&field.ty).align_bits)
        .collect();
    assert_eq!(aligns, [8, 32, 16]);
    assert!(integer(&fields[1].ty).signed);
}

#[test]
fn a_larger_alignment_stands_for_a_gap() {
    let Layout { fields, spec, .. } = layout(&format(
        &["u8 a; offset:8; size:1;", "u8 b; offset:16; size:1;"],
        "",
    ))
    .unwrap();
    assert_eq!(spec.flags, 0);
    assert_eq!(integer(&fields[1].ty).align_bits, 64);
}

#[test]
fn a_gap_before_an_array_does_not_spread_its_elements() {
    let Layout { spec, .. } = layout(&format(
        &["u8 a; offset:8; size:1;", "u8 b[4]; offset:12; size:4;"],
        "",
    ))
    .unwrap();
    assert_eq!(pieces(&spec), [(FIXED, 8, 1), (FIXED, 12, 4)]);
}

#[test]
fn a_smaller_alignment_stands_for_a_packed_structure() {
    let Layout { fields, spec, .. } = layout(&format(
        &["u8 a; offset:8; size:1;", "u64 b; offset:9; size:8;"],
        "",
    ))
    .unwrap();
    assert_eq!((spec.flags, spec.payload_len), (0, 9));
    assert_eq!(integer(&fields[1].ty).align_bits, 8);
}

#[test]
fn gaps_that_no_alignment_describes_become_pieces() {
    let Layout { fields, spec, .. } = layout(&format(
        &[
            "u8 a; offset:8; size:1;",
            "u8 b; offset:11; size:1;",
            "u16 c; offset:12; size:2;",
        ],
        "",
    ))
    .unwrap();
    assert_eq!(pieces(&spec), [(FIXED, 8, 1), (FIXED, 11, 3)]);
    assert!(
        fields
            .iter()
            .all(|field| integer(&field.ty).align_bits == 8)
    );
}

#[test]
fn dynamic_fields_are_pieces_between_merged_runs() {
    let Layout { fields, spec, .. } = layout(&format(
        &[
            "int a; offset:8; size:4; signed:1;",
            "int b; offset:12; size:4; signed:1;",
            "__data_loc char[] s; offset:16; size:4;",
            "__rel_loc u32[] r; offset:20; size:4;",
            "long z; offset:24; size:8; signed:1;",
        ],
        "",
    ))
    .unwrap();
    assert_eq!(
        pieces(&spec),
        [
            (FIXED, 8, 8),
            (PieceKind::String as u32, 16, 1),
            (PieceKind::RelativeSequence as u32, 20, 4),
            (FIXED, 24, 8),
        ]
    );
    assert_eq!(fields[2].ty, FieldType::String);
    let element = IntegerType::natural(4, false, Display::Decimal).packed();
    assert_eq!(fields[3].ty, FieldType::Sequence { element });
    assert_eq!(integer(&fields[4].ty).align_bits, 8);
}

#[test]
fn characters_that_are_dumped_are_no_string() {
    let Layout { fields, .. } = layout(&format(
        &["__data_loc char[] raw; offset:8; size:4;"],
        r#""%s", __print_hex(__get_dynamic_array(raw), 4)"#,
    ))
    .unwrap();
    assert_eq!(fields[0].ty, FieldType::Sequence { element: BYTE });
}

#[test]
fn arrays_keep_their_elements_and_unknown_types_their_bytes() {
    let Layout { fields, .. } = layout(&format(
        &[
            "char comm[16]; offset:8; size:16;",
            "u8 mac[6]; offset:24; size:6;",
            "unsigned long args[2]; offset:32; size:16;",
            "struct in6_addr addr; offset:48; size:16;",
            "struct pair p[2]; offset:64; size:16;",
            "unsigned long none[]; offset:80; size:0;",
        ],
        r#""%lx", REC->args[0]"#,
    ))
    .unwrap();
    let array = |size, display, length| FieldType::Array {
        element: IntegerType::natural(size, false, display),
        length,
    };
    let types: Vec<&FieldType> = fields.iter().map(|field| &field.ty).collect();
    assert_eq!(
        types,
        [
            &array(1, Display::Text, 16),
            &array(1, Display::Hexadecimal, 6),
            &array(8, Display::Hexadecimal, 2),
            &array(1, Display::Hexadecimal, 16),
            &array(1, Display::Hexadecimal, 16),
        ]
    );
}

#[test]
fn bit_fields_share_their_unit_from_the_lowest_bit() {
    let Layout { fields, spec, .. } = layout(&format(
        &[
            "unsigned int a:3; offset:8; size:4;",
            "unsigned int b:7; offset:8; size:4;",
            "int c; offset:12; size:4; signed:1;",
        ],
        "",
    ))
    .unwrap();
    assert_eq!((spec.flags, spec.payload_len), (0, 8));
    let shapes: Vec<(u16, u16)> = fields
        .iter()
        .map(|field| (integer(&field.ty).size_bits, integer(&field.ty).align_bits))
        .collect();
    assert_eq!(shapes, [(3, 8), (7, 1), (32, 32)]);
}

#[test]
fn bit_fields_in_pieces_take_the_bytes_that_they_touch() {
    let Layout { fields, spec, .. } = layout(&format(
        &[
            "unsigned int a:3; offset:8; size:4;",
            "unsigned int b:7; offset:8; size:4;",
            "__data_loc char[] s; offset:12; size:4;",
        ],
        "",
    ))
    .unwrap();
    assert_eq!(pieces(&spec)[0], (FIXED, 8, 2));
    assert_eq!(integer(&fields[1].ty).align_bits, 1);
}

#[test]
fn pointers_and_what_the_kernel_prints_so_are_hexadecimal() {
    let Layout { fields, .. } = layout(&format(
        &[
            "void * p; offset:8; size:8;",
            "unsigned long ip; offset:16; size:8;",
            "unsigned long n; offset:24; size:8;",
        ],
        r#""%pS %lu", (void *)REC->ip, REC->n"#,
    ))
    .unwrap();
    let displays: Vec<Display> = fields
        .iter()
        .map(|field| integer(&field.ty).display)
        .collect();
    assert_eq!(
        displays,
        [Display::Hexadecimal, Display::Hexadecimal, Display::Decimal]
    );
}

#[test]
fn names_that_come_twice_are_numbered() {
    let Layout { fields, .. } = layout(&format(
        &["int a; offset:8; size:4;", "int a; offset:12; size:4;"],
        "",
    ))
    .unwrap();
    let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["a", "a_2"]);
}

#[test]
fn a_record_header_of_another_length_moves_the_payload() {
    let mut format = format(&["long a; offset:16; size:8; signed:1;"], "");
    format.common_len = 12;
    let Layout { spec, .. } = layout(&format).unwrap();
    assert_eq!((spec.payload_offset, spec.payload_len), (16, 8));
}

#[test]
fn records_that_cannot_be_are_refused() {
    let too_large = format(&["int a; offset:4294967295; size:4294967295;"], "");
    assert!(matches!(layout(&too_large), Err(LayoutError::TooLarge(_))));
    let many: Vec<String> = (0..=MAX_PIECES)
        .map(|i| format!("u8 f{i}; offset:{}; size:1;", 4000 - 8 * i))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(matches!(
        layout(&format(&many, "")),
        Err(LayoutError::TooManyPieces(count)) if count == MAX_PIECES + 1
    ));
}
