//! Which recipes are certified.
//!
//! A recipe on a kernel is identified by a key: a hash of the event's format, of the arguments
//! of its raw tracepoint, of the members that its expressions follow, and of the expressions.
//! Whatever changes any of these changes the key. `certified.txt` has the keys of those whose
//! events were compared with perf's (`cargo xtask certify`).

use std::collections::HashSet;
use std::fmt;
use std::sync::OnceLock;

use crate::kernel::btf::Found;
use crate::kernel::tracefs::format::Format;

/// `KEY EVENT`, a line for each.
const CERTIFIED: &str = include_str!("certified.txt");

/// Identifies a recipe, with all of the kernel that it depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(u64);

impl Key {
    /// The key of a recipe.
    pub(super) fn new(
        format: &Format,
        tracepoint: &Found<'_>,
        followed: &[String],
        texts: &[String],
    ) -> Self {
        let mut hash = Hash::default();
        hash.line(&format.name);
        for field in &format.fields {
            hash.line(&format!(
                "field {} {} {} {} {} {:?}",
                field.name, field.c_type, field.offset, field.size, field.signed, field.shape
            ));
        }
        for argument in tracepoint.prototype.arguments() {
            let size = argument.ty.size().unwrap_or(0);
            hash.line(&format!(
                "argument {} {} {size}",
                argument.name, argument.ty
            ));
        }
        for member in followed {
            hash.line(member);
        }
        for text in texts {
            hash.line(text);
        }
        Self(hash.0)
    }

    /// Whether the recipe's events were compared with perf's.
    #[must_use]
    pub fn is_certified(self) -> bool {
        static KEYS: OnceLock<HashSet<Key>> = OnceLock::new();
        KEYS.get_or_init(|| keys(CERTIFIED)).contains(&self)
    }
}

/// Whether a recipe of this event is certified on some kernel.
#[must_use]
pub(super) fn names(system: &str, name: &str) -> bool {
    static EVENTS: OnceLock<HashSet<&str>> = OnceLock::new();
    let events = EVENTS.get_or_init(|| {
        let lines = CERTIFIED.lines().filter(|line| !line.starts_with('#'));
        lines
            .filter_map(|line| line.split_whitespace().nth(1))
            .collect()
    });
    events.contains(format!("{system}:{name}").as_str())
}

/// The keys of a table.
fn keys(table: &str) -> HashSet<Key> {
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    let words = lines.filter_map(|line| line.split_whitespace().next());
    words
        .filter_map(|word| u64::from_str_radix(word, 16).ok())
        .map(Key)
        .collect()
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// FNV-1a, which stays the same in all versions of the tracer.
struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    fn line(&mut self, line: &str) {
        for byte in line.bytes().chain([b'\n']) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        let mut hash = Hash::default();
        // FNV-1a of "foobar\n".
        hash.line("foobar");
        let mut expected = 0x8594_4171_f739_67e8_u64;
        expected = (expected ^ 0x0a).wrapping_mul(0x0100_0000_01b3);
        assert_eq!(hash.0, expected);
    }

    #[test]
    fn every_line_of_the_table_has_a_key_and_an_event() {
        for line in CERTIFIED.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [key, event] = words.as_slice() else {
                panic!("`{line}` is not `KEY EVENT`");
            };
            assert!(
                key.len() == 16 && u64::from_str_radix(key, 16).is_ok(),
                "{line}"
            );
            assert!(event.contains(':'), "{line}");
        }
        let mut lines: Vec<&str> = CERTIFIED.lines().collect();
        let before = lines.len();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), before, "a line appears twice");
    }

    #[test]
    fn keys_are_read_with_comments_left_out() {
        let table = "# comment\n00000000000000ff a:b\n0000000000000001 c:d\n";
        let expected = HashSet::from([Key(255), Key(1)]);
        assert_eq!(keys(table), expected);
        assert_eq!(Key(255).to_string(), "00000000000000ff");
    }
}
