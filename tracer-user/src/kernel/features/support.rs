//! Answers to whether the kernel has a feature.

/// A feature that the kernel has, or why it is missing.
pub type Support<T = ()> = Result<T, Missing>;

/// Why a feature is missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// The kernel was built without a configuration option.
    #[error("the kernel was built without {0}")]
    NotBuilt(&'static str),
    /// The kernel is older than this version.
    #[error("the kernel is older than {0}.{1}")]
    Older(u32, u32),
    /// The kernel may be too old, or built without an option.
    #[error("the kernel does not support it")]
    NotSupported {
        /// The first version with it.
        since: (u32, u32),
        /// The options that it needs.
        options: &'static str,
    },
    /// Another feature is missing.
    #[error("needs {0}")]
    Needs(&'static str),
    /// The kernel refuses it, whatever the privileges.
    #[error("the kernel refuses it: {0}")]
    Refused(String),
    /// This process is not permitted to find out.
    #[error("not permitted: {0}")]
    NotPermitted(String),
    /// It cannot be found out.
    #[error("unknown: {0}")]
    Unknown(String),
}

impl Missing {
    /// How to get the feature, if that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotBuilt(options) => Some(format!("use a kernel with {options}")),
            Self::Older(major, minor) => Some(format!("use Linux {major}.{minor} or later")),
            Self::NotSupported {
                since: (major, minor),
                options,
            } => Some(format!("use Linux {major}.{minor} or later with {options}")),
            Self::NotPermitted(_) => {
                Some("run as root; in a container, allow the bpf system call".into())
            }
            Self::Refused(_) | Self::Needs(_) | Self::Unknown(_) => None,
        }
    }
}
