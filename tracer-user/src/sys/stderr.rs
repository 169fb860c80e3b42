//! Messages on standard error.
//!
//! If they cannot be printed, because a disk is full or the terminal is gone, the recording goes
//! on and the exit status stays what it is. The macros of the standard library would panic.

use std::fmt;
use std::io::{Write as _, stderr};

/// Prints a line, in one write if possible. Errors are ignored.
pub fn line(text: fmt::Arguments<'_>) {
    print(&format!("{text}\n"));
}

/// Prints `text`. Errors are ignored.
pub fn print(text: &str) {
    let mut out = stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints a line on standard error, like `eprintln!`, but ignores errors.
macro_rules! message {
    ($($text:tt)*) => {
        $crate::sys::stderr::line(format_args!($($text)*))
    };
}
pub(crate) use message;
