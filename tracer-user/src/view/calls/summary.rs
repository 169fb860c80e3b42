//! Tables of system calls.

use std::cmp::Reverse;
use std::io::{self, Write};

use crate::trace::errno;
use crate::trace::folder::Trace;
use crate::view::calls::pairs::{Apart, Caller, Calls, Group, Single, Sum, error_of};
use crate::view::calls::roles::{CallId, Roles};
use crate::view::distribution::COLUMNS;
use crate::view::line::Line;
use crate::view::table::{Cell, Format, Table, counted, write_object};
use crate::view::who::process_name;

/// System calls of a trace, ready to print.
#[derive(Debug)]
pub struct Summary {
    count: u64,
    total_ns: u64,
    table: Table,
    apart: Apart,
}

impl Summary {
    /// Sorts and names calls: those of the process or thread with the longest total time first,
    /// and of these, those with the longest total time.
    #[must_use]
    pub fn new(trace: &Trace, mut calls: Calls<'_>, group: Group, top: Option<usize>) -> Self {
        calls.finish();
        let (count, total_ns) = calls
            .callers
            .values()
            .map(Caller::total)
            .fold((0, 0u64), |(count, total_ns), (more, ns)| {
                (count + more, total_ns.saturating_add(ns))
            });
        let mut callers: Vec<(u32, &Caller)> = calls
            .callers
            .iter()
            .map(|(&id, caller)| (id, caller))
            .collect();
        callers.sort_by_key(|(id, caller)| (Reverse(caller.total().1), *id));
        let mut table = Table::new(&[("CALLS", "calls"), ("ERRORS", "errors")]);
        let add = |table: &mut Table, columns: &[(&str, &str)]| {
            table.columns.extend(Table::new(columns).columns);
        };
        add(&mut table, &COLUMNS);
        match group {
            Group::Process => add(&mut table, &[("PID", "pid"), ("PROCESS", "process")]),
            Group::Thread => add(&mut table, &[("TID", "tid"), ("THREAD", "thread")]),
            Group::Call => {}
        }
        add(
            &mut table,
            &[("CALL", "call"), ("ERRORS BY NAME", "errors_by_name")],
        );
        for (id, caller) in callers {
            let mut sums: Vec<(CallId, &Sum)> = caller.sums().collect();
            sums.sort_by_key(|(call, sum)| (Reverse(sum.times.total_ns()), *call));
            for (call, sum) in sums {
                let mut row = vec![Cell::Count(sum.times.count()), Cell::Count(sum.failed())];
                row.extend(sum.times.cells());
                if group != Group::Call {
                    row.push(Cell::Id(id.into()));
                    let name = process_name(trace, id, caller.comm.as_ref(), u64::MAX);
                    row.push(Cell::Text(name));
                }
                row.push((&*calls.roles().name(call)).into());
                row.push(Cell::Counts(sum.named_errors()));
                table.rows.push(row);
            }
        }
        table.cut(top);
        Self {
            count,
            total_ns,
            table,
            apart: calls.apart,
        }
    }

    /// Writes them.
    pub fn write(&self, format: Format, out: &mut impl Write) -> io::Result<()> {
        match format {
            Format::Csv => self.table.write_csv(out),
            Format::Json => {
                let mut members = vec![
                    ("calls", self.count.to_string()),
                    ("total_ns", self.total_ns.to_string()),
                ];
                let apart = self.apart.by_reason();
                members.extend(apart.map(|(key, _, count)| (key, count.to_string())));
                members.push(("rows", self.table.json()));
                write_object(out, &members)
            }
            Format::Text => {
                writeln!(
                    out,
                    "{}, {} us in total",
                    counted(self.count, "system call"),
                    Cell::Ns(self.total_ns).text()
                )?;
                if !self.table.rows.is_empty() {
                    writeln!(out)?;
                    self.table.write_text(out)?;
                }
                self.apart.write_text(out)
            }
        }
    }
}

impl Caller {
    fn sums(&self) -> impl Iterator<Item = (CallId, &Sum)> {
        let calls = self.calls.iter().zip(0..);
        calls.filter_map(|(sum, id)| Some((CallId(id), sum.as_deref()?)))
    }

    /// Calls and their time.
    fn total(&self) -> (u64, u64) {
        self.sums().fold((0, 0u64), |(count, ns), (_, sum)| {
            (
                count + sum.times.count(),
                ns.saturating_add(sum.times.total_ns()),
            )
        })
    }
}

impl Sum {
    fn failed(&self) -> u64 {
        self.errors.iter().map(|(_, count)| count).sum()
    }

    /// The most frequent first.
    fn named_errors(&self) -> Vec<(String, u64)> {
        let mut errors = self.errors.clone();
        errors.sort_by_key(|&(error, count)| (Reverse(count), error));
        let named = |(error, count)| (error_name(error), count);
        errors.into_iter().map(named).collect()
    }
}

fn error_name(error: u16) -> String {
    errno::name(error).map_or_else(|| error.to_string(), str::to_owned)
}

impl Apart {
    /// Key, explanation and number of calls that are not in the table.
    const fn by_reason(self) -> [(&'static str, &'static str, u64); 6] {
        [
            (
                "over_loss",
                "overlaps lost events: its entry and exit may be of different calls",
                self.over_loss,
            ),
            ("at_start", "was under way at the start", self.at_start),
            ("at_end", "had not returned at the end", self.at_end),
            (
                "without_return",
                "does not return (exit, exit_group, rt_sigreturn)",
                self.without_return,
            ),
            (
                "without_entry",
                "has an exit, but no entry",
                self.without_entry,
            ),
            (
                "without_exit",
                "has an entry, but no exit",
                self.without_exit,
            ),
        ]
    }

    fn write_text(self, out: &mut impl Write) -> io::Result<()> {
        let mut title = "\nnot in the table:\n";
        for (_, reason, count) in self.by_reason() {
            if count > 0 {
                writeln!(out, "{title}{:>12}  {reason}", Cell::Count(count).text())?;
                title = "";
            }
        }
        Ok(())
    }
}

/// Single calls by their start, ready to print.
#[derive(Debug)]
pub struct Singles<'t> {
    trace: &'t Trace,
    roles: &'t Roles,
    calls: Vec<Single>,
    left_out: usize,
    apart: Apart,
}

impl<'t> Singles<'t> {
    /// The calls that were kept; the first `top` of these.
    #[must_use]
    pub fn new(trace: &'t Trace, mut calls: Calls<'t>, top: Option<usize>) -> Self {
        calls.finish();
        let mut singles = std::mem::take(&mut calls.singles);
        singles.sort_by_key(|call| (call.start_ns, call.tid));
        let left_out = singles.len().saturating_sub(top.unwrap_or(usize::MAX));
        singles.truncate(top.unwrap_or(usize::MAX));
        Self {
            trace,
            roles: calls.roles(),
            calls: singles,
            left_out,
            apart: calls.apart,
        }
    }

    /// Writes them: for people, a line for each as strace prints it.
    pub fn write(&self, format: Format, out: &mut impl Write) -> io::Result<()> {
        match format {
            Format::Text => self.write_text(out),
            Format::Csv => self.table().write_csv(out),
            Format::Json => {
                let apart = self.apart.by_reason();
                let mut members: Vec<_> =
                    apart.map(|(key, _, count)| (key, count.to_string())).into();
                members.push(("rows", self.table().json()));
                write_object(out, &members)
            }
        }
    }

    fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        for call in &self.calls {
            let mut line = Line::default();
            let comm = call.comm(self.trace);
            line.pad_to(0, 16usize.saturating_sub(comm.len()));
            line.bare(&comm);
            line.byte(b'-');
            let tid = line.0.len();
            line.decimal(call.tid.into());
            line.pad_to(tid, 7);
            line.text(" [");
            line.decimal_padded(call.cpu.into(), 3);
            line.text("] ");
            line.decimal(call.start_ns / 1_000_000_000);
            line.byte(b'.');
            line.decimal_padded(call.start_ns / 1000 % 1_000_000, 6);
            line.text(": ");
            line.bare(self.roles.name(call.call).as_bytes());
            line.byte(b'(');
            line.0.extend_from_slice(&call.arguments);
            line.text(") = ");
            line.signed(call.result);
            if let Some(error) = error_of(call.result) {
                line.text(&format!(" ({})", error_name(error)));
            }
            let (seconds, us) = (
                call.time_ns / 1_000_000_000,
                call.time_ns / 1000 % 1_000_000,
            );
            line.text(&format!(" <{seconds}.{us:06}>\n"));
            out.write_all(&line.0)?;
        }
        if self.left_out > 0 {
            writeln!(
                out,
                "... and {}",
                counted(self.left_out as u64, "more call")
            )?;
        }
        self.apart.write_text(out)
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&[
            ("START", "start_ns"),
            ("TIME us", "time_ns"),
            ("CPU", "cpu"),
            ("TID", "tid"),
            ("PID", "pid"),
            ("COMM", "comm"),
            ("CALL", "call"),
            ("ARGUMENTS", "arguments"),
            ("RESULT", "result"),
            ("ERROR", "error"),
        ]);
        for call in &self.calls {
            let error = error_of(call.result);
            table.rows.push(vec![
                Cell::Ns(call.start_ns),
                Cell::Ns(call.time_ns),
                Cell::Id(call.cpu.into()),
                Cell::Id(call.tid.into()),
                Cell::Id(call.pid.into()),
                Cell::Text(call.comm(self.trace)),
                (&*self.roles.name(call.call)).into(),
                Cell::Text(call.arguments.to_vec()),
                Cell::Id(call.result.into()),
                error.map_or(Cell::None, |error| Cell::from(&*error_name(error))),
            ]);
        }
        table
    }
}
