//! What is fetched from a function or a raw tracepoint without a fetch list.

use crate::kernel::btf::Found;
use crate::probe::fetch::scope::Scope;
use crate::probe::fetch::value::Fetched;
use crate::probe::fetch::walk;

/// All arguments of a function or a raw tracepoint that are in registers, typed as BTF
/// has them: numbers with their sign, enumerations with their names, pointers to
/// characters as strings, other pointers as addresses.
#[must_use]
pub fn arguments(found: &Found<'_>) -> Vec<Fetched> {
    let mut scope = Scope::empty(None);
    scope.add_arguments(found);
    whole(&scope, found)
}

/// What a function returns, then its arguments, typed like [`arguments`]. An argument that
/// is called `ret` is `ret_2`.
#[must_use]
pub fn returned_and_arguments(found: &Found<'_>) -> Vec<Fetched> {
    let mut scope = Scope::exit(None, Some(found));
    scope.add_arguments(found);
    whole(&scope, found)
}

/// All values, unchanged.
fn whole(scope: &Scope<'_>, found: &Found<'_>) -> Vec<Fetched> {
    for (name, reason) in &scope.left_out {
        log::debug!("`{name}` of `{}` is left out: {reason}", found.ty.name());
    }
    scope
        .values
        .iter()
        .filter_map(|value| walk::whole(scope, value))
        .collect()
}

/// What a function returns, as the field `ret`, typed like [`arguments`]; `None` if it
/// returns nothing, or a value that is not in one register.
#[must_use]
pub fn returned(found: &Found<'_>) -> Option<Fetched> {
    whole(&Scope::exit(None, Some(found)), found).pop()
}
