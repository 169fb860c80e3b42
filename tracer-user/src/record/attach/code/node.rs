//! Computing a number of a recipe.

use crate::probe::recipes::{Binary, Current, Node, Unary};
use crate::record::attach::code::asm::{Code, Helper, Jump, Op, Reg, Width};
use crate::record::attach::code::value::{Abi, CTX, FREE, WORD};

/// How a number is loaded.
struct Number {
    width: Width,
    signed: bool,
    /// Shift and width of a bit-field.
    bits: Option<(u8, u8)>,
}

impl Code {
    /// `R0` = the number. The context of the program is in [`CTX`].
    pub(super) fn node(&mut self, abi: Abi, node: &Node) {
        Evaluation {
            code: self,
            abi,
            kept: 0,
        }
        .node(node);
    }
}

struct Evaluation<'c> {
    code: &'c mut Code,
    abi: Abi,
    /// Intermediate results on the stack.
    kept: i16,
}

impl Evaluation<'_> {
    fn node(&mut self, node: &Node) {
        match node {
            Node::Constant(value) => self.code.set(Reg::R0, *value as u64),
            &Node::Argument {
                index,
                bits,
                signed,
            } => {
                let offset = i16::from(index) * 8;
                self.code.load(Width::Double, Reg::R0, CTX, offset);
                // The kernel passes narrow arguments without their sign.
                if signed {
                    self.code.extend(Reg::R0, bits.into(), true);
                }
            }
            Node::Current(current) => self.current(*current),
            Node::Load {
                address,
                offset,
                size,
                signed,
                bits,
                typed,
            } => {
                self.node(address);
                let number = Number {
                    width: Width::of((*size).into()).unwrap_or(Width::Double),
                    signed: *signed,
                    bits: *bits,
                };
                self.load(*offset, &number, *typed);
            }
            Node::Unary(operator, of) => {
                self.node(of);
                match operator {
                    Unary::Negate => self.code.op_imm(Op::Multiply, Reg::R0, -1),
                    Unary::Invert => self.code.op_imm(Op::Xor, Reg::R0, -1),
                    Unary::Not => self.truth(Jump::Equal),
                }
            }
            Node::Binary {
                operator: operator @ (Binary::Both | Binary::Either),
                left,
                right,
                ..
            } => self.logical(*operator, left, right),
            Node::Binary {
                operator,
                left,
                right,
                unsigned,
            } => self.binary(*operator, left, right, *unsigned),
            Node::Cut { of, bits, signed } => {
                self.node(of);
                self.code.extend(Reg::R0, (*bits).into(), *signed);
            }
            Node::If {
                condition,
                then,
                otherwise,
            } => {
                let (no, done) = (self.code.label(), self.code.label());
                self.node(condition);
                self.code.jump_if_imm(Jump::Equal, Reg::R0, 0, no);
                self.node(then);
                self.code.jump(done);
                self.code.place(no);
                self.node(otherwise);
                self.code.place(done);
            }
        }
    }

    fn current(&mut self, current: Current) {
        let code = &mut *self.code;
        match current {
            Current::Tid => {
                code.call(Helper::GetCurrentPidTgid);
                code.extend(Reg::R0, 32, false);
            }
            Current::Pid => {
                code.call(Helper::GetCurrentPidTgid);
                code.op_imm(Op::ShiftRight, Reg::R0, 32);
            }
            Current::Cpu => code.call(Helper::GetSmpProcessorId),
            Current::Task => code.call(Helper::GetCurrentTask),
            Current::Jiffies => code.call(Helper::Jiffies64),
        }
    }

    /// `R0` = the number at the address `R0 + offset`; 0 if it cannot be read.
    fn load(&mut self, offset: i64, number: &Number, typed: bool) {
        let code = &mut *self.code;
        match i16::try_from(offset) {
            Ok(offset) if typed && self.abi == Abi::TypedArguments => {
                code.load(number.width, Reg::R0, Reg::R0, offset);
            }
            _ => {
                code.op(Op::Move, Reg::R3, Reg::R0);
                code.add(Reg::R3, offset);
                code.stack_address(Reg::R1, WORD);
                code.set(Reg::R2, number.width.bytes().into());
                // The helper writes zeroes if it cannot read.
                code.call(Helper::ProbeReadKernel);
                code.load(number.width, Reg::R0, Reg::Frame, WORD);
            }
        }
        match number.bits {
            Some((shift, width)) => {
                code.op_imm(Op::ShiftRight, Reg::R0, shift.into());
                code.extend(Reg::R0, width.into(), number.signed);
            }
            None if number.signed => code.extend(Reg::R0, number.width.bytes() * 8, true),
            None => {}
        }
    }

    fn binary(&mut self, operator: Binary, left: &Node, right: &Node, unsigned: bool) {
        self.node(left);
        let constant = match right {
            Node::Constant(value) => i32::try_from(*value).ok(),
            _ => None,
        };
        if constant.is_none() {
            let slot = FREE - 8 * (self.kept + 1);
            self.code.store(Width::Double, Reg::Frame, slot, Reg::R0);
            self.kept += 1;
            self.node(right);
            self.kept -= 1;
            self.code.op(Op::Move, Reg::R1, Reg::R0);
            self.code.load(Width::Double, Reg::R0, Reg::Frame, slot);
        }
        let op = match operator {
            Binary::Multiply => Op::Multiply,
            Binary::Divide => Op::Divide,
            Binary::Remainder => Op::Remainder,
            Binary::Add => Op::Add,
            Binary::Subtract => Op::Subtract,
            Binary::ShiftLeft => Op::ShiftLeft,
            Binary::ShiftRight if unsigned => Op::ShiftRight,
            Binary::ShiftRight => Op::ArithmeticShiftRight,
            Binary::And => Op::And,
            Binary::Xor => Op::Xor,
            Binary::Or => Op::Or,
            _ => return self.compare(comparison(operator, unsigned), constant),
        };
        match constant {
            Some(value) => self.code.op_imm(op, Reg::R0, value),
            None => self.code.op(op, Reg::R0, Reg::R1),
        }
    }

    /// `R0` = whether the comparison of `R0` with the constant or with `R1` holds.
    fn compare(&mut self, jump: Jump, constant: Option<i32>) {
        let code = &mut *self.code;
        let (yes, done) = (code.label(), code.label());
        match constant {
            Some(value) => code.jump_if_imm(jump, Reg::R0, value, yes),
            None => code.jump_if(jump, Reg::R0, Reg::R1, yes),
        }
        code.set(Reg::R0, 0);
        code.jump(done);
        code.place(yes);
        code.set(Reg::R0, 1);
        code.place(done);
    }

    /// `R0` = whether `R0` is 0, or is not.
    fn truth(&mut self, jump: Jump) {
        self.compare(jump, Some(0));
    }

    fn logical(&mut self, operator: Binary, left: &Node, right: &Node) {
        let end = self.code.label();
        self.node(left);
        self.truth(Jump::NotEqual);
        let decides = if operator == Binary::Both {
            Jump::Equal
        } else {
            Jump::NotEqual
        };
        self.code.jump_if_imm(decides, Reg::R0, 0, end);
        self.node(right);
        self.truth(Jump::NotEqual);
        self.code.place(end);
    }
}

fn comparison(operator: Binary, unsigned: bool) -> Jump {
    match (operator, unsigned) {
        (Binary::Less, true) => Jump::Less,
        (Binary::Less, false) => Jump::SignedLess,
        (Binary::LessOrEqual, true) => Jump::LessOrEqual,
        (Binary::LessOrEqual, false) => Jump::SignedLessOrEqual,
        (Binary::Greater, true) => Jump::Greater,
        (Binary::Greater, false) => Jump::SignedGreater,
        (Binary::GreaterOrEqual, true) => Jump::GreaterOrEqual,
        (Binary::GreaterOrEqual, false) => Jump::SignedGreaterOrEqual,
        (Binary::NotEqual, _) => Jump::NotEqual,
        _ => Jump::Equal,
    }
}
