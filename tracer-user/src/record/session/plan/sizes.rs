//! Sizes of rings, buffers and sub-buffers.

use std::ops::RangeInclusive;

use anyhow::{Context as _, Result, bail};
use tracer_common::MAX_EVENT_LEN;

use crate::record::size::Size;
use crate::record::subbuf::Mode;
use crate::sys::page_size;
use crate::sys::stderr::message;

/// The kernel's `bpf_map_create` takes rings up to this size.
pub(super) const MAX_RING_BYTES: u64 = 1 << 30;

/// Sizes of the ring in overwrite mode, where it is only the way into the sub-buffers: a
/// small one would lose what these could keep whenever the reader gets no CPU for a while.
pub(super) const FLIGHT_RING: RangeInclusive<Size> = Size(1 << 20)..=Size(8 << 20);

/// The largest event fits beside a packet's header.
const SMALLEST_PACKET: Size = Size(MAX_EVENT_LEN as u64 * 2);

/// The default size of sub-buffers, at most.
const LARGEST_DEFAULT_PACKET: Size = Size(1 << 20);

/// The size of a sub-buffer, which is written at once: larger pieces are cheaper for the disk (`cargo xtask bench sinks
/// --sweep`). In overwrite mode it is at most an eighth of the buffer.
pub(super) fn default_packet(mode: Mode, buffer: Size) -> Size {
    match mode {
        Mode::Discard => LARGEST_DEFAULT_PACKET,
        Mode::Overwrite => Size(buffer.0 / 8).clamp(SMALLEST_PACKET, LARGEST_DEFAULT_PACKET),
    }
}

/// How many sub-buffers make a buffer.
pub(super) fn slots_of(buffer: Size, packet: Size) -> Result<u16> {
    let slots = buffer.0 / packet.0;
    if slots < 2 {
        bail!(
            "a buffer of {buffer} does not hold two sub-buffers of {packet}: try --buffer-size {} or a \
             smaller --subbuf-size",
            Size(packet.0 * 8)
        );
    }
    u16::try_from(slots).with_context(|| {
        format!(
            "a buffer of {buffer} has {slots} sub-buffers of {packet}, at most {} are possible: \
             use a larger --subbuf-size",
            u16::MAX
        )
    })
}

/// The size that is used for `asked`: a power of two of whole pages, at least as large. Prints
/// a note if it differs.
pub(super) fn whole_pages(asked: Size, what: &str, max: u64) -> Result<Size> {
    let minimum = if what == "sub-buffer" {
        SMALLEST_PACKET.0.max(page_size() as u64)
    } else {
        page_size() as u64
    };
    let used = asked
        .0
        .max(minimum)
        .checked_next_power_of_two()
        .filter(|bytes| *bytes <= max)
        .with_context(|| {
            format!(
                "a {what} size of {asked} is too large; at most {}",
                Size(max)
            )
        })?;
    if used != asked.0 {
        message!(
            "tracer: note: using a {what} size of {} for {asked}: it must be a power of two of \
             whole pages, at least {}",
            Size(used),
            Size(minimum)
        );
    }
    Ok(Size(used))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_become_powers_of_two_of_pages() {
        let used = |bytes| whole_pages(Size(bytes), "buffer", 1 << 30).map(|size| size.0);
        assert_eq!(used(8 << 20).unwrap(), 8 << 20);
        assert_eq!(used(3 << 20).unwrap(), 4 << 20);
        assert_eq!(used(1).unwrap(), page_size() as u64);
        assert!(used(2 << 30).is_err());
    }
}
