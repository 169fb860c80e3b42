//! Memory-mapped files.
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
        // the file. If another process truncates it, this one gets SIGBUS, like any reader that
        // maps files. Bytes that change are no worse than a damaged trace: each read checks
        // its bounds again.
        let map = unsafe { Mmap::map(&file)? };
        #[cfg(unix)]
        map.advise(memmap2::Advice::Sequential)?;
        Ok(Self(Some(map)))
    }
}

impl Map {
    /// Releases the memory of these bytes; they can still be read.
    pub(crate) fn release(&self, start: usize, end: usize) {
        #[cfg(unix)]
        if let Some(map) = &self.0 {
            let advice = memmap2::UncheckedAdvice::DontNeed;
            // SAFETY: the mapping is shared and never written to, so that the next access
            // reads the same content from the file. On an error, the pages stay mapped.
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
