//! The kernels to boot, one line each in [`KERNELS`]: Debian's packages, of which only the
//! image is kept.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use clap::builder::PossibleValue;

use self::Arch::Amd64;
use self::Feature::{
    CallsPerThread, CountedMisses, KprobeMulti, KprobeSession, PreemptibleSyscalls,
};
use crate::apt::{PrivateApt, unpack};
use crate::vm::Arch;
use crate::workspace;

/// The kernels that the tests run on, oldest first.
#[rustfmt::skip]
pub const KERNELS: [Kernel; 4] = [
    // series, suite,                       package,        architecture, tests,        features
    Kernel::new("6.1",  "bookworm",          "linux-image",  Amd64,       Tests::All,   &[]),
    Kernel::new("6.12", "bookworm-security", "linux-image",  Amd64,       Tests::All,   &[KprobeMulti, KprobeSession, CountedMisses]),
    Kernel::new("6.18", "trixie-backports",  "linux-image",  Amd64,       Tests::Short, &[KprobeMulti, KprobeSession, CountedMisses, CallsPerThread]),
    Kernel::new("7.3",  "trixie-backports",  "linux-binary", Amd64,       Tests::All,   &[KprobeMulti, KprobeSession, CountedMisses, CallsPerThread, PreemptibleSyscalls]),
];

/// A kernel series, where its packages are, and what to expect of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The series, as in `6.12`.
    pub name: &'static str,
    /// The suite of Debian that has its packages.
    suite: &'static str,
    /// The name of the package with the image, up to the release: newer kernels keep the image
    /// apart from the modules.
    package: &'static str,
    /// The architecture of machine and packages.
    pub(super) arch: Arch,
    /// The tests that run on it.
    pub tests: Tests,
    /// The features that it has.
    features: &'static [Feature],
}

/// How much of tier `vm` runs on a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tests {
    /// Everything.
    All,
    /// `doctor`, exact counts of each kind of probe, and every shape of program loaded.
    Short,
}

/// A feature of some kernels. Tests also assert that the others lack it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// One link attaches a program to many functions (fprobe).
    KprobeMulti,
    /// One program runs at the entry and the return of a function.
    KprobeSession,
    /// The kernel counts the events that it skips inside other probes.
    CountedMisses,
    /// Sessions keep the calls of a thread with the thread, so that none is skipped.
    CallsPerThread,
    /// Programs at system calls can be preempted; the kernel takes what happens meanwhile
    /// on that CPU for recursion, and skips it.
    PreemptibleSyscalls,
}

impl Kernel {
    const fn new(
        name: &'static str,
        suite: &'static str,
        package: &'static str,
        arch: Arch,
        tests: Tests,
        features: &'static [Feature],
    ) -> Self {
        Self {
            name,
            suite,
            package,
            arch,
            tests,
            features,
        }
    }

    /// The kernel of this series.
    ///
    /// # Panics
    /// If [`KERNELS`] has no such line.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let mut kernels = KERNELS.into_iter();
        kernels
            .find(|kernel| kernel.name == name)
            .unwrap_or_else(|| panic!("no kernel {name} in the table"))
    }

    /// Whether this kernel has a feature.
    #[must_use]
    pub fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }

    /// The end of a release: the variant for virtual machines, which has the disk's driver built
    /// in, and the architecture.
    fn variant(&self) -> String {
        format!("-cloud-{}", self.arch.debian())
    }

    /// The release in a package's name, if the package is of this series and variant.
    fn release_of<'a>(&self, package: &'a str) -> Option<&'a str> {
        let release = package.strip_prefix(self.package)?.strip_prefix('-')?;
        let rest = release.strip_prefix(self.name)?.strip_prefix('.')?;
        (rest.starts_with(|first: char| first.is_ascii_digit())
            && release.ends_with(&self.variant()))
        .then_some(release)
    }
}

/// The kernels named on the command line: one, or all.
#[derive(Clone, Copy, Debug)]
pub enum KernelChoice {
    /// The kernel at this place in [`KERNELS`].
    One(usize),
    /// Each of them in turn.
    All,
}

impl KernelChoice {
    /// The chosen kernels.
    #[must_use]
    pub fn kernels(&self) -> &'static [Kernel] {
        match self {
            Self::One(index) => std::slice::from_ref(&KERNELS[*index]),
            Self::All => &KERNELS,
        }
    }
}

impl ValueEnum for KernelChoice {
    fn value_variants<'a>() -> &'a [Self] {
        const VARIANTS: [KernelChoice; KERNELS.len() + 1] = {
            let mut all = [KernelChoice::All; KERNELS.len() + 1];
            let mut index = 0;
            while index < KERNELS.len() {
                all[index] = KernelChoice::One(index);
                index += 1;
            }
            all
        };
        &VARIANTS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::One(index) => KERNELS[*index].name,
            Self::All => "all",
        }))
    }
}

/// A kernel that is ready to boot.
#[derive(Clone, Debug)]
pub(super) struct Image {
    /// The compressed kernel.
    pub(super) vmlinuz: PathBuf,
    /// The release, as `uname -r` prints it.
    pub(super) release: String,
}

/// The kernel's image, downloaded if it is not there yet.
pub(super) fn ensure(kernel: Kernel) -> Result<Image> {
    let dir = workspace::vm_dir().join("kernels").join(kernel.name);
    if let Some(image) = find(&dir) {
        return Ok(image);
    }
    download(kernel, &dir).with_context(|| format!("cannot download kernel {}", kernel.name))?;
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
    let Kernel {
        name,
        suite,
        package,
        arch,
        ..
    } = kernel;
    let apt = PrivateApt::for_suite(suite, Some(arch.debian()))?;
    let names = apt.names(&format!("{package}-{name}."))?;
    let release = names
        .iter()
        .filter_map(|name| kernel.release_of(name))
        .max_by_key(|release| numbers(release))
        .with_context(|| {
            let variant = kernel.variant();
            format!("{suite} has no package `{package}-{name}.*{variant}`")
        })?;
    eprintln!("xtask: vm: downloading kernel {release} from Debian's {suite}");
    fs::create_dir_all(dir).with_context(|| format!("cannot create `{}`", dir.display()))?;
    let scratch = tempfile::tempdir_in(dir).context("cannot create a folder for the package")?;
    let archive = apt.download(&format!("{package}-{release}"), scratch.path())?;
    let places = [
        format!("boot/vmlinuz-{release}"),
        // In packages that are apart from the modules.
        format!("usr/lib/modules/{release}/vmlinuz"),
    ];
    unpack(&archive, scratch.path(), |path| {
        places.iter().any(|place| path == Path::new(place))
    })?;
    let mut images = places.iter().map(|place| scratch.path().join(place));
    let image = images
        .find(|image| image.is_file())
        .with_context(|| format!("the package `{package}-{release}` has none of {places:?}"))?;
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
            Kernel::named("6.1").release_of(package),
            Some("6.1.0-56-cloud-amd64")
        );
    }

    #[test]
    fn a_longer_series_is_a_different_one() {
        let package = "linux-image-6.12.117+deb12-cloud-amd64";
        assert_eq!(Kernel::named("6.1").release_of(package), None);
    }

    #[test]
    fn unsigned_packages_are_ignored() {
        let package = "linux-image-6.12.117+deb12-cloud-amd64-unsigned";
        assert_eq!(Kernel::named("6.12").release_of(package), None);
    }

    #[test]
    fn releases_are_ordered_by_number() {
        assert!(numbers("6.12.117+deb12-cloud-amd64") > numbers("6.12.99+deb12-cloud-amd64"));
    }

    #[test]
    fn each_kernel_can_be_chosen_by_its_name() {
        let chosen = KernelChoice::from_str("6.12", false).unwrap();
        assert_eq!(chosen.kernels(), [Kernel::named("6.12")]);
    }
}
