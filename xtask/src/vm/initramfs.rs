//! The guest's file system: a cpio archive in the `newc` format, as the kernel's
//! `Documentation/driver-api/early-userspace/buffer-format.rst` describes it. It is not
//! compressed: unpacking it in an emulated machine costs more than reading it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};

use crate::vm::job::Job;
use crate::wire;

const DIRECTORY: u32 = 0o040_755;
const EXECUTABLE: u32 = 0o100_755;
const FOLDERS: [&str; 9] = [
    "bin", "data", "dev", "etc", "out", "proc", "root", "sys", "tmp",
];

/// Writes the archive with the job and its files.
pub(super) fn write(path: &Path, job: &Job) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot create `{}`", path.display()))?;
    let mut archive = Archive::new(BufWriter::new(file));
    let mut write = || -> Result<()> {
        for folder in folders(job) {
            archive.entry(&folder, DIRECTORY, &[])?;
        }
        for (host, name) in &job.files {
            let content = fs::read(host)
                .with_context(|| format!("cannot read `{}` for the guest", host.display()))?;
            archive.entry(name, EXECUTABLE, &content)?;
        }
        archive.entry(wire::JOB_PATH, EXECUTABLE, &job.guest.encode())?;
        archive.finish()?.flush()?;
        Ok(())
    };
    write().with_context(|| format!("cannot write the guest's files to `{}`", path.display()))
}

/// All folders, those that hold others first: the kernel makes none by itself.
fn folders(job: &Job) -> BTreeSet<String> {
    let parents = job.files.iter().flat_map(|(_, name)| {
        let parts = name.match_indices('/');
        parts.map(|(end, _)| name[..end].to_owned())
    });
    parents.chain(FOLDERS.map(str::to_owned)).collect()
}

/// A writer of `newc` archives.
struct Archive<W> {
    out: W,
    inode: u32,
}

impl<W: Write> Archive<W> {
    fn new(out: W) -> Self {
        Self { out, inode: 0 }
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        // Entries with the same inode number would be hard links.
        self.inode += 1;
        let size = u32::try_from(content.len())
            .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, name.to_owned()))?;
        let name_size = name.len() as u32 + 1;
        let (owner, group, links, time, device, checksum) = (0, 0, 1, 0, 0, 0);
        write!(self.out, "070701")?;
        for field in [
            self.inode, mode, owner, group, links, time, size, device, device, device, device,
            name_size, checksum,
        ] {
            write!(self.out, "{field:08x}")?;
        }
        write!(self.out, "{name}\0")?;
        let header_len = 6 + 13 * 8 + name_size as usize;
        self.pad(header_len)?;
        self.out.write_all(content)?;
        self.pad(content.len())
    }

    fn finish(&mut self) -> io::Result<&mut W> {
        self.entry("TRAILER!!!", 0, &[])?;
        Ok(&mut self.out)
    }

    /// Fills up to the next multiple of four bytes.
    fn pad(&mut self, len: usize) -> io::Result<()> {
        let missing = len.next_multiple_of(4) - len;
        self.out.write_all(&[0; 3][..missing])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive_of(name: &str, content: &[u8]) -> Vec<u8> {
        let mut archive = Archive::new(Vec::new());
        archive.entry(name, EXECUTABLE, content).unwrap();
        archive.out
    }

    #[test]
    fn content_starts_at_a_multiple_of_four() {
        let bytes = archive_of("init", b"body!");
        let start = bytes.windows(5).position(|five| five == b"body!").unwrap();
        assert_eq!(start % 4, 0);
    }

    #[test]
    fn an_entry_ends_at_a_multiple_of_four() {
        assert_eq!(archive_of("init", b"body!").len() % 4, 0);
    }

    #[test]
    fn the_header_gives_the_size_as_its_seventh_number() {
        let bytes = archive_of("init", b"body!");
        assert_eq!(&bytes[6 + 6 * 8..][..8], b"00000005");
    }
}
