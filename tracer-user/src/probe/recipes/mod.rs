//! Recipes: how the record of a tracepoint is computed from the arguments of its raw tracepoint.
//!
//! perf's tracepoints make the kernel assemble a record, which a program then copies. A program
//! at the raw tracepoint gets the arguments instead. It is cheaper, is not skipped when another
//! program interrupts it, and is detached without a grace period for each. A recipe says how it
//! computes each field of the record, so that the events of both ways are the same bytes.
//!
//! A recipe is used only if it is [`certified`]: on a kernel with the same format, the
//! same arguments and the same members, `cargo xtask certify` has compared the events of both
//! ways.
//!
//! | module | offers |
//! |---|---|
//! | `table` | the recipes, from files by subsystem |
//! | `syntax`, `parser` | expressions |
//! | [`node`], `resolve` | expressions with their names and types resolved |
//! | [`layout`] | the payload that a recipe yields |
//! | [`certified`] | keys of recipes, and which of them are certified |
//! | [`bind`](mod@bind) | recipes of the probes of a recording |

pub mod bind;
pub mod certified;
pub mod layout;
pub mod node;
mod parser;
mod resolve;
mod syntax;
mod table;

pub use bind::{BoundRecipe, Recipes, TracepointMethod};
pub use layout::{RecordLayout, Value};
pub use node::{Bytes, Content, Current, Node, Text};
pub use syntax::{Binary, Unary};
