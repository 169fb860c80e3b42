//! What each wing of the library uses: a wing uses only those below it. The compiler checks
//! `--no-default-features`; this checks the rest of the picture, path by path.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// A wing, and the paths of `crate::` that it may use besides its own. `trace::event` allows
/// that module alone.
const WINGS: [(&str, &[&str]); 9] = [
    ("names", &[]),
    ("sys", &[]),
    ("trace", &["names"]),
    ("kernel", &["names", "sys", "trace::event"]),
    ("probe", &["kernel", "names", "trace"]),
    ("doctor", &["kernel", "names", "sys"]),
    ("record", &["kernel", "names", "probe", "sys", "trace"]),
    ("view", &["names", "trace"]),
    (
        "cli",
        &[
            "doctor", "kernel", "names", "probe", "record", "sys", "trace", "view",
        ],
    ),
];

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Relative paths and texts of the source files in `folder`, in order.
fn read_sources(folder: &Path, files: &mut Vec<(PathBuf, String)>) {
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            read_sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            files.push((path.strip_prefix(sources()).unwrap().to_owned(), text));
        }
    }
}

/// Paths after `crate::` in the code of a line; comments may refer to any wing. The names of a
/// list in braces come one by one.
fn used_paths(line: &str) -> Vec<&str> {
    let code = line.split("//").next().unwrap_or_default();
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut paths = Vec::new();
    for after in code.split("crate::").skip(1) {
        if let Some(list) = after.strip_prefix('{') {
            let names = list.split(['}', ';']).next().unwrap_or_default();
            paths.extend(names.split(',').map(str::trim));
        } else {
            let path = after.split(|c| !is_path(c)).next().unwrap_or_default();
            paths.push(path.trim_end_matches("::"));
        }
    }
    paths
}

fn allows(allowed: &str, path: &str) -> bool {
    path.strip_prefix(allowed)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// What `text`, a file of `wing`, uses that it may not, as `file:line: path`.
fn forbidden(wing: &str, allowed: &[&str], file: &Path, text: &str) -> String {
    let mut found = String::new();
    for (number, line) in (1..).zip(text.lines()) {
        let paths = used_paths(line).into_iter();
        let outside = paths.filter(|path| !allows(wing, path));
        for path in outside.filter(|path| !allowed.iter().any(|allowed| allows(allowed, path))) {
            let file = file.display();
            writeln!(found, "src/{file}:{number}: `{wing}` uses `crate::{path}`").unwrap();
        }
    }
    found
}

#[test]
fn a_wing_uses_only_wings_below_it() {
    let mut found = String::new();
    for (wing, allowed) in WINGS {
        let mut files = Vec::new();
        read_sources(&sources().join(wing), &mut files);
        for (file, text) in files {
            found += &forbidden(wing, allowed, &file, &text);
        }
    }
    assert!(found.is_empty(), "see `WINGS` in this test\n{found}");
}

#[test]
fn every_module_is_in_a_wing() {
    let mut files = Vec::new();
    read_sources(&sources(), &mut files);
    let known = |file: &Path| {
        let first = file.components().next().unwrap().as_os_str();
        first == "lib.rs" || first == "main.rs" || WINGS.iter().any(|(wing, _)| first == *wing)
    };
    let unknown: Vec<_> = files.iter().filter(|(file, _)| !known(file)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn a_forbidden_use_is_found_wherever_it_stands() {
    let text = "use crate::trace::event::Field;\n\
                use crate::trace::{ctf, event};\n\
                // as crate::record does\n\
                use crate::{kernel, view};\n\
                fn f() { crate::record::programs::object(); }\n";
    let found = forbidden("kernel", &["trace::event"], Path::new("kernel/x.rs"), text);
    let lines: Vec<&str> = found.lines().collect();
    assert_eq!(
        lines,
        [
            "src/kernel/x.rs:2: `kernel` uses `crate::trace`",
            "src/kernel/x.rs:4: `kernel` uses `crate::view`",
            "src/kernel/x.rs:5: `kernel` uses `crate::record::programs::object`",
        ]
    );
}
