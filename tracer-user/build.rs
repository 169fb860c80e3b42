//! Copies the eBPF object to where `record::programs` includes it from.
//!
//! `cargo xtask build` names the object in `TRACER_EBPF_OBJECT`. If that variable is not set,
//! an empty stub is written, so that `cargo check` and the unit tests need no eBPF toolchain.
//! Without the feature `record` there is nothing to do.

use std::{env, fs, path::PathBuf};

const OBJECT_VARIABLE: &str = "TRACER_EBPF_OBJECT";

fn main() {
    // Otherwise cargo runs this script for every changed source file.
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={OBJECT_VARIABLE}");
    if env::var_os("CARGO_FEATURE_RECORD").is_none() {
        return;
    }

    let out_dir = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts");
    let target = PathBuf::from(out_dir).join("tracer-ebpf.o");
    let object = match env::var_os(OBJECT_VARIABLE) {
        Some(path) => {
            let path = PathBuf::from(path);
            println!("cargo::rerun-if-changed={}", path.display());
            fs::read(&path).unwrap_or_else(|error| {
                panic!(
                    "cannot read the eBPF object `{}` that {OBJECT_VARIABLE} names: {error}; \
                     `cargo xtask build` makes it",
                    path.display()
                )
            })
        }
        None => Vec::new(),
    };
    fs::write(&target, object)
        .unwrap_or_else(|error| panic!("cannot write `{}`: {error}", target.display()));
}
