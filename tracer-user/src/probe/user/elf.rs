//! What an ELF file contains: its symbols of functions with their versions, and its code.

use object::elf::{
    self, PF_X, PT_GNU_EH_FRAME, PT_LOAD, PT_NOTE, SHN_UNDEF, SHT_DYNSYM, SHT_SYMTAB, STT_FUNC,
    STT_GNU_IFUNC,
};
use object::read::elf::{FileHeader, NoteIterator, ProgramHeader, SectionTable, Sym};
use object::{Endianness, FileKind};

/// A symbol of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Symbol {
    /// Without the version.
    pub(super) name: String,
    /// The version, if it has one.
    pub(super) version: Option<Version>,
    /// As `nm` prints it.
    pub(super) address: u64,
    /// Bytes of code; 0 if unknown.
    pub(super) size: u64,
    /// The code is not the function, but selects it (`STT_GNU_IFUNC`).
    pub(super) indirect: bool,
}

/// The version of a symbol, `GLIBC_2.14`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) name: String,
    /// The one that programs are linked to (`@@`). The others (`@`) are kept for old programs.
    pub(super) default: bool,
}

/// A segment, or a part of one, that is mapped from a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) address: u64,
    pub(super) file_offset: u64,
    pub(super) len: u64,
}

impl Segment {
    /// The file offset of an address, if the segment contains it.
    pub(super) fn offset_of(&self, address: u64) -> Option<u64> {
        let offset = address.checked_sub(self.address)?;
        (offset < self.len).then(|| offset + self.file_offset)
    }
}

/// The parts of a file that matter to probes.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// In the order of the file, duplicates included: dynamic symbols are usually among the
    /// others, too.
    pub(super) symbols: Vec<Symbol>,
    /// Executable segments.
    pub(super) code: Vec<Segment>,
    /// The table of the starts of functions that unwinders use (`.eh_frame_hdr`).
    pub(super) unwind_table: Option<Segment>,
    /// The file says that it is made by the Go compiler.
    pub(super) is_go: bool,
}

impl Contents {
    pub(super) fn parse(bytes: &[u8]) -> object::Result<Self> {
        match FileKind::parse(bytes)? {
            FileKind::Elf32 => Self::of::<elf::FileHeader32<Endianness>>(bytes),
            // Also reports what is not ELF at all.
            _ => Self::of::<elf::FileHeader64<Endianness>>(bytes),
        }
    }

    fn of<Elf: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> object::Result<Self> {
        let header = Elf::parse(bytes)?;
        let endian = header.endian()?;
        let mut contents = Self::default();
        for segment in header.program_headers(endian, bytes)? {
            let (file_offset, len) = segment.file_range(endian);
            let part = Segment {
                address: segment.p_vaddr(endian).into(),
                file_offset,
                len,
            };
            match segment.p_type(endian) {
                PT_LOAD if segment.p_flags(endian) & PF_X != 0 => contents.code.push(part),
                PT_GNU_EH_FRAME => contents.unwind_table = Some(part),
                // Stripped of sections, it still has this note.
                PT_NOTE => {
                    let notes = segment.notes(endian, bytes).ok().flatten();
                    contents.is_go |= notes.is_some_and(|notes| has_go_note(notes));
                }
                _ => {}
            }
        }
        let sections = header.sections(endian, bytes)?;
        let has_section = |name| sections.section_by_name(endian, name).is_some();
        contents.is_go |= GO_SECTIONS.into_iter().any(has_section);
        for table in [SHT_SYMTAB, SHT_DYNSYM] {
            add_symbols::<Elf>(&sections, endian, bytes, table, &mut contents.symbols)?;
        }
        Ok(contents)
    }
}

/// Sections that the Go linker writes (`cmd/link/internal/ld` of Go).
const GO_SECTIONS: [&[u8]; 2] = [b".go.buildinfo", b".note.go.buildid"];

fn has_go_note<Elf: FileHeader<Endian = Endianness>>(mut notes: NoteIterator<'_, Elf>) -> bool {
    while let Ok(Some(note)) = notes.next() {
        if note.name() == b"Go" {
            return true;
        }
    }
    false
}

fn add_symbols<'data, Elf: FileHeader<Endian = Endianness>>(
    sections: &SectionTable<'data, Elf>,
    endian: Endianness,
    bytes: &'data [u8],
    table: u32,
    symbols: &mut Vec<Symbol>,
) -> object::Result<()> {
    let found = sections.symbols(endian, bytes, table)?;
    let versions = match table {
        SHT_DYNSYM => sections.versions(endian, bytes)?,
        _ => None,
    };
    for (index, symbol) in found.enumerate() {
        let kind = symbol.st_type();
        if !matches!(kind, STT_FUNC | STT_GNU_IFUNC) || symbol.st_shndx(endian) == SHN_UNDEF {
            continue;
        }
        let Ok(name) = symbol.name(endian, found.strings()) else {
            continue;
        };
        let Ok(name) = std::str::from_utf8(name) else {
            continue;
        };
        let (name, mut version) = split_version(name);
        if let Some(versions) = &versions {
            let index = versions.version_index(endian, index);
            if let Ok(Some(known)) = versions.version(index) {
                version = Some(Version {
                    name: String::from_utf8_lossy(known.name()).into_owned(),
                    default: !index.is_hidden(),
                });
            }
        }
        symbols.push(Symbol {
            name: name.to_owned(),
            version,
            address: symbol.st_value(endian).into(),
            size: symbol.st_size(endian).into(),
            indirect: kind == STT_GNU_IFUNC,
        });
    }
    Ok(())
}

/// Splits `NAME@VERSION` and `NAME@@VERSION`: linkers write such names into the symbol table that
/// is not loaded.
pub(super) fn split_version(name: &str) -> (&str, Option<Version>) {
    let Some((name, version)) = name.split_once('@').filter(|(name, _)| !name.is_empty()) else {
        return (name, None);
    };
    let (version, default) = match version.strip_prefix('@') {
        Some(version) => (version, true),
        None => (version, false),
    };
    let version = Version {
        name: version.to_owned(),
        default,
    };
    (name, Some(version))
}
