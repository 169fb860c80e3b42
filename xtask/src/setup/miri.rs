//! Miri, the interpreter that finds undefined behaviour and data races. It exists for
//! nightly compilers only, and is built against the sources of the standard library.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::{process, workspace};

const TOOLCHAIN: &str = "nightly";
const COMPONENTS: [&str; 2] = ["miri", "rust-src"];
/// For components of a few megabytes, or a whole toolchain, on a slow line.
const LIMIT: Duration = Duration::from_mins(5);

/// Brings Miri, unless it is there: adds it to the nightly toolchain, or installs one.
///
/// # Errors
/// If neither way works; the error says why, and what to do.
pub fn ensure() -> Result<()> {
    if !is_installed() {
        install()?;
    }
    process::run_quietly(cargo().arg("setup"), "building Miri's standard library")
        .context("Miri is installed, and its standard library does not build")
}

fn install() -> Result<()> {
    if process::find_program("rustup").is_none() {
        bail!("no Miri: it comes with a nightly toolchain, which takes rustup to install");
    }
    let Err(component) = add_components() else {
        return Ok(());
    };
    // The nightly that is there may be of a day without Miri, or not be there at all.
    install_toolchain().map_err(|toolchain| {
        anyhow!(
            "cannot get Miri: {component:#}; nor with a toolchain: {toolchain:#}; \
             run `rustup toolchain install {TOOLCHAIN} --component {}`",
            COMPONENTS.join(",")
        )
    })
}

/// A `cargo miri` command that runs in the workspace's root, with a separate build folder.
#[must_use]
pub fn cargo() -> Command {
    // By rustup, because the toolchain in use is another one, whose variables would win.
    let mut command = Command::new("rustup");
    command
        .current_dir(workspace::root())
        .args(["run", TOOLCHAIN, "cargo", "miri"])
        .env("CARGO_TARGET_DIR", workspace::target_dir().join("miri"));
    for variable in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "RUSTFLAGS"] {
        command.env_remove(variable);
    }
    command
}

fn is_installed() -> bool {
    let mut list = Command::new("rustup");
    list.args(["component", "list", "--installed", "--toolchain", TOOLCHAIN]);
    process::output(&mut list).is_ok_and(|installed| {
        COMPONENTS
            .iter()
            .all(|name| installed.lines().any(|line| line.starts_with(name)))
    })
}

fn add_components() -> Result<()> {
    eprintln!(
        "xtask: setup: running `rustup component add {}`",
        COMPONENTS.join(" ")
    );
    process::run_within(
        Command::new("rustup")
            .args(["component", "add", "--toolchain", TOOLCHAIN])
            .args(COMPONENTS),
        LIMIT,
    )
}

fn install_toolchain() -> Result<()> {
    eprintln!("xtask: setup: running `rustup toolchain install {TOOLCHAIN}`");
    process::run_within(
        Command::new("rustup")
            .args(["toolchain", "install", TOOLCHAIN, "--profile", "minimal"])
            .args(["--component", &COMPONENTS.join(",")]),
        LIMIT,
    )
}
