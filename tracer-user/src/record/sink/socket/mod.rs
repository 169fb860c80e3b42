//! One TCP connection for all streams.
//!
//! # Whose pages
//! A packet goes out in the pages that it lies in (`MSG_ZEROCOPY`). TCP reads them until
//! the peer has acknowledged them, and again whenever it has to send them again; so the
//! packet leaves its sub-buffer ([`Taken::detach`]) and its pages are kept here, in order,
//! until the kernel reports by a completion on the socket's error queue that it is done with
//! them. Only then they go back to their [`Pool`]. When that is at its limit, taking a packet
//! waits for completions.
//!
//! `vmsplice` and `splice` would hand over pages as well, but nothing reports when they are
//! free: when the peer is on the same machine, the pages themselves wait in its receive
//! queue, acknowledged (`SIOCOUTQ` is 0) and not read, and change when they are rewritten.
//! With `MSG_ZEROCOPY` the kernel copies in that case, and reports it in the completion
//! (`SO_EE_CODE_ZEROCOPY_COPIED`). From then on packets are sent by copy, which costs less.

mod connection;
mod in_flight;

use std::io::{self, IoSlice};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;

use self::connection::Connection;
use crate::record::pool::Pool;
use crate::record::sink::{Sink, SinkReport, WriteMethod};
use crate::record::subbuf::Taken;
use crate::sys::output::{Calls, KernelCalls};
use crate::trace::folder::frames::Frame;

/// What an address starts with.
const SCHEME: &str = "tcp://";

/// A host that does not answer is not waited for any longer.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

const LENT: &str = "its pages were used again at once";

/// A TCP connection that takes a trace as [frames](crate::trace::folder::frames).
///
/// A slow peer makes all streams wait, as with a pipe; what cannot be kept meanwhile is lost
/// before the sub-buffers, and counted there.
#[derive(Debug)]
pub struct SharedSocket<C = KernelCalls> {
    connection: Mutex<Connection<C>>,
    name: String,
}

impl SharedSocket {
    /// Connects to `tcp://HOST:PORT`.
    ///
    /// # Errors
    /// If that is not such an address, or nothing listens there.
    pub fn connect(address: &str) -> io::Result<Self> {
        let stream = open(address).map_err(|error| {
            let advice = match error.kind() {
                io::ErrorKind::InvalidInput => "; write it as `tcp://HOST:PORT`",
                io::ErrorKind::ConnectionRefused => {
                    "; start the receiver first: `nc -l -p PORT | tracer report -`"
                }
                _ => "",
            };
            let what = format!("cannot connect to `{address}`: {error}{advice}");
            io::Error::new(error.kind(), what)
        })?;
        Ok(Self::new(stream, address))
    }

    /// The address, if this is one rather than the path of a file.
    #[must_use]
    pub fn address(path: &Path) -> Option<&str> {
        path.to_str().filter(|text| text.starts_with(SCHEME))
    }

    /// Takes a connection that nothing was sent on yet; errors call it `name`.
    #[must_use]
    pub fn new(stream: TcpStream, name: &str) -> Self {
        Self::with(KernelCalls, stream, name)
    }
}

/// Tries the addresses of a host, one after the other.
fn open(address: &str) -> io::Result<TcpStream> {
    let host = address.strip_prefix(SCHEME).unwrap_or(address);
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_LIMIT) {
            Ok(stream) => {
                // The end of a packet need not wait for the next one.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

impl<C: Calls> SharedSocket<C> {
    /// The same with other system calls.
    pub(crate) fn with(calls: C, stream: TcpStream, name: &str) -> Self {
        Self {
            connection: Mutex::new(Connection::new(calls, stream.into())),
            name: name.to_owned(),
        }
    }

    /// What errors call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends one frame, all of it before the next one, by copy.
    ///
    /// # Errors
    /// The first error is final, since a part of the frame may have been sent.
    pub fn send(&self, frame: Frame, body: &[u8]) -> io::Result<()> {
        let sent = self.connection().send(frame, &[IoSlice::new(body)]);
        self.named(sent)
    }

    /// Waits until the kernel is done with all pages, and signals the peer that no frame
    /// follows. What is still in the socket's own buffers reaches the peer later.
    pub fn end(&self) -> io::Result<()> {
        let ended = self.connection().end();
        self.named(ended)
    }

    fn connection(&self) -> MutexGuard<'_, Connection<C>> {
        // A thread that panicked holding the lock was inside a call that left the rest as it
        // was; its frame is whole or not begun.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn named<T>(&self, outcome: Result<T, Errno>) -> io::Result<T> {
        outcome.map_err(|error| {
            let why = if matches!(error, Errno::PIPE | Errno::CONNRESET) {
                "its reader has closed it".to_owned()
            } else {
                io::Error::from(error).to_string()
            };
            io::Error::new(
                io::Error::from(error).kind(),
                format!("cannot send to `{}`: {why}", self.name),
            )
        })
    }
}

/// One stream's access to a [`SharedSocket`].
#[derive(Debug)]
pub struct SocketSink<C = KernelCalls> {
    socket: Arc<SharedSocket<C>>,
    stream: u64,
    pool: Option<Arc<Pool>>,
    report: SinkReport,
}

impl<C: Calls> SocketSink<C> {
    /// For the stream of this number. `pool` is where the pages of its sub-buffers come from,
    /// and where more can be had while packets are in flight; without one, packets are
    /// copied.
    #[must_use]
    pub fn new(socket: Arc<SharedSocket<C>>, stream: u64, pool: Option<Arc<Pool>>) -> Self {
        let report = SinkReport {
            way: WriteMethod::Socket,
            reason: None,
        };
        Self {
            socket,
            stream,
            pool,
            report,
        }
    }

    fn note(&mut self, copied: Option<&str>) {
        let way = match copied {
            Some(_) => WriteMethod::SocketCopy,
            None => WriteMethod::Socket,
        };
        // Almost always as before, and then no text is made.
        if way != self.report.way || copied != self.report.reason.as_deref() {
            self.report = SinkReport {
                way,
                reason: copied.map(str::to_owned),
            };
        }
    }
}

impl<C: Calls> Sink for SocketSink<C> {
    fn write_packet(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        let frame = Frame::Packet(self.stream);
        let sent = self.socket.connection().send(frame, pieces);
        self.socket.named(sent)?;
        self.note(Some(LENT));
        Ok(())
    }

    fn take(&mut self, packet: Taken<'_>) -> io::Result<()> {
        let Some(pool) = &self.pool else {
            return self.write_packet(&packet.io_slices());
        };
        let frame = Frame::Packet(self.stream);
        let taken = self.socket.connection().take(frame, packet, pool);
        let copied = self.socket.named(taken)?;
        self.note(copied);
        Ok(())
    }

    /// Waits until the kernel is done with all pages, which then are in their pools.
    fn finish(&mut self) -> io::Result<()> {
        let settled = self.socket.connection().settle();
        self.socket.named(settled)
    }

    fn report(&self) -> SinkReport {
        self.report.clone()
    }
}

#[cfg(test)]
mod tests;
