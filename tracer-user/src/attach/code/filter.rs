//! Code that decides whether an event is wanted, before anything is reserved for it.
//!
//! What it decides is what [`Resolved::matches`](crate::filter::Resolved::matches) says of
//! the event that would be recorded: a value that cannot be read is neither equal to
//! anything nor different from it, and a filter that has to look at one does not hold.

use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context as _, Result};
use aya_obj::generated::bpf_insn;
use tracer_common::{CallEntry, MAX_STRING_LEN};

use super::{
    asm::{Code, Helper, Jump, Label, Op, Reg, Width},
    value::{Abi, CALL_ENTRY, CTX, FREE, RETURNED},
};
use crate::{
    fetch::{Load, Memory, Source},
    filter::{Condition, NumberSource, NumberTest, Relation, TextCheck, TextSource, TextTest},
    names::glob::Automaton,
    sys::bpf,
};

/// Bytes of a string that are looked at in one go.
const CHUNK: u32 = 64;
/// Where they are, with a NUL behind them, on the stack.
const TEXT: i16 = FREE - 72;
/// Where the values of an entry are, from its address.
const KEPT: i16 = size_of::<CallEntry>() as i16;
/// Bytes of the name of a thread (`TASK_COMM_LEN`).
const COMM_LEN: u32 = 16;

/// Address of the string that is looked at.
const STRING: Reg = Reg::R8;
/// States of the automaton of a pattern.
const STATES: Reg = Reg::R9;
/// Bytes of the string that have been looked at.
const SEEN: Reg = Reg::R7;

/// What is asked of an event of one class.
#[derive(Clone, Copy, Debug)]
pub(in crate::attach) struct Question<'a> {
    /// What has to be true of the thread.
    pub(in crate::attach) origin: Option<&'a Condition>,
    /// The array of the cgroup that it has to be in.
    pub(in crate::attach) cgroup: Option<&'a OwnedFd>,
    /// What has to be true of the event.
    pub(in crate::attach) condition: Option<&'a Condition>,
    /// Where the class's fields are, in their order.
    pub(in crate::attach) sources: &'a [Source],
}

impl Question<'_> {
    /// Every event is wanted.
    pub(in crate::attach) fn is_trivial(&self) -> bool {
        self.origin.is_none() && self.cgroup.is_none() && self.condition.is_none()
    }
}

/// Tables that generated code looks things up in; they have to live until the programs are
/// loaded.
#[derive(Debug, Default)]
pub(in crate::attach) struct Tables(Vec<OwnedFd>);

/// The function `fn(ctx, duration, entry) -> wanted`.
pub(in crate::attach) fn filter(
    question: Question<'_>,
    abi: Abi,
    tables: &mut Tables,
) -> Result<Vec<bpf_insn>> {
    let mut code = Code::default();
    code.op(Op::Move, CTX, Reg::R1);
    code.store(Width::Double, Reg::Frame, RETURNED, Reg::R2);
    code.store(Width::Double, Reg::Frame, CALL_ENTRY, Reg::R3);
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

/// The function `fn(regs, number, ret) -> wanted`, which asks the question of that number.
/// Numbers count from `first`; a question of another number is answered by no.
pub(in crate::attach) fn syscall_filter(
    questions: &[Question<'_>],
    first: u32,
    tables: &mut Tables,
) -> Result<Vec<bpf_insn>> {
    let mut code = Code::default();
    code.op(Op::Move, CTX, Reg::R1);
    code.store(Width::Double, Reg::Frame, RETURNED, Reg::R3);
    let (wanted, refused) = (code.label(), code.label());
    let labels: Vec<Label> = questions.iter().map(|_| code.label()).collect();
    for (number, label) in (first..).zip(&labels) {
        code.jump_if_imm(Jump::Equal, Reg::R2, number as i32, *label);
    }
    code.jump(refused);
    let mut writer = Writer {
        code,
        abi: Abi::Syscall,
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
    /// Where the answer is no, whatever else is asked.
    refused: Label,
}

impl Writer<'_> {
    fn question(&mut self, question: Question<'_>, wanted: Label) -> Result<()> {
        // The event first: that takes no call, in most cases.
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

    /// Goes on if the condition holds.
    fn all_of(&mut self, condition: &Condition, sources: &[Source]) -> Result<()> {
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

    /// Goes to `yes` or to `no`.
    fn condition(
        &mut self,
        condition: &Condition,
        sources: &[Source],
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

    /// Asks one part after the other: `ends` says where the answers of one lead, given the
    /// place of the next. Behind the last is `last`.
    fn row(
        &mut self,
        parts: &[Condition],
        sources: &[Source],
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

    fn number(&mut self, test: &NumberTest, sources: &[Source], yes: Label, no: Label) {
        self.load_number(test, sources);
        let code = &mut self.code;
        if let Some(mask) = test.mask {
            code.set(Reg::R1, mask);
            code.op(Op::And, Reg::R0, Reg::R1);
        }
        let jump = match (test.relation, test.is_signed()) {
            (Relation::Equal, _) => Jump::Equal,
            (Relation::NotEqual, _) => Jump::NotEqual,
            (Relation::Less, false) => Jump::Less,
            (Relation::LessOrEqual, false) => Jump::LessOrEqual,
            (Relation::Greater, false) => Jump::Greater,
            (Relation::GreaterOrEqual, false) => Jump::GreaterOrEqual,
            (Relation::Less, true) => Jump::SignedLess,
            (Relation::LessOrEqual, true) => Jump::SignedLessOrEqual,
            (Relation::Greater, true) => Jump::SignedGreater,
            (Relation::GreaterOrEqual, true) => Jump::SignedGreaterOrEqual,
        };
        if let Ok(value) = i32::try_from(test.value as i64) {
            code.jump_if_imm(jump, Reg::R0, value, yes);
        } else {
            code.set(Reg::R1, test.value);
            code.jump_if(jump, Reg::R0, Reg::R1, yes);
        }
        code.jump(no);
    }

    /// `R0` = the number, extended to 64 bits.
    fn load_number(&mut self, test: &NumberTest, sources: &[Source]) {
        let code = &mut self.code;
        match &test.source {
            NumberSource::Tid => {
                code.call(Helper::GetCurrentPidTgid);
                code.extend(Reg::R0, 32, false);
            }
            NumberSource::Pid => {
                code.call(Helper::GetCurrentPidTgid);
                code.op_imm(Op::ShiftRight, Reg::R0, 32);
            }
            NumberSource::Cpu => code.call(Helper::GetSmpProcessorId),
            NumberSource::Uid => {
                code.call(Helper::GetCurrentUidGid);
                code.extend(Reg::R0, 32, false);
            }
            NumberSource::Cgroup => code.call(Helper::GetCurrentCgroupId),
            NumberSource::Field { index, .. } => match &sources[*index] {
                Source::Fetch(fetch) => {
                    code.number(self.abi, fetch, test.ty.signed, self.refused);
                    // Registers may have anything above the value.
                    code.extend(Reg::R0, test.ty.size_bits.into(), test.ty.signed);
                }
                &Source::RecordBits {
                    offset,
                    size,
                    shift,
                    bits,
                } => {
                    let fetch = crate::fetch::Fetch {
                        base: crate::fetch::Base::Record {
                            offset,
                            size,
                            signed: false,
                        },
                        steps: Vec::new(),
                        load: Load::Itself,
                    };
                    code.number(self.abi, &fetch, false, self.refused);
                    code.op_imm(Op::ShiftRight, Reg::R0, shift.into());
                    code.extend(Reg::R0, bits.into(), test.ty.signed);
                }
                &Source::Kept { offset, len, fault } => {
                    self.kept(fault);
                    let width = Width::of(len).unwrap_or(Width::Double);
                    let code = &mut self.code;
                    code.load(width, Reg::R0, Reg::R1, KEPT + offset as i16);
                    code.extend(Reg::R0, test.ty.size_bits.into(), test.ty.signed);
                }
                Source::RecordText { .. } | Source::RecordString { .. } | Source::Nowhere => {
                    code.jump(self.refused);
                }
            },
        }
    }

    /// `R1` = the address of what was kept from the entry, whose values begin at [`KEPT`].
    /// Refuses where nothing was, or where the value could not be read that has the bit
    /// `fault` of their mask.
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

    fn text(&mut self, test: &TextTest, sources: &[Source], yes: Label, no: Label) -> Result<()> {
        let Some(found) = self.find_text(test, sources) else {
            self.code.jump(self.refused);
            return Ok(());
        };
        match &test.check {
            TextCheck::Equal(wanted) => self.starts_with(&found, wanted.as_bytes(), true, yes, no),
            TextCheck::NotEqual(refused) => {
                self.starts_with(&found, refused.as_bytes(), true, no, yes);
            }
            TextCheck::Glob(pattern) => match simple_prefix(pattern) {
                Some(prefix) => self.starts_with(&found, prefix.as_bytes(), false, yes, no),
                None => self.matches(&found, pattern, yes, no)?,
            },
        }
        Ok(())
    }

    /// `STRING` = the address of the text.
    fn find_text(&mut self, test: &TextTest, sources: &[Source]) -> Option<Text> {
        let code = &mut self.code;
        let index = match &test.source {
            TextSource::Comm => {
                code.stack_address(Reg::R1, TEXT);
                code.set(Reg::R2, COMM_LEN.into());
                code.call(Helper::GetCurrentComm);
                return Some(Text {
                    memory: None,
                    len: COMM_LEN,
                });
            }
            TextSource::Field { index, .. } => *index,
        };
        let (memory, len) = match &sources[index] {
            Source::Fetch(fetch) => match fetch.load {
                Load::String { offset, memory } => {
                    code.address(self.abi, fetch, self.refused);
                    code.op(Op::Move, STRING, Reg::R0);
                    code.add(STRING, offset);
                    (Place::Memory(memory), self.longest())
                }
                Load::Bytes {
                    offset,
                    len,
                    memory,
                } => {
                    code.address(self.abi, fetch, self.refused);
                    code.op(Op::Move, STRING, Reg::R0);
                    code.add(STRING, offset);
                    (Place::Memory(memory), len)
                }
                Load::Itself | Load::AddressOf { .. } | Load::Number { .. } => return None,
            },
            &Source::RecordText { offset, len } => {
                code.op(Op::Move, STRING, CTX);
                code.add(STRING, offset.into());
                (Place::Record, len)
            }
            &Source::RecordString { offset, relative } => {
                code.load(Width::Word, Reg::R0, CTX, offset as i16);
                code.op_imm(Op::And, Reg::R0, 0xffff);
                code.op(Op::Move, STRING, CTX);
                code.op(Op::Add, STRING, Reg::R0);
                if relative {
                    code.add(STRING, i64::from(offset) + 4);
                }
                (Place::Record, MAX_STRING_LEN as u32)
            }
            &Source::Kept { offset, len, fault } => {
                self.kept(fault);
                self.code.op(Op::Move, STRING, Reg::R1);
                self.code.add(STRING, i64::from(KEPT) + i64::from(offset));
                (Place::Record, len)
            }
            Source::RecordBits { .. } | Source::Nowhere => return None,
        };
        Some(Text {
            memory: Some(memory),
            len,
        })
    }

    /// The most bytes of a string that the event would have, without a terminator.
    fn longest(&self) -> u32 {
        let with_terminator = match self.abi {
            Abi::Syscall => MAX_STRING_LEN,
            _ => crate::fetch::MAX_FETCHED_STRING,
        };
        with_terminator as u32 - 1
    }

    /// Goes to `yes` if the text starts with these bytes, and, if they are to be `whole`, ends
    /// behind them.
    fn starts_with(&mut self, text: &Text, bytes: &[u8], whole: bool, yes: Label, no: Label) {
        let is_longer = bytes.len() > text.len as usize;
        if is_longer || (bytes.is_empty() && !whole) {
            // The answer is known; but a text that cannot be read is refused all the same.
            let (known, other) = if is_longer { (no, yes) } else { (yes, no) };
            self.code.set(SEEN, 0);
            self.read(text, 1);
            // No helper returns this. The kernel refuses code that no jump leads to.
            self.code.jump_if_imm(Jump::Equal, Reg::R0, i32::MAX, other);
            self.code.jump(known);
            return;
        }
        let mut bytes = bytes.to_vec();
        if whole && bytes.len() < text.len as usize {
            bytes.push(0);
        }
        for (number, chunk) in (0..).zip(bytes.chunks(CHUNK as usize)) {
            if text.memory.is_some() {
                self.code.set(SEEN, u64::from(number * CHUNK));
                self.read(text, chunk.len() as u32);
            }
            self.compare(chunk, no);
        }
        self.code.jump(yes);
    }

    /// Reads `len` bytes of the text behind those that have been seen, and a NUL behind them.
    /// `R0` has the number of bytes up to and with the NUL.
    fn read(&mut self, text: &Text, len: u32) {
        let Some(memory) = text.memory else {
            return;
        };
        let code = &mut self.code;
        code.op(Op::Move, Reg::R3, STRING);
        code.op(Op::Add, Reg::R3, SEEN);
        code.stack_address(Reg::R1, TEXT);
        code.set(Reg::R2, u64::from(len) + 1);
        match memory {
            Place::Record => code.call(Helper::ProbeReadKernelStr),
            Place::Memory(memory) => code.read_string(memory),
        }
        code.jump_if_imm(Jump::SignedLess, Reg::R0, 0, self.refused);
    }

    /// Goes to `no` if what was read differs from these bytes.
    fn compare(&mut self, bytes: &[u8], no: Label) {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let width = [Width::Double, Width::Word, Width::Half, Width::Byte]
                .into_iter()
                .find(|width| width.bytes() as usize <= rest.len())
                .unwrap_or(Width::Byte);
            let mut word = [0; 8];
            word[..width.bytes() as usize].copy_from_slice(&rest[..width.bytes() as usize]);
            let code = &mut self.code;
            code.load(width, Reg::R0, Reg::Frame, TEXT + at as i16);
            code.set(Reg::R1, u64::from_le_bytes(word));
            code.jump_if(Jump::NotEqual, Reg::R0, Reg::R1, no);
            at += width.bytes() as usize;
        }
    }

    /// Goes to `yes` if the whole text matches a pattern: the states of its automaton are the
    /// bits of one register.
    ///
    /// The ends of the loops are where the code falls through, so that the verifier looks at
    /// them first, once, and keeps one open way at a time instead of one for each byte.
    fn matches(&mut self, text: &Text, pattern: &str, yes: Label, no: Label) -> Result<()> {
        let automaton = Automaton::new(pattern.as_bytes()).with_context(|| {
            format!("the pattern `{pattern}` is too long: at most 63 characters beside `*`")
        })?;
        let bytes: Vec<u8> = automaton
            .bytes
            .iter()
            .flat_map(|word| word.to_ne_bytes())
            .collect();
        let table = bpf::create_frozen(&bytes).context("cannot create the table of a pattern")?;
        let chunk = text.chunk();
        let code = &mut self.code;
        code.set(STATES, 1);
        code.set(SEEN, 0);
        let (next_chunk, next_byte, end) = (code.label(), code.label(), code.label());
        code.place(next_chunk);
        self.read(text, chunk);
        let code = &mut self.code;
        code.set(Reg::R5, 0);
        code.place(next_byte);
        let not_end = code.label();
        code.stack_address(Reg::R2, TEXT);
        code.op(Op::Add, Reg::R2, Reg::R5);
        code.load(Width::Byte, Reg::R3, Reg::R2, 0);
        code.jump_if_imm(Jump::NotEqual, Reg::R3, 0, not_end);
        code.jump(end);
        code.place(not_end);
        code.op_imm(Op::ShiftLeft, Reg::R3, 3);
        code.map_value(Reg::R4, table.as_raw_fd(), 0);
        code.op(Op::Add, Reg::R4, Reg::R3);
        code.load(Width::Double, Reg::R4, Reg::R4, 0);
        code.op(Op::And, Reg::R4, STATES);
        code.op_imm(Op::ShiftLeft, Reg::R4, 1);
        code.set(Reg::R0, automaton.stars);
        code.op(Op::And, STATES, Reg::R0);
        code.op(Op::Or, STATES, Reg::R4);
        code.op_imm(Op::Add, Reg::R5, 1);
        code.jump_if_imm(Jump::Less, Reg::R5, chunk as i32, next_byte);
        if text.memory.is_some() && chunk < text.len {
            code.op_imm(Op::Add, SEEN, chunk as i32);
            code.jump_if_imm(Jump::Less, SEEN, text.len as i32, next_chunk);
        }
        code.place(end);
        code.set(Reg::R0, 1 << automaton.last);
        code.jump_if(Jump::Bits, STATES, Reg::R0, yes);
        code.jump(no);
        self.tables.0.push(table);
        Ok(())
    }
}

/// Where a string is.
#[derive(Clone, Copy)]
enum Place {
    /// In the record of a tracepoint, or in what was kept from an entry.
    Record,
    /// Behind an address.
    Memory(Memory),
}

/// A string that is looked at.
struct Text {
    /// Where it is; none: it is on the stack, all of it.
    memory: Option<Place>,
    /// The most bytes that it has.
    len: u32,
}

impl Text {
    /// Bytes that are read in one go: a divisor of its length, so that nothing behind it is.
    fn chunk(&self) -> u32 {
        (1..=CHUNK)
            .rev()
            .find(|chunk| self.len.is_multiple_of(*chunk))
            .unwrap_or(1)
    }
}

/// What a pattern begins with, if it is that and a `*`.
fn simple_prefix(pattern: &str) -> Option<&str> {
    pattern
        .strip_suffix('*')
        .filter(|prefix| !prefix.contains(['*', '?', '[']))
}
