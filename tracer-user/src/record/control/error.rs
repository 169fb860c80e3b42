//! Errors of the control socket, on both sides.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::record::control::SessionName;
use crate::record::control::protocol::ProtocolError;
use crate::record::control::runtime::RUNTIME_DIR_VARIABLE;

/// Why a name cannot be claimed, or a session does not reply.
#[derive(Debug, Error)]
pub enum ControlError {
    /// The folder of sockets is not safe to use.
    #[error("cannot use the folder of control sockets `{}`: {problem}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: FolderProblem,
    },
    /// A system call failed.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A file that is not a socket has the name of the socket.
    #[error("cannot make the control socket `{}`: it exists and is not a socket; remove it", .0.display())]
    NotASocket(PathBuf),
    /// A live recorder has this name.
    #[error(
        "a session `{name}` is already running{}; choose another name with --session, or end \
         that recording{}",
        pid_text(*.pid, ", as process "),
        pid_text(*.pid, " with `kill -INT "),
    )]
    InUse {
        /// The name.
        name: SessionName,
        /// The recorder that has it, if known.
        pid: Option<u32>,
    },
    /// No recorder has this name.
    #[error("no session `{0}` is running; `tracer sessions` lists those that are")]
    NoSuchSession(SessionName),
    /// A recorder has this name and does not reply.
    #[error(
        "session `{0}` does not answer: it is still attaching its probes, or stopped; try again"
    )]
    NoAnswer(SessionName),
    /// The recording ended before it replied.
    #[error("session `{0}` ended before it answered")]
    Ended(SessionName),
    /// The recorder refused the request.
    #[error("session `{name}` refuses: {reason}")]
    Refused {
        /// The session.
        name: SessionName,
        /// Its reason.
        reason: String,
    },
    /// A message could not be sent, or not understood.
    #[error("cannot talk to session `{name}`")]
    Protocol {
        /// The session.
        name: SessionName,
        /// What is wrong.
        source: ProtocolError,
    },
}

/// What is wrong with a folder of sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FolderProblem {
    /// A file, or a symbolic link, which may lead anywhere.
    #[error("it is not a folder; remove it, or name another folder in {RUNTIME_DIR_VARIABLE}")]
    NotAFolder,
    /// Somebody else can put sockets into it.
    #[error(
        "it belongs to the user with id {0}; run `tracer` as that user (`sudo` for 0), or name \
         a folder of your own in {RUNTIME_DIR_VARIABLE}"
    )]
    Foreign(u32),
    /// Its permissions allow others something.
    #[error("others have access to it (mode {0:04o}); close it with `chmod 700`")]
    Accessible(u32),
}

/// `lead` and the process id; a lead that opens a quotation gets it closed.
fn pid_text(pid: Option<u32>, lead: &str) -> String {
    let end = if lead.contains('`') { "`" } else { "" };
    pid.map_or_else(String::new, |pid| format!("{lead}{pid}{end}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_use(pid: Option<u32>) -> String {
        let name = "demo".parse().unwrap();
        ControlError::InUse { name, pid }.to_string()
    }

    #[test]
    fn a_name_in_use_is_told_with_its_process_and_the_way_out() {
        assert_eq!(
            in_use(Some(7)),
            "a session `demo` is already running, as process 7; choose another name with \
             --session, or end that recording with `kill -INT 7`"
        );
        assert_eq!(
            in_use(None),
            "a session `demo` is already running; choose another name with --session, or end \
             that recording"
        );
    }
}
