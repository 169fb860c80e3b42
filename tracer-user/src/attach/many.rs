//! Many functions at once: one program and one attachment, where the kernel can do that
//! (kprobe-multi), instead of one of each for every function.

use std::{
    collections::HashMap,
    ffi::CString,
    io,
    os::fd::{AsFd, OwnedFd},
};

use aya_obj::generated::{bpf_attach_type::BPF_TRACE_KPROBE_MULTI, bpf_prog_type};

use crate::{
    probe::{FunctionTarget, Place, ResolvedProbe},
    sys::bpf::{self, ProgramKind},
};

/// What the kernel is told about such a program.
pub(super) const KIND: ProgramKind = ProgramKind {
    kind: bpf_prog_type::BPF_PROG_TYPE_KPROBE,
    attach_type: Some(BPF_TRACE_KPROBE_MULTI),
    btf_id: 0,
};

/// Rows of `probes` that one program can serve together: entries of functions whose payload is
/// the registers, of which the same is asked.
pub(super) fn groups(
    probes: &[ResolvedProbe],
    is_throttled: impl Fn(usize) -> bool,
) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut by_wish: HashMap<String, usize> = HashMap::new();
    for (row, probe) in probes.iter().enumerate() {
        if symbol(probe).is_none() {
            continue;
        }
        let wish = format!(
            "{:?} {:?} {}",
            probe.filter,
            probe.stacks,
            is_throttled(row)
        );
        let group = *by_wish.entry(wish).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[group].push(row);
    }
    groups.retain(|rows| rows.len() > 1);
    groups
}

/// The function of a probe that can be one of many.
fn symbol(probe: &ResolvedProbe) -> Option<&str> {
    match &probe.place {
        Place::Function {
            target:
                FunctionTarget::Kprobe {
                    symbol,
                    uniform: true,
                    ..
                },
            ..
        } => Some(symbol),
        _ => None,
    }
}

/// Attaches a program to the functions of these rows, whose classes are its cookies. It stays
/// attached as long as the result is open.
pub(super) fn attach(
    program: &OwnedFd,
    probes: &[ResolvedProbe],
    rows: &[usize],
) -> io::Result<OwnedFd> {
    let probes = || rows.iter().map(|&row| &probes[row]);
    let symbols = probes()
        .filter_map(symbol)
        .map(CString::new)
        .collect::<Result<Vec<_>, _>>()?;
    let cookies: Vec<u64> = probes().map(|probe| probe.class.id.into()).collect();
    bpf::link_to_functions(program.as_fd(), &symbols, &cookies)
}
