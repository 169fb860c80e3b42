//! Values that a program fetches when a probe fires: from registers, from the kernel's
//! record of a tracepoint, and from the memory that they point to.
//!
//! They are resolved from BTF and from what users type
//! (`kprobe:vfs_open{path->dentry->d_name.name:str}`); [`attach`](crate::record::attach)
//! generates the instructions.

pub mod context;
mod defaults;
mod error;
mod layout;
mod lexer;
mod list;
mod parser;
pub mod registers;
mod scope;
mod syntax;
pub(in crate::probe) mod types;
mod value;
mod walk;
mod walked;

pub use context::{ContextField, ContextSource};
pub use defaults::{arguments, returned, returned_and_arguments};
pub use error::{FetchError, FetchProblem};
pub use layout::Layout;
pub use list::FetchList;
pub use registers::ARGUMENT_REGISTERS;
pub use scope::Scope;
pub use syntax::{Expr, Format, Item, Style, Tag, TypeName};
pub use value::{
    Base, FETCH_FAULT, Fetch, Fetched, FieldSource, Load, MAX_FETCHED, MAX_FETCHED_STRING, Memory,
};

/// The name of a type as C has it, such as `const struct file *`.
pub(in crate::probe) fn type_name(text: &str) -> Option<TypeName> {
    parser::type_name(text).ok()
}
