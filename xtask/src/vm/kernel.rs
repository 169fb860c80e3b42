//! Kernels to boot: Debian's packages, of which only the image is kept.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::apt::{PrivateApt, unpack};
use crate::workspace;

/// A kernel series that the tests run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// Debian 12's own.
    V6_1,
    /// Debian 13's own; the first with kprobe-multi and arenas here.
    V6_12,
    /// The newest; the first with overwriting ring buffers.
    V7_2,
}

impl Kernel {
    /// All of them, oldest first.
    pub const ALL: [Self; 3] = [Self::V6_1, Self::V6_12, Self::V7_2];

    /// The series as people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
            Self::V7_2 => "7.2",
        }
    }

    /// The suite that has its packages, and what their names begin with up to the release.
    fn packages(self) -> (&'static str, &'static str) {
        match self {
            Self::V6_1 => ("bookworm", "linux-image-"),
            Self::V6_12 => ("bookworm-security", "linux-image-"),
            // Newer packages keep the image apart from the modules.
            Self::V7_2 => ("trixie-backports", "linux-binary-"),
        }
    }

    /// The release that a package's name holds, if it is of this series and the variant
    /// for virtual machines, in which the disk's driver needs no module.
    fn release_of(self, package: &str) -> Option<&str> {
        let release = package.strip_prefix(self.packages().1)?;
        let rest = release.strip_prefix(self.name())?.strip_prefix('.')?;
        (rest.starts_with(|first: char| first.is_ascii_digit())
            && release.ends_with("-cloud-amd64"))
        .then_some(release)
    }
}

/// What can be asked for on the command line: one kernel, or all.
#[derive(Clone, Copy, Debug)]
pub enum KernelChoice {
    /// A single kernel.
    One(Kernel),
    /// Each of them in turn.
    All,
}

impl KernelChoice {
    /// The kernels that are meant.
    #[must_use]
    pub fn kernels(&self) -> &[Kernel] {
        match self {
            Self::One(kernel) => std::slice::from_ref(kernel),
            Self::All => &Kernel::ALL,
        }
    }
}

impl ValueEnum for KernelChoice {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::One(Kernel::V6_1),
            Self::One(Kernel::V6_12),
            Self::One(Kernel::V7_2),
            Self::All,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::One(kernel) => kernel.name(),
            Self::All => "all",
        }))
    }
}

/// A kernel that is ready to boot.
#[derive(Clone, Debug)]
pub(super) struct Image {
    /// The compressed kernel.
    pub(super) vmlinuz: PathBuf,
    /// What it calls itself, as `uname -r` prints it.
    pub(super) release: String,
}

/// The kernel's image, downloaded when it is not there yet.
pub(super) fn ensure(kernel: Kernel) -> Result<Image> {
    let dir = workspace::vm_dir().join("kernels").join(kernel.name());
    if let Some(image) = find(&dir) {
        return Ok(image);
    }
    download(kernel, &dir)
        .with_context(|| format!("cannot get a kernel {} to boot", kernel.name()))?;
    find(&dir).with_context(|| format!("no kernel in `{}` after unpacking it", dir.display()))
}

/// Looks for `vmlinuz-RELEASE`.
fn find(dir: &Path) -> Option<Image> {
    fs::read_dir(dir).ok()?.find_map(|entry| {
        let entry = entry.ok()?;
        let name = entry.file_name().into_string().ok()?;
        Some(Image {
            release: name.strip_prefix("vmlinuz-")?.to_owned(),
            vmlinuz: entry.path(),
        })
    })
}

fn download(kernel: Kernel, dir: &Path) -> Result<()> {
    let (suite, prefix) = kernel.packages();
    let apt = PrivateApt::for_suite(suite)?;
    let names = apt.names(&format!("{prefix}{}.", kernel.name()))?;
    let release = names
        .iter()
        .filter_map(|name| kernel.release_of(name))
        .max_by_key(|release| numbers(release))
        .with_context(|| format!("{suite} has no package of it"))?;
    eprintln!("xtask: vm: fetching kernel {release} of Debian's {suite}");
    fs::create_dir_all(dir).with_context(|| format!("cannot create `{}`", dir.display()))?;
    let scratch = tempfile::tempdir_in(dir).context("cannot create a folder for the package")?;
    let package = apt.download(&format!("{prefix}{release}"), scratch.path())?;
    let places = [
        format!("boot/vmlinuz-{release}"),
        // Where the packages that are apart from the modules have it.
        format!("usr/lib/modules/{release}/vmlinuz"),
    ];
    unpack(&package, scratch.path(), |path| {
        places.iter().any(|place| path == Path::new(place))
    })?;
    let mut images = places.iter().map(|place| scratch.path().join(place));
    let image = images
        .find(|image| image.is_file())
        .with_context(|| format!("the package `{prefix}{release}` has neither of {places:?}"))?;
    let target = dir.join(format!("vmlinuz-{release}"));
    fs::rename(image, &target).with_context(|| format!("cannot write `{}`", target.display()))
}

/// The numbers in a release, which order releases of the same series.
fn numbers(release: &str) -> Vec<u64> {
    release
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_names_its_release() {
        let package = "linux-image-6.1.0-56-cloud-amd64";
        assert_eq!(
            Kernel::V6_1.release_of(package),
            Some("6.1.0-56-cloud-amd64")
        );
    }

    #[test]
    fn a_package_of_a_longer_series_is_another() {
        let package = "linux-image-6.12.117+deb12-cloud-amd64";
        assert_eq!(Kernel::V6_1.release_of(package), None);
    }

    #[test]
    fn a_package_without_signature_is_not_taken() {
        let package = "linux-image-6.12.117+deb12-cloud-amd64-unsigned";
        assert_eq!(Kernel::V6_12.release_of(package), None);
    }

    #[test]
    fn releases_are_ordered_by_number_and_not_by_letter() {
        assert!(numbers("6.12.117+deb12-cloud-amd64") > numbers("6.12.99+deb12-cloud-amd64"));
    }
}
