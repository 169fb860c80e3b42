//! Recipes of the probes of a recording.

use std::cell::OnceCell;
use std::sync::Arc;

use crate::kernel::KernelFiles;
use crate::kernel::btf::KernelBtf;
use crate::kernel::tracefs::format::Format;
use crate::probe::fetch::FieldSource;
use crate::probe::filter::Condition;
use crate::probe::recipes::certified::{self, Key};
use crate::probe::recipes::layout::{self, RecordLayout};
use crate::probe::recipes::resolve::Resolver;
use crate::probe::recipes::table;
use crate::probe::{AttachPoint, ResolvedProbe, tracepoint};
use crate::trace::lttng::{self, LttngEvent, Naming};

/// Class names of the events of a recipe that is compared with perf's begin with this.
pub const COMPARED: &str = "recipe:";

/// Which way tracepoints are attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TracepointMethod {
    /// By raw tracepoints if there is a certified recipe, else by perf's.
    #[default]
    Certified,
    /// By perf's.
    Perf,
    /// Both, each as a class of its own, also by recipes that are not certified yet. Probes
    /// without a recipe are left out.
    Both,
}

/// The recipe of an event on this kernel.
#[derive(Clone, Debug)]
pub struct BoundRecipe {
    /// The name of the raw tracepoint.
    pub tracepoint: String,
    /// The payload.
    pub layout: RecordLayout,
    /// Where a program reads each field of the payload when it filters.
    pub sources: Vec<FieldSource>,
    /// Identifies it.
    pub key: Key,
    /// There is no other way to attach the probe.
    pub only: bool,
}

/// The recipes for a kernel.
pub struct Recipes<'a> {
    files: &'a KernelFiles,
    names: Naming,
    /// `None` if the kernel has no BTF.
    types: OnceCell<Option<KernelBtf>>,
}

impl<'a> Recipes<'a> {
    /// For events with these names.
    #[must_use]
    pub fn new(files: &'a KernelFiles, names: Naming) -> Self {
        Self {
            files,
            names,
            types: OnceCell::new(),
        }
    }

    /// Gives probes the recipes by which they are to be attached. With [`TracepointMethod::Both`], only those
    /// that have one are kept, each preceded by another one that is attached by it, and classes
    /// are numbered again.
    pub fn bind(&self, way: TracepointMethod, probes: Vec<ResolvedProbe>) -> Vec<ResolvedProbe> {
        if way == TracepointMethod::Perf {
            return probes;
        }
        let mut bound = Vec::with_capacity(probes.len());
        for mut probe in probes {
            let recipe = match self.of_probe(way, &probe) {
                Ok(recipe) => recipe,
                Err(problem) => {
                    log::debug!("`{}` has no recipe: {problem}", probe.class.name);
                    None
                }
            };
            match (recipe, way) {
                (Some(recipe), TracepointMethod::Both) => {
                    let mut compared = probe.clone();
                    compared.explicit = false;
                    compared.class.name = format!("{COMPARED}{}", probe.class.name);
                    compared.set_recipe(BoundRecipe {
                        only: true,
                        ..recipe
                    });
                    bound.extend([compared, probe]);
                    continue;
                }
                (None, TracepointMethod::Both) => continue,
                (Some(recipe), _) if recipe.key.is_certified() => probe.set_recipe(recipe),
                _ => {}
            }
            bound.push(probe);
        }
        if way == TracepointMethod::Both {
            for (id, probe) in (0..).zip(&mut bound) {
                probe.class.id = id;
            }
        }
        bound
    }

    /// The recipe of a tracepoint, if it covers all of its fields on this kernel.
    ///
    /// # Errors
    /// Why it does not.
    pub fn of_event(&self, system: &str, name: &str) -> Result<Option<BoundRecipe>, String> {
        let recipes = table::of_event(system, name);
        if recipes.is_empty() {
            return Ok(None);
        }
        let format = self.files.format(system, name);
        let format = format.map_err(|error| error.to_string())?;
        let event = match self.names {
            Naming::Lttng => lttng::of_tracepoint(system, name),
            Naming::Tracefs => None,
        };
        let mut problem = String::new();
        for recipe in recipes {
            match self.resolve(&format, event, recipe) {
                Ok(bound) => return Ok(Some(bound)),
                Err(reason) => problem = reason,
            }
        }
        Err(problem)
    }

    fn resolve(
        &self,
        format: &Format,
        event: Option<&LttngEvent>,
        recipe: &table::Recipe,
    ) -> Result<BoundRecipe, String> {
        let types = self.types().ok_or("the kernel has no BTF")?;
        let found = types
            .raw_tracepoint(&format.name)
            .ok_or("there is no raw tracepoint of this name")?;
        let layout = tracepoint::layout_as(format, event);
        let layout = layout.map_err(|error| error.to_string())?;
        if layout.written.len() != layout.fields.len() {
            return Err("its program also keeps something for others".to_owned());
        }
        let mut resolver = Resolver::new(&found);
        let of_field = |name: &str| recipe.of_field(name).collect::<Vec<_>>().into_iter();
        let record = layout::resolve(&layout.written, of_field, &mut resolver)?;
        // The key is that of the kernel's fields, whatever the names in the trace.
        let key = Key::new(format, &found, &resolver.into_followed(), &record.texts);
        Ok(BoundRecipe {
            tracepoint: format.name.clone(),
            layout: record.layout,
            sources: record.sources,
            key,
            only: false,
        })
    }

    /// The recipe of a probe, if its events can be recorded by it.
    fn of_probe(
        &self,
        way: TracepointMethod,
        probe: &ResolvedProbe,
    ) -> Result<Option<BoundRecipe>, String> {
        let AttachPoint::Tracepoint {
            system,
            name,
            fetched,
            ..
        } = &probe.attach_point
        else {
            return Ok(None);
        };
        if way == TracepointMethod::Certified && !certified::names(system, name) {
            // Resolving the other recipes would only cost time.
            return Ok(None);
        }
        if !fetched.is_empty() {
            return Err("values are fetched after its record".to_owned());
        }
        let Some(recipe) = self.of_event(system, name)? else {
            return Ok(None);
        };
        let fields = probe.filter.iter().flat_map(Condition::fields);
        let mut sources = fields.map(|index| recipe.sources.get(index));
        if sources.any(|source| matches!(source, None | Some(FieldSource::Nowhere))) {
            return Err(
                "its filter looks at a field that is known from the record only".to_owned(),
            );
        }
        Ok(Some(recipe))
    }

    fn types(&self) -> Option<&KernelBtf> {
        let types = self.types.get_or_init(|| {
            KernelBtf::read(&self.files.sys)
                .inspect_err(|error| log::debug!("tracepoints are attached by perf: {error}"))
                .ok()
        });
        types.as_ref()
    }
}

impl ResolvedProbe {
    fn set_recipe(&mut self, bound: BoundRecipe) {
        if let AttachPoint::Tracepoint { recipe, .. } = &mut self.attach_point {
            *recipe = Some(Arc::new(bound));
        }
    }
}
