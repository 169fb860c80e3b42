//! Finding out whether a recorder listens to a socket.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::sys::socket::peer;

/// What is at a path.
#[derive(Debug)]
pub(super) enum Contact {
    /// Nothing is there.
    Absent,
    /// A socket that nothing listens to: its recorder was killed.
    Dead,
    /// Not a socket.
    Foreign,
    /// A recorder with too many waiting clients to connect to.
    Crowded,
    /// A recorder, and its process id if known.
    Live(UnixStream, Option<u32>),
}

/// Connects to a socket, without waiting.
pub(super) fn contact(path: &Path) -> io::Result<Contact> {
    match path.symlink_metadata() {
        Ok(found) if !found.file_type().is_socket() => return Ok(Contact::Foreign),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Contact::Absent),
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    let address = SocketAddrUnix::new(path)?;
    // A blocking `connect` would wait for a recorder that is stopped and has a full queue.
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match connect(&socket, &address) {
        Ok(()) => {
            let stream = UnixStream::from(socket);
            stream.set_nonblocking(false)?;
            let pid = peer(&stream)?.pid;
            Ok(Contact::Live(stream, pid))
        }
        Err(Errno::AGAIN) => Ok(Contact::Crowded),
        Err(Errno::CONNREFUSED) => Ok(Contact::Dead),
        Err(Errno::NOENT) => Ok(Contact::Absent),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn what_is_at_a_path_is_distinguished() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        assert!(matches!(contact(&path).unwrap(), Contact::Absent));
        let listener = UnixListener::bind(&path).unwrap();
        let Contact::Live(_, pid) = contact(&path).unwrap() else {
            panic!("nothing listens");
        };
        assert_eq!(pid, Some(std::process::id()));
        drop(listener);
        assert!(matches!(contact(&path).unwrap(), Contact::Dead));
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "").unwrap();
        assert!(matches!(contact(&path).unwrap(), Contact::Foreign));
    }

    #[test]
    fn a_recorder_with_a_full_queue_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let _listener = UnixListener::bind(&path).unwrap();
        let mut waiting = Vec::new();
        let last = loop {
            match contact(&path).unwrap() {
                Contact::Live(stream, _) => waiting.push(stream),
                other => break other,
            }
        };
        assert!(matches!(last, Contact::Crowded), "{last:?}");
    }
}
