//! When a chunk ends, and how many are kept.

use std::time::Duration;

use thiserror::Error;

use crate::record::size::Size;

/// Packets of each CPU that a chunk has room for, at least.
const MIN_PACKETS: u64 = 4;

/// A chunk costs folders, files and a look at all threads.
const MIN_TIME: Duration = Duration::from_millis(100);

/// With `--max-size` alone, the chunk that is removed is this part of what there is.
const CHUNKS_OF_MAX: u64 = 8;

/// When a new chunk begins, and how many are kept. With any of them a trace is in chunks.
#[derive(Clone, Copy, Debug, Default)]
pub struct RotateOptions {
    /// When its packets have this many bytes.
    pub size: Option<Size>,
    /// After this time.
    pub time: Option<Duration>,
    /// The oldest chunks are removed, so that all together have at most this many bytes.
    pub max_size: Option<Size>,
}

/// Limits that cannot be kept.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RotationError {
    /// Chunks would hold too few packets.
    #[error(
        "a chunk of {size} is too small: it must hold {MIN_PACKETS} packets of each of {cpus} \
         CPUs; use a --rotate-size of at least {least}, or a smaller --subbuf-size"
    )]
    SmallChunk {
        /// What was asked for.
        size: Size,
        /// The smallest possible.
        least: Size,
        /// How many CPUs are recorded.
        cpus: usize,
    },
    /// Chunks would be begun all the time.
    #[error("chunks of {0:?} are too short; use a --rotate-time of at least {MIN_TIME:?}")]
    ShortChunk(Duration),
    /// The chunk being written would be most of the trace.
    #[error(
        "a trace of {max} is too small: it must hold two chunks of {chunk}; use a --max-size of \
         at least {}, or a smaller --rotate-size or --subbuf-size",
        Size(chunk.0 * 2)
    )]
    SmallTrace {
        /// What was asked for.
        max: Size,
        /// Size of a chunk.
        chunk: Size,
    },
}

/// The limits of chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Bytes of packets that a chunk holds at most; none: any number.
    pub(super) chunk_bytes: Option<u64>,
    /// How long a chunk is written; none: any time.
    pub(super) chunk_time: Option<Duration>,
    /// Bytes that all chunks together have at most; none: any number. There are
    /// `chunk_bytes` then, at most half as many.
    pub(super) max_bytes: Option<u64>,
}

impl Rotation {
    /// The limits that were asked for; none: the trace is not in chunks. Packets have up to
    /// `packet_bytes`, on `cpus` CPUs.
    ///
    /// # Errors
    /// If a chunk would be too small or too short, or the trace too small for two of them.
    pub fn of(
        asked: RotateOptions,
        packet_bytes: usize,
        cpus: usize,
    ) -> Result<Option<Self>, RotationError> {
        let RotateOptions {
            size,
            time,
            max_size: max,
        } = asked;
        if size.is_none() && time.is_none() && max.is_none() {
            return Ok(None);
        }
        let least = Size(MIN_PACKETS * packet_bytes as u64 * cpus as u64);
        if let Some(size) = size.filter(|size| *size < least) {
            return Err(RotationError::SmallChunk { size, least, cpus });
        }
        if let Some(time) = time.filter(|time| *time < MIN_TIME) {
            return Err(RotationError::ShortChunk(time));
        }
        let size = match (size, max) {
            (None, Some(max)) => Some(Size(max.0 / CHUNKS_OF_MAX).max(least)),
            _ => size,
        };
        if let (Some(Size(chunk)), Some(max)) = (size, max)
            && max.0 / 2 < chunk
        {
            let chunk = Size(chunk);
            return Err(RotationError::SmallTrace { max, chunk });
        }
        Ok(Some(Self {
            chunk_bytes: size.map(|size| size.0),
            chunk_time: time,
            max_bytes: max.map(|max| max.0),
        }))
    }

    /// Bytes that older chunks may have while a new one is written; none: any number.
    pub(super) fn room_beside_chunk(&self) -> Option<u64> {
        Some(self.max_bytes? - self.chunk_bytes.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const K: u64 = 1 << 10;

    /// With packets of 64 KiB on 2 CPUs: a chunk has at least 512 KiB.
    fn limits(
        size: Option<u64>,
        time: Option<Duration>,
        max: Option<u64>,
    ) -> Result<Option<Rotation>, RotationError> {
        let asked = RotateOptions {
            size: size.map(Size),
            time,
            max_size: max.map(Size),
        };
        Rotation::of(asked, 64 << 10, 2)
    }

    /// The error says this.
    fn assert_refused(limits: Result<Option<Rotation>, RotationError>, part: &str) {
        let error = limits.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn without_options_there_are_no_chunks() {
        assert_eq!(limits(None, None, None).unwrap(), None);
    }

    #[test]
    fn a_chunk_holds_packets_of_every_cpu() {
        let chunk = limits(Some(512 * K), None, None).unwrap().unwrap();
        assert_eq!(chunk.chunk_bytes, Some(512 * K));
        let refused = limits(Some(512 * K - 1), None, None);
        assert_refused(refused, "--rotate-size of at least 512K");
    }

    #[test]
    fn a_chunk_lasts() {
        assert!(limits(None, Some(MIN_TIME), None).is_ok());
        let refused = limits(None, Some(MIN_TIME / 2), None);
        assert_refused(refused, "--rotate-time of at least 100ms");
    }

    #[test]
    fn a_maximum_alone_makes_chunks_of_an_eighth() {
        let rotation = limits(None, None, Some(8192 * K)).unwrap().unwrap();
        assert_eq!(rotation.chunk_bytes, Some(1024 * K));
        assert_eq!(rotation.room_beside_chunk(), Some(7168 * K));
    }

    #[test]
    fn a_maximum_holds_two_chunks() {
        let small = limits(None, None, Some(1024 * K)).unwrap().unwrap();
        assert_eq!(small.chunk_bytes, Some(512 * K));
        let refused = limits(None, None, Some(1023 * K));
        assert_refused(refused, "--max-size of at least 1M");
        let refused = limits(Some(1024 * K), None, Some(1024 * K));
        assert_refused(refused, "--max-size of at least 2M");
    }

    #[test]
    fn a_maximum_bounds_chunks_of_a_time() {
        let second = Some(Duration::from_secs(1));
        let rotation = limits(None, second, Some(8192 * K)).unwrap().unwrap();
        assert_eq!(rotation.chunk_bytes, Some(1024 * K));
        assert_eq!(rotation.chunk_time, second);
    }
}
