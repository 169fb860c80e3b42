//! What users type to name probes, and what it means, before the kernel is asked.
//!
//! ```text
//! sched:sched_switch       a tracepoint; both parts may be shell patterns
//! syscall:openat           a system call, entry and exit; may be a pattern
//! kprobe:vfs_read+0x10     an instruction of a kernel function; a function may be a pattern
//! kretprobe:vfs_read       the return of a kernel function; may be a pattern
//! ```

use std::fmt;
use std::str::FromStr;

use crate::names::glob::is_glob;

/// One probe as typed: possibly a pattern, not yet looked up in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeText {
    /// `SYSTEM:NAME` of tracefs.
    Tracepoint {
        /// Subsystem, or a pattern.
        system: String,
        /// Event, or a pattern.
        name: String,
    },
    /// `syscall:NAME`: entry and exit.
    Syscall {
        /// System call, or a pattern.
        name: String,
    },
    /// `kprobe:FUNCTION[+OFFSET]`.
    Kprobe {
        /// Kernel function, or a pattern.
        function: String,
        /// Bytes from the function's start.
        offset: u64,
    },
    /// `kretprobe:FUNCTION`.
    Kretprobe {
        /// Kernel function, or a pattern.
        function: String,
    },
}

/// Why a probe text means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Nothing, or nothing between two commas.
    #[error("empty probe; write it as `sched:sched_switch`, `syscall:openat` or `kprobe:vfs_read`")]
    Empty,
    /// A name without a colon.
    #[error(
        "`{0}` is not a probe: no colon; write SYSTEM:EVENT, `syscall:NAME` or `kprobe:FUNCTION`"
    )]
    NoColon(String),
    /// One side of the colon is empty.
    #[error("`{0}` is not a probe: nothing {1} the colon")]
    EmptyPart(String, &'static str),
    /// The offset is not a number of bytes.
    #[error("bad offset `{offset}` in `{probe}`: write a number of bytes, as in `+16` or `+0x10`")]
    BadOffset {
        /// As typed.
        probe: String,
        /// What follows the `+`.
        offset: String,
    },
    /// A kretprobe fires at return, which has no offset.
    #[error(
        "offset in `{0}`: a kretprobe fires when the function returns, wherever it does; leave the offset out"
    )]
    OffsetOnReturn(String),
    /// A pattern and an offset in one text.
    #[error("`{0}` has both a pattern and an offset; an offset is good for one function only")]
    OffsetOnGlob(String),
}

impl ProbeText {
    /// Parses a comma-separated list of probes.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, SpecError> {
        text.split(',').map(|part| part.trim().parse()).collect()
    }

    /// Whether it names one probe exactly. Probes that a pattern matched may turn out
    /// not to attach; those that were named may not.
    #[must_use]
    pub fn is_explicit(&self) -> bool {
        match self {
            Self::Tracepoint { system, name } => !is_glob(system) && !is_glob(name),
            Self::Syscall { name } => !is_glob(name),
            Self::Kprobe { function, .. } | Self::Kretprobe { function } => !is_glob(function),
        }
    }
}

impl FromStr for ProbeText {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        if text.is_empty() {
            return Err(SpecError::Empty);
        }
        let (kind, name) = text
            .split_once(':')
            .ok_or_else(|| SpecError::NoColon(text.to_owned()))?;
        if kind.is_empty() {
            return Err(SpecError::EmptyPart(text.to_owned(), "before"));
        }
        if name.is_empty() {
            return Err(SpecError::EmptyPart(text.to_owned(), "after"));
        }
        match kind {
            "syscall" => Ok(Self::Syscall { name: name.into() }),
            "kprobe" => parse_kprobe(text, name),
            "kretprobe" if name.contains('+') => Err(SpecError::OffsetOnReturn(text.to_owned())),
            "kretprobe" => Ok(Self::Kretprobe {
                function: name.into(),
            }),
            _ => Ok(Self::Tracepoint {
                system: kind.into(),
                name: name.into(),
            }),
        }
    }
}

fn parse_kprobe(text: &str, name: &str) -> Result<ProbeText, SpecError> {
    let Some((function, offset_text)) = name.split_once('+') else {
        return Ok(ProbeText::Kprobe {
            function: name.into(),
            offset: 0,
        });
    };
    if function.is_empty() {
        return Err(SpecError::EmptyPart(text.to_owned(), "after"));
    }
    let offset = parse_offset(offset_text).ok_or_else(|| SpecError::BadOffset {
        probe: text.to_owned(),
        offset: offset_text.to_owned(),
    })?;
    if is_glob(function) {
        return Err(SpecError::OffsetOnGlob(text.to_owned()));
    }
    Ok(ProbeText::Kprobe {
        function: function.into(),
        offset,
    })
}

fn parse_offset(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    // `from_str_radix` would take a sign.
    digits
        .chars()
        .all(|c| c.is_digit(radix))
        .then(|| u64::from_str_radix(digits, radix).ok())?
}

impl fmt::Display for ProbeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tracepoint { system, name } => write!(f, "{system}:{name}"),
            Self::Syscall { name } => write!(f, "syscall:{name}"),
            Self::Kprobe {
                function,
                offset: 0,
            } => write!(f, "kprobe:{function}"),
            Self::Kprobe { function, offset } => write!(f, "kprobe:{function}+{offset:#x}"),
            Self::Kretprobe { function } => write!(f, "kretprobe:{function}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ProbeText, SpecError> {
        text.parse()
    }

    #[test]
    fn a_list_keeps_its_order() {
        let list = ProbeText::parse_list("sched:sched_switch, syscall:*,kprobe:vfs_read").unwrap();
        let texts: Vec<String> = list.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            ["sched:sched_switch", "syscall:*", "kprobe:vfs_read"]
        );
    }

    #[test]
    fn offsets_are_decimal_or_hexadecimal() {
        for text in ["kprobe:f+16", "kprobe:f+0x10"] {
            let expected = ProbeText::Kprobe {
                function: "f".into(),
                offset: 16,
            };
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn bad_offsets_are_refused() {
        for offset in ["", "x", "0x", "-1", "+1", "0xg", "99999999999999999999"] {
            let text = format!("kprobe:f+{offset}");
            assert!(
                matches!(parse(&text), Err(SpecError::BadOffset { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn an_offset_on_a_return_is_refused() {
        assert_eq!(
            parse("kretprobe:f+1"),
            Err(SpecError::OffsetOnReturn("kretprobe:f+1".into()))
        );
    }

    #[test]
    fn an_offset_on_a_pattern_is_refused() {
        assert_eq!(
            parse("kprobe:f*+1"),
            Err(SpecError::OffsetOnGlob("kprobe:f*+1".into()))
        );
    }

    #[test]
    fn empty_texts_and_parts_are_refused() {
        assert_eq!(parse(""), Err(SpecError::Empty));
        assert_eq!(ProbeText::parse_list("a:b,,c:d"), Err(SpecError::Empty));
        assert!(matches!(
            parse(":x"),
            Err(SpecError::EmptyPart(_, "before"))
        ));
        assert!(matches!(
            parse("sched:"),
            Err(SpecError::EmptyPart(_, "after"))
        ));
        assert!(matches!(
            parse("kprobe:+4"),
            Err(SpecError::EmptyPart(_, "after"))
        ));
    }

    #[test]
    fn a_missing_colon_is_said_so() {
        assert_eq!(
            parse("sched_switch"),
            Err(SpecError::NoColon("sched_switch".into()))
        );
    }

    #[test]
    fn only_exact_names_are_explicit() {
        assert!(parse("syscalls:sys_enter_read").unwrap().is_explicit());
        for text in ["sched:*", "*:x", "syscall:open*", "kretprobe:vfs_?ead"] {
            assert!(!parse(text).unwrap().is_explicit(), "{text}");
        }
    }
}
