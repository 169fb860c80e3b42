//! The dialect of imports: what rustfmt would do with its unstable options
//! `imports_granularity = "Module"` and `group_imports = "StdExternalCrate"`, and how own
//! modules are named.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use self::statement::{Group, Use};
use crate::workspace;

mod statement;

/// Checks every source file of the workspace.
///
/// # Errors
/// If a file cannot be read or breaks a rule; the error lists each place and what to write.
pub(super) fn check() -> Result<()> {
    let mut findings = Vec::new();
    for path in sources(workspace::root())? {
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        let name = path.strip_prefix(workspace::root()).unwrap_or(&path);
        for (line, finding) in findings_in(name, &text) {
            findings.push(format!("{}:{line}: {finding}", name.display()));
        }
    }
    if !findings.is_empty() {
        bail!("imports to rewrite:\n      {}", findings.join("\n      "));
    }
    Ok(())
}

/// All Rust files below `root` that are no build products.
fn sources(root: &Path) -> Result<Vec<PathBuf>> {
    let mut sources = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).with_context(|| format!("cannot read `{}`", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() {
                if !name.starts_with('.') && name != "target" {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(path);
            }
        }
    }
    sources.sort();
    Ok(sources)
}

/// The lines of a file that break a rule, and what to write there.
fn findings_in(name: &Path, text: &str) -> Vec<(usize, String)> {
    let (uses, modules) = statement::parse(text);
    let is_of_tests = |part: &OsStr| Path::new(part).file_stem().is_some_and(is_tests);
    let is_test_file = name.iter().any(is_of_tests);
    let mut findings = Vec::new();
    for (index, this) in uses.iter().enumerate() {
        let mut find = |finding: String| findings.push((this.line, finding));
        if this.names.iter().any(|name| name.contains(['{', '}'])) {
            find(format!(
                "write one `use` per module instead of the braces within `{}::{{…}}`",
                this.module
            ));
            continue;
        }
        let before = &uses[..index];
        if let Some(other) = before.iter().find(|other| are_of_one_module(other, this)) {
            find(format!(
                "write `{}` in line {}",
                declaration(this, other.names.iter().chain(&this.names)),
                other.line
            ));
        }
        if let Some(path) = path_of_own(this, &modules, is_test_file) {
            find(path);
        }
        if let Some(previous) = before.last()
            && let Some(has_blank) = this.after
            && are_neighbours(previous, this)
        {
            let (previous, group) = (previous.group(), this.group());
            if group < previous {
                find(format!(
                    "move it above the imports of the {}",
                    noun(previous)
                ));
            } else if group > previous && !has_blank {
                find(format!(
                    "put a blank line above the imports of the {}",
                    noun(group)
                ));
            } else if group == previous && has_blank && this.visibility.is_empty() {
                find("remove the blank line above it".to_owned());
            }
        }
    }
    findings
}

fn is_tests(stem: &OsStr) -> bool {
    stem.to_string_lossy().ends_with("tests")
}

/// How a path to a module of this crate must begin, if it begins otherwise.
fn path_of_own(this: &Use, modules: &[String], is_test_file: bool) -> Option<String> {
    let first = this.module.split("::").next()?;
    if first == "super" {
        let is_glob = this.module == "super" && this.names == ["*"];
        let is_allowed = is_glob && (this.in_tests || is_test_file);
        return (!is_allowed).then(|| "write the path from `crate::`".to_owned());
    }
    // Re-exports read better without.
    let is_private = this.visibility.is_empty() && this.scope == 0;
    (is_private && modules.iter().any(|module| module == first))
        .then(|| format!("write `self::{}`", this.module))
}

/// Whether the rules compare these two.
fn are_neighbours(one: &Use, other: &Use) -> bool {
    one.scope == other.scope
        && one.visibility == other.visibility
        && !one.has_attribute
        && !other.has_attribute
}

fn are_of_one_module(one: &Use, other: &Use) -> bool {
    are_neighbours(one, other)
        && one.module == other.module
        // `std::{fs, io}`, but `libc` and `clap` are two.
        && !one.module.is_empty()
}

fn declaration<'a>(this: &Use, names: impl Iterator<Item = &'a String>) -> String {
    let mut names: Vec<&str> = names.map(String::as_str).collect();
    names.sort_unstable();
    format!(
        "{}use {}::{{{}}};",
        this.visibility,
        this.module,
        names.join(", ")
    )
}

fn noun(group: Group) -> &'static str {
    match group {
        Group::Std => "standard library",
        Group::External => "external crates",
        Group::Own => "own crate",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<(usize, String)> {
        findings_in(Path::new("src/a.rs"), text)
    }

    #[test]
    fn a_file_in_the_dialect_has_no_findings() {
        let text = "use std::fs;\nuse std::io::{self, Read};\n\nuse anyhow::Result;\n\n\
                    use self::c::D;\nuse crate::a::B;\n\nmod c;\n\n\
                    mod tests {\n    use super::*;\n}\n";
        assert_eq!(findings(text), []);
    }

    #[test]
    fn two_imports_of_one_module_are_joined() {
        assert_eq!(
            findings("use std::io::Write;\nuse std::io::Read;\n"),
            [(
                2,
                "write `use std::io::{Read, Write};` in line 1".to_owned()
            )]
        );
    }

    #[test]
    fn imports_of_two_blocks_stay_apart() {
        let text = "fn a() {\n    use b::c;\n}\nfn d() {\n    use b::e;\n}\n";
        assert_eq!(findings(text), []);
    }

    #[test]
    fn a_conditional_import_stays_apart() {
        assert_eq!(findings("use a::b;\n#[cfg(test)]\nuse a::c;\n"), []);
    }

    #[test]
    fn braces_within_braces_are_found() {
        let found = findings("use std::{fs, io::{Read, Write}};\n");
        assert!(found[0].1.contains("one `use` per module"), "{found:?}");
    }

    #[test]
    fn groups_are_separated_by_a_blank_line() {
        assert_eq!(
            findings("use std::fs;\nuse anyhow::Result;\n"),
            [(
                2,
                "put a blank line above the imports of the external crates".to_owned()
            )]
        );
    }

    #[test]
    fn a_group_is_one_block() {
        assert_eq!(
            findings("use std::fs;\n\nuse std::io::Read;\n"),
            [(3, "remove the blank line above it".to_owned())]
        );
    }

    #[test]
    fn groups_are_in_order() {
        assert_eq!(
            findings("use crate::a::B;\n\nuse std::fs;\n"),
            [(3, "move it above the imports of the own crate".to_owned())]
        );
    }

    #[test]
    fn paths_of_other_modules_begin_at_the_crate() {
        assert_eq!(
            findings("use super::a::B;\n"),
            [(1, "write the path from `crate::`".to_owned())]
        );
    }

    #[test]
    fn everything_of_the_parent_is_for_tests_alone() {
        assert_eq!(findings("use super::*;\n").len(), 1);
        assert_eq!(
            findings_in(Path::new("src/a_tests.rs"), "use super::*;\n"),
            []
        );
    }

    #[test]
    fn modules_of_the_file_are_named_from_self() {
        assert_eq!(
            findings("use a::B;\n\nmod a;\n"),
            [(1, "write `self::a`".to_owned())]
        );
    }
}
