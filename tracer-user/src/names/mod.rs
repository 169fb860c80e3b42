//! Names as users type them: patterns that stand for many, and what may have been meant
//! by one that does not exist.

pub mod glob;
mod suggest;

pub use suggest::Suggestions;
