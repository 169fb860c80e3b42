//! Cuts BTF down to some types, and what lies in them.
//!
//! The format is that of `Documentation/bpf/btf.rst`: a header, types that are numbered from 1,
//! and strings. A type is a row of 32-bit words: its name, its kind and how many parts it has,
//! its size or another type, and its parts.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};

const MAGIC: u16 = 0xeb9f;
const HEADER_LEN: usize = 24;

/// Numbers of kinds (`BTF_KIND_` of `include/uapi/linux/btf.h`).
mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const PTR: u32 = 2;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const FWD: u32 = 7;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const VOLATILE: u32 = 9;
    pub(super) const CONST: u32 = 10;
    pub(super) const RESTRICT: u32 = 11;
    pub(super) const FUNC: u32 = 12;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const VAR: u32 = 14;
    pub(super) const DATASEC: u32 = 15;
    pub(super) const FLOAT: u32 = 16;
    pub(super) const DECL_TAG: u32 = 17;
    pub(super) const TYPE_TAG: u32 = 18;
    pub(super) const ENUM64: u32 = 19;
}

/// The types of the names `wanted` and all that they hold, as BTF of their own. A pointer to a
/// structure of another name leads to a declaration of it.
pub(super) fn cut(whole: &[u8], wanted: &[&str]) -> Result<Vec<u8>> {
    let whole = Whole::read(whole)?;
    let mut cut = Cut::new(&whole, wanted);
    for name in wanted {
        let found = whole.types.iter().position(|ty| {
            whole.name(ty[0]) == *name && !matches!(kind_of(ty), kind::FWD | kind::VAR)
        });
        let index = found.with_context(|| format!("no type `{name}`"))?;
        cut.add(index as u32 + 1, false)?;
    }
    Ok(cut.bytes())
}

/// The meaning of a word of a type.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Name,
    Type,
    Other,
}

fn kind_of(ty: &[u32]) -> u32 {
    ty[1] >> 24 & 0x1f
}

/// The meaning of the word after the kind, and of the words of each part.
fn shape(kind: u32) -> Option<(Word, &'static [Word])> {
    use Word::{Name, Other, Type};
    Some(match kind {
        kind::INT => (Other, &[Other]),
        kind::ARRAY => (Other, &[Type, Type, Other]),
        kind::STRUCT | kind::UNION => (Other, &[Name, Type, Other]),
        kind::ENUM => (Other, &[Name, Other]),
        kind::ENUM64 => (Other, &[Name, Other, Other]),
        kind::FUNC_PROTO => (Type, &[Name, Type]),
        kind::FWD | kind::FLOAT => (Other, &[]),
        kind::VAR | kind::DECL_TAG => (Type, &[Other]),
        kind::DATASEC => (Other, &[Type, Other, Other]),
        kind::PTR
        | kind::TYPEDEF
        | kind::VOLATILE
        | kind::CONST
        | kind::RESTRICT
        | kind::FUNC
        | kind::TYPE_TAG => (Type, &[]),
        _ => return None,
    })
}

/// The number of parts of a type: some kinds always have one, and no number.
fn parts(kind: u32, info: u32) -> usize {
    match kind {
        kind::INT | kind::ARRAY | kind::VAR | kind::DECL_TAG => 1,
        _ => (info & 0xffff) as usize,
    }
}

/// All types of a kernel.
struct Whole<'a> {
    types: Vec<Vec<u32>>,
    strings: &'a [u8],
}

impl<'a> Whole<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self> {
        ensure!(
            bytes.starts_with(&MAGIC.to_le_bytes()),
            "it does not begin like BTF"
        );
        let field = |at: usize| word(bytes, at).context("the header ends early");
        let header = field(4)? as usize;
        let section = |at: usize| -> Result<&[u8]> {
            let start = header + field(at)? as usize;
            let end = start + field(at + 4)? as usize;
            bytes.get(start..end).context("a section ends early")
        };
        Ok(Self {
            types: types(section(8)?)?,
            strings: section(16)?,
        })
    }

    fn get(&self, id: u32) -> Result<&[u32]> {
        let ty = self.types.get((id as usize).wrapping_sub(1));
        Ok(ty.with_context(|| format!("no type with the number {id}"))?)
    }

    fn name(&self, offset: u32) -> &'a str {
        let rest = self.strings.get(offset as usize..).unwrap_or_default();
        let end = rest.iter().position(|&byte| byte == 0).unwrap_or(0);
        std::str::from_utf8(&rest[..end]).unwrap_or_default()
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(word.try_into().ok()?))
}

fn types(bytes: &[u8]) -> Result<Vec<Vec<u32>>> {
    let mut types = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let info = word(bytes, at + 4).context("a type ends early")?;
        let kind = info >> 24 & 0x1f;
        let (_, part) = shape(kind).with_context(|| format!("kind {kind} is not known"))?;
        let len = 3 + part.len() * parts(kind, info);
        let words = (0..len).map(|index| word(bytes, at + 4 * index));
        types.push(words.collect::<Option<_>>().context("a type ends early")?);
        at += 4 * len;
    }
    Ok(types)
}

/// The types that are kept.
struct Cut<'a> {
    whole: &'a Whole<'a>,
    wanted: &'a [&'a str],
    types: Vec<Vec<u32>>,
    /// New numbers of types, by the old ones and whether the end of the type is declared only.
    numbers: HashMap<(u32, bool), u32>,
    strings: Vec<u8>,
    offsets: HashMap<&'a str, u32>,
}

impl<'a> Cut<'a> {
    fn new(whole: &'a Whole<'a>, wanted: &'a [&'a str]) -> Self {
        Self {
            whole,
            wanted,
            types: Vec::new(),
            numbers: HashMap::new(),
            strings: vec![0],
            offsets: HashMap::from([("", 0)]),
        }
    }

    /// The new number of a type, which is put in where it is not there yet, with all that is
    /// in it.
    fn add(&mut self, id: u32, after_pointer: bool) -> Result<u32> {
        if id == 0 {
            return Ok(0);
        }
        let declared = after_pointer && self.ends_in_other(id)?;
        if let Some(number) = self.numbers.get(&(id, declared)) {
            return Ok(*number);
        }
        // Before its parts: they may lead back to it.
        self.types.push(Vec::new());
        let number = self.types.len() as u32;
        self.numbers.insert((id, declared), number);
        let ty = self.whole.get(id)?;
        let kind = kind_of(ty);
        let ty = match kind {
            kind::STRUCT | kind::UNION if declared => {
                let union = u32::from(kind == kind::UNION) << 31;
                vec![self.string(ty[0]), union | kind::FWD << 24, 0]
            }
            _ => self.renumbered(ty, kind, declared)?,
        };
        self.types[number as usize - 1] = ty;
        Ok(number)
    }

    /// A type with new numbers in place of the old ones.
    fn renumbered(&mut self, ty: &[u32], kind: u32, declared: bool) -> Result<Vec<u32>> {
        let Some((third, part)) = shape(kind) else {
            bail!("kind {kind} is not known");
        };
        let head = [Word::Name, Word::Other, third];
        let words = head.iter().chain(part.iter().cycle());
        let after_pointer = declared || kind == kind::PTR;
        ty.iter()
            .zip(words)
            .map(|(&value, word)| match word {
                Word::Name => Ok(self.string(value)),
                Word::Type => self.add(value, after_pointer),
                Word::Other => Ok(value),
            })
            .collect()
    }

    /// Whether qualifiers, names and arrays lead to a structure whose members are not kept.
    fn ends_in_other(&self, id: u32) -> Result<bool> {
        let mut id = id;
        while id != 0 {
            let ty = self.whole.get(id)?;
            id = match kind_of(ty) {
                kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
                    ty[2]
                }
                kind::ARRAY => ty[3],
                kind::STRUCT | kind::UNION => {
                    let name = self.whole.name(ty[0]);
                    return Ok(!name.is_empty() && !self.wanted.contains(&name));
                }
                _ => return Ok(false),
            };
        }
        Ok(false)
    }

    /// The new place of a string.
    fn string(&mut self, offset: u32) -> u32 {
        let text = self.whole.name(offset);
        *self.offsets.entry(text).or_insert_with(|| {
            let offset = self.strings.len() as u32;
            self.strings.extend(text.bytes().chain([0]));
            offset
        })
    }

    fn bytes(&self) -> Vec<u8> {
        let types: Vec<u8> = self
            .types
            .iter()
            .flatten()
            .copied()
            .flat_map(u32::to_le_bytes)
            .collect();
        let mut bytes = MAGIC.to_le_bytes().to_vec();
        // Version 1, without flags.
        bytes.extend([1, 0]);
        let types_len = types.len() as u32;
        for word in [
            HEADER_LEN as u32,
            0,
            types_len,
            types_len,
            self.strings.len() as u32,
        ] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(types);
        bytes.extend(&self.strings);
        bytes
    }
}

#[cfg(test)]
#[path = "cut_tests.rs"]
mod tests;
