//! An apt directory of the project's own, for one suite of Debian.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::apt::sources;
use crate::{process, workspace};

/// A view of one suite's packages, up to date, which leaves the machine's own apt alone
/// and needs no privileges.
#[derive(Debug)]
pub struct PrivateApt {
    dir: PathBuf,
    suite: String,
    /// Debian's name of the architecture, if it is not this machine's.
    architecture: Option<&'static str>,
}

impl PrivateApt {
    /// Reads the package lists of `suite`, from the archive that this machine uses itself; for
    /// this machine's architecture if none is given.
    ///
    /// # Errors
    /// If this is not a Debian machine, or its archive cannot be reached.
    pub fn for_suite(suite: &str, architecture: Option<&'static str>) -> Result<Self> {
        if process::find_program("apt-get").is_none() {
            bail!("no `apt-get` on this machine to download Debian packages with");
        }
        let archive = sources::archive_for(Path::new("/etc"), suite)?;
        let apt = Self {
            dir: workspace::target_dir()
                .join("apt")
                .join(architecture.unwrap_or_default())
                .join(suite),
            suite: suite.to_owned(),
            architecture,
        };
        for folder in ["state/lists/partial", "cache/archives/partial"] {
            let folder = apt.dir.join(folder);
            fs::create_dir_all(&folder)
                .with_context(|| format!("cannot create `{}`", folder.display()))?;
        }
        let list = apt.sources_file();
        fs::write(&list, archive.with_suite(suite).to_string())
            .with_context(|| format!("cannot write `{}`", list.display()))?;
        let mut update = apt.command("apt-get");
        // Without this a suite that cannot be read is only a warning.
        update.args(["-o", "APT::Update::Error-Mode=any", "--quiet", "update"]);
        process::with_progress(&format!("reading the packages of {suite}"), || {
            process::output(&mut update)
        })
        .with_context(|| format!("cannot read the packages of Debian's {suite}"))?;
        Ok(apt)
    }

    /// Names of the packages that begin with `prefix`.
    ///
    /// # Errors
    /// If apt cannot read its lists.
    pub fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let names = process::output(self.command("apt-cache").args(["pkgnames", prefix]))?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// Versions of a package in this suite, newest first.
    ///
    /// # Errors
    /// If apt cannot read its lists.
    pub fn versions(&self, package: &str) -> Result<Vec<String>> {
        let rows = process::output(self.command("apt-cache").args(["madison", package]))?;
        let mut versions: Vec<_> = rows
            .lines()
            .filter_map(|row| row.split('|').nth(1))
            .map(|version| version.trim().to_owned())
            .collect();
        versions.dedup();
        Ok(versions)
    }

    /// Downloads a package (`name` or `name=version`) into a folder and returns its file.
    ///
    /// # Errors
    /// If the suite does not have it, or it cannot be fetched.
    pub fn download(&self, package: &str, into: &Path) -> Result<PathBuf> {
        let fetched = process::with_progress(&format!("downloading {package}"), || {
            process::output(
                self.command("apt-get")
                    .args(["--quiet", "download", package])
                    .current_dir(into),
            )
        });
        fetched.with_context(|| format!("cannot download `{package}` of {}", self.suite))?;
        let entries =
            fs::read_dir(into).with_context(|| format!("cannot read `{}`", into.display()))?;
        entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .with_context(|| format!("apt-get left no package in `{}`", into.display()))
    }

    fn sources_file(&self) -> PathBuf {
        self.dir.join("suite.sources")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let dir = self.dir.display();
        for option in [
            format!("Dir::Etc::SourceList={}", self.sources_file().display()),
            "Dir::Etc::SourceParts=/dev/null".to_owned(),
            "Dir::Etc::Preferences=/dev/null".to_owned(),
            "Dir::Etc::PreferencesParts=/dev/null".to_owned(),
            format!("Dir::State={dir}/state"),
            "Dir::State::status=/var/lib/dpkg/status".to_owned(),
            format!("Dir::Cache={dir}/cache"),
            // Translations are several times the size of the lists.
            "Acquire::Languages=none".to_owned(),
            "Acquire::Retries=2".to_owned(),
            // apt's own download user cannot enter folders of other users.
            "APT::Sandbox::User=".to_owned(),
        ] {
            command.arg("-o").arg(option);
        }
        if let Some(architecture) = self.architecture {
            for option in ["APT::Architecture", "APT::Architectures"] {
                command.arg("-o").arg(format!("{option}={architecture}"));
            }
        }
        command.env("LC_ALL", "C.UTF-8");
        command
    }
}
