//! Why an attach point in a program cannot be found.

use std::path::PathBuf;

use crate::names::Suggestions;
use crate::names::quote::quoted_path;

/// Why an attach point in a program cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// It could not be read.
    #[error("cannot read `{}`: {cause}", path.display())]
    Io {
        /// Of the file.
        path: PathBuf,
        /// Cause.
        cause: std::io::Error,
    },
    /// Neither a command nor a library.
    #[error(
        "no command of PATH and no library of the dynamic linker is named `{name}`; give a path, \
        as in `./{name}`"
    )]
    NotFound {
        /// As typed.
        name: String,
    },
    /// Several libraries differ in their versions.
    #[error("`{name}` is the name of several libraries; probe {libraries}")]
    SeveralLibraries {
        /// As typed.
        name: String,
        /// The libraries.
        libraries: String,
    },
    /// It is not a program.
    #[error("`{}` is not an ELF program or library: {cause}", path.display())]
    NotAProgram {
        /// Of the file.
        path: PathBuf,
        /// Cause.
        cause: object::Error,
    },
    /// No such symbol.
    #[error(
        "`{}` has no function `{symbol}`{suggestions}; in a stripped program, probe an address, \
        as in `uprobe:{}:0x1234`",
        path.display(),
        quoted_path(&path.to_string_lossy())
    )]
    NoSuchFunction {
        /// Of the file.
        path: PathBuf,
        /// As typed.
        symbol: String,
        /// What may have been meant.
        suggestions: Suggestions,
    },
    /// The symbol exists with other versions only.
    #[error("`{symbol}` is not a version of `{name}`; probe {versions}")]
    NoSuchVersion {
        /// As typed.
        symbol: String,
        /// Without the version.
        name: String,
        /// The versions that exist.
        versions: String,
    },
    /// Functions of C++ that differ in their parameters.
    #[error("`{name}` is the name of several functions; probe {functions}")]
    Overloaded {
        /// As typed.
        name: String,
        /// The functions.
        functions: String,
    },
    /// Only variants of the function have code.
    #[error("the compiler replaced it with variants whose arguments may differ; probe {variants}")]
    Variants {
        /// Symbols.
        variants: String,
    },
    /// The symbol selects one of several functions when the program is started.
    #[error(
        "`{symbol}` is an indirect function (IFUNC): its resolver at {resolver:#x} selects the \
        function that is called, and the tracer cannot see which ones there are; find it with a \
        debugger (`info symbol {symbol}` in a running process) and probe its address"
    )]
    Indirect {
        /// As typed.
        symbol: String,
        /// Address of the resolver.
        resolver: u64,
    },
    /// A return probe would kill the program.
    #[error(
        "`{path}` is a Go program, and a return probe would kill it: the Go runtime finds the \
        address of the probe on the stack and ends with \"unexpected return pc\"; probe its return \
        instructions instead: `uprobe:{quoted}:{symbol}+OFFSET`, with each OFFSET of a `ret` \
        from the function's start in `go tool objdump {quoted}`",
        path = path.display(),
        quoted = quoted_path(&path.to_string_lossy())
    )]
    GoReturn {
        /// Of the file.
        path: PathBuf,
        /// As typed.
        symbol: String,
    },
    /// The address is not in executable code.
    #[error("address {address:#x} is not in a code segment of `{}`", path.display())]
    NotCode {
        /// Of the file.
        path: PathBuf,
        /// As typed, or of the symbol.
        address: u64,
    },
}
