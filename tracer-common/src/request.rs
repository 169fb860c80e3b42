//! Flags of a block request: from the kernel's letters to LTTng's bits.

/// Letters that [`request_flags`] reads; the kernel's `RWBS_LEN` is 10.
pub const REQUEST_LETTERS: usize = 16;

/// Bits of [`request_flags`], those of LTTng's modules (`RWBS_FLAG_*` in
/// `instrumentation/events/block.h`).
pub mod request_bits {
    /// Write.
    pub const WRITE: u32 = 1 << 0;
    /// Discard: the content of the sectors is no longer needed.
    pub const DISCARD: u32 = 1 << 1;
    /// Read.
    pub const READ: u32 = 1 << 2;
    /// Read-ahead.
    pub const READ_AHEAD: u32 = 1 << 3;
    /// Synchronous.
    pub const SYNC: u32 = 1 << 5;
    /// Metadata of a file system.
    pub const META: u32 = 1 << 6;
    /// Secure erase.
    pub const SECURE: u32 = 1 << 7;
    /// Flush of the disk's cache.
    pub const FLUSH: u32 = 1 << 8;
    /// Forced unit access: bypasses the disk's cache.
    pub const FUA: u32 = 1 << 9;
    /// Flush of the disk's cache before the request.
    pub const PREFLUSH: u32 = 1 << 10;
}

/// The bits for the letters of `rwbs`, padded with zeroes. The kernel writes them in
/// `blk_fill_rwbs` (`kernel/trace/blktrace.c`): `F` for a preflush, the operation, and letters
/// for its flags.
///
/// The letters are put into a set without a branch for each: the verifier checks all paths, and
/// there would be thousands.
#[inline(always)]
#[must_use]
pub fn request_flags(rwbs: &[u8; REQUEST_LETTERS]) -> u32 {
    use request_bits::{
        DISCARD, FLUSH, FUA, META, PREFLUSH, READ, READ_AHEAD, SECURE, SYNC, WRITE,
    };
    let mut operation = rwbs[0];
    let mut flags = 0;
    // A flush is `F`, or `FF` with a preflush.
    if operation == b'F' {
        operation = rwbs[1];
        flags = match operation {
            b'W' | b'R' | b'D' | b'N' | b'Z' => PREFLUSH,
            b'F' => PREFLUSH | FLUSH,
            _ => FLUSH,
        };
    }
    // The letters after `Z` are an operation on a zone.
    if operation == b'Z' {
        return flags;
    }
    let mut set = 0u32;
    let mut i = 2;
    while i < REQUEST_LETTERS {
        set |= 1u32 << (rwbs[i] & 31);
        i += 1;
    }
    let mut first_two = 1u32 << (rwbs[0] & 31) | 1u32 << (rwbs[1] & 31);
    if rwbs[0] == b'F' {
        // These two are handled above.
        first_two &= !(1 << (b'F' & 31));
    }
    let set = set | first_two;
    let has = |letter: u8, flag: u32| (set >> (letter & 31) & 1) * flag;
    flags
        | has(b'W', WRITE)
        | has(b'D', DISCARD)
        | has(b'R', READ)
        | has(b'A', READ_AHEAD)
        | has(b'S', SYNC)
        | has(b'M', META)
        | has(b'E', SECURE)
        | has(b'F', FUA)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::request_bits::*;

    fn flags(letters: &str) -> u32 {
        let mut rwbs = [0; REQUEST_LETTERS];
        rwbs[..letters.len()].copy_from_slice(letters.as_bytes());
        request_flags(&rwbs)
    }

    #[test]
    fn operations_are_bits() {
        assert_eq!(flags("R"), READ);
        assert_eq!(flags("W"), WRITE);
        assert_eq!(flags("D"), DISCARD);
        assert_eq!(flags("DE"), DISCARD | SECURE);
        assert_eq!(flags("N"), 0);
        assert_eq!(flags(""), 0);
    }

    #[test]
    fn flags_are_added_to_the_operation() {
        assert_eq!(flags("RA"), READ | READ_AHEAD);
        assert_eq!(flags("WSM"), WRITE | SYNC | META);
        assert_eq!(flags("WFSM"), WRITE | FUA | SYNC | META);
    }

    #[test]
    fn a_flush_differs_from_a_preflush_and_from_fua() {
        assert_eq!(flags("F"), FLUSH);
        assert_eq!(flags("FF"), PREFLUSH | FLUSH);
        assert_eq!(flags("FS"), FLUSH | SYNC);
        assert_eq!(flags("FW"), PREFLUSH | WRITE);
        assert_eq!(flags("FWFS"), PREFLUSH | WRITE | FUA | SYNC);
        assert_eq!(flags("FFF"), PREFLUSH | FLUSH | FUA);
    }

    #[test]
    fn operations_on_zones_are_neither_reads_nor_flushes() {
        for letters in ["ZR", "ZF", "ZA", "ZRA"] {
            assert_eq!(flags(letters), 0, "{letters}");
        }
    }
}
