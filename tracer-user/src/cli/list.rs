//! `tracer list`.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context as _;

use crate::kernel::KernelFiles;
use crate::kernel::functions::{FunctionList, Functions, Namesakes};
use crate::kernel::tracefs::mount::Tracefs;
use crate::probe::listing::{self, Listed};
use crate::probe::recipes::Recipes;
use crate::probe::{self, ProbeError, ProbeText, Target};
use crate::sys::stderr::message;
use crate::trace::event::{Display, Field, FieldType, IntegerType};
use crate::trace::lttng::Naming;

/// List the probes of this kernel
#[derive(clap::Args)]
pub(super) struct Args {
    /// List only these: tracepoints and system calls by pattern or word, such as `sched:*`,
    /// `syscall:open*` or `wakeup`; or calls and functions, such as `call:*`, `kprobe:vfs_*`, `fexit:vfs_read`,
    /// `rawtp:*`, `uprobe:/bin/bash:read*` [default: all tracepoints and system calls]
    #[arg(value_name = "PATTERN")]
    pattern: Option<String>,

    /// Also print the fields of each probe's events and, for tracepoints, how they are attached
    #[arg(short, long)]
    verbose: bool,

    /// Print the keys of the recipes for tracepoints on this kernel
    #[arg(long, hide = true, conflicts_with = "verbose")]
    recipes: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let pattern = args.pattern.as_deref().unwrap_or("*");
    let written = if args.recipes {
        list_recipes(pattern, &mut out)
    } else {
        list(pattern, args.verbose, &mut out)
    };
    let written = written.and_then(|()| Ok(out.flush()?));
    match written {
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error),
        Ok(()) => Ok(ExitCode::SUCCESS),
    }
}

/// Whether the reader of the output has closed the pipe.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Kinds of probes that are not listed in tracefs by their names: whole calls, and functions of the
/// kernel or of a program.
const FUNCTION_KINDS: [&str; 9] = [
    "call",
    "kprobe",
    "kretprobe",
    "fentry",
    "fexit",
    "func",
    "rawtp",
    "uprobe",
    "uretprobe",
];

fn list(pattern: &str, verbose: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let tracefs = Tracefs::open()?;
    list_of(&KernelFiles::running(&tracefs), pattern, verbose, out)
}

fn list_of(
    files: &KernelFiles,
    pattern: &str,
    verbose: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    if let Some((kind, _)) = pattern.split_once(':')
        && FUNCTION_KINDS.contains(&kind)
    {
        let probe: ProbeText = pattern.parse()?;
        return match &probe.target {
            // A kernel has many functions, and their names need no types.
            Target::Kprobe {
                function,
                offset: 0,
            }
            | Target::Kretprobe { function }
                if !verbose && !probe.is_explicit() && probe.fetch.is_none() =>
            {
                list_names(files, kind, function, out)
            }
            _ => list_resolved(files, probe, verbose, out),
        };
    }
    let found = listing::matching(files, pattern).context("cannot list probes")?;
    if found.is_empty() {
        return Err(ProbeError::NothingMatches(pattern.to_owned()).into());
    }
    let recipes = Recipes::new(files, Naming::default());
    for probe in found {
        writeln!(out, "{probe}")?;
        if !verbose {
            continue;
        }
        print_details(files, &probe, out)?;
        if let Listed::Tracepoint { system, name } = &probe {
            writeln!(out, "    attached by {}", way(&recipes, system, name))?;
        }
    }
    Ok(())
}

/// How a tracepoint is attached.
fn way(recipes: &Recipes<'_>, system: &str, name: &str) -> &'static str {
    match recipes.of_event(system, name) {
        Ok(Some(recipe)) if recipe.key.is_certified() => "raw tracepoint",
        _ => "perf's tracepoint",
    }
}

/// Prints the key and the class of each tracepoint that has a recipe, or why it is not usable.
fn list_recipes(pattern: &str, out: &mut impl Write) -> anyhow::Result<()> {
    let tracefs = Tracefs::open()?;
    let files = KernelFiles::running(&tracefs);
    let recipes = Recipes::new(&files, Naming::Tracefs);
    for probe in listing::matching(&files, pattern).context("cannot list probes")? {
        let Listed::Tracepoint { system, name } = &probe else {
            continue;
        };
        match recipes.of_event(system, name) {
            Ok(Some(recipe)) if recipe.key.is_certified() => {
                writeln!(out, "{} {probe} certified", recipe.key)?;
            }
            Ok(Some(recipe)) => writeln!(out, "{} {probe} new", recipe.key)?,
            Ok(None) => {}
            Err(problem) => writeln!(out, "- {probe} {problem}")?,
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

/// Prints the kernel functions that match, as probes of this kind.
fn list_names(
    files: &KernelFiles,
    kind: &str,
    function: &str,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let pattern = format!("{kind}:{function}");
    let functions = Functions::read(files).with_context(|| format!("cannot list `{pattern}`"))?;
    if functions.source() != FunctionList::FilterFunctions {
        message!("tracer: functions from {}", functions.source().describe());
    }
    let names = functions.matching(function);
    let namesakes = functions.namesakes(function);
    if names.is_empty() && namesakes.is_empty() {
        return Err(ProbeError::NothingMatches(pattern).into());
    }
    for name in names {
        writeln!(out, "{kind}:{name}")?;
    }
    for Namesakes {
        name,
        count,
        probes,
    } in namesakes
    {
        let note = format!("    one of {count} functions named `{name}`");
        for probe in &probes {
            writeln!(out, "{probe}\n{note}")?;
        }
        if probes.is_empty() {
            writeln!(out, "{note}, of which the kernel hides the addresses")?;
        }
    }
    Ok(())
}

/// Prints the event classes that would be recorded, and their fields.
fn list_resolved(
    files: &KernelFiles,
    probe: ProbeText,
    verbose: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let context = format!("cannot list `{probe}`");
    for resolved in probe::resolve(files, &[probe]).context(context)? {
        writeln!(out, "{}", resolved.class.name)?;
        for note in &resolved.notes {
            writeln!(out, "    {}", note.text)?;
        }
        if verbose {
            print_fields(&resolved.class.fields, out)?;
        }
    }
    Ok(())
}

/// A type in short: `u32`, `i64 hex`, `char[16]`, `u8[] hex`, `string`.
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
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::kernel::btf::builder::Builder;

    /// A kernel with two functions that can be probed and a raw tracepoint.
    fn kernel(root: &Path, with_types: bool) -> KernelFiles {
        let write = |path: &str, bytes: &[u8]| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        write("sys/bus/event_source/devices/kprobe/type", b"8\n");
        write(
            "tracefs/available_filter_functions",
            b"vfs_read\nvfs_sync\n",
        );
        write(
            "proc/kallsyms",
            b"ffffffff81000100 T vfs_read\nffffffff81000200 T vfs_sync\n",
        );
        if with_types {
            let mut types = Builder::new();
            let long = types.integer("long", 8, true);
            let int = types.integer("int", 4, true);
            let file = types.structure("file", 4, &[("flags", int, 0)]);
            let file = types.pointer(file);
            types.function("vfs_read", long, &[("file", file), ("count", int)]);
            types.function("vfs_sync", 0, &[]);
            let data = types.pointer(0);
            let tracepoint = types.prototype(0, &[("__data", data), ("pid", int)]);
            let tracepoint = types.pointer(tracepoint);
            types.typedef("btf_trace_exec", tracepoint);
            write("sys/kernel/btf/vmlinux", &types.bytes());
        }
        KernelFiles {
            tracefs: root.join("tracefs"),
            proc: root.join("proc"),
            sys: root.join("sys"),
            modules: root.join("modules"),
        }
    }

    fn listed(with_types: bool, pattern: &str, verbose: bool) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        let mut out = Vec::new();
        list_of(&kernel(root.path(), with_types), pattern, verbose, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines().map(ToOwned::to_owned).collect()
    }

    #[test]
    fn arguments_have_their_types() {
        assert_eq!(
            listed(true, "kprobe:vfs_read", true),
            ["kprobe:vfs_read", "    file: u64 hex", "    count: i32"]
        );
        assert_eq!(
            listed(true, "fentry:vfs_read", true),
            ["fentry:vfs_read", "    file: u64 hex", "    count: i32"]
        );
    }

    #[test]
    fn functions_that_match_a_pattern_have_all_registers() {
        let lines = listed(true, "kprobe:vfs_r*", true);
        assert_eq!(
            lines[..4],
            [
                "kprobe:vfs_read",
                "    file: u64 hex",
                "    count: i32",
                "    arg2: u64 hex"
            ]
        );
        assert_eq!(lines.len(), 7);
    }

    #[test]
    fn a_return_has_a_typed_value_and_a_duration() {
        assert_eq!(
            listed(true, "kretprobe:vfs_read", true),
            ["kretprobe:vfs_read", "    duration: i64", "    ret: i64"]
        );
        assert_eq!(
            listed(true, "fexit:vfs_read", true),
            [
                "fexit:vfs_read",
                "    duration: i64",
                "    ret: i64",
                "    file: u64 hex",
                "    count: i32"
            ]
        );
    }

    #[test]
    fn without_types_there_are_registers() {
        let lines = listed(false, "kprobe:vfs_read", true);
        assert_eq!(lines[..2], ["kprobe:vfs_read", "    arg0: u64 hex"]);
        assert_eq!(lines.len(), 7);
        assert_eq!(
            listed(false, "kretprobe:vfs_read", true),
            [
                "kretprobe:vfs_read",
                "    duration: i64",
                "    ret: u64 hex"
            ]
        );
    }

    #[test]
    fn names_are_listed_by_their_kind() {
        for (pattern, expected) in [
            ("kprobe:*", &["kprobe:vfs_read", "kprobe:vfs_sync"][..]),
            ("kretprobe:*_sync", &["kretprobe:vfs_sync"]),
            ("func:vfs_s*", &["fentry:vfs_sync"]),
            ("rawtp:*", &["rawtp:exec"]),
        ] {
            assert_eq!(listed(true, pattern, false), expected, "{pattern}");
        }
    }

    #[test]
    fn variants_and_functions_of_one_name_are_listed() {
        let root = tempfile::tempdir().unwrap();
        let files = kernel(root.path(), false);
        let listed = "hash\nhash.isra.0\nshow\nshow\n";
        fs::write(files.tracefs.join("available_filter_functions"), listed).unwrap();
        let symbols = "100 T _text\n200 t hash\n300 t hash.isra.0\n400 t show\n500 t show\n";
        fs::write(files.proc.join("kallsyms"), symbols).unwrap();
        let list = |pattern: &str| {
            let mut out = Vec::new();
            list_of(&files, pattern, false, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(list("kprobe:hash*"), "kprobe:hash\nkprobe:hash.isra.0\n");
        let hash = list("kprobe:hash");
        assert!(hash.starts_with("kprobe:hash\n    "), "{hash}");
        assert!(hash.ends_with(": `hash.isra.0`\n"), "{hash}");
        let note = "    one of 2 functions named `show`";
        let expected = format!("kprobe:_text+0x300\n{note}\nkprobe:_text+0x400\n{note}\n");
        assert_eq!(list("kprobe:sh*"), expected);
    }

    #[test]
    fn fetched_fields_are_listed() {
        assert_eq!(
            listed(true, "rawtp:exec{number=pid:x32}", true),
            ["rawtp:exec", "    number: u32 hex"]
        );
    }

    #[test]
    fn the_error_says_why_a_function_cannot_be_probed() {
        let root = tempfile::tempdir().unwrap();
        let files = kernel(root.path(), true);
        for (pattern, reason) in [
            ("kprobe:vfs_reed", "vfs_read"),
            ("kprobe:ext4_*", "no probe matches"),
            ("rawtp:exit", "exit"),
        ] {
            let error = list_of(&files, pattern, false, &mut Vec::new()).unwrap_err();
            let shown = format!("{error:#}");
            assert!(shown.contains(reason), "{shown}");
        }
    }

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
    fn a_closed_pipe_is_distinguished_from_other_errors() {
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_broken_pipe(&closed.into()));
        assert!(!is_broken_pipe(
            &io::Error::from(io::ErrorKind::NotFound).into()
        ));
    }
}
