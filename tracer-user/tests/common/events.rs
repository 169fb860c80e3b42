//! Events of these classes, byte by byte.

use tracer::trace::event::{Display, EventClass, FieldType};

use crate::common::classes::{EVERYTHING, LABELED, OPENAT, SWITCH, class, field, number};

/// An event as the recorder gets it, without padding at its end.
pub(crate) fn event(timestamp_ns: u64, class: u32, tid: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = timestamp_ns.to_le_bytes().to_vec();
    bytes.extend(class.to_le_bytes());
    bytes.extend(tid.to_le_bytes());
    bytes.extend((tid / 10 * 10).to_le_bytes());
    bytes.extend((24 + payload.len() as u32).to_le_bytes());
    bytes.extend(payload);
    bytes
}

pub(crate) fn switch(timestamp_ns: u64, prev: (&str, u32), next: (&str, u32)) -> Vec<u8> {
    let mut payload = Vec::new();
    for (comm, pid) in [prev, next] {
        let mut padded = [0; 16];
        padded[..comm.len()].copy_from_slice(comm.as_bytes());
        payload.extend(padded);
        payload.extend(pid.to_le_bytes());
        payload.extend(120u32.to_le_bytes());
        if payload.len() == 24 {
            payload.extend(1u64.to_le_bytes());
        }
    }
    event(timestamp_ns, SWITCH, prev.1, &payload)
}

pub(crate) fn openat(timestamp_ns: u64, tid: u32, filename: &[u8]) -> Vec<u8> {
    // a string is not aligned: it starts right after the 32-bit number
    let mut payload = (-100i32).to_le_bytes().to_vec();
    payload.extend(filename);
    payload.push(0);
    payload.resize(payload.len().next_multiple_of(8), 0xdd);
    payload.extend(0x8_0000u64.to_le_bytes());
    payload.extend(0o644u32.to_le_bytes());
    event(timestamp_ns, OPENAT, tid, &payload)
}

/// With `sequence` elements in each sequence.
pub(crate) fn everything(timestamp_ns: u64, sequence: u32) -> Vec<u8> {
    let mut payload = vec![200, 0];
    payload.extend((-2i16).to_le_bytes());
    // 3 bits of -3, 13 bits of 4321
    payload.extend((0b101 | 4321u16 << 3).to_le_bytes());
    payload.extend(u64::MAX.to_le_bytes());
    payload.extend([1u16, 2, 65535].map(u16::to_le_bytes).concat());
    payload.resize(payload.len().next_multiple_of(8), 0xdd);
    payload.extend(sequence.to_le_bytes());
    payload.resize(payload.len().next_multiple_of(8), 0xdd);
    (0..sequence).for_each(|n| payload.extend(u64::from(n + 10).to_le_bytes()));
    payload.extend(sequence.to_le_bytes());
    (0..sequence).for_each(|n| payload.extend((-(n as i16)).to_le_bytes()));
    payload.extend(sequence.to_le_bytes());
    payload.extend((0..sequence).map(|n| b'a' + n as u8));
    payload.extend("tail é\0".as_bytes());
    payload.push(7);
    event(timestamp_ns, EVERYTHING, 77, &payload)
}

/// An event of [`LABELED`].
pub(crate) fn labeled_event(timestamp_ns: u64, state: i32, flags: u32, rwbs: u64) -> Vec<u8> {
    let mut payload = state.to_le_bytes().to_vec();
    payload.extend(flags.to_le_bytes());
    payload.extend(rwbs.to_le_bytes());
    event(timestamp_ns, LABELED, 7, &payload)
}

/// A class with two contexts and a payload of one number, and an event of it.
pub(crate) fn with_context(id: u32, timestamp_ns: u64) -> (EventClass, Vec<u8>) {
    let comm = FieldType::Array {
        element: number(1, false, Display::Text),
        length: 6,
    };
    let int = |signed| FieldType::Integer(number(4, signed, Display::Decimal));
    let class = EventClass {
        context: vec![field("uid", int(false)), field("comm", comm)],
        ..class(id, "test:context", vec![field("value", int(true))])
    };
    let parts = [
        &1000u32.to_le_bytes()[..],
        b"cat\0\0\0",
        // what aligns the payload to 8 bytes
        &[0xdd; 6],
        &(-1i32).to_le_bytes(),
    ];
    (class, event(timestamp_ns, id, 7, &parts.concat()))
}
