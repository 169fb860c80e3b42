//! The packets of a trace by their headers, without their events.

use crate::trace::ctf::Tail;
use crate::trace::ctf::layout::Layout;
use crate::trace::ctf::packets::Packet;
use crate::trace::folder::chunk::LastPacket;

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketSpan {
    /// The number of its stream.
    pub stream: usize,
    /// The CPU.
    pub cpu: u32,
    /// Start and end in nanoseconds of the trace's clock; `u64::MAX` if the end is unknown.
    pub begin_ns: u64,
    /// See `begin_ns`.
    pub end_ns: u64,
    /// Size in bytes, with padding.
    pub packet_len: u64,
    /// Bytes that are in use.
    pub content_len: u64,
    /// Events that the recorder dropped since the packet before, up to the end of this one.
    pub lost_events: u64,
    /// Packets that are missing before this one.
    pub lost_packets: u64,
}

/// All packets of a trace.
#[derive(Clone, Debug, Default)]
pub struct Packets {
    /// Stream after stream, each in the order of its files.
    pub spans: Vec<PacketSpan>,
    /// Incomplete packets at the ends of files.
    pub tails: Vec<Tail>,
}

impl Packets {
    pub(super) fn add(
        &mut self,
        stream: usize,
        packet: &Packet,
        layout: &Layout,
        before: Option<LastPacket>,
    ) {
        let (lost_events, lost_packets) = packet.lost_since(before);
        let time = layout.streams[packet.stream].time;
        let header = &packet.header;
        self.spans.push(PacketSpan {
            stream,
            cpu: header.cpu,
            begin_ns: time.ns(header.timestamp_begin),
            end_ns: match header.timestamp_end {
                u64::MAX => u64::MAX,
                end => time.ns(end),
            },
            packet_len: header.packet_len(),
            content_len: header.content_len(),
            lost_events,
            lost_packets,
        });
    }
}
