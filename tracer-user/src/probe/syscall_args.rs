//! Facts about arguments of system calls beyond their C type: which pointers are
//! strings, and which numbers are flags, modes and addresses.

use crate::kernel::tracefs::ctype;
use crate::trace::event::{Display, IntegerType};

/// Names under which the kernel declares `const char *` arguments that are
/// NUL-terminated. Buffers with a length beside them (`buf`, `u_msg_ptr`) are not here.
const STRING_NAMES: [&str; 26] = [
    "_callout_info",
    "_description",
    "_fs_name",
    "_key",
    "_type",
    "filename",
    "from_pathname",
    "library",
    "name",
    "name_user",
    "new_root",
    "newname",
    "oldname",
    "path",
    "pathname",
    "put_old",
    "special",
    "specialfile",
    "to_pathname",
    "type",
    "u_name",
    "uargs",
    "uname",
    // as other kernel versions have them
    "cmdline_ptr",
    "new",
    "old",
];

/// Strings that the kernel declares as plain `char *`, by call and argument.
const PLAIN_STRINGS: [(&str, &str); 6] = [
    ("mount", "dev_name"),
    ("mount", "dir_name"),
    ("mount", "type"),
    ("umount", "name"),
    ("utime", "filename"),
    ("utimes", "filename"),
];

/// Whether an argument points to a NUL-terminated string of user space that the call
/// reads.
#[must_use]
pub fn is_string(call: &str, c_type: &str, name: &str) -> bool {
    match c_type {
        "const char *" => STRING_NAMES.contains(&name),
        "char *" => PLAIN_STRINGS.contains(&(call, name)),
        _ => false,
    }
}

/// Size, sign and display of an argument that is not a string.
#[must_use]
pub fn argument_type(call: &str, c_type: &str, name: &str) -> IntegerType {
    // The kernel takes these as a whole register and uses the low half as a descriptor;
    // -1 is common.
    if name == "fd" && c_type == "unsigned long" {
        return IntegerType::natural(4, true, Display::Decimal);
    }
    let Some(known) = ctype::lookup(c_type) else {
        return IntegerType::natural(8, false, Display::Hexadecimal);
    };
    let display = if known.pointer {
        Display::Hexadecimal
    } else if c_type == "umode_t" || is_octal(call, name) {
        Display::Octal
    } else if is_hexadecimal(call, c_type, name) {
        Display::Hexadecimal
    } else {
        Display::Decimal
    };
    IntegerType::natural(known.size, known.signed, display)
}

/// Permission bits in an `int`.
fn is_octal(call: &str, name: &str) -> bool {
    matches!(
        (call, name),
        ("umask", "mask") | ("access" | "faccessat" | "faccessat2", "mode")
    ) || matches!(name, "msgflg" | "semflg" | "shmflg")
}

/// Bits and addresses.
fn is_hexadecimal(call: &str, c_type: &str, name: &str) -> bool {
    let flags = name.ends_with("flags") || name.ends_with("_flag") || name.ends_with("mask");
    let address = c_type == "unsigned long"
        && matches!(
            name,
            "addr" | "new_addr" | "start" | "brk" | "newsp" | "tls" | "data" | "arg"
        );
    let opaque = c_type == "unsigned long"
        && name
            .strip_prefix("arg")
            .is_some_and(|digit| digit.len() == 1);
    flags
        || address
        || opaque
        || matches!(
            name,
            "flag" | "oflag" | "personality" | "prot" | "magic1" | "magic2"
        )
        || matches!(
            (call, name),
            ("ioctl" | "reboot", "cmd") | ("fallocate", "mode") | ("rseq", "sig")
        )
}

/// Whether a call returns an address.
#[must_use]
pub fn returns_address(call: &str) -> bool {
    matches!(call, "mmap" | "brk" | "mremap" | "shmat")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn display(call: &str, c_type: &str, name: &str) -> Display {
        argument_type(call, c_type, name).display
    }

    #[test]
    fn buffers_are_no_strings() {
        assert!(!is_string("write", "const char *", "buf"));
        assert!(!is_string("mq_timedsend", "const char *", "u_msg_ptr"));
        assert!(!is_string("sethostname", "char *", "name"));
        assert!(!is_string("read", "char *", "buf"));
        assert!(!is_string("execve", "const char *const *", "argv"));
        assert!(is_string("memfd_create", "const char *", "uname"));
        assert!(is_string("mount", "char *", "dir_name"));
    }

    #[test]
    fn flags_are_hexadecimal_and_modes_octal() {
        assert_eq!(display("openat", "int", "flags"), Display::Hexadecimal);
        assert_eq!(
            display("clone", "unsigned long", "clone_flags"),
            Display::Hexadecimal
        );
        assert_eq!(display("mkdir", "umode_t", "mode"), Display::Octal);
        assert_eq!(display("umask", "int", "mask"), Display::Octal);
        assert_eq!(
            display("inotify_add_watch", "u32", "mask"),
            Display::Hexadecimal
        );
        assert_eq!(display("read", "size_t", "count"), Display::Decimal);
        assert_eq!(
            display("prctl", "unsigned long", "arg2"),
            Display::Hexadecimal
        );
    }

    #[test]
    fn a_descriptor_in_a_register_is_an_int() {
        let fd = argument_type("mmap", "unsigned long", "fd");
        assert_eq!((fd.size_bits, fd.signed), (32, true));
    }

    #[test]
    fn types_that_are_not_known_are_whole_registers() {
        let unknown = argument_type("x", "struct odd", "y");
        assert_eq!(
            (unknown.size_bits, unknown.display),
            (64, Display::Hexadecimal)
        );
    }
}
