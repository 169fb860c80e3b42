use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;
use crate::trace::lttng::state_dump::{classes, next};

/// A machine with processes of these ids, each with a thread more and a file.
fn machine(pids: &[u32]) -> (TempDir, Roots) {
    let root = TempDir::new().unwrap();
    let roots = Roots {
        proc: root.path().join("proc"),
        sys: root.path().join("sys"),
    };
    for &pid in pids {
        let process = roots.proc.join(pid.to_string());
        for tid in [pid, pid + 1] {
            let thread = process.join(format!("task/{tid}"));
            fs::create_dir_all(&thread).unwrap();
            let zeroes = " 0".repeat(28);
            let stat = format!("{tid} (x) R 1 0 0 0 -1 0{zeroes} 17 1 0\n");
            fs::write(thread.join("stat"), stat).unwrap();
        }
        for folder in ["fd", "fdinfo", "ns"] {
            fs::create_dir_all(process.join(folder)).unwrap();
        }
        symlink("/tmp/file", process.join("fd/3")).unwrap();
        fs::write(process.join("fdinfo/3"), "pos:\t0\nflags:\t02000001\n").unwrap();
        symlink("pid:[77]", process.join("ns/pid")).unwrap();
    }
    symlink(pids[0].to_string(), roots.proc.join("self")).unwrap();
    let irq = roots.sys.join("kernel/irq/9");
    fs::create_dir_all(&irq).unwrap();
    fs::write(irq.join("chip_name"), "IO-APIC\n").unwrap();
    fs::write(irq.join("actions"), "acpi,other\n").unwrap();
    let disk = roots.sys.join("block/vda");
    fs::create_dir_all(&disk).unwrap();
    fs::write(disk.join("dev"), "254:16\n").unwrap();
    (root, roots)
}

/// The names of the events of a dump, with their prefix cut off.
fn names(dump: &StateDump) -> Vec<String> {
    let classes = classes(0);
    let mut names = Vec::new();
    let mut position = 0;
    while let Some((_, header)) = dump.events.at(position) {
        let name = &classes[header.class as usize].name;
        names.push(name.replace("lttng_statedump_", ""));
        position = next(position, header.size);
    }
    names
}

fn dump(roots: &Roots, pids: &[u32]) -> StateDump {
    take(roots, Events::new(0, 1), pids)
}

#[test]
fn threads_come_with_their_namespaces_and_before_files() {
    let (_root, roots) = machine(&[10]);
    let dump = dump(&roots, &[]);
    assert_eq!(
        names(&dump),
        [
            "start",
            "process_state",
            "process_pid_ns",
            "process_state",
            "process_pid_ns",
            "file_descriptor",
            "interrupt",
            "interrupt",
            "block_device",
            "end"
        ]
    );
    assert_eq!((dump.contents.threads, dump.contents.files), (2, 1));
}

#[test]
fn a_process_that_ends_meanwhile_is_left_out() {
    let (_root, roots) = machine(&[10, 20]);
    fs::remove_file(roots.proc.join("20/task/20/stat")).unwrap();
    fs::remove_file(roots.proc.join("20/task/21/stat")).unwrap();
    fs::remove_file(roots.proc.join("10/fdinfo/3")).unwrap();
    let contents = dump(&roots, &[]).contents;
    assert_eq!((contents.threads, contents.files), (2, 0));
}

#[test]
fn only_chosen_processes_and_threads_are_there() {
    let (_root, roots) = machine(&[10, 20, 30]);
    let of = |pids: &[u32]| {
        let contents = dump(&roots, pids).contents;
        (contents.threads, contents.files)
    };
    assert_eq!(of(&[]), (6, 3));
    assert_eq!(of(&[20]), (2, 1));
    assert_eq!(of(&[31]), (1, 1), "a thread, with the files of its process");
    assert_eq!(of(&[99]), (0, 0));
}

#[test]
fn disks_have_the_numbers_of_events() {
    assert_eq!(parse_dev("254:16\n"), Some(254 << 20 | 16));
    assert_eq!(parse_dev("254"), None);
}
