//! Why a tracepoint cannot be laid out.

use tracer_common::MAX_PIECES;

/// Why the record of a tracepoint cannot be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Its fields are scattered over too many pieces.
    #[error("its record has {0} separate pieces; at most {MAX_PIECES} can be recorded")]
    TooManyPieces(usize),
    /// Its fields end beyond the largest record.
    #[error("its record ends at byte {0}, beyond the kernel's maximum")]
    TooLarge(u64),
}
