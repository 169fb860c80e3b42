//! Which fields others refer to: lengths of sequences, selectors of variants.
//!
//! The value of such a field is kept in a slot while an event is read. A length directly
//! before its only sequence, which is by far the most frequent case, needs none.

use std::collections::HashMap;
use std::sync::Arc;

use crate::trace::ctf::schema::{
    Array, Enumeration, EventBlock, Length, Member, Reference, Scope, Struct, Type,
};
use crate::trace::value::Slots;

/// Names from the outermost structure to a field, the first that of its scope.
type Path = Vec<Arc<str>>;

/// The step of a path from an array to its elements.
const ELEMENT: &str = "[]";

/// Where a field is kept, and what it is.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) slot: u8,
    pub(super) signed: bool,
    pub(super) names: Option<Arc<Enumeration>>,
}

/// What a field is that can be referred to.
#[derive(Clone, Debug)]
struct Seen {
    signed: bool,
    names: Option<Arc<Enumeration>>,
}

/// The references of the parts of an event.
#[derive(Clone, Debug, Default)]
pub(super) struct References {
    /// Slots of fields.
    slots: HashMap<Path, u8>,
    /// What referring fields refer to.
    targets: HashMap<Path, Target>,
    /// Slots in use by the event itself.
    own: u8,
}

impl References {
    /// No field needs a slot or has a reference that does.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.targets.is_empty()
    }

    /// Slots that the event needs beside those of its stream.
    pub(super) const fn slots(&self) -> u8 {
        self.own
    }

    pub(super) fn slot(&self, path: &Path) -> Option<u8> {
        self.slots.get(path).copied()
    }

    pub(super) fn target(&self, path: &Path) -> Option<&Target> {
        self.targets.get(path)
    }
}

/// The parts of a packet and an event that all events of a stream share.
#[derive(Clone, Debug, Default)]
pub(super) struct Outer {
    seen: HashMap<Path, Seen>,
    references: References,
    used: u8,
}

impl Outer {
    /// Looks at the next part.
    pub(super) fn add(&mut self, scope: Scope, ty: Option<&Type>) -> Result<(), String> {
        let mut finder = Finder {
            seen: &mut self.seen,
            references: &mut self.references,
            outer: None,
            used: &mut self.used,
            structures: Vec::new(),
            scope,
        };
        finder.part(ty)
    }

    /// The references of the parts so far.
    pub(super) const fn references(&self) -> &References {
        &self.references
    }

    /// Slots in use.
    pub(super) const fn slots(&self) -> u8 {
        self.used
    }

    /// The references of an event.
    pub(super) fn event(&mut self, event: &EventBlock) -> Result<References, String> {
        let parts = [
            (Scope::EventContext, &event.context),
            (Scope::Payload, &event.fields),
        ];
        let needs = |(scope, ty): (Scope, &Option<Type>)| {
            let ty = ty.as_ref();
            ty.is_some_and(|ty| needs_slots(ty, &mut root(scope)))
        };
        if !parts.into_iter().any(needs) {
            return Ok(References::default());
        }
        let mut seen = self.seen.clone();
        let mut references = References::default();
        for (scope, ty) in parts {
            let mut finder = Finder {
                seen: &mut seen,
                references: &mut references,
                outer: Some(&mut self.references),
                used: &mut self.used,
                structures: Vec::new(),
                scope,
            };
            finder.part(ty.as_ref())?;
        }
        Ok(references)
    }
}

/// Whether the type at `path` refers to a field that is not directly before.
fn needs_slots(ty: &Type, path: &mut Path) -> bool {
    match ty {
        Type::Struct(of) => {
            let mut previous = None;
            of.members.iter().any(|member| {
                let inner = match (&member.ty, previous.replace(member)) {
                    (Type::Array(array), Some(before)) if is_length(before, array, path) => {
                        &array.element
                    }
                    (ty, _) => ty,
                };
                path.push(Arc::clone(&member.name));
                let needs = needs_slots(inner, path);
                path.pop();
                needs
            })
        }
        Type::Array(array) => {
            matches!(array.length, Length::Field(_)) || needs_slots(&array.element, path)
        }
        Type::Variant(_) => true,
        _ => false,
    }
}

/// Whether `before` is the length of the `array` after it in the structure at `path`,
/// whatever else refers to it.
pub(super) fn is_length(before: &Member, array: &Array, path: &Path) -> bool {
    if !matches!(before.ty, Type::Integer(_)) {
        return false;
    }
    match &array.length {
        Length::Field(Reference::Tsdl(name)) => *name == before.name,
        Length::Field(Reference::Location { origin, path: to }) => {
            let Some((Some(name), around)) = to.split_last() else {
                return false;
            };
            let around = around.iter().map(Option::as_deref);
            let is_here = match origin {
                None => around.len() == 0,
                Some(scope) => {
                    tag(*scope) == &*path[0]
                        && around.eq(path[1..].iter().map(|name| Some(&**name)))
                }
            };
            is_here && **name == *before.name
        }
        Length::Fixed(_) => false,
    }
}

struct Finder<'a> {
    seen: &'a mut HashMap<Path, Seen>,
    references: &'a mut References,
    /// Those of the stream, while an event is looked at.
    outer: Option<&'a mut References>,
    /// Slots in use by the stream.
    used: &'a mut u8,
    /// Lengths of the paths of the structures around what is looked at.
    structures: Vec<usize>,
    scope: Scope,
}

const fn tag(scope: Scope) -> &'static str {
    match scope {
        Scope::PacketHeader => "trace.packet.header",
        Scope::PacketContext => "stream.packet.context",
        Scope::EventHeader => "stream.event.header",
        Scope::StreamContext => "stream.event.context",
        Scope::EventContext => "event.context",
        Scope::Payload => "event.fields",
    }
}

const SCOPES: [Scope; 6] = [
    Scope::PacketHeader,
    Scope::PacketContext,
    Scope::EventHeader,
    Scope::StreamContext,
    Scope::EventContext,
    Scope::Payload,
];

/// The path of a part.
pub(super) fn root(scope: Scope) -> Path {
    vec![tag(scope).into()]
}

/// The path to the elements of the array at `path`.
pub(super) fn element() -> Arc<str> {
    ELEMENT.into()
}

impl Finder<'_> {
    fn part(&mut self, ty: Option<&Type>) -> Result<(), String> {
        match ty {
            Some(Type::Struct(of)) => self.structure(of, &mut root(self.scope)),
            _ => Ok(()),
        }
    }

    fn structure(&mut self, of: &Struct, path: &mut Path) -> Result<(), String> {
        let mut previous: Option<&Member> = None;
        self.structures.push(path.len());
        for member in &of.members {
            let length = match (&member.ty, previous) {
                (Type::Array(array), Some(before)) => is_length(before, array, path),
                _ => false,
            };
            path.push(Arc::clone(&member.name));
            match &member.ty {
                Type::Array(array) if length => {
                    path.push(element());
                    self.ty(&array.element, path)?;
                    path.pop();
                }
                ty => self.ty(ty, path)?,
            }
            self.see(&member.ty, path);
            path.pop();
            previous = Some(member);
        }
        self.structures.pop();
        Ok(())
    }

    fn see(&mut self, ty: &Type, path: &Path) {
        let (base, names) = match ty {
            Type::Integer(integer) | Type::Labeled(integer, _) => (integer, None),
            Type::Enumeration(names) => (&names.base, Some(Arc::clone(names))),
            _ => return,
        };
        let signed = base.ty.signed;
        self.seen.insert(path.clone(), Seen { signed, names });
    }

    fn ty(&mut self, ty: &Type, path: &mut Path) -> Result<(), String> {
        match ty {
            Type::Struct(of) => self.structure(of, path),
            Type::Array(array) => {
                if let Length::Field(reference) = &array.length {
                    self.refer(reference, path)?;
                }
                path.push(element());
                self.ty(&array.element, path)?;
                path.pop();
                Ok(())
            }
            Type::Variant(variant) => {
                let Some(selector) = &variant.selector else {
                    return Err(format!("{}: a variant without selector", shown(path)));
                };
                self.refer(selector, path)?;
                for option in &variant.options {
                    path.push(Arc::clone(&option.name));
                    self.ty(&option.ty, path)?;
                    path.pop();
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Notes what the field at `path` refers to.
    fn refer(&mut self, reference: &Reference, path: &Path) -> Result<(), String> {
        let found = match reference {
            Reference::Tsdl(name) => self.find_tsdl(name, path),
            Reference::Location { origin, path: to } => self.find_location(*origin, to, path),
        };
        let (target, seen) = found
            .ok_or_else(|| format!("{} refers to a field that is not before it", shown(path)))?;
        let slot = self.slot(&target)?;
        let target = Target {
            slot,
            signed: seen.signed,
            names: seen.names,
        };
        self.references.targets.insert(path.clone(), target);
        Ok(())
    }

    /// Looks a name up as CTF 1.8 §7.3.2 has it: an absolute one, in the structures around
    /// the field from the inside out, then in the parts before.
    fn find_tsdl(&self, name: &str, path: &Path) -> Option<(Path, Seen)> {
        let names = |text: &str| text.split('.').map(Arc::from).collect::<Path>();
        let seen = |path: Path| self.seen.get(&path).cloned().map(|seen| (path, seen));
        for scope in SCOPES {
            let rest = name.strip_prefix(tag(scope));
            if let Some(rest) = rest.and_then(|rest| rest.strip_prefix('.')) {
                return seen([root(scope), names(rest)].concat());
            }
        }
        let names = names(name);
        let around = (1..path.len()).rev().map(|len| path[..len].to_vec());
        let before = SCOPES.into_iter().rev().filter(|scope| *scope < self.scope);
        let mut places = around.chain(before.map(root));
        places.find_map(|place| seen([place, names.clone()].concat()))
    }

    fn find_location(
        &self,
        origin: Option<Scope>,
        to: &[Option<Box<str>>],
        path: &Path,
    ) -> Option<(Path, Seen)> {
        let mut structures = self.structures.iter().rev();
        let mut at = match origin {
            Some(scope) => root(scope),
            None => path[..*structures.next()?].to_vec(),
        };
        for name in to {
            match name {
                Some(name) => at.push(name.as_ref().into()),
                None => at.truncate(*structures.next()?),
            }
        }
        self.seen.get(&at).cloned().map(|seen| (at, seen))
    }

    /// The slot of a field, a new one if it has none.
    fn slot(&mut self, target: &Path) -> Result<u8, String> {
        let of_event = [Scope::EventContext, Scope::Payload].map(tag);
        let inner = self.outer.is_some() && of_event.contains(&&*target[0]);
        let references: &mut References = match &mut self.outer {
            Some(outer) if !inner => outer,
            _ => self.references,
        };
        if let Some(slot) = references.slots.get(target) {
            return Ok(*slot);
        }
        // those of events count from the last
        let count = if inner {
            &mut references.own
        } else {
            &mut *self.used
        };
        if *count == Slots::COUNT {
            return Err("too many lengths and selectors".to_owned());
        }
        let slot = if inner {
            Slots::COUNT - 1 - *count
        } else {
            *count
        };
        *count += 1;
        references.slots.insert(target.clone(), slot);
        Ok(slot)
    }
}

/// A path, as people see it.
fn shown(path: &Path) -> String {
    format!("`{}`", path.join("."))
}
