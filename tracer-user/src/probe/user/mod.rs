//! Programs and libraries: file offsets of their functions.

mod demangled;
mod elf;
mod error;
mod find;
mod indirect;
mod variants;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use self::demangled::Names;
use self::elf::{Contents, Symbol, split_version};
use crate::names::glob::{self, is_glob};
use crate::names::quote::quoted_symbol;
use crate::names::{Suggestions, alternatives};
use crate::probe::resolve::Note;

pub use error::UserError;

pub(super) use find::Finder;

/// A program or a library.
pub(super) struct Program {
    path: PathBuf,
    bytes: Vec<u8>,
    contents: Contents,
}

/// A function of a program, possibly with several places: static functions of several source
/// files have one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Function {
    /// As the user named it, or as the file does.
    pub(super) name: String,
    /// File offsets in bytes, sorted, at least one.
    pub(super) offsets: Vec<u64>,
    /// What to know about it, for lists: how many places, which versions.
    pub(super) notes: Vec<Note>,
}

/// What a name or a pattern means.
pub(super) struct Found {
    /// It is a name, which has one function.
    pub(super) explicit: bool,
    pub(super) functions: Vec<Function>,
}

impl Program {
    /// Reads `file`, which messages call `path`.
    pub(super) fn open(path: &Path, file: &Path) -> Result<Self, UserError> {
        let path = path.to_owned();
        let bytes = fs::read(file).map_err(|cause| UserError::Io {
            path: path.clone(),
            cause,
        })?;
        let contents = Contents::parse(&bytes).map_err(|cause| UserError::NotAProgram {
            path: path.clone(),
            cause,
        })?;
        Ok(Self {
            path,
            bytes,
            contents,
        })
    }

    /// Refuses probes of returns in programs that do not survive them.
    pub(super) fn check_returns(&self, symbol: &str) -> Result<(), UserError> {
        if self.contents.is_go {
            return Err(UserError::GoReturn {
                path: self.path.clone(),
                symbol: symbol.to_owned(),
            });
        }
        Ok(())
    }

    /// The function with a name, or those that match a pattern. A function that is called what
    /// could be a pattern (`main.F[...]`) is meant by that name.
    ///
    /// Symbols with versions are found by their default version, or as `NAME@VERSION`.
    pub(super) fn find(&self, name: &str) -> Result<Found, UserError> {
        if let Some(function) = self.named(name)? {
            return Ok(Found {
                explicit: true,
                functions: vec![function],
            });
        }
        if is_glob(name) {
            let functions = self.matching(name)?;
            if !functions.is_empty() {
                return Ok(Found {
                    explicit: false,
                    functions,
                });
            }
        }
        Err(self.absent(name))
    }

    /// The function that is called exactly this.
    fn named(&self, name: &str) -> Result<Option<Function>, UserError> {
        let mut symbols = self.with_name(name);
        if symbols.is_empty() {
            symbols = self.with_demangled_name(name)?;
        }
        if symbols.is_empty() {
            return Ok(None);
        }
        self.function(name.to_owned(), &symbols).map(Some)
    }

    /// The symbols that are called this by the file.
    fn with_name(&self, name: &str) -> Vec<&Symbol> {
        let (base, version) = split_version(name);
        let all = self.contents.symbols.iter();
        let all: Vec<&Symbol> = all.filter(|symbol| symbol.name == base).collect();
        if let Some(version) = version {
            let wanted = |symbol: &&&Symbol| {
                let known = symbol.version.as_ref();
                known.is_some_and(|known| {
                    known.name == version.name && (known.default || !version.default)
                })
            };
            return all.iter().filter(wanted).copied().collect();
        }
        let current: Vec<&Symbol> = all.iter().copied().filter(|s| is_current(s)).collect();
        // Old programs call it, and no new ones can.
        if current.is_empty() { all } else { current }
    }

    /// The symbols of C++ or Rust that people call this.
    fn with_demangled_name(&self, name: &str) -> Result<Vec<&Symbol>, UserError> {
        let mut found: BTreeMap<String, Vec<&Symbol>> = BTreeMap::new();
        for (symbol, names) in self.demangled() {
            if names.are(name) {
                found.entry(names.whole).or_default().push(symbol);
            }
        }
        match found.len() {
            0 | 1 => Ok(found.into_values().flatten().collect()),
            _ => Err(UserError::Overloaded {
                name: name.to_owned(),
                functions: alternatives(found.keys().map(|name| quoted_symbol(name))),
            }),
        }
    }

    fn demangled(&self) -> impl Iterator<Item = (&Symbol, Names)> {
        let symbols = self.contents.symbols.iter();
        symbols.filter_map(|symbol| Some((symbol, Names::of(&symbol.name)?)))
    }

    /// The functions that a pattern matches, by the names in the file if these match, else by
    /// those that people write.
    fn matching(&self, pattern: &str) -> Result<Vec<Function>, UserError> {
        let mut found: BTreeMap<String, Vec<&Symbol>> = BTreeMap::new();
        for symbol in &self.contents.symbols {
            let name = versioned_name(symbol);
            if glob::matches(pattern, &name) {
                found.entry(name).or_default().push(symbol);
            } else if let Some(names) = Names::of(&symbol.name)
                && names.all().any(|name| glob::matches(pattern, name))
            {
                found.entry(names.whole).or_default().push(symbol);
            }
        }
        let mut functions = Vec::with_capacity(found.len());
        let mut refused = None;
        for (name, mut symbols) in found {
            // A version that is the same code as the default one is that.
            if !symbols.iter().any(|symbol| is_current(symbol)) {
                let current = self.with_name(&symbols[0].name);
                symbols.retain(|old| {
                    let same = |new: &&Symbol| is_current(new) && new.address == old.address;
                    !current.iter().any(same)
                });
                if symbols.is_empty() {
                    continue;
                }
            }
            match self.function(name, &symbols) {
                Ok(function) => functions.push(function),
                Err(error) => {
                    log::warn!("left out: {error}");
                    refused.get_or_insert(error);
                }
            }
        }
        match refused {
            Some(error) if functions.is_empty() => Err(error),
            _ => Ok(functions),
        }
    }

    /// The function of these symbols, which all mean the same.
    fn function(&self, name: String, symbols: &[&Symbol]) -> Result<Function, UserError> {
        let mut notes = Vec::new();
        let mut addresses = BTreeSet::new();
        for symbol in symbols {
            if !symbol.indirect {
                addresses.insert(symbol.address);
            }
        }
        if addresses.len() > 1 {
            let shown: Vec<String> = addresses.iter().map(|at| format!("{at:#x}")).collect();
            notes.push(detail(format!(
                "{} functions have this name: {}",
                shown.len(),
                shown.join(", ")
            )));
        }
        let resolvers: BTreeMap<u64, &Symbol> = symbols
            .iter()
            .filter(|symbol| symbol.indirect)
            .map(|symbol| (symbol.address, *symbol))
            .collect();
        for (address, resolver) in resolvers {
            let found = indirect::implementations(&self.contents, &self.bytes, resolver);
            if found.is_empty() {
                return Err(UserError::Indirect {
                    symbol: name,
                    resolver: address,
                });
            }
            let shown: Vec<String> = found.iter().map(|at| self.describe(*at)).collect();
            notes.push(important(format!(
                "indirect function (IFUNC), recorded at all that its resolver may select: {}",
                shown.join(", ")
            )));
            addresses.extend(found);
        }
        notes.extend(self.version_note(symbols).map(detail));
        notes.extend(variants::note(&self.contents, symbols).map(important));
        let mut offsets = Vec::with_capacity(addresses.len());
        for address in addresses {
            offsets.push(self.offset_of(address)?);
        }
        offsets.sort_unstable();
        Ok(Function {
            name,
            offsets,
            notes,
        })
    }

    /// An address with its symbol, if it has one.
    fn describe(&self, address: u64) -> String {
        let mut symbols = self.contents.symbols.iter();
        match symbols.find(|symbol| symbol.address == address) {
            Some(symbol) => versioned_name(symbol),
            None => format!("{address:#x}"),
        }
    }

    /// The version of a symbol of which there are several.
    fn version_note(&self, symbols: &[&Symbol]) -> Option<String> {
        let symbol = symbols.iter().find(|symbol| symbol.version.is_some())?;
        let version = symbol.version.as_ref()?;
        let others: BTreeSet<String> = self
            .versions(&symbol.name)
            .filter(|(_, other)| other.version.as_ref() != Some(version))
            .map(|(name, _)| name)
            .collect();
        if others.is_empty() {
            return None;
        }
        let kind = if version.default {
            "default version"
        } else {
            "obsolete version"
        };
        let others: Vec<String> = others.into_iter().collect();
        Some(format!(
            "{kind} {}; also {}",
            version.name,
            others.join(", ")
        ))
    }

    /// All versions of a symbol, as `NAME@VERSION` or `NAME@@VERSION`.
    fn versions(&self, name: &str) -> impl Iterator<Item = (String, &Symbol)> {
        let same = self.contents.symbols.iter().filter(move |s| s.name == name);
        same.filter_map(|symbol| {
            let version = symbol.version.as_ref()?;
            let at = if version.default { "@@" } else { "@" };
            Some((format!("{}{at}{}", symbol.name, version.name), symbol))
        })
    }

    /// Why there is no function with this name.
    fn absent(&self, name: &str) -> UserError {
        let (base, version) = split_version(name);
        let versions: BTreeSet<String> = self.versions(base).map(|(name, _)| name).collect();
        if version.is_some() && !versions.is_empty() {
            return UserError::NoSuchVersion {
                symbol: name.to_owned(),
                name: base.to_owned(),
                versions: alternatives(versions),
            };
        }
        let variants = variants::of(&self.contents, name);
        if !variants.is_empty() {
            return UserError::Variants {
                variants: alternatives(variants),
            };
        }
        let demangled: Vec<Names> = self.demangled().map(|(_, names)| names).collect();
        let mangled = self.contents.symbols.iter().map(|symbol| &*symbol.name);
        let names = mangled.chain(demangled.iter().flat_map(Names::all));
        UserError::NoSuchFunction {
            path: self.path.clone(),
            symbol: name.to_owned(),
            suggestions: Suggestions::near(name, names)
                .map(|name| quoted_symbol(&name).into_owned()),
        }
    }

    /// The file offset of an address, in bytes.
    pub(super) fn offset_of(&self, address: u64) -> Result<u64, UserError> {
        self.contents
            .code
            .iter()
            .find_map(|code| code.offset_of(address))
            .ok_or_else(|| UserError::NotCode {
                path: self.path.clone(),
                address,
            })
    }
}

fn detail(text: String) -> Note {
    let important = false;
    Note { text, important }
}

fn important(text: String) -> Note {
    let important = true;
    Note { text, important }
}

/// Whether new programs can be linked to the symbol.
fn is_current(symbol: &Symbol) -> bool {
    symbol
        .version
        .as_ref()
        .is_none_or(|version| version.default)
}

/// `NAME`, or `NAME@VERSION` of an obsolete version.
fn versioned_name(symbol: &Symbol) -> String {
    match &symbol.version {
        Some(version) if !version.default => format!("{}@{}", symbol.name, version.name),
        _ => symbol.name.clone(),
    }
}
