//! Function lists of made-up kernels.

use std::fs;
use std::path::Path;

use super::*;
use crate::kernel::btf::builder::Builder;

const KALLSYMS: &str = "\
ffffffff81000000 T _text
ffffffff81000100 t __pfx_vfs_read
ffffffff81000110 T vfs_read
ffffffff81000190 T vfs_write
ffffffff81000190 T ksys_write
ffffffff81000200 t show
ffffffff81000300 t show
ffffffff81000400 t do_int3
ffffffff81000500 t quiet
ffffffff81000600 d data
ffffffffc0000000 t nf_hook\t[nf_tables]
";

struct FakeKernel(tempfile::TempDir);

impl FakeKernel {
    fn new(files: &[(&str, &str)]) -> Self {
        let kernel = Self(tempfile::tempdir().unwrap());
        kernel.write("proc/kallsyms", KALLSYMS);
        for (path, text) in files {
            kernel.write(path, text);
        }
        kernel
    }

    fn with_kprobes(files: &[(&str, &str)]) -> Functions {
        let kernel = Self::new(files);
        kernel.write("sys/bus/event_source/devices/kprobe/type", "8\n");
        Functions::read(&kernel.files()).unwrap()
    }

    fn write(&self, path: impl AsRef<Path>, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn files(&self) -> KernelFiles {
        KernelFiles {
            tracefs: self.0.path().join("tracefs"),
            proc: self.0.path().join("proc"),
            sys: self.0.path().join("sys"),
            modules: self.0.path().join("lib/modules"),
        }
    }
}

const FILTER: (&str, &str) = (
    "tracefs/available_filter_functions",
    "vfs_read\nvfs_write\nshow\nshow\nnf_hook [nf_tables]\n__ftrace_invalid_address___16\n",
);
const BLACKLIST: (&str, &str) = (
    "sys/kernel/debug/kprobes/blacklist",
    "0xffffffff81000400-0xffffffff81000500\tdo_int3\n",
);

#[test]
fn a_kernel_without_kprobes_is_reported() {
    let error = Functions::read(&FakeKernel::new(&[]).files()).unwrap_err();
    assert!(matches!(error, FunctionError::NotBuiltIn));
    assert!(error.to_string().contains("CONFIG_KPROBES"));
}

#[test]
fn the_list_of_ftrace_is_preferred() {
    let functions = FakeKernel::with_kprobes(&[FILTER]);
    assert_eq!(functions.source(), FunctionList::FilterFunctions);
    assert_eq!(
        functions.names(),
        ["nf_hook", "show", "vfs_read", "vfs_write"]
    );
}

#[test]
fn symbols_without_the_blacklist_stand_in() {
    let functions = FakeKernel::with_kprobes(&[BLACKLIST]);
    assert_eq!(functions.source(), FunctionList::KallsymsWithoutBlacklist);
    assert_eq!(
        functions.names(),
        [
            "_text",
            "ksys_write",
            "nf_hook",
            "quiet",
            "show",
            "vfs_read",
            "vfs_write"
        ]
    );
    assert_eq!(
        FakeKernel::with_kprobes(&[]).source(),
        FunctionList::Kallsyms
    );
}

#[test]
fn an_unknown_function_brings_near_names() {
    let error = FakeKernel::with_kprobes(&[FILTER])
        .check("vfs_reed", 0)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("no such function; did you mean `vfs_read`"),
        "{error}"
    );
}

#[test]
fn functions_that_the_kernel_refuses_are_told_apart() {
    let functions = FakeKernel::with_kprobes(&[FILTER, BLACKLIST]);
    let blacklisted = functions.check("do_int3", 0).unwrap_err().to_string();
    assert!(blacklisted.contains("blacklist"), "{blacklisted}");
    let notrace = functions.check("quiet", 0).unwrap_err().to_string();
    assert!(notrace.contains("notrace"), "{notrace}");
}

/// Symbols of functions that compilers took apart.
const VARIANTS: &str = "\
ffffffff81000000 T _text
ffffffff81000110 T vfs_read
ffffffff81000190 t shrunk.isra.0
ffffffff81000200 t shrunk.constprop.0
ffffffff81000210 t shrunk.cold
ffffffff81000300 t hidden.part.0
ffffffff81000400 t chilled.cold
ffffffff81000500 t __pfx_vfs_read
ffffffff81000600 t vfs_read.cold
";

/// The error for `function` of a kernel with these symbols, where ftrace lists what can
/// be probed, BTF has `forgotten`, and modules export `nft_do_chain`.
fn refusal(function: &str) -> FunctionError {
    let kernel = FakeKernel::new(&[
        ("sys/bus/event_source/devices/kprobe/type", "8\n"),
        ("proc/sys/kernel/osrelease", "6.1.0-test\n"),
        (
            "lib/modules/6.1.0-test/modules.symbols",
            "# Aliases\nalias symbol:other other\nalias symbol:nft_do_chain nf_tables\nalias\n",
        ),
        (
            "tracefs/available_filter_functions",
            "shrunk.constprop.0\nshrunk.isra.0\nvfs_read\n",
        ),
    ]);
    kernel.write("proc/kallsyms", VARIANTS);
    let mut btf = Builder::new();
    btf.function("forgotten", 0, &[]);
    let path = kernel.0.path().join("sys/kernel/btf/vmlinux");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, btf.bytes()).unwrap();
    let functions = Functions::read(&kernel.files()).unwrap();
    functions.check(function, 0).unwrap_err()
}

#[test]
fn variants_of_a_function_are_named() {
    let error = refusal("shrunk");
    assert!(matches!(error, FunctionError::Variants { .. }));
    assert!(
        error
            .to_string()
            .ends_with("probe `kprobe:shrunk.constprop.0` or `kprobe:shrunk.isra.0`"),
        "{error}"
    );
}

#[test]
fn inlined_functions_are_told_from_those_that_never_were() {
    let error = refusal("forgotten");
    assert!(matches!(error, FunctionError::Inlined { .. }), "{error}");
    let error = refusal("chilled").to_string();
    assert!(error.contains("leaving only `chilled.cold`"), "{error}");
    // It cannot be probed where it is left, either.
    let error = refusal("hidden").to_string();
    assert!(error.contains("leaving only `hidden.part.0`"), "{error}");
    let error = refusal("forgotten_");
    assert!(matches!(error, FunctionError::NoSuchFunction(_)), "{error}");
}

#[test]
fn a_module_that_is_not_loaded_is_named() {
    let error = refusal("nft_do_chain").to_string();
    assert!(
        error.ends_with("load it with `modprobe nf_tables`"),
        "{error}"
    );
}

#[test]
fn parts_of_functions_name_the_whole() {
    for part in ["vfs_read.cold", "__pfx_vfs_read"] {
        let error = refusal(part).to_string();
        assert!(error.ends_with("probe `vfs_read`"), "{error}");
    }
}

#[test]
fn a_function_can_be_probed_by_its_other_name() {
    let functions = FakeKernel::with_kprobes(&[FILTER]);
    assert!(functions.check("ksys_write", 0).is_ok());
}

/// Functions that have several names, each of which the kernel lists under one.
fn with_other_names(files: &[(&str, &str)]) -> Functions {
    const SYMBOLS: &str = "\
ffffffff81000000 t __do_sys_getppid
ffffffff81000000 T __ia32_sys_getppid
ffffffff81000000 T __x64_sys_getppid
ffffffff81000100 T __ia32_sys_getpid
ffffffff81000100 T __x64_sys_getpid
ffffffff81000200 t empty.cold
ffffffff81000200 T cold_function
ffffffff81000300 t show
ffffffff81000400 t show
ffffffff81000400 t store
ffffffff81000500 t twice
ffffffff81000600 t twice
ffffffff81000600 t thrice
ffffffff81000700 t quiet
ffffffff81000700 t silent
";
    const LISTED: &str = "__do_sys_getppid\n__x64_sys_getpid\ncold_function\nshow\ntwice\ntwice\n";
    let kernel = FakeKernel::new(files);
    kernel.write("sys/bus/event_source/devices/kprobe/type", "8\n");
    kernel.write("tracefs/available_filter_functions", LISTED);
    kernel.write("proc/kallsyms", SYMBOLS);
    Functions::read(&kernel.files()).unwrap()
}

#[test]
fn patterns_match_all_names_and_functions_are_found_once() {
    let functions = with_other_names(&[]);
    let matching = |pattern| functions.matching(pattern);
    assert_eq!(matching("__x64_sys_getpp*"), ["__x64_sys_getppid"]);
    assert_eq!(
        matching("__*64_sys_getp*"),
        ["__x64_sys_getpid", "__x64_sys_getppid"]
    );
    // The name in the kernel's list goes before others, of which the first is taken.
    assert_eq!(matching("*getppid"), ["__do_sys_getppid"]);
    assert_eq!(matching("__[ix]*getppid"), ["__ia32_sys_getppid"]);
    assert_eq!(matching("*getpid"), ["__x64_sys_getpid"]);
    // One of a name that two functions have can be found under its own.
    assert_eq!(matching("t*"), ["thrice"]);
}

#[test]
fn other_names_of_what_is_not_listed_are_not_matched() {
    let functions = with_other_names(&[]);
    // Which `show` is listed is not known.
    for pattern in ["s*", "quiet*", "empty*"] {
        assert_eq!(functions.matching(pattern), [""; 0], "{pattern}");
    }
    for name in ["store", "silent", "empty.cold"] {
        assert!(functions.check(name, 0).is_err(), "{name}");
    }
}

#[test]
fn what_is_refused_is_refused_under_all_names() {
    const REFUSED: &str = "0x0-0x0\t__ia32_sys_getppid\n";
    let functions = with_other_names(&[(BLACKLIST.0, REFUSED)]);
    assert_eq!(functions.matching("*getp*"), ["__x64_sys_getpid"]);
    for name in [
        "__do_sys_getppid",
        "__ia32_sys_getppid",
        "__x64_sys_getppid",
    ] {
        let error = functions.check(name, 0).unwrap_err();
        assert!(
            matches!(error, FunctionError::Blacklisted),
            "{name}: {error}"
        );
    }
}

#[test]
fn without_addresses_patterns_match_the_names_that_are_listed() {
    let kernel = FakeKernel::new(&[FILTER, ("sys/bus/event_source/devices/kprobe/type", "8\n")]);
    kernel.write(
        "proc/kallsyms",
        "0 T vfs_read\n0 T vfs_write\n0 T vfs_other\n",
    );
    let functions = Functions::read(&kernel.files()).unwrap();
    assert_eq!(functions.matching("vfs_*"), ["vfs_read", "vfs_write"]);
}

#[test]
fn names_without_addresses_are_not_taken_for_one_function() {
    let kernel = FakeKernel::new(&[FILTER, ("sys/bus/event_source/devices/kprobe/type", "8\n")]);
    kernel.write("proc/kallsyms", "0 T vfs_write\n0 T quiet\n");
    let functions = Functions::read(&kernel.files()).unwrap();
    assert!(functions.check("quiet", 0).is_err());
}

#[test]
fn an_ambiguous_name_brings_its_places() {
    let error = FakeKernel::with_kprobes(&[FILTER])
        .check("show", 0)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`kprobe:_text+0x200`, `kprobe:_text+0x300`"),
        "{error}"
    );
}

#[test]
fn a_pattern_that_matches_ambiguous_names_only_brings_their_places() {
    let functions = FakeKernel::with_kprobes(&[FILTER]);
    assert_eq!(functions.matching("sh*"), [""; 0]);
    let error = functions.check_pattern("sh*").unwrap_err().to_string();
    assert!(
        error.ends_with("`show` (2 functions: `kprobe:_text+0x200`, `kprobe:_text+0x300`)"),
        "{error}"
    );
    assert!(functions.check_pattern("vfs_*").is_ok());
    assert!(functions.check_pattern("zz*").is_ok());
}

#[test]
fn a_function_that_also_has_variants_names_them() {
    const SYMBOLS: &str = "\
ffffffff81000000 T _text
ffffffff81000100 t cookie_hash
ffffffff81000200 t cookie_hash.isra.0
ffffffff81000300 t cookie_hash.constprop.0
ffffffff81000400 t cookie_hash.cold
ffffffff81000500 t cookie_hash_other
";
    let kernel = FakeKernel::new(&[
        ("sys/bus/event_source/devices/kprobe/type", "8\n"),
        (
            "tracefs/available_filter_functions",
            "cookie_hash\ncookie_hash.isra.0\ncookie_hash_other\n",
        ),
    ]);
    kernel.write("proc/kallsyms", SYMBOLS);
    let functions = Functions::read(&kernel.files()).unwrap();
    assert!(functions.check("cookie_hash", 0).is_ok());
    // The other variant cannot be probed.
    assert_eq!(functions.variants("cookie_hash"), ["cookie_hash.isra.0"]);
    assert_eq!(functions.variants("cookie_hash_other"), [""; 0]);
}

#[test]
fn patterns_leave_ambiguous_names_out() {
    let functions = FakeKernel::with_kprobes(&[FILTER]);
    assert_eq!(functions.matching("*s*"), ["vfs_read", "vfs_write"]);
}

#[test]
fn offsets_stay_inside_the_function() {
    let functions = FakeKernel::with_kprobes(&[FILTER]);
    assert!(functions.check("vfs_read", 0x7f).is_ok());
    assert!(matches!(
        functions.check("vfs_read", 0x80),
        Err(FunctionError::OffsetTooLarge { size: 0x80 })
    ));
    assert!(functions.check("_text", 0x200).is_ok());
}

#[test]
fn functions_of_modules_can_be_probed() {
    assert!(
        FakeKernel::with_kprobes(&[FILTER])
            .check("nf_hook", 0)
            .is_ok()
    );
}

#[test]
fn garbage_is_no_panic() {
    Symbols::parse("\n\0\nffff\nzz T\nzz T x\n");
    parse_blacklist("\nx\n");
    parse_filter_functions("\n  \n");
}
