//! What a request to a disk is for: from the kernel's letters to LTTng's bits.

/// Letters that [`request_flags`] looks at, at most: the kernel's `RWBS_LEN` is 10.
pub const REQUEST_LETTERS: usize = 16;

/// Bits of [`request_flags`], as LTTng's modules have them (`RWBS_FLAG_*` in
/// `instrumentation/events/block.h`).
pub mod request_bits {
    /// Writes.
    pub const WRITE: u32 = 1 << 0;
    /// Says that sectors are not needed any more.
    pub const DISCARD: u32 = 1 << 1;
    /// Reads.
    pub const READ: u32 = 1 << 2;
    /// Ahead of a reader.
    pub const READ_AHEAD: u32 = 1 << 3;
    /// Somebody waits for it.
    pub const SYNC: u32 = 1 << 5;
    /// Of a file system's own.
    pub const META: u32 = 1 << 6;
    /// Erases.
    pub const SECURE: u32 = 1 << 7;
    /// Empties the disk's cache.
    pub const FLUSH: u32 = 1 << 8;
    /// Past the disk's cache.
    pub const FUA: u32 = 1 << 9;
    /// Empties the disk's cache first.
    pub const PREFLUSH: u32 = 1 << 10;
}

/// The bits for the letters of `rwbs`, which zeroes follow. The kernel writes them in
/// `blk_fill_rwbs` (`kernel/trace/blktrace.c`): `F` for a flush before, the operation, and
/// letters for what holds for it.
///
/// Letters are gathered in a set without asking for each of them: the verifier follows all
/// ways through a program, and there would be thousands.
#[inline(always)]
#[must_use]
pub fn request_flags(rwbs: &[u8; REQUEST_LETTERS]) -> u32 {
    use request_bits::{
        DISCARD, FLUSH, FUA, META, PREFLUSH, READ, READ_AHEAD, SECURE, SYNC, WRITE,
    };
    let mut operation = rwbs[0];
    let mut flags = 0;
    // A request that only flushes is `F`, and `FF` if it is also to flush before.
    if operation == b'F' {
        operation = rwbs[1];
        flags = match operation {
            b'W' | b'R' | b'D' | b'N' | b'Z' => PREFLUSH,
            b'F' => PREFLUSH | FLUSH,
            _ => FLUSH,
        };
    }
    // What follows a `Z` names an operation on a zone.
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
        // Those two have been looked at.
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
    fn what_holds_for_a_request_is_added() {
        assert_eq!(flags("RA"), READ | READ_AHEAD);
        assert_eq!(flags("WSM"), WRITE | SYNC | META);
        assert_eq!(flags("WFSM"), WRITE | FUA | SYNC | META);
    }

    #[test]
    fn a_flush_is_told_from_one_before_and_from_fua() {
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
