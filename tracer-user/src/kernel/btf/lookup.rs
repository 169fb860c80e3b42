//! Looking up types by number and by name.

use crate::kernel::btf::names::Names;
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
    fn of(ty: Type<'_>) -> Option<Self> {
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

impl Btf {
    /// The type with a number. Unknown numbers, and 0, are `void`.
    #[must_use]
    pub fn get(&self, id: u32) -> Type<'_> {
        Type { btf: self, id }
    }

    /// The type with a name, here or in the base.
    #[must_use]
    pub fn find(&self, what: NameKind, name: &str) -> Option<Type<'_>> {
        let names = self.names(|| self.read_names());
        let here = names
            .with_hash_of(name)
            .map(|id| self.get(id))
            .find(|ty| NameKind::of(*ty) == Some(what) && ty.name() == name);
        here.or_else(|| {
            let found = self.base()?.find(what, name)?;
            Some(self.get(found.id()))
        })
    }

    fn read_names(&self) -> Names {
        let types = self.ids().map(|id| self.get(id));
        let named = types.filter(|ty| NameKind::of(*ty).is_some() && !ty.name().is_empty());
        Names::new(named.map(|ty| (ty.id(), ty.name())))
    }
}
