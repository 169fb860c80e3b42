//! The recorder's side.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{io, path};

use crate::record::attach::StillAttached;
use crate::record::control::protocol::Status;
use crate::record::control::{RUNTIME_DIR_VARIABLE, RuntimeDir};
use crate::record::detach::{COMMAND, order};
use crate::sys::descriptors;

/// What the process is called in lists of processes, although it has no path.
const NAME: &str = "tracer";

/// A detacher that does not read its order by then never will.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Lets a new process detach the programs of the session of this `status`. Returns its id.
///
/// # Errors
/// If there is no such process; the programs stay attached as long as the caller keeps them.
pub fn hand_over(attached: &StillAttached, status: Status) -> io::Result<u32> {
    let (socket, input) = UnixStream::pair()?;
    socket.set_write_timeout(Some(TIMEOUT))?;
    let runtime_dir = path::absolute(RuntimeDir::default_path())?;
    // Of a shell that started this process, too: a detacher would keep its pipes and locks.
    descriptors::keep_from_children()?;
    let detacher = Command::new("/proc/self/exe")
        .arg0(NAME)
        .arg(COMMAND)
        .env(RUNTIME_DIR_VARIABLE, runtime_dir)
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(input)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    order::send(&socket, status, attached)?;
    Ok(detacher.id())
}
