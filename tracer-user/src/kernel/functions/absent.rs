//! Why a function cannot be probed although the kernel knows its name.

use std::fmt;

use crate::kernel::btf::KernelBtf;
use crate::kernel::files::{self, KernelFiles};
use crate::kernel::functions::{FunctionError, Functions, is_function_name};
use crate::names::{Suggestions, alternatives};

/// Suffixes that compilers give to a variant of a function, with
/// fewer arguments (`isra`), constant arguments (`constprop`), or a part of it (`part`).
const VARIANTS: [&str; 4] = ["isra", "constprop", "part", "llvm"];

/// Prefixes of the symbols of padding before functions.
const PADDING: [&str; 2] = ["__pfx_", "__cfi_"];

/// What is left of an inlined function: nothing, or a symbol with its cold branches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rest(Option<String>);

impl fmt::Display for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(symbol) => write!(f, ", leaving only `{symbol}`"),
            None => Ok(()),
        }
    }
}

/// Why `function` cannot be probed.
pub(super) fn reason(function: &str, functions: &Functions) -> FunctionError {
    if functions.has_symbol(function) {
        return match whole_of(function) {
            Some(whole) => FunctionError::Part(whole.to_owned()),
            None => FunctionError::Notrace,
        };
    }
    let variants = variants(function, functions);
    if !variants.is_empty() {
        let variants = variants.iter().map(|name| format!("kprobe:{name}"));
        return FunctionError::Variants {
            variants: alternatives(variants),
        };
    }
    if let Some(module) = module_of(function, functions.files()) {
        return FunctionError::NotLoaded { module };
    }
    let rest = split_off(function, functions)
        .first()
        .map(|&name| name.to_owned());
    if rest.is_some() || has_type(function, functions.files()) {
        return FunctionError::Inlined { rest: Rest(rest) };
    }
    let names = functions.names().iter().map(String::as_str);
    FunctionError::NoSuchFunction(Suggestions::near(function, names))
}

/// The function that a symbol is a part of, or the padding before.
fn whole_of(symbol: &str) -> Option<&str> {
    if is_function_name(symbol) {
        return None;
    }
    let name = PADDING
        .iter()
        .find_map(|prefix| symbol.strip_prefix(prefix))
        .unwrap_or(symbol);
    Some(name.split_once(".cold").map_or(name, |(whole, _)| whole))
}

/// The variants of a function that can be probed, sorted.
pub(super) fn variants<'a>(function: &str, functions: &'a Functions) -> Vec<&'a str> {
    let mut variants = split_off(function, functions);
    variants.retain(|name| is_variant(function, name) && functions.is_listed(name));
    variants
}

/// Symbols that begin with the function's name and a dot, sorted.
fn split_off<'a>(function: &str, functions: &'a Functions) -> Vec<&'a str> {
    let mut names: Vec<&str> = functions
        .symbols()
        .filter(|name| {
            name.strip_prefix(function)
                .is_some_and(|rest| rest.starts_with('.'))
        })
        .collect();
    names.sort_unstable();
    names
}

fn is_variant(function: &str, name: &str) -> bool {
    let suffix = name.get(function.len() + 1..).unwrap_or_default();
    VARIANTS.iter().any(|variant| suffix.starts_with(variant))
}

/// The module of this kernel that exports a symbol, loaded or not. `modules.symbols` of
/// depmod has lines such as `alias symbol:nft_do_chain nf_tables`.
fn module_of(symbol: &str, files: &KernelFiles) -> Option<String> {
    let release = files::read(&files.proc.join("sys/kernel/osrelease")).ok()?;
    let path = files.modules.join(release.trim()).join("modules.symbols");
    let text = files::read(&path).ok()?;
    text.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let alias = words.next()? == "alias" && words.next()?.strip_prefix("symbol:")? == symbol;
        words.next().filter(|_| alias).map(ToOwned::to_owned)
    })
}

/// Whether the kernel's BTF has the function, so that it existed at compile time.
fn has_type(function: &str, files: &KernelFiles) -> bool {
    match KernelBtf::read(&files.sys) {
        Ok(types) => types.function(function).is_some(),
        Err(error) => {
            log::debug!("cannot tell whether `{function}` was inlined: {error}");
            false
        }
    }
}
