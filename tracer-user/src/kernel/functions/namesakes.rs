//! Names that several functions of the kernel have: patterns leave them out, because a probe by
//! name would not reach all of them.

use std::fmt;

use crate::kernel::functions::{FunctionError, Functions, is_function_name};
use crate::names::glob;

/// How many names a message lists.
const MAX_SHOWN: usize = 4;

/// The functions of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namesakes {
    /// Their name.
    pub name: String,
    /// How many there are.
    pub count: usize,
    /// Texts of probes at their addresses; none if the kernel hides them.
    pub probes: Vec<String>,
}

impl Functions {
    /// Names that match a pattern and that several functions have, sorted.
    #[must_use]
    pub fn namesakes(&self, pattern: &str) -> Vec<Namesakes> {
        let mut names: Vec<&str> = self
            .symbols()
            .filter(|name| {
                self.symbols.count(name) > 1
                    && glob::matches(pattern, name)
                    && is_function_name(name)
                    && self.is_listed(name)
            })
            .collect();
        names.sort_unstable();
        let of = |name: &str| Namesakes {
            name: name.to_owned(),
            count: self.symbols.count(name),
            probes: self.symbols.probes_by_address(name).unwrap_or_default(),
        };
        names.into_iter().map(of).collect()
    }

    /// Why a pattern matches nothing, if it matches names of several functions.
    pub fn check_pattern(&self, pattern: &str) -> Result<(), FunctionError> {
        let namesakes = self.namesakes(pattern);
        if namesakes.is_empty() {
            return Ok(());
        }
        let mut shown: Vec<String> = namesakes
            .iter()
            .take(MAX_SHOWN)
            .map(ToString::to_string)
            .collect();
        if namesakes.len() > MAX_SHOWN {
            shown.push(format!("and {} more", namesakes.len() - MAX_SHOWN));
        }
        Err(FunctionError::OnlyNamesakes(shown.join("; ")))
    }
}

impl fmt::Display for Namesakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({} functions", self.name, self.count)?;
        for (index, probe) in self.probes.iter().enumerate() {
            let separator = if index == 0 { ": " } else { ", " };
            write!(f, "{separator}`{probe}`")?;
        }
        f.write_str(")")
    }
}
