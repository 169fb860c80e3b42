//! Indirect functions (`STT_GNU_IFUNC`): a resolver selects one of several functions when a
//! program is started, usually by the features of the CPU.
//!
//! Which one is known only in a running process, so all that the resolver can return are taken:
//! the addresses that its code forms, as far as functions start there.

use std::collections::BTreeSet;

use tracer_common::arch::NATIVE;

use crate::probe::user::elf::{Contents, Segment, Symbol};

/// Bytes of a resolver whose size is unknown.
const MAX_RESOLVER: u64 = 512;

/// The addresses of the functions that a resolver can return, sorted; none if that is not known.
pub(super) fn implementations(contents: &Contents, bytes: &[u8], resolver: &Symbol) -> Vec<u64> {
    let mut starts = unwind_starts(contents, bytes);
    let functions = contents.symbols.iter().filter(|symbol| !symbol.indirect);
    starts.extend(functions.map(|symbol| symbol.address));
    let next = starts.range(resolver.address + 1..).next();
    let len = match (resolver.size, next) {
        (0, Some(next)) => (next - resolver.address).min(MAX_RESOLVER),
        (0, None) => MAX_RESOLVER,
        (size, _) => size,
    };
    let Some(code) = code_at(contents, bytes, resolver.address, len) else {
        return Vec::new();
    };
    let formed = (0..code.len()).filter_map(|at| {
        let address = resolver.address + at as u64;
        (NATIVE.formed_address)(&code[at..], address)
    });
    // The bytes of an instruction can look like another one; hardly with such an address.
    let formed: BTreeSet<u64> = formed
        .filter(|address| starts.contains(address) && *address != resolver.address)
        .collect();
    formed.into_iter().collect()
}

fn code_at<'b>(contents: &Contents, bytes: &'b [u8], address: u64, len: u64) -> Option<&'b [u8]> {
    let offset = contents
        .code
        .iter()
        .find_map(|code| code.offset_of(address))?;
    let rest = bytes.get(usize::try_from(offset).ok()?..)?;
    Some(&rest[..rest.len().min(usize::try_from(len).ok()?)])
}

/// The starts of functions according to `.eh_frame_hdr`, which stripped files have, too (Linux
/// Standard Base, "Exception Frames"; only the encodings that linkers write).
fn unwind_starts(contents: &Contents, bytes: &[u8]) -> BTreeSet<u64> {
    /// Version 1; count as `udata4`; table as `sdata4` relative to its section.
    const HEADER: [u8; 4] = [1, 0x1b, 0x03, 0x3b];
    let table = contents.unwind_table.and_then(
        |Segment {
             address,
             file_offset,
             len,
         }| {
            let start = usize::try_from(file_offset).ok()?;
            let table = bytes.get(start..start.checked_add(usize::try_from(len).ok()?)?)?;
            Some((address, table))
        },
    );
    let Some((base, table)) = table.filter(|(_, table)| table.starts_with(&HEADER)) else {
        return BTreeSet::new();
    };
    let rows = table.get(12..).unwrap_or_default().chunks_exact(8);
    rows.filter_map(|row| {
        let offset = i32::from_le_bytes(*row.first_chunk::<4>()?);
        Some(base.wrapping_add_signed(offset.into()))
    })
    .collect()
}
