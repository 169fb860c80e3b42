//! Conditions on numbers.

use crate::probe::fetch::{Base, Fetch, FieldSource, Load};
use crate::probe::filter::{NumberSource, NumberTest, Relation};
use crate::record::attach::code::asm::{Helper, Jump, Label, Op, Reg, Width};
use crate::record::attach::code::filter::{KEPT, Writer};

impl Writer<'_> {
    /// Jumps to `yes` or to `no`.
    pub(super) fn number(
        &mut self,
        test: &NumberTest,
        sources: &[FieldSource],
        yes: Label,
        no: Label,
    ) {
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
    fn load_number(&mut self, test: &NumberTest, sources: &[FieldSource]) {
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
                FieldSource::Fetch(fetch) => {
                    code.number(self.abi, fetch, test.ty.signed, self.refused);
                    // The upper bits of a register are undefined.
                    code.extend(Reg::R0, test.ty.size_bits.into(), test.ty.signed);
                }
                &FieldSource::RecordBits {
                    offset,
                    size,
                    shift,
                    bits,
                } => {
                    let fetch = Fetch {
                        base: Base::Record {
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
                &FieldSource::Kept { offset, len, fault } => {
                    self.kept(fault);
                    let width = Width::of(len).unwrap_or(Width::Double);
                    let code = &mut self.code;
                    code.load(width, Reg::R0, Reg::R1, KEPT + offset as i16);
                    code.extend(Reg::R0, test.ty.size_bits.into(), test.ty.signed);
                }
                FieldSource::Computed(node) => {
                    code.node(self.abi, node);
                    code.extend(Reg::R0, test.ty.size_bits.into(), test.ty.signed);
                }
                FieldSource::RecordText { .. }
                | FieldSource::RecordString { .. }
                | FieldSource::ComputedText { .. }
                | FieldSource::Nowhere => {
                    code.jump(self.refused);
                }
            },
        }
    }
}
