//! Layout of events of kernel functions, raw tracepoints and functions of programs.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::kernel::btf::{Btf, Found, KernelBtf};
use crate::probe::error::ProbeError;
use crate::probe::fetch::{
    self, Base, FETCH_FAULT, Fetch, FetchError, FetchList, Fetched, FieldSource, Layout, Load,
    Scope, registers,
};
use crate::probe::resolve::FunctionTarget;
use crate::probe::spec::{ProbeText, Target, UserSymbol};
use crate::probe::user;
use crate::trace::event::{Display, Field, FieldType, IntegerType};

/// The field with the time from entry to return, in nanoseconds; -1 if the entry was not
/// seen.
const DURATION: &str = "duration";

/// The name of [`FETCH_FAULT`] for the values fetched on entry.
const ENTRY_FAULT: &str = "entry_fetch_fault";

/// A probe of this kind, ready to be attached.
pub(super) struct FunctionLayout {
    pub(super) target: FunctionTarget,
    pub(super) layout: Layout,
    pub(super) entry: Option<Layout>,
    /// Names and types of the registers of the layout, if they are known.
    pub(super) typed: Vec<Field>,
}

/// The kind of probe that is used for a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum FunctionProbeKind {
    Kprobe,
    Kretprobe,
    Fentry,
    Fexit,
    /// A kretprobe with all arguments.
    Call,
}

impl FunctionLayout {
    /// The fields of the event, and where a filter finds them.
    pub(super) fn fields(&self) -> (Vec<Field>, Vec<FieldSource>) {
        let mut all: Vec<(Field, FieldSource)> = Vec::new();
        if self.entry.is_some() {
            all.push(duration());
        }
        all.extend(self.layout.fields());
        if let Some(entry) = &self.entry {
            for ((mut field, _), source) in entry.fields().zip(entry.kept()) {
                if field.name == FETCH_FAULT {
                    ENTRY_FAULT.clone_into(&mut field.name);
                }
                all.push((field, source));
            }
        }
        for ((field, _), typed) in all.iter_mut().zip(&self.typed) {
            field.clone_from(typed);
        }
        all.into_iter().unzip()
    }
}

/// One of the functions that a pattern matches. Its payload is the registers, which
/// are the same for all, in slots of 8 bytes; the fields say which arguments they are.
pub(super) fn one_of_many(symbol: &str, found: Option<&Found<'_>>) -> FunctionLayout {
    let mut arguments = found.map(fetch::arguments).unwrap_or_default();
    let registers = registers::registers();
    let last = registers.len() - 1;
    let typed = registers.iter().enumerate().map(|(index, register)| {
        let argument = arguments
            .iter_mut()
            .find(|argument| argument.fetch.base == register.fetch.base);
        let Some(Fetched { field, .. }) = argument else {
            return register.field.clone();
        };
        let mut field = field.clone();
        match &mut field.ty {
            // The payload ends with a whole slot.
            FieldType::Integer(ty) | FieldType::Labeled { number: ty, .. }
                if index < last || ty.size_bits == 64 =>
            {
                ty.align_bits = 64;
            }
            // Strings differ in size: their addresses are recorded.
            _ => field.ty = register.field.ty.clone(),
        }
        field
    });
    FunctionLayout {
        target: FunctionTarget::Kprobe {
            symbol: symbol.to_owned(),
            offset: 0,
            uniform: true,
        },
        typed: typed.collect(),
        layout: Layout::new(&registers),
        entry: None,
    }
}

fn duration() -> (Field, FieldSource) {
    let field = Field {
        name: DURATION.into(),
        ty: FieldType::Integer(IntegerType::natural(8, true, Display::Decimal)),
    };
    let source = FieldSource::Fetch(Fetch {
        base: Base::Duration,
        steps: Vec::new(),
        load: Load::Itself,
    });
    (field, source)
}

/// A kernel function at `offset`. `found` is its BTF, `types` is for casts.
pub(super) fn kernel_function(
    kind: FunctionProbeKind,
    symbol: &str,
    offset: u64,
    found: Option<&Found<'_>>,
    types: Option<&Btf>,
    list: Option<&FetchList>,
) -> Result<FunctionLayout, FetchError> {
    let symbol = symbol.to_owned();
    let btf_id = found.map_or(0, |found| found.ty.id());
    Ok(match kind {
        FunctionProbeKind::Kprobe => {
            // In the middle of a function, registers may no longer hold the arguments.
            let found = found.filter(|_| offset == 0);
            let values = match list {
                Some(list) => list.resolve(&Scope::entry(types, found))?,
                None => found.map_or_else(registers::registers, fetch::arguments),
            };
            FunctionLayout {
                target: FunctionTarget::Kprobe {
                    symbol,
                    offset,
                    uniform: false,
                },
                layout: Layout::new(&values),
                entry: None,
                typed: Vec::new(),
            }
        }
        FunctionProbeKind::Fentry => {
            let values = match list {
                Some(list) => list.resolve(&Scope::entry(types, found))?,
                None => found.map(fetch::arguments).unwrap_or_default(),
            };
            FunctionLayout {
                target: FunctionTarget::Fentry { btf_id },
                layout: Layout::new(&values),
                entry: None,
                typed: Vec::new(),
            }
        }
        FunctionProbeKind::Fexit => FunctionLayout {
            target: FunctionTarget::Fexit { btf_id },
            layout: Layout::new(&at_exit(found, types, list)?),
            entry: Some(Layout::default()),
            typed: Vec::new(),
        },
        FunctionProbeKind::Kretprobe | FunctionProbeKind::Call => {
            let values = match list {
                Some(_) => at_exit(found, types, list)?,
                None if kind == FunctionProbeKind::Call => at_exit(found, types, None)?,
                None => match found {
                    Some(found) => fetch::returned(found).into_iter().collect(),
                    None => vec![registers::returned()],
                },
            };
            let (returned, entered) = by_moment(values);
            FunctionLayout {
                target: FunctionTarget::Kretprobe { symbol },
                layout: returned,
                entry: Some(entered),
                typed: Vec::new(),
            }
        }
    })
}

/// What is fetched when a function returns, and what is to be kept from its entry.
fn by_moment(values: Vec<Fetched>) -> (Layout, Layout) {
    let (returned, entered): (Vec<_>, Vec<_>) = values
        .into_iter()
        .partition(|value| value.fetch.base == Base::Return);
    (Layout::new(&returned), Layout::new(&entered))
}

/// What is fetched if both arguments and result are known.
fn at_exit(
    found: Option<&Found<'_>>,
    types: Option<&Btf>,
    list: Option<&FetchList>,
) -> Result<Vec<Fetched>, FetchError> {
    match (list, found) {
        (Some(list), Some(found)) => list.resolve(&Scope::exit_with_arguments(found)),
        (Some(list), None) => list.resolve(&Scope::exit(types, None)),
        (None, Some(found)) => Ok(fetch::returned_and_arguments(found)),
        (None, None) => Ok(vec![registers::returned()]),
    }
}

/// A raw tracepoint.
pub(super) fn raw_tracepoint(
    name: &str,
    found: &Found<'_>,
    list: Option<&FetchList>,
) -> Result<FunctionLayout, FetchError> {
    let values = match list {
        Some(list) => list.resolve(&Scope::raw_tracepoint(found))?,
        None => fetch::arguments(found),
    };
    Ok(FunctionLayout {
        target: FunctionTarget::RawTracepoint { name: name.into() },
        layout: Layout::new(&values),
        entry: None,
        typed: Vec::new(),
    })
}

/// Attach points in a program or a library.
pub(super) fn user_function(
    probe: &ProbeText,
    types: Option<&Btf>,
) -> Result<Vec<(String, FunctionLayout)>, ProbeError> {
    let (path, symbol, offset, returns) = match &probe.target {
        Target::Uprobe {
            path,
            symbol,
            offset,
        } => (path, symbol, *offset, false),
        Target::Uretprobe { path, symbol } => (path, symbol, 0, true),
        _ => return Ok(Vec::new()),
    };
    let error = |cause| ProbeError::User {
        probe: probe.to_string(),
        cause,
    };
    let program = user::Program::open(path).map_err(error)?;
    let places = match symbol {
        UserSymbol::Name(name) => program.find(name).map_err(error)?,
        UserSymbol::Address(address) => {
            let offset = program.offset_of(*address).map_err(error)?;
            vec![(format!("{address:#x}"), offset)]
        }
    };
    let scope = if returns {
        Scope::user_exit(types)
    } else {
        Scope::user_entry(types)
    };
    let values = match &probe.fetch {
        Some(list) => list.resolve(&scope).map_err(|cause| ProbeError::Fetch {
            probe: probe.target.to_string(),
            cause,
        })?,
        None if returns => vec![registers::returned()],
        None => registers::registers(),
    };
    let (layout, entry) = if returns {
        let (returned, entered) = by_moment(values);
        (returned, Some(entered))
    } else {
        (Layout::new(&values), None)
    };
    let resolve = |(symbol, file_offset): (String, u64)| {
        let (path, offset) = (PathBuf::from(path), file_offset + offset);
        let kind = if returns { "uretprobe" } else { "uprobe" };
        let mut name = format!("{kind}:{}:{symbol}", path.display());
        if offset > file_offset {
            name = format!("{name}+{:#x}", offset - file_offset);
        }
        let target = if returns {
            FunctionTarget::Uretprobe { path, offset }
        } else {
            FunctionTarget::Uprobe { path, offset }
        };
        let resolved = FunctionLayout {
            target,
            layout: layout.clone(),
            entry: entry.clone(),
            typed: Vec::new(),
        };
        (name, resolved)
    };
    Ok(places.into_iter().map(resolve).collect())
}

/// The kernel's types, read when they are first needed.
#[derive(Debug, Default)]
pub(super) enum Types {
    /// Not needed yet.
    #[default]
    Unread,
    /// `None` if the kernel has no BTF.
    Read(Option<Rc<KernelBtf>>),
}

impl Types {
    /// `None` if the kernel has no BTF, which is logged.
    pub(super) fn get(&mut self, sys: &Path) -> Option<Rc<KernelBtf>> {
        if let Self::Read(types) = self {
            return types.clone();
        }
        let types = KernelBtf::read(sys)
            .map(Rc::new)
            .inspect_err(|error| log::warn!("arguments have no types: {error}"))
            .ok();
        *self = Self::Read(types.clone());
        types
    }
}
