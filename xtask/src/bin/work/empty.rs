//! An eBPF program that returns at once: what entering one costs by itself.
#![allow(unsafe_code)]

use std::{
    ffi::CString,
    io,
    os::fd::{FromRawFd, OwnedFd},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result};

/// `BPF_PROG_LOAD` and `BPF_RAW_TRACEPOINT_OPEN` of `enum bpf_cmd`.
const PROG_LOAD: libc::c_int = 5;
const RAW_TRACEPOINT_OPEN: libc::c_int = 17;
/// `BPF_PROG_TYPE_RAW_TRACEPOINT` of `enum bpf_prog_type`.
const RAW_TRACEPOINT: u64 = 17;
/// `r0 = 0` and `exit`.
const INSTRUCTIONS: [u64; 2] = [0xb7, 0x95];

/// Runs a command while the program is attached to this raw tracepoint.
pub(super) fn run(tracepoint: &str, command: &[String]) -> Result<ExitCode> {
    let name = CString::new(tracepoint)?;
    let license = c"GPL";
    let count = (INSTRUCTIONS.len() as u64) << 32;
    let mut load = [
        RAW_TRACEPOINT | count,
        INSTRUCTIONS.as_ptr() as u64,
        license.as_ptr() as u64,
        0,
        0,
        0,
    ];
    let program = bpf(PROG_LOAD, &mut load).context("cannot load the empty program")?;
    let fd = std::os::fd::AsRawFd::as_raw_fd(&program) as u64;
    let mut open = [name.as_ptr() as u64, fd];
    let _link = bpf(RAW_TRACEPOINT_OPEN, &mut open)
        .with_context(|| format!("cannot attach to the raw tracepoint `{tracepoint}`"))?;
    let (program, args) = command.split_first().context("an empty command")?;
    let status = Command::new(program)
        .args(args)
        .status()
        .with_context(|| format!("cannot start `{program}`"))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

fn bpf(command: libc::c_int, attr: &mut [u64]) -> io::Result<OwnedFd> {
    // SAFETY: `attr` is as long as the call is told, and memory that it refers to is alive
    // in the caller above.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_mut_ptr(), size_of_val(attr)) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave this descriptor to us.
    Ok(unsafe { OwnedFd::from_raw_fd(result as i32) })
}
