//! Builds an event of variable length before it is reserved, which takes its size.

use core::ffi::c_void;

use aya_ebpf::bindings::BPF_F_USER_STACK;
use aya_ebpf::helpers::generated::{
    bpf_get_stack, bpf_probe_read_kernel, bpf_probe_read_kernel_str, bpf_probe_read_user_str,
};
use tracer_common::{
    EVENT_HEADER_LEN, EventHeader, FAULT_STRING, MAX_EVENT_LEN, MAX_STRING_LEN, NESTED_LEVELS,
    NULL_STRING, NULL_STRING_LEN, spec_flags,
};

use crate::emit::count;
use crate::maps::{NESTED_SCRATCH, SCRATCH, SYSCALL_SCRATCH, ScratchArea, constant};
use crate::scope::Scope;
use crate::{atomics, hook};

/// Bytes of the largest stack, 127 addresses: the kernel's limit (`PERF_MAX_STACK_DEPTH`).
const MAX_STACK_LEN: u32 = 127 * 8;

/// Builds one event.
///
/// Every position is masked to [`MAX_EVENT_LEN`], which also bounds every length, so that the
/// verifier sees that nothing is written outside of the area.
pub(crate) struct Scratch {
    area: *mut ScratchArea,
}

const POSITION_MASK: usize = MAX_EVENT_LEN - 1;

impl Scratch {
    /// For a tracepoint.
    #[inline(always)]
    pub(crate) fn of_cpu(cpu: u32) -> Option<Self> {
        Some(Self::begin(SCRATCH.get_ptr_mut(cpu)?))
    }

    /// For a function or a raw tracepoint with these [`spec_flags`].
    #[inline(always)]
    pub(crate) fn of_probe(cpu: u32, flags: u32) -> Option<Self> {
        if flags & spec_flags::NESTS == 0 {
            Self::of_cpu(cpu)
        } else {
            Self::nested(cpu)
        }
    }

    /// For a system call.
    #[inline(always)]
    pub(crate) fn of_syscall(cpu: u32) -> Option<Self> {
        Some(Self::begin(SYSCALL_SCRATCH.get_ptr_mut(cpu)?))
    }

    /// One that no other program uses until this one [gives it back](Self::give_back).
    #[inline(always)]
    pub(crate) fn nested(cpu: u32) -> Option<Self> {
        for level in 0..NESTED_LEVELS {
            let area = NESTED_SCRATCH.get_ptr_mut(cpu * NESTED_LEVELS + level)?;
            // SAFETY: a member of a live area, which only this CPU uses.
            let taken = unsafe { atomics::swap(&raw mut (*area).taken, 1) };
            if taken == 0 {
                return Some(Self::begin(area));
            }
        }
        None
    }

    /// Makes it available to other programs.
    #[inline(always)]
    pub(crate) fn give_back(&self) {
        // SAFETY: a member of a live area.
        unsafe { core::ptr::write_volatile(&raw mut (*self.area).taken, 0) };
    }

    #[inline(always)]
    fn begin(area: *mut ScratchArea) -> Self {
        // SAFETY: an area that no other program uses at this time.
        unsafe {
            (*area).cut = 0;
            (*area).unreadable = 0;
        }
        let scratch = Self { area };
        scratch.set_position(EVENT_HEADER_LEN);
        scratch
    }

    #[inline(always)]
    pub(crate) fn event(&self) -> *mut u8 {
        // SAFETY: a member of a live area.
        unsafe { (&raw mut (*self.area).event).cast() }
    }

    /// Bytes of the event so far, header included; at most what an event may have.
    #[inline(always)]
    pub(crate) fn event_len(&self) -> usize {
        self.position()
    }

    #[inline(always)]
    pub(crate) fn set_header(&self, header: EventHeader) {
        // SAFETY: the area is longer than a header, and aligned to 8.
        unsafe { self.event().cast::<EventHeader>().write(header) };
    }

    #[inline(always)]
    fn position(&self) -> usize {
        // SAFETY: a member of a live area; volatile, to keep it out of registers.
        unsafe { core::ptr::read_volatile(&raw const (*self.area).len) as usize & POSITION_MASK }
    }

    #[inline(always)]
    fn set_position(&self, position: usize) {
        // SAFETY: as above.
        unsafe { core::ptr::write_volatile(&raw mut (*self.area).len, position as u64) };
    }

    /// Where the next byte goes.
    #[inline(always)]
    pub(crate) fn end(&self) -> *mut u8 {
        // SAFETY: masked, inside the scratch.
        unsafe { self.event().add(self.position()) }
    }

    #[inline(always)]
    fn advance(&self, bytes: usize) {
        self.set_position(self.position() + bytes);
    }

    /// Appends the contexts of the event, which come before its payload.
    #[inline(always)]
    pub(crate) fn push_context(&self) {
        let len = constant!(CONFIG.context_len) as usize;
        if len != 0 {
            hook::context(self.end());
            self.advance(len);
        }
    }

    /// Appends the values fetched by generated code, at the next multiple of 8 bytes.
    #[inline(always)]
    pub(crate) fn push_fetched(&self, ctx: *const c_void, scope: &Scope, class: u32) {
        self.align();
        let fetched = hook::fetch(ctx, self.end());
        self.advance(fetched.len());
        count::fault(scope, class, fetched.faulted());
    }

    /// Appends the stacks selected by `flags`, without alignment: the number of addresses, then
    /// the addresses.
    #[inline(always)]
    pub(crate) fn push_stacks(&self, ctx: *mut c_void, flags: u32) {
        if flags & spec_flags::KERNEL_STACK != 0 {
            self.push_stack(ctx, 0);
        }
        if flags & spec_flags::USER_STACK != 0 {
            self.push_stack(ctx, u64::from(BPF_F_USER_STACK));
        }
    }

    #[inline(always)]
    fn push_stack(&self, ctx: *mut c_void, flags: u64) {
        let count = self.position();
        self.advance(4);
        // SAFETY: masked, with room for the largest stack after it.
        let len = unsafe { bpf_get_stack(ctx, self.end().cast(), MAX_STACK_LEN, flags) };
        // Kernel threads have no user stack.
        let len = if len > 0 { len as usize } else { 0 };
        self.set_position(count);
        self.push_u32((len / 8) as u32);
        self.advance(len);
    }

    /// Appends `len` bytes of kernel memory.
    #[inline(always)]
    pub(crate) fn push_kernel_bytes(&self, source: *const c_void, len: usize) {
        let len = bounded(len);
        unsafe { bpf_probe_read_kernel(self.end().cast(), len as u32, source) };
        self.advance(len);
    }

    /// Appends zeroes, fewer than 64.
    #[inline(always)]
    pub(crate) fn push_zeroes(&self, len: usize) {
        for _ in 0..len {
            self.push_byte(0);
        }
    }

    /// Appends a string of at most `len` bytes without its terminator, from kernel memory.
    #[inline(always)]
    pub(crate) fn push_kernel_string(&self, source: *const c_void, len: usize) {
        let room = bounded(len) + 1;
        // SAFETY: a live variable; volatile, because the compiler otherwise keeps `room` in a
        // register whose bound the verifier has lost.
        let room = unsafe { core::ptr::read_volatile(&raw const room) } & (2 * MAX_EVENT_LEN - 1);
        let read = unsafe { bpf_probe_read_kernel_str(self.end().cast(), room as u32, source) };
        self.finish_string(read);
    }

    /// Appends the user string of argument `bit` with its terminator, cut to
    /// [`MAX_STRING_LEN`].
    #[inline(always)]
    pub(crate) fn push_user_string(&self, source: *const c_void, bit: u8) {
        let read = unsafe {
            bpf_probe_read_user_str(self.end().cast(), MAX_STRING_LEN as u32 + 1, source)
        };
        if read > MAX_STRING_LEN as i64 {
            // SAFETY: inside what was just written.
            unsafe {
                self.end().add(MAX_STRING_LEN - 1).write(0);
                (*self.area).cut |= bit;
            }
            self.advance(MAX_STRING_LEN);
            return;
        }
        if read < 0 {
            // SAFETY: a member of a live area.
            unsafe { (*self.area).unreadable |= bit };
            return self.push_unread_string(source.is_null());
        }
        self.finish_string(read);
    }

    /// Appends what is recorded in place of a string that could not be read.
    #[inline(always)]
    pub(crate) fn push_unread_string(&self, is_null: bool) {
        let (bytes, len) = if is_null {
            (u64::from_le_bytes(NULL_STRING), NULL_STRING_LEN)
        } else {
            (u64::from_le_bytes(FAULT_STRING), FAULT_STRING.len())
        };
        // SAFETY: masked, with room after it.
        unsafe { self.end().cast::<u64>().write_unaligned(bytes) };
        self.advance(len);
    }

    #[inline(always)]
    fn finish_string(&self, read: i64) {
        if read > 0 && read <= MAX_EVENT_LEN as i64 {
            self.advance(read as usize);
        } else {
            self.push_byte(0);
        }
    }

    /// Appends the masks of user strings that were cut and that could not be read.
    #[inline(always)]
    pub(crate) fn push_string_marks(&self) {
        // SAFETY: members of a live area.
        let (cut, unreadable) = unsafe { ((*self.area).cut, (*self.area).unreadable) };
        self.push_byte(cut);
        self.push_byte(unreadable);
    }

    /// Appends a byte.
    #[inline(always)]
    pub(crate) fn push_byte(&self, byte: u8) {
        // SAFETY: masked, inside the scratch.
        unsafe { self.end().write(byte) };
        self.advance(1);
    }

    /// Appends a number at any alignment.
    #[inline(always)]
    pub(crate) fn push_u32(&self, value: u32) {
        let end = self.end();
        // SAFETY: masked, with room after it; byte by byte, because it is not aligned.
        unsafe {
            end.write(value as u8);
            end.add(1).write((value >> 8) as u8);
            end.add(2).write((value >> 16) as u8);
            end.add(3).write((value >> 24) as u8);
        }
        self.advance(4);
    }

    /// Appends a number at the next multiple of 8 bytes.
    #[inline(always)]
    pub(crate) fn push_aligned_u64(&self, value: u64) {
        self.align();
        let position = self.position() & !7;
        // SAFETY: masked and aligned.
        unsafe { self.event().add(position).cast::<u64>().write(value) };
        self.advance(8);
    }

    /// Removes the last bytes of what was just appended.
    #[inline(always)]
    pub(crate) fn take_back(&self, bytes: usize) {
        self.set_position(self.position().wrapping_sub(bytes));
    }

    /// Skips to the next multiple of 8 bytes. The bytes in between keep their content: readers
    /// ignore them.
    #[inline(always)]
    pub(crate) fn align(&self) {
        self.set_position((self.position() + 7) & !7);
    }
}

/// `len`, limited to the length of an event.
#[inline(always)]
fn bounded(len: usize) -> usize {
    if len < MAX_EVENT_LEN {
        len
    } else {
        MAX_EVENT_LEN - 1
    }
}
