//! `tracer list`.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context as _;

use crate::event::{Display, Field, FieldType, IntegerType};
use crate::fetch::Fetched;
use crate::probe::kprobe::{self, Functions, Source};
use crate::probe::listing::{self, Listed};
use crate::probe::tracefs::Tracefs;
use crate::probe::{KernelFiles, ProbeError, ProbeText, Target};

/// List the probes of this kernel.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Only these: `sched:*`, `syscall:open*`, `kprobe:vfs_*`, or a word that names contain
    #[arg(value_name = "PATTERN")]
    pattern: Option<String>,

    /// Also print the fields of each probe's events
    #[arg(short, long)]
    verbose: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let Args { pattern, verbose } = args;
    let written =
        list(pattern.as_deref().unwrap_or("*"), verbose, &mut out).and_then(|()| Ok(out.flush()?));
    match written {
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error),
        Ok(()) => Ok(ExitCode::SUCCESS),
    }
}

/// The reader of a pipe has seen enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn list(pattern: &str, verbose: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let tracefs = Tracefs::open()?;
    let files = KernelFiles::running(&tracefs);
    if pattern.starts_with("kprobe:") || pattern.starts_with("kretprobe:") {
        return list_functions(&files, pattern, verbose, out);
    }
    let found = listing::matching(&files, pattern).context("cannot list probes")?;
    if found.is_empty() {
        return Err(ProbeError::NothingMatches(pattern.to_owned()).into());
    }
    for probe in found {
        writeln!(out, "{probe}")?;
        if verbose {
            print_details(&files, &probe, out)?;
        }
    }
    Ok(())
}

fn print_details(files: &KernelFiles, probe: &Listed, out: &mut impl Write) -> anyhow::Result<()> {
    let details = match listing::details(files, probe) {
        Ok(details) => details,
        Err(error) => {
            writeln!(out, "    {error}")?;
            return Ok(());
        }
    };
    if let Some(declaration) = details.declaration {
        writeln!(out, "    {declaration}")?;
    }
    print_fields(&details.fields, out)?;
    Ok(())
}

fn print_fields(fields: &[Field], out: &mut impl Write) -> io::Result<()> {
    for field in fields {
        writeln!(out, "    {}: {}", field.name, type_text(&field.ty))?;
    }
    Ok(())
}

fn list_functions(
    files: &KernelFiles,
    pattern: &str,
    verbose: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let probe: ProbeText = pattern.parse()?;
    let (kind, function, fields) = match &probe.target {
        Target::Kprobe { function, .. } => ("kprobe", function, fields_of(kprobe::registers())),
        Target::Kretprobe { function } => {
            ("kretprobe", function, fields_of(vec![kprobe::returned()]))
        }
        _ => anyhow::bail!("`{pattern}` names no function"),
    };
    let functions = Functions::read(files).with_context(|| format!("cannot list `{pattern}`"))?;
    if verbose || functions.source() != Source::FilterFunctions {
        eprintln!("tracer: functions from {}", functions.source().describe());
    }
    let mut found = false;
    for name in functions.matching(function) {
        found = true;
        writeln!(out, "{kind}:{name}")?;
        if verbose {
            print_fields(&fields, out)?;
        }
    }
    if !found {
        // An exact name that cannot be probed has a better reason than "no match".
        if probe.is_explicit() {
            functions
                .check(function, 0)
                .with_context(|| format!("cannot attach to `{probe}`"))?;
        }
        return Err(ProbeError::NothingMatches(pattern.to_owned()).into());
    }
    Ok(())
}

fn fields_of(fetched: Vec<Fetched>) -> Vec<Field> {
    fetched.into_iter().map(|value| value.field).collect()
}

/// A type as people write it: `u32`, `i64 hex`, `char[16]`, `u8[] hex`, `string`.
fn type_text(ty: &FieldType) -> String {
    match ty {
        FieldType::Integer(integer)
        | FieldType::Labeled {
            number: integer, ..
        } => integer_text(*integer, ""),
        FieldType::Array { element, length } => integer_text(*element, &format!("[{length}]")),
        FieldType::Sequence { element } => integer_text(*element, "[]"),
        FieldType::String => "string".into(),
    }
}

fn integer_text(integer: IntegerType, brackets: &str) -> String {
    let sign = if integer.signed { 'i' } else { 'u' };
    let display = match integer.display {
        Display::Text => return format!("char{brackets}"),
        Display::Decimal => "",
        Display::Hexadecimal => " hex",
        Display::Octal => " octal",
    };
    format!("{sign}{}{brackets}{display}", integer.size_bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_short() {
        let byte = IntegerType::natural(1, false, Display::Hexadecimal);
        let text = IntegerType::natural(1, false, Display::Text);
        let int = IntegerType::natural(4, true, Display::Decimal);
        assert_eq!(type_text(&FieldType::Integer(int)), "i32");
        assert_eq!(
            type_text(&FieldType::Sequence { element: byte }),
            "u8[] hex"
        );
        assert_eq!(
            type_text(&FieldType::Array {
                element: text,
                length: 16
            }),
            "char[16]"
        );
    }

    #[test]
    fn a_closed_pipe_is_told_from_other_errors() {
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_broken_pipe(&closed.into()));
        assert!(!is_broken_pipe(
            &io::Error::from(io::ErrorKind::NotFound).into()
        ));
    }
}
