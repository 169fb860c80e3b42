//! Names of sessions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Characters of a name at most. With the folder's path it must fit into the address of a
/// socket, which has 108 bytes.
const MAX_LEN: usize = 64;

/// The name of a session; safe as the name of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionName(String);

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{0}` is not a session name; write 1 to {MAX_LEN} letters, digits, `-`, `_` or `.`, not \
     starting with `.`"
)]
pub struct NameError(String);

impl SessionName {
    /// The name of a recording that was given none.
    #[must_use]
    pub fn of_process(pid: u32) -> Self {
        Self(format!("record-{pid}"))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name for the folder of a snapshot that is taken now: `snapshot-NAME-DATE-TIME`.
    #[must_use]
    pub fn snapshot_folder(&self) -> String {
        format!(
            "snapshot-{self}-{}",
            jiff::Zoned::now().strftime("%Y%m%d-%H%M%S-%3f")
        )
    }
}

impl FromStr for SessionName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if (1..=MAX_LEN).contains(&text.len())
            && !text.starts_with('.')
            && text.chars().all(allowed)
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError(text.to_owned()))
        }
    }
}

impl TryFrom<String> for SessionName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<SessionName> for String {
    fn from(name: SessionName) -> Self {
        name.0
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_name(text: &str) -> bool {
        text.parse::<SessionName>().is_ok()
    }

    #[test]
    fn letters_digits_and_a_few_signs_make_a_name() {
        assert!(is_name("demo"));
        assert!(is_name("a.b-C_9"));
        assert!(is_name("-"));
        assert!(is_name(&"x".repeat(64)));
    }

    #[test]
    fn what_could_lead_out_of_the_folder_or_confuse_a_reader_is_no_name() {
        for text in ["", ".", "..", ".hidden", "a/b", "a b", "a\n", "ü", "a\0"] {
            assert!(!is_name(text), "{text:?}");
        }
        assert!(!is_name(&"x".repeat(65)));
    }

    #[test]
    fn the_default_name_is_a_name() {
        assert!(is_name(SessionName::of_process(u32::MAX).as_str()));
    }

    #[test]
    fn a_name_from_json_is_checked() {
        assert!(serde_json::from_str::<SessionName>(r#""demo""#).is_ok());
        assert!(serde_json::from_str::<SessionName>(r#""../demo""#).is_err());
    }
}
