//! Calls whose arguments are the same each time, and cover what filters and fetches compare.
#![allow(unsafe_code)]

use std::ffi::{CString, c_char, c_long};
use std::fs::File;
use std::hint::black_box;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::measured::{Times, measured};

/// Descriptors that are not open, to recognise these calls.
const NOT_OPEN: c_long = -7;
/// A descriptor that is.
const OPEN: c_long = 100;

/// File names; those that are built are long.
const NAMES: [&str; 20] = [
    "",
    "a",
    "ab",
    "abc",
    "abcd",
    "abd",
    "file.txt",
    "file.rs",
    "a*c",
    "a?c",
    "[ab]",
    "a\\b\"c'",
    "dir/file.txt",
    "dir/sub/file.rs",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaab",
    "ababababababababababac",
    "Größe",
    " blank ",
    "x.tar.gz",
    "none",
];

/// Lengths around what is read of a string in one go, and what an event keeps of one.
const LENGTHS: [usize; 12] = [62, 63, 64, 65, 126, 127, 128, 1000, 4032, 4094, 4095, 4096];

/// Names of threads: the kernel keeps 15 bytes.
const COMMS: [&str; 7] = [
    "w",
    "worker/0",
    "worker/10",
    "fifteen--bytes-",
    "more than fifteen bytes",
    "a b",
    "work",
];

const NUMBERS: [i64; 18] = [
    0,
    1,
    2,
    3,
    7,
    8,
    100,
    255,
    256,
    4095,
    -1,
    -2,
    -100,
    i32::MAX as i64,
    i32::MIN as i64,
    u32::MAX as i64,
    i64::MAX,
    i64::MIN,
];

/// Makes the calls.
pub(super) fn make_calls() -> Result<()> {
    // A file that can be sought in, so that calls return numbers of many kinds.
    let file = File::open("/proc/self/exe").context("cannot open this program")?;
    // SAFETY: duplicates a descriptor to an unused number.
    if unsafe { libc::dup2(file.as_raw_fd(), OPEN as i32) } != OPEN as i32 {
        bail!("cannot duplicate a file descriptor");
    }
    for number in NUMBERS {
        for whence in [0, 1, 7] {
            call(libc::SYS_lseek, [OPEN, number, whence, 0]);
        }
        // Seeks to the current position, which standard input and output keep.
        call(libc::SYS_lseek, [number, 0, 1, 0]);
        call(
            libc::SYS_setpriority,
            [99, number, -number.clamp(-20, 20), 0],
        );
        call(libc::SYS_fadvise64, [NOT_OPEN, number, number, number]);
        call(libc::SYS_fchmod, [NOT_OPEN, number, 0, 0]);
    }
    let long = LENGTHS
        .iter()
        .map(|&length| "long".repeat(1100)[..length].to_owned());
    let names: Vec<String> = NAMES
        .iter()
        .map(|&name| name.to_owned())
        .chain(long)
        .collect();
    for (number, name) in names.iter().enumerate() {
        let name = CString::new(name.as_str())?;
        let other = CString::new(names[names.len() - 1 - number].as_str())?;
        let (name, other) = (name.as_ptr() as c_long, other.as_ptr() as c_long);
        let number = number as c_long;
        call(libc::SYS_openat, [NOT_OPEN, name, number, number * 37]);
        call(
            libc::SYS_renameat,
            [NOT_OPEN, name, NOT_OPEN - number, other],
        );
    }
    for name in COMMS {
        let name = CString::new(name)?;
        call(
            libc::SYS_prctl,
            [libc::PR_SET_NAME.into(), name.as_ptr() as c_long, 0, 0],
        );
    }
    Ok(())
}

/// A call that may fail; none of those above changes anything, but the name of the thread.
fn call(number: c_long, [first, second, third, fourth]: [c_long; 4]) {
    // SAFETY: strings are alive and end with NUL; no other memory is handed over.
    black_box(unsafe { libc::syscall(number, first, second, third, fourth) });
}

/// Executes this program again by each of these names in turn.
pub(super) fn chain(names: &[PathBuf]) -> Result<()> {
    let Some((first, others)) = names.split_first() else {
        return Ok(());
    };
    let error = Command::new(first).arg("chain").args(others).exec();
    Err(error).with_context(|| format!("cannot execute `{}`", first.display()))
}

/// A function for probes of programs: returns three times `number` and one more.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn work_probed(number: u64, text: *const c_char, signed: i32) -> u64 {
    black_box((text, signed));
    black_box(number) * 3 + 1
}

/// Calls that function with numbers from 0, a text that has the number, and its negative; the
/// text of every fourth call cannot be read.
pub(super) fn call_function(count: u64) -> Result<Times> {
    let mut number = 0;
    measured(count, || {
        let text = CString::new(format!("call {number}"))?;
        let text = match number % 4 {
            // The first page is never mapped.
            3 => std::ptr::without_provenance(8),
            _ => text.as_ptr(),
        };
        black_box(work_probed(number, text, -(number as i32)));
        number += 1;
        Ok(())
    })
}

/// A function that calls getppid(2) directly, not through a library: there the stack of the
/// call begins.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn work_asks_for_its_parent() {
    black_box(rustix::process::getppid());
}

/// Calls that function.
pub(super) fn ask(count: u64) {
    for _ in 0..count {
        work_asks_for_its_parent();
    }
}
