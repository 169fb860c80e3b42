//! Kernel functions that can be probed.
//!
//! ftrace's list (`available_filter_functions`) is the best source: it leaves out what the
//! kernel refuses. If it cannot be read, the text symbols of `kallsyms` without the kprobe
//! blacklist are used, and a probe may still fail to attach.

use std::collections::{HashMap, HashSet};

use crate::kernel::features::has_kprobes;
use crate::kernel::files::{self, KernelError, KernelFiles};
use crate::names::{Suggestions, glob};

mod absent;
mod namesakes;

pub use absent::Rest;
pub use namesakes::Namesakes;

/// Why a function cannot be probed.
#[derive(Debug, thiserror::Error)]
pub enum FunctionError {
    /// The kernel has no kprobes at all.
    #[error("the kernel was built without CONFIG_KPROBES; use tracepoints (`tracer list`)")]
    NotBuiltIn,
    /// No such symbol.
    #[error("no such function{0}")]
    NoSuchFunction(Suggestions),
    /// It has no code, as all calls were inlined.
    #[error("it was inlined by the compiler{rest}; probe one of its callers")]
    Inlined {
        /// What is left of it.
        rest: Rest,
    },
    /// It has code under other names only.
    #[error("the compiler replaced it with variants whose arguments may differ; probe {variants}")]
    Variants {
        /// Probe texts.
        variants: String,
    },
    /// It belongs to a module that is not loaded.
    #[error("it is in module `{module}`, which is not loaded; load it with `modprobe {module}`")]
    NotLoaded {
        /// Its name.
        module: String,
    },
    /// The kernel refuses it.
    #[error(
        "the kernel does not allow probing it: it is on the kprobe blacklist, as probing it would \
        crash the kernel; probe one of its callers"
    )]
    Blacklisted,
    /// It is `notrace`.
    #[error(
        "the kernel does not allow probing it: it is `notrace` (not in \
        available_filter_functions), like parts of the tracer and early boot code; probe one of \
        its callers"
    )]
    Notrace,
    /// A symbol of code that is not a function.
    #[error("not a function but a part split off by the compiler; probe `{0}`")]
    Part(String),
    /// The symbol stands for several functions.
    #[error("{count} functions have this name; probe one by address: {places}")]
    Ambiguous {
        /// How many.
        count: usize,
        /// Probe texts of the addresses, or how to find them.
        places: String,
    },
    /// A pattern matches such symbols only.
    #[error("the names that match stand for several functions each; probe one by address: {0}")]
    OnlyNamesakes(String),
    /// The offset is beyond the function's end.
    #[error("the function is only {size:#x} bytes long")]
    OffsetTooLarge {
        /// Bytes of the function and the padding after it.
        size: u64,
    },
    /// The lists could not be read.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// The files that list what can be probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionList {
    /// `available_filter_functions` of tracefs.
    FilterFunctions,
    /// `kallsyms` without the kprobe blacklist.
    KallsymsWithoutBlacklist,
    /// `kallsyms` alone: the blacklist cannot be read.
    Kallsyms,
}

impl FunctionList {
    /// For messages.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::FilterFunctions => "available_filter_functions of tracefs",
            Self::KallsymsWithoutBlacklist => {
                "/proc/kallsyms without the kprobe blacklist (available_filter_functions cannot \
                be read)"
            }
            Self::Kallsyms => {
                "/proc/kallsyms (neither available_filter_functions nor the kprobe blacklist can \
                be read; some functions may be refused)"
            }
        }
    }
}

/// The functions of a kernel.
#[derive(Debug)]
pub struct Functions {
    files: KernelFiles,
    source: FunctionList,
    /// Names that the kernel lists as ones that can be probed, sorted, each once.
    probeable: Vec<String>,
    /// Addresses of these functions, which may have other names, too.
    places: HashSet<u64>,
    /// All names of functions that the kernel refuses to probe.
    refused: HashSet<String>,
    symbols: Symbols,
}

impl Functions {
    /// Reads the kernel's lists.
    pub fn read(files: &KernelFiles) -> Result<Self, FunctionError> {
        if !has_kprobes(&files.sys) {
            return Err(FunctionError::NotBuiltIn);
        }
        let symbols = Symbols::parse(&files::read(&files.proc.join("kallsyms"))?);
        let blacklist = files::read(&files.sys.join("kernel/debug/kprobes/blacklist"))
            .map(|text| parse_blacklist(&text))
            .ok();
        let has_blacklist = blacklist.is_some();
        let refused = symbols.with_other_names(blacklist.unwrap_or_default());
        let (source, mut probeable) =
            match files::read(&files.tracefs.join("available_filter_functions")) {
                Ok(text) => (FunctionList::FilterFunctions, parse_filter_functions(&text)),
                Err(_) if has_blacklist => (
                    FunctionList::KallsymsWithoutBlacklist,
                    symbols.function_names(),
                ),
                Err(_) => (FunctionList::Kallsyms, symbols.function_names()),
            };
        probeable.retain(|name| !refused.contains(name));
        probeable.sort_unstable();
        let places = symbols.places_of_all(&probeable);
        probeable.dedup();
        Ok(Self {
            files: files.clone(),
            source,
            probeable,
            places,
            refused,
            symbols,
        })
    }

    /// The files that the functions are from.
    #[must_use]
    pub fn source(&self) -> FunctionList {
        self.source
    }

    /// Functions that the kernel lists as ones that can be probed, sorted, each name once.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.probeable
    }

    /// The kernel's files that these were read from.
    pub(super) fn files(&self) -> &KernelFiles {
        &self.files
    }

    /// All text symbols: what can be probed and what cannot.
    pub(super) fn symbols(&self) -> impl Iterator<Item = &str> {
        self.symbols.by_name.keys().map(String::as_str)
    }

    /// Whether the kernel lists this name among what can be probed.
    pub(super) fn is_listed(&self, name: &str) -> bool {
        self.probeable
            .binary_search_by(|known| known.as_str().cmp(name))
            .is_ok()
    }

    /// Whether the kernel has a text symbol with this name.
    pub(super) fn has_symbol(&self, name: &str) -> bool {
        self.symbols.count(name) > 0
    }

    /// The functions that a pattern matches, sorted, each once: by the name under which the kernel
    /// lists it if that matches, else by the first of its other names that do. Names that several
    /// functions have are left out.
    #[must_use]
    pub fn matching(&self, pattern: &str) -> Vec<&str> {
        let listed = self.probeable.iter().map(String::as_str);
        let listed = listed.filter(|name| glob::matches(pattern, name));
        let mut others: Vec<&str> = self
            .symbols()
            .filter(|name| glob::matches(pattern, name) && self.is_other_name(name))
            .collect();
        others.sort_unstable();
        let mut seen = HashSet::new();
        let mut names: Vec<&str> = listed
            .chain(others)
            .filter(|name| match self.symbols.places(name) {
                // Unknown address.
                [] | [0] => true,
                [place] => seen.insert(*place),
                _ => false,
            })
            .collect();
        names.sort_unstable();
        names
    }

    /// Variants of a function that the compiler made and that can be probed, such as
    /// `f.isra.0`, sorted: calls of the function may use them instead.
    #[must_use]
    pub fn variants(&self, function: &str) -> Vec<&str> {
        absent::variants(function, self)
    }

    /// Whether something that can be probed has this name, too, and the kernel lists it under
    /// another one: `__x64_sys_getppid` is listed as `__do_sys_getppid`.
    fn is_other_name(&self, name: &str) -> bool {
        let mut places = self.symbols.places(name).iter();
        places.any(|place| self.places.contains(place))
            && is_function_name(name)
            && !self.refused.contains(name)
            && !self.is_listed(name)
    }

    /// The address of the only function with this name, if it is known.
    pub(crate) fn place(&self, name: &str) -> Option<u64> {
        match self.symbols.places(name) {
            [place] if *place != 0 => Some(*place),
            _ => None,
        }
    }

    /// Whether a probe at `offset` bytes into `function` can be expected to attach.
    pub fn check(&self, function: &str, offset: u64) -> Result<(), FunctionError> {
        // A probe by address, as for one of several functions with the same name.
        if function == BASE_SYMBOL {
            return Ok(());
        }
        if self.refused.contains(function) {
            return Err(FunctionError::Blacklisted);
        }
        if !self.is_listed(function) && !self.is_other_name(function) {
            return Err(absent::reason(function, self));
        }
        if self.symbols.count(function) > 1 {
            return Err(self.symbols.ambiguous(function));
        }
        match self.symbols.size(function) {
            Some(size) if offset >= size => Err(FunctionError::OffsetTooLarge { size }),
            _ => Ok(()),
        }
    }
}

/// The symbol to which addresses in the kernel's text are relative, as for perf.
const BASE_SYMBOL: &str = "_text";

/// Text symbols: names with their addresses (all 0 if the kernel hides them).
#[derive(Debug, Default)]
struct Symbols {
    by_name: HashMap<String, Vec<u64>>,
    /// Sorted; empty if addresses are hidden.
    addresses: Vec<u64>,
}

impl Symbols {
    /// Parses the text of `kallsyms`: `ADDRESS TYPE NAME [MODULE]`.
    fn parse(text: &str) -> Self {
        let mut symbols = Self::default();
        for line in text.lines() {
            let mut columns = line.split_ascii_whitespace();
            let (Some(address), Some("t" | "T" | "w" | "W"), Some(name)) =
                (columns.next(), columns.next(), columns.next())
            else {
                continue;
            };
            let address = u64::from_str_radix(address, 16).unwrap_or(0);
            symbols
                .by_name
                .entry(name.to_owned())
                .or_default()
                .push(address);
            if address != 0 {
                symbols.addresses.push(address);
            }
        }
        symbols.addresses.sort_unstable();
        symbols
    }

    fn function_names(&self) -> Vec<String> {
        self.by_name
            .keys()
            .filter(|name| is_function_name(name))
            .cloned()
            .collect()
    }

    /// The addresses of all symbols with a name.
    fn places(&self, name: &str) -> &[u64] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    fn count(&self, name: &str) -> usize {
        self.places(name).len()
    }

    /// The addresses of these names, which are sorted. If a name has more
    /// addresses than occurrences in `names`, it is ambiguous and left out, as are hidden addresses.
    fn places_of_all(&self, names: &[String]) -> HashSet<u64> {
        names
            .chunk_by(|a, b| a == b)
            .filter_map(|same| {
                let places = self.places(&same[0]);
                (places.len() <= same.len()).then_some(places)
            })
            .flatten()
            .copied()
            .filter(|place| *place != 0)
            .collect()
    }

    /// Adds all other names of the addresses of `names`.
    fn with_other_names(&self, mut names: HashSet<String>) -> HashSet<String> {
        let places = names.iter().flat_map(|name| self.places(name));
        let places: HashSet<u64> = places.copied().filter(|place| *place != 0).collect();
        let others = self.by_name.iter();
        let others = others.filter(|(_, at)| at.iter().any(|place| places.contains(place)));
        names.extend(others.map(|(name, _)| name.clone()));
        names
    }

    /// Bytes to the next symbol, if addresses are known.
    fn size(&self, name: &str) -> Option<u64> {
        let start = *self.places(name).first()?;
        let next = self.addresses.partition_point(|&address| address <= start);
        (start != 0).then(|| self.addresses.get(next).map(|end| end - start))?
    }

    fn ambiguous(&self, name: &str) -> FunctionError {
        FunctionError::Ambiguous {
            count: self.count(name),
            places: self.probes_by_address(name).map_or_else(
                || {
                    format!(
                        "`kprobe:{BASE_SYMBOL}+OFFSET`, with addresses from /proc/kallsyms (as \
                root)"
                    )
                },
                |places| {
                    let places = places.iter().map(|place| format!("`{place}`"));
                    places.collect::<Vec<_>>().join(", ")
                },
            ),
        }
    }

    /// Texts of probes at all addresses of a name; `None` if they are hidden.
    fn probes_by_address(&self, name: &str) -> Option<Vec<String>> {
        let base = self.places(BASE_SYMBOL).first().copied();
        let base = base.filter(|&base| base != 0)?;
        let addresses = self.places(name).iter();
        addresses
            .map(|address| {
                let offset = address.checked_sub(base)?;
                Some(format!("kprobe:{BASE_SYMBOL}+{offset:#x}"))
            })
            .collect()
    }
}

/// Whether a text symbol is a function, not padding before one or a part that the compiler
/// split off.
pub(super) fn is_function_name(name: &str) -> bool {
    !name.starts_with("__pfx_") && !name.starts_with("__cfi_") && !name.contains(".cold")
}

/// Lines are `NAME` or `NAME [MODULE]`.
fn parse_filter_functions(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.split_ascii_whitespace().next())
        // Functions whose symbol was lost when the kernel was linked.
        .filter(|name| !name.starts_with("__ftrace_invalid_address__"))
        .map(ToOwned::to_owned)
        .collect()
}

/// Lines are `START-END NAME`.
fn parse_blacklist(text: &str) -> HashSet<String> {
    text.lines()
        .filter_map(|line| line.split_ascii_whitespace().nth(1))
        .map(ToOwned::to_owned)
        .collect()
}

#[cfg(test)]
mod tests;
