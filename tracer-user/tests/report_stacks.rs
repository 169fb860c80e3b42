//! Call stacks in `tracer report`.

mod common;

use std::fs;
use std::process::Output;

use blazesym::helper::read_elf_build_id;
use tracer::trace::event::{Display, EventClass, FieldType};
use tracer::trace::sidecar::kallsyms;
use tracer::trace::sidecar::mappings::{self, Mapping, format_exec, format_look};

use self::common::{
    Chunk, START_NS, StreamBytes, TraceDir, class, event, field, number, slot64, stderr, stdout,
};

const KALLSYMS: &str = "\
ffffffff81000100 T vfs_read
ffffffff81000200 T ksys_read
ffffffffc0000000 t kvm_exit\t[kvm]
";

/// The process of thread 42, as in [`event`].
const PID: u32 = 40;

fn stack_class() -> EventClass {
    let stack = || FieldType::Sequence {
        element: number(8, false, Display::Hexadecimal).packed(),
    };
    let fields = vec![
        field("ret", slot64()),
        field("callstack_kernel", stack()),
        field("callstack_user", stack()),
    ];
    class(0, "kretprobe:vfs_read", fields)
}

fn stack_event(timestamp_ns: u64, kernel: &[u64], user: &[u64]) -> Vec<u8> {
    let mut payload = (-2i64).to_le_bytes().to_vec();
    for stack in [kernel, user] {
        payload.extend((stack.len() as u32).to_le_bytes());
        for address in stack {
            payload.extend(address.to_le_bytes());
        }
    }
    event(timestamp_ns, 0, 42, &payload)
}

fn trace(events: &[Vec<u8>]) -> TraceDir {
    let stream = StreamBytes::new(0).packet(events, 0);
    TraceDir::with_classes(&[stack_class()], &[stream])
}

/// A function of this program, whose address is in stacks.
#[inline(never)]
fn a_function_of_the_test() -> u64 {
    std::hint::black_box(1)
}

/// The mapping that contains that function.
fn own_mapping() -> (u64, Mapping) {
    let address = a_function_of_the_test as fn() -> u64 as usize as u64;
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let hexadecimal = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let mapping = maps.lines().find_map(|line| {
        let columns: Vec<_> = line.split_ascii_whitespace().collect();
        let (start, end) = columns[0].split_once('-')?;
        let range = hexadecimal(start)..hexadecimal(end);
        range.contains(&address).then(|| Mapping {
            range,
            file_offset: hexadecimal(columns[2]),
            build_id: read_elf_build_id(&columns[5])
                .unwrap()
                .unwrap_or_default()
                .into_owned()
                .into(),
            path: columns[5].as_bytes().into(),
        })
    });
    (address, mapping.unwrap())
}

fn lines(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{}", stderr(output));
    stdout(output).lines().map(str::to_owned).collect()
}

#[test]
fn kernel_functions_are_printed_below_the_event() {
    let kernel = [0xffff_ffff_8100_0157, 0xffff_ffff_c000_0010, 0x1000];
    let dir = trace(&[stack_event(START_NS, &kernel, &[])]);
    dir.write(kallsyms::FILE_NAME, KALLSYMS.as_bytes());
    let output = dir.tracer("report", &[]);
    assert_eq!(
        lines(&output),
        [
            "           <...>-42      [000] 12345.678901: kretprobe:vfs_read: ret=-2 (ENOENT)",
            "\tffffffff81000157 vfs_read+0x57 ([kernel])",
            "\tffffffffc0000010 kvm_exit+0x10 (kvm)",
            "\t            1000 [unknown] ([unknown])",
        ]
    );
    assert_eq!(stderr(&output), "");
}

/// A call that does not return can be the last instruction of a function.
#[test]
fn a_return_address_belongs_to_the_caller() {
    let start_of_next = 0xffff_ffff_8100_0200;
    let dir = trace(&[stack_event(START_NS, &[start_of_next, start_of_next], &[])]);
    dir.write(kallsyms::FILE_NAME, KALLSYMS.as_bytes());
    let printed = lines(&dir.tracer("report", &[]));
    assert!(
        printed[1].ends_with(" ksys_read+0x0 ([kernel])"),
        "{printed:?}"
    );
    assert!(
        printed[2].ends_with(" vfs_read+0x100 ([kernel])"),
        "{printed:?}"
    );
}

#[test]
fn functions_of_programs_are_looked_up_in_their_files() {
    let (address, mapping) = own_mapping();
    let dir = trace(&[stack_event(START_NS, &[], &[address, address + 1])]);
    let path = String::from_utf8(mapping.path.to_vec()).unwrap();
    let seen = format_look(START_NS + 9, PID, &[mapping]);
    dir.write(mappings::FILE_NAME, seen.as_bytes());
    let output = dir.tracer("report", &[]);
    let printed = lines(&output);
    for (line, offset) in printed[1..].iter().zip(["+0x0", "+0x1"]) {
        assert!(line.contains("a_function_of_the_test"), "{printed:?}");
        assert!(line.ends_with(&format!("{offset} ({path})")), "{printed:?}");
    }
    assert_eq!(stderr(&output), "");

    let json = lines(&dir.tracer("report", &["--json"]));
    let object: serde_json::Value = serde_json::from_str(&json[0]).unwrap();
    let frame = &object["fields"]["callstack_user"][1];
    assert_eq!(frame["address"], address + 1);
    assert!(
        frame["symbol"]
            .as_str()
            .unwrap()
            .contains("a_function_of_the_test")
    );
    assert_eq!(frame["offset"], 1);
    assert_eq!(frame["object"], path);
    assert_eq!(object["fields"]["callstack_kernel"], serde_json::json!([]));
}

#[test]
fn a_file_that_has_changed_is_not_used_and_reported_once() {
    let (address, mapping) = own_mapping();
    let mapping = Mapping {
        build_id: [1, 2, 3].into(),
        ..mapping
    };
    let dir = trace(&[
        stack_event(START_NS, &[], &[address]),
        stack_event(START_NS + 1, &[], &[address, address + 1]),
    ]);
    let seen = format_look(START_NS + 9, PID, &[mapping]);
    dir.write(mappings::FILE_NAME, seen.as_bytes());
    let output = dir.tracer("report", &[]);
    assert_eq!(stdout(&output).matches("[unknown] (/").count(), 3);
    assert_eq!(stderr(&output).matches("has changed since").count(), 1);
}

#[test]
fn missing_symbols_are_reported() {
    let dir = trace(&[
        stack_event(START_NS, &[0xffff_ffff_8100_0157], &[0x1000]),
        stack_event(START_NS + 2, &[], &[0x1000]),
    ]);
    dir.write(
        mappings::FILE_NAME,
        format_exec(START_NS + 1, PID).as_bytes(),
    );
    let output = dir.tracer("report", &[]);
    assert_eq!(stdout(&output).matches("[unknown] ([unknown])").count(), 3);
    let said = stderr(&output);
    assert!(
        said.contains("does not contain the addresses of kernel functions"),
        "{said}"
    );
    assert!(
        said.contains("user stacks of 1 process have no symbols"),
        "{said}"
    );
}

#[test]
fn a_chunk_alone_finds_what_all_chunks_share() {
    let stream = StreamBytes::new(0);
    let chunks: [Chunk<'_>; 1] = [(&[stream], &[])];
    let dir = TraceDir::of_chunks(&chunks);
    dir.write(kallsyms::FILE_NAME, KALLSYMS.as_bytes());
    let chunk = dir.path().join(common::chunk_name(0));
    for folder in [dir.path(), &chunk] {
        let trace = tracer::trace::folder::Trace::open(folder).unwrap();
        let symbols = trace.kernel_symbols().unwrap().unwrap();
        assert_eq!(
            symbols.find(0xffff_ffff_8100_0100).unwrap().name,
            "vfs_read"
        );
    }
}
