//! Matching strings with patterns, by automata.

use std::os::fd::AsRawFd;

use anyhow::{Context as _, Result};

use crate::names::glob::Automaton;
use crate::record::attach::code::asm::{Jump, Label, Op, Reg, Width};
use crate::record::attach::code::filter::Writer;
use crate::record::attach::code::filter::text::{SEEN, TEXT, Text};
use crate::sys::bpf;

/// Holds the states of the automaton.
const STATES: Reg = Reg::R9;

impl Writer<'_> {
    /// Jumps to `yes` if the whole text matches a pattern, else to `no`. The states of the
    /// pattern's automaton are the bits of one register.
    ///
    /// The loops end where the code falls through. The verifier takes that path first, so it
    /// keeps one path open at a time instead of one per byte.
    pub(super) fn matches(
        &mut self,
        text: &Text,
        pattern: &str,
        yes: Label,
        no: Label,
    ) -> Result<()> {
        let automaton = Automaton::new(pattern.as_bytes()).with_context(|| {
            format!("pattern `{pattern}` is too long: the maximum is 63 characters other than `*`")
        })?;
        let bytes: Vec<u8> = automaton
            .bytes
            .iter()
            .flat_map(|word| word.to_ne_bytes())
            .collect();
        let table = bpf::create_frozen(&bytes)
            .with_context(|| format!("cannot create the table of pattern `{pattern}`"))?;
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

/// The prefix of a pattern that is a literal prefix and a `*`.
pub(super) fn simple_prefix(pattern: &str) -> Option<&str> {
    pattern
        .strip_suffix('*')
        .filter(|prefix| !prefix.contains(['*', '?', '[']))
}
