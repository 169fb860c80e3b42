//! What is wanted: of the probes of each `-e`, filters and stacks; of all events, contexts and
//! where they happen.

use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail, ensure};

use crate::kernel::KernelFiles;
use crate::kernel::btf::KernelBtf;
use crate::probe::fetch::{self, ContextField, FieldSource};
use crate::probe::filter::{Condition, Filter, FilterError, FilterProblem, probe_and_filter};
use crate::probe::rename::rename;
use crate::probe::{ResolvedProbe, Stacks};
use crate::record::attach::Origin;
use crate::record::session::options::{ProbeRequest, StackRequest};
use crate::trace::event::{Display, EventClass, Field, FieldType, IntegerType};
use crate::trace::lttng::Naming;

/// Fields with the addresses of a stack, innermost first, named as LTTng does.
const KERNEL_STACK: &str = "callstack_kernel";
const USER_STACK: &str = "callstack_user";

const ADDRESS: IntegerType = IntegerType::natural(8, false, Display::Hexadecimal).packed();

/// Gives `probes` what the `requests` that named them ask for, and the names of the trace. A
/// filter may name fields as the kernel does or as the trace does; it looks at the kernel's
/// values. One that has no meaning for the events of a class leaves the class out: none of
/// them is what it asks for.
///
/// # Errors
/// If a filter does not apply to any class of its request.
pub(super) fn apply(
    requests: &[ProbeRequest],
    files: &KernelFiles,
    names: Naming,
    mut probes: Vec<ResolvedProbe>,
) -> Result<Vec<ResolvedProbe>> {
    let filters: Vec<Option<Filter>> = requests
        .iter()
        .map(|request| request.filter.as_deref().map(Filter::parse).transpose())
        .collect::<Result<_, _>>()?;
    let by_kernel_names = probes
        .iter()
        .map(|probe| Wish::of(filters[probe.request].as_ref(), probe))
        .collect::<Result<Vec<_>>>()?;
    if names == Naming::Lttng {
        rename(files, &mut probes)?;
    }
    let mut refused: Vec<Option<FilterError>> = requests.iter().map(|_| None).collect();
    let mut served = vec![false; requests.len()];
    let mut kept = Vec::with_capacity(probes.len());
    for (mut probe, wish) in probes.into_iter().zip(by_kernel_names) {
        let request = probe.request;
        let wish = match wish {
            Wish::Nonsense(error) => Wish::of(filters[request].as_ref(), &probe)?.or(error),
            wish => wish,
        };
        match wish {
            Wish::All => {}
            Wish::If(condition, sources) => {
                probe.filter = Some(condition);
                probe.sources = sources;
            }
            Wish::Nonsense(error) => {
                log::debug!("`{}` is left out: {error}", probe.class.name);
                refused[request].get_or_insert(error);
                continue;
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

/// Which events of a class are wanted.
enum Wish {
    All,
    /// With where the fields are that the condition counts.
    If(Condition, Vec<FieldSource>),
    /// The filter has no meaning for them.
    Nonsense(FilterError),
}

impl Wish {
    fn of(filter: Option<&Filter>, probe: &ResolvedProbe) -> Result<Self> {
        let Some(filter) = filter else {
            return Ok(Self::All);
        };
        Ok(match filter.condition_of(&probe.class) {
            Ok(condition) => {
                check_sources(&condition, probe)?;
                Self::If(condition, probe.sources.clone())
            }
            Err(error) => Self::Nonsense(error),
        })
    }

    /// The same, where the kernel's names had this `error`: a field that is there by its
    /// kernel's name is not missing.
    fn or(self, error: FilterError) -> Self {
        match self {
            Self::Nonsense(of_trace)
                if is_missing_field(&of_trace) && !is_missing_field(&error) =>
            {
                Self::Nonsense(error)
            }
            wish => wish,
        }
    }
}

fn is_missing_field(error: &FilterError) -> bool {
    matches!(error.problem(), FilterProblem::NoSuchField { .. })
}

/// What is known only when the event is there cannot decide about it.
fn check_sources(condition: &Condition, probe: &ResolvedProbe) -> Result<()> {
    for index in condition.fields() {
        let field = &probe.class.fields[index].name;
        ensure!(
            probe.sources[index] != FieldSource::Nowhere,
            "a filter in the kernel cannot look at `{field}` of `{}`: it is not known before the \
             event is recorded",
            probe.class.name
        );
    }
    Ok(())
}

/// The contexts that were asked for, in their order in the events, which get them as fields.
pub(super) fn contexts(
    names: &[String],
    files: &KernelFiles,
    probes: &mut [ResolvedProbe],
) -> Result<Vec<ContextField>> {
    let btf = OnceLock::new();
    let mut contexts: Vec<ContextField> = Vec::new();
    for name in names {
        let context = ContextField::named(name.trim(), || match btf.get() {
            Some(btf) => Ok(btf),
            None => KernelBtf::read(&files.sys).map(|read| btf.get_or_init(|| read)),
        })?;
        if let Some(context) = context
            && !contexts.contains(&context)
        {
            contexts.push(context);
        }
    }
    fetch::context::sort(&mut contexts);
    for probe in probes {
        probe.class.context = contexts
            .iter()
            .map(|context| context.field.clone())
            .collect();
    }
    Ok(contexts)
}

/// Where events must happen: in threads whose name matches the pattern `comm`, of the user
/// `uid`, in `cgroup` or below it.
pub(super) fn origin(
    comm: Option<&str>,
    uid: Option<u32>,
    cgroup: Option<&Path>,
) -> Result<Origin> {
    let mut parts = Vec::new();
    if let Some(comm) = comm {
        let pattern = comm.replace('\\', "\\\\").replace('"', "\\\"");
        parts.push(format!("comm ~ \"{pattern}\""));
    }
    if let Some(uid) = uid {
        parts.push(format!("uid == {uid}"));
    }
    let condition = if parts.is_empty() {
        None
    } else {
        let nothing = EventClass {
            id: 0,
            name: String::new(),
            context: Vec::new(),
            fields: Vec::new(),
        };
        Some(Filter::parse(&parts.join(" && "))?.condition_of(&nothing)?)
    };
    Ok(Origin {
        condition,
        cgroup: cgroup.map(ToOwned::to_owned),
    })
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
        probe.sources.push(FieldSource::Nowhere);
    }
}

/// Splits `PROBE if FILTER`, which says the filter of one `-e` by itself.
pub(super) fn split(request: &mut ProbeRequest) -> Result<()> {
    let Some(text) = &request.text else {
        return Ok(());
    };
    if let (probe, Some(filter)) = probe_and_filter(text) {
        if request.filter.is_some() {
            bail!("`{text}` has a filter, and another one with --filter: join them with `&&`");
        }
        request.filter = Some(filter.to_owned());
        request.text = Some(probe.to_owned());
    }
    Ok(())
}

#[cfg(test)]
#[path = "wanted_tests.rs"]
mod tests;
