//! `bpf(2)` for what aya does not offer: many copies of one program, frozen maps, links to perf
//! events, and statistics of programs.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{self, Command};
use std::{io, mem};

use aya_obj::generated::{
    BPF_F_NO_PREALLOC, BPF_F_RDONLY_PROG, bpf_attach_type, bpf_attr, bpf_cmd, bpf_insn,
    bpf_link_info, bpf_link_type, bpf_map_type, bpf_perf_event_type, bpf_prog_info, bpf_prog_type,
};

use crate::sys::checked;

/// Size of the buffer for the verifier's log, in bytes.
const VERIFIER_LOG_LEN: usize = 256 * 1024;

/// Why a program was not loaded.
#[derive(Debug, thiserror::Error)]
#[error("{cause}; the verifier's log ends with: {}", last_lines(log, 6))]
pub struct LoadError {
    /// Error of the system call.
    pub cause: io::Error,
    /// The verifier's log.
    pub log: String,
}

fn last_lines(log: &str, count: usize) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(count)..].join(" | ")
}

fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<libc::c_long> {
    // SAFETY: `attr` is a whole `bpf_attr`; the callers in this module keep alive what its
    // pointers refer to during the call.
    checked(unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attr),
            mem::size_of::<bpf_attr>(),
        )
    })
}

fn bpf_fd(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<OwnedFd> {
    let fd = bpf(command, attr)?;
    // SAFETY: the kernel just returned this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

fn zeroed() -> bpf_attr {
    // SAFETY: a union of plain integers, for which zero is what the kernel expects in
    // every unused byte.
    unsafe { mem::zeroed() }
}

/// A `bpf_attach_type` of Linux 6.10 and later: one program for the entries and the returns of
/// functions.
pub const BPF_TRACE_KPROBE_SESSION: u32 = 56;

/// The type of a program and how it will be attached.
#[derive(Clone, Copy, Debug)]
pub struct ProgramKind {
    /// Program type.
    pub kind: bpf_prog_type,
    /// Attach type, if the verifier needs it: a `bpf_attach_type` or
    /// [`BPF_TRACE_KPROBE_SESSION`].
    pub attach_type: Option<u32>,
    /// BTF type to attach to; 0 if it does not apply.
    pub btf_id: u32,
}

impl ProgramKind {
    /// A program that the verifier checks independently of where it is attached.
    #[must_use]
    pub const fn of(kind: bpf_prog_type) -> Self {
        Self {
            kind,
            attach_type: None,
            btf_id: 0,
        }
    }
}

/// Loads a program; `name` is truncated to 15 bytes.
pub fn load_program(
    kind: ProgramKind,
    name: &str,
    instructions: &[bpf_insn],
    license: &CStr,
) -> Result<OwnedFd, LoadError> {
    let load = |log: &mut [u8]| {
        let mut attr = zeroed();
        // SAFETY: writing a member of a zeroed union of integers.
        let program = unsafe { &mut attr.__bindgen_anon_3 };
        program.prog_type = kind.kind as u32;
        program.expected_attach_type = kind.attach_type.unwrap_or(0);
        program.attach_btf_id = kind.btf_id;
        program.insns = instructions.as_ptr() as u64;
        program.insn_cnt = instructions.len() as u32;
        program.license = license.as_ptr() as u64;
        let allowed = name
            .bytes()
            .filter(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'));
        for (to, from) in program.prog_name[..15].iter_mut().zip(allowed) {
            *to = from as libc::c_char;
        }
        if !log.is_empty() {
            program.log_level = 1;
            program.log_buf = log.as_mut_ptr() as u64;
            program.log_size = log.len() as u32;
        }
        bpf_fd(bpf_cmd::BPF_PROG_LOAD, &mut attr)
    };
    load(&mut []).or_else(|_| {
        let mut log = vec![0; VERIFIER_LOG_LEN];
        load(&mut log).map_err(|cause| LoadError {
            cause,
            log: CStr::from_bytes_until_nul(&log)
                .map(|text| text.to_string_lossy().into_owned())
                .unwrap_or_default(),
        })
    })
}

/// Creates a BPF ring buffer of `bytes` (a power of two, whole pages).
pub fn create_ring(bytes: u32) -> io::Result<OwnedFd> {
    create_map(bpf_map_type::BPF_MAP_TYPE_RINGBUF, 0, 0, bytes, 0)
}

/// Creates a preallocated hash map that evicts the least recently used entries.
pub fn create_lru_hash(key_len: u32, value_len: u32, max_entries: u32) -> io::Result<OwnedFd> {
    create_map(
        bpf_map_type::BPF_MAP_TYPE_LRU_HASH,
        key_len,
        value_len,
        max_entries,
        0,
    )
}

/// Creates a map with a value of `value_len` bytes for each thread that a program stores one for.
pub fn create_task_storage(value_len: u32) -> io::Result<OwnedFd> {
    // The kernel wants the types of key and value, and the key to be a number of 32 bits.
    const INT: u32 = 1 << 24;
    const ARRAY: u32 = 3 << 24;
    const NAME: u32 = 1;
    let types: [u32; 14] = [
        // Types 1 and 2: numbers of 4 bytes and of 1 byte.
        NAME, INT, 4, 32, NAME, INT, 1, 8, // Type 3: elements of type 2, indexed by type 1.
        0, ARRAY, 0, 2, 1, value_len,
    ];
    let strings = b"\0int\0";
    let types_len = mem::size_of_val(&types) as u32;
    let header: [u32; 6] = [
        0x0001_eb9f,
        24,
        0,
        types_len,
        types_len,
        strings.len() as u32,
    ];
    let words = header.iter().chain(&types);
    let mut btf: Vec<u8> = words.copied().flat_map(u32::to_ne_bytes).collect();
    btf.extend(strings);
    let mut attr = zeroed();
    attr.__bindgen_anon_7.btf = btf.as_ptr() as u64;
    attr.__bindgen_anon_7.btf_size = btf.len() as u32;
    let types = bpf_fd(bpf_cmd::BPF_BTF_LOAD, &mut attr)?;
    let mut attr = zeroed();
    // SAFETY: writing a member of a zeroed union of integers.
    let map = unsafe { &mut attr.__bindgen_anon_1 };
    map.map_type = bpf_map_type::BPF_MAP_TYPE_TASK_STORAGE as u32;
    map.key_size = 4;
    map.value_size = value_len;
    map.map_flags = BPF_F_NO_PREALLOC;
    map.btf_fd = types.as_raw_fd() as u32;
    map.btf_key_type_id = 1;
    map.btf_value_type_id = 3;
    bpf_fd(bpf_cmd::BPF_MAP_CREATE, &mut attr)
}

/// Creates an array with one cgroup, for programs that check whether a thread is in it.
pub fn create_cgroup_array(cgroup: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let map = create_map(bpf_map_type::BPF_MAP_TYPE_CGROUP_ARRAY, 4, 4, 1, 0)?;
    let fd = cgroup.as_raw_fd() as u32;
    update(map.as_fd(), &0u32.to_ne_bytes(), &fd.to_ne_bytes())?;
    Ok(map)
}

/// Creates an array of one element that neither programs nor the recorder can change afterwards,
/// so that the verifier treats its content as constants.
pub fn create_frozen(content: &[u8]) -> io::Result<OwnedFd> {
    let map = create_map(
        bpf_map_type::BPF_MAP_TYPE_ARRAY,
        4,
        content.len() as u32,
        1,
        BPF_F_RDONLY_PROG,
    )?;
    update(map.as_fd(), &0u32.to_ne_bytes(), content)?;
    let mut attr = zeroed();
    attr.__bindgen_anon_2.map_fd = map.as_raw_fd() as u32;
    bpf(bpf_cmd::BPF_MAP_FREEZE, &mut attr)?;
    Ok(map)
}

fn create_map(
    kind: bpf_map_type,
    key_len: u32,
    value_len: u32,
    max_entries: u32,
    flags: u32,
) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: writing a member of a zeroed union of integers.
    let map = unsafe { &mut attr.__bindgen_anon_1 };
    map.map_type = kind as u32;
    map.key_size = key_len;
    map.value_size = value_len;
    map.max_entries = max_entries;
    map.map_flags = flags;
    bpf_fd(bpf_cmd::BPF_MAP_CREATE, &mut attr)
}

/// Sets an element. `key` and `value` have the sizes given when the map was created.
pub fn update(map: BorrowedFd<'_>, key: &[u8], value: &[u8]) -> io::Result<()> {
    let mut attr = zeroed();
    // SAFETY: writing a member of a zeroed union of integers.
    let element = unsafe { &mut attr.__bindgen_anon_2 };
    element.map_fd = map.as_raw_fd() as u32;
    element.key = key.as_ptr() as u64;
    element.__bindgen_anon_1.value = value.as_ptr() as u64;
    bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr).map(drop)
}

/// Removes an element. `key` has the size given when the map was created.
pub fn delete(map: BorrowedFd<'_>, key: &[u8]) -> io::Result<()> {
    let mut attr = zeroed();
    // SAFETY: writing a member of a zeroed union of integers.
    let element = unsafe { &mut attr.__bindgen_anon_2 };
    element.map_fd = map.as_raw_fd() as u32;
    element.key = key.as_ptr() as u64;
    bpf(bpf_cmd::BPF_MAP_DELETE_ELEM, &mut attr).map(drop)
}

/// The key after `key` in a hash map whose keys are numbers; after none, the first one.
pub fn next_key(map: BorrowedFd<'_>, key: Option<u32>) -> io::Result<Option<u32>> {
    let mut next = 0u32;
    let mut attr = zeroed();
    // SAFETY: writing a member of a zeroed union of integers.
    let element = unsafe { &mut attr.__bindgen_anon_2 };
    element.map_fd = map.as_raw_fd() as u32;
    element.key = key.as_ref().map_or(0, |key| std::ptr::from_ref(key) as u64);
    element.__bindgen_anon_1.next_key = &raw mut next as u64;
    match bpf(bpf_cmd::BPF_MAP_GET_NEXT_KEY, &mut attr) {
        Ok(_) => Ok(Some(next)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the number at `index` of an array of numbers.
pub fn lookup_u64(map: BorrowedFd<'_>, index: u32) -> io::Result<u64> {
    let mut value = 0u64;
    lookup(map, index, (&raw mut value).cast())?;
    Ok(value)
}

/// Reads an element to `value`, which must have room for it.
fn lookup(map: BorrowedFd<'_>, index: u32, value: *mut u8) -> io::Result<()> {
    let mut attr = zeroed();
    // SAFETY: writing a member of a zeroed union of integers.
    let element = unsafe { &mut attr.__bindgen_anon_2 };
    element.map_fd = map.as_raw_fd() as u32;
    element.key = &raw const index as u64;
    element.__bindgen_anon_1.value = value as u64;
    bpf(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attr).map(drop)
}

/// Reads element `index` of a per-CPU array: `cpu_count` values of `value_len` bytes each, rounded
/// up to a multiple of 8.
pub fn lookup_per_cpu(
    map: BorrowedFd<'_>,
    index: u32,
    value_len: usize,
    cpu_count: usize,
) -> io::Result<Vec<u8>> {
    let mut values = vec![0u8; value_len.next_multiple_of(8) * cpu_count];
    lookup(map, index, values.as_mut_ptr())?;
    Ok(values)
}

/// Makes the process of `command` set `map[its pid] = value` before exec. `map` has values of this
/// size. Its pid is the result of the program `own_id`, see [`run_raw`], or if there is none,
/// that of `getpid`.
pub fn enter_own_id<const LEN: usize>(
    command: &mut Command,
    map: OwnedFd,
    own_id: Option<OwnedFd>,
    value: [u8; LEN],
) {
    let enter = move || {
        let id = match &own_id {
            Some(program) => run_raw(program.as_fd(), &[])?,
            None => process::id(),
        };
        update(map.as_fd(), &id.to_ne_bytes(), &value)
    };
    // SAFETY: only system calls run between fork and exec; they take no lock and allocate
    // nothing.
    unsafe { command.pre_exec(enter) };
}

/// Runs a program for raw tracepoints once, in this thread, with these arguments. Returns the lower
/// half of its result. Allocates nothing.
///
/// # Errors
/// Before Linux 5.10.
pub fn run_raw(program: BorrowedFd<'_>, arguments: &[u64]) -> io::Result<u32> {
    let mut attr = zeroed();
    attr.test.prog_fd = program.as_raw_fd() as u32;
    // The kernel refuses an address without a size.
    if !arguments.is_empty() {
        attr.test.ctx_in = arguments.as_ptr() as u64;
        attr.test.ctx_size_in = mem::size_of_val(arguments) as u32;
    }
    bpf(bpf_cmd::BPF_PROG_TEST_RUN, &mut attr)?;
    // SAFETY: integers, which the kernel has written.
    Ok(unsafe { attr.test.retval })
}

/// Links an iterator program. Each file of [`open_iterator`] then runs it for all objects.
pub fn link_iterator(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
    attr.link_create.attach_type = bpf_attach_type::BPF_TRACE_ITER as u32;
    bpf_fd(bpf_cmd::BPF_LINK_CREATE, &mut attr)
}

/// A file with what the program of the iterator `link` writes.
pub fn open_iterator(link: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    attr.iter_create.link_fd = link.as_raw_fd() as u32;
    bpf_fd(bpf_cmd::BPF_ITER_CREATE, &mut attr)
}

/// Attaches a program to a perf event until the link is closed. The program can read `cookie`.
pub fn link_to_perf_event(
    program: BorrowedFd<'_>,
    event: BorrowedFd<'_>,
    cookie: u64,
) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    attr.link_create.__bindgen_anon_3.perf_event.bpf_cookie = cookie;
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
    attr.link_create.__bindgen_anon_2.target_fd = event.as_raw_fd() as u32;
    attr.link_create.attach_type = bpf_attach_type::BPF_PERF_EVENT as u32;
    bpf_fd(bpf_cmd::BPF_LINK_CREATE, &mut attr)
}

/// Attaches a program to all these functions (kprobe-multi) until the link is closed: to their
/// entries or, if it was loaded for [`BPF_TRACE_KPROBE_SESSION`], also to their returns. In each
/// function it can read that function's cookie.
///
/// # Errors
/// If the kernel does not support this, or does not allow a probe in one of the functions.
pub fn link_to_functions(
    program: BorrowedFd<'_>,
    attach_type: u32,
    symbols: &[CString],
    cookies: &[u64],
) -> io::Result<OwnedFd> {
    debug_assert_eq!(symbols.len(), cookies.len());
    let names: Vec<u64> = symbols.iter().map(|name| name.as_ptr() as u64).collect();
    let mut attr = zeroed();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
    attr.link_create.attach_type = attach_type;
    // SAFETY: writing a member of a zeroed union of integers.
    let multi = unsafe { &mut attr.link_create.__bindgen_anon_3.kprobe_multi };
    multi.cnt = names.len() as u32;
    multi.syms = names.as_ptr() as u64;
    multi.cookies = cookies.as_ptr() as u64;
    bpf_fd(bpf_cmd::BPF_LINK_CREATE, &mut attr)
}

/// Attaches a program to a raw tracepoint until the link is closed: the one with this name, or the
/// one whose BTF type the program was loaded for.
pub fn link_to_raw_tracepoint(program: BorrowedFd<'_>, name: Option<&CStr>) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    attr.raw_tracepoint.prog_fd = program.as_raw_fd() as u32;
    attr.raw_tracepoint.name = name.map_or(0, |name| name.as_ptr() as u64);
    bpf_fd(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &mut attr)
}

/// Number of times the kernel skipped a program because another one was running on the same CPU
/// (`recursion_misses`, counted in `bpf_prog_inc_misses_counter`).
pub fn recursion_misses(program: BorrowedFd<'_>) -> io::Result<u64> {
    // SAFETY: plain integers, for which zero is valid.
    let mut info: bpf_prog_info = unsafe { mem::zeroed() };
    object_info(program, &mut info)?;
    Ok(info.recursion_misses)
}

/// Number of times the kernel did not run the handler of the kprobe or kretprobe of `link`, because
/// the function was called inside another probe's handler or all instances of the kretprobe were
/// in use (`trace_kprobe_missed`). 0 for other links, and before Linux 6.7, which does not count.
pub fn missed_hits(link: BorrowedFd<'_>) -> io::Result<u64> {
    const KPROBE: u32 = bpf_perf_event_type::BPF_PERF_EVENT_KPROBE as u32;
    const KRETPROBE: u32 = bpf_perf_event_type::BPF_PERF_EVENT_KRETPROBE as u32;
    // SAFETY: plain integers, for which zero is valid.
    let mut info: bpf_link_info = unsafe { mem::zeroed() };
    object_info(link, &mut info)?;
    if info.type_ == bpf_link_type::BPF_LINK_TYPE_KPROBE_MULTI as u32 {
        // SAFETY: the type selects this member.
        return Ok(unsafe { info.__bindgen_anon_1.kprobe_multi.missed });
    }
    if info.type_ != bpf_link_type::BPF_LINK_TYPE_PERF_EVENT as u32 {
        return Ok(0);
    }
    // SAFETY: the type selects this member; older kernels leave it zero, which is not a type of
    // event.
    let event = unsafe { info.__bindgen_anon_1.perf_event };
    Ok(match event.type_ {
        // SAFETY: the type selects this member.
        KPROBE | KRETPROBE => unsafe { event.__bindgen_anon_1.kprobe.missed },
        _ => 0,
    })
}

/// Whether a link attaches to a perf event. False if the kernel does not say.
#[must_use]
pub fn is_of_perf_event(link: BorrowedFd<'_>) -> bool {
    // SAFETY: plain integers, for which zero is valid.
    let mut info: bpf_link_info = unsafe { mem::zeroed() };
    object_info(link, &mut info).is_ok()
        && info.type_ == bpf_link_type::BPF_LINK_TYPE_PERF_EVENT as u32
}

/// Reads the kernel's information about a BPF object into the structure for its kind; members
/// that this kernel does not know are left unchanged.
fn object_info<T>(object: BorrowedFd<'_>, info: &mut T) -> io::Result<()> {
    let mut attr = zeroed();
    attr.info.bpf_fd = object.as_raw_fd() as u32;
    attr.info.info = std::ptr::from_mut(info) as u64;
    attr.info.info_len = mem::size_of::<T>() as u32;
    bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr).map(drop)
}
