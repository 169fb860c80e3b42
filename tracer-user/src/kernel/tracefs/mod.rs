//! tracefs: where it is mounted, and the format files of its events.

mod constant;
pub mod ctype;
pub mod format;
pub mod labels;
pub mod mount;
pub mod print_fmt;
