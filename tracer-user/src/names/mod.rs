//! Names as users type them: patterns, suggestions for misspelt names, messages that point
//! at a part of what was typed, and words quoted for a shell.

pub mod glob;
pub mod place;
pub mod shell;
mod suggest;
mod unique;

pub use suggest::Suggestions;
pub use unique::unique;
