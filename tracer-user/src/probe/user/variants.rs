//! Variants of functions that compilers make: `f.isra.0` with fewer arguments, `f.constprop.0`
//! with constant ones.

use std::collections::BTreeSet;

use crate::probe::user::elf::{Contents, Symbol};

/// Their suffixes. `part` and `cold` are parts of functions.
const SUFFIXES: [&str; 3] = [".isra.", ".constprop.", ".llvm."];

/// The variants of a function, sorted.
pub(super) fn of(contents: &Contents, name: &str) -> BTreeSet<String> {
    let is_variant = |symbol: &&Symbol| {
        let suffix = symbol.name.strip_prefix(name);
        suffix.is_some_and(|suffix| {
            SUFFIXES.iter().any(|known| suffix.starts_with(known)) && !suffix.contains(".cold")
        })
    };
    let symbols = contents.symbols.iter().filter(is_variant);
    symbols.map(|symbol| symbol.name.clone()).collect()
}

/// The variants that exist besides these symbols.
pub(super) fn note(contents: &Contents, symbols: &[&Symbol]) -> Option<String> {
    let variants = of(contents, &symbols.first()?.name);
    let variants: Vec<String> = variants.iter().map(|name| format!("`{name}`")).collect();
    (!variants.is_empty()).then(|| {
        format!(
            "calls may also use variants of it made by the compiler, which this probe does not \
             record: {}",
            variants.join(", ")
        )
    })
}
