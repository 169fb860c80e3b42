//! The parsers, and what must hold of whatever they accept.

pub(crate) mod btf;
pub(crate) mod filter;
pub(crate) mod format;
pub(crate) mod probe;
pub(crate) mod trace;

/// A parser.
pub(crate) struct Subject {
    /// Also that of its folder in the corpus.
    pub(crate) name: &'static str,
    /// What its inputs are made of, and what they are not.
    pub(crate) tokens: &'static [&'static str],
    /// Mutations where nobody asks for a number.
    pub(crate) default_runs: u64,
    /// Takes an input and panics where something does not hold.
    pub(crate) run: fn(&[u8]) -> Outcome,
}

/// What became of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It means something.
    Accepted,
    /// It is an error, or has nothing in it.
    Refused,
}

impl From<bool> for Outcome {
    fn from(accepted: bool) -> Self {
        if accepted {
            Self::Accepted
        } else {
            Self::Refused
        }
    }
}
