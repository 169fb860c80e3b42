//! Shell patterns over names: `*`, `?`, `[a-z]`, `[!a-z]`.

/// Whether `text` is a pattern rather than an exact name.
#[must_use]
pub fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether all of `name` matches `pattern`, byte by byte: the kernel's strings need not be
/// UTF-8. A `[` that is never closed matches itself.
#[must_use]
pub fn matches(pattern: impl AsRef<[u8]>, name: impl AsRef<[u8]>) -> bool {
    let (pattern, name) = (pattern.as_ref(), name.as_ref());
    let (mut p, mut n) = (0, 0);
    // Where to resume with the last `*` taking one more byte. One level of backtracking is
    // enough, so the time is at most the product of both lengths.
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            retry = Some((p, n));
        } else if let Some(width) = match_one(&pattern[p..], name[n]) {
            p += width;
            n += 1;
        } else if let Some((after_star, taken)) = retry {
            retry = Some((after_star, taken + 1));
            p = after_star;
            n = taken + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// A pattern as an automaton of at most 64 states, which a matcher can keep in one word.
///
/// State `i` means that the first `i` items other than `*` have matched. A byte changes the
/// set of states `s` to `((s & bytes[byte]) << 1) | (s & stars)`; the first is state 0 (bit 0).
/// The name matches if bit `last` is set after its last byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Automaton {
    /// Bit `i` of element `byte`: item `i` accepts that byte.
    pub bytes: Box<[u64; 256]>,
    /// Bit `i`: item `i` follows a `*`.
    pub stars: u64,
    /// The accepting state.
    pub last: u32,
}

impl Automaton {
    /// Compiles a pattern; `None` if it has more than 63 items other than `*`.
    #[must_use]
    pub fn new(pattern: &[u8]) -> Option<Self> {
        let mut automaton = Self {
            bytes: Box::new([0; 256]),
            stars: 0,
            last: 0,
        };
        let mut rest = pattern;
        while let Some(&first) = rest.first() {
            if first == b'*' {
                automaton.stars |= 1 << automaton.last;
                rest = &rest[1..];
                continue;
            }
            let mut width = 1;
            for byte in 0..=255u8 {
                if let Some(matched) = match_one(rest, byte) {
                    width = matched;
                    automaton.bytes[usize::from(byte)] |= 1 << automaton.last;
                }
            }
            rest = &rest[width..];
            automaton.last += 1;
            if automaton.last > 63 {
                return None;
            }
        }
        Some(automaton)
    }

    /// Whether it accepts `name`.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        let step = |states: u64, byte: &u8| {
            ((states & self.bytes[usize::from(*byte)]) << 1) | (states & self.stars)
        };
        name.iter().fold(1, step) >> self.last & 1 == 1
    }
}

/// If the first item of `pattern` accepts `byte`: the length of that item in bytes.
fn match_one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => match_class(pattern, byte),
        literal => (literal == byte).then_some(1),
    }
}

fn match_class(pattern: &[u8], byte: u8) -> Option<usize> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let start = if negated { 2 } else { 1 };
    // A `]` that comes first is a member, not the end.
    let Some(len) = pattern
        .get(start + 1..)
        .and_then(|rest| rest.iter().position(|&byte| byte == b']'))
    else {
        return (byte == b'[').then_some(1);
    };
    let end = start + 1 + len;
    let members = &pattern[start..end];
    let mut found = false;
    let mut i = 0;
    while i < members.len() {
        if members.get(i + 1) == Some(&b'-') && i + 2 < members.len() {
            found |= (members[i]..=members[i + 2]).contains(&byte);
            i += 3;
        } else {
            found |= members[i] == byte;
            i += 1;
        }
    }
    (found != negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_matches_any_text_even_none() {
        assert!(matches("sched_*", "sched_"));
        assert!(matches("*switch", "sched_switch"));
        assert!(matches("*a*b*", "xxaxxbxx"));
        assert!(!matches("*a*b", "ab_"));
    }

    #[test]
    fn the_whole_name_must_match() {
        assert!(!matches("sched", "sched_switch"));
        assert!(!matches("sched_switch", "sched"));
        assert!(matches("sched", "sched"));
    }

    #[test]
    fn classes_and_single_characters() {
        assert!(matches("dup[23]", "dup2"));
        assert!(!matches("dup[23]", "dup"));
        assert!(matches("dup[!0-2]", "dup3"));
        assert!(!matches("dup[!0-3]", "dup3"));
        assert!(matches("?up", "dup"));
    }

    #[test]
    fn a_bracket_that_is_never_closed_matches_itself() {
        assert!(matches("a[b", "a[b"));
        assert!(!matches("a[b", "ab"));
        assert!(matches("[]", "[]"));
    }

    #[test]
    fn names_need_not_be_utf8() {
        assert!(matches("a?*", b"a\xff"));
        assert!(!matches("a", b"a\xff"));
    }

    #[test]
    fn many_stars_do_not_take_exponential_time() {
        assert!(!matches("*a".repeat(40), "a".repeat(39)));
    }

    /// Mostly patterns of a few different bytes, so that many match.
    fn bytes(of_pattern: bool) -> impl Strategy<Value = Vec<u8>> {
        let signs = if of_pattern {
            "[ab*?\\[\\]!^-]{0,14}"
        } else {
            "[ab\\[\\]!^-]{0,10}"
        };
        prop_oneof![
            9 => signs.prop_map(String::into_bytes),
            1 => prop::collection::vec(any::<u8>(), 0..70),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 4_000,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn the_automaton_accepts_what_matches(pattern in bytes(true), name in bytes(false)) {
            if let Some(automaton) = Automaton::new(&pattern) {
                prop_assert_eq!(automaton.matches(&name), matches(&pattern, &name));
            }
        }

        #[test]
        fn every_name_matches_itself(name in "[a-z_.0-9]{0,63}") {
            prop_assert!(matches(&name, &name));
            prop_assert!(Automaton::new(name.as_bytes()).unwrap().matches(name.as_bytes()));
        }
    }

    #[test]
    fn an_automaton_has_at_most_63_items_other_than_stars() {
        let longest = format!("*{}*", "[ab]*".repeat(63));
        let name = "xa".repeat(63);
        let automaton = Automaton::new(longest.as_bytes()).unwrap();
        assert!(automaton.matches(name.as_bytes()));
        assert!(!automaton.matches(&name.as_bytes()[2..]));
        assert_eq!(Automaton::new("a".repeat(64).as_bytes()), None);
    }

    #[test]
    fn a_class_that_accepts_nothing_matches_nothing() {
        let automaton = Automaton::new(b"x[b-a]*").unwrap();
        assert!(!automaton.matches(b"xa") && !matches("x[b-a]*", "xa"));
    }
}
