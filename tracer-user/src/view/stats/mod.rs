//! Statistics of a trace: events, bytes and rates by class, process and CPU, and losses; or any
//! events [grouped by fields](by).

pub mod by;
mod overview;
pub mod powers;

pub use overview::{Overview, Stats};
