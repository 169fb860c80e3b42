//! Names as users type them: patterns, suggestions for misspelt names, messages that point
//! at a part of what was typed, and words quoted for a shell.

pub mod glob;
pub mod place;
pub mod quote;
pub mod shell;
mod suggest;
mod unique;

pub use suggest::{Suggestions, alternatives};
pub use unique::unique;
