//! The only place that selects between the machine's atomics and those of `loom`.
//!
//! All code of the [sub-buffer protocol](crate::subbuf) uses atomics and shared cells through
//! this module. A build with `--cfg tracer_loom` replaces them by types that let `loom` run every
//! order of steps that the memory model allows. The cfg is a separate one because plain `loom`
//! also switches off parts of other crates.

#[cfg(not(tracer_loom))]
pub use core::sync::atomic::{AtomicU64, Ordering};
#[cfg(tracer_loom)]
pub use explored::AtomicU64;
#[cfg(tracer_loom)]
pub use loom::cell::UnsafeCell;
#[cfg(tracer_loom)]
pub use loom::sync::atomic::Ordering;

/// Loom's atomics with a mark before each access.
///
/// Loom 0.7 selects the orders to try by the last access to each atomic. A thread that loads a
/// word before it changes it hides the load of the other thread from that search, and with it
/// most of the orders: a compare-and-swap after a load was run in one order only. A relaxed
/// read-modify-write before each access conflicts with every other access and orders nothing, so
/// that every order of two accesses is tried.
#[cfg(tracer_loom)]
mod explored {
    use loom::sync::atomic::{AtomicU64 as Explored, Ordering};

    /// The part of `core::sync::atomic::AtomicU64` that the protocol needs.
    #[derive(Debug)]
    pub struct AtomicU64 {
        value: Explored,
        mark: Explored,
    }

    #[allow(missing_docs)]
    impl AtomicU64 {
        #[must_use]
        pub fn new(value: u64) -> Self {
            Self {
                value: Explored::new(value),
                mark: Explored::new(0),
            }
        }

        fn mark(&self) -> &Explored {
            self.mark.fetch_add(1, Ordering::Relaxed);
            &self.value
        }

        pub fn load(&self, order: Ordering) -> u64 {
            self.mark().load(order)
        }

        pub fn store(&self, value: u64, order: Ordering) {
            self.mark().store(value, order);
        }

        pub fn compare_exchange(
            &self,
            current: u64,
            new: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            self.mark().compare_exchange(current, new, success, failure)
        }
    }
}

/// Memory with one owner at a time, by a protocol that the compiler does not see.
///
/// The interface is that of `loom::cell::UnsafeCell`, which reports accesses by others than the
/// owner; this one costs nothing and reports nothing.
#[cfg(not(tracer_loom))]
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

#[cfg(not(tracer_loom))]
impl<T> UnsafeCell<T> {
    /// A cell that contains `value`.
    pub const fn new(value: T) -> Self {
        Self(core::cell::UnsafeCell::new(value))
    }

    /// Calls `access` with the address of the value, for reading.
    #[inline]
    pub fn with<R>(&self, access: impl FnOnce(*const T) -> R) -> R {
        access(self.0.get())
    }

    /// Calls `access` with the address of the value, for reading and writing.
    #[inline]
    pub fn with_mut<R>(&self, access: impl FnOnce(*mut T) -> R) -> R {
        access(self.0.get())
    }
}
