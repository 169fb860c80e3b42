//! Pages in a row, with one owner.
#![allow(unsafe_code)]

use std::io;
use std::sync::Arc;

use crate::sys::memory::MemoryMap;
use crate::sys::page_size;

/// A part of a mapping, of whole pages, that no other extent overlaps: it starts as the
/// whole mapping and can only be split. The mapping ends with its last extent.
#[derive(Debug)]
pub struct Extent {
    mapping: Arc<MemoryMap>,
    offset: usize,
    len: usize,
}

impl Extent {
    /// Private pages of zeros; the kernel supplies each when it is first touched.
    pub fn allocate(bytes: usize) -> io::Result<Self> {
        MemoryMap::anonymous(bytes).map(Self::of)
    }

    /// All pages of a mapping that is writable and that nobody else accesses, be it of
    /// anonymous memory or of a memfd.
    pub(super) fn of(mapping: MemoryMap) -> Self {
        Self {
            len: mapping.len(),
            mapping: Arc::new(mapping),
            offset: 0,
        }
    }

    /// Has the kernel supply all pages.
    pub(super) fn populate(&mut self) {
        for page in self.bytes_mut().chunks_mut(page_size()) {
            page[0] = 0;
        }
    }

    /// Cuts it in two, the first with `bytes`, a multiple of the page size.
    ///
    /// # Panics
    /// Where that is not inside, or not between two pages.
    #[must_use]
    pub fn split_at(self, bytes: usize) -> (Self, Self) {
        assert!(bytes > 0 && bytes < self.len && bytes.is_multiple_of(page_size()));
        let second = Self {
            mapping: Arc::clone(&self.mapping),
            offset: self.offset + bytes,
            len: self.len - bytes,
        };
        let first = Self { len: bytes, ..self };
        (first, second)
    }

    /// The pages as bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: offset and length are inside the mapping, which lives as long as `self`;
        // no other extent has these bytes, so whoever changes them has borrowed `self`.
        unsafe { std::slice::from_raw_parts(self.start(), self.len) }
    }

    /// The pages as bytes, to write.
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is exclusively borrowed; the mapping is writable.
        unsafe { std::slice::from_raw_parts_mut(self.start(), self.len) }
    }

    fn start(&self) -> *mut u8 {
        // SAFETY: inside the mapping, by construction.
        unsafe { self.mapping.as_ptr().add(self.offset) }
    }
}

#[cfg(all(test, not(tracer_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_split_do_not_overlap() {
        let page = page_size();
        let (mut first, mut second) = Extent::allocate(3 * page).unwrap().split_at(page);
        first.bytes_mut().fill(1);
        second.bytes_mut().fill(2);
        assert_eq!(
            (first.bytes().len(), second.bytes().len()),
            (page, 2 * page)
        );
        assert!(first.bytes().iter().all(|byte| *byte == 1));
    }

    #[test]
    fn a_part_outlives_the_other() {
        let page = page_size();
        let (first, mut second) = Extent::allocate(2 * page).unwrap().split_at(page);
        drop(first);
        second.bytes_mut().fill(2);
        assert_eq!(second.bytes()[page - 1], 2);
    }

    #[test]
    #[should_panic(expected = "assertion failed")]
    fn a_page_is_not_split() {
        let _ = Extent::allocate(page_size()).unwrap().split_at(8);
    }
}
