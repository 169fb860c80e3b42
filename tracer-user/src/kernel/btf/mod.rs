//! The kernel's description of its own types and functions (BTF, the BPF Type Format):
//! arguments of functions, members of structures, names of enumerators.
//!
//! The format is that of `include/uapi/linux/btf.h` and `Documentation/bpf/btf.rst`: a
//! header, a row of types that are numbered from 1, and their names. BTF of a module continues
//! the numbers and names of the kernel's.
//!
//! [`KernelBtf`] finds functions and tracepoints in the kernel and its modules; [`Btf`] is
//! one of these descriptions, of which only the offset of each type is kept; a [`Type`] is
//! a number in it, and is decoded on demand. Damaged BTF is an error, or has
//! nonsensical types, but never causes a panic.

#[cfg(test)]
pub(crate) mod builder;
mod kernel;
mod lookup;
mod names;
mod object;
mod types;
mod views;

pub use kernel::{Found, KernelBtf, KernelBtfError};
pub use lookup::NameKind;
pub use object::{Btf, BtfError};
pub use types::{Kind, Type};
pub use views::{Argument, Composite, Enumeration, Integer, Member, Prototype};
