//! Names that occur once.

use std::collections::HashSet;

/// Returns `name`, or the first of `name_2`, `name_3`, … that is not in `names` yet, and adds
/// it there: a trace cannot have two fields of the same name.
#[must_use]
pub fn unique<S: std::hash::BuildHasher>(name: &str, names: &mut HashSet<String, S>) -> String {
    let mut candidate = name.to_owned();
    let mut number = 2;
    while !names.insert(candidate.clone()) {
        candidate = format!("{name}_{number}");
        number += 1;
    }
    candidate
}
