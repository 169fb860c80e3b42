//! BTF of the running kernel and its modules.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::kernel::btf::lookup::NameKind;
use crate::kernel::btf::object::{Btf, BtfError};
use crate::kernel::btf::types::{Kind, Type};
use crate::kernel::btf::views::Prototype;

/// The name of the kernel's own BTF.
const VMLINUX: &str = "vmlinux";

/// Prefix of the types of tracepoints' functions.
const TRACEPOINT_PREFIX: &str = "btf_trace_";

/// Prefix of the functions that call the probes of a tracepoint.
const CALLER_PREFIX: &str = "__traceiter_";

/// Why the kernel's BTF cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KernelBtfError {
    /// The kernel has no BTF.
    #[error(
        "the kernel has no BTF (CONFIG_DEBUG_INFO_BTF): `{}` is missing",
        .0.display()
    )]
    Missing(PathBuf),
    /// It could not be read.
    #[error("cannot read `{}`: {cause}", path.display())]
    Io {
        /// Of the file.
        path: PathBuf,
        /// Cause.
        cause: io::Error,
    },
    /// It cannot be parsed.
    #[error("cannot parse `{}`: {cause}", path.display())]
    Btf {
        /// Of the file.
        path: PathBuf,
        /// Cause.
        cause: BtfError,
    },
}

/// BTF of a kernel and of its modules. Modules are read only when the kernel does not have
/// what is looked up.
#[derive(Debug)]
pub struct KernelBtf {
    folder: PathBuf,
    vmlinux: Arc<Btf>,
    modules: OnceLock<Vec<(String, Btf)>>,
}

/// A function or a tracepoint, and where it was found.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// `vmlinux` or the name of a module: the name of the BTF object that the kernel has
    /// loaded.
    pub object: &'a str,
    /// The type to attach to: a function, or the `typedef` of a tracepoint. Its number is
    /// what `attach_btf_id` takes.
    pub ty: Type<'a>,
    /// Its arguments; for a tracepoint without the first one, which is the tracer's own.
    pub prototype: Prototype<'a>,
}

impl Found<'_> {
    /// It belongs to a module.
    #[must_use]
    pub fn is_in_module(&self) -> bool {
        self.object != VMLINUX
    }
}

impl KernelBtf {
    /// Reads the kernel's BTF, below the root of sysfs.
    pub fn read(sys: &Path) -> Result<Self, KernelBtfError> {
        let folder = sys.join("kernel/btf");
        let vmlinux = Arc::new(read(folder.join(VMLINUX), None)?);
        Ok(Self {
            folder,
            vmlinux,
            modules: OnceLock::new(),
        })
    }

    /// The kernel's own, without modules.
    #[must_use]
    pub fn vmlinux(&self) -> &Btf {
        &self.vmlinux
    }

    /// The function with a name, in the kernel or else in a loaded module.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<Found<'_>> {
        self.objects().find_map(|(object, btf)| {
            let ty = btf.find(NameKind::Function, name)?;
            let Kind::Function(prototype) = ty.kind() else {
                return None;
            };
            let Kind::Prototype(prototype) = prototype.kind() else {
                return None;
            };
            Some(Found {
                object,
                ty,
                prototype,
            })
        })
    }

    /// The raw tracepoint with a name, and the arguments of its probes.
    #[must_use]
    pub fn raw_tracepoint(&self, name: &str) -> Option<Found<'_>> {
        let type_name = format!("{TRACEPOINT_PREFIX}{name}");
        self.objects().find_map(|(object, btf)| {
            let ty = btf.find(NameKind::Typedef, &type_name)?;
            let Kind::Pointer(function) = ty.stripped().kind() else {
                return None;
            };
            let Kind::Prototype(prototype) = function.stripped().kind() else {
                return None;
            };
            // The type has no names for the arguments; the function that calls probes does.
            let caller = self.function(&format!("{CALLER_PREFIX}{name}"));
            let prototype = caller
                .map(|caller| caller.prototype)
                .filter(|named| named.arguments().count() == prototype.arguments().count())
                .unwrap_or(prototype);
            Some(Found {
                object,
                ty,
                prototype: prototype.without_first(),
            })
        })
    }

    /// Names of functions, in no order, some maybe several times; for suggestions and
    /// patterns.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.types()
            .filter(|ty| matches!(ty.kind(), Kind::Function(_)))
            .map(Type::name)
    }

    /// Names of raw tracepoints, in no order; for suggestions and patterns.
    pub fn raw_tracepoints(&self) -> impl Iterator<Item = &str> {
        self.types()
            .filter(|ty| matches!(ty.kind(), Kind::Typedef(_)))
            .filter_map(|ty| ty.name().strip_prefix(TRACEPOINT_PREFIX))
    }

    fn types(&self) -> impl Iterator<Item = Type<'_>> {
        self.objects()
            .flat_map(|(_, btf)| btf.ids().map(|id| btf.get(id)))
    }

    /// The kernel's, then those of modules by name.
    fn objects(&self) -> impl Iterator<Item = (&str, &Btf)> {
        let modules = std::iter::once_with(|| self.modules())
            .flatten()
            .map(|(name, btf)| (name.as_str(), btf));
        std::iter::once((VMLINUX, &*self.vmlinux)).chain(modules)
    }

    /// Modules whose BTF cannot be read are skipped with a message.
    fn modules(&self) -> &[(String, Btf)] {
        self.modules.get_or_init(|| {
            let entries = std::fs::read_dir(&self.folder).into_iter().flatten();
            let mut modules: Vec<(String, Btf)> = entries
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .filter(|name| name != VMLINUX)
                .filter_map(|name| {
                    let base = Some(Arc::clone(&self.vmlinux));
                    match read(self.folder.join(&name), base) {
                        Ok(btf) => Some((name, btf)),
                        Err(error) => {
                            log::debug!("the types of a module are not known: {error}");
                            None
                        }
                    }
                })
                .collect();
            modules.sort_by(|a, b| a.0.cmp(&b.0));
            modules
        })
    }
}

fn read(path: PathBuf, base: Option<Arc<Btf>>) -> Result<Btf, KernelBtfError> {
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(KernelBtfError::Missing(path));
        }
        Err(cause) => return Err(KernelBtfError::Io { path, cause }),
    };
    Btf::parse(bytes, base).map_err(|cause| KernelBtfError::Btf { path, cause })
}

#[cfg(test)]
#[path = "kernel_tests.rs"]
mod tests;
