//! Numbers of the running kernel's BTF types, for programs that attach by type.

use crate::kernel::btf::KernelBtf;
use crate::kernel::features::{Features, Missing};
use crate::record::attach::error::Refusal;

/// Finds types of the running kernel.
#[derive(Clone, Copy)]
pub(super) struct KernelTypes<'f>(pub(super) &'f Features);

impl<'f> KernelTypes<'f> {
    /// All of them, read when they are first needed.
    pub(super) fn btf(self) -> Result<&'f KernelBtf, &'f Missing> {
        self.0.types()
    }

    /// The type of the function of a raw tracepoint.
    pub(super) fn raw_tracepoint(self, name: &str) -> Result<u32, Refusal> {
        let found = self.btf()?.raw_tracepoint(name);
        let found = found.ok_or_else(|| Refusal::Missing(format!("raw tracepoint `{name}`")))?;
        Ok(found.ty.id())
    }
}
