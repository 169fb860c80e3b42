//! Why a program could not be attached.

use std::io;

use crate::kernel::features::Missing;
use crate::sys::bpf::LoadError;

/// Why a program could not be attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The kernel refused it. Another program may do instead, or the probe is left out.
    #[error("cannot attach to {subject}: {refusal}")]
    Refused {
        /// What the program serves; a probe is in backticks, as the user named it.
        subject: String,
        /// What the kernel refused.
        refusal: Refusal,
    },
    /// The recorder could not make the program.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

/// What the kernel refused, and why.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The program.
    #[error("the kernel refused its program: {0}")]
    Program(LoadError),
    /// Its attachment.
    #[error("{cause}{hint}")]
    Attachment {
        /// What the kernel answered.
        cause: io::Error,
        /// What it may mean and how to fix it, starting with a separator, or nothing.
        hint: &'static str,
    },
    /// The kernel lacks what the program needs.
    #[error("this kernel has no {0}")]
    Missing(String),
    /// The kernel's types, which the program needs, cannot be read.
    #[error("{0}")]
    Types(String),
}

impl From<&Missing> for Refusal {
    fn from(missing: &Missing) -> Self {
        Self::Types(missing.to_string())
    }
}
