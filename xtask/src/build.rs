//! Builds the eBPF object, and the binaries that embed it.
//!
//! Each kind of build has its own folder below `target`, so that none invalidates another:
//! `ebpf` for the object, `tracer` for what runs here and in virtual machines.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::setup::{self, Toolchain};
use crate::{process, workspace};

const EBPF_TARGET: &str = "bpfel-unknown-none";
/// Names the object to embed, for the build script of `tracer-user`.
const OBJECT_VARIABLE: &str = "TRACER_EBPF_OBJECT";
/// Features of every build of the recorder. This one adds tests and nothing else; with the same
/// features everywhere, tests, examples and guests share one build.
const FEATURES: [&str; 2] = ["--features", "tracer-user/host-tests"];

/// How much of a build's output is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// All output of cargo.
    Everything,
    /// A line of progress if it takes long, and cargo's output if it fails.
    Progress,
}

/// The profile that the recorder is built with; the eBPF programs are always optimised,
/// because the verifier rejects unoptimised ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// Without optimisation, with debug assertions.
    Dev,
    /// What users run.
    #[default]
    Release,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}

/// Binaries that run in virtual machines.
#[derive(Clone, Debug)]
pub struct GuestBinaries {
    /// The recorder.
    pub tracer: PathBuf,
    /// The guest's first process.
    pub init: PathBuf,
    /// The workload.
    pub work: PathBuf,
}

/// Builds the eBPF programs and the recorder, and returns the recorder's path.
///
/// # Errors
/// If the toolchain cannot be installed or the code does not compile.
pub fn everything(profile: Profile, show: Show) -> Result<PathBuf> {
    let toolchain = setup::ensure()?;
    let object = ebpf(&toolchain, show)?;
    tracer(&object, profile, show)
}

/// Builds the eBPF programs and returns the path of the object file.
///
/// # Errors
/// If the code does not compile.
pub fn ebpf(toolchain: &Toolchain, show: Show) -> Result<PathBuf> {
    let mut cargo = ebpf_cargo(toolchain, "build");
    cargo.args(["--release", "--bin", "tracer-ebpf"]);
    execute(&mut cargo, show, "building the eBPF programs")?;
    Ok(workspace::ebpf_target_dir()
        .join(EBPF_TARGET)
        .join("release/tracer-ebpf"))
}

/// A cargo command (`build`, `clippy`, …) for the eBPF programs.
#[must_use]
pub fn ebpf_cargo(toolchain: &Toolchain, subcommand: &str) -> Command {
    // aya chooses the layout of a probed function's arguments by this.
    let arch = format!("bpf_target_arch=\"{}\"", env::consts::ARCH);
    let linker = format!("linker={}", toolchain.linker.display());
    let flags = [
        "-C",
        &linker,
        // Maps are described by BTF, which the linker makes from debug information.
        "-C",
        "link-arg=--btf",
        "-C",
        "debuginfo=2",
        // The instruction set with atomics and 32-bit jumps; every supported kernel has it.
        "-C",
        "target-cpu=v3",
        "--cfg",
        &arch,
    ];
    let mut cargo = workspace::cargo();
    cargo
        .args([subcommand, "--package", "tracer-ebpf"])
        .args(["--target", EBPF_TARGET, "-Z", "build-std=core"])
        .arg("--target-dir")
        .arg(workspace::ebpf_target_dir())
        // Lets a stable compiler build the core library for a target that ships without.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    toolchain.core_sources.apply(&mut cargo);
    cargo
}

/// Builds the recorder with `object` inside and returns its path.
///
/// # Errors
/// If the code does not compile.
pub fn tracer(object: &PathBuf, profile: Profile, show: Show) -> Result<PathBuf> {
    let mut cargo = tracer_cargo(object, "build");
    cargo
        .args(["--package", "tracer-user", "--bin", "tracer"])
        .args(["--profile", profile.name()]);
    execute(&mut cargo, show, "building the recorder")?;
    Ok(workspace::tracer_target_dir()
        .join(profile.folder())
        .join("tracer"))
}

/// Builds the program that measures sinks, and returns its path.
///
/// # Errors
/// If the toolchain cannot be installed or the code does not compile.
pub fn sink_load(show: Show) -> Result<PathBuf> {
    // With the object, like every build in this folder: otherwise each would invalidate the
    // other.
    let object = ebpf(&setup::ensure()?, show)?;
    let mut cargo = tracer_cargo(&object, "build");
    cargo.args(["--release", "--package", "tracer-user"]);
    cargo.args(["--example", "sink_load"]);
    execute(&mut cargo, show, "building the program that is measured")?;
    Ok(workspace::tracer_target_dir().join("release/examples/sink_load"))
}

/// Builds the workload for tests and measurements on this machine and returns its path.
///
/// # Errors
/// If the code does not compile.
pub fn work(show: Show) -> Result<PathBuf> {
    let mut cargo = workspace::cargo();
    cargo
        .args(["build", "--release", "--package", "xtask"])
        // These need next to nothing of this crate, which takes long to optimise.
        .arg("--no-default-features")
        .args(["--bin", "work", "--bin", "guest-init", "--target-dir"])
        .arg(workspace::tracer_target_dir());
    execute(&mut cargo, show, "building the workload")?;
    Ok(workspace::tracer_target_dir().join("release/work"))
}

/// A cargo command (`build`, `test`, …) for packages that embed `object`.
#[must_use]
pub fn tracer_cargo(object: &PathBuf, subcommand: &str) -> Command {
    let mut cargo = workspace::cargo();
    cargo
        .args([subcommand, "--target-dir"])
        .arg(workspace::tracer_target_dir())
        .args(FEATURES)
        .env(OBJECT_VARIABLE, object);
    cargo
}

/// Builds what goes into the virtual machines: what users run, and the workload.
///
/// # Errors
/// If the toolchain cannot be installed or the code does not compile.
pub fn guest(show: Show) -> Result<GuestBinaries> {
    let work = work(show)?;
    Ok(GuestBinaries {
        tracer: everything(Profile::Release, show)?,
        init: work.with_file_name("guest-init"),
        work,
    })
}

fn execute(cargo: &mut Command, show: Show, what: &str) -> Result<()> {
    match show {
        Show::Everything => process::run(cargo),
        Show::Progress => process::run_quietly(cargo.arg("--quiet"), what),
    }
}
