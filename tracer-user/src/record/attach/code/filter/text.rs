//! Conditions on strings.

use anyhow::Result;
use tracer_common::MAX_STRING_LEN;

use crate::probe::fetch::{FieldSource, Load, MAX_FETCHED_STRING, Memory};
use crate::probe::filter::{TextCheck, TextSource, TextTest};
use crate::record::attach::code::asm::{Helper, Jump, Label, Op, Reg, Width};
use crate::record::attach::code::filter::pattern::simple_prefix;
use crate::record::attach::code::filter::{KEPT, Writer};
use crate::record::attach::code::value::{Abi, CTX, FREE};

/// Bytes of a string that are read at once.
const CHUNK: u32 = 64;
/// Where they are on the stack, followed by a NUL.
pub(super) const TEXT: i16 = FREE - 72;
/// Size of a thread's name (`TASK_COMM_LEN`).
const COMM_LEN: u32 = 16;

/// Holds the address of the string.
const STRING: Reg = Reg::R8;
/// Holds the number of bytes that are compared already.
pub(super) const SEEN: Reg = Reg::R7;

/// How a string is read.
#[derive(Clone, Copy)]
pub(super) enum TextReader {
    /// From the record of a tracepoint, or from what was kept from an entry.
    Record,
    /// From memory, at an address.
    Memory(Memory),
}

/// A string to compare.
pub(super) struct Text {
    /// How it is read; `None` if all of it is on the stack already.
    pub(super) memory: Option<TextReader>,
    /// Its maximum length in bytes.
    pub(super) len: u32,
}

impl Text {
    /// Bytes that are read at once: a divisor of the length, so that nothing after it is read.
    pub(super) fn chunk(&self) -> u32 {
        (1..=CHUNK)
            .rev()
            .find(|chunk| self.len.is_multiple_of(*chunk))
            .unwrap_or(1)
    }
}

impl Writer<'_> {
    /// Jumps to `yes` or to `no`.
    pub(super) fn text(
        &mut self,
        test: &TextTest,
        sources: &[FieldSource],
        yes: Label,
        no: Label,
    ) -> Result<()> {
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
    fn find_text(&mut self, test: &TextTest, sources: &[FieldSource]) -> Option<Text> {
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
            FieldSource::Fetch(fetch) => match fetch.load {
                Load::String { offset, memory } => {
                    code.address(self.abi, fetch, self.refused);
                    code.op(Op::Move, STRING, Reg::R0);
                    code.add(STRING, offset);
                    (TextReader::Memory(memory), self.longest())
                }
                Load::Bytes {
                    offset,
                    len,
                    memory,
                } => {
                    code.address(self.abi, fetch, self.refused);
                    code.op(Op::Move, STRING, Reg::R0);
                    code.add(STRING, offset);
                    (TextReader::Memory(memory), len)
                }
                Load::Itself | Load::AddressOf { .. } | Load::Number { .. } => return None,
            },
            &FieldSource::RecordText { offset, len } => {
                code.op(Op::Move, STRING, CTX);
                code.add(STRING, offset.into());
                (TextReader::Record, len)
            }
            &FieldSource::RecordString { offset, relative } => {
                code.load(Width::Word, Reg::R0, CTX, offset as i16);
                code.op_imm(Op::And, Reg::R0, 0xffff);
                code.op(Op::Move, STRING, CTX);
                code.op(Op::Add, STRING, Reg::R0);
                if relative {
                    code.add(STRING, i64::from(offset) + 4);
                }
                (TextReader::Record, MAX_STRING_LEN as u32)
            }
            &FieldSource::Kept { offset, len, fault } => {
                self.kept(fault);
                self.code.op(Op::Move, STRING, Reg::R1);
                self.code.add(STRING, i64::from(KEPT) + i64::from(offset));
                (TextReader::Record, len)
            }
            FieldSource::ComputedText { address, len } => {
                code.node(self.abi, address);
                code.op(Op::Move, STRING, Reg::R0);
                (TextReader::Record, *len)
            }
            FieldSource::RecordBits { .. } | FieldSource::Computed(_) | FieldSource::Nowhere => {
                return None;
            }
        };
        Some(Text {
            memory: Some(memory),
            len,
        })
    }

    /// The maximum length of a string in the event, without the terminator.
    fn longest(&self) -> u32 {
        let with_terminator = match self.abi {
            Abi::Syscall => MAX_STRING_LEN,
            _ => MAX_FETCHED_STRING,
        };
        with_terminator as u32 - 1
    }

    /// Jumps to `yes` if the text starts with these bytes and, if `whole`, ends after them; else
    /// to `no`.
    fn starts_with(&mut self, text: &Text, bytes: &[u8], whole: bool, yes: Label, no: Label) {
        let is_longer = bytes.len() > text.len as usize;
        if is_longer || (bytes.is_empty() && !whole) {
            // The result is known, but a text that cannot be read does not pass.
            let (known, other) = if is_longer { (no, yes) } else { (yes, no) };
            self.code.set(SEEN, 0);
            self.read(text, 1);
            // No helper returns this, but the kernel refuses unreachable code.
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

    /// Reads the next `len` bytes of the text, after [`SEEN`], and a NUL after them. `R0` is
    /// the number of bytes including the NUL.
    pub(super) fn read(&mut self, text: &Text, len: u32) {
        let Some(memory) = text.memory else {
            return;
        };
        let code = &mut self.code;
        code.op(Op::Move, Reg::R3, STRING);
        code.op(Op::Add, Reg::R3, SEEN);
        code.stack_address(Reg::R1, TEXT);
        code.set(Reg::R2, u64::from(len) + 1);
        match memory {
            TextReader::Record => code.call(Helper::ProbeReadKernelStr),
            TextReader::Memory(memory) => code.read_string(memory),
        }
        code.jump_if_imm(Jump::SignedLess, Reg::R0, 0, self.refused);
    }

    /// Jumps to `no` if the bytes that were read differ from these.
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
}
