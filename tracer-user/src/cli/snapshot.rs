//! `tracer snapshot`.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{self, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::names::shell::quoted;
use crate::record::control::protocol::SnapshotReply;
use crate::record::control::{RuntimeDir, SessionName, client};
use crate::record::session::{grouped, short};

/// Write the buffers of a session in overwrite mode to a trace
///
/// The session continues to record meanwhile.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Take the snapshot of this session, listed by `tracer sessions` [default: the only one
    /// running]
    #[arg(value_name = "SESSION")]
    session: Option<SessionName>,

    /// Write the trace to this folder [default: a new folder named by session, date and time]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(super) fn run(Args { session, output }: Args) -> anyhow::Result<ExitCode> {
    let Some(runtime) = RuntimeDir::open(&RuntimeDir::default_path())? else {
        bail!(NONE);
    };
    let session = match session {
        Some(session) => session,
        None => only(client::running(&runtime)?)?,
    };
    let folder = output.unwrap_or_else(|| session.snapshot_folder().into());
    // The recorder writes it, and may have another working directory.
    let folder = path::absolute(&folder)
        .with_context(|| format!("cannot write a snapshot to `{}`", folder.display()))?;
    let reply = client::snapshot(&runtime, &session, &folder)?;
    match io::stdout().write_all(summary(&session, &reply).as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

const NONE: &str = "no session is running; start one with `tracer record --mode overwrite`";

/// The only one of `sessions`.
fn only(mut sessions: Vec<SessionName>) -> anyhow::Result<SessionName> {
    match (sessions.pop(), sessions.is_empty()) {
        (None, _) => bail!(NONE),
        (Some(session), true) => Ok(session),
        (Some(last), false) => {
            let names: Vec<String> = sessions
                .iter()
                .chain([&last])
                .map(|name| format!("`{name}`"))
                .collect();
            bail!(
                "{} sessions are running: {}; name one, as in `tracer snapshot {last}`",
                names.len(),
                names.join(", ")
            )
        }
    }
}

fn summary(session: &SessionName, reply: &SnapshotReply) -> String {
    let mut out = format!(
        "snapshot of `{session}`: {} events, {}B in {} packets\n",
        grouped(reply.events),
        short(reply.bytes as f64),
        grouped(reply.packets)
    );
    if reply.missing_packets > 0 {
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{} packets were overwritten before they could be written; a larger --buffer-size \
             gives them more time",
            grouped(reply.missing_packets)
        );
    }
    let trace = reply.folder.display();
    let folder = quoted(reply.folder.as_os_str());
    out + &format!(
        "trace: {trace}\nread it with: tracer report {folder}, or babeltrace2 {folder}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only_of(names: &[&str]) -> Result<String, String> {
        let names = names.iter().map(|name| name.parse().unwrap()).collect();
        match only(names) {
            Ok(name) => Ok(name.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_only_session_need_not_be_named() {
        assert_eq!(only_of(&["a"]), Ok("a".to_owned()));
    }

    #[test]
    fn of_several_sessions_one_must_be_named() {
        assert_eq!(
            only_of(&["a", "b"]).unwrap_err(),
            "2 sessions are running: `a`, `b`; name one, as in `tracer snapshot b`"
        );
    }

    #[test]
    fn without_a_session_the_error_names_the_command_to_start_one() {
        let error = only_of(&[]).unwrap_err();
        assert!(
            error.contains("`tracer record --mode overwrite`"),
            "{error}"
        );
    }

    #[test]
    fn a_summary_reports_missing_packets_only_if_there_are_any() {
        let mut reply = SnapshotReply {
            folder: "/s".into(),
            events: 12_345,
            bytes: 1_200_000,
            packets: 40,
            missing_packets: 0,
        };
        let name = "demo".parse().unwrap();
        assert_eq!(
            summary(&name, &reply),
            "snapshot of `demo`: 12,345 events, 1.2 MB in 40 packets\n\
             trace: /s\n\
             read it with: tracer report /s, or babeltrace2 /s\n"
        );
        reply.missing_packets = 7;
        assert!(summary(&name, &reply).contains("\n7 packets were overwritten"));
    }
}
