//! Libraries by name: `libc.so.6`, `libc` or `c`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::names::alternatives;
use crate::probe::user::UserError;
use crate::probe::user::find::root::Root;
use crate::probe::user::find::{ProgramFile, cache};

const CACHE: &str = "/etc/ld.so.cache";

/// Folders that dynamic linkers search, besides those in the cache.
const FOLDERS: [&str; 5] = ["/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"];

/// Bytes of an ELF file up to and including its machine.
const ELF_START: usize = 20;

/// The libraries that a process can load.
pub(super) struct Libraries<'a> {
    root: &'a Root,
}

impl<'a> Libraries<'a> {
    pub(super) fn of(root: &'a Root) -> Self {
        Self { root }
    }

    /// The library with a name: one that the process has loaded, else one of the linker's cache,
    /// else one of its folders.
    ///
    /// # Errors
    /// If several libraries have it, such as two versions of one.
    pub(super) fn find(&self, name: &str) -> Result<Option<ProgramFile>, UserError> {
        for known in [Self::loaded, Self::cached, Self::in_folders] {
            let known = known(self);
            for matches in [is_named, is_named_without_version, is_named_without_lib] {
                let named = known.iter().filter(|(soname, _)| matches(soname, name));
                if let Some(found) = self.only(name, named)? {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// The only one of these that is a library of this architecture.
    fn only<'n>(
        &self,
        name: &str,
        named: impl Iterator<Item = &'n (String, PathBuf)>,
    ) -> Result<Option<ProgramFile>, UserError> {
        let own = elf_start(Path::new("/proc/self/exe"));
        let mut found: BTreeMap<(u64, u64), (&str, ProgramFile)> = BTreeMap::new();
        let mut sonames = Vec::new();
        for (soname, path) in named {
            // The linker takes the first of the same name.
            if sonames.contains(&soname) {
                continue;
            }
            let file = self.root.file(path);
            let Some(start) = elf_start(&file) else {
                continue;
            };
            if own.is_some_and(|own| !is_same_machine(&own, &start)) {
                continue;
            }
            let Ok(known) = fs::metadata(&file) else {
                continue;
            };
            sonames.push(soname);
            let name = path.clone();
            found
                .entry((known.dev(), known.ino()))
                .or_insert((soname, ProgramFile { name, file }));
        }
        if found.len() > 1 {
            return Err(UserError::SeveralLibraries {
                name: name.to_owned(),
                libraries: alternatives(found.values().map(|(soname, _)| soname)),
            });
        }
        Ok(found.into_values().next().map(|(_, file)| file))
    }

    /// What the process has mapped, by file name.
    fn loaded(&self) -> Vec<(String, PathBuf)> {
        let Some(maps) = self.root.maps() else {
            return Vec::new();
        };
        let text = fs::read(maps).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let paths = text.lines().filter_map(|line| {
            let path = &line[line.find('/')?..];
            let soname = path.rsplit('/').next()?;
            Some((soname.to_owned(), PathBuf::from(path)))
        });
        let mut found: Vec<_> = paths.collect();
        found.dedup();
        found
    }

    /// Of the cache, those for all CPUs first.
    fn cached(&self) -> Vec<(String, PathBuf)> {
        let bytes = fs::read(self.root.file(Path::new(CACHE))).unwrap_or_default();
        let mut entries = cache::parse(&bytes);
        entries.sort_by_key(|entry| entry.special);
        let entries = entries.into_iter();
        entries
            .map(|entry| (entry.soname, PathBuf::from(entry.path)))
            .collect()
    }

    /// Of the folders, and of theirs for one architecture (`/usr/lib/x86_64-linux-gnu`).
    fn in_folders(&self) -> Vec<(String, PathBuf)> {
        let mut found = Vec::new();
        for folder in FOLDERS.map(Path::new) {
            let mut inner = Vec::new();
            for (name, path) in self.entries(folder) {
                if name.contains(".so") {
                    found.push((name, path));
                } else if name.contains("-linux-") {
                    inner.extend(self.entries(&path));
                }
            }
            found.extend(inner);
        }
        found
    }

    fn entries(&self, folder: &Path) -> Vec<(String, PathBuf)> {
        let Ok(entries) = fs::read_dir(self.root.file(folder)) else {
            return Vec::new();
        };
        let names = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok());
        let mut found: Vec<_> = names
            .map(|name| {
                let path = folder.join(&name);
                (name, path)
            })
            .collect();
        found.sort();
        found
    }
}

fn is_named(soname: &str, name: &str) -> bool {
    soname == name
}

/// `libc.so.6` for `libc`, and for `libc.so`.
fn is_named_without_version(soname: &str, name: &str) -> bool {
    let rest = soname.strip_prefix(name.strip_suffix(".so").unwrap_or(name));
    let rest = rest.and_then(|rest| rest.strip_prefix(".so"));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// `libc.so.6` for `c`.
fn is_named_without_lib(soname: &str, name: &str) -> bool {
    let soname = soname.strip_prefix("lib");
    soname.is_some_and(|soname| is_named_without_version(soname, name))
}

/// The start of an ELF file, which names its machine.
fn elf_start(path: &Path) -> Option<[u8; ELF_START]> {
    let mut start = [0; ELF_START];
    // A FIFO would block.
    let is_file = fs::metadata(path).is_ok_and(|known| known.is_file());
    let mut file = is_file.then(|| fs::File::open(path).ok())??;
    file.read_exact(&mut start).ok()?;
    start.starts_with(b"\x7fELF").then_some(start)
}

/// Class (byte 4), byte order (byte 5) and machine (bytes 18 and 19).
fn is_same_machine(a: &[u8; ELF_START], b: &[u8; ELF_START]) -> bool {
    a[4..6] == b[4..6] && a[18..] == b[18..]
}
