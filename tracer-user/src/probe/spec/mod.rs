//! Probe texts as users type them, before they are looked up in the kernel.
//!
//! ```text
//! sched:sched_switch       a tracepoint; both parts may be shell patterns
//! syscall:openat           a system call, entry and exit; may be a pattern
//! call:openat              a system call as one event, when it returns; may be a pattern
//! kprobe:vfs_read+0x10     an instruction of a kernel function; a function may be a pattern
//! kretprobe:vfs_read       the return of a kernel function; may be a pattern
//! fentry:vfs_read          a kernel function is entered, by trampoline; may be a pattern
//! fexit:vfs_read           it returns, with its arguments; may be a pattern
//! func:vfs_read            it is entered, by the cheapest kind of probe; may be a pattern
//! rawtp:sched_switch       a tracepoint with the arguments of its C declaration
//! uprobe:/bin/x:main+4     an instruction of a program or library
//! uretprobe:/bin/x:main    the return of a function of a program or library
//! ```
//!
//! Paths and symbols of programs may be in [quotes](crate::names::quote). All but system calls and
//! `call:` may end with `{path->dentry->d_name.name:str, ret}`: what is
//! fetched (see [`fetch`](crate::probe::fetch)).

mod user;

use std::fmt;
use std::str::FromStr;

use self::user::{parse_uprobe, parse_uretprobe};
use crate::names::glob::is_glob;
use crate::names::quote::{quoted_if, quoted_path, quoted_symbol, unquoted_chars};
use crate::probe::fetch::{FetchError, FetchList};

/// One probe as typed: possibly a pattern, not yet looked up in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeText {
    /// What to attach to.
    pub target: Target,
    /// What to fetch; `None` for the default payload of its kind.
    pub fetch: Option<FetchList>,
}

/// What a probe attaches to, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
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
    /// `call:NAME`: a call as one event, when it returns.
    Call {
        /// System call, else kernel function, or a pattern.
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
    /// `fentry:FUNCTION`.
    Fentry {
        /// Kernel function, or a pattern.
        function: String,
    },
    /// `fexit:FUNCTION`.
    Fexit {
        /// Kernel function, or a pattern.
        function: String,
    },
    /// `func:FUNCTION`: an fentry if possible, else a kprobe.
    Func {
        /// Kernel function, or a pattern.
        function: String,
    },
    /// `rawtp:NAME`: a tracepoint without the record of tracefs.
    RawTracepoint {
        /// Event without subsystem, or a pattern.
        name: String,
    },
    /// `uprobe:PATH:SYMBOL[+OFFSET]`.
    Uprobe {
        /// Program or library.
        path: String,
        /// Symbol or address in it.
        symbol: UserSymbol,
        /// Bytes from there.
        offset: u64,
    },
    /// `uretprobe:PATH:SYMBOL`.
    Uretprobe {
        /// Program or library.
        path: String,
        /// Function in it.
        symbol: UserSymbol,
    },
}

/// An attach point in a program or library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserSymbol {
    /// A symbol, or a pattern if no symbol has this name.
    Name(String),
    /// `0x1234`: an address as `nm` and `objdump` print it.
    Address(u64),
}

/// Why a probe text is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Nothing, or nothing between two commas.
    #[error("empty probe; write it as `sched:sched_switch`, `syscall:openat` or `kprobe:vfs_read`")]
    Empty,
    /// A name without a colon.
    #[error(
        "`{0}` is not a probe: missing colon; write SYSTEM:EVENT, `syscall:NAME` or \
        `kprobe:FUNCTION`"
    )]
    NoColon(String),
    /// One side of the colon is empty.
    #[error("`{0}` is not a probe: nothing {1} the colon")]
    EmptyPart(String, &'static str),
    /// The offset is not a number of bytes.
    #[error(
        "invalid offset `{offset}` in `{probe}`: use a number of bytes, as in `+16` or `+0x10`"
    )]
    BadOffset {
        /// As typed.
        probe: String,
        /// What follows the `+`.
        offset: String,
    },
    /// An offset for a probe that fires on return.
    #[error("offset in `{0}`: it fires when the function returns; remove the offset")]
    OffsetOnReturn(String),
    /// An offset for a probe that fires on entry.
    #[error("offset in `{0}`: it fires when the function is entered; use `kprobe:` for an offset")]
    OffsetOnEntry(String),
    /// A pattern and an offset in one text.
    #[error("`{0}` has both a pattern and an offset; an offset needs a single function")]
    OffsetOnGlob(String),
    /// The program or its symbol is missing.
    #[error(
        "`{probe}` does not name a function or address of a program; write it as \
        `{kind}:/path/to/program:SYMBOL`, with quotes around a part that contains `,`, `{{`, `}}` \
        or ` if `"
    )]
    NoUserSymbol {
        /// As typed.
        probe: String,
        /// `uprobe` or `uretprobe`.
        kind: &'static str,
    },
    /// It starts with `0x` but is not an address.
    #[error(
        "invalid address `{address}` in `{probe}`: use an address as `nm` prints it, as in \
        `0x401136`"
    )]
    BadAddress {
        /// As typed.
        probe: String,
        /// As typed in place of the symbol.
        address: String,
    },
    /// Braces after a system call.
    #[error(
        "`{0}` fetches values from a system call, whose arguments are always recorded; remove the \
        braces, or use `kprobe:` with its function"
    )]
    FetchOfSyscall(String),
    /// Braces after a whole call.
    #[error(
        "`{0}` fetches values, but `call:` records the arguments of the call; remove the braces, or \
        use `kretprobe:` with its function"
    )]
    FetchOfCall(String),
    /// Text after the closing brace, or no closing brace.
    #[error("unbalanced braces in `{0}`; the probe must end with `}}`")]
    OpenBraces(String),
    /// The list in the braces is invalid.
    #[error("cannot fetch from `{probe}`: {cause}")]
    Fetch {
        /// Without the braces.
        probe: String,
        /// Cause.
        cause: FetchError,
    },
}

impl ProbeText {
    /// Parses a comma-separated list of probes. Commas in braces and parentheses do not
    /// separate probes.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, SpecError> {
        split_list(text).map(|part| part.trim().parse()).collect()
    }

    /// Whether it names one probe exactly, which then must attach. Those that a pattern
    /// matches may fail to.
    #[must_use]
    pub fn is_explicit(&self) -> bool {
        self.target.is_explicit()
    }
}

impl Target {
    fn is_explicit(&self) -> bool {
        match self {
            Self::Tracepoint { system, name } => !is_glob(system) && !is_glob(name),
            Self::Syscall { name } | Self::Call { name } | Self::RawTracepoint { name } => {
                !is_glob(name)
            }
            Self::Kprobe { function, .. }
            | Self::Kretprobe { function }
            | Self::Fentry { function }
            | Self::Fexit { function }
            | Self::Func { function } => !is_glob(function),
            Self::Uprobe { symbol, .. } | Self::Uretprobe { symbol, .. } => match symbol {
                UserSymbol::Name(name) => !is_glob(name),
                UserSymbol::Address(_) => true,
            },
        }
    }
}

/// A probe with the default payload of its kind.
impl From<Target> for ProbeText {
    fn from(target: Target) -> Self {
        Self {
            target,
            fetch: None,
        }
    }
}

fn split_list(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    let commas = unquoted_chars(text).filter_map(move |(at, c)| {
        match c {
            '{' | '(' => depth += 1,
            '}' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        (c == ',' && depth == 0).then_some(at)
    });
    let mut start = 0;
    commas.chain([text.len()]).map(move |end| {
        let part = &text[start..end];
        start = end + 1;
        part
    })
}

impl FromStr for ProbeText {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let Some((at, _)) = unquoted_chars(text).find(|&(_, c)| c == '{') else {
            return Ok(text.parse::<Target>()?.into());
        };
        let (probe, braces) = (&text[..at], &text[at + 1..]);
        let probe = probe.trim_end();
        let inner = braces
            .strip_suffix('}')
            .filter(|inner| !inner.contains(['{', '}']))
            .ok_or_else(|| SpecError::OpenBraces(text.to_owned()))?;
        let target: Target = probe.parse()?;
        match target {
            Target::Syscall { .. } => return Err(SpecError::FetchOfSyscall(text.to_owned())),
            Target::Call { .. } => return Err(SpecError::FetchOfCall(text.to_owned())),
            _ => {}
        }
        let fetch = FetchList::parse(inner).map_err(|cause| SpecError::Fetch {
            probe: probe.to_owned(),
            cause,
        })?;
        Ok(Self {
            target,
            fetch: Some(fetch),
        })
    }
}

impl FromStr for Target {
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
        let without_offset = |error: fn(String) -> SpecError| {
            if name.contains('+') {
                Err(error(text.to_owned()))
            } else {
                Ok(name.to_owned())
            }
        };
        Ok(match kind {
            "syscall" => Self::Syscall { name: name.into() },
            "call" => Self::Call { name: name.into() },
            "kprobe" => parse_kprobe(text, name)?,
            "kretprobe" => Self::Kretprobe {
                function: without_offset(SpecError::OffsetOnReturn)?,
            },
            "fentry" => Self::Fentry {
                function: without_offset(SpecError::OffsetOnEntry)?,
            },
            "fexit" => Self::Fexit {
                function: without_offset(SpecError::OffsetOnReturn)?,
            },
            "func" => Self::Func {
                function: without_offset(SpecError::OffsetOnEntry)?,
            },
            "rawtp" => Self::RawTracepoint { name: name.into() },
            "uprobe" => parse_uprobe(text, name)?,
            "uretprobe" => parse_uretprobe(text, name)?,
            _ => Self::Tracepoint {
                system: kind.into(),
                name: name.into(),
            },
        })
    }
}

fn parse_kprobe(text: &str, name: &str) -> Result<Target, SpecError> {
    let (function, offset) = split_offset(text, name)?;
    Ok(Target::Kprobe {
        function: function.into(),
        offset,
    })
}

/// Splits off `+OFFSET`, 0 if there is none.
fn split_offset<'a>(text: &str, name: &'a str) -> Result<(&'a str, u64), SpecError> {
    let Some((name, offset_text)) = name.split_once('+') else {
        return Ok((name, 0));
    };
    if name.is_empty() {
        return Err(SpecError::EmptyPart(text.to_owned(), "after"));
    }
    let offset = parse_number(offset_text).ok_or_else(|| SpecError::BadOffset {
        probe: text.to_owned(),
        offset: offset_text.to_owned(),
    })?;
    if is_glob(name) {
        return Err(SpecError::OffsetOnGlob(text.to_owned()));
    }
    Ok((name, offset))
}

fn parse_number(text: &str) -> Option<u64> {
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
        write!(f, "{}", self.target)?;
        match &self.fetch {
            Some(fetch) => write!(f, "{{{fetch}}}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tracepoint { system, name } => write!(f, "{system}:{name}"),
            Self::Syscall { name } => write!(f, "syscall:{name}"),
            Self::Call { name } => write!(f, "call:{name}"),
            Self::Kprobe { function, offset } => write!(f, "kprobe:{function}{}", Offset(*offset)),
            Self::Kretprobe { function } => write!(f, "kretprobe:{function}"),
            Self::Fentry { function } => write!(f, "fentry:{function}"),
            Self::Fexit { function } => write!(f, "fexit:{function}"),
            Self::Func { function } => write!(f, "func:{function}"),
            Self::RawTracepoint { name } => write!(f, "rawtp:{name}"),
            Self::Uprobe {
                path,
                symbol,
                offset: 0,
            } => write!(f, "uprobe:{}:{symbol}", quoted_path(path)),
            Self::Uprobe {
                path,
                symbol,
                offset,
            } => {
                write!(f, "uprobe:{}:", quoted_path(path))?;
                match symbol {
                    UserSymbol::Name(name) if is_glob(name) => {
                        f.write_str(&quoted_if(name, true))?;
                    }
                    symbol => write!(f, "{symbol}")?,
                }
                write!(f, "{}", Offset(*offset))
            }
            Self::Uretprobe { path, symbol } => {
                write!(f, "uretprobe:{}:{symbol}", quoted_path(path))
            }
        }
    }
}

/// `+0x10`, or nothing.
struct Offset(u64);

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            offset => write!(f, "+{offset:#x}"),
        }
    }
}

impl fmt::Display for UserSymbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(&quoted_symbol(name)),
            Self::Address(address) => write!(f, "{address:#x}"),
        }
    }
}

#[cfg(test)]
mod tests;
