//! What is wanted of the probes of each `-e`: filters and stacks.

use anyhow::{Context as _, Result};

use super::options::{ProbeRequest, StackRequest};
use crate::{
    event::{Display, Field, FieldType, IntegerType},
    filter::{Filter, FilterError, probe_and_filter},
    probe::{ResolvedProbe, Stacks},
};

/// Fields with the addresses of a stack, innermost first, named as LTTng does.
const KERNEL_STACK: &str = "callstack_kernel";
const USER_STACK: &str = "callstack_user";

const ADDRESS: IntegerType = IntegerType::natural(8, false, Display::Hexadecimal).packed();

/// Gives `probes` what the `requests` that named them ask for. A filter that has no meaning
/// for the events of a class leaves the class out: none of them is what it asks for.
///
/// # Errors
/// Where a filter has no meaning for any class of its request.
pub(super) fn apply(
    requests: &[ProbeRequest],
    probes: Vec<ResolvedProbe>,
) -> Result<Vec<ResolvedProbe>> {
    let filters: Vec<Option<Filter>> = requests
        .iter()
        .map(|request| request.filter.as_deref().map(Filter::parse).transpose())
        .collect::<Result<_, _>>()?;
    let mut refused: Vec<Option<FilterError>> = requests.iter().map(|_| None).collect();
    let mut served = vec![false; requests.len()];
    let mut kept = Vec::with_capacity(probes.len());
    for mut probe in probes {
        let request = probe.request;
        if let Some(filter) = &filters[request] {
            match filter.condition_of(&probe.class) {
                Ok(condition) => probe.filter = Some(condition),
                Err(error) => {
                    log::debug!("`{}` is left out: {error}", probe.class.name);
                    refused[request].get_or_insert(error);
                    continue;
                }
            }
        }
        served[request] = true;
        add_stacks(&mut probe, requests[request].stack);
        probe.class.id = kept.len() as u32;
        kept.push(probe);
    }
    for ((error, served), request) in refused.into_iter().zip(served).zip(requests) {
        if let (Some(error), false) = (error, served) {
            let probes = request.text.as_deref().unwrap_or("the default probes");
            return Err(error).with_context(|| format!("cannot filter `{probes}`"));
        }
    }
    Ok(kept)
}

fn add_stacks(probe: &mut ResolvedProbe, asked: Option<StackRequest>) {
    probe.stacks = Stacks {
        kernel: matches!(asked, Some(StackRequest::Kernel | StackRequest::Both)),
        user: matches!(asked, Some(StackRequest::User | StackRequest::Both)),
    };
    let wanted = [
        (probe.stacks.kernel, KERNEL_STACK),
        (probe.stacks.user, USER_STACK),
    ];
    for (_, name) in wanted.into_iter().filter(|(wanted, _)| *wanted) {
        probe.class.fields.push(Field {
            name: name.to_owned(),
            ty: FieldType::Sequence { element: ADDRESS },
        });
        probe.sources.push(crate::fetch::Source::Nowhere);
    }
}

/// Splits `PROBE if FILTER`, which says the filter of one `-e` by itself.
pub(super) fn split(request: &mut ProbeRequest) -> Result<()> {
    let Some(text) = &request.text else {
        return Ok(());
    };
    if let (probe, Some(filter)) = probe_and_filter(text) {
        if request.filter.is_some() {
            anyhow::bail!("`{text}` has a filter, and another one with -f: join them with `&&`");
        }
        request.filter = Some(filter.to_owned());
        request.text = Some(probe.to_owned());
    }
    Ok(())
}
