//! Event classes of synthetic traces.

use std::sync::Arc;

use tracer::trace::event::{
    Display, EventClass, Field, FieldType, IntegerType, Label, LabelKind, Labels,
};

pub(crate) fn number(size_bytes: u16, signed: bool, display: Display) -> IntegerType {
    IntegerType::natural(size_bytes, signed, display)
}

pub(crate) fn field(name: &str, ty: FieldType) -> Field {
    Field {
        name: name.into(),
        ty,
    }
}

pub(crate) fn class(id: u32, name: &str, fields: Vec<Field>) -> EventClass {
    EventClass {
        id,
        name: name.into(),
        context: Vec::new(),
        fields,
    }
}

/// A 32-bit number in a slot of 8 bytes, as arguments of system calls are.
pub(crate) fn slot(signed: bool, display: Display) -> FieldType {
    FieldType::Integer(IntegerType {
        align_bits: 64,
        ..number(4, signed, display)
    })
}

/// A signed number of 8 bytes.
pub(crate) fn slot64() -> FieldType {
    FieldType::Integer(number(8, true, Display::Decimal))
}

pub(crate) const SWITCH: u32 = 0;
pub(crate) const GETPPID: u32 = 1;
pub(crate) const OPENAT: u32 = 2;
pub(crate) const KPROBE: u32 = 3;
pub(crate) const EVERYTHING: u32 = 9;
pub(crate) const LABELED: u32 = 10;

/// Classes like those that are recorded, and one with each type of field.
pub(crate) fn classes() -> Vec<EventClass> {
    use Display::{Decimal, Hexadecimal, Octal, Text};
    let int = |bytes, signed, display| FieldType::Integer(number(bytes, signed, display));
    let comm = FieldType::Array {
        element: number(1, false, Text),
        length: 16,
    };
    let mut classes = vec![
        class(
            SWITCH,
            "sched:sched_switch",
            vec![
                field("prev_comm", comm.clone()),
                field("prev_pid", int(4, true, Decimal)),
                field("prev_prio", int(4, true, Decimal)),
                field("prev_state", int(8, true, Decimal)),
                field("next_comm", comm),
                field("next_pid", int(4, true, Decimal)),
                field("next_prio", int(4, true, Decimal)),
            ],
        ),
        class(GETPPID, "syscall_entry_getppid", vec![]),
        class(
            OPENAT,
            "syscall_entry_openat",
            vec![
                field("dfd", slot(true, Decimal)),
                field("filename", FieldType::String),
                field("flags", slot(false, Hexadecimal)),
                field("mode", slot(false, Octal)),
            ],
        ),
        class(
            KPROBE,
            "kprobe:\"vfs_read\"+0x10\\",
            vec![field("arg0", int(8, false, Hexadecimal))],
        ),
        class(
            EVERYTHING,
            "test:everything",
            vec![
                field("u8", int(1, false, Decimal)),
                field("s16", int(2, true, Decimal)),
                field(
                    "bits",
                    FieldType::Integer(IntegerType {
                        size_bits: 3,
                        align_bits: 1,
                        signed: true,
                        display: Decimal,
                    }),
                ),
                field(
                    "more_bits",
                    FieldType::Integer(IntegerType {
                        size_bits: 13,
                        align_bits: 1,
                        signed: false,
                        display: Decimal,
                    }),
                ),
                field(
                    "packed",
                    FieldType::Integer(number(8, false, Decimal).packed()),
                ),
                field(
                    "array",
                    FieldType::Array {
                        element: number(2, false, Decimal),
                        length: 3,
                    },
                ),
                field(
                    "sequence",
                    FieldType::Sequence {
                        element: number(8, false, Hexadecimal),
                    },
                ),
                field(
                    "packed_sequence",
                    FieldType::Sequence {
                        element: number(2, true, Decimal).packed(),
                    },
                ),
                field(
                    "text",
                    FieldType::Sequence {
                        element: number(1, false, Text),
                    },
                ),
                field("string", FieldType::String),
                field("enum", int(1, false, Decimal)),
            ],
        ),
    ];
    classes.extend(labeled_classes());
    classes
}

fn labeled_classes() -> [EventClass; 2] {
    [
        class(
            LABELED,
            "test:labeled",
            vec![
                field("state", labeled(4, true, LabelKind::Values, &STATES)),
                field("flags", labeled(4, false, bits("|"), &FLAGS)),
                field("rwbs", labeled(8, true, bits(""), &[(1, "R"), (2, "W")])),
            ],
        ),
        class(
            LABELED + 1,
            "irq_softirq_entry",
            vec![field("vec", labeled(4, false, LabelKind::Values, &STATES))],
        ),
    ]
}

const STATES: [(u64, &str); 4] = [
    (u64::MAX, "unknown"),
    (1, "run \"ning\""),
    (1, "second name"),
    (3, "TIMER"),
];

/// As `__print_flags` has them: what stands for several bits comes first.
const FLAGS: [(u64, &str); 5] = [
    (0xc0, "GFP_NOFS"),
    (0x40, "IO"),
    (0x80, "FS"),
    (1 << 31, "HIGH"),
    (0, "none"),
];

fn bits(delimiter: &str) -> LabelKind {
    LabelKind::Bits {
        delimiter: delimiter.into(),
    }
}

fn labeled(bytes: u16, signed: bool, kind: LabelKind, labels: &[(u64, &str)]) -> FieldType {
    let label = |&(value, name): &(u64, &str)| Label {
        value,
        name: name.into(),
    };
    let display = match kind {
        LabelKind::Values => Display::Decimal,
        LabelKind::Bits { .. } => Display::Hexadecimal,
    };
    let entries = labels.iter().map(label).collect();
    FieldType::Labeled {
        number: number(bytes, signed, display),
        labels: Arc::new(Labels { kind, entries }),
    }
}
