//! The `use` declarations of a source file that rustfmt has formatted.

/// Groups of imports, in the order in which they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    Std,
    External,
    Own,
}

/// A `use` declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Use {
    /// Its first line, counted from 1.
    pub(super) line: usize,
    /// `pub `, `pub(crate) `, or empty.
    pub(super) visibility: String,
    /// Whether an attribute precedes it: such a declaration is compared with no other.
    pub(super) has_attribute: bool,
    /// The path up to the braces or the last name.
    pub(super) module: String,
    /// What is imported from there.
    pub(super) names: Vec<String>,
    /// The first line of the block that it stands in; 0 at the top level.
    pub(super) scope: usize,
    /// Whether that block is `mod tests { … }`.
    pub(super) in_tests: bool,
    /// Whether only blank lines, comments or attributes separate it from the previous one, and
    /// whether any of these is blank.
    pub(super) after: Option<bool>,
}

impl Use {
    pub(super) fn group(&self) -> Group {
        let first = self.module.split("::").next().unwrap_or_default();
        let first = match (first, self.names.first()) {
            ("", Some(name)) => name,
            _ => first,
        };
        match first {
            "std" | "core" | "alloc" => Group::Std,
            "crate" | "self" | "super" => Group::Own,
            _ => Group::External,
        }
    }
}

/// Finds the declarations of a file, and the names of the modules that it declares.
pub(super) fn parse(text: &str) -> (Vec<Use>, Vec<String>) {
    let mut uses = Vec::new();
    let mut modules = Vec::new();
    // Lines that open a block, with their indentation.
    let mut blocks: Vec<(usize, usize, bool)> = Vec::new();
    let mut after = None;
    let mut has_attribute = false;
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let code = line.trim_start();
        if code.is_empty() {
            after = after.map(|_| true);
            continue;
        }
        if code.starts_with("//") {
            continue;
        }
        if code.starts_with("#[") {
            has_attribute = true;
            continue;
        }
        let indent = line.len() - code.len();
        blocks.retain(|(_, outer, _)| *outer < indent);
        let (visibility, item) = split_visibility(code);
        if let Some(first) = item.strip_prefix("use ").filter(|path| is_path(path)) {
            let mut path = first.trim().to_owned();
            while !path.ends_with(';') {
                let Some((_, more)) = lines.next() else { break };
                path.push_str(more.trim());
            }
            let (module, names) = split_path(path.trim_end_matches(';'));
            let block = blocks.last();
            uses.push(Use {
                line: index + 1,
                visibility: visibility.to_owned(),
                has_attribute,
                module,
                names,
                scope: block.map_or(0, |(line, ..)| *line),
                in_tests: block.is_some_and(|(.., is_tests)| *is_tests),
                after,
            });
            after = Some(false);
        } else {
            if let Some(name) = item
                .strip_prefix("mod ")
                .and_then(|name| name.strip_suffix(';'))
            {
                modules.push(name.to_owned());
            }
            if code.ends_with('{') {
                blocks.push((index + 1, indent, item == "mod tests {"));
            }
            after = None;
        }
        has_attribute = false;
    }
    (uses, modules)
}

/// Whether this begins a declaration, and not a line of a string.
fn is_path(text: &str) -> bool {
    let is_of_path = |letter: char| letter.is_ascii_alphanumeric() || "_:{},* ;".contains(letter);
    text.chars().all(is_of_path) && text.ends_with([';', '{'])
}

fn split_visibility(code: &str) -> (&str, &str) {
    let Some(rest) = code.strip_prefix("pub") else {
        return ("", code);
    };
    let len = if rest.starts_with('(') {
        rest.find(") ").map(|end| end + 2)
    } else {
        rest.starts_with(' ').then_some(1)
    };
    len.map_or(("", code), |len| code.split_at("pub".len() + len))
}

/// `a::b::{c, d}` is `c` and `d` of `a::b`, and `a::b` is `b` of `a`.
fn split_path(path: &str) -> (String, Vec<String>) {
    if let Some((module, names)) = path.split_once('{') {
        let names = names.strip_suffix('}').unwrap_or(names);
        let names = names.split(',').map(|name| name.trim().to_owned());
        let names = names.filter(|name| !name.is_empty()).collect();
        return (module.trim_end_matches("::").to_owned(), names);
    }
    let (module, name) = path.rsplit_once("::").unwrap_or(("", path));
    (module.to_owned(), vec![name.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str) -> Use {
        let (uses, _) = parse(text);
        assert_eq!(uses.len(), 1, "{uses:?}");
        uses.into_iter().next().unwrap()
    }

    #[test]
    fn a_declaration_of_several_lines_is_one() {
        let found = only("pub(crate) use a::b::{\n    c,\n    d as e,\n};\n");
        assert_eq!(
            (found.module.as_str(), found.names),
            ("a::b", vec!["c".to_owned(), "d as e".to_owned()])
        );
        assert_eq!(found.visibility, "pub(crate) ");
    }

    #[test]
    fn the_last_name_is_imported_from_the_rest() {
        let found = only("use std::path::Path;\n");
        assert_eq!((found.module.as_str(), found.line), ("std::path", 1));
        assert_eq!(found.names, ["Path"]);
    }

    #[test]
    fn groups_depend_on_the_first_name() {
        let group = |text| only(text).group();
        assert_eq!(group("use std::fs;\n"), Group::Std);
        assert_eq!(group("use libc;\n"), Group::External);
        assert_eq!(group("use super::*;\n"), Group::Own);
    }

    #[test]
    fn each_block_is_a_scope() {
        let (uses, _) = parse("use a::b;\n\nmod tests {\n    use super::*;\n}\nuse a::c;\n");
        let scopes: Vec<_> = uses.iter().map(|found| found.scope).collect();
        assert_eq!(scopes, [0, 3, 0]);
        assert!(uses[1].in_tests && !uses[2].in_tests);
    }

    #[test]
    fn modules_of_the_file_are_found() {
        assert_eq!(parse("mod a;\npub mod b;\nmod c {}\n").1, ["a", "b"]);
    }

    #[test]
    fn comments_and_sentences_are_skipped() {
        assert_eq!(
            parse("// use a::b;\n/// use c::d;\nuse less memory\n").0,
            []
        );
    }
}
