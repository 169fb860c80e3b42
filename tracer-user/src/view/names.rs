//! Names of numbers: labels of values and bits in the metadata, and names of errors.

use std::fmt::Write as _;

use crate::trace::{Number, Value, ValueLabel, errno};

/// Name of the field with the return value of a function or system call.
const RESULT: &str = "ret";

/// The name of a number.
pub(super) enum Name<'a> {
    /// Replaces the number.
    Instead(&'a str),
    /// Replaces the number; the joined names of its bits.
    Joined(String),
    /// Explains the number, which is printed too.
    Beside(&'static str),
}

impl Name<'_> {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Joined(name) => name,
            Self::Instead(name) | Self::Beside(name) => name,
        }
    }
}

/// The name of `value`, if it has one; `is_result` if its field [can be an error](is_result).
pub(super) fn name<'a>(value: &Value<'a>, is_result: bool) -> Option<Name<'a>> {
    match value {
        Value::Number(number) if is_result => error_name(*number).map(Name::Beside),
        Value::Labeled(_, ValueLabel::Value(name)) => Some(Name::Instead(name)),
        Value::Labeled(_, ValueLabel::Bits(set)) => {
            let mut text = String::new();
            let mut separator = "";
            let mut rest = 0;
            set.each(
                |name| {
                    text.push_str(separator);
                    text.push_str(name);
                    separator = set.delimiter();
                },
                |bits| rest = bits,
            );
            if rest != 0 {
                let separator = if separator.is_empty() { "|" } else { separator };
                // writing to a string cannot fail
                let _ = write!(text, "{separator}{rest:#x}");
            }
            Some(Name::Joined(text))
        }
        _ => None,
    }
}

/// Whether a field has the return value of a system call or function.
pub(super) fn is_result(class: &str, field: &str) -> bool {
    field == RESULT
        && (class.starts_with("syscall_exit_")
            || class.starts_with("syscalls:sys_exit_")
            || class == "raw_syscalls:sys_exit"
            || class.starts_with("call:")
            || class.starts_with("kretprobe:")
            || class.starts_with("fexit:"))
}

/// The name of the error that a return value means, including errors internal to the kernel. A
/// register with an error pointer counts too.
fn error_name(number: Number) -> Option<&'static str> {
    let value = match (number.ty.size_bits, number.ty.signed) {
        (64, _) | (32, true) => number.raw as i64,
        _ => return None,
    };
    let error = value.checked_neg()?;
    errno::name(u16::try_from(error).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::event::{Display, IntegerType};

    fn of(size_bytes: u16, signed: bool, value: i64) -> Option<&'static str> {
        let ty = IntegerType::natural(size_bytes, signed, Display::Decimal);
        let raw = value as u64;
        error_name(Number { raw, ty })
    }

    #[test]
    fn errors_have_their_names() {
        assert_eq!(of(8, true, -2), Some("ENOENT"));
        assert_eq!(of(4, true, -11), Some("EAGAIN"));
        assert_eq!(of(8, false, -14), Some("EFAULT"));
    }

    #[test]
    fn errors_inside_the_kernel_have_names() {
        assert_eq!(of(8, true, -512), Some("ERESTARTSYS"));
        assert_eq!(of(8, true, -516), Some("ERESTART_RESTARTBLOCK"));
        assert_eq!(of(4, true, -517), Some("EPROBE_DEFER"));
    }

    #[test]
    fn other_numbers_are_not_errors() {
        for value in [0, 2, -400, -4095, -4096, i64::MIN] {
            assert_eq!(of(8, true, value), None, "{value}");
        }
        assert_eq!(of(4, false, 0xffff_fffe), None);
    }

    #[test]
    fn results_are_return_values_of_calls_and_functions() {
        for class in [
            "syscall_exit_openat",
            "raw_syscalls:sys_exit",
            "call:openat",
            "kretprobe:vfs_read",
            "fexit:vfs_read",
        ] {
            assert!(is_result(class, "ret"), "{class}");
        }
        assert!(!is_result("syscall_exit_openat", "fd"));
        assert!(!is_result("irq:irq_handler_exit", "ret"));
    }
}
