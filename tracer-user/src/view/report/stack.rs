//! Resolves the addresses of call stacks to functions.
//!
//! Kernel functions come from the trace. User addresses are looked up in the files that were
//! mapped, provided that their build ids have not changed.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use blazesym::helper::read_elf_build_id;
use blazesym::symbolize::source::{Elf, Source};
use blazesym::symbolize::{Input, Symbolized, Symbolizer};

use crate::trace::ctf::{Event, ReadError};
use crate::trace::folder::Trace;
use crate::trace::sidecar::kallsyms::KernelSymbols;
use crate::trace::sidecar::mappings::{Mapping, Mappings};
use crate::trace::{Class, Numbers};

/// The part of a call stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Kernel stack.
    Kernel,
    /// User stack.
    User,
}

impl Side {
    /// The stack in a field of this name, if it is one; the names are LTTng's.
    pub(super) fn of_field(name: &str) -> Option<Self> {
        match name {
            "callstack_kernel" => Some(Self::Kernel),
            "callstack_user" => Some(Self::User),
            _ => None,
        }
    }
}

/// Shown for addresses in the kernel that are not in a module.
const KERNEL: &str = "[kernel]";

/// A resolved address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// The function, and the offset in bytes from its start.
    pub(super) symbol: Option<(&'a str, u64)>,
    /// The file or kernel module.
    pub(super) object: Option<&'a [u8]>,
}

/// An address of a stack, and the event it belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    pub(super) side: Side,
    pub(super) value: u64,
    /// The first address of a stack is that of an instruction. The others are return addresses,
    /// which can be past the end of the calling function.
    pub(super) is_first: bool,
    pub(super) pid: u32,
    pub(super) timestamp_ns: u64,
}

impl Address {
    /// The addresses of a stack of `event`.
    pub(super) fn of_stack<'a>(
        side: Side,
        event: &Event<'_>,
        addresses: Numbers<'a>,
    ) -> impl Iterator<Item = Self> + use<'a> {
        let (pid, timestamp_ns) = (event.pid, event.timestamp_ns);
        addresses.enumerate().map(move |(index, number)| Self {
            side,
            value: number.raw,
            is_first: index == 0,
            pid,
            timestamp_ns,
        })
    }
}

/// A function, and an offset in bytes from its start.
type Symbol = Option<(Box<str>, u64)>;

/// Resolves the addresses of one trace.
#[derive(Default)]
pub(super) struct Stacks {
    kernel: Option<KernelSymbols>,
    mappings: Mappings,
    files: Files,
    /// Processes without known mappings.
    unknown: HashSet<u32>,
    /// Set if a kernel address was seen but the trace has no kernel functions.
    no_kernel: bool,
}

impl Stacks {
    /// Reads the trace's symbols and mappings, if any class has a stack.
    pub(super) fn open(trace: &Trace) -> Result<Self, ReadError> {
        let has_stack = |class: &Class| {
            let mut fields = class.context.iter().chain(&class.fields);
            fields.any(|field| Side::of_field(&field.name).is_some())
        };
        if !trace.classes().iter().any(has_stack) {
            return Ok(Self::default());
        }
        Ok(Self {
            kernel: trace.kernel_symbols()?,
            mappings: trace.mappings()?,
            ..Self::default()
        })
    }

    pub(super) fn frame(&mut self, at: Address) -> Frame<'_> {
        let back = u64::from(!at.is_first);
        let inside = at.value.saturating_sub(back);
        match at.side {
            Side::Kernel => self.kernel_frame(at.value, inside),
            Side::User => self.user_frame(at, inside, back),
        }
    }

    fn kernel_frame(&mut self, address: u64, inside: u64) -> Frame<'_> {
        self.no_kernel |= self.kernel.is_none();
        let found = self.kernel.as_ref().and_then(|known| known.find(inside));
        Frame {
            symbol: found.map(|symbol| (symbol.name, address - symbol.address)),
            object: found.map(|symbol| symbol.module.unwrap_or(KERNEL).as_bytes()),
        }
    }

    fn user_frame(&mut self, at: Address, inside: u64, back: u64) -> Frame<'_> {
        let Some(mapping) = self.mappings.find(at.pid, at.timestamp_ns, inside) else {
            if !self.mappings.knows(at.pid, at.timestamp_ns) {
                self.unknown.insert(at.pid);
            }
            return Frame {
                symbol: None,
                object: None,
            };
        };
        let offset = inside - mapping.range.start + mapping.file_offset;
        let symbol = self.files.symbol(mapping, offset);
        Frame {
            symbol: symbol
                .as_ref()
                .map(|(name, offset)| (&**name, offset + back)),
            object: Some(&mapping.path),
        }
    }

    /// What could not be resolved, and why, for people.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.no_kernel {
            notes.push(
                "kernel stacks have no symbols: the trace does not contain the addresses of kernel \
                 functions"
                    .to_owned(),
            );
        }
        if !self.unknown.is_empty() {
            let count = self.unknown.len();
            let processes = if count == 1 { "process" } else { "processes" };
            notes.push(format!(
                "user stacks of {count} {processes} have no symbols: the trace does not contain \
                 the mappings of their code"
            ));
        }
        notes.extend(self.files.notes.iter().cloned());
        notes
    }
}

/// Path and build id.
type FileKey = (Box<[u8]>, Box<[u8]>);

/// Files that were mapped.
#[derive(Default)]
struct Files {
    symbolizer: Symbolizer,
    /// Number of each file, `None` if it cannot be used.
    known: HashMap<FileKey, Option<usize>>,
    /// By file number and offset.
    symbols: HashMap<(usize, u64), Symbol>,
    notes: Vec<String>,
}

impl Files {
    /// The function at `offset` bytes in the file of `mapping`.
    fn symbol(&mut self, mapping: &Mapping, offset: u64) -> &Symbol {
        let Some(file) = self.file(mapping) else {
            return &None;
        };
        let symbolizer = &self.symbolizer;
        self.symbols.entry((file, offset)).or_insert_with(|| {
            let source = Source::Elf(Elf::new(path_of(mapping)));
            match symbolizer.symbolize_single(&source, Input::FileOffset(offset)) {
                Ok(Symbolized::Sym(symbol)) => Some((symbol.name.into(), symbol.offset as u64)),
                _ => None,
            }
        })
    }

    fn file(&mut self, mapping: &Mapping) -> Option<usize> {
        let key = (mapping.path.clone(), mapping.build_id.clone());
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let usable = match check(mapping) {
            Ok(usable) => usable,
            Err(why) => {
                let path = path_of(mapping).display().to_string();
                self.notes.push(format!(
                    "`{}` {why}; its addresses have no symbols",
                    path.escape_debug()
                ));
                false
            }
        };
        let file = usable.then_some(self.known.len());
        self.known.insert(key, file);
        file
    }
}

fn path_of(mapping: &Mapping) -> &Path {
    Path::new(OsStr::from_bytes(&mapping.path))
}

/// Whether functions can be looked up in the file of a mapping; an error if it is not the file
/// that was mapped.
fn check(mapping: &Mapping) -> Result<bool, &'static str> {
    let path = path_of(mapping);
    if !path.is_absolute() {
        return Ok(false);
    }
    if !path.is_file() {
        return Err("no longer exists");
    }
    let Ok(build_id) = read_elf_build_id(&path) else {
        return Ok(false);
    };
    if *build_id.unwrap_or_default() == *mapping.build_id {
        Ok(true)
    } else {
        Err("has changed since the recording (its build id differs)")
    }
}
