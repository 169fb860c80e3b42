//! Files in memory.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

/// The bytes that a file had when it was opened.
#[derive(Debug)]
pub(crate) struct Map(Option<Mmap>);

impl Map {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if file.metadata()?.len() == 0 {
            return Ok(Self(None));
        }
        // SAFETY: the mapping is read-only. A recorder that is still at work only appends to
        // the file. Who shortens it meanwhile ends this process with SIGBUS, as any reader
        // that maps files; bytes that change are no more than a damaged trace, which every
        // read of them is prepared for: nothing is checked once and then believed.
        let map = unsafe { Mmap::map(&file)? };
        #[cfg(unix)]
        map.advise(memmap2::Advice::Sequential)?;
        Ok(Self(Some(map)))
    }
}

impl Map {
    /// Lets go of the memory of the bytes up to `end`, which can be read again nevertheless.
    pub(crate) fn release(&self, start: usize, end: usize) {
        #[cfg(unix)]
        if let Some(map) = &self.0 {
            let advice = memmap2::UncheckedAdvice::DontNeed;
            // SAFETY: pages of a shared mapping of a file that nobody writes to come back
            // with the content of the file. What could not be advised stays mapped.
            let _ = unsafe { map.unchecked_advise_range(advice, start, end - start) };
        }
        #[cfg(not(unix))]
        let _ = (start, end);
    }
}

impl Deref for Map {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}
