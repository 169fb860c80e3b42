//! Generated code: what it stores where, and that all of its jumps stay inside.

use aya_obj::generated::{BPF_JMP, BPF_ST, BPF_STX, bpf_insn};

use crate::probe::fetch::{
    Base, ContextField, Fetch, Fetched, FieldSource, Layout, Load, MAX_FETCHED, Memory,
};
use crate::probe::filter::{Condition, Filter};
use crate::record::attach::code::{Abi, Question, Tables, context, filter, syscall_filter};
use crate::trace::event::{Display, EventClass, Field, FieldType, IntegerType};

const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

fn number(name: &str, bytes: u16) -> Field {
    Field {
        name: name.into(),
        ty: FieldType::Integer(IntegerType::natural(bytes, true, Display::Decimal)),
    }
}

fn fetched(field: Field, base: Base, load: Load) -> Fetched {
    let fetch = Fetch {
        base,
        steps: Vec::new(),
        load,
    };
    Fetched { field, fetch }
}

fn in_memory(field: Field) -> Fetched {
    let load = Load::Number {
        offset: 8,
        size: 4,
        bits: None,
        memory: Memory::Kernel,
    };
    fetched(field, Base::Argument(0), load)
}

fn string(name: &str) -> Fetched {
    let field = Field {
        name: name.into(),
        ty: FieldType::String,
    };
    let load = Load::String {
        offset: 0,
        memory: Memory::User,
    };
    fetched(field, Base::Argument(1), load)
}

/// Offsets from the payload, in `R7`, that the code stores to, in order.
fn stores(code: &[bpf_insn]) -> Vec<i16> {
    let class = |insn: &bpf_insn| u32::from(insn.code) & 7;
    let of_payload = code
        .iter()
        .filter(|insn| [BPF_ST, BPF_STX].contains(&class(insn)) && insn.dst_reg() == 7);
    of_payload.map(|insn| insn.off).collect()
}

/// All jumps lead to an instruction of the code, and the last instruction is an exit.
fn assert_closed(code: &[bpf_insn]) {
    assert_eq!(code.last().map(|insn| insn.code), Some(EXIT));
    for (at, insn) in code.iter().enumerate() {
        let jumps = u32::from(insn.code) & 7 == BPF_JMP && ![CALL, EXIT].contains(&insn.code);
        let target = at as i64 + 1 + i64::from(insn.off);
        assert!(
            !jumps || (0..code.len() as i64).contains(&target),
            "instruction {at}"
        );
    }
}

#[test]
fn values_are_stored_at_their_offsets() {
    let values = [
        fetched(number("a", 1), Base::Argument(0), Load::Itself),
        fetched(number("b", 8), Base::Argument(5), Load::Itself),
        fetched(number("c", 2), Base::Argument(2), Load::Itself),
    ];
    let layout = Layout::new(&values);
    for abi in [Abi::Registers, Abi::UserRegisters, Abi::Arguments] {
        let code = layout.code(abi).unwrap();
        assert_closed(&code);
        assert_eq!(stores(&code), [0, 8, 16]);
    }
}

#[test]
fn values_that_cannot_be_read_are_zeroed_and_marked() {
    let layout = Layout::new(&[in_memory(number("a", 4)), in_memory(number("b", 8))]);
    let code = layout.code(Abi::Registers).unwrap();
    assert_closed(&code);
    // The mask is cleared; then each value, or zero and the mask again.
    assert_eq!(stores(&code), [0, 4, 4, 0, 8, 8, 0]);
}

#[test]
fn one_value_per_bit_of_the_mask_can_be_fetched() {
    let strings: Vec<Fetched> = (0..MAX_FETCHED).map(|n| string(&n.to_string())).collect();
    assert_closed(&Layout::new(&strings).code(Abi::UserRegisters).unwrap());
}

#[test]
fn contexts_are_padded_up_to_the_payload() {
    let named = |name: &str| {
        let context = ContextField::named(name, || unreachable!("no types needed"));
        context.unwrap().unwrap()
    };
    let contexts = [named("cgroup"), named("uid"), named("comm")];
    let code = context(&contexts).unwrap();
    assert_closed(&code);
    // A helper writes the name, from 12 to 28; the rest is zeroed.
    assert_eq!(stores(&code), [0, 8, 28, 29, 30, 31]);
}

/// A class with a number in the record and a string in user space.
fn class() -> (EventClass, Vec<FieldSource>) {
    let value = fetched(number("n", 4), Base::Argument(0), Load::Itself);
    let text = string("s");
    let class = EventClass {
        id: 1,
        name: "test:test".into(),
        context: Vec::new(),
        fields: vec![value.field, text.field],
    };
    (
        class,
        vec![
            FieldSource::Fetch(value.fetch),
            FieldSource::Fetch(text.fetch),
        ],
    )
}

fn code_of(text: &str) -> Vec<bpf_insn> {
    let (class, sources) = class();
    let condition = Filter::parse(text).unwrap().condition_of(&class).unwrap();
    let question = Question {
        origin: None,
        cgroup: None,
        condition: Some(&condition),
        sources: &sources,
    };
    let code = filter(question, Abi::Registers, &mut Tables::default()).unwrap();
    assert_closed(&code);
    code
}

#[test]
fn jumps_of_all_conditions_stay_inside() {
    for text in [
        "n == 1",
        "!(n < -1 || n >= 5) && n & 2",
        "(n & 3) == 1 || s == 'a' || s ~ 'b*' && !(s != '')",
        "comm == 'x' || pid == 1 || tid == 2 || cpu == 0 || uid == 5 || cgroup == 7",
    ] {
        assert!(!code_of(text).is_empty(), "{text}");
    }
}

#[test]
fn only_filters_of_fields_save_the_context() {
    let keeps = |text| code_of(text).iter().any(|insn| insn.dst_reg() == 6);
    assert!(keeps("n == 1 || tid == 2"));
    assert!(!keeps("tid == 2 && comm != 'x'"));
}

/// Instructions that call a helper.
fn calls(code: &[bpf_insn]) -> usize {
    code.iter().filter(|insn| insn.code == CALL).count()
}

#[test]
fn strings_are_read_in_chunks_as_far_as_they_are_compared() {
    let equal = |len: usize| calls(&code_of(&format!("s == '{}'", "x".repeat(len))));
    // The terminator is compared, too.
    assert_eq!(
        [equal(0), equal(63), equal(64), equal(127), equal(128)],
        [1, 1, 2, 2, 3]
    );
    let begins = |len: usize| calls(&code_of(&format!("s ~ '{}*'", "x".repeat(len))));
    assert_eq!([begins(64), begins(65)], [1, 2]);
}

#[test]
fn constants_longer_than_any_string_are_not_compared() {
    let equal = |len: usize| calls(&code_of(&format!("s == '{}'", "x".repeat(len))));
    // Fetched strings have at most 255 bytes.
    assert_eq!([equal(255), equal(256), equal(5000)], [4, 1, 1]);
}

/// The kernel refuses unreachable code.
#[test]
fn all_code_can_be_reached() {
    let long = "x".repeat(300);
    for text in [
        "s ~ '*'".to_owned(),
        "!(s ~ '*') && n == 1".to_owned(),
        "n == 1 || comm ~ '*'".to_owned(),
        format!("s == '{long}'"),
        format!("s != '{long}' && n == 1"),
        format!("comm ~ '{long}*' || n == 1"),
    ] {
        let code = code_of(&text);
        let mut reached = vec![false; code.len()];
        let mut open = vec![0];
        while let Some(at) = open.pop() {
            if std::mem::replace(&mut reached[at], true) {
                continue;
            }
            let insn = &code[at];
            let jumps = u32::from(insn.code) & 7 == BPF_JMP && ![CALL, EXIT].contains(&insn.code);
            if jumps {
                open.push((at as i64 + 1 + i64::from(insn.off)) as usize);
            }
            let always = jumps && u32::from(insn.code) & 0xf0 == 0;
            if !always && insn.code != EXIT {
                open.push(at + 1);
            }
        }
        assert_eq!(reached.iter().position(|reached| !reached), None, "{text}");
    }
}

#[test]
fn numbers_of_filters_count_from_the_first() {
    let (class, sources) = class();
    let conditions: Vec<Condition> = ["n == 1", "n == 2"]
        .iter()
        .map(|text| Filter::parse(text).unwrap().condition_of(&class).unwrap())
        .collect();
    let questions: Vec<Question<'_>> = conditions
        .iter()
        .map(|condition| Question {
            origin: None,
            cgroup: None,
            condition: Some(condition),
            sources: &sources,
        })
        .collect();
    for first in [0, 1] {
        let code = syscall_filter(&questions, first, &mut Tables::default()).unwrap();
        assert_closed(&code);
        // Jumps by the number in `R2`.
        let numbers: Vec<i32> = code
            .iter()
            .filter(|i| i.code == 0x15 && i.dst_reg() == 2)
            .map(|i| i.imm)
            .collect();
        assert_eq!(numbers, [first as i32, first as i32 + 1]);
    }
}
