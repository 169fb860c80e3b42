//! Chunks: a trace that goes on from folder to folder.
//!
//! A trace that was recorded with rotation is a folder of chunks, `chunk-NUMBER-TIME`. Each
//! chunk is a trace with the metadata of all, and each stream goes on from its file in one
//! chunk to that in the next; readers of CTF merge what has one UUID and one instance of a
//! stream. Two hidden files of a chunk say what CTF has no place for:
//!
//! - [`OPEN_METADATA`] is the metadata of a chunk that is being written. It becomes
//!   [`METADATA`] when the chunk is complete, so readers of CTF see complete chunks only.
//! - [`BEFORE`] has the state of each stream at the start of the chunk: lines of
//!   `INSTANCE SEQUENCE DISCARDED`, the counters of its last packet. A reader without the
//!   earlier chunks counts losses from there.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::trace::ctf::packet::PacketHeader;

/// Name of the metadata of a trace, or of a complete chunk.
pub const METADATA: &str = "metadata";

/// Name of the metadata of a chunk that is not complete.
pub const OPEN_METADATA: &str = ".metadata";

/// Name of metadata until it is written to its end.
pub const NEW_METADATA: &str = ".metadata.new";

/// Name of the file with the counters of the streams at the start of a chunk.
pub const BEFORE: &str = ".before";

const PREFIX: &str = "chunk-";

/// Name of the folder of a chunk. Names sort in the order of their `number`s, which count
/// from 0; `start` says when it began, without anything that is not fit for a file.
#[must_use]
pub fn folder_name(number: u64, start: &str) -> String {
    format!("{PREFIX}{number:06}-{start}")
}

/// The number in the name of the folder of a chunk; `None` for other names.
#[must_use]
pub fn number(folder_name: &str) -> Option<u64> {
    let (number, _) = folder_name.strip_prefix(PREFIX)?.split_once('-')?;
    number.parse().ok()
}

/// The last packet of a stream up to some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastPacket {
    /// Its number in the stream.
    pub sequence: u64,
    /// Events lost in the stream up to its end.
    pub events_discarded: u64,
}

impl From<&PacketHeader> for LastPacket {
    fn from(header: &PacketHeader) -> Self {
        Self {
            sequence: header.sequence,
            events_discarded: header.events_discarded,
        }
    }
}

/// The last packets of the streams at the start of a chunk, by stream instance, for streams
/// that had one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Before(pub BTreeMap<u64, LastPacket>);

impl Before {
    /// Reads the file of the chunk in `folder`; empty if there is none.
    pub fn open(folder: &Path) -> io::Result<Self> {
        match fs::read_to_string(folder.join(BEFORE)) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Reads the content of such a file, without lines that are torn.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let mut numbers = line
                .strip_suffix('\n')?
                .split(' ')
                .map(|word| word.parse::<u64>().ok());
            let mut next = || numbers.next().flatten();
            let (instance, sequence, events_discarded) = (next()?, next()?, next()?);
            let last = LastPacket {
                sequence,
                events_discarded,
            };
            Some((instance, last))
        };
        Self(text.split_inclusive('\n').filter_map(line).collect())
    }

    /// The content of the file.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (instance, last) in &self.0 {
            // writing to a string cannot fail
            let _ = writeln!(
                text,
                "{instance} {} {}",
                last.sequence, last.events_discarded
            );
        }
        text
    }
}

/// The metadata file of the trace or chunk in `folder`: the complete one if it exists.
pub(super) fn metadata_path(folder: &Path) -> PathBuf {
    let complete = folder.join(METADATA);
    let open = folder.join(OPEN_METADATA);
    if !complete.exists() && open.exists() {
        open
    } else {
        complete
    }
}

/// Makes the metadata in `folder` that of a complete chunk; says whether it was not yet.
pub(super) fn complete(folder: &Path) -> io::Result<bool> {
    let metadata = metadata_path(folder);
    let open = metadata.ends_with(OPEN_METADATA);
    if open {
        fs::rename(metadata, folder.join(METADATA))?;
    }
    Ok(open)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::folder::find::folders_below;

    #[test]
    fn names_sort_in_the_order_of_their_numbers() {
        let names = [0, 9, 10, 999_999].map(|number| folder_name(number, "20261121T130532Z"));
        assert!(names.is_sorted());
        assert_eq!(
            names.each_ref().map(|name| number(name)),
            [0, 9, 10, 999_999].map(Some)
        );
        assert_eq!(number("chunk-x-y"), None);
        assert_eq!(number("index"), None);
    }

    #[test]
    fn chunks_are_found_in_the_order_of_their_numbers() {
        let dir = tempfile::tempdir().unwrap();
        for (name, metadata) in [
            ("chunk-1000000-x", OPEN_METADATA),
            ("chunk-999999-x", METADATA),
            ("chunk-000000-x", METADATA),
            ("chunk-000001-x", "channel0_0"),
        ] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join(metadata), "").unwrap();
        }
        let found = folders_below(dir.path()).unwrap();
        let names: Vec<_> = found.iter().map(|path| path.file_name().unwrap()).collect();
        assert_eq!(
            names,
            ["chunk-000000-x", "chunk-999999-x", "chunk-1000000-x"]
        );
    }

    #[test]
    fn what_was_before_reads_back_without_a_torn_line() {
        let last = |sequence, events_discarded| LastPacket {
            sequence,
            events_discarded,
        };
        let before = Before([(0, last(4, 0)), (3, last(7, 12))].into());
        assert_eq!(Before::parse(&before.to_text()), before);
        let torn = before.to_text();
        let torn = Before::parse(&torn[..torn.len() - 2]);
        assert_eq!(torn, Before([(0, last(4, 0))].into()));
    }
}
