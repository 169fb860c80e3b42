//! The kinds of attachment of a program.

use std::fmt;
use std::path::Path;

use tracer_common::FunctionCookie;

use crate::record::attach::code::Abi;

/// How a program is attached, and where.
///
/// A new kind is a variant here. The compiler then asks for the type of its programs (in
/// `load`) and for the system call that attaches them (in `link`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attachment<'p> {
    /// A tracepoint, by perf's event of that id.
    PerfTracepoint {
        /// Its id in tracefs.
        id: u32,
    },
    /// A raw tracepoint, by name.
    RawTracepoint {
        /// Its name.
        name: &'p str,
    },
    /// A raw tracepoint whose arguments the verifier knows by their BTF types (`tp_btf`).
    TypedRawTracepoint {
        /// Its name.
        name: &'p str,
    },
    /// An instruction of a kernel function.
    Kprobe {
        /// The function.
        symbol: &'p str,
        /// Bytes from its start.
        offset: u64,
    },
    /// The return of a kernel function.
    Kretprobe {
        /// The function.
        symbol: &'p str,
    },
    /// The entries of kernel functions, by one attachment (kprobe-multi).
    KprobeMulti(Vec<ProbedFunction<'p>>),
    /// The entries and returns of kernel functions, by one attachment (kprobe-session).
    KprobeSession(Vec<ProbedFunction<'p>>),
    /// The entry of a kernel function, by trampoline.
    Fentry {
        /// Its BTF type.
        btf_id: u32,
    },
    /// The return of a kernel function, by trampoline.
    Fexit {
        /// Its BTF type.
        btf_id: u32,
    },
    /// An instruction of a program or a library.
    Uprobe {
        /// The file.
        path: &'p Path,
        /// Of the instruction in the file, in bytes.
        offset: u64,
    },
    /// The return of a function of a program or a library.
    Uretprobe {
        /// The file.
        path: &'p Path,
        /// Of the function in the file, in bytes.
        offset: u64,
    },
}

/// One of the functions of an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbedFunction<'p> {
    /// Its name.
    pub symbol: &'p str,
    /// Tells the program which function it runs for.
    pub cookie: FunctionCookie,
}

impl Attachment<'_> {
    /// Where a program finds arguments and results.
    pub(in crate::record::attach) fn abi(&self) -> Abi {
        match self {
            Self::PerfTracepoint { .. } => Abi::Record,
            Self::RawTracepoint { .. } => Abi::Arguments,
            Self::TypedRawTracepoint { .. } => Abi::TypedArguments,
            Self::Kprobe { .. }
            | Self::Kretprobe { .. }
            | Self::KprobeMulti(_)
            | Self::KprobeSession(_) => Abi::Registers,
            Self::Fentry { .. } | Self::Fexit { .. } => Abi::Trampoline,
            Self::Uprobe { .. } | Self::Uretprobe { .. } => Abi::UserRegisters,
        }
    }
}

impl fmt::Display for Attachment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PerfTracepoint { id } => write!(f, "perf tracepoint {id}"),
            Self::RawTracepoint { name } => write!(f, "raw tracepoint {name}"),
            Self::TypedRawTracepoint { name } => write!(f, "typed raw tracepoint {name}"),
            Self::Kprobe { symbol, offset: 0 } => write!(f, "kprobe {symbol}"),
            Self::Kprobe { symbol, offset } => write!(f, "kprobe {symbol}+{offset:#x}"),
            Self::Kretprobe { symbol } => write!(f, "kretprobe {symbol}"),
            Self::KprobeMulti(functions) => write!(f, "kprobe-multi of {}", functions.len()),
            Self::KprobeSession(functions) => write!(f, "kprobe-session of {}", functions.len()),
            Self::Fentry { btf_id } => write!(f, "fentry of BTF type {btf_id}"),
            Self::Fexit { btf_id } => write!(f, "fexit of BTF type {btf_id}"),
            Self::Uprobe { path, offset } => write!(f, "uprobe {}:{offset:#x}", path.display()),
            Self::Uretprobe { path, offset } => {
                write!(f, "uretprobe {}:{offset:#x}", path.display())
            }
        }
    }
}
