//! The protocol between host and guest: the job file, the results on the raw disk, and names.

use std::io;

/// Path of the job file in the guest's file system.
pub const JOB_PATH: &str = "job";
/// Folder of the guest whose content comes back.
pub const OUT_DIR: &str = "/out";
/// Serial number of the disk that takes the results; the order of disks can change.
pub const RESULTS_SERIAL: &str = "results";
/// The same of the disk with a file system, if the job asks for one.
pub const DISK_SERIAL: &str = "disk";
/// Mount point of that disk. It is in [`OUT_DIR`], so its files come back, too.
pub const DISK_DIR: &str = "/out/disk";
/// That file system.
pub const DISK_FILE_SYSTEM: &str = "ext4";
/// Names in the archive on that disk.
pub const STATUS_ENTRY: &str = "status";
/// See [`STATUS_ENTRY`].
pub const STDOUT_ENTRY: &str = "stdout";
/// See [`STATUS_ENTRY`].
pub const STDERR_ENTRY: &str = "stderr";
/// The seconds that a command of `work keep` took.
pub const SECONDS_ENTRY: &str = "seconds";
/// See [`STATUS_ENTRY`]; a folder.
pub const OUT_ENTRY: &str = "out";
/// Printed on the console by the guest's first process before it runs the job.
pub const BEGIN: &str = "guest-init: running the job";
/// I/O port of qemu's exit device.
pub const EXIT_PORT: u16 = 0xf4;

/// Exit status of the virtual machine for a value that the guest writes to [`EXIT_PORT`].
#[must_use]
pub const fn exit_status(value: u8) -> i32 {
    // qemu's device shifts so that its own exit status, 0, stays distinct.
    (value as i32) << 1 | 1
}

/// The part of a job that the guest itself reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestJob {
    /// Commands, each a program and its arguments.
    pub commands: Vec<Vec<String>>,
    /// Whether to mount tracefs and debugfs.
    pub tracefs: bool,
    /// Whether there is a disk to mount at [`DISK_DIR`].
    pub disk: bool,
}

impl GuestJob {
    /// The job as a file: words ended by NUL, the one byte that arguments cannot hold, and
    /// before each command the number of its words.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut words = vec![
            format!("tracefs={}", u8::from(self.tracefs)),
            format!("disk={}", u8::from(self.disk)),
        ];
        for command in &self.commands {
            words.push(command.len().to_string());
            words.extend_from_slice(command);
        }
        (words.join("\0") + "\0").into_bytes()
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// If the bytes are not a job.
    pub fn decode(bytes: &[u8]) -> io::Result<Self> {
        let bad = || io::Error::new(io::ErrorKind::InvalidData, "not a job");
        let text = str::from_utf8(bytes).map_err(|_| bad())?;
        let mut words = text.strip_suffix('\0').ok_or_else(bad)?.split('\0');
        let mut switch = |name: &str| {
            let word = words.next().and_then(|word| word.strip_prefix(name));
            match word {
                Some("=0") => Ok(false),
                Some("=1") => Ok(true),
                _ => Err(bad()),
            }
        };
        let (tracefs, disk) = (switch("tracefs")?, switch("disk")?);
        let mut commands = Vec::new();
        while let Some(count) = words.next() {
            let count: usize = count.parse().map_err(|_| bad())?;
            let command: Vec<_> = words.by_ref().take(count).map(str::to_owned).collect();
            if command.len() != count || command.is_empty() {
                return Err(bad());
            }
            commands.push(command);
        }
        Ok(Self {
            commands,
            tracefs,
            disk,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_comes_back_as_it_was() {
        let job = GuestJob {
            commands: vec![
                vec!["work".into(), String::new(), "a b\n".into()],
                vec!["tracer".into()],
            ],
            tracefs: true,
            disk: false,
        };
        assert_eq!(GuestJob::decode(&job.encode()).unwrap(), job);
    }

    #[test]
    fn a_job_that_was_cut_is_refused() {
        assert!(GuestJob::decode(b"tracefs=1\0disk=0\x003\0work\0").is_err());
    }
}
