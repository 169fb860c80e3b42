//! LTTng's state dump: events that list the threads, open files, interrupts and disks present
//! when recording begins. Names and fields are those of
//! `instrumentation/events/lttng-statedump.h` in LTTng-modules 2.13, except that a file has the
//! `pid` of its process instead of the address of its file table, which only the kernel knows.
//! Readers look for `pid`, as earlier versions of LTTng wrote it.

use tracer_common::{EVENT_HEADER_LEN, EventHeader};

use crate::trace::event::{Display, EventClass, Field, FieldType, IntegerType};

/// Prefix of the names of these events.
pub const PREFIX: &str = "lttng_statedump";

/// Bytes of a thread's name in an event (the kernel's `TASK_COMM_LEN`).
const NAME_LEN: usize = 16;

/// One entry of the state dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// Start of the dump.
    Start,
    /// End of the dump.
    End,
    /// A thread.
    Thread(&'a Thread<'a>),
    /// The ids of a thread in a pid namespace.
    Namespace(&'a Namespace),
    /// An open file.
    File(&'a File<'a>),
    /// An interrupt and one of its handlers.
    Interrupt {
        /// Interrupt number.
        irq: u32,
        /// Name of the interrupt chip.
        name: &'a [u8],
        /// Name of the handler.
        action: &'a [u8],
    },
    /// A disk.
    Disk {
        /// Device number as in the kernel's events: `major << 20 | minor`.
        dev: u32,
        /// Name, without `/dev`.
        name: &'a [u8],
    },
}

/// A thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thread<'a> {
    /// Thread id.
    pub tid: u32,
    /// Process id.
    pub pid: u32,
    /// Id of the parent process.
    pub ppid: u32,
    /// Name, truncated to the length that the kernel keeps.
    pub name: &'a [u8],
    /// Whether it is a kernel thread.
    pub is_kernel: bool,
    /// Scheduling state.
    pub status: Status,
    /// The CPU that it last ran on.
    pub cpu: u32,
}

/// Scheduling state of a thread (`enum lttng_process_status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// None of the others.
    Other = 0,
    /// Running or runnable.
    WaitsForCpu = 2,
    /// Exited, and not reaped yet.
    Zombie = 4,
    /// Blocked.
    Waits = 5,
    /// Exited.
    Dead = 7,
}

/// The ids of a thread in a pid namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Thread id in the initial namespace, as in all events.
    pub tid: u32,
    /// Thread id in the namespace.
    pub vtid: u32,
    /// Process id in the namespace.
    pub vpid: u32,
    /// Id of the parent process in the namespace; 0 if it is outside.
    pub vppid: u32,
    /// Nesting level of the namespace.
    pub level: u32,
    /// Inode of the namespace.
    pub inode: u32,
}

/// An open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File<'a> {
    /// The process that has it open.
    pub pid: u32,
    /// File descriptor.
    pub fd: u32,
    /// Flags of open(2), including `O_CLOEXEC`.
    pub flags: u32,
    /// Name, as in `/proc/PID/fd`.
    pub name: &'a [u8],
}

/// The kernel's `FMODE_READ` and `FMODE_WRITE`, by the access mode in the flags of open(2).
const FILE_MODES: [u32; 4] = [1, 2, 3, 0];

/// `LTTNG_MODE_UNKNOWN` and `LTTNG_NONE`, which LTTng's modules write for each thread.
const MODES: [u32; 2] = [5, 0];

impl Entry<'_> {
    /// Index of its class in [`classes`].
    const fn index(&self) -> u32 {
        match self {
            Self::Start => 0,
            Self::End => 1,
            Self::Thread(_) => 2,
            Self::Namespace(_) => 3,
            Self::File(_) => 4,
            Self::Interrupt { .. } => 5,
            Self::Disk { .. } => 6,
        }
    }

    /// Appends the values of its fields, in order.
    fn write(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Start | Self::End => {}
            Self::Thread(thread) => {
                numbers(out, &[thread.tid, thread.pid, thread.ppid]);
                let mut name = [0; NAME_LEN];
                let len = thread.name.len().min(NAME_LEN - 1);
                name[..len].copy_from_slice(&thread.name[..len]);
                out.extend(name);
                numbers(out, &[u32::from(thread.is_kernel)]);
                numbers(out, &MODES);
                numbers(out, &[thread.status as u32, thread.cpu]);
            }
            Self::Namespace(namespace) => numbers(
                out,
                &[
                    namespace.tid,
                    namespace.vtid,
                    namespace.vpid,
                    namespace.vppid,
                    namespace.level,
                    namespace.inode,
                ],
            ),
            Self::File(file) => {
                let mode = FILE_MODES[file.flags as usize & 3];
                numbers(out, &[file.pid, file.fd, file.flags, mode]);
                string(out, file.name);
            }
            Self::Interrupt { irq, name, action } => {
                numbers(out, &[irq]);
                string(out, name);
                string(out, action);
                // The id of the handling kernel thread is unknown.
                numbers(out, &[0]);
            }
            Self::Disk { dev, name } => {
                numbers(out, &[dev]);
                string(out, name);
            }
        }
    }
}

fn numbers(out: &mut Vec<u8>, values: &[u32]) {
    for value in values {
        out.extend(value.to_le_bytes());
    }
}

fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(text.iter().take_while(|byte| **byte != 0));
    out.push(0);
}

/// The classes of all these events, with ids from `first_id` on.
#[must_use]
pub fn classes(first_id: u32) -> Vec<EventClass> {
    let signed = |name| field(name, true, Display::Decimal);
    let unsigned = |name, display| field(name, false, display);
    let string = |name: &str| Field {
        name: name.to_owned(),
        ty: FieldType::String,
    };
    let name = Field {
        name: "name".to_owned(),
        ty: FieldType::Array {
            element: IntegerType::natural(1, false, Display::Text),
            length: NAME_LEN as u32,
        },
    };
    let decimal = Display::Decimal;
    let layouts = [
        ("start", vec![]),
        ("end", vec![]),
        (
            "process_state",
            vec![
                signed("tid"),
                signed("pid"),
                signed("ppid"),
                name,
                signed("type"),
                signed("mode"),
                signed("submode"),
                signed("status"),
                unsigned("cpu", decimal),
            ],
        ),
        (
            "process_pid_ns",
            vec![
                signed("tid"),
                signed("vtid"),
                signed("vpid"),
                signed("vppid"),
                signed("ns_level"),
                unsigned("ns_inum", decimal),
            ],
        ),
        (
            "file_descriptor",
            vec![
                signed("pid"),
                signed("fd"),
                unsigned("flags", Display::Octal),
                unsigned("fmode", Display::Hexadecimal),
                string("filename"),
            ],
        ),
        (
            "interrupt",
            vec![
                unsigned("irq", decimal),
                string("name"),
                string("action"),
                signed("tid"),
            ],
        ),
        (
            "block_device",
            vec![unsigned("dev", decimal), string("diskname")],
        ),
    ];
    let numbered = (first_id..).zip(layouts);
    numbered
        .map(|(id, (name, fields))| EventClass {
            context: Vec::new(),
            id,
            name: format!("{PREFIX}_{name}"),
            fields,
        })
        .collect()
}

/// A 32-bit number with byte alignment, as it may follow a string.
fn field(name: &str, signed: bool, display: Display) -> Field {
    let number = IntegerType::natural(4, signed, display);
    Field {
        name: name.to_owned(),
        ty: FieldType::Integer(number.packed()),
    }
}

/// A sequence of encoded events for a stream, each at a multiple of 8 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    first_id: u32,
    /// The recorder's process id.
    pid: u32,
    bytes: Vec<u8>,
}

impl Events {
    /// An empty sequence; classes have ids from `first_id` on. Events are attributed to the main
    /// thread of process `pid`.
    #[must_use]
    pub fn new(first_id: u32, pid: u32) -> Self {
        Self {
            first_id,
            pid,
            bytes: Vec::new(),
        }
    }

    /// Appends an event; timestamps must not decrease.
    pub fn push(&mut self, timestamp_ns: u64, entry: &Entry<'_>) {
        let start = self.bytes.len();
        self.bytes.resize(start + EVENT_HEADER_LEN, 0);
        entry.write(&mut self.bytes);
        let size = (self.bytes.len() - start) as u32;
        let header = [self.first_id + entry.index(), self.pid, self.pid, size];
        let place = &mut self.bytes[start..start + EVENT_HEADER_LEN];
        place[..8].copy_from_slice(&timestamp_ns.to_le_bytes());
        for (word, value) in place[8..].chunks_exact_mut(4).zip(header) {
            word.copy_from_slice(&value.to_le_bytes());
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
    }

    /// The event at `position`, with its header; `None` after the last one. Positions are 0 and
    /// those that [`next`] returns.
    #[must_use]
    pub fn at(&self, position: usize) -> Option<(&[u8], EventHeader)> {
        let rest = self.bytes.get(position..)?;
        let header = EventHeader::read(rest)?;
        Some((rest.get(..header.size as usize)?, header))
    }
}

/// Position of the event after one of `size` bytes at `position`.
#[must_use]
pub const fn next(position: usize, size: u32) -> usize {
    position + (size as usize).next_multiple_of(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_follow_one_another() {
        let mut events = Events::new(10, 6);
        let file = File {
            pid: 5,
            fd: 3,
            flags: 0o2_000_001,
            name: b"/tmp/x",
        };
        events.push(100, &Entry::Start);
        events.push(101, &Entry::File(&file));
        let (bytes, start) = events.at(0).unwrap();
        assert_eq!(
            (bytes.len(), start.timestamp_ns, start.class),
            (24, 100, 10)
        );
        let second = next(0, start.size);
        let (bytes, header) = events.at(second).unwrap();
        assert_eq!((header.class, header.tid, header.pid), (14, 6, 6));
        assert_eq!(&bytes[24..28], 5u32.to_le_bytes());
        assert_eq!(&bytes[36..40], 2u32.to_le_bytes(), "for writing");
        assert_eq!(&bytes[40..], b"/tmp/x\0");
        assert_eq!(events.at(next(second, header.size)), None);
    }

    #[test]
    fn a_long_name_is_truncated_as_the_kernel_does() {
        let mut events = Events::new(0, 1);
        let thread = Thread {
            tid: 2,
            pid: 2,
            ppid: 1,
            name: b"0123456789abcdefghi",
            is_kernel: false,
            status: Status::Waits,
            cpu: 0,
        };
        events.push(1, &Entry::Thread(&thread));
        let (bytes, _) = events.at(0).unwrap();
        assert_eq!(&bytes[36..52], b"0123456789abcde\0");
    }

    /// An entry is as long as the fields of its class.
    #[test]
    fn entries_fill_the_fields_of_their_classes() {
        let classes = classes(0);
        let thread = Thread {
            tid: 2,
            pid: 2,
            ppid: 1,
            name: b"x",
            is_kernel: true,
            status: Status::Other,
            cpu: 1,
        };
        let namespace = Namespace {
            tid: 2,
            vtid: 1,
            vpid: 1,
            vppid: 0,
            level: 1,
            inode: 9,
        };
        let file = File {
            pid: 2,
            fd: 0,
            flags: 0,
            name: b"",
        };
        let (name, action): (&[u8], &[u8]) = (b"", b"");
        for entry in [
            Entry::Start,
            Entry::End,
            Entry::Thread(&thread),
            Entry::Namespace(&namespace),
            Entry::File(&file),
            Entry::Interrupt {
                irq: 1,
                name,
                action,
            },
            Entry::Disk { dev: 1, name },
        ] {
            let mut payload = Vec::new();
            entry.write(&mut payload);
            let class = &classes[entry.index() as usize];
            let len = |field: &Field| match field.ty {
                FieldType::Integer(number) => usize::from(number.size_bits / 8),
                FieldType::Array { length, .. } => length as usize,
                // Empty here.
                FieldType::String => 1,
                ref other => panic!("{other:?}"),
            };
            let expected: usize = class.fields.iter().map(len).sum();
            assert_eq!(payload.len(), expected, "{}", class.name);
        }
    }
}
