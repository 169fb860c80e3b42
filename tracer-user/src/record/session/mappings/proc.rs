//! What is mapped in processes now: `/proc/PID/maps`, and the build ids of files.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::record::session::mappings::records::{File, Mapped};
use crate::trace::sidecar::mappings::Mapping;

/// Files that are remembered; when there are more, all are forgotten.
const MAX_REMEMBERED: usize = 8192;

/// Reads what is mapped.
pub(super) struct Proc {
    root: PathBuf,
    /// By device and inode.
    build_ids: HashMap<Box<str>, Box<[u8]>>,
}

impl Proc {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            build_ids: HashMap::new(),
        }
    }

    /// The code of a process, and when it was read.
    ///
    /// # Errors
    /// If the process is gone.
    pub(super) fn read(
        &mut self,
        pid: u32,
        now_ns: impl Fn() -> u64,
    ) -> io::Result<(u64, Vec<Mapping>)> {
        let maps = fs::read(self.process(pid).join("maps"))?;
        // Behind it: a program that was executed meanwhile has mapped its own code later.
        let read_ns = now_ns();
        let lines = maps
            .split(|&byte| byte == b'\n')
            .filter_map(MapsLine::parse);
        let mappings = lines.map(|line| Mapping {
            build_id: self.build_id(pid, &line.range, line.file, line.path),
            path: line.path(),
            file_offset: line.file_offset,
            range: line.range,
        });
        Ok((read_ns, mappings.collect()))
    }

    /// A mapping that the kernel reported, with the build id added if it found none.
    pub(super) fn complete(&mut self, pid: u32, mapped: &Mapped<'_>) -> Mapping {
        let build_id = match mapped.file {
            File::BuildId(build_id) => build_id.into(),
            File::Inode {
                major,
                minor,
                number,
            } => {
                let file = format!("{major:02x}:{minor:02x} {number}");
                self.build_id(pid, &mapped.range, &file, mapped.path)
            }
        };
        Mapping {
            range: mapped.range.clone(),
            file_offset: mapped.file_offset,
            build_id,
            path: mapped.path.into(),
        }
    }

    /// The build id of `file` (device and inode), which `pid` has mapped; empty where it has
    /// none, or the process is gone.
    fn build_id(&mut self, pid: u32, range: &Range<u64>, file: &str, path: &[u8]) -> Box<[u8]> {
        if !path.starts_with(b"/") {
            return Box::default();
        }
        if let Some(known) = self.build_ids.get(file) {
            return known.clone();
        }
        // The file itself, whatever its path means by now.
        let link = format!("map_files/{:x}-{:x}", range.start, range.end);
        let link = self.process(pid).join(link);
        let Ok(metadata) = fs::metadata(&link) else {
            return Box::default();
        };
        // opening a device would do something
        let is_file = metadata.is_file();
        let build_id: Box<[u8]> = is_file
            .then(|| blazesym::helper::read_elf_build_id(&link).ok().flatten())
            .flatten()
            .map_or_else(Box::default, |id| id.into_owned().into());
        if self.build_ids.len() >= MAX_REMEMBERED {
            self.build_ids.clear();
        }
        self.build_ids.insert(file.into(), build_id.clone());
        build_id
    }

    fn process(&self, pid: u32) -> PathBuf {
        self.root.join(pid.to_string())
    }
}

/// Code in `/proc/PID/maps`: `START-END PERMISSIONS OFFSET DEVICE INODE PATH`.
struct MapsLine<'a> {
    range: Range<u64>,
    file_offset: u64,
    /// Device and inode.
    file: &'a str,
    path: &'a [u8],
}

impl<'a> MapsLine<'a> {
    /// `None` for what is no code of a file or of the kernel.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let path_at = line.iter().position(|byte| matches!(byte, b'/' | b'['))?;
        let (numbers, path) = line.split_at(path_at);
        let numbers = std::str::from_utf8(numbers).ok()?.trim_end();
        let mut columns = numbers.splitn(4, ' ');
        let (start, end) = columns.next()?.split_once('-')?;
        columns.next()?.contains('x').then_some(())?;
        let hexadecimal = |text: &str| u64::from_str_radix(text, 16).ok();
        Some(Self {
            range: hexadecimal(start)?..hexadecimal(end)?,
            file_offset: hexadecimal(columns.next()?)?,
            file: columns.next()?,
            path,
        })
    }

    /// Without what the kernel adds (`seq_file_path`, `fs/seq_file.c`).
    fn path(&self) -> Box<[u8]> {
        let path = self.path.strip_suffix(b" (deleted)").unwrap_or(self.path);
        if !path.contains(&b'\\') {
            return path.into();
        }
        String::from_utf8_lossy(path)
            .replace("\\012", "\n")
            .into_bytes()
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
55f0c0a00000-55f0c0a02000 r--p 00000000 fe:00 1234                       /usr/bin/cat
55f0c0a02000-55f0c0a06000 r-xp 00002000 fe:00 1234                       /usr/bin/cat
7f0000000000-7f0000001000 r-xp 00000000 00:00 0 
7f0000002000-7f0000003000 r-xp 00001000 fe:00 99                         /a b/lib.so (deleted)
7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]
7ffd00022000-7ffd00024000 r-xp 00000000 00:00 0                          [vdso]
";

    fn read(maps: &str) -> Vec<Mapping> {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("7")).unwrap();
        fs::write(root.path().join("7/maps"), maps).unwrap();
        let (read_ns, mappings) = Proc::new(root.path()).read(7, || 5).unwrap();
        assert_eq!(read_ns, 5);
        mappings
    }

    fn own_code() -> u64 {
        own_code as fn() -> u64 as usize as u64
    }

    #[test]
    fn code_of_files_and_of_the_kernel_is_read() {
        let found: Vec<_> = read(MAPS)
            .into_iter()
            .map(|mapping| {
                let path = String::from_utf8(mapping.path.into()).unwrap();
                (mapping.range, mapping.file_offset, path)
            })
            .collect();
        let code = |start, end, offset, path: &str| (start..end, offset, path.to_owned());
        let expected = [
            code(0x55f0_c0a0_2000, 0x55f0_c0a0_6000, 0x2000, "/usr/bin/cat"),
            code(0x7f00_0000_2000, 0x7f00_0000_3000, 0x1000, "/a b/lib.so"),
            code(0x7ffd_0002_2000, 0x7ffd_0002_4000, 0, "[vdso]"),
        ];
        assert_eq!(found, expected);
    }

    /// As `/proc` says, and for what the kernel reported without a build id.
    #[test]
    fn build_ids_are_those_of_the_files_that_are_mapped() {
        let own = std::process::id();
        let mut proc = Proc::new(Path::new("/proc"));
        let (_, mappings) = proc.read(own, || 0).unwrap();
        let mapping = mappings
            .into_iter()
            .find(|mapping| mapping.range.contains(&own_code()))
            .unwrap();
        let exe = std::env::current_exe().unwrap();
        assert_eq!(*mapping.path, *exe.as_os_str().as_encoded_bytes());
        // reading it by the process takes a privilege
        if rustix::process::geteuid().is_root() {
            let build_id = blazesym::helper::read_elf_build_id(&exe).unwrap();
            assert_eq!(*mapping.build_id, *build_id.unwrap_or_default());
            let mapped = Mapped {
                range: mapping.range.clone(),
                file_offset: mapping.file_offset,
                file: File::Inode {
                    major: 0,
                    minor: 0,
                    number: 1,
                },
                path: &mapping.path,
            };
            assert_eq!(proc.complete(own, &mapped), mapping);
        }
    }

    #[test]
    fn a_file_of_a_process_that_is_gone_is_asked_for_again() {
        let root = tempfile::tempdir().unwrap();
        let mut proc = Proc::new(root.path());
        assert!(proc.build_id(7, &(0..1), "fe:00 1", b"/bin/x").is_empty());
        assert!(proc.build_ids.is_empty());
        assert!(proc.read(7, || 0).is_err());
    }
}
