//! The eBPF programs of the process that started this one, as the kernel describes them.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::{fs, io};

use anyhow::{Context, Result};

/// `BPF_PROG_GET_FD_BY_ID` and `BPF_OBJ_GET_INFO_BY_FD` of `enum bpf_cmd`.
const PROG_GET_FD_BY_ID: libc::c_int = 13;
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
/// Offset and size of the name in `struct bpf_prog_info`.
const NAME_OFFSET: usize = 64;
const NAME_LEN: usize = 16;

/// Prints a line for each program, in the order in which they were loaded: its name, cut to
/// 15 bytes as the kernel has it, and the number of instructions that the verifier walked.
pub(super) fn print() -> Result<()> {
    let parent = std::os::unix::process::parent_id();
    let mut programs = Vec::new();
    let dir = format!("/proc/{parent}/fdinfo");
    for entry in fs::read_dir(&dir).with_context(|| format!("cannot read `{dir}`"))? {
        // A descriptor may be closed in the meantime.
        let Ok(text) = fs::read_to_string(entry?.path()) else {
            continue;
        };
        if let (Some(id), Some(walked)) =
            (number(&text, "prog_id:"), number(&text, "verified_insns:"))
        {
            programs.push((id, walked));
        }
    }
    programs.sort_unstable();
    programs.dedup();
    for (id, walked) in programs {
        let name = name(id).with_context(|| format!("cannot name the program {id}"))?;
        println!("{name} {walked}");
    }
    Ok(())
}

fn number(text: &str, key: &str) -> Option<u32> {
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix(key)?.trim().parse().ok())
}

fn name(id: u32) -> io::Result<String> {
    let mut attr = [id, 0, 0];
    let program = bpf(PROG_GET_FD_BY_ID, &mut attr)?;
    // SAFETY: the kernel just gave this descriptor to us.
    let program = unsafe { OwnedFd::from_raw_fd(program as i32) };
    let mut info = [0_u8; NAME_OFFSET + NAME_LEN];
    let address = info.as_mut_ptr() as u64;
    let mut attr = [
        program.as_raw_fd() as u32,
        info.len() as u32,
        address as u32,
        (address >> 32) as u32,
    ];
    bpf(OBJ_GET_INFO_BY_FD, &mut attr)?;
    let name = &info[NAME_OFFSET..];
    let len = name.iter().position(|byte| *byte == 0);
    Ok(String::from_utf8_lossy(&name[..len.unwrap_or(NAME_LEN)]).into_owned())
}

fn bpf(command: libc::c_int, attr: &mut [u32]) -> io::Result<libc::c_long> {
    // SAFETY: `attr` has the length passed to the call, and the memory that it refers to is alive
    // in the callers above.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_mut_ptr(), size_of_val(attr)) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}
