//! The sub-buffers of one stream: a [`Writer`] fills them, a [`Reader`] takes full ones.
//!
//! The protocol, [`tracer_common::subbuf`], gives each sub-buffer exactly one owner at any
//! time; here it gets pages to own, and an interface in which breaking it cannot be
//! written. Writer and reader may be on different threads, and neither waits for the other.
//!
//! ```
//! use tracer::record::pool::{Pool, PoolConfig};
//! use tracer::record::subbuf::{self, Closing, Config, Mode, NotNow};
//!
//! let pool = Pool::new(PoolConfig { run_bytes: 1 << 16, max_runs: 5, reuse: true })?;
//! let config = Config { slots: 4, mode: Mode::Discard, header_len: 88 };
//! let (mut writer, mut reader) = subbuf::create(config, &pool)?;
//!
//! writer.append(b"an event")?;
//! let closing = Closing { packet_len: 4096, events: 1, ..Closing::default() };
//! writer.close(closing, |header, sequence| header[..8].copy_from_slice(&sequence.to_le_bytes()));
//!
//! let packet = reader.get().expect("one packet is there");
//! assert_eq!((packet.sequence(), packet.content_len()), (0, 96));
//! packet.put();
//! assert!(matches!(reader.get(), Err(NotNow::Empty)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A second `get` cannot be written while the first packet is held:
//!
//! ```compile_fail,E0499
//! fn two(reader: &mut tracer::record::subbuf::Reader) {
//!     let first = reader.get();
//!     let second = reader.get();
//!     drop((first, second));
//! }
//! ```
//!
//! Nor can a use after `put`:
//!
//! ```compile_fail,E0382
//! fn late(packet: tracer::record::subbuf::Taken<'_>) -> u64 {
//!     packet.put();
//!     packet.sequence()
//! }
//! ```
//!
//! Nor can bytes of a packet be kept:
//!
//! ```compile_fail,E0505
//! fn kept(packet: tracer::record::subbuf::Taken<'_>) -> u8 {
//!     let header = packet.header();
//!     packet.put();
//!     header[0]
//! }
//! ```

mod packet;
mod reader;
mod shared;
mod totals;
mod writer;

use std::sync::Arc;

use thiserror::Error;

use self::shared::Shared;
use crate::record::pool::Pool;
use crate::sys::page_size;

pub use packet::{ClassCount, Packet};
pub use reader::{Peeked, Reader, ReaderStats, Taken};
pub use totals::ClassTotals;
pub use tracer_common::subbuf::{Mode, NotNow};
pub use writer::{AppendError, Closing, Writer, WriterStats};

/// Each event starts at a multiple of this many bytes (CTF 1.8 §4.1; the alignment of
/// the event header that the metadata declares).
pub const EVENT_ALIGN: usize = 8;

/// The shape of a stream's buffer. The size of a sub-buffer is that of the pool's runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Sub-buffers for the writer; the reader has one more.
    pub slots: u16,
    /// What happens when all hold packets that were not taken.
    pub mode: Mode,
    /// Bytes at the start of each packet that are written when it is closed; at most a page.
    pub header_len: usize,
}

/// Why a buffer cannot be made.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CreateError {
    /// The writer needs a sub-buffer.
    #[error("a stream needs at least 1 sub-buffer for its writer")]
    NoSlots,
    /// A header has to lie in one piece, in the first page, and leave room for events.
    #[error("a packet header of {header_len} bytes does not leave room in a page")]
    Header {
        /// Size that was asked for.
        header_len: usize,
    },
    /// The pool's limit is too low, or memory is short.
    #[error(
        "cannot get pages for sub-buffer {missing} of {wanted}; \
         use fewer or smaller ones, or raise the limit of the pool"
    )]
    Pages {
        /// The sub-buffer that got none, from 1.
        missing: usize,
        /// How many there should be.
        wanted: usize,
    },
}

/// Makes the buffer of one stream, with `slots` + 1 runs of `pool`.
pub fn create(config: Config, pool: &Pool) -> Result<(Writer, Reader), CreateError> {
    if config.slots == 0 {
        return Err(CreateError::NoSlots);
    }
    let header_len = config.header_len;
    if header_len.next_multiple_of(EVENT_ALIGN) >= page_size() {
        return Err(CreateError::Header { header_len });
    }
    let wanted = usize::from(config.slots) + 1;
    let mut runs = Vec::with_capacity(wanted);
    for missing in 1..=wanted {
        runs.push(pool.take().ok_or(CreateError::Pages { missing, wanted })?);
    }
    let (shared, spare) = Shared::new(runs);
    let shared = Arc::new(shared);
    let writer = Writer::new(Arc::clone(&shared), config, pool.run_bytes());
    Ok((writer, Reader::new(shared, spare)))
}
