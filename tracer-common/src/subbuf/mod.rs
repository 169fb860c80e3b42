//! Ownership of sub-buffers: the protocol between the writer and the reader of a stream.
//!
//! A stream has N [slots](slot) for its writer and N + 1 sub-buffers; the one that is not in a
//! slot is the reader's spare. The writer fills the slots in turn. The reader takes a full
//! sub-buffer by *exchanging* it for its spare: one compare-and-swap of the slot's word,
//! which either succeeds or changes nothing, and never waits.
//!
//! ```text
//!           slot 0        slot 1        slot 2         reader
//!        ┌───────────┐ ┌───────────┐ ┌───────────┐   ┌─────────┐
//!        │ packet 3  │ │ packet 4  │ │  (open)   │   │ spare 3 │
//!        │ NOREF, 0  │ │ NOREF, 1  │ │  ref, 2   │   └────┬────┘
//!        └─────▲─────┘ └───────────┘ └───────────┘        │
//!              └──────────── one CAS exchanges ───────────┘
//! ```
//!
//! A *position* counts the packets of a stream from 0. It is the packet's
//! `packet_seq_num`, and the packet is in slot `position % N`. Two counters complete the
//! state: [`written`](Positions::written), the position of the packet that is filled next,
//! and [`consumed`](Positions::consumed), the position of the oldest packet left to read. In
//! [discard mode](Mode::Discard) the writer stops at `written - consumed == N`; in
//! [overwrite mode](Mode::Overwrite) it pushes `consumed` forward and continues.
//!
//! There is one writer and one reader. The functions do not depend on where the sub-buffers
//! are: they work on a [`Table`] of references to atomics, in anonymous memory, in a memfd, or
//! in memory shared with an eBPF program.
//!
//! # Model
//! The scheme is that of LTTng's ring buffer in flight-recorder mode (`lttng-modules`,
//! `include/ringbuffer/backend_internal.h`: `subbuffer_id_*`,
//! `lib_ring_buffer_clear_noref`, `lib_ring_buffer_set_noref_offset`,
//! `update_read_sb_index`; `ring_buffer_frontend.c`: `lib_ring_buffer_get_subbuf`,
//! `lib_ring_buffer_put_subbuf`, `lib_ring_buffer_move_consumer`). Differences:
//! - Both modes exchange. LTTng reads in place in discard mode; here the writer may use the slot
//!   again as soon as the reader has taken the packet, however long its pages are in use by the
//!   output.
//! - A sub-buffer has one writer at a time, so commit counters are not needed.
//! - `put` keeps the sub-buffer as the spare. [`Table::put_back`] returns the packet to its
//!   slot, as LTTng's `put_subbuf` does; this is for snapshots.
//!
//! # Limits
//! At most 65535 slots, and 2^47 - 1 packets in the life of a stream (four years at a
//! packet per microsecond); see [`SlotWord`].
//!
//! The compiler has no compare-and-swap for its eBPF targets, so the module is absent there.
//! For an eBPF writer, [`sync`](crate::sync) has to provide one; nothing else is missing.

mod owned;
mod positions;
pub mod slot;
mod table;
mod word;

pub use owned::OwnedIndex;
pub use positions::Positions;
pub use table::{Entered, Full, Mode, NotNow, Table};
pub use word::SlotWord;
