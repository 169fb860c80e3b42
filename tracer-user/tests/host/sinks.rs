//! Sinks on real file systems and full disks. Needs root, loop devices, and the programs
//! that make file systems.

use std::fs;
use std::io::{self, IoSlice};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tracer::record::sink::{FileSink, Sink as _, SinkKind, WriteMethod};
use tracer::sys::memory::PageBuffer;

use crate::on_disk::{folder, run};

const PACKET: usize = 256 << 10;
const KINDS: [SinkKind; 3] = [SinkKind::Auto, SinkKind::Splice, SinkKind::Copy];

/// A separate file system, unmounted on drop.
struct Mounted {
    folder: TempDir,
}

impl Mounted {
    fn tmpfs(bytes: u64) -> Self {
        let this = Self { folder: folder() };
        let options = format!("size={bytes}");
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(this.path()));
        this
    }

    /// In a file of this size; `make` is the program that makes the file system in it.
    fn image(bytes: u64, make: &[&str]) -> Self {
        let this = Self { folder: folder() };
        let image = this.folder.path().join("image");
        fs::File::create(&image).unwrap().set_len(bytes).unwrap();
        run(Command::new(make[0]).args(&make[1..]).arg(&image));
        fs::create_dir(this.path()).unwrap();
        run(Command::new("mount")
            .args(["-o", "loop"])
            .arg(&image)
            .arg(this.path()));
        this
    }

    fn ext4(bytes: u64) -> Self {
        // Without space for root alone: tests run as root and want a full disk.
        Self::image(bytes, &["mkfs.ext4", "-q", "-m", "0"])
    }

    fn xfs(bytes: u64) -> Self {
        Self::image(bytes, &["mkfs.xfs", "-q"])
    }

    fn path(&self) -> PathBuf {
        let path = self.folder.path().join("mounted");
        if self.folder.path().join("image").exists() {
            path
        } else {
            self.folder.path().to_owned()
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // After a panic the file may still be open: the mount goes with it.
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.path())
            .status();
    }
}

/// A page-aligned packet that differs from every other one, at every place.
fn packet(sequence: u64, len: usize) -> PageBuffer {
    let mut packet = PageBuffer::new(len).unwrap();
    for (at, word) in packet.chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&(sequence << 32 | at as u64).to_le_bytes());
    }
    packet
}

/// Bytes of the file that are in the page cache.
fn resident_bytes(path: &Path) -> u64 {
    let output = run(Command::new("fincore")
        .args(["--noheadings", "--bytes", "--output", "RES"])
        .arg(path));
    String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}

/// Writes packets of several sizes; the file must hold exactly them. Gives the way taken.
fn write_packets(folder: &Path, kind: SinkKind, count: u64) -> WriteMethod {
    let path = folder.join("stream");
    let mut sink = FileSink::create(&path, kind, PACKET).unwrap();
    let mut expected = Vec::new();
    for sequence in 0..count {
        let len = if sequence % 3 == 1 { 4096 } else { PACKET };
        let mut packet = packet(sequence, len);
        sink.write_packet(&[IoSlice::new(&packet)]).unwrap();
        expected.extend_from_slice(&packet);
        assert_eq!(path.metadata().unwrap().len(), expected.len() as u64);
        packet.fill(0xff);
    }
    sink.finish().unwrap();
    let way = sink.report().way;
    if way == WriteMethod::Direct {
        assert_eq!(resident_bytes(&path), 0, "through the page cache after all");
    }
    assert!(fs::read(&path).unwrap() == expected, "{way}");
    let (blocks_bytes, len) = (
        path.metadata().unwrap().blocks() * 512,
        expected.len() as u64,
    );
    // An extent tree may take some more blocks.
    assert!(
        blocks_bytes <= len + (64 << 10),
        "{way}: {blocks_bytes} for {len}"
    );
    way
}

#[test]
fn ext4_and_xfs_take_packets_past_the_page_cache() {
    for disk in [Mounted::ext4(64 << 20), Mounted::xfs(320 << 20)] {
        assert_eq!(
            write_packets(&disk.path(), SinkKind::Auto, 60),
            WriteMethod::Direct
        );
        assert_eq!(
            write_packets(&disk.path(), SinkKind::Direct, 60),
            WriteMethod::Direct
        );
    }
}

#[test]
fn ext4_and_xfs_take_packets_by_splice_and_copy() {
    for disk in [Mounted::ext4(64 << 20), Mounted::xfs(320 << 20)] {
        assert_eq!(
            write_packets(&disk.path(), SinkKind::Splice, 60),
            WriteMethod::Splice
        );
        assert_eq!(
            write_packets(&disk.path(), SinkKind::Copy, 60),
            WriteMethod::Copy
        );
    }
}

#[test]
fn tmpfs_takes_packets_by_splice_and_the_reason_is_shown() {
    let memory = Mounted::tmpfs(64 << 20);
    assert_eq!(
        write_packets(&memory.path(), SinkKind::Auto, 60),
        WriteMethod::Splice
    );
    let path = memory.path().join("other");
    let sink = FileSink::create(&path, SinkKind::Auto, PACKET).unwrap();
    assert_eq!(
        sink.report().to_string(),
        "buffered splice: tmpfs keeps its files in memory"
    );
    let error = FileSink::create(&path, SinkKind::Direct, PACKET).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
}

/// Writes until the disk is full. The file must hold the packets that were taken, and when
/// there is space again take the next one behind them.
fn fill(folder: &Path, kind: SinkKind) {
    let ballast = folder.join("ballast");
    fs::write(&ballast, vec![1; 4 * PACKET]).unwrap();
    // What is written late must not be refused late.
    fs::File::open(&ballast).unwrap().sync_all().unwrap();
    let path = folder.join("stream");
    let mut sink = FileSink::create(&path, kind, PACKET).unwrap();
    let mut expected = Vec::new();
    let error = (0..)
        .find_map(|sequence| {
            let packet = packet(sequence, PACKET);
            let result = sink.write_packet(&[IoSlice::new(&packet)]);
            if result.is_ok() {
                expected.extend_from_slice(&packet);
            }
            result.err()
        })
        .unwrap();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    assert!(expected.len() > 4 * PACKET, "{kind:?}");
    assert!(fs::read(&path).unwrap() == expected, "{kind:?}");
    fs::remove_file(&ballast).unwrap();
    run(&mut Command::new("sync"));
    let last = packet(1 << 20, PACKET);
    sink.write_packet(&[IoSlice::new(&last)]).unwrap();
    expected.extend_from_slice(&last);
    sink.finish().unwrap();
    assert!(fs::read(&path).unwrap() == expected, "{kind:?}");
    fs::remove_file(&path).unwrap();
}

#[test]
fn a_full_disk_keeps_whole_packets() {
    let disks = [
        Mounted::tmpfs(8 << 20),
        Mounted::ext4(16 << 20),
        Mounted::xfs(320 << 20),
    ];
    for disk in disks {
        for kind in KINDS {
            fill(&disk.path(), kind);
        }
    }
}
