//! A trace in a folder.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::record::output::files::{append_metadata, stream_sink};
use crate::record::output::{ClosedChunks, Output, OutputError, Retention, Sidecar, TraceFolder};
use crate::record::pool::Pool;
use crate::record::sink::{Sink, SinkKind};
use crate::trace::folder::chunk::METADATA;

/// Writes a file per stream, with its index.
#[derive(Debug)]
pub struct Folder {
    place: TraceFolder,
    kind: SinkKind,
    packet_bytes: usize,
}

impl Folder {
    /// Writes packets of up to `packet_bytes` to files in `folder`.
    #[must_use]
    pub fn new(folder: TraceFolder, kind: SinkKind, packet_bytes: usize) -> Self {
        Self {
            place: folder,
            kind,
            packet_bytes,
        }
    }
}

impl Output for Folder {
    fn name(&self) -> String {
        self.place.name()
    }

    fn folder(&self) -> Option<&Path> {
        Some(self.place.path())
    }

    fn begin(&self, _uuid: [u8; 16], metadata: &str) -> Result<(), OutputError> {
        Ok(self.place.write_metadata(metadata)?)
    }

    fn extend_metadata(&self, text: &str) -> Result<(), OutputError> {
        Ok(append_metadata(&self.place.path().join(METADATA), text)?)
    }

    fn sink(
        &self,
        cpu: u32,
        _pool: Option<&Arc<Pool>>,
    ) -> Result<Option<Box<dyn Sink>>, OutputError> {
        let folder = self.place.path();
        let sink = stream_sink(folder, cpu, self.kind, self.packet_bytes)?;
        Ok(Some(Box::new(sink)))
    }

    fn sidecar(&self, kind: Sidecar, lines: &str) -> io::Result<Retention> {
        kind.append_in(self.place.path(), lines)?;
        Ok(Retention::Kept)
    }

    fn finish(&self) -> Result<Option<ClosedChunks>, OutputError> {
        self.place.keep().map(|()| None)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn folder(path: &Path) -> Folder {
        let folder = TraceFolder::create(Some(path), false).unwrap();
        Folder::new(folder, SinkKind::Copy, 4096)
    }

    #[test]
    fn a_folder_that_was_created_is_removed_unless_the_trace_is_finished() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("trace");
        for finishes in [false, true] {
            let output = folder(&path);
            output.begin([0; 16], "metadata").unwrap();
            drop(output.sink(0, None).unwrap());
            if finishes {
                output.finish().unwrap();
            }
            drop(output);
            assert_eq!(path.exists(), finishes);
        }
    }

    #[test]
    fn metadata_grows() {
        let parent = tempfile::tempdir().unwrap();
        let output = folder(parent.path());
        output.begin([0; 16], "first").unwrap();
        output.extend_metadata(", later").unwrap();
        let metadata = fs::read_to_string(parent.path().join(METADATA)).unwrap();
        assert_eq!(metadata, "first, later");
    }

    #[test]
    fn a_trace_that_was_put_into_the_folder_meanwhile_stays_there() {
        let parent = tempfile::tempdir().unwrap();
        let output = folder(parent.path());
        fs::write(parent.path().join(METADATA), "x").unwrap();
        assert!(output.begin([0; 16], "y").is_err());
        drop(output);
        let metadata = fs::read_to_string(parent.path().join(METADATA)).unwrap();
        assert_eq!(metadata, "x");
    }
}
