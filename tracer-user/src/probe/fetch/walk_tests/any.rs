//! Texts and types of any kind.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::probe::fetch::returned_and_arguments;

/// [`kernel`], made once for many texts.
static KERNEL: LazyLock<KernelBtf> = LazyLock::new(kernel);

/// Parts of fetch lists, some of which fit together.
const PARTS: [&str; 30] = [
    "path",
    "file",
    "arg0",
    "ret",
    "buf",
    "color",
    "->",
    ".",
    "dentry",
    "d_name",
    "name",
    "ino",
    "comm",
    "words",
    "bits",
    "cross",
    "links",
    "[1]",
    "[4294967295]",
    "*",
    "&",
    "(",
    ")",
    "(struct sock *)",
    "(u32)",
    "(char __user **)",
    ":str",
    ":x32",
    ",",
    "family",
];

proptest! {
    #[test]
    fn no_way_is_a_panic(
        parts in prop::collection::vec(prop::sample::select(&PARTS[..]), 1..12),
    ) {
        let Ok(list) = FetchList::parse(&parts.join("")) else {
            return Ok(());
        };
        let kernel = &*KERNEL;
        let (open, typed) = (kernel.function("vfs_open"), kernel.function("typed"));
        for scope in [
            Scope::entry(None, open.as_ref()),
            Scope::exit_with_arguments(&typed.unwrap()),
            Scope::user_entry(Some(kernel.vmlinux())),
            Scope::entry(None, None),
        ] {
            match list.resolve(&scope) {
                Ok(fetched) => prop_assert_eq!(fetched.len(), list.items().len()),
                Err(error) => prop_assert_eq!(error.to_string().lines().count(), 3),
            }
        }
    }

    #[test]
    fn damaged_types_are_no_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut bytes = types().bytes();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let Ok(kernel) = in_folder(&bytes) else {
            return Ok(());
        };
        for function in kernel.functions().filter_map(|name| kernel.function(name)) {
            let fetched = returned_and_arguments(&function);
            prop_assert!(fetched.len() <= 1 + function.prototype.arguments().count());
            let scope = Scope::entry(None, Some(&function));
            for text in ["path->dentry->d_name.name", "file[3].f_path.dentry->bits.cross:d"] {
                // Whatever comes of it.
                drop(fetch_all(text, &scope));
            }
        }
    }
}
