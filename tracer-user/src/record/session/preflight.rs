//! Checks before a recording starts.

use anyhow::{Context, Result, bail};

use crate::kernel::features::Features;
use crate::record::programs;

/// The eBPF object, if this machine and user can use it.
pub(super) fn check() -> Result<&'static [u8]> {
    usable(programs::object(), Features::default().permits_recording())
}

fn usable(object: Option<&'static [u8]>, permitted: bool) -> Result<&'static [u8]> {
    let object = object.context(
        "this binary carries no eBPF programs: it was built without the eBPF toolchain; \
         build it with `cargo xtask build`",
    )?;
    if !permitted {
        bail!("recording needs root: run `sudo tracer record …`");
    }
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_without_programs_names_the_build_that_has_them() {
        let error = usable(None, true).unwrap_err().to_string();
        assert!(error.contains("carries no eBPF programs"), "{error}");
        assert!(error.contains("`cargo xtask build`"), "{error}");
    }

    #[test]
    fn without_privileges_the_error_says_how_to_get_them() {
        let error = usable(Some(b"object"), false).unwrap_err().to_string();
        assert!(error.contains("run `sudo tracer record"), "{error}");
    }
}
