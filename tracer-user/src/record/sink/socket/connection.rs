//! Sending frames, and waiting for pages.

use std::cell::Cell;
use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;

use crate::record::pool::{PageRun, Pool};
use crate::record::sink::socket::in_flight::InFlight;
use crate::record::sink::total_len;
use crate::record::subbuf::{Packet, Taken};
use crate::sys::output::{Call, Calls};
use crate::trace::folder::frames::Frame;

/// Why a packet was copied.
pub(super) type Reason = &'static str;

const NO_ZERO_COPY: Reason = "the kernel has no SO_ZEROCOPY";
const DEVICE_COPIES: Reason = "the kernel copies pages on the way to this peer: it is on the same machine, or the \
     network device does not gather";
const NO_MEMORY: Reason =
    "the kernel keeps no pages of ours; raise net.core.optmem_max or RLIMIT_MEMLOCK";
const NO_SPARE: Reason = "the pool has no pages to take the place of those in flight";

/// A socket with the pages that are on their way.
#[derive(Debug)]
pub(super) struct Connection<C> {
    calls: C,
    socket: OwnedFd,
    in_flight: InFlight,
    /// Why no pages are handed over from now on.
    copies: Option<Reason>,
    /// Why a frame was broken off: anything after it would be taken for its rest.
    broken: Option<Errno>,
}

impl<C: Calls> Connection<C> {
    pub(super) fn new(mut calls: C, socket: OwnedFd) -> Self {
        let set = calls.call(Call::SetZeroCopy {
            socket: socket.as_fd(),
        });
        Self {
            calls,
            socket,
            in_flight: InFlight::default(),
            copies: set.is_err().then_some(NO_ZERO_COPY),
            broken: None,
        }
    }

    /// Sends one frame by copy.
    ///
    /// # Errors
    /// The first error is final, here and below.
    pub(super) fn send(&mut self, frame: Frame, pieces: &[IoSlice<'_>]) -> Result<(), Errno> {
        self.unless_broken(|this| this.put_frame(frame, pieces))
    }

    /// Sends a packet with its pages, if there are others to take their place. Waits for
    /// those where the pool is at its limit. Gives the reason if the packet was copied.
    pub(super) fn take(
        &mut self,
        frame: Frame,
        packet: Taken<'_>,
        pool: &Arc<Pool>,
    ) -> Result<Option<Reason>, Errno> {
        self.unless_broken(|this| {
            if !this.in_flight.is_empty() {
                this.collect()?;
            }
            let Some(spare) = this.spare(pool)? else {
                this.put_frame(frame, &packet.io_slices())?;
                return Ok(Some(this.copies.unwrap_or(NO_SPARE)));
            };
            let packet = packet.detach(spare);
            let sent = this.lend_frame(frame, &packet);
            // Also after an error: the kernel reads on what it has.
            this.in_flight.hold(packet.into_run(), pool);
            sent.map(|()| this.copies)
        })
    }

    /// Waits until the kernel has released all pages.
    pub(super) fn settle(&mut self) -> Result<(), Errno> {
        self.unless_broken(|this| {
            while !this.in_flight.is_empty() {
                this.wait()?;
            }
            // When a connection breaks, its sends are complete, too.
            let socket = this.socket.as_fd();
            this.calls.call(Call::TakeError { socket }).map(drop)
        })
    }

    /// Settles, and signals the end to the peer.
    pub(super) fn end(&mut self) -> Result<(), Errno> {
        self.settle()?;
        self.unless_broken(|this| {
            let socket = this.socket.as_fd();
            this.calls.call(Call::EndSending { socket }).map(drop)
        })
    }

    fn unless_broken<T>(
        &mut self,
        act: impl FnOnce(&mut Self) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        let outcome = act(self);
        self.broken = outcome.as_ref().err().copied();
        outcome
    }

    /// Pages for those that leave with a packet; none if it is to be copied.
    fn spare(&mut self, pool: &Arc<Pool>) -> Result<Option<PageRun>, Errno> {
        while self.copies.is_none() {
            if let Some(run) = pool.take() {
                return Ok(Some(run));
            }
            if !self.in_flight.has_pages_of(pool) {
                return Ok(None);
            }
            self.wait()?;
        }
        Ok(None)
    }

    fn put_frame(&mut self, frame: Frame, pieces: &[IoSlice<'_>]) -> Result<(), Errno> {
        let header = frame.header(total_len(pieces) as u64);
        let mut head = &header[..];
        for piece in pieces {
            self.put(head, piece, false)?;
            head = &[];
        }
        Ok(())
    }

    fn lend_frame(&mut self, frame: Frame, packet: &Packet) -> Result<(), Errno> {
        let header = frame.header(packet.packet_len() as u64);
        self.put(&header, &[], true)?;
        packet
            .io_slices()
            .iter()
            .try_for_each(|piece| self.lend(piece))
    }

    /// Lets the kernel copy all of both.
    fn put(&mut self, mut head: &[u8], mut body: &[u8], more: bool) -> Result<(), Errno> {
        while !(head.is_empty() && body.is_empty()) {
            let socket = self.socket.as_fd();
            let sent = self.calls.call(Call::Send {
                socket,
                head,
                body,
                more,
            });
            match sent {
                Ok(sent) => {
                    let of_head = sent.min(head.len());
                    head = &head[of_head..];
                    body = &body[sent - of_head..];
                }
                Err(error) => self.pass(error)?,
            }
        }
        Ok(())
    }

    /// Hands all of `bytes` to the kernel, which reads them until it reports their completion.
    fn lend(&mut self, mut bytes: &[u8]) -> Result<(), Errno> {
        while !bytes.is_empty() {
            if self.copies.is_some() {
                return self.put(&[], bytes, false);
            }
            let socket = self.socket.as_fd();
            match self.calls.call(Call::SendPages { socket, bytes }) {
                Ok(sent) => {
                    self.in_flight.sent();
                    bytes = &bytes[sent..];
                }
                // A limit on what is in flight: some of it may be ours.
                Err(Errno::NOBUFS) if !self.in_flight.is_empty() => self.wait()?,
                Err(Errno::NOBUFS) => self.copies = Some(NO_MEMORY),
                Err(error) => self.pass(error)?,
            }
        }
        Ok(())
    }

    /// Waits if the kernel asks for it; returns other errors.
    fn pass(&mut self, error: Errno) -> Result<(), Errno> {
        match error {
            Errno::INTR => Ok(()),
            Errno::AGAIN => {
                let socket = self.socket.as_fd();
                // An interrupted wait is followed by another attempt in any case.
                let _ = self.calls.call(Call::AwaitRoom { socket });
                Ok(())
            }
            error => Err(error),
        }
    }

    /// Waits until at least one send is complete.
    fn wait(&mut self) -> Result<(), Errno> {
        while !self.collect()? {
            let socket = self.socket.as_fd();
            let closed = match self.calls.call(Call::AwaitCompletion { socket }) {
                Ok(closed) => closed != 0,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error),
            };
            if self.collect()? {
                return Ok(());
            }
            let socket = self.socket.as_fd();
            self.calls.call(Call::TakeError { socket })?;
            if closed {
                return Err(Errno::PIPE);
            }
        }
        Ok(())
    }

    /// Takes note of the completions that there are; true if there was one.
    fn collect(&mut self) -> Result<bool, Errno> {
        let mut any = false;
        loop {
            let found = Cell::new(None);
            let socket = self.socket.as_fd();
            let read = self.calls.call(Call::ReadCompletion {
                socket,
                found: &found,
            });
            match read {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Ok(any),
                Err(error) => return Err(error),
            }
            if let Some(completion) = found.get() {
                any = true;
                self.in_flight.complete(completion);
                if completion.copied {
                    // Pinning pages to have them copied costs more than copying them.
                    self.copies.get_or_insert(DEVICE_COPIES);
                }
            }
        }
    }
}
