//! Names as users type them: patterns, suggestions for misspelt names, and messages that point
//! at a part of what was typed.

pub mod glob;
pub mod place;
mod suggest;
mod unique;

pub use suggest::Suggestions;
pub use unique::unique;
