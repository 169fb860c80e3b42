//! What accompanies the streams of a trace: text that readers need to show names.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::record::output::files::named;
use crate::trace::folder::frames::Frame;
use crate::trace::sidecar::{kallsyms, mappings, tasks};

/// A kind of sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sidecar {
    /// Names of threads, as lines of [`tasks`].
    Tasks,
    /// Functions of the kernel, as lines of [`kallsyms`].
    KernelSymbols,
    /// Mappings of processes, as lines of [`mappings`].
    Mappings,
}

/// What becomes of lines that were appended to a sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// They are kept.
    Kept,
    /// They are kept, but lines before them will be dropped: what is to stay must be repeated.
    Aging,
}

impl Sidecar {
    /// The hidden file in a trace folder.
    pub(crate) fn file_name(self) -> &'static str {
        match self {
            Self::Tasks => tasks::FILE_NAME,
            Self::KernelSymbols => kallsyms::FILE_NAME,
            Self::Mappings => mappings::FILE_NAME,
        }
    }

    /// The frame on a pipe or a connection.
    pub(crate) fn frame(self) -> Frame {
        match self {
            Self::Tasks => Frame::Tasks,
            Self::KernelSymbols => Frame::KernelSymbols,
            Self::Mappings => Frame::Mappings,
        }
    }

    /// Appends lines to the file in `folder`.
    pub(super) fn append_in(self, folder: &Path, lines: &str) -> io::Result<()> {
        let path = folder.join(self.file_name());
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(lines.as_bytes()))
            .map_err(|error| named(&path, "cannot write", &error))
    }
}
