//! Types by name.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::kernel::btf::object::Btf;
use crate::kernel::btf::types::{Kind, Type};

/// A kind of type that can be looked up by name. Each kind is a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// A function.
    Function,
    /// `struct NAME`.
    Struct,
    /// `union NAME`.
    Union,
    /// `enum NAME`.
    Enum,
    /// A `typedef`.
    Typedef,
    /// A number of C, such as `long unsigned int`.
    Number,
}

impl NameKind {
    pub(super) fn of(ty: Type<'_>) -> Option<Self> {
        match ty.kind() {
            Kind::Function(_) => Some(Self::Function),
            Kind::Composite(composite) if composite.is_union() => Some(Self::Union),
            Kind::Composite(_) => Some(Self::Struct),
            Kind::Enum(_) => Some(Self::Enum),
            Kind::Typedef(_) => Some(Self::Typedef),
            Kind::Integer(_) => Some(Self::Number),
            _ => None,
        }
    }
}

/// The names of one piece of BTF, without those of its base: pairs of 32 bits of
/// a hash and the number of a type, sorted.
#[derive(Debug)]
pub(super) struct Names(Vec<u64>);

impl Names {
    pub(super) fn new(btf: &Btf) -> Self {
        let mut pairs: Vec<u64> = btf
            .ids()
            .map(|id| btf.get(id))
            .filter(|ty| NameKind::of(*ty).is_some() && !ty.name().is_empty())
            .map(|ty| hash(ty.name()) << 32 | u64::from(ty.id()))
            .collect();
        pairs.sort_unstable();
        Self(pairs)
    }

    /// Numbers of the types that may have this name, ascending.
    pub(super) fn with_hash_of(&self, name: &str) -> impl Iterator<Item = u32> {
        let hash = hash(name);
        let start = self.0.partition_point(|&pair| pair >> 32 < hash);
        self.0[start..]
            .iter()
            .take_while(move |&&pair| pair >> 32 == hash)
            .map(|&pair| pair as u32)
    }
}

/// In the lower half.
fn hash(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish() >> 32
}
