//! A file of packets.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::record::sink::growth::Growth;
use crate::record::sink::transfer::Transfer;
use crate::record::sink::{Sink, SinkKind, SinkReport, Way, direct, total_len};
use crate::sys::output::{Call, Calls, KernelCalls};

/// Appends packets to a file of its own.
///
/// The file's size covers whole packets, and while one is being written at most a part of
/// it; space is allocated ahead without showing in the size. Packets must be whole pages in
/// page-aligned memory for `O_DIRECT` to be of use; other ones are written by other ways.
#[derive(Debug)]
pub struct FileSink<C = KernelCalls> {
    calls: C,
    file: File,
    path: PathBuf,
    whole_bytes: u64,
    growth: Growth,
    transfer: Transfer,
    /// May leave `O_DIRECT` for a while.
    may_detour: bool,
}

impl FileSink {
    /// Creates the file, readable by its owner alone: a trace tells what others do. Packets
    /// are `packet_bytes` at most; larger ones only take longer.
    ///
    /// # Errors
    /// Where the file cannot be made, or for [`SinkKind::Direct`] where the file system
    /// does no direct I/O.
    pub fn create(path: &Path, kind: SinkKind, packet_bytes: usize) -> io::Result<Self> {
        Self::create_with(KernelCalls, path, kind, packet_bytes)
    }
}

impl<C: Calls> FileSink<C> {
    /// The same with other system calls.
    pub(crate) fn create_with(
        mut calls: C,
        path: &Path,
        kind: SinkKind,
        packet_bytes: usize,
    ) -> io::Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| named(path, "cannot create", &error))?;
        let (way, reason) = match kind {
            SinkKind::Copy => (Way::Copy, None),
            SinkKind::Splice => (Way::Splice, None),
            SinkKind::Auto => match direct::switch_on(&mut calls, file.as_fd()) {
                Ok(()) => (Way::Direct, None),
                Err(why) => (Way::Splice, Some(why)),
            },
            SinkKind::Direct => {
                direct::switch_on(&mut calls, file.as_fd()).map_err(|why| {
                    let why = format!("{why}; use `--sink auto`, or another disk");
                    let error = io::Error::new(io::ErrorKind::Unsupported, why);
                    named(path, "no direct I/O to", &error)
                })?;
                (Way::Direct, None)
            }
        };
        Ok(Self {
            calls,
            path: path.to_owned(),
            whole_bytes: 0,
            growth: Growth::new(file.as_fd()),
            transfer: Transfer::new(way, reason, packet_bytes),
            may_detour: kind == SinkKind::Auto,
            file,
        })
    }

    /// Cuts the file, its size and what is allocated, to the packets that are whole.
    fn cut(&mut self) -> io::Result<()> {
        let call = Call::Truncate {
            file: self.file.as_fd(),
            len: self.whole_bytes,
        };
        self.calls.call(call).map(drop).map_err(|error| {
            named(
                &self.path,
                "cannot cut the last packet of",
                &io::Error::from(error),
            )
        })
    }
}

impl<C: Calls> Sink for FileSink<C> {
    fn write_packet(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        let mut offset = self.whole_bytes;
        let end = offset + total_len(pieces) as u64;
        let file = self.file.as_fd();
        self.growth.make_room(&mut self.calls, file, offset, end);
        for piece in pieces {
            if let Err(error) = self.transfer.put(&mut self.calls, file, piece, offset) {
                // Readers refuse a trace that ends inside a packet.
                self.cut()?;
                return Err(named(&self.path, "cannot write", &io::Error::from(error)));
            }
            offset += piece.len() as u64;
        }
        self.whole_bytes = end;
        Ok(())
    }

    /// The device is waited for with `O_DIRECT`, and not with the page cache, which takes up
    /// what comes too fast for it.
    fn note_backlog(&mut self, waiting: u64, capacity: u64) {
        let is_behind = waiting >= capacity || (waiting > 0 && self.transfer.is_detouring());
        if self.may_detour {
            let file = self.file.as_fd();
            self.transfer.detour(&mut self.calls, file, is_behind);
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.cut()?;
        self.calls
            .call(Call::Sync {
                file: self.file.as_fd(),
            })
            .map_err(|error| named(&self.path, "cannot write back", &io::Error::from(error)))?;
        // Written to the end, and nobody will find it.
        if self.file.metadata()?.nlink() == 0 {
            return Err(named(
                &self.path,
                "nothing is left of",
                &io::Error::new(
                    io::ErrorKind::NotFound,
                    "the file was removed while it was written",
                ),
            ));
        }
        Ok(())
    }

    fn report(&self) -> SinkReport {
        self.transfer.report()
    }
}

fn named(path: &Path, what: &str, error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("{what} `{}`: {error}", path.display()),
    )
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
