//! The commands of `cargo xtask`, and the modules that they mean.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::build::{self, Profile, Show};
use crate::{bench, btf, fuzz, privilege, run, setup, test, vm};

/// Build, run, test and measure the tracer.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Bring the eBPF toolchain (the other commands do it by themselves)
    Setup,
    /// Build the eBPF programs and the recorder that embeds them
    Build {
        /// How the recorder is compiled
        #[arg(long, value_enum, default_value_t)]
        profile: Profile,
    },
    /// Build everything, then run `tracer ARGS` with the privileges it needs
    Run {
        /// Arguments of `tracer`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Run the tests, all tiers or chosen ones, and sum them up
    Test {
        /// Run only this tier (may be repeated)
        #[arg(long, value_name = "NAME", value_parser = test::tier_names())]
        tier: Vec<String>,
        /// List the tiers and what each needs
        #[arg(long)]
        list: bool,
    },
    /// Boot another kernel and run a command in it
    Vm(VmArgs),
    /// Show what the verifier walks through in each program, on each kernel
    Verifier {
        /// Put the numbers on record, for tier `vm` to compare with
        #[arg(long)]
        update: bool,
    },
    /// Record types of the kernels of the virtual machines, for tests
    RecordBtf,
    /// Try millions of damaged inputs on the parsers; those that fail are kept in the corpus
    Fuzz(fuzz::Args),
    /// Measure what recording costs, beside perf, trace-cmd and bpftrace
    Bench(bench::Args),
    /// The quick check while developing: format, lints, unit tests
    Check,
}

#[derive(clap::Args)]
struct VmArgs {
    /// Kernel to boot
    #[arg(long, value_enum, default_value = "6.12")]
    kernel: vm::KernelChoice,
    /// Leave tracefs unmounted
    #[arg(long)]
    no_tracefs: bool,
    /// Give the guest a disk with a file system, at /out/disk
    #[arg(long)]
    disk: bool,
    /// Put a file of this machine into the guest's /data
    #[arg(long, value_name = "PATH")]
    file: Vec<PathBuf>,
    /// Put a program of this machine into the guest, with its libraries
    #[arg(long, value_name = "NAME")]
    program: Vec<String>,
    /// Keep what the command leaves in /out, in this folder with one per kernel
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// End the machine after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
    /// Command to run: `tracer …` or `work …`
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Runs the command that the arguments of this process name.
///
/// # Errors
/// Whatever ended the command; the caller prints it.
pub fn run() -> Result<ExitCode> {
    let cli = Cli::parse();
    privilege::refuse_sudo()?;
    match cli.command {
        Command::Setup => show_setup(),
        Command::Build { profile } => {
            let tracer = build::everything(profile, Show::Everything)?;
            println!("{}", tracer.display());
            Ok(ExitCode::SUCCESS)
        }
        Command::Run { args } => match run::run(&args)? {},
        Command::Test { list: true, .. } => {
            test::list();
            Ok(ExitCode::SUCCESS)
        }
        Command::Test { tier, .. } => Ok(test::run(&tier)),
        Command::Vm(args) => run_vm(args),
        Command::Verifier { update } => {
            vm::jobs::verifier::measure(update)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::RecordBtf => btf::record().map(|()| ExitCode::SUCCESS),
        Command::Fuzz(args) => fuzz::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Bench(args) => bench::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Check => Ok(test::run(&test::QUICK.map(str::to_owned))),
    }
}

fn show_setup() -> Result<ExitCode> {
    let start = Instant::now();
    let toolchain = setup::ensure()?;
    println!("core sources  {}", toolchain.core_sources.dir().display());
    println!("bpf-linker    {}", toolchain.linker.display());
    println!("ready in {} ms", start.elapsed().as_millis());
    Ok(ExitCode::SUCCESS)
}

fn run_vm(args: VmArgs) -> Result<ExitCode> {
    let mut job = vm::Job::new()
        .command(args.command)
        .tracefs(!args.no_tracefs)
        .disk(args.disk)
        .timeout(Duration::from_secs(args.timeout));
    for path in args.file {
        job = job.file(path)?;
    }
    for name in &args.program {
        job = job.program(name)?;
    }
    let mut code = 0;
    for kernel in args.kernel.kernels() {
        let outcome = vm::run(*kernel, &job)?;
        eprintln!("xtask: {} ended with {}", outcome.release, outcome.status);
        print!("{}", outcome.stdout);
        eprint!("{}", outcome.stderr);
        if let Some(dir) = &args.out {
            outcome.keep_out(&dir.join(kernel.name()))?;
        }
        if code == 0 {
            code = u8::try_from(outcome.status).unwrap_or(u8::MAX);
        }
    }
    Ok(ExitCode::from(code))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn no_argument_contradicts_another() {
        Cli::command().debug_assert();
    }
}
