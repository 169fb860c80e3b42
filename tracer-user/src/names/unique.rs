//! Names that are there once.

use std::collections::HashSet;

/// `name`, or `name_2`, `name_3`, …: the first that is not among `names` yet, which it
/// then is. Two fields of one name could not be told apart in a trace.
pub(crate) fn unique(name: &str, names: &mut HashSet<String>) -> String {
    let mut candidate = name.to_owned();
    let mut number = 2;
    while !names.insert(candidate.clone()) {
        candidate = format!("{name}_{number}");
        number += 1;
    }
    candidate
}
