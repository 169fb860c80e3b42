//! Control of running recordings: each has a name and a unix socket, by which its owner asks
//! its status or for a snapshot.
//!
//! A recorder [claims](ControlSocket::claim) its [name](SessionName) in the
//! [folder of sockets](RuntimeDir) and [serves](Server) the socket; [`client`] is the other
//! side. What they say is in [`protocol`]. Only root and the recorder's own user get a word
//! in: the folder and the socket are closed to others, and the server asks the kernel who
//! has connected.

pub mod client;
mod contact;
mod error;
mod name;
pub mod protocol;
mod runtime;
mod server;
mod socket;
#[cfg(test)]
pub(super) mod testing;

pub use error::{ControlError, FolderProblem};
pub use name::{NameError, SessionName};
pub use runtime::{Attaching, DEFAULT_RUNTIME_DIR, RUNTIME_DIR_VARIABLE, RuntimeDir};
pub use server::{Answer, Call, Server};
pub use socket::ControlSocket;
