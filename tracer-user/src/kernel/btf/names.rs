//! Types by name.

use std::hash::{DefaultHasher, Hash, Hasher};

/// The names of one piece of BTF, without those of its base: pairs of 32 bits of
/// a hash and the number of a type, sorted.
#[derive(Debug)]
pub(super) struct Names(Vec<u64>);

impl Names {
    /// From numbers of types and their names.
    pub(super) fn new<'n>(types: impl Iterator<Item = (u32, &'n str)>) -> Self {
        let mut pairs: Vec<u64> = types
            .map(|(id, name)| hash(name) << 32 | u64::from(id))
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
