//! Counts by class, process and CPU in one pass.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::trace::Class;
use crate::trace::ctf::{Event, Loss};
use crate::trace::folder::{PacketSpan, Trace};
use crate::view::ids::Map;
use crate::view::pass::{Analysis, Passed};
use crate::view::table::{Cell, Format, Table, bytes, counted, write_object};
use crate::view::who::{Comm, process_name};

/// Events and their size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    events: u64,
    bits: u64,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.events += other.events;
        self.bits += other.bits;
    }

    /// Size in bytes, rounded up.
    const fn bytes(self) -> u64 {
        self.bits.div_ceil(8)
    }
}

/// What happened on a CPU.
#[derive(Clone, Copy, Debug, Default)]
struct Cpu {
    count: Count,
    lost_events: u64,
    lost_packets: u64,
}

/// Counts events. Events in a row that share process and CPU are added at once.
#[derive(Debug)]
pub struct Overview {
    classes: Vec<Count>,
    processes: Map<(Count, Option<Comm>)>,
    cpus: BTreeMap<u32, Cpu>,
    /// Time of the first and the last event.
    span_ns: Option<(u64, u64)>,
    /// Process and CPU of the events that are not added yet.
    run: (u32, u32),
    run_count: Count,
}

impl Overview {
    /// For a trace with this number of classes.
    #[must_use]
    pub fn new(class_count: usize) -> Self {
        Self {
            classes: vec![Count::default(); class_count],
            processes: Map::default(),
            cpus: BTreeMap::new(),
            span_ns: None,
            run: (0, 0),
            run_count: Count::default(),
        }
    }

    fn end_run(&mut self) {
        let count = std::mem::take(&mut self.run_count);
        if count.events > 0 {
            let (pid, cpu) = self.run;
            self.processes.entry(pid).or_default().0.add(count);
            self.cpus.entry(cpu).or_default().count.add(count);
        }
    }

    #[cold]
    fn start_run(&mut self, event: &Event<'_>) {
        self.end_run();
        self.run = (event.pid, event.cpu);
        let (first, last) = self.span_ns.unwrap_or((u64::MAX, 0));
        self.span_ns = Some((first.min(event.timestamp_ns), last.max(event.timestamp_ns)));
        if let Some(comm) = event.comm {
            let known = &mut self.processes.entry(event.pid).or_default().1;
            Comm::note(known, comm, event.tid == event.pid);
        }
    }
}

impl Analysis for Overview {
    const ORDERED: bool = false;

    #[inline]
    fn event(&mut self, event: &Event<'_>) {
        let count = Count {
            events: 1,
            bits: event.size_bits,
        };
        if let Some(class) = self.classes.get_mut(event.class.index) {
            class.add(count);
        }
        if (event.pid, event.cpu) != self.run || self.span_ns.is_none() {
            self.start_run(event);
        }
        self.run_count.add(count);
        if let Some((first, last)) = &mut self.span_ns {
            *first = (*first).min(event.timestamp_ns);
            *last = (*last).max(event.timestamp_ns);
        }
    }

    fn loss(&mut self, loss: &Loss) {
        let cpu = self.cpus.entry(loss.cpu).or_default();
        cpu.lost_events += loss.events;
        cpu.lost_packets += loss.packets;
    }

    fn merge(&mut self, mut later: Self) {
        self.end_run();
        later.end_run();
        for (count, more) in self.classes.iter_mut().zip(later.classes) {
            count.add(more);
        }
        for (pid, (count, comm)) in later.processes {
            let process = self.processes.entry(pid).or_default();
            process.0.add(count);
            Comm::merge(&mut process.1, comm);
        }
        for (cpu, more) in later.cpus {
            let cpu = self.cpus.entry(cpu).or_default();
            cpu.count.add(more.count);
            cpu.lost_events += more.lost_events;
            cpu.lost_packets += more.lost_packets;
        }
        if let Some((first, last)) = later.span_ns {
            let (own_first, own_last) = self.span_ns.unwrap_or((u64::MAX, 0));
            self.span_ns = Some((own_first.min(first), own_last.max(last)));
        }
    }
}

/// Statistics of a trace, ready to print.
#[derive(Debug)]
pub struct Stats {
    count: Count,
    span_ns: Option<(u64, u64)>,
    packets: Vec<PacketSpan>,
    lost: (u64, u64),
    classes: Table,
    processes: Table,
    cpus: Table,
}

impl Stats {
    /// Sorts and names the counts; of classes and processes, only the first `top`.
    #[must_use]
    pub fn new(trace: &Trace, passed: Passed<Overview>, top: Option<usize>) -> Self {
        let mut overview = passed.analysis;
        overview.end_run();
        let span_ns = overview.span_ns;
        let mut count = Count::default();
        overview.classes.iter().for_each(|class| count.add(*class));
        let mut lost = (0, 0);
        for cpu in overview.cpus.values() {
            lost = (lost.0 + cpu.lost_events, lost.1 + cpu.lost_packets);
        }
        let rows = Rows { count, span_ns };
        Self {
            classes: rows.classes(trace.classes(), &overview.classes, top),
            processes: rows.processes(trace, &overview.processes, top),
            cpus: rows.cpus(&overview.cpus),
            count,
            span_ns,
            packets: passed.packets,
            lost,
        }
    }

    /// Writes them.
    pub fn write(&self, format: Format, out: &mut impl Write) -> io::Result<()> {
        match format {
            Format::Text => self.write_text(out),
            Format::Json => self.write_json(out),
            Format::Csv => self.write_csv(out),
        }
    }

    /// Bytes of all packets, with headers and padding, and of their content.
    fn packet_bytes(&self) -> (u64, u64) {
        let packets = self.packets.iter();
        packets.fold((0, 0), |(packet, content), span| {
            (packet + span.packet_len, content + span.content_len)
        })
    }

    fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let (packet_len, _) = self.packet_bytes();
        writeln!(
            out,
            "{}, {} in {} of {}",
            counted(self.count.events, "event"),
            bytes(self.count.bytes()),
            counted(self.packets.len() as u64, "packet"),
            bytes(packet_len)
        )?;
        if let Some((first, last)) = self.span_ns {
            let seconds = |ns: u64| format!("{}.{:06}", ns / 1_000_000_000, ns / 1000 % 1_000_000);
            writeln!(
                out,
                "from {} to {} ({} s)",
                seconds(first),
                seconds(last),
                seconds(last - first)
            )?;
        }
        let (events, packets) = self.lost;
        write!(out, "lost {}", counted(events, "event"))?;
        if packets > 0 {
            write!(out, " and {}", counted(packets, "packet"))?;
        }
        writeln!(out)?;
        for table in [&self.classes, &self.processes, &self.cpus] {
            if !table.rows.is_empty() {
                writeln!(out)?;
                table.write_text(out)?;
            }
        }
        Ok(())
    }

    fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        let (packet_len, content_len) = self.packet_bytes();
        let time = |time: Option<u64>| time.map_or("null".to_owned(), |ns| ns.to_string());
        write_object(
            out,
            &[
                ("events", self.count.events.to_string()),
                ("bytes", self.count.bytes().to_string()),
                ("first_ns", time(self.span_ns.map(|span| span.0))),
                ("last_ns", time(self.span_ns.map(|span| span.1))),
                ("packets", self.packets.len().to_string()),
                ("packet_bytes", packet_len.to_string()),
                ("content_bytes", content_len.to_string()),
                ("lost_events", self.lost.0.to_string()),
                ("lost_packets", self.lost.1.to_string()),
                ("classes", self.classes.json()),
                ("processes", self.processes.json()),
                ("cpus", self.cpus.json()),
            ],
        )
    }

    /// One table, whose first columns are the kind and the name of the rest.
    fn write_csv(&self, out: &mut impl Write) -> io::Result<()> {
        let mut table = Table::new(&[
            ("", "by"),
            ("", "name"),
            ("", "pid"),
            ("", "events"),
            ("", "bytes"),
            ("", "lost_events"),
            ("", "lost_packets"),
        ]);
        for row in &self.classes.rows {
            if let [events, _, bytes, _, name] = row.as_slice() {
                let none = Cell::None;
                let cells = [&"class".into(), name, &none, events, bytes, &none, &none];
                table.rows.push(cells.map(Cell::clone).into());
            }
        }
        for row in &self.processes.rows {
            if let [events, _, bytes, _, pid, name] = row.as_slice() {
                let none = Cell::None;
                let cells = [&"process".into(), name, pid, events, bytes, &none, &none];
                table.rows.push(cells.map(Cell::clone).into());
            }
        }
        for row in &self.cpus.rows {
            if let [events, _, bytes, _, lost, packets, cpu] = row.as_slice() {
                let cells = [
                    &"cpu".into(),
                    cpu,
                    &Cell::None,
                    events,
                    bytes,
                    lost,
                    packets,
                ];
                table.rows.push(cells.map(Cell::clone).into());
            }
        }
        table.write_csv(out)
    }
}

/// Makes rows.
struct Rows {
    count: Count,
    span_ns: Option<(u64, u64)>,
}

/// The columns that all tables start with.
const COUNTS: [(&str, &str); 4] = [
    ("EVENTS", "events"),
    ("%", "percent"),
    ("BYTES", "bytes"),
    ("EVENTS/S", "events_per_s"),
];

impl Rows {
    fn table(columns: &[(&str, &str)]) -> Table {
        Table::new(&[&COUNTS, columns].concat())
    }

    fn cells(&self, count: Count) -> Vec<Cell> {
        let percent = count.events as f64 * 100.0 / self.count.events.max(1) as f64;
        let span_ns = self.span_ns.map_or(0, |(first, last)| last - first);
        let rate = match span_ns {
            0 => Cell::None,
            ns => Cell::Number(count.events as f64 * 1e9 / ns as f64),
        };
        vec![
            Cell::Count(count.events),
            Cell::Number(percent),
            Cell::Count(count.bytes()),
            rate,
        ]
    }

    fn classes(&self, classes: &[Class], counts: &[Count], top: Option<usize>) -> Table {
        // traces that are read together each have a class of the same name
        let mut by_name = BTreeMap::<&str, Count>::new();
        for (class, count) in classes.iter().zip(counts) {
            if count.events > 0 {
                by_name.entry(&class.name).or_default().add(*count);
            }
        }
        let mut sorted: Vec<_> = by_name.into_iter().collect();
        sorted.sort_by_key(|(_, count)| std::cmp::Reverse(count.events));
        let mut table = Self::table(&[("EVENT", "event")]);
        for (name, count) in sorted {
            let mut row = self.cells(count);
            row.push(name.into());
            table.rows.push(row);
        }
        table.cut(top);
        table
    }

    fn processes(
        &self,
        trace: &Trace,
        counts: &Map<(Count, Option<Comm>)>,
        top: Option<usize>,
    ) -> Table {
        let mut sorted: Vec<_> = counts.iter().collect();
        sorted.sort_by_key(|(pid, (count, _))| (std::cmp::Reverse(count.events), **pid));
        let mut table = Self::table(&[("PID", "pid"), ("PROCESS", "process")]);
        let at_ns = self.span_ns.map_or(0, |(_, last)| last);
        for (&pid, (count, comm)) in sorted {
            let mut row = self.cells(*count);
            row.push(Cell::Id(pid.into()));
            row.push(Cell::Text(process_name(trace, pid, comm.as_ref(), at_ns)));
            table.rows.push(row);
        }
        table.cut(top);
        table
    }

    fn cpus(&self, cpus: &BTreeMap<u32, Cpu>) -> Table {
        let mut table = Self::table(&[
            ("LOST", "lost_events"),
            ("LOST PACKETS", "lost_packets"),
            ("CPU", "cpu"),
        ]);
        for (&number, cpu) in cpus {
            let mut row = self.cells(cpu.count);
            row.push(Cell::Count(cpu.lost_events));
            row.push(Cell::Count(cpu.lost_packets));
            row.push(Cell::Id(number.into()));
            table.rows.push(row);
        }
        table
    }
}
