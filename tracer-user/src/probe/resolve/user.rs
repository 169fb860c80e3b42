//! Functions of programs and libraries.

use std::path::Path;

use crate::kernel::btf::Btf;
use crate::probe::error::ProbeError;
use crate::probe::fetch::{Layout, Scope, registers};
use crate::probe::function_layout::{FunctionLayout, by_moment};
use crate::probe::resolve::resolver::Resolver;
use crate::probe::resolve::{FunctionTarget, Note, UserPlace};
use crate::probe::spec::{ProbeText, SpecError, Target, UserSymbol};
use crate::probe::user::{Found, Function, Program, UserError};

/// What becomes one class: one function to the user, which may be in several places.
struct Merged {
    class_name: String,
    places: Vec<UserPlace>,
    notes: Vec<Note>,
    explicit: bool,
}

impl Resolver<'_> {
    /// Functions of programs that a name or a pattern matches.
    pub(super) fn add_user_functions(&mut self, probe: &ProbeText) -> Result<bool, ProbeError> {
        let returns = matches!(probe.target, Target::Uretprobe { .. });
        let functions = self.user_functions(probe)?;
        let btf = probe
            .fetch
            .as_ref()
            .and_then(|_| self.types.get(&self.files.sys));
        let (layout, entry) = layouts(probe, btf.as_ref().map(|btf| btf.vmlinux()), returns)?;
        let found = !functions.is_empty();
        for function in functions {
            let places = function.places;
            let target = if returns {
                FunctionTarget::Uretprobe { places }
            } else {
                FunctionTarget::Uprobe { places }
            };
            let resolved = FunctionLayout {
                target,
                layout: layout.clone(),
                entry: entry.clone(),
                typed: Vec::new(),
            };
            let explicit = function.explicit;
            self.push_function(&function.class_name, explicit, resolved, function.notes)?;
        }
        Ok(found)
    }

    /// The functions of a probe in all files that its path means.
    fn user_functions(&self, probe: &ProbeText) -> Result<Vec<Merged>, ProbeError> {
        let (path, symbol, offset) = match &probe.target {
            Target::Uprobe {
                path,
                symbol,
                offset,
            } => (path, symbol, *offset),
            Target::Uretprobe { path, symbol } => (path, symbol, 0),
            _ => return Ok(Vec::new()),
        };
        let error = |cause| ProbeError::User {
            probe: probe.to_string(),
            cause,
        };
        let mut merged: Vec<Merged> = Vec::new();
        for program in self.programs.find(path).map_err(error)? {
            let contents = Program::open(&program.name, &program.file).map_err(error)?;
            if matches!(probe.target, Target::Uretprobe { .. }) {
                contents.check_returns(&symbol.to_string()).map_err(error)?;
            }
            let found = look_up(&contents, symbol).map_err(error)?;
            if offset > 0 && !found.explicit {
                return Err(SpecError::OffsetOnGlob(probe.to_string()).into());
            }
            for function in found.functions {
                let class_name = class_name(probe, &program.name, &function.name);
                let places = function.offsets.iter().map(|start| UserPlace {
                    path: program.file.clone(),
                    offset: start + offset,
                });
                match merged.iter_mut().find(|it| it.class_name == class_name) {
                    Some(known) => known.places.extend(places),
                    None => merged.push(Merged {
                        class_name,
                        places: places.collect(),
                        notes: function.notes,
                        explicit: found.explicit,
                    }),
                }
            }
        }
        Ok(merged)
    }
}

fn look_up(program: &Program, symbol: &UserSymbol) -> Result<Found, UserError> {
    match symbol {
        UserSymbol::Name(name) => program.find(name),
        UserSymbol::Address(address) => Ok(Found {
            explicit: true,
            functions: vec![Function {
                name: String::new(),
                offsets: vec![program.offset_of(*address)?],
                notes: Vec::new(),
            }],
        }),
    }
}

/// The text of a probe of this function alone.
fn class_name(probe: &ProbeText, path: &Path, function: &str) -> String {
    let mut target = probe.target.clone();
    if let Target::Uprobe {
        path: known,
        symbol,
        ..
    }
    | Target::Uretprobe {
        path: known,
        symbol,
    } = &mut target
    {
        *known = path.display().to_string();
        if let UserSymbol::Name(name) = symbol {
            function.clone_into(name);
        }
    }
    target.to_string()
}

/// What is fetched at the probe, and for returns, what is fetched at the entry.
fn layouts(
    probe: &ProbeText,
    types: Option<&Btf>,
    returns: bool,
) -> Result<(Layout, Option<Layout>), ProbeError> {
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
    Ok(if returns {
        let (returned, entered) = by_moment(values);
        (returned, Some(entered))
    } else {
        (Layout::new(&values), None)
    })
}
