//! Code that decides whether an event is recorded, before space is reserved for it.
//!
//! It decides as [`Resolved::matches`](crate::probe::filter::Resolved::matches) would on the
//! recorded event. An event does not pass if its filter needs a value that cannot be read.

mod number;
mod pattern;
mod text;

use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::Result;
use aya_obj::generated::bpf_insn;
use tracer_common::CallEntry;

use crate::probe::fetch::FieldSource;
use crate::probe::filter::Condition;
use crate::record::attach::code::asm::{Code, Helper, Jump, Label, Op, Reg, Width};
use crate::record::attach::code::value::{Abi, CALL_ENTRY, CTX, RETURNED};

/// Offset of the values kept from an entry.
const KEPT: i16 = size_of::<CallEntry>() as i16;

/// The conditions on an event of one class.
#[derive(Clone, Copy, Debug)]
pub(in crate::record::attach) struct Question<'a> {
    /// What must be true of the thread.
    pub(in crate::record::attach) origin: Option<&'a Condition>,
    /// The array with the cgroup that the thread must be in.
    pub(in crate::record::attach) cgroup: Option<&'a OwnedFd>,
    /// What must be true of the event.
    pub(in crate::record::attach) condition: Option<&'a Condition>,
    /// Where a program finds the fields of the class, in their order.
    pub(in crate::record::attach) sources: &'a [FieldSource],
}

impl Question<'_> {
    /// Whether it depends on fields of the event, and not only on the thread.
    fn looks_at_fields(&self) -> bool {
        self.condition
            .is_some_and(|condition| !condition.fields().is_empty())
    }
}

/// Tables that generated code uses. They must stay open until the program is loaded.
#[derive(Debug, Default)]
pub(in crate::record::attach) struct Tables(Vec<OwnedFd>);

/// The function `fn(ctx, duration, entry) -> bool`: whether the event is recorded.
pub(in crate::record::attach) fn filter(
    question: Question<'_>,
    abi: Abi,
    tables: &mut Tables,
) -> Result<Vec<bpf_insn>> {
    let mut code = Code::default();
    if question.looks_at_fields() {
        code.op(Op::Move, CTX, Reg::R1);
        code.store(Width::Double, Reg::Frame, RETURNED, Reg::R2);
        code.store(Width::Double, Reg::Frame, CALL_ENTRY, Reg::R3);
    }
    let (wanted, refused) = (code.label(), code.label());
    let mut writer = Writer {
        code,
        abi,
        tables,
        refused,
    };
    writer.question(question, wanted)?;
    writer.finish(wanted)
}

/// The function `fn(regs, number, ret) -> bool`, which decides by the filter of that number.
/// Numbers count from `first`; no event passes a number without a filter.
pub(in crate::record::attach) fn syscall_filter(
    questions: &[Question<'_>],
    first: u32,
    tables: &mut Tables,
) -> Result<Vec<bpf_insn>> {
    numbered(questions, first, tables, Abi::Syscall, RETURNED)
}

/// As [`syscall_filter`], for whole system calls: `fn(values, number, call) -> bool`. The values
/// are the arguments, result and duration; `call` is what is kept of the call, where strings are.
pub(in crate::record::attach) fn call_filter(
    questions: &[Question<'_>],
    first: u32,
    tables: &mut Tables,
) -> Result<Vec<bpf_insn>> {
    numbered(questions, first, tables, Abi::Arguments, CALL_ENTRY)
}

/// Decides by the filter of the number in `R2`. `R1` is where values are, `R3` goes to the stack
/// at `third`.
fn numbered(
    questions: &[Question<'_>],
    first: u32,
    tables: &mut Tables,
    abi: Abi,
    third: i16,
) -> Result<Vec<bpf_insn>> {
    let mut code = Code::default();
    if questions.iter().any(Question::looks_at_fields) {
        code.op(Op::Move, CTX, Reg::R1);
        code.store(Width::Double, Reg::Frame, third, Reg::R3);
    }
    let (wanted, refused) = (code.label(), code.label());
    let labels: Vec<Label> = questions.iter().map(|_| code.label()).collect();
    for (number, label) in (first..).zip(&labels) {
        code.jump_if_imm(Jump::Equal, Reg::R2, number as i32, *label);
    }
    code.jump(refused);
    let mut writer = Writer {
        code,
        abi,
        tables,
        refused,
    };
    for (question, label) in questions.iter().zip(labels) {
        writer.code.place(label);
        writer.question(*question, wanted)?;
    }
    writer.finish(wanted)
}

struct Writer<'t> {
    code: Code,
    abi: Abi,
    tables: &'t mut Tables,
    /// Reached if the event is not recorded, whatever the other conditions.
    refused: Label,
}

impl Writer<'_> {
    fn question(&mut self, question: Question<'_>, wanted: Label) -> Result<()> {
        // The event first: most of its conditions need no call.
        if let Some(condition) = question.condition {
            self.all_of(condition, question.sources)?;
        }
        if let Some(cgroup) = question.cgroup {
            self.code.map(Reg::R1, cgroup.as_raw_fd());
            self.code.set(Reg::R2, 0);
            self.code.call(Helper::CurrentTaskUnderCgroup);
            self.code
                .jump_if_imm(Jump::NotEqual, Reg::R0, 1, self.refused);
        }
        if let Some(origin) = question.origin {
            self.all_of(origin, &[])?;
        }
        self.code.jump(wanted);
        Ok(())
    }

    /// Continues if the condition holds.
    fn all_of(&mut self, condition: &Condition, sources: &[FieldSource]) -> Result<()> {
        let next = self.code.label();
        self.condition(condition, sources, next, self.refused)?;
        self.code.place(next);
        Ok(())
    }

    fn finish(self, wanted: Label) -> Result<Vec<bpf_insn>> {
        let mut code = self.code;
        code.place(wanted);
        code.set(Reg::R0, 1);
        code.exit();
        code.place(self.refused);
        code.set(Reg::R0, 0);
        code.exit();
        Ok(code.finish()?)
    }

    /// Jumps to `yes` or to `no`.
    fn condition(
        &mut self,
        condition: &Condition,
        sources: &[FieldSource],
        yes: Label,
        no: Label,
    ) -> Result<()> {
        match condition {
            Condition::Any(parts) => self.row(parts, sources, |next| (yes, next), no),
            Condition::All(parts) => self.row(parts, sources, |next| (next, no), yes),
            Condition::Not(part) => self.condition(part, sources, no, yes),
            Condition::Number(test) => {
                self.number(test, sources, yes, no);
                Ok(())
            }
            Condition::Text(test) => self.text(test, sources, yes, no),
        }
    }

    /// Tests one part after the other. `ends` gives the targets for yes and no of a part, from
    /// the label of the next part. `last` follows the last part.
    fn row(
        &mut self,
        parts: &[Condition],
        sources: &[FieldSource],
        ends: impl Fn(Label) -> (Label, Label),
        last: Label,
    ) -> Result<()> {
        for part in parts {
            let next = self.code.label();
            let (yes, no) = ends(next);
            self.condition(part, sources, yes, no)?;
            self.code.place(next);
        }
        self.code.jump(last);
        Ok(())
    }

    /// `R1` = the address of what was kept from the entry; the values begin at [`KEPT`]. The
    /// event does not pass if nothing was kept, or if the value with the bit `fault` of the mask
    /// could not be read.
    fn kept(&mut self, fault: Option<u8>) {
        let code = &mut self.code;
        code.load(Width::Double, Reg::R1, Reg::Frame, CALL_ENTRY);
        code.jump_if_imm(Jump::Equal, Reg::R1, 0, self.refused);
        if let Some(bit) = fault {
            code.load(Width::Word, Reg::R0, Reg::R1, KEPT);
            code.set(Reg::R2, 1 << bit);
            code.jump_if(Jump::Bits, Reg::R0, Reg::R2, self.refused);
        }
    }
}
