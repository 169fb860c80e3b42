//! Numbers of the running kernel's BTF types, for programs that attach by type or call the
//! kernel's functions.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use crate::kernel::btf::{KernelBtf, KernelBtfError, NameKind};
use crate::record::attach::error::Refusal;

/// The types of the kernel, read when they are first needed.
pub(super) struct KernelTypes {
    /// The root of sysfs.
    sys: PathBuf,
    btf: OnceCell<KernelBtf>,
}

impl KernelTypes {
    pub(super) fn new(sys: &Path) -> Self {
        Self {
            sys: sys.to_owned(),
            btf: OnceCell::new(),
        }
    }

    /// All of them.
    pub(super) fn btf(&self) -> Result<&KernelBtf, KernelBtfError> {
        if let Some(btf) = self.btf.get() {
            return Ok(btf);
        }
        let btf = KernelBtf::read(&self.sys)?;
        Ok(self.btf.get_or_init(|| btf))
    }

    /// The type of the function of a raw tracepoint.
    pub(super) fn raw_tracepoint(&self, name: &str) -> Result<u32, Refusal> {
        let found = self.btf()?.raw_tracepoint(name);
        let found = found.ok_or_else(|| Refusal::Missing(format!("raw tracepoint `{name}`")))?;
        Ok(found.ty.id())
    }

    /// The type of a function of the kernel itself, not of a module.
    pub(super) fn function(&self, name: &str) -> Result<u32, Refusal> {
        let found = self.btf()?.vmlinux().find(NameKind::Function, name);
        let found = found.ok_or_else(|| Refusal::Missing(format!("function `{name}`")))?;
        Ok(found.id())
    }
}
