//! Programs and libraries: file offsets of their functions.

use std::fs;
use std::path::PathBuf;

use object::read::File;
use object::{Object, ObjectSegment, ObjectSymbol, SymbolKind};

use crate::names::Suggestions;
use crate::names::glob::{self, is_glob};

/// Why an attach point in a program cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// It could not be read.
    #[error("cannot read `{}`: {cause}", path.display())]
    Io {
        /// Of the file.
        path: PathBuf,
        /// Cause.
        cause: std::io::Error,
    },
    /// It is not a program.
    #[error("`{}` is not an ELF program or library: {cause}", path.display())]
    NotAProgram {
        /// Of the file.
        path: PathBuf,
        /// Cause.
        cause: object::Error,
    },
    /// No such symbol.
    #[error(
        "`{}` has no function `{symbol}`{suggestions}; in a stripped program, probe an address, \
        as in `{}:0x1234`",
        path.display(),
        path.display()
    )]
    NoSuchFunction {
        /// Of the file.
        path: PathBuf,
        /// As typed.
        symbol: String,
        /// What may have been meant.
        suggestions: Suggestions,
    },
    /// The address is not in executable code.
    #[error("address {address:#x} is not in a code segment of `{}`", path.display())]
    NotCode {
        /// Of the file.
        path: PathBuf,
        /// As typed, or of the symbol.
        address: u64,
    },
}

/// A program or a library.
pub(super) struct Program {
    path: PathBuf,
    /// Names and addresses of functions.
    functions: Vec<(String, u64)>,
    /// Address, file offset and length of each code segment.
    code: Vec<(u64, u64, u64)>,
}

impl Program {
    pub(super) fn open(path: &str) -> Result<Self, UserError> {
        let path = PathBuf::from(path);
        let bytes = fs::read(&path).map_err(|cause| UserError::Io {
            path: path.clone(),
            cause,
        })?;
        let file = File::parse(&*bytes).map_err(|cause| UserError::NotAProgram {
            path: path.clone(),
            cause,
        })?;
        let functions = file
            .symbols()
            .chain(file.dynamic_symbols())
            .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_definition())
            .filter_map(|symbol| Some((symbol.name().ok()?.to_owned(), symbol.address())))
            .collect();
        let code = file
            .segments()
            .filter(is_code)
            .map(|segment| {
                let (place, len) = segment.file_range();
                (segment.address(), place, len)
            })
            .collect();
        Ok(Self {
            path,
            functions,
            code,
        })
    }

    /// The functions with a name, or those that match a pattern, with their file offsets in
    /// bytes.
    pub(super) fn find(&self, name: &str) -> Result<Vec<(String, u64)>, UserError> {
        let mut found: Vec<(String, u64)> = Vec::new();
        for (function, address) in &self.functions {
            let wanted = if is_glob(name) {
                glob::matches(name, function)
            } else {
                function == name
            };
            if wanted {
                found.push((function.clone(), self.offset_of(*address)?));
            }
        }
        found.sort();
        found.dedup();
        if found.is_empty() {
            let names = self.functions.iter().map(|(name, _)| name.as_str());
            return Err(UserError::NoSuchFunction {
                path: self.path.clone(),
                symbol: name.to_owned(),
                suggestions: Suggestions::near(name, names),
            });
        }
        Ok(found)
    }

    /// The file offset of an address, in bytes.
    pub(super) fn offset_of(&self, address: u64) -> Result<u64, UserError> {
        self.code
            .iter()
            .find(|(start, _, len)| (*start..start + len).contains(&address))
            .map(|(start, place, _)| address - start + place)
            .ok_or_else(|| UserError::NotCode {
                path: self.path.clone(),
                address,
            })
    }
}

fn is_code(segment: &object::read::Segment<'_, '_>) -> bool {
    match segment.flags() {
        object::SegmentFlags::Elf { p_flags, .. } => p_flags & object::elf::PF_X != 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn this_program() -> String {
        std::env::current_exe().unwrap().display().to_string()
    }

    #[test]
    fn a_function_is_where_the_file_has_it() {
        let program = Program::open(&this_program()).unwrap();
        let found = program.find("main").unwrap();
        assert_eq!(found.len(), 1);
        let bytes = fs::read(this_program()).unwrap();
        let address = program.functions.iter().find(|(name, _)| name == "main");
        let (_, address) = address.unwrap();
        assert_eq!(program.offset_of(*address).unwrap(), found[0].1);
        assert!((found[0].1 as usize) < bytes.len());
    }

    #[test]
    fn what_is_not_there_is_named() {
        let program = Program::open(&this_program()).unwrap();
        let error = program.find("mainn").unwrap_err().to_string();
        assert!(error.contains("`mainn`"), "{error}");
        assert!(program.offset_of(u64::MAX).is_err());
        let error = Program::open("/nowhere").err().unwrap().to_string();
        assert!(error.contains("/nowhere"), "{error}");
    }
}
