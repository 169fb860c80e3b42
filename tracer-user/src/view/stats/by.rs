//! Any events, grouped by any fields: counts, sums, histograms.

use std::collections::HashMap;
use std::io::{self, Write};

use thiserror::Error;

use crate::trace::ctf::Event;
use crate::trace::event::Display;
use crate::trace::folder::Trace;
use crate::trace::{Class, ClassField, Value};
use crate::view::line::Line;
use crate::view::names::{Name, name};
use crate::view::pass::Analysis;
use crate::view::report::text::push_value;
use crate::view::select::{Filter, SelectError, Selection};
use crate::view::stats::powers::Powers;
use crate::view::table::{Cell, Column, Format, Table, counted, separated, write_object};

/// Why events cannot be grouped.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum GroupError {
    /// The selection does not fit this trace.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// No selected event has all of the fields.
    #[error(
        "no selected event has {fields}; besides `event`, `comm`, `pid`, `tid` and `cpu`, they \
         have {known}"
    )]
    NoField {
        /// The fields.
        fields: String,
        /// Lists fields that exist.
        known: String,
    },
}

/// What to group by and what to sum up, as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grouping {
    /// Names of fields or of `event`, `comm` (also `procname`), `pid`, `tid` and `cpu`, which
    /// `fields.NAME` does not mean.
    pub by: Vec<String>,
    /// The field to sum up.
    pub sum: Option<String>,
    /// The field for histograms.
    pub hist: Option<String>,
}

/// Where a value is.
#[derive(Clone, Copy, Debug)]
enum Source {
    Event,
    Comm,
    Pid,
    Tid,
    Cpu,
    Context(usize),
    Field(usize),
}

impl Source {
    fn of(class: &Class, name: &str) -> Option<Self> {
        let position =
            |fields: &[ClassField], name: &str| fields.iter().position(|field| field.name == name);
        if let Some(name) = name.strip_prefix("fields.") {
            return position(&class.fields, name).map(Self::Field);
        }
        match name {
            "event" => Some(Self::Event),
            "comm" | "procname" => Some(Self::Comm),
            "pid" => Some(Self::Pid),
            "tid" => Some(Self::Tid),
            "cpu" => Some(Self::Cpu),
            _ => position(&class.fields, name)
                .map(Self::Field)
                .or_else(|| position(&class.context, name).map(Self::Context)),
        }
    }

    fn value<'a>(self, event: &Event<'a>) -> Option<Value<'a>> {
        let (_, value) = match self {
            Self::Context(index) => event.context().nth(index)?,
            Self::Field(index) => event.fields().nth(index)?,
            _ => return None,
        };
        Some(value)
    }

    fn number(self, event: &Event<'_>) -> Option<i128> {
        match self {
            Self::Pid => Some(event.pid.into()),
            Self::Tid => Some(event.tid.into()),
            Self::Cpu => Some(event.cpu.into()),
            _ => match self.value(event)? {
                Value::Number(number) | Value::Labeled(number, _) => Some(number.value()),
                _ => None,
            },
        }
    }

    fn push_key(self, key: &mut Key, event: &Event<'_>, trace: &Trace) {
        match self {
            Self::Event => key.text(event.class.name.as_bytes()),
            Self::Comm => {
                let named = || trace.tasks().name_at(event.tid, event.timestamp_ns);
                key.text(event.comm.unwrap_or_else(named));
            }
            Self::Pid => key.number(event.pid.into()),
            Self::Tid => key.number(event.tid.into()),
            Self::Cpu => key.number(event.cpu.into()),
            Self::Context(_) | Self::Field(_) => match self.value(event) {
                None => key.text(b""),
                Some(value) => key.value(value),
            },
        }
    }
}

/// Values of the grouping fields, encoded one after the other.
#[derive(Debug, Default)]
struct Key(Vec<u8>);

/// Tags of the values in a key.
const NUMBER: u8 = 0;
const ADDRESS: u8 = 1;
const TEXT: u8 = 2;

impl Key {
    fn text(&mut self, text: &[u8]) {
        self.0.push(TEXT);
        self.0.extend((text.len() as u32).to_ne_bytes());
        self.0.extend_from_slice(text);
    }

    fn number(&mut self, number: i128) {
        self.0.push(NUMBER);
        self.0.extend(number.to_ne_bytes());
    }

    fn value(&mut self, value: Value<'_>) {
        match (name(&value, false), &value) {
            (Some(Name::Instead(name)), _) => self.text(name.as_bytes()),
            (Some(Name::Joined(name)), _) => self.text(name.as_bytes()),
            (_, Value::Number(number)) if number.ty.display == Display::Hexadecimal => {
                self.0.push(ADDRESS);
                self.0.extend(number.stored_bits().to_ne_bytes());
            }
            (_, Value::Number(number) | Value::Labeled(number, _)) => self.number(number.value()),
            (_, Value::Text(text)) => self.text(text),
            (..) => {
                let mut line = Line::default();
                push_value(&mut line, value);
                self.text(&line.0);
            }
        }
    }

    fn cells(mut bytes: &[u8]) -> Vec<Cell> {
        let mut cells = Vec::new();
        while let Some((tag, rest)) = bytes.split_first() {
            let Some((cell, rest)) = Self::cell(*tag, rest) else {
                break;
            };
            cells.push(cell);
            bytes = rest;
        }
        cells
    }

    fn cell(tag: u8, bytes: &[u8]) -> Option<(Cell, &[u8])> {
        match tag {
            NUMBER => {
                let (number, rest) = bytes.split_first_chunk()?;
                Some((Cell::Id(i128::from_ne_bytes(*number)), rest))
            }
            ADDRESS => {
                let (number, rest) = bytes.split_first_chunk()?;
                Some((Cell::Address(u64::from_ne_bytes(*number)), rest))
            }
            _ => {
                let (len, rest) = bytes.split_first_chunk()?;
                let (text, rest) = rest.split_at_checked(u32::from_ne_bytes(*len) as usize)?;
                Some((Cell::Text(text.to_vec()), rest))
            }
        }
    }
}

/// Where the values of a class are.
#[derive(Clone, Debug)]
struct ClassPlan {
    by: Vec<Source>,
    sum: Option<Source>,
    hist: Option<Source>,
}

/// A [`Grouping`], applied to the classes of a trace.
#[derive(Debug)]
pub struct Plan {
    grouping: Grouping,
    /// By class; `None` if it lacks a field.
    classes: Vec<Option<ClassPlan>>,
}

impl Plan {
    /// Finds the fields in the selected classes.
    ///
    /// # Errors
    /// If no selected class has all of the fields.
    pub fn new(
        grouping: Grouping,
        trace: &Trace,
        selection: &Selection,
    ) -> Result<Self, GroupError> {
        let filter = Filter::new(selection, trace.classes(), 0)?;
        let optional = |class: &Class, name: Option<&String>| match name {
            None => Some(None),
            Some(name) => Source::of(class, name).map(Some),
        };
        let plan = |class: &Class| {
            let by = grouping.by.iter().map(|name| Source::of(class, name));
            Some(ClassPlan {
                by: by.collect::<Option<_>>()?,
                sum: optional(class, grouping.sum.as_ref())?,
                hist: optional(class, grouping.hist.as_ref())?,
            })
        };
        let classes: Vec<_> = trace.classes().iter().map(plan).collect();
        let mut selected = trace
            .classes()
            .iter()
            .filter(|class| filter.has_class(class));
        if !selected.clone().any(|class| classes[class.index].is_some()) {
            let named = grouping
                .by
                .iter()
                .chain(&grouping.sum)
                .chain(&grouping.hist);
            let lacks = |name: &String| !selected.any(|class| Source::of(class, name).is_some());
            let (named, missing): (Vec<_>, Vec<_>) = {
                let all: Vec<String> = named.cloned().collect();
                let missing = all.clone().into_iter().filter(lacks).collect();
                (all, missing)
            };
            return Err(GroupError::NoField {
                fields: match missing.first() {
                    Some(field) => format!("a field `{field}`"),
                    None => format!("all of the fields `{}`", named.join("`, `")),
                },
                known: known(trace.classes(), &filter),
            });
        }
        Ok(Self { grouping, classes })
    }
}

/// Some fields of the selected classes, for an error message.
fn known(classes: &[Class], filter: &Filter) -> String {
    const SHOWN: usize = 12;
    let mut names: Vec<&str> = Vec::new();
    let selected = classes.iter().filter(|class| filter.has_class(class));
    for field in selected.flat_map(|class| class.fields.iter().chain(&class.context)) {
        if !names.contains(&field.name.as_str()) {
            names.push(&field.name);
        }
    }
    let shown = names.iter().take(SHOWN);
    let shown: Vec<_> = shown
        .map(|name| format!("`{}`", name.escape_debug()))
        .collect();
    match names.len() {
        0 => "no fields".to_owned(),
        count if count > SHOWN => format!("{} and {} more", shown.join(", "), count - SHOWN),
        _ => shown.join(", "),
    }
}

/// Events with the same values.
#[derive(Clone, Debug, Default)]
struct Group {
    events: u64,
    sum: i128,
    /// Events whose field was summed up.
    summed: u64,
    hist: Option<Box<Powers>>,
}

/// Groups events.
#[derive(Debug)]
pub struct Groups<'t> {
    plan: &'t Plan,
    trace: &'t Trace,
    by_key: HashMap<Box<[u8]>, Group>,
    key: Key,
    /// Events that lack a field.
    left_out: u64,
}

impl<'t> Groups<'t> {
    /// No events yet.
    #[must_use]
    pub fn new(plan: &'t Plan, trace: &'t Trace) -> Self {
        Self {
            plan,
            trace,
            by_key: HashMap::new(),
            key: Key::default(),
            left_out: 0,
        }
    }
}

impl Analysis for Groups<'_> {
    const ORDERED: bool = false;

    fn event(&mut self, event: &Event<'_>) {
        let Some(plan) = &self.plan.classes[event.class.index] else {
            self.left_out += 1;
            return;
        };
        self.key.0.clear();
        for source in &plan.by {
            source.push_key(&mut self.key, event, self.trace);
        }
        if !self.by_key.contains_key(self.key.0.as_slice()) {
            let key = self.key.0.clone().into();
            self.by_key.insert(key, Group::default());
        }
        let Some(group) = self.by_key.get_mut(self.key.0.as_slice()) else {
            return;
        };
        group.events += 1;
        if let Some(number) = plan.sum.and_then(|sum| sum.number(event)) {
            group.sum = group.sum.saturating_add(number);
            group.summed += 1;
        }
        if let Some(number) = plan.hist.and_then(|hist| hist.number(event)) {
            group.hist.get_or_insert_default().add(number);
        }
    }

    fn merge(&mut self, later: Self) {
        self.left_out += later.left_out;
        for (key, more) in later.by_key {
            let group = self.by_key.entry(key).or_default();
            group.events += more.events;
            group.sum = group.sum.saturating_add(more.sum);
            group.summed += more.summed;
            if let Some(more) = more.hist {
                group.hist.get_or_insert_default().merge(&more);
            }
        }
    }
}

impl Groups<'_> {
    /// Writes the first `top` groups: by their sum if there is one, else by their events.
    pub fn write(
        &self,
        top: Option<usize>,
        format: Format,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let grouping = &self.plan.grouping;
        let mut groups: Vec<_> = self
            .by_key
            .iter()
            .map(|(key, group)| (&**key, group))
            .collect();
        groups.sort_by(|(a_key, a), (b_key, b)| {
            let by_sum = grouping.sum.as_ref().map(|_| b.sum.cmp(&a.sum));
            let by_events = b.events.cmp(&a.events);
            by_sum
                .unwrap_or(by_events)
                .then(by_events)
                .then_with(|| a_key.cmp(b_key))
        });
        match (format, &grouping.hist) {
            (Format::Text, Some(_)) => {
                let shown = top.unwrap_or(groups.len());
                for (key, group) in groups.iter().take(shown) {
                    self.write_hist(key, group, out)?;
                }
                if groups.len() > shown {
                    let more = separated((groups.len() - shown) as u64);
                    writeln!(out, "... and {more} more")?;
                }
            }
            (Format::Text, None) => self.table(&groups, top).write_text(out)?,
            (Format::Csv, Some(_)) => self.buckets(&groups, top).write_csv(out)?,
            (Format::Csv, None) => self.table(&groups, top).write_csv(out)?,
            (Format::Json, _) => {
                let table = self.table(&groups, top).json();
                let left_out = self.left_out.to_string();
                write_object(out, &[("groups", table), ("left_out_events", left_out)])?;
            }
        }
        if format == Format::Text && self.left_out > 0 {
            let lacks = match self.left_out {
                1 => "lacks a field and is",
                _ => "lack a field and are",
            };
            writeln!(out, "{} {lacks} left out", counted(self.left_out, "event"))?;
        }
        Ok(())
    }

    fn table(&self, groups: &[(&[u8], &Group)], top: Option<usize>) -> Table {
        let grouping = &self.plan.grouping;
        let mut table = Table::new(&[("EVENTS", "events")]);
        let column = |what: &str, field: &str| {
            Column::new(
                &format!("{}({field})", what.to_uppercase()),
                &format!("{what}_{field}"),
            )
        };
        if let Some(field) = &grouping.sum {
            table.columns.push(column("sum", field));
            table.columns.push(column("mean", field));
        }
        for field in &grouping.by {
            table
                .columns
                .push(Column::new(&field.to_uppercase(), field));
        }
        if let Some(field) = &grouping.hist {
            table.columns.push(column("hist", field));
        }
        for (key, group) in groups {
            let mut row = vec![Cell::Count(group.events)];
            if grouping.sum.is_some() {
                row.push(Cell::Sum(group.sum));
                row.push(match group.summed {
                    0 => Cell::None,
                    summed => Cell::Number(group.sum as f64 / summed as f64),
                });
            }
            row.extend(Key::cells(key));
            if grouping.hist.is_some() {
                let hist = group.hist.as_ref();
                row.push(Cell::Json(hist.map_or("[]".to_owned(), |hist| hist.json())));
            }
            table.rows.push(row);
        }
        table.cut(top);
        table
    }

    /// A row for each bucket of each group.
    fn buckets(&self, groups: &[(&[u8], &Group)], top: Option<usize>) -> Table {
        let mut table = Table::new(&[]);
        for field in self.plan.grouping.by.iter().map(String::as_str) {
            table.columns.push(Column::new("", field));
        }
        table.columns.push(Column::new("", "from"));
        table.columns.push(Column::new("", "count"));
        for (key, group) in groups.iter().take(top.unwrap_or(usize::MAX)) {
            for (start, count) in group.hist.iter().flat_map(|hist| hist.buckets()) {
                let mut row = Key::cells(key);
                row.push(start.map_or(Cell::None, Cell::Count));
                row.push(Cell::Count(count));
                table.rows.push(row);
            }
        }
        table
    }

    /// As bpftrace prints a map.
    fn write_hist(&self, key: &[u8], group: &Group, out: &mut impl Write) -> io::Result<()> {
        let values: Vec<String> = Key::cells(key).iter().map(Cell::text).collect();
        write!(
            out,
            "@[{}]: {}",
            values.join(", "),
            counted(group.events, "event")
        )?;
        if let Some(field) = &self.plan.grouping.sum {
            write!(out, ", sum of {field} {}", Cell::Sum(group.sum).text())?;
        }
        writeln!(out)?;
        if let Some(hist) = &group.hist {
            hist.write_text(out)?;
        }
        writeln!(out)
    }
}
