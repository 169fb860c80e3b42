//! Files of made-up file systems.

use std::os::unix::fs::symlink;

use super::*;

/// A file system with these libraries, each a copy of the start of this program.
struct System(tempfile::TempDir);

impl System {
    fn new(files: &[&str]) -> Self {
        let system = Self(tempfile::tempdir().unwrap());
        let program = fs::read("/proc/self/exe").unwrap();
        for path in files {
            system.write(path, &program[..64]);
        }
        system
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.0.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn cache(self, entries: &[(&str, &str)]) -> Self {
        self.write("/etc/ld.so.cache", &cache::build(entries));
        self
    }

    fn find(&self, name: &str) -> Result<Vec<ProgramFile>, UserError> {
        let finder = Finder {
            roots: vec![Root::at(self.0.path())],
            commands: vec!["/usr/bin".into()],
        };
        finder.find(name)
    }

    /// The name of the only file.
    fn name(&self, name: &str) -> String {
        let found = self.find(name).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].file.starts_with(self.0.path()));
        found[0].name.display().to_string()
    }
}

#[test]
fn libraries_are_found_in_the_cache() {
    let system = System::new(&["/opt/libq.so.6", "/opt/32/libq.so.6"]).cache(&[
        ("libq.so.6", "/opt/32/libq.so.6"),
        ("libq.so.6", "/opt/libq.so.6"),
    ]);
    // Of another architecture: its machine is different.
    let mut other = fs::read("/proc/self/exe").unwrap()[..64].to_vec();
    other[18] ^= 1;
    system.write("/opt/32/libq.so.6", &other);
    for name in ["libq.so.6", "libq.so", "libq", "q"] {
        assert_eq!(system.name(name), "/opt/libq.so.6", "{name}");
    }
    for name in ["lib", "libq.so.7", "q.so.6.1"] {
        let error = system.find(name).unwrap_err();
        assert!(matches!(error, UserError::NotFound { .. }), "{error}");
    }
}

#[test]
fn without_a_cache_the_folders_are_searched() {
    let system = System::new(&["/usr/lib/some-linux-gnu/liba.so.1", "/lib/libb.so"]);
    // A script of the linker.
    system.write(
        "/usr/lib/some-linux-gnu/liba.so",
        b"GROUP ( liba.so.1 AS_NEEDED ( libc.so.6 ) )",
    );
    assert_eq!(system.name("liba"), "/usr/lib/some-linux-gnu/liba.so.1");
    assert_eq!(system.name("libb"), "/lib/libb.so");
}

#[test]
fn two_versions_of_a_library_are_listed() {
    let system = System::new(&["/lib/libssl.so.1.1", "/lib/libssl.so.3"]);
    symlink("libssl.so.3", system.0.path().join("lib/libssl.so.3.0")).unwrap();
    let error = system.find("libssl").unwrap_err().to_string();
    assert!(
        error.contains("`libssl.so.1.1` or `libssl.so.3`"),
        "{error}"
    );
    assert_eq!(system.name("libssl.so.3"), "/lib/libssl.so.3");
}

#[test]
fn commands_are_found_by_name_and_paths_in_the_root() {
    let system = System::new(&["/usr/bin/app"]);
    assert_eq!(system.name("app"), "/usr/bin/app");
    assert_eq!(system.name("/usr/bin/app"), "/usr/bin/app");
    // What the process does not see may be there for the user.
    let found = system.find("/proc/self/exe").unwrap();
    assert_eq!(found, [here(Path::new("/proc/self/exe"))]);
}
