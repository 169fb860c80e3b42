//! Names of C++ and Rust functions as people write them.

use std::borrow::Cow;

use cpp_demangle::{DemangleOptions, Symbol};

/// The names that one symbol of C++ or Rust has, from the whole name to the shortest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// With parameters: `ns::f<int>(char const*)`. Rust has none.
    pub(super) whole: String,
    /// Without parameters: `ns::f<int>`.
    short: String,
    /// Without template arguments at its end, too: `ns::f`.
    plain: String,
}

impl Names {
    /// `None` if the symbol is not mangled, or is a part of a function that the compiler split
    /// off.
    pub(super) fn of(symbol: &str) -> Option<Self> {
        if let Ok(rust) = rustc_demangle::try_demangle(symbol) {
            // The hash at the end of older names distinguishes copies of one function.
            let whole = format!("{rust:#}");
            return (!is_clone(&whole)).then(|| Self::from_parts(whole.clone(), whole));
        }
        if !symbol.starts_with("_Z") {
            return None;
        }
        let parsed = Symbol::new(symbol).ok()?;
        let options = DemangleOptions::new().no_return_type();
        let whole = parsed.demangle_with_options(&options).ok()?;
        let short = parsed.demangle_with_options(&options.no_params()).ok()?;
        (!is_clone(&whole)).then(|| Self::from_parts(whole, short))
    }

    fn from_parts(whole: String, short: String) -> Self {
        let plain = without_arguments(&short).to_owned();
        Self {
            whole,
            short,
            plain,
        }
    }

    /// Whether the function is called this. Blanks do not count.
    pub(super) fn are(&self, name: &str) -> bool {
        let name = without_blanks(name);
        let mut all = self.all();
        all.any(|known| without_blanks(known) == name)
    }

    /// The names, the whole one first.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        [&self.whole, &self.short, &self.plain]
            .into_iter()
            .map(String::as_str)
    }
}

/// A variant or a part: `f(int) [clone .cold]`, `f.llvm.1`.
fn is_clone(name: &str) -> bool {
    name.contains(" [clone ") || name.contains(".cold")
}

/// `f` for `f<int>` and for `f::<u32>`.
fn without_arguments(name: &str) -> &str {
    if !name.ends_with('>') || name.contains("operator") {
        return name;
    }
    let mut depth = 0_usize;
    for (at, c) in name.char_indices().rev() {
        match c {
            '>' => depth += 1,
            '<' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            let rest = name[..at].trim_end_matches("::");
            return if rest.is_empty() { name } else { rest };
        }
    }
    name
}

fn without_blanks(text: &str) -> Cow<'_, str> {
    if text.contains(' ') {
        Cow::Owned(text.replace(' ', ""))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(symbol: &str) -> Vec<String> {
        let names = Names::of(symbol).unwrap();
        names.all().map(ToOwned::to_owned).collect()
    }

    #[test]
    fn a_function_of_cpp_has_names_with_and_without_parameters() {
        let expected = ["foo::bar(int, char const*)", "foo::bar", "foo::bar"];
        assert_eq!(names("_ZN3foo3barEiPKc"), expected);
        let template = ["add<int>(int)", "add<int>", "add"];
        assert_eq!(names("_Z3addIiEiT_"), template);
    }

    #[test]
    fn a_function_of_rust_has_no_hash() {
        let expected = ["a::b", "a::b", "a::b"];
        assert_eq!(names("_ZN1a1b17h0123456789abcdefE"), expected);
        assert_eq!(names("_RNvCs1234_4mine3foo")[0], "mine::foo");
    }

    #[test]
    fn other_symbols_and_parts_of_functions_have_none() {
        for symbol in [
            "main",
            "_ZN3foo3barEi.cold",
            "_Zzz",
            "_ZN1a1b17h0123456789abcdefE.cold",
        ] {
            assert_eq!(Names::of(symbol), None, "{symbol}");
        }
    }

    #[test]
    fn blanks_do_not_count() {
        let names = Names::of("_ZN3foo3barEiPKc").unwrap();
        assert!(names.are("foo::bar(int,char const *)"));
        assert!(names.are("foo::bar"));
        assert!(!names.are("bar"));
    }
}
