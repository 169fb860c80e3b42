//! Tables of results: aligned columns for people, CSV and JSON for programs.

use std::io::{self, Write};
use std::str::FromStr;

use thiserror::Error;

use crate::view::line::Line;

/// Format of the results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// Comma-separated values (RFC 4180) with a line of names.
    Csv,
}

/// Not a format.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("unknown format `{0}`; give text, json or csv")]
pub struct FormatError(String);

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            "csv" => Ok(Self::Csv),
            _ => Err(FormatError(text.to_owned())),
        }
    }
}

/// A value in a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing: `-` for people, `null` in JSON.
    None,
    /// Text of the trace, possibly not UTF-8.
    Text(Vec<u8>),
    /// A number that identifies something: without separators.
    Id(i128),
    /// A number in hexadecimal for people.
    Address(u64),
    /// A number of something.
    Count(u64),
    /// A sum.
    Sum(i128),
    /// A number with one decimal.
    Number(f64),
    /// Nanoseconds, printed as microseconds for people.
    Ns(u64),
    /// Numbers by name.
    Counts(Vec<(String, u64)>),
    /// A value for JSON alone.
    Json(String),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.as_bytes().to_vec())
    }
}

impl Cell {
    const fn is_right(&self) -> bool {
        !matches!(self, Self::Text(_) | Self::Counts(_))
    }

    /// As printed for people.
    pub(super) fn text(&self) -> String {
        let mut line = Line::default();
        match self {
            Self::None | Self::Json(_) => line.byte(b'-'),
            Self::Text(text) => line.bare(text),
            Self::Id(number) => line.text(&number.to_string()),
            Self::Address(number) => line.hexadecimal(*number),
            Self::Count(number) => line.text(&separated(*number)),
            Self::Sum(number) => {
                let sign = if *number < 0 { "-" } else { "" };
                let digits = grouped(&number.unsigned_abs().to_string());
                line.text(&format!("{sign}{digits}"));
            }
            Self::Number(number) => {
                let tenths = format!("{number:.1}");
                let (whole, tenth) = tenths.split_once('.').unwrap_or((&tenths, "0"));
                line.text(&format!("{}.{tenth}", grouped(whole)));
            }
            Self::Ns(ns) => {
                line.text(&format!("{}.{:03}", separated(ns / 1000), ns % 1000));
            }
            Self::Counts(counts) => {
                for (index, (name, count)) in counts.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    line.text(&format!("{comma}{name} {}", separated(*count)));
                }
            }
        }
        String::from_utf8_lossy(&line.0).into_owned()
    }

    fn plain(&self, line: &mut Line) {
        match self {
            Self::None | Self::Json(_) => {}
            Self::Text(text) => {
                let mut field = Line::default();
                field.bare(text);
                if text.iter().any(|byte| b",\"".contains(byte)) {
                    line.byte(b'"');
                    for &byte in &field.0 {
                        if byte == b'"' {
                            line.byte(b'"');
                        }
                        line.byte(byte);
                    }
                    line.byte(b'"');
                } else {
                    line.0.extend_from_slice(&field.0);
                }
            }
            Self::Id(number) | Self::Sum(number) => line.text(&number.to_string()),
            Self::Count(number) | Self::Ns(number) | Self::Address(number) => {
                line.decimal(*number);
            }
            Self::Number(number) => line.text(&format!("{number:.3}")),
            Self::Counts(counts) => {
                for (index, (name, count)) in counts.iter().enumerate() {
                    let space = if index > 0 { " " } else { "" };
                    line.text(&format!("{space}{name}={count}"));
                }
            }
        }
    }

    fn json(&self, line: &mut Line) {
        match self {
            Self::None => line.text("null"),
            Self::Json(json) => line.text(json),
            Self::Text(text) => line.json(text),
            Self::Counts(counts) => {
                line.byte(b'{');
                for (index, (name, count)) in counts.iter().enumerate() {
                    if index > 0 {
                        line.byte(b',');
                    }
                    line.json(name.as_bytes());
                    line.byte(b':');
                    line.decimal(*count);
                }
                line.byte(b'}');
            }
            _ => self.plain(line),
        }
    }
}

/// A number with thousands separators.
#[must_use]
pub fn separated(number: u64) -> String {
    grouped(&number.to_string())
}

/// A number of things: `1 event`, `2,000 events`.
#[must_use]
pub fn counted(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", separated(number))
}

fn grouped(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        let left = digits.len() - index;
        if index > 0 && left.is_multiple_of(3) && text != "-" {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the largest unit that keeps three digits, as `118.3 MB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} bytes");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    /// For people, in capitals.
    pub title: String,
    /// For programs: with the unit.
    pub key: String,
}

impl Column {
    /// A column with these names.
    #[must_use]
    pub fn new(title: &str, key: &str) -> Self {
        Self {
            title: title.to_owned(),
            key: key.to_owned(),
        }
    }
}

/// Rows of the same columns.
#[derive(Clone, Debug)]
pub struct Table {
    /// The columns.
    pub columns: Vec<Column>,
    /// As many cells each as there are columns.
    pub rows: Vec<Vec<Cell>>,
    /// Rows left out at the end.
    pub left_out: usize,
}

impl Table {
    /// An empty table with columns of these titles and keys.
    #[must_use]
    pub fn new(columns: &[(&str, &str)]) -> Self {
        let columns = columns.iter().map(|(title, key)| Column::new(title, key));
        Self {
            columns: columns.collect(),
            rows: Vec::new(),
            left_out: 0,
        }
    }

    /// Keeps the first `top` rows.
    pub fn cut(&mut self, top: Option<usize>) {
        let top = top.unwrap_or(usize::MAX);
        self.left_out += self.rows.len().saturating_sub(top);
        self.rows.truncate(top);
    }

    /// Writes aligned columns: numbers to the right, text to the left.
    pub fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let rows: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(Cell::text).collect())
            .collect();
        let columns = self.columns.iter().enumerate();
        let shapes: Vec<(usize, bool)> = columns
            .map(|(index, column)| {
                let lens = rows.iter().map(|row| row[index].chars().count());
                let width = lens.max().unwrap_or(0).max(column.title.chars().count());
                let mut cells = self.rows.iter().map(|row| &row[index]);
                let is_right = cells.clone().next().is_some() && cells.all(Cell::is_right);
                (width, is_right)
            })
            .collect();
        let titles: Vec<String> = self.columns.iter().map(|c| c.title.clone()).collect();
        for row in std::iter::once(&titles).chain(&rows) {
            let mut line = String::new();
            for (index, (cell, (width, is_right))) in row.iter().zip(&shapes).enumerate() {
                if index > 0 {
                    line.push_str("  ");
                }
                let spaces = " ".repeat(width - cell.chars().count());
                if *is_right {
                    line.extend([&spaces, cell.as_str()]);
                } else {
                    line.extend([cell.as_str(), &spaces]);
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        if self.left_out > 0 {
            writeln!(out, "... and {} more", separated(self.left_out as u64))?;
        }
        Ok(())
    }

    /// Writes comma-separated values.
    pub fn write_csv(&self, out: &mut impl Write) -> io::Result<()> {
        let mut line = Line::default();
        for (index, column) in self.columns.iter().enumerate() {
            if index > 0 {
                line.byte(b',');
            }
            Cell::from(&*column.key).plain(&mut line);
        }
        line.byte(b'\n');
        for row in &self.rows {
            for (index, cell) in row.iter().enumerate() {
                if index > 0 {
                    line.byte(b',');
                }
                cell.plain(&mut line);
            }
            line.byte(b'\n');
        }
        out.write_all(&line.0)
    }

    /// A JSON array with an object for each row.
    #[must_use]
    pub fn json(&self) -> String {
        let mut line = Line::default();
        line.byte(b'[');
        for (index, row) in self.rows.iter().enumerate() {
            line.text(if index > 0 { ",\n  " } else { "\n  " });
            line.byte(b'{');
            for (index, (column, cell)) in self.columns.iter().zip(row).enumerate() {
                if index > 0 {
                    line.byte(b',');
                }
                line.json(column.key.as_bytes());
                line.byte(b':');
                cell.json(&mut line);
            }
            line.byte(b'}');
        }
        line.byte(b']');
        String::from_utf8_lossy(&line.0).into_owned()
    }
}

/// Writes a JSON object with these members, whose values are JSON.
pub fn write_object(out: &mut impl Write, members: &[(&str, String)]) -> io::Result<()> {
    for (index, (name, value)) in members.iter().enumerate() {
        let before = if index == 0 { "{" } else { ",\n " };
        write!(out, "{before}\"{name}\":{value}")?;
    }
    writeln!(out, "}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&[
            ("EVENTS", "events"),
            ("TIME us", "time_ns"),
            ("NAME", "name"),
        ]);
        table.rows.push(vec![
            Cell::Count(1_234_567),
            Cell::Ns(1_234_567),
            Cell::Text(b"a,\"b\"\x1b".to_vec()),
        ]);
        table
            .rows
            .push(vec![Cell::Count(7), Cell::None, "plain".into()]);
        table
    }

    fn written(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut bytes = Vec::new();
        write(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn text_is_aligned_and_escaped() {
        assert_eq!(
            written(|out| table().write_text(out)),
            "   EVENTS    TIME us  NAME\n\
             1,234,567  1,234.567  a,\"b\"\\x1b\n        \
             7          -  plain\n"
        );
    }

    #[test]
    fn csv_quotes_what_needs_it() {
        assert_eq!(
            written(|out| table().write_csv(out)),
            "events,time_ns,name\n1234567,1234567,\"a,\"\"b\"\"\\x1b\"\n7,,plain\n"
        );
    }

    #[test]
    fn json_keeps_values() {
        let rows: serde_json::Value = serde_json::from_str(&table().json()).unwrap();
        assert_eq!(
            rows,
            serde_json::json!([
                {"events": 1_234_567, "time_ns": 1_234_567, "name": "a,\"b\"\u{1b}"},
                {"events": 7, "time_ns": null, "name": "plain"},
            ])
        );
    }

    #[test]
    fn rows_left_out_are_counted() {
        let mut table = table();
        table.cut(Some(1));
        assert!(written(|out| table.write_text(out)).ends_with("... and 1 more\n"));
    }

    #[test]
    fn numbers_have_separators() {
        assert_eq!(separated(0), "0");
        assert_eq!(separated(999), "999");
        assert_eq!(separated(1_000), "1,000");
        assert_eq!(Cell::Sum(-123_456).text(), "-123,456");
        assert_eq!(Cell::Number(-123.4).text(), "-123.4");
        assert_eq!(bytes(999), "999 bytes");
        assert_eq!(bytes(999_999), "1.0 MB");
    }
}
