//! The state of each CPU that programs and recorder share.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tracer_common::CpuState;

use crate::sys::memory::MemoryMap;
use crate::sys::page_size;

/// The mapped array of [`CpuState`]s.
#[derive(Debug)]
pub struct CpuStates {
    mapping: MemoryMap,
    count: usize,
}

impl CpuStates {
    /// Maps the array of `count` states of `map`.
    pub fn map(map: BorrowedFd<'_>, count: usize) -> io::Result<Self> {
        let bytes = (count * size_of::<CpuState>()).next_multiple_of(page_size());
        Ok(Self {
            mapping: MemoryMap::of_file(map, 0, bytes, true)?,
            count,
        })
    }

    /// Sets what happens to events on a CPU, to one of the values of [`CpuState::enabled`].
    /// Programs that run at this moment may still emit.
    pub fn set_enabled(&self, cpu: u32, enabled: u32) {
        // Relaxed: programs order nothing by it; the last events are awaited by detaching.
        self.u32_at(cpu, core::mem::offset_of!(CpuState, enabled))
            .store(enabled, Ordering::Relaxed);
    }

    /// Events of this CPU that did not fit into its ring so far.
    #[must_use]
    pub fn lost(&self, cpu: u32) -> u64 {
        // Relaxed: a statistic; exact once the programs are detached.
        self.u64_at(cpu, core::mem::offset_of!(CpuState, lost))
            .load(Ordering::Relaxed)
    }

    /// 32-bit system calls on this CPU, which are not recorded.
    #[must_use]
    pub fn compat_syscalls(&self, cpu: u32) -> u64 {
        // Relaxed: as above.
        self.u64_at(cpu, core::mem::offset_of!(CpuState, compat_syscalls))
            .load(Ordering::Relaxed)
    }

    /// System calls that were entered on this CPU and have not returned, less those that returned
    /// here and were entered on another one.
    #[must_use]
    pub fn calls_under_way(&self, cpu: u32) -> i64 {
        let counter = |offset| self.u64_at(cpu, offset).load(Ordering::Relaxed);
        // Relaxed: as above.
        let entered = counter(core::mem::offset_of!(CpuState, calls_entered));
        let returned = counter(core::mem::offset_of!(CpuState, calls_returned));
        entered.wrapping_sub(returned) as i64
    }

    /// Threads that should have been followed when they were made on this CPU, and are not.
    #[must_use]
    pub fn not_followed(&self, cpu: u32) -> u64 {
        // Relaxed: as above.
        self.u64_at(cpu, core::mem::offset_of!(CpuState, not_followed))
            .load(Ordering::Relaxed)
    }

    /// Events on this CPU that were counted instead of recorded, because it came online later.
    #[must_use]
    pub fn unrecorded(&self, cpu: u32) -> u64 {
        // Relaxed: as above.
        self.u64_at(cpu, core::mem::offset_of!(CpuState, unrecorded))
            .load(Ordering::Relaxed)
    }

    fn u32_at(&self, cpu: u32, offset: usize) -> &AtomicU32 {
        // SAFETY: inside the mapping by `start`, aligned, and shared with the kernel.
        unsafe { &*self.start(cpu).add(offset).cast() }
    }

    fn u64_at(&self, cpu: u32, offset: usize) -> &AtomicU64 {
        // SAFETY: as above.
        unsafe { &*self.start(cpu).add(offset).cast() }
    }

    fn start(&self, cpu: u32) -> *const u8 {
        assert!((cpu as usize) < self.count, "CPU {cpu} has no state");
        // SAFETY: below the end of the mapped array.
        unsafe {
            self.mapping
                .as_ptr()
                .add(cpu as usize * size_of::<CpuState>())
        }
    }
}
