//! Fetch lists: what users type between braces.

use std::fmt;
use std::str::FromStr;

use crate::probe::fetch::error::FetchError;
use crate::probe::fetch::scope::Scope;
use crate::probe::fetch::syntax::Item;
use crate::probe::fetch::value::Fetched;
use crate::probe::fetch::{parser, walk};

/// The list of values that a probe fetches, as typed between its braces. Displays without
/// the braces; lists that differ only in blanks are equal.
#[derive(Clone, Debug)]
pub struct FetchList {
    text: String,
    items: Vec<Item>,
}

impl FetchList {
    /// Parses the text between the braces. Names and types are resolved later.
    pub fn parse(text: &str) -> Result<Self, FetchError> {
        let items = parser::parse(text).map_err(|fault| FetchError::new(text, fault))?;
        Ok(Self {
            text: text.to_owned(),
            items,
        })
    }

    /// Resolves the values from what is available when the probe fires.
    ///
    /// # Errors
    /// If an argument, field, member or type does not exist, or a value cannot be recorded in
    /// its format.
    pub fn resolve(&self, scope: &Scope<'_>) -> Result<Vec<Fetched>, FetchError> {
        walk::resolve(&self.items, scope).map_err(|fault| FetchError::new(&self.text, fault))
    }

    /// As typed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The values, in order; at least one, at most [`MAX_FETCHED`](super::MAX_FETCHED).
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }
}

impl PartialEq for FetchList {
    fn eq(&self, other: &Self) -> bool {
        self.items == other.items
    }
}

impl Eq for FetchList {}

impl FromStr for FetchList {
    type Err = FetchError;

    fn from_str(text: &str) -> Result<Self, FetchError> {
        Self::parse(text)
    }
}

impl fmt::Display for FetchList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.items.iter().enumerate() {
            write!(f, "{}{item}", if index > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}
