//! `tracer sessions`.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::record::control::RuntimeDir;
use crate::record::control::client::{self, Found};
use crate::record::control::protocol::{Detaching, Status};
use crate::record::session::{Size, grouped};
use crate::sys::stderr::message;

/// Maximum length in characters of the column RECORDS.
const MAX_SUBJECT: usize = 60;

const HEADINGS: [&str; 9] = [
    "SESSION",
    "PID",
    "MODE",
    "SINCE",
    "EVENTS",
    "LOST",
    "OVERWRITTEN",
    "BUFFERS",
    "RECORDS",
];

/// Columns of numbers, which are aligned to the right.
const NUMBERS: [usize; 4] = [1, 4, 5, 6];

/// List running sessions, and those whose programs are being detached
///
/// Removes the sockets of recorders that were killed.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Print one JSON object per session
    #[arg(long)]
    json: bool,
}

pub(super) fn run(Args { json }: Args) -> anyhow::Result<ExitCode> {
    let found = match RuntimeDir::open(&RuntimeDir::default_path())? {
        Some(runtime) => client::sessions(&runtime)?,
        None => Vec::new(),
    };
    if !found.iter().any(|found| !matches!(found, Found::Dead(_))) {
        message!("tracer: no session is running; start one with `tracer record`");
    }
    let mut sessions = Vec::new();
    for found in found {
        match found {
            Found::Running(status) => sessions.push(*status),
            Found::Mute { pid, error, .. } => {
                let process = pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
                let error = anyhow::Error::new(error);
                message!("tracer: note: {error:#}{process}");
            }
            Found::Dead(name) => message!(
                "tracer: note: the recorder of `{name}` was killed and its socket was removed; \
                 `tracer repair` makes its trace readable"
            ),
        }
    }
    let mut out = io::stdout().lock();
    let printed = if json {
        print_json(&sessions, &mut out)
    } else {
        print_table(&sessions, &mut out)
    };
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn print_json(sessions: &[Status], out: &mut impl Write) -> io::Result<()> {
    for status in sessions {
        serde_json::to_writer(&mut *out, status)?;
        writeln!(out)?;
    }
    Ok(())
}

fn print_table(sessions: &[Status], out: &mut impl Write) -> io::Result<()> {
    if sessions.is_empty() {
        return Ok(());
    }
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(sessions.iter().map(row));
    let mut widths = [0; HEADINGS.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let gap = " ".repeat(width - cell.chars().count());
            let (before, after) = if NUMBERS.contains(&column) {
                (gap.as_str(), "")
            } else {
                ("", gap.as_str())
            };
            line.extend([before, cell, after, "  "]);
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn row(status: &Status) -> [String; HEADINGS.len()] {
    let since = status.since.to_zoned(jiff::tz::TimeZone::system());
    [
        status.session.to_string(),
        status.pid.to_string(),
        match status.detaching {
            None => status.mode_name().to_owned(),
            Some(_) => "detaching".to_owned(),
        },
        since.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        grouped(status.events),
        grouped(status.lost),
        grouped(status.overwritten),
        format!("{} x {}", status.cpus, Size(status.buffer_bytes)),
        subject(status),
    ]
}

/// What is recorded: the probes, and the command after `--`. If the recording has ended: what is
/// left to detach.
fn subject(status: &Status) -> String {
    if let Some(Detaching { left, total }) = status.detaching {
        return format!("{} of {} programs left", grouped(left), grouped(total));
    }
    let mut text = if status.probes.is_empty() {
        "default probes".to_owned()
    } else {
        status.probes.join(",")
    };
    if !status.command.is_empty() {
        text += " -- ";
        text += &status.command.join(" ");
    }
    // The command may contain escape sequences for the terminal.
    let mut text: String = text
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    if let Some((end, _)) = text.char_indices().nth(MAX_SUBJECT) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::record::subbuf::Mode;

    fn status(probes: &[&str], command: &[&str]) -> Status {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Status {
            session: "demo".parse().unwrap(),
            pid: 7,
            mode: Mode::Overwrite,
            since: Timestamp::UNIX_EPOCH,
            events: 1_234_567,
            bytes: 0,
            lost: 0,
            overwritten: 1000,
            cpus: 2,
            buffer_bytes: 8 << 20,
            subbuf_bytes: 256 << 10,
            output: None,
            probes: owned(probes),
            command: owned(command),
            detaching: None,
        }
    }

    #[test]
    fn a_row_shows_what_is_recorded() {
        let subject = |probes: &[&str], command: &[&str]| super::subject(&status(probes, command));
        assert_eq!(subject(&[], &[]), "default probes");
        assert_eq!(
            subject(&["sched:*", "syscall:openat"], &["cat", "a b"]),
            "sched:*,syscall:openat -- cat a b"
        );
    }

    #[test]
    fn a_row_shows_what_is_left_to_detach() {
        let detaching = Detaching {
            left: 900,
            total: 1585,
        };
        let row = row(&Status {
            detaching: Some(detaching),
            ..status(&["*:*"], &[])
        });
        assert_eq!(row[2], "detaching");
        assert_eq!(row[8], "900 of 1,585 programs left");
    }

    #[test]
    fn a_command_is_escaped_and_cut() {
        let subject = subject(&status(&["sched:*"], &["\x1b[2J\n", &"ä".repeat(100)]));
        assert!(subject.starts_with("sched:* -- ?[2J? ää"), "{subject}");
        assert_eq!(subject.chars().count(), MAX_SUBJECT + 1);
    }

    #[test]
    fn columns_are_aligned_below_their_headings() {
        let mut out = Vec::new();
        print_table(&[status(&["sched:*"], &[])], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let end_of = |line: &str, word: &str| line.find(word).map(|start| start + word.len());
        assert_eq!(end_of(lines[0], "EVENTS"), end_of(lines[1], "1,234,567"));
        assert_eq!(lines[0].find("BUFFERS"), lines[1].find("2 x 8M"));
        assert_eq!(lines[0].find("MODE"), lines[1].find("overwrite"));
    }

    #[test]
    fn each_json_object_is_on_one_line() {
        let mut out = Vec::new();
        let sessions = [status(&[], &[]), status(&[], &[])];
        print_json(&sessions, &mut out).unwrap();
        let lines = String::from_utf8(out).unwrap();
        let read: Vec<Status> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(read, sessions);
    }
}
