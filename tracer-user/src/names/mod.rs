//! Names as users type them: patterns that stand for many, and what may have been meant
//! by one that does not exist; and places in what was typed.

pub mod glob;
pub mod place;
mod suggest;
mod unique;

pub use suggest::Suggestions;

pub(crate) use unique::unique;
