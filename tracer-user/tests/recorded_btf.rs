//! What the project asks of a kernel's types, asked of kernels whose types `cargo xtask
//! record-btf` has recorded.

use std::fs;
use std::path::Path;

use tracer::kernel::btf::KernelBtf;
use tracer::probe::fetch::{
    Base, ContextField, ContextSource, Fetch, FetchList, Fetched, Load, Memory, Scope, arguments,
    context, returned,
};
use tracer::trace::event::{Display, FieldType};

const KERNELS: [&str; 4] = ["6.1", "6.12", "6.18", "7.3"];

/// Of each kernel: contexts, the words that are read as addresses on the way to each, and where
/// it is behind the last one, in bytes.
type Places = &'static [(&'static str, &'static [i64], i64)];

const PLACES: [(&str, Places); 4] = [
    (
        "6.1",
        &[
            ("prio", &[], 108),
            ("nice", &[], 112),
            ("ppid", &[2432], 2420),
            ("euid", &[2960], 24),
            ("suid", &[2960], 16),
            ("egid", &[2960], 28),
            ("sgid", &[2960], 20),
            ("user_ns", &[2960, 136], 256),
            ("cgroup_ns", &[3064, 64], 16),
            ("ipc_ns", &[3064, 16], 1120),
            ("mnt_ns", &[3064, 24], 16),
            ("net_ns", &[3064, 40], 144),
            ("time_ns", &[3064, 48], 32),
            ("uts_ns", &[3064, 8], 424),
            ("pid_ns", &[8], 128),
            ("vpid", &[], 0),
        ],
    ),
    (
        "6.12",
        &[
            ("prio", &[], 108),
            ("nice", &[], 112),
            ("ppid", &[2448], 2436),
            ("euid", &[2960], 24),
            ("suid", &[2960], 16),
            ("egid", &[2960], 28),
            ("sgid", &[2960], 20),
            ("user_ns", &[2960, 144], 232),
            ("cgroup_ns", &[3064, 64], 16),
            ("ipc_ns", &[3064, 16], 1136),
            ("mnt_ns", &[3064, 24], 16),
            ("net_ns", &[3064, 40], 136),
            ("time_ns", &[3064, 48], 32),
            ("uts_ns", &[3064, 8], 424),
            ("pid_ns", &[8], 128),
            ("vpid", &[], 0),
        ],
    ),
    (
        "6.18",
        &[
            ("prio", &[], 108),
            ("nice", &[], 112),
            ("ppid", &[2720], 2708),
            ("euid", &[3232], 24),
            ("suid", &[3232], 16),
            ("egid", &[3232], 28),
            ("sgid", &[3232], 20),
            ("user_ns", &[3232, 144], 240),
            ("cgroup_ns", &[3336, 64], 24),
            ("ipc_ns", &[3336, 16], 1144),
            ("mnt_ns", &[3336, 24], 24),
            ("net_ns", &[3336, 40], 176),
            ("time_ns", &[3336, 48], 40),
            ("uts_ns", &[3336, 8], 432),
            ("pid_ns", &[8], 136),
            ("vpid", &[], 0),
        ],
    ),
    (
        "7.3",
        &[
            ("prio", &[], 104),
            ("nice", &[], 108),
            ("ppid", &[2888], 2876),
            ("euid", &[3392], 24),
            ("suid", &[3392], 16),
            ("egid", &[3392], 28),
            ("sgid", &[3392], 20),
            ("user_ns", &[3392, 144], 344),
            ("cgroup_ns", &[3512, 64], 88),
            ("ipc_ns", &[3512, 16], 1304),
            ("mnt_ns", &[3512, 24], 88),
            ("net_ns", &[3512, 40], 280),
            ("time_ns", &[3512, 48], 152),
            ("uts_ns", &[3512, 8], 536),
            ("pid_ns", &[8], 344),
            ("vpid", &[], 0),
        ],
    ),
];

/// Of each kernel: where `struct pid` has its entries, and bytes of each.
const ENTRIES: [(&str, i64, i32); 4] = [
    ("6.1", 96, 16),
    ("6.12", 112, 16),
    ("6.18", 144, 16),
    ("7.3", 128, 16),
];

fn kernel(version: &str) -> KernelBtf {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/btf");
    let sys = tempfile::tempdir().unwrap();
    let folder = sys.path().join("kernel/btf");
    fs::create_dir_all(&folder).unwrap();
    fs::copy(
        recorded.join(format!("{version}.btf")),
        folder.join("vmlinux"),
    )
    .unwrap();
    KernelBtf::read(sys.path()).unwrap()
}

/// `u32`, `s32`, `x32` for numbers of 32 bits, `text16` for 16 characters, `string`.
fn short(ty: &FieldType) -> String {
    match ty {
        FieldType::Integer(number) => {
            let kind = match (number.display, number.signed) {
                (Display::Hexadecimal, _) => 'x',
                (_, true) => 's',
                (_, false) => 'u',
            };
            format!("{kind}{}", number.size_bits)
        }
        FieldType::Array { element, length } if element.display == Display::Text => {
            format!("text{length}")
        }
        FieldType::String => "string".to_owned(),
        other => format!("{other:?}"),
    }
}

/// `name type, …`.
fn list(fetched: &[Fetched]) -> String {
    let one = |value: &Fetched| format!("{} {}", value.field.name, short(&value.field.ty));
    fetched.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[test]
fn functions_have_their_arguments() {
    for version in KERNELS {
        let kernel = kernel(version);
        let all = |name: &str| {
            let function = kernel.function(name).unwrap();
            let mut fetched = arguments(&function);
            fetched.extend(returned(&function));
            list(&fetched)
        };
        assert_eq!(
            all("vfs_read"),
            "file x64, buf string, count u64, pos x64, ret s64"
        );
        assert_eq!(all("vfs_open"), "path x64, file x64, ret s32");
        assert_eq!(all("tcp_sendmsg"), "sk x64, msg x64, size u64, ret s32");
        assert!(kernel.function("vfs_write").is_none());
    }
}

#[test]
fn raw_tracepoints_have_their_arguments() {
    for version in KERNELS {
        let kernel = kernel(version);
        let all = |name: &str| list(&arguments(&kernel.raw_tracepoint(name).unwrap()));
        assert_eq!(
            all("sched_process_exec"),
            "p x64, old_pid s32, bprm x64",
            "{version}"
        );
        assert_eq!(
            all("sched_switch"),
            "preempt u8, prev x64, next x64, prev_state u32",
            "{version}"
        );
        assert_eq!(all("sys_enter"), "regs x64, id s64", "{version}");
    }
}

/// The memory of a process that `char __user *` leads to is told by a tag, where the compiler
/// of the kernel has them.
#[test]
fn strings_of_processes_are_read_where_they_are() {
    for version in KERNELS {
        let kernel = kernel(version);
        let fetched = arguments(&kernel.function("vfs_read").unwrap());
        let Load::String { offset: 0, memory } = fetched[1].fetch.load else {
            panic!("{version}: {:?}", fetched[1]);
        };
        assert_eq!(memory, Memory::Kernel, "{version}");
    }
}

/// Ways of the documentation and of other tests, by what they begin at: what comes out, and how
/// many addresses are read on the way.
#[test]
fn ways_lead_through_structures() {
    let of_function = [
        ("vfs_open", "path->dentry->d_name.name:str", "string", 2),
        (
            "vfs_open",
            "path->dentry->d_parent->d_name.name:str",
            "string",
            3,
        ),
        ("vfs_open", "path->dentry->d_inode->i_ino", "u64", 2),
        ("vfs_open", "file->f_flags:x32", "x32", 0),
        ("vfs_open", "file->f_inode->i_size", "s64", 1),
        (
            "vfs_read",
            "file->f_path.dentry->d_name.name:str",
            "string",
            2,
        ),
        ("vfs_read", "*pos", "s64", 0),
        ("tcp_sendmsg", "sk->__sk_common.skc_family", "u16", 0),
        ("tcp_sendmsg", "sk->sk_sndbuf", "s32", 0),
        ("tcp_sendmsg", "((struct sk_buff *)msg)->len", "u32", 0),
    ];
    let of_tracepoint = [
        ("sched_process_exec", "p->pid", "s32", 0),
        ("sched_process_exec", "p->comm", "text16", 0),
        ("sched_process_exec", "p->comm:str", "string", 0),
        ("sched_process_exec", "p->real_parent->tgid", "s32", 1),
        ("sched_process_exec", "bprm->filename:str", "string", 1),
        ("sched_switch", "next->prio", "s32", 0),
        ("sys_enter", "regs->dx", "u64", 0),
    ];
    for version in KERNELS {
        let kernel = kernel(version);
        let check = |scope: &Scope<'_>, (from, way, ty, steps): (&str, &str, &str, usize)| {
            let fetched = FetchList::parse(way).unwrap().resolve(scope);
            let fetched = fetched.unwrap_or_else(|error| panic!("{version}, {from}: {error}"));
            let [Fetched { field, fetch }] = &fetched[..] else {
                panic!("{fetched:?}");
            };
            let found = (short(&field.ty), fetch.steps.len());
            assert_eq!(found, (ty.to_owned(), steps), "{version}, {from}: {way}");
        };
        for row in of_function {
            let function = kernel.function(row.0).unwrap();
            check(&Scope::entry(None, Some(&function)), row);
        }
        for row in of_tracepoint {
            let tracepoint = kernel.raw_tracepoint(row.0).unwrap();
            check(&Scope::raw_tracepoint(&tracepoint), row);
        }
    }
}

#[test]
fn members_are_those_of_the_kernel() {
    for (version, there, not_there) in [
        ("6.1", "file->f_count.counter", "file->f_ref.refcnt.counter"),
        (
            "6.12",
            "file->f_count.counter",
            "file->f_ref.refcnt.counter",
        ),
        ("7.3", "file->f_ref.refcnt.counter", "file->f_count.counter"),
    ] {
        let kernel = kernel(version);
        let scope = Scope::entry(None, kernel.function("vfs_open").as_ref());
        let resolved = |way: &str| FetchList::parse(way).unwrap().resolve(&scope);
        assert_eq!(
            list(&resolved(there).unwrap()).split(' ').next_back(),
            Some("s64")
        );
        let error = resolved(not_there).unwrap_err().to_string();
        assert!(error.contains("`struct file` has no member"), "{error}");
    }
}

fn named(kernel: &KernelBtf, name: &str) -> ContextField {
    let context = ContextField::named(name, || Ok(kernel));
    context
        .unwrap_or_else(|error| panic!("{error}"))
        .unwrap_or_else(|| panic!("every event has `{name}`"))
}

#[test]
fn all_contexts_are_there() {
    for version in KERNELS {
        let kernel = kernel(version);
        for name in context::names() {
            if ["pid", "tid"].contains(&name) {
                continue;
            }
            let ty = match name {
                "comm" | "procname" => "text16",
                "cgroup" => "u64",
                "prio" | "nice" | "ppid" | "vtid" | "vpid" | "vppid" => "s32",
                _ => "u32",
            };
            assert_eq!(
                short(&named(&kernel, name).field.ty),
                ty,
                "{version}: {name}"
            );
        }
    }
}

/// The ways to contexts, as another reader of the same types found them.
#[test]
fn contexts_are_where_the_kernel_has_them() {
    for (version, rows) in PLACES {
        let kernel = kernel(version);
        for (name, steps, offset) in rows {
            let (ContextSource::Task { fetch, .. } | ContextSource::Entry { fetch, .. }) =
                named(&kernel, name).source
            else {
                panic!("{version}: `{name}` is not read from memory");
            };
            let Fetch {
                steps: found, load, ..
            } = fetch;
            let number = Load::Number {
                offset: *offset,
                size: 4,
                bits: None,
                memory: Memory::Kernel,
            };
            assert_eq!((&found[..], load), (*steps, number), "{version}: {name}");
        }
    }
}

#[test]
fn process_numbers_have_entries_behind_them() {
    for (version, first, len) in ENTRIES {
        let kernel = kernel(version);
        let ContextSource::Entry { entry, fetch } = named(&kernel, "vpid").source else {
            panic!("{version}");
        };
        assert_eq!(
            entry.first.load,
            Load::AddressOf { offset: first },
            "{version}"
        );
        assert_eq!((entry.len, fetch.base), (len, Base::Entry), "{version}");
        // Through `signal` and one of its numbers.
        assert_eq!(entry.last.steps.len(), 2, "{version}");
    }
}
