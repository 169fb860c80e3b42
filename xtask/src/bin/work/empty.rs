//! An eBPF program that returns at once: what entering one costs by itself.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Command, ExitCode};
use std::{fs, io};

use anyhow::{Context, Result};

/// Of `enum bpf_cmd`.
const PROG_LOAD: libc::c_int = 5;
const RAW_TRACEPOINT_OPEN: libc::c_int = 17;
const LINK_CREATE: libc::c_int = 28;
/// Of `enum bpf_prog_type`.
const TRACEPOINT: u64 = 5;
const RAW_TRACEPOINT: u64 = 17;
/// `BPF_PERF_EVENT` of `enum bpf_attach_type`.
const PERF_EVENT: u64 = 41;
/// `r0 = 0` and `exit`.
const INSTRUCTIONS: [u64; 2] = [0xb7, 0x95];

/// `PERF_TYPE_TRACEPOINT` of `enum perf_type_id`.
const TYPE_TRACEPOINT: u64 = 2;
/// `PERF_ATTR_SIZE_VER0`, as words.
const PERF_ATTR_WORDS: usize = 8;

/// Runs a command while the program is attached to a raw tracepoint, or to a tracepoint if
/// its name has a colon.
pub(super) fn run(tracepoint: &str, command: &[String]) -> Result<ExitCode> {
    let _links = match tracepoint.split_once(':') {
        None => attach_raw(tracepoint),
        Some((subsystem, name)) => attach(subsystem, name),
    }
    .with_context(|| format!("cannot attach the empty program to `{tracepoint}`"))?;
    let (program, args) = command.split_first().context("an empty command")?;
    let status = Command::new(program)
        .args(args)
        .status()
        .with_context(|| format!("cannot start `{program}`"))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// It stays attached as long as what is returned is open.
fn attach_raw(name: &str) -> Result<Vec<OwnedFd>> {
    let name = CString::new(name)?;
    let program = load(RAW_TRACEPOINT)?;
    let mut open = [name.as_ptr() as u64, program.as_raw_fd() as u64];
    Ok(vec![bpf(RAW_TRACEPOINT_OPEN, &mut open)?])
}

/// As [`attach_raw`]: to perf's event of a tracepoint, whose programs run on each CPU, whichever
/// the event is of.
fn attach(subsystem: &str, name: &str) -> Result<Vec<OwnedFd>> {
    let path = format!("/sys/kernel/tracing/events/{subsystem}/{name}/id");
    let id = fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
    let mut attr = [0; PERF_ATTR_WORDS];
    attr[0] = TYPE_TRACEPOINT | (size_of_val(&attr) as u64) << 32;
    attr[1] = id.trim().parse().with_context(|| format!("`{path}`"))?;
    let (every_process, cpu, no_group, flags) = (-1, 0, -1, 0);
    // SAFETY: `attr` has the length that it states, and the kernel only reads it.
    let event = owned(unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            attr.as_ptr(),
            every_process,
            cpu,
            no_group,
            flags,
        )
    })?;
    let program = load(TRACEPOINT)?;
    let ends = program.as_raw_fd() as u64 | (event.as_raw_fd() as u64) << 32;
    let link = bpf(LINK_CREATE, &mut [ends, PERF_EVENT])?;
    Ok(vec![event, link])
}

/// Loads the program as one of this type.
fn load(kind: u64) -> Result<OwnedFd> {
    let license = c"GPL";
    let count = (INSTRUCTIONS.len() as u64) << 32;
    let mut load = [
        kind | count,
        INSTRUCTIONS.as_ptr() as u64,
        license.as_ptr() as u64,
        0,
        0,
        0,
    ];
    bpf(PROG_LOAD, &mut load).context("cannot load it")
}

fn bpf(command: libc::c_int, attr: &mut [u64]) -> io::Result<OwnedFd> {
    // SAFETY: `attr` has the length passed to the call, and the memory that it refers to is alive
    // in the callers above.
    owned(unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_mut_ptr(), size_of_val(attr)) })
}

/// The descriptor that a call to the kernel has returned.
fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave this descriptor to us.
    Ok(unsafe { OwnedFd::from_raw_fd(result as i32) })
}
