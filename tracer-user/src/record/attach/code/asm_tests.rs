//! Instructions are encoded as the kernel's constants define.

use super::*;

/// Distances of the jumps of a function, by position.
fn distances(code: &[bpf_insn]) -> Vec<(usize, i16)> {
    let jumps = code.iter().enumerate().filter(|(_, insn)| insn.off != 0);
    jumps.map(|(at, insn)| (at, insn.off)).collect()
}

/// `count` instructions that do nothing.
fn pad(code: &mut Code, count: usize) {
    for _ in 0..count {
        code.op(Op::Move, Reg::R0, Reg::R0);
    }
}

#[test]
fn jumps_go_forward_and_back() {
    let mut code = Code::default();
    let (start, end) = (code.label(), code.label());
    code.place(start);
    pad(&mut code, 2);
    code.jump_if_imm(Jump::Equal, Reg::R0, 7, end);
    code.jump(start);
    pad(&mut code, 3);
    code.place(end);
    code.exit();
    let code = code.finish().unwrap();
    // Counted from the instruction after the jump.
    assert_eq!(distances(&code), [(2, 4), (3, -4)]);
    assert_eq!(code.len(), 8);
}

#[test]
fn a_label_can_be_used_often_and_a_jump_to_the_next_instruction_has_offset_0() {
    let mut code = Code::default();
    let end = code.label();
    for _ in 0..3 {
        code.jump(end);
    }
    code.place(end);
    code.exit();
    assert_eq!(distances(&code.finish().unwrap()), [(0, 2), (1, 1)]);
}

#[test]
fn wide_constants_take_two_instructions() {
    let mut code = Code::default();
    let end = code.label();
    code.jump(end);
    code.set(Reg::R3, 1 << 40 | 5);
    code.place(end);
    code.exit();
    let code = code.finish().unwrap();
    assert_eq!(distances(&code), [(0, 2)]);
    assert_eq!((code[1].imm, code[2].imm), (5, 1 << 8));
    assert_eq!((code[1].dst_reg(), code[2].code), (3, 0));
}

#[test]
fn sign_extended_constants_take_one_instruction() {
    for (value, len) in [
        (0, 1),
        (i32::MAX as u64, 1),
        (i32::MAX as u64 + 1, 2),
        (u32::MAX.into(), 2),
        (u64::MAX, 1),
        (i32::MIN as u64, 1),
        (i64::MIN as u64, 2),
    ] {
        let mut code = Code::default();
        code.set(Reg::R1, value);
        let code = code.finish().unwrap();
        assert_eq!(code.len(), len, "{value:#x}");
        let low = u64::from(code[0].imm as u32);
        let found = match code.get(1) {
            Some(second) => low | u64::from(second.imm as u32) << 32,
            None => i64::from(code[0].imm) as u64,
        };
        assert_eq!(found, value);
    }
}

#[test]
fn a_jump_that_is_too_long_is_refused() {
    let jump_over = |count| {
        let mut code = Code::default();
        let end = code.label();
        code.jump(end);
        pad(&mut code, count);
        code.place(end);
        code.exit();
        code.finish().map(|code| code.len())
    };
    assert_eq!(jump_over(32_767).unwrap(), 32_769);
    let error = jump_over(32_768).unwrap_err().to_string();
    assert!(error.contains("a jump over 32769 instructions"), "{error}");
}

#[test]
fn labels_know_whether_a_jump_goes_there() {
    let mut code = Code::default();
    let (used, unused) = (code.label(), code.label());
    assert!(!code.is_used(used));
    code.jump(used);
    assert!(code.is_used(used) && !code.is_used(unused));
}

#[test]
fn operands_are_encoded_in_their_fields() {
    let mut code = Code::default();
    code.store(Width::Half, Reg::Frame, -6, Reg::R9);
    code.load(Width::Byte, Reg::R1, Reg::R2, 300);
    code.store_imm(Width::Word, Reg::R7, 8, -1);
    code.call(Helper::ProbeReadUserStr);
    code.jump_if(Jump::SignedLess, Reg::R4, Reg::R5, Label(0));
    let parts = |insn: &bpf_insn| {
        (
            insn.code,
            insn.dst_reg(),
            insn.src_reg(),
            insn.off,
            insn.imm,
        )
    };
    let written: Vec<_> = code.instructions.iter().map(parts).collect();
    let expected = [
        // *(u16 *)(r10 - 6) = r9
        (0x6b, 10, 9, -6, 0),
        // r1 = *(u8 *)(r2 + 300)
        (0x71, 1, 2, 300, 0),
        // *(u32 *)(r7 + 8) = -1
        (0x62, 7, 0, 8, -1),
        // call bpf_probe_read_user_str
        (0x85, 0, 0, 0, 114),
        // if r4 s< r5
        (0xcd, 4, 5, 0, 0),
    ];
    assert_eq!(written, expected);
}

#[test]
fn extending_a_whole_register_takes_no_instruction() {
    let extend = |bits, signed| {
        let mut code = Code::default();
        code.extend(Reg::R0, bits, signed);
        let shifts = code.instructions.iter().map(|insn| (insn.code, insn.imm));
        shifts.collect::<Vec<_>>()
    };
    assert_eq!(extend(64, true), []);
    // r0 <<= 56; r0 s>>= 56, or without the sign.
    assert_eq!(extend(8, true), [(0x67, 56), (0xc7, 56)]);
    assert_eq!(extend(3, false), [(0x67, 61), (0x77, 61)]);
}
