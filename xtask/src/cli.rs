//! The commands of `cargo xtask`, and the modules that implement them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::build::{self, Profile, Show};
use crate::{bench, btf, certify, fuzz, privilege, run, setup, test, vm};

/// Build, run, test and measure the tracer.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install the eBPF toolchain (the other commands do so when needed)
    Setup,
    /// Build the eBPF programs and the recorder that embeds them
    Build {
        /// Build profile of the recorder
        #[arg(long, value_enum, default_value_t)]
        profile: Profile,
    },
    /// Build everything, then run `tracer ARGS`, as root if its command needs that
    Run {
        /// Arguments of `tracer`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Run all tiers of tests, or the named ones, and print a summary
    Test {
        /// Run only this tier (may be repeated)
        #[arg(long, value_name = "NAME", value_parser = test::tier_names())]
        tier: Vec<String>,
        /// Kernel of tier `vm`
        #[arg(long, value_enum, default_value = "all")]
        kernel: vm::KernelChoice,
        /// List the tiers
        #[arg(long)]
        list: bool,
    },
    /// Boot another kernel and run a command in it
    Vm(VmArgs),
    /// Show the number of instructions that the verifier processes per program and kernel
    Verifier {
        /// Write the numbers to the file that tier `vm` compares with
        #[arg(long)]
        update: bool,
    },
    /// Record the BTF types that tests use, of the kernels of the virtual machines
    RecordBtf,
    /// Fuzz the parsers; inputs that fail are kept in the corpus
    Fuzz(fuzz::Args),
    /// Measure the cost of recording, compared with perf, trace-cmd and bpftrace
    Bench(bench::Args),
    /// Compare recipes of tracepoints with perf's tracepoints, and note those that agree
    Certify(certify::Args),
    /// Run the quick tiers: format, lints, unit tests
    Check,
}

#[derive(clap::Args)]
struct VmArgs {
    /// Kernel to boot
    #[arg(long, value_enum, default_value = "6.12")]
    kernel: vm::KernelChoice,
    /// Do not mount tracefs
    #[arg(long)]
    no_tracefs: bool,
    /// Mount a disk with a file system at /out/disk
    #[arg(long)]
    disk: bool,
    /// Copy a file of this machine to the guest's /data
    #[arg(long, value_name = "PATH")]
    file: Vec<PathBuf>,
    /// Copy a program of this machine to the guest, with its libraries
    #[arg(long, value_name = "NAME")]
    program: Vec<String>,
    /// Keep the files in the guest's /out, in one folder per kernel below this one
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Kill the machine after this time, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
    /// Command to run: `tracer …` or `work …`
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Runs the command that the arguments of this process name.
///
/// # Errors
/// The failure of the command; the caller prints it.
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
        Command::Test { tier, kernel, .. } => Ok(test::run(&tier, kernel.kernels())),
        Command::Vm(args) => run_vm(args),
        Command::Verifier { update } => {
            vm::jobs::verifier::measure(update)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::RecordBtf => btf::record().map(|()| ExitCode::SUCCESS),
        Command::Fuzz(args) => fuzz::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Bench(args) => bench::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Certify(args) => certify::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Check => Ok(test::run(&test::QUICK.map(str::to_owned), &vm::KERNELS)),
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
        eprintln!(
            "xtask: {} exited with status {}",
            outcome.release, outcome.status
        );
        print!("{}", outcome.stdout);
        eprint!("{}", outcome.stderr);
        if let Some(dir) = &args.out {
            outcome.keep_out(&dir.join(kernel.name))?;
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
