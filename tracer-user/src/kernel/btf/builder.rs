//! Builds BTF for tests.

use crate::kernel::btf::object::{Btf, kind};

/// Types are numbered in the order in which they are added.
pub(crate) struct Builder {
    types: Vec<u8>,
    strings: Vec<u8>,
    first_string: u32,
    next_id: u32,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            types: Vec::new(),
            strings: vec![0],
            first_string: 0,
            next_id: 1,
        }
    }

    /// Continues the BTF of a kernel, as modules do.
    pub(crate) fn module_of(kernel: &Self) -> Self {
        Self {
            types: Vec::new(),
            strings: vec![0],
            first_string: kernel.strings.len() as u32,
            next_id: kernel.next_id,
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        let types_len = self.types.len() as u32;
        for word in [24, 0, types_len, types_len, self.strings.len() as u32] {
            bytes.extend(u32::to_le_bytes(word));
        }
        bytes.extend(&self.types);
        bytes.extend(&self.strings);
        bytes
    }

    pub(crate) fn build(&self) -> Btf {
        Btf::parse(self.bytes(), None).unwrap()
    }

    fn words(&mut self, words: &[u32]) {
        self.types
            .extend(words.iter().copied().flat_map(u32::to_le_bytes));
    }

    fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let offset = self.first_string + self.strings.len() as u32;
        self.strings.extend(text.bytes().chain([0]));
        offset
    }

    pub(crate) fn any(
        &mut self,
        name: &str,
        kind: u8,
        flag: bool,
        count: usize,
        word: u32,
        tail: &[u32],
    ) -> u32 {
        let name = self.string(name);
        let info = (u32::from(flag) << 31) | (u32::from(kind) << 24) | count as u32;
        self.words(&[name, info, word]);
        self.words(tail);
        self.next_id += 1;
        self.next_id - 1
    }

    pub(crate) fn integer(&mut self, name: &str, size: u32, signed: bool) -> u32 {
        let encoding = (u32::from(signed) << 24) | (size * 8);
        self.any(name, kind::INT, false, 0, size, &[encoding])
    }

    pub(crate) fn boolean(&mut self) -> u32 {
        self.any("_Bool", kind::INT, false, 0, 1, &[(4 << 24) | 8])
    }

    pub(crate) fn float(&mut self, name: &str, size: u32) -> u32 {
        self.any(name, kind::FLOAT, false, 0, size, &[])
    }

    pub(crate) fn pointer(&mut self, to: u32) -> u32 {
        self.any("", kind::PTR, false, 0, to, &[])
    }

    pub(crate) fn constant(&mut self, of: u32) -> u32 {
        self.any("", kind::CONST, false, 0, of, &[])
    }

    pub(crate) fn user(&mut self, of: u32) -> u32 {
        self.any("user", kind::TYPE_TAG, false, 0, of, &[])
    }

    pub(crate) fn typedef(&mut self, name: &str, of: u32) -> u32 {
        self.any(name, kind::TYPEDEF, false, 0, of, &[])
    }

    pub(crate) fn forward(&mut self, name: &str) -> u32 {
        self.any(name, kind::FWD, false, 0, 0, &[])
    }

    pub(crate) fn array(&mut self, of: u32, length: u32) -> u32 {
        self.any("", kind::ARRAY, false, 0, 0, &[of, 1, length])
    }

    /// Members have a name, a type and an offset in bytes.
    pub(crate) fn structure(&mut self, name: &str, size: u32, members: &[(&str, u32, u32)]) -> u32 {
        self.composite(name, kind::STRUCT, size, members)
    }

    pub(crate) fn union(&mut self, name: &str, size: u32, members: &[(&str, u32)]) -> u32 {
        let members: Vec<_> = members.iter().map(|&(name, ty)| (name, ty, 0)).collect();
        self.composite(name, kind::UNION, size, &members)
    }

    fn composite(&mut self, name: &str, kind: u8, size: u32, members: &[(&str, u32, u32)]) -> u32 {
        let words: Vec<u32> = members
            .iter()
            .flat_map(|&(name, ty, offset)| [self.string(name), ty, offset * 8])
            .collect();
        self.any(name, kind, false, members.len(), size, &words)
    }

    /// Members have a name, a type, an offset in bits and a size in bits.
    pub(crate) fn bit_fields(
        &mut self,
        name: &str,
        size: u32,
        members: &[(&str, u32, u32, u32)],
    ) -> u32 {
        let words: Vec<u32> = members
            .iter()
            .flat_map(|&(name, ty, offset, bits)| [self.string(name), ty, (bits << 24) | offset])
            .collect();
        self.any(name, kind::STRUCT, true, members.len(), size, &words)
    }

    pub(crate) fn enumeration(&mut self, name: &str, signed: bool, values: &[(&str, i32)]) -> u32 {
        let words: Vec<u32> = values
            .iter()
            .flat_map(|&(name, value)| [self.string(name), value as u32])
            .collect();
        self.any(name, kind::ENUM, signed, values.len(), 4, &words)
    }

    pub(crate) fn enumeration64(&mut self, name: &str, values: &[(&str, u64)]) -> u32 {
        let words: Vec<u32> = values
            .iter()
            .flat_map(|&(name, value)| [self.string(name), value as u32, (value >> 32) as u32])
            .collect();
        self.any(name, kind::ENUM64, false, values.len(), 8, &words)
    }

    pub(crate) fn prototype(&mut self, returned: u32, arguments: &[(&str, u32)]) -> u32 {
        let words: Vec<u32> = arguments
            .iter()
            .flat_map(|&(name, ty)| [self.string(name), ty])
            .collect();
        self.any(
            "",
            kind::FUNC_PROTO,
            false,
            arguments.len(),
            returned,
            &words,
        )
    }

    pub(crate) fn function(&mut self, name: &str, returned: u32, arguments: &[(&str, u32)]) -> u32 {
        let prototype = self.prototype(returned, arguments);
        self.any(name, kind::FUNC, false, 0, prototype, &[])
    }
}
