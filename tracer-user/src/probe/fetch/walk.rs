//! From the tree of a fetch list to the ways to its values.

use std::collections::HashSet;

use crate::names::place::{Span, Spanned};
use crate::names::{Suggestions, unique};
use crate::probe::fetch::error::{Fault, FetchProblem, listed};
use crate::probe::fetch::scope::{Scope, Value};
use crate::probe::fetch::syntax::{Expr, Item, TypeName};
use crate::probe::fetch::types::{CType, Shape};
use crate::probe::fetch::value::{FETCH_FAULT, Fetched, Memory};
use crate::probe::fetch::walked::{At, Walked, needs_part};
use crate::trace::event::Field;

type Result<T> = std::result::Result<T, Fault>;

/// The ways to all values of a list.
pub(super) fn resolve(items: &[Item], scope: &Scope<'_>) -> Result<Vec<Fetched>> {
    let mut names = HashSet::from([FETCH_FAULT.to_owned()]);
    for name in items.iter().filter_map(|item| item.name.as_ref()) {
        if name.value == FETCH_FAULT {
            return Err(Fault::new(name.span, FetchProblem::ReservedName));
        }
        if !names.insert(name.value.clone()) {
            let problem = FetchProblem::DuplicateName(name.value.clone());
            return Err(Fault::new(name.span, problem));
        }
    }
    items
        .iter()
        .map(|item| {
            let walked = Walk { scope }.expr(&item.expr)?;
            let name = match &item.name {
                Some(name) => name.value.clone(),
                None => unique(&item.expr.field_name(), &mut names),
            };
            let (ty, fetch) = walked.end(scope, item)?;
            let field = Field { name, ty };
            Ok(Fetched { field, fetch })
        })
        .collect()
}

/// A value as it is; none where it is nothing that can be recorded.
pub(super) fn whole(scope: &Scope<'_>, value: &Value<'_>) -> Option<Fetched> {
    let item = Item {
        name: None,
        expr: Expr::Name(value.name.clone().into()),
        format: None,
    };
    let (ty, fetch) = Walked::begin(value).end(scope, &item).ok()?;
    let field = Field {
        name: value.name.clone(),
        ty,
    };
    Some(Fetched { field, fetch })
}

struct Walk<'s, 'a> {
    scope: &'s Scope<'a>,
}

impl<'a> Walk<'_, 'a> {
    fn expr(&self, expr: &Expr) -> Result<Walked<'a>> {
        match expr {
            Expr::Name(name) => self.name(name),
            Expr::Member { of, name, .. } => self.member(of, name),
            Expr::Index { of, index } => self.element(of, *index),
            Expr::Deref { of, sign } => {
                let walked = self.expr(of)?;
                self.follow(walked, of, sign.span.to(of.span()))
            }
            Expr::AddressOf { of, sign } => {
                let span = sign.span.to(of.span());
                self.expr(of)?.address(of, span)
            }
            Expr::Cast { ty, of } => {
                let walked = self.expr(of)?;
                self.cast(walked, ty, of)
            }
        }
    }

    fn name(&self, name: &Spanned<String>) -> Result<Walked<'a>> {
        let values = &self.scope.values;
        if let Some(value) = values.iter().find(|value| value.name == name.value) {
            return Ok(Walked::begin(value));
        }
        let left_out = self.scope.left_out.iter();
        let problem = match left_out.clone().find(|(known, _)| *known == name.value) {
            Some((_, reason)) => FetchProblem::LeftOut {
                name: name.value.clone(),
                reason: reason.clone(),
            },
            None => FetchProblem::NoSuchName {
                name: name.value.clone(),
                suggestions: Suggestions::near(
                    &name.value,
                    values.iter().map(|value| value.name.as_str()),
                ),
                names: listed(values.iter().map(|value| value.name.as_str())),
            },
        };
        Err(Fault::new(name.span, problem))
    }

    /// What a pointer points to, or the first element of an array.
    fn follow(&self, mut walked: Walked<'a>, expr: &Expr, span: Span) -> Result<Walked<'a>> {
        match (walked.ty.shape(), walked.at) {
            (Shape::Pointer { to, memory }, _) => {
                let memory = if self.scope.user {
                    Memory::User
                } else {
                    memory
                };
                let mut walked = walked.read_address(self.scope, span)?;
                walked.ty = to;
                if let At::Memory { memory: to, .. } = &mut walked.at {
                    *to = memory;
                }
                Ok(walked)
            }
            (Shape::Array { element, .. }, At::Memory { .. }) => {
                walked.ty = element;
                Ok(walked)
            }
            _ => Err(Fault::new(
                expr.span(),
                FetchProblem::NotAPointer {
                    what: expr.to_string(),
                    ty: walked.ty.to_string(),
                },
            )),
        }
    }

    fn member(&self, of: &Expr, name: &Spanned<String>) -> Result<Walked<'a>> {
        let mut walked = self.expr(of)?;
        if matches!(
            walked.ty.shape(),
            Shape::Pointer { .. } | Shape::Array { .. }
        ) {
            walked = self.follow(walked, of, of.span())?;
        }
        let composite = match walked.ty.shape() {
            Shape::Composite(composite) => composite,
            Shape::Forward => {
                let ty = walked.ty.to_string();
                return Err(Fault::new(of.span(), FetchProblem::Forward(ty)));
            }
            _ => {
                let problem = FetchProblem::NoMembers {
                    what: of.to_string(),
                    ty: walked.ty.to_string(),
                    name: name.value.clone(),
                };
                return Err(Fault::new(of.span(), problem));
            }
        };
        let Some(member) = composite.member(&name.value) else {
            let known: Vec<&str> = composite.unfolded().map(|member| member.name).collect();
            let problem = FetchProblem::NoSuchMember {
                ty: walked.ty.to_string(),
                name: name.value.clone(),
                suggestions: Suggestions::near(&name.value, known.iter().copied()),
                names: listed(known.iter().copied()),
            };
            return Err(Fault::new(name.span, problem));
        };
        walked.ty = CType::of_btf(member.ty);
        walked.advance(member.bit_offset / 8, name.span)?;
        if let (At::Memory { bits, .. }, Some(width)) = (&mut walked.at, member.bits) {
            *bits = Some(((member.bit_offset % 8) as u8, width));
        }
        Ok(walked)
    }

    fn element(&self, of: &Expr, index: Spanned<u32>) -> Result<Walked<'a>> {
        let walked = self.expr(of)?;
        if let Shape::Array { length, .. } = walked.ty.shape()
            && length != 0
            && index.value >= length
        {
            let problem = FetchProblem::NoSuchElement {
                what: of.to_string(),
                index: index.value,
                length,
            };
            return Err(Fault::new(index.span, problem));
        }
        let mut walked = self.follow(walked, of, of.span())?;
        let Some(size) = walked.ty.size() else {
            let problem = FetchProblem::NotAPointer {
                what: of.to_string(),
                ty: format!("{} *", walked.ty),
            };
            return Err(Fault::new(of.span(), problem));
        };
        let distance = size.saturating_mul(u64::from(index.value));
        walked.advance(distance, index.span)?;
        Ok(walked)
    }

    fn cast(
        &self,
        mut walked: Walked<'a>,
        name: &Spanned<TypeName>,
        of: &Expr,
    ) -> Result<Walked<'a>> {
        let ty = CType::named(&name.value, self.scope.types)
            .map_err(|problem| Fault::new(name.span, problem))?;
        let Some(number) = ty.shape().as_number() else {
            let problem = FetchProblem::CastToStructure(name.value.to_string());
            return Err(Fault::new(name.span, problem));
        };
        if let (Shape::Array { .. }, At::Memory { .. }) = (walked.ty.shape(), walked.at) {
            walked = walked.address(of, of.span())?;
        }
        let Some(source) = walked.ty.shape().as_number() else {
            return Err(Fault::new(of.span(), needs_part(of, walked.ty)));
        };
        let is_bit_field = matches!(walked.at, At::Memory { bits: Some(_), .. });
        let becomes_pointer = matches!(ty.shape(), Shape::Pointer { .. });
        if number.size_bits > source.size_bits || (is_bit_field && becomes_pointer) {
            let problem = FetchProblem::Wider {
                what: of.to_string(),
                bits: source.size_bits,
                wanted: name.value.to_string(),
                wanted_bits: number.size_bits,
            };
            return Err(Fault::new(name.span, problem));
        }
        // What is known of the memory is not forgotten.
        walked.ty = match (walked.ty.shape(), name.value.pointers) {
            (
                Shape::Pointer {
                    memory: Memory::User,
                    ..
                },
                1..,
            ) => ty.in_memory_of_process(),
            _ => ty,
        };
        Ok(walked)
    }
}

#[cfg(test)]
#[path = "walk_tests/mod.rs"]
mod tests;
