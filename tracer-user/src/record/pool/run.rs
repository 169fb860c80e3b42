//! A list of pages that is used like one piece of memory.

use std::io::IoSlice;

use crate::record::pool::{Extent, Ticket};
use crate::sys::page_size;

/// The pages of one sub-buffer, owned by the holder.
///
/// Reads and writes go to an offset and may cross pages. The extent of the last access is
/// remembered, so that going through the run from start to end never searches; the first
/// page, which has the packet's header, is always at hand. Any other access is allowed and
/// counted. The model is the page list of LTTng's relay buffer (`ltt-relay-alloc.c` of
/// `lttng-modules`), which cached the current page of each side and the header's.
#[derive(Debug)]
pub struct PageRun {
    extents: Vec<Extent>,
    /// Where each extent starts, in bytes from the start of the run.
    starts: Vec<usize>,
    len: usize,
    /// Index of the extent that was accessed last.
    cached: usize,
    /// Number of the page that was accessed last.
    last_page: usize,
    /// Where that page starts, in bytes, and its size: 0 before the first access.
    page_start: usize,
    page_bytes: usize,
    random_accesses: u64,
    ticket: Option<Ticket>,
}

impl PageRun {
    pub(super) fn new(extents: Vec<Extent>, ticket: Option<Ticket>) -> Self {
        let mut len = 0;
        let starts = extents
            .iter()
            .map(|extent| {
                let start = len;
                len += extent.bytes().len();
                start
            })
            .collect();
        Self {
            extents,
            starts,
            len,
            cached: 0,
            last_page: 0,
            page_start: 0,
            page_bytes: 0,
            random_accesses: 0,
            ticket,
        }
    }

    /// A run of the given pages, in that order, which belongs to no pool.
    ///
    /// # Panics
    /// If there are none.
    #[must_use]
    pub fn of_extents(extents: Vec<Extent>) -> Self {
        assert!(!extents.is_empty(), "a run has at least one page");
        Self::new(extents, None)
    }

    pub(super) fn ticket(&self) -> Option<&Ticket> {
        self.ticket.as_ref()
    }

    /// Size in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never true: a run has at least a page.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies `bytes` to `offset`.
    ///
    /// # Panics
    /// If they would not fit.
    #[inline]
    pub fn write_at(&mut self, offset: usize, bytes: &[u8]) {
        if let Some(place) = self.on_last_page(offset, bytes.len()) {
            place.copy_from_slice(bytes);
            return;
        }
        self.access(offset, bytes.len(), |place, done| {
            place.copy_from_slice(&bytes[done..done + place.len()]);
        });
    }

    /// Sets `len` bytes from `offset` to 0.
    ///
    /// # Panics
    /// If the run has fewer.
    pub fn zero_at(&mut self, offset: usize, len: usize) {
        self.access(offset, len, |place, _| place.fill(0));
    }

    /// Copies the bytes at `offset` to `bytes`.
    ///
    /// # Panics
    /// If the run has fewer.
    pub fn read_at(&mut self, offset: usize, bytes: &mut [u8]) {
        self.access(offset, bytes.len(), |place, done| {
            bytes[done..done + place.len()].copy_from_slice(place);
        });
    }

    /// The first page, where the packet's header is.
    #[must_use]
    pub fn header(&self) -> &[u8] {
        &self.extents[0].bytes()[..page_size()]
    }

    /// The first page, to write.
    #[must_use]
    pub fn header_mut(&mut self) -> &mut [u8] {
        &mut self.extents[0].bytes_mut()[..page_size()]
    }

    /// The first `len` bytes where they lie, for `vmsplice` and `writev`: one piece per
    /// extent.
    ///
    /// # Panics
    /// If the run has fewer.
    #[must_use]
    pub fn io_slices(&self, len: usize) -> Vec<IoSlice<'_>> {
        assert!(len <= self.len, "{len} bytes of a run of {}", self.len);
        let pieces = self.starts.iter().zip(&self.extents);
        pieces
            .take_while(|(start, _)| **start < len)
            .map(|(start, extent)| {
                let bytes = extent.bytes();
                IoSlice::new(&bytes[..bytes.len().min(len - start)])
            })
            .collect()
    }

    /// Accesses since they were last taken that were neither on the page of the one before,
    /// nor on the next, nor on the first.
    pub fn take_random_accesses(&mut self) -> u64 {
        std::mem::take(&mut self.random_accesses)
    }

    /// The bytes at `offset`, if all of them are on the page of the last access.
    #[inline]
    fn on_last_page(&mut self, offset: usize, len: usize) -> Option<&mut [u8]> {
        if offset < self.page_start || offset + len > self.page_start + self.page_bytes {
            return None;
        }
        let at = offset - self.starts[self.cached];
        self.extents[self.cached].bytes_mut().get_mut(at..at + len)
    }

    /// Calls `each` with the pieces of memory of `len` bytes from `offset`, and with how
    /// many bytes were before each.
    fn access(&mut self, offset: usize, len: usize, mut each: impl FnMut(&mut [u8], usize)) {
        assert!(
            offset <= self.len && len <= self.len - offset,
            "{len} bytes at {offset} of a run of {}",
            self.len
        );
        if len == 0 {
            return;
        }
        self.seek(offset);
        let mut done = 0;
        while done < len {
            let at = offset + done - self.starts[self.cached];
            let bytes = &mut self.extents[self.cached].bytes_mut()[at..];
            let piece = bytes.len().min(len - done);
            each(&mut bytes[..piece], done);
            done += piece;
            if done < len {
                self.cached += 1;
            }
        }
        self.last_page = (offset + len - 1) / page_size();
        self.page_start = self.last_page * page_size();
        self.page_bytes = page_size();
    }

    /// Makes the extent of `offset` the cached one, and counts the access if it is random.
    fn seek(&mut self, offset: usize) {
        let page = offset / page_size();
        if page > 0 && page != self.last_page && page != self.last_page + 1 {
            self.random_accesses += 1;
        }
        let is_in = |index: usize| {
            let end = self.starts.get(index + 1).copied().unwrap_or(self.len);
            self.starts.get(index).is_some_and(|start| *start <= offset) && offset < end
        };
        if !is_in(self.cached) {
            self.cached = if is_in(self.cached + 1) {
                self.cached + 1
            } else {
                self.starts.partition_point(|start| *start <= offset) - 1
            };
        }
    }
}

#[cfg(all(test, not(tracer_loom)))]
mod tests {
    use super::*;

    /// A run of `pages` single pages, each from somewhere else: the last is first in memory.
    fn scattered(pages: usize) -> PageRun {
        let mut rest = Extent::allocate(pages * page_size()).unwrap();
        let mut extents = Vec::new();
        for _ in 1..pages {
            let (page, behind) = rest.split_at(page_size());
            extents.push(page);
            rest = behind;
        }
        extents.push(rest);
        extents.reverse();
        PageRun::of_extents(extents)
    }

    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at * 7 % 251) as u8).collect()
    }

    #[test]
    fn a_write_may_cross_pages() {
        let (mut run, bytes) = (scattered(4), pattern(2 * page_size() + 100));
        run.write_at(page_size() - 50, &bytes);
        let mut read = vec![0; bytes.len()];
        run.read_at(page_size() - 50, &mut read);
        assert_eq!(read, bytes);
    }

    #[test]
    fn a_piece_per_extent_goes_to_the_sink() {
        let (mut run, bytes) = (scattered(3), pattern(2 * page_size() + 10));
        run.write_at(0, &bytes);
        let pieces = run.io_slices(bytes.len());
        let lengths: Vec<_> = pieces.iter().map(|piece| piece.len()).collect();
        assert_eq!(lengths, [page_size(), page_size(), 10]);
        assert_eq!(
            pieces
                .iter()
                .flat_map(|piece| piece.to_vec())
                .collect::<Vec<_>>(),
            bytes
        );
    }

    #[test]
    fn going_through_is_not_random() {
        let mut run = scattered(4);
        let step = 100;
        for offset in (0..run.len() - step).step_by(step) {
            run.write_at(offset, &pattern(step));
        }
        assert_eq!(run.take_random_accesses(), 0);
    }

    #[test]
    fn the_header_is_always_at_hand() {
        let mut run = scattered(4);
        run.write_at(0, &pattern(4 * page_size()));
        run.write_at(8, b"patched");
        assert_eq!(&run.header()[8..15], b"patched");
        assert_eq!(run.take_random_accesses(), 0);
    }

    #[test]
    fn jumping_is_counted() {
        let mut run = scattered(4);
        let mut byte = [0];
        run.read_at(3 * page_size(), &mut byte);
        run.read_at(page_size(), &mut byte);
        assert_eq!(run.take_random_accesses(), 2);
    }

    #[test]
    fn zeroing_stays_inside() {
        let mut run = scattered(2);
        run.write_at(0, &[1; 8]);
        run.zero_at(2, 4);
        assert_eq!(run.header()[..8], [1, 1, 0, 0, 0, 0, 1, 1]);
    }

    #[test]
    #[should_panic(expected = "of a run of")]
    fn a_write_past_the_end_is_refused() {
        let mut run = scattered(2);
        run.write_at(2 * page_size() - 1, &[1, 2]);
    }
}
