//! What the kernel reports about processes: records of a perf event that
//! [`perf::open_mappings`](crate::sys::perf::open_mappings) opened.
//!
//! Layouts are those of the kernel's `include/uapi/linux/perf_event.h`.

use std::ffi::CStr;
use std::ops::Range;

use aya_obj::generated::perf_event_type::{
    PERF_RECORD_COMM, PERF_RECORD_EXIT, PERF_RECORD_FORK, PERF_RECORD_LOST, PERF_RECORD_MMAP2,
};
use thiserror::Error;

/// Type, `misc` and size.
const HEADER_LEN: usize = 8;
/// Process, thread and time, which every record ends with.
const TRAILER_LEN: usize = 16;
/// In `misc`: the name is that of another program (`PERF_RECORD_MISC_COMM_EXEC`).
const OF_EXEC: u16 = 1 << 13;
/// In `misc`: the build id stands where device and inode are else
/// (`PERF_RECORD_MISC_MMAP_BUILD_ID`).
const HAS_BUILD_ID: u16 = 1 << 14;

const LOST: u32 = PERF_RECORD_LOST as u32;
const COMM: u32 = PERF_RECORD_COMM as u32;
const EXIT: u32 = PERF_RECORD_EXIT as u32;
const FORK: u32 = PERF_RECORD_FORK as u32;
const MMAP2: u32 = PERF_RECORD_MMAP2 as u32;

/// Something that happened to a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) timestamp_ns: u64,
    pub(super) pid: u32,
    pub(super) what: What<'a>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What<'a> {
    Mapped(Mapped<'a>),
    /// It executed another program.
    Executed,
    /// It is new, with what its parent had.
    Made {
        parent: u32,
    },
    /// Its first thread ended, and with few exceptions it did.
    Ended,
    /// So many records found no room before this one, whosever they were.
    Lost(u64),
    /// Nothing that says where code is.
    Other,
}

/// Code that was mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapped<'a> {
    pub(super) range: Range<u64>,
    pub(super) file_offset: u64,
    pub(super) file: File<'a>,
    pub(super) path: &'a [u8],
}

/// Which file it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum File<'a> {
    BuildId(&'a [u8]),
    /// The kernel found no build id.
    Inode {
        major: u32,
        minor: u32,
        number: u64,
    },
}

/// A record is not what it should be.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a record of type {kind} does not fit into {size} bytes")]
pub(super) struct Malformed {
    kind: u32,
    size: usize,
}

/// Gives all records of `bytes` to `take`.
///
/// # Errors
/// At the first that cannot be read; what follows is left out.
pub(super) fn read(mut bytes: &[u8], mut take: impl FnMut(Record<'_>)) -> Result<(), Malformed> {
    while !bytes.is_empty() {
        let (kind, misc, size) = header(bytes).ok_or(Malformed {
            kind: 0,
            size: bytes.len(),
        })?;
        let malformed = Malformed { kind, size };
        let Some((record, rest)) = bytes.split_at_checked(size) else {
            return Err(malformed);
        };
        let Some(body) = record.get(HEADER_LEN..) else {
            return Err(malformed);
        };
        take(parse(kind, misc, body).ok_or(malformed)?);
        bytes = rest;
    }
    Ok(())
}

fn header(bytes: &[u8]) -> Option<(u32, u16, usize)> {
    let mut fields = Fields(bytes);
    let (kind, misc) = (fields.u32()?, fields.u16()?);
    Some((kind, misc, fields.u16()?.into()))
}

/// `None` where the record is too short.
fn parse(kind: u32, misc: u16, body: &[u8]) -> Option<Record<'_>> {
    let (body, trailer) = body.split_at_checked(body.len().checked_sub(TRAILER_LEN)?)?;
    let mut fields = Fields(body);
    let (pid, what) = match kind {
        MMAP2 => {
            let (pid, mapped) = mapped(misc, fields)?;
            (pid, is_code(mapped.path).then_some(What::Mapped(mapped)))
        }
        COMM => (
            fields.u32()?,
            (misc & OF_EXEC != 0).then_some(What::Executed),
        ),
        FORK => {
            let (pid, parent) = (fields.u32()?, fields.u32()?);
            // a new thread is of the same process
            (pid, (pid != parent).then_some(What::Made { parent }))
        }
        EXIT => {
            let (pid, _parent, tid) = (fields.u32()?, fields.u32()?, fields.u32()?);
            (pid, (pid == tid).then_some(What::Ended))
        }
        LOST => {
            let _event = fields.u64()?;
            (0, Some(What::Lost(fields.u64()?)))
        }
        _ => (0, None),
    };
    let mut trailer = Fields(trailer);
    let _threads = trailer.u64()?;
    let timestamp_ns = trailer.u64()?;
    Some(Record {
        timestamp_ns,
        pid,
        what: what.unwrap_or(What::Other),
    })
}

fn mapped(misc: u16, mut fields: Fields<'_>) -> Option<(u32, Mapped<'_>)> {
    let (pid, _tid) = (fields.u32()?, fields.u32()?);
    let (start, len) = (fields.u64()?, fields.u64()?);
    let file_offset = fields.u64()?;
    let mut file = Fields(fields.bytes(24)?);
    let file = if misc & HAS_BUILD_ID == 0 {
        File::Inode {
            major: file.u32()?,
            minor: file.u32()?,
            number: file.u64()?,
        }
    } else {
        let [len, ..] = *file.bytes(4)?.first_chunk::<4>()?;
        File::BuildId(file.bytes(len.into())?)
    };
    let _protection_and_flags = fields.u64()?;
    let path = CStr::from_bytes_until_nul(fields.0).ok()?.to_bytes();
    let mapped = Mapped {
        range: start..start.checked_add(len)?,
        file_offset,
        file,
        path: path.strip_suffix(b" (deleted)").unwrap_or(path),
    };
    Some((pid, mapped))
}

/// Whether it is code of a file or of the kernel, not of `//anon`ymous memory.
fn is_code(path: &[u8]) -> bool {
    matches!(path, [b'[' | b'/', ..]) && !path.starts_with(b"//")
}

/// What is left of a record.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_ne_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_ne_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_ne_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: u64 = 77;
    const THREAD: u32 = 8;

    /// A record with what every one has around its `body`.
    fn record(kind: u32, misc: u16, body: &[u8]) -> Vec<u8> {
        let size = (HEADER_LEN + body.len() + TRAILER_LEN) as u16;
        let mut bytes = kind.to_ne_bytes().to_vec();
        bytes.extend([misc.to_ne_bytes(), size.to_ne_bytes()].concat());
        bytes.extend(body);
        bytes.extend(words(&[7, THREAD]));
        bytes.extend(TIME.to_ne_bytes());
        bytes
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    fn mmap2(misc: u16, file: [u8; 24], path: &[u8]) -> Vec<u8> {
        let mut body = words(&[7, THREAD]);
        body.extend([0x1000_u64, 0x800, 0x3000].map(u64::to_ne_bytes).concat());
        body.extend(file);
        body.extend(words(&[5, 2]));
        body.extend(path);
        body.extend(vec![0; 8 - path.len() % 8]);
        record(MMAP2, misc, &body)
    }

    /// What was read, and how it ended.
    fn all(bytes: &[u8]) -> (Vec<String>, Result<(), Malformed>) {
        let mut records = Vec::new();
        let end = read(bytes, |record| {
            let Record {
                timestamp_ns,
                pid,
                what,
            } = record;
            if what != What::Other {
                records.push(format!("{timestamp_ns} {pid} {what:?}"));
            }
        });
        (records, end)
    }

    fn the_only(bytes: &[u8]) -> Option<String> {
        let (mut records, end) = all(bytes);
        assert_eq!(end, Ok(()));
        assert!(records.len() <= 1);
        records.pop()
    }

    #[test]
    fn a_mapping_has_a_build_id_or_an_inode() {
        let mut file = [0; 24];
        file[0] = 3;
        file[4..7].copy_from_slice(&[1, 2, 3]);
        let expected = |file: File<'_>| {
            let mapped = Mapped {
                range: 0x1000..0x1800,
                file_offset: 0x3000,
                file,
                path: b"/bin/x",
            };
            Some(format!("77 7 {:?}", What::Mapped(mapped)))
        };
        let bytes = mmap2(HAS_BUILD_ID, file, b"/bin/x");
        assert_eq!(the_only(&bytes), expected(File::BuildId(&[1, 2, 3])));
        let mut file = [0; 24];
        file[..8].copy_from_slice(&words(&[0xfe, 1]));
        file[8..16].copy_from_slice(&1234_u64.to_ne_bytes());
        let inode = File::Inode {
            major: 0xfe,
            minor: 1,
            number: 1234,
        };
        let bytes = mmap2(0, file, b"/bin/x (deleted)");
        assert_eq!(the_only(&bytes), expected(inode));
    }

    #[test]
    fn what_is_mapped_of_no_file_is_left_out() {
        assert_eq!(the_only(&mmap2(0, [0; 24], b"//anon")), None);
        assert_eq!(the_only(&mmap2(0, [0; 24], b"anon_inode:x")), None);
        assert!(the_only(&mmap2(0, [0; 24], b"[vdso]")).is_some());
    }

    #[test]
    fn processes_are_told_from_threads_and_programs_from_names() {
        for (kind, misc, body, expected) in [
            (FORK, 0, [7, 5, 7, 5], Some("77 7 Made { parent: 5 }")),
            (FORK, 0, [7, 7, 8, 7], None),
            (EXIT, 0, [7, 5, 7, 5], Some("77 7 Ended")),
            (EXIT, 0, [7, 5, 8, 5], None),
            (COMM, OF_EXEC, [7, 7, 0, 0], Some("77 7 Executed")),
            (COMM, 0, [7, 7, 0, 0], None),
            (LOST, 0, [1, 0, 9, 0], Some("77 0 Lost(9)")),
            (PERF_RECORD_EXIT as u32 + 100, 0, [0; 4], None),
        ] {
            let found = the_only(&record(kind, misc, &words(&body)));
            assert_eq!(found.as_deref(), expected, "{kind}");
        }
    }

    #[test]
    fn nothing_that_is_cut_short_is_read() {
        let fork = record(FORK, 0, &words(&[7, 5, 7, 5]));
        let mut both = fork.clone();
        both.extend(mmap2(0, [0; 24], b"/bin/x"));
        for len in fork.len() + 1..both.len() {
            let (records, end) = all(&both[..len]);
            assert_eq!(records.len(), 1, "{len}");
            assert!(end.is_err(), "{len}");
        }
        // A size that is smaller than what such a record has, or than any record.
        let short = record(MMAP2, HAS_BUILD_ID, &words(&[7, 8]));
        let size = short.len();
        assert_eq!(all(&short).1, Err(Malformed { kind: MMAP2, size }));
        let mut none = fork;
        none[6..8].copy_from_slice(&0_u16.to_ne_bytes());
        let kind = FORK;
        assert_eq!(all(&none).1, Err(Malformed { kind, size: 0 }));
        let mut long = mmap2(HAS_BUILD_ID, [25; 24], b"/bin/x");
        assert!(all(&long).1.is_err());
        long.clear();
        assert!(all(&long).1.is_ok());
    }
}
