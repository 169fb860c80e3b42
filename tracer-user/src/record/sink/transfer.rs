//! Bytes from memory to an offset in a file, by the best method that works.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use crate::record::sink::conduit::Conduit;
use crate::record::sink::{SinkReport, WriteMethod};
use crate::sys::output::{Call, Calls};

/// Moves bytes, and goes over to the next way when the kernel does not take one.
///
/// All ways write at explicit offsets and say how far they came, so that a change of ways
/// in the middle of a packet goes on exactly there.
#[derive(Debug)]
pub(super) struct Transfer {
    way: WriteMethod,
    reasons: Vec<String>,
    /// Made for the first packet. After an error it is thrown away with what is in it, so
    /// that no pages are left in it and no old bytes come before new ones.
    conduit: Option<Conduit>,
    conduit_bytes: usize,
    /// Whether a file with `O_DIRECT` does without for a while.
    detouring: bool,
    /// How often bytes were put, and how often on a detour.
    puts: u64,
    detours: u64,
}

impl Transfer {
    /// Starts with `way`; `reason` says why with no better one. A pipe will have room for
    /// `packet_bytes`.
    pub(super) fn new(way: WriteMethod, reason: Option<String>, packet_bytes: usize) -> Self {
        Self {
            way,
            reasons: reason.into_iter().collect(),
            conduit: None,
            conduit_bytes: packet_bytes,
            detouring: false,
            puts: 0,
            detours: 0,
        }
    }

    pub(super) fn report(&self) -> SinkReport {
        let mut reasons = self.reasons.clone();
        if self.detours > 0 {
            let (detours, puts) = (self.detours, self.puts);
            reasons.push(format!(
                "{detours} of {puts} packets through the page cache, to keep up"
            ));
        }
        SinkReport {
            way: self.way,
            reason: (!reasons.is_empty()).then(|| reasons.join("; ")),
        }
    }

    pub(super) fn is_detouring(&self) -> bool {
        self.detouring
    }

    /// Goes through the page cache with a file that has `O_DIRECT`, or past it again. Both
    /// may be mixed as long as they write different pages.
    pub(super) fn detour(&mut self, calls: &mut impl Calls, file: BorrowedFd<'_>, wanted: bool) {
        if self.way == WriteMethod::Direct && self.detouring != wanted {
            let call = Call::SetDirect { file, on: !wanted };
            // A file that keeps its flag is written as before.
            if calls.call(call).is_ok() {
                self.detouring = wanted;
            }
        }
    }

    /// Puts all of `bytes` at `offset` of `file`. When this returns, with or without an
    /// error, nothing refers to the memory of `bytes`: `splice` to a file returns
    /// when the kernel has copied (page cache) or the device has read them (`O_DIRECT`).
    ///
    /// # Errors
    /// What kept it, with an unknown part of `bytes` written.
    pub(super) fn put(
        &mut self,
        calls: &mut impl Calls,
        file: BorrowedFd<'_>,
        bytes: &[u8],
        offset: u64,
    ) -> Result<(), Errno> {
        self.puts += 1;
        self.detours += u64::from(self.detouring);
        let mut done = 0;
        while done < bytes.len() {
            match self.step(calls, file, &bytes[done..], offset + done as u64) {
                Ok(moved) => done += moved,
                Err(Step::Again) => {}
                Err(Step::Unfit(why)) => self.fall_back(calls, file, why),
                Err(Step::Failed(error)) => {
                    self.conduit = None;
                    return Err(error);
                }
            }
        }
        debug_assert!(self.conduit.as_ref().is_none_or(|pipe| pipe.filled() == 0));
        Ok(())
    }

    /// One system call: moves the first of `bytes`, or puts them into the pipe (moving 0).
    fn step(
        &mut self,
        calls: &mut impl Calls,
        file: BorrowedFd<'_>,
        bytes: &[u8],
        offset: u64,
    ) -> Result<usize, Step> {
        if self.way == WriteMethod::Copy {
            let written = calls.call(Call::WriteAt {
                file,
                bytes,
                offset,
            });
            return moved(written.map_err(|error| Step::of(error).unwrap_or(Step::Failed(error)))?);
        }
        let conduit = match &mut self.conduit {
            Some(conduit) => conduit,
            none => none.insert(
                Conduit::new(calls, self.conduit_bytes)
                    .map_err(|error| Step::Unfit(format!("cannot create a pipe: {error}")))?,
            ),
        };
        if conduit.filled() == 0 {
            // Nothing of it has reached the file, so no error is one of the file.
            return match conduit.fill(calls, bytes) {
                Ok(()) => Ok(0),
                Err(error) => Err(Step::of(error)
                    .unwrap_or_else(|| Step::Unfit(format!("vmsplice is not possible: {error}")))),
            };
        }
        match conduit.empty(calls, file, offset) {
            Ok(count) => moved(count),
            Err(
                error @ (Errno::INVAL
                | Errno::NOSYS
                | Errno::OPNOTSUPP
                | Errno::PERM
                | Errno::ACCESS
                | Errno::NOTBLK),
            ) => Err(Step::Unfit(format!(
                "{} is not possible: {error}",
                self.way
            ))),
            Err(error) => Err(Step::of(error).unwrap_or(Step::Failed(error))),
        }
    }

    /// Takes the next way from here on.
    fn fall_back(&mut self, calls: &mut impl Calls, file: BorrowedFd<'_>, why: String) {
        self.conduit = None;
        if !self.reasons.contains(&why) {
            self.reasons.push(why);
        }
        self.detouring = false;
        if self.way == WriteMethod::Direct {
            // A file that keeps the flag refuses the next ways, too, and says so.
            let _ = calls.call(Call::SetDirect { file, on: false });
            self.way = WriteMethod::Splice;
        } else {
            self.way = WriteMethod::Copy;
        }
    }
}

/// Why a step moved nothing.
enum Step {
    /// Interrupted, or not now.
    Again,
    /// This way is not taken here.
    Unfit(String),
    /// The file takes no more.
    Failed(Errno),
}

impl Step {
    /// For the errors that are none.
    fn of(error: Errno) -> Option<Self> {
        match error {
            Errno::INTR => Some(Self::Again),
            Errno::AGAIN => {
                // Files have no readiness to wait for.
                std::thread::yield_now();
                Some(Self::Again)
            }
            _ => None,
        }
    }
}

/// A call that takes nothing and gives no reason would be repeated for ever.
fn moved(count: usize) -> Result<usize, Step> {
    if count == 0 {
        Err(Step::Failed(Errno::IO))
    } else {
        Ok(count)
    }
}
