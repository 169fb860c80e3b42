//! The C types of the kernel's descriptions, by name.
//!
//! Format files give size and sign of a field in the record, which is enough for plain
//! tracepoints. Elements of dynamic arrays and arguments of system calls have only the
//! name of their type.

/// What is known about a C type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CType {
    /// Bytes: 1, 2, 4 or 8.
    pub size: u16,
    /// Two's complement.
    pub signed: bool,
    /// An address, displayed in hexadecimal.
    pub pointer: bool,
}

const fn number(size: u16, signed: bool) -> CType {
    CType {
        size,
        signed,
        pointer: false,
    }
}

const POINTER: CType = CType {
    size: 8,
    signed: false,
    pointer: true,
};

/// Looks a type up by its C name, on 64-bit kernels. `None` for structures and for types
/// that are unknown.
#[must_use]
pub fn lookup(c_type: &str) -> Option<CType> {
    if c_type.contains('*') {
        return Some(POINTER);
    }
    let name = strip_qualifiers(c_type);
    if name.starts_with("enum ") {
        return Some(number(4, false));
    }
    Some(match name {
        "bool" | "_Bool" | "u8" | "__u8" | "uint8_t" | "unsigned char" | "char" => number(1, false),
        "s8" | "__s8" | "int8_t" | "signed char" => number(1, true),
        "u16" | "__u16" | "uint16_t" | "unsigned short" | "umode_t" | "__le16" | "__be16" => {
            number(2, false)
        }
        "s16" | "__s16" | "int16_t" | "short" => number(2, true),
        "u32" | "__u32" | "uint32_t" | "unsigned int" | "unsigned" | "uint" | "uid_t" | "gid_t"
        | "dev_t" | "qid_t" | "gfp_t" | "__le32" | "__be32" => number(4, false),
        "s32" | "__s32" | "int32_t" | "int" | "pid_t" | "clockid_t" | "timer_t" | "mqd_t"
        | "key_t" | "key_serial_t" | "rwf_t" | "__kernel_rwf_t" => number(4, true),
        "u64" | "__u64" | "uint64_t" | "unsigned long" | "unsigned long long" | "size_t"
        | "ino_t" | "sector_t" | "cpumask_t" | "__le64" | "__be64" => number(8, false),
        "s64" | "__s64" | "int64_t" | "long" | "long long" | "ssize_t" | "loff_t" | "off_t"
        | "time64_t" | "ktime_t" => number(8, true),
        // Pointers in disguise.
        "cap_user_header_t" | "cap_user_data_t" | "aio_context_t" | "uintptr_t" => POINTER,
        _ => return None,
    })
}

/// `const int` is an `int`.
#[must_use]
pub fn strip_qualifiers(c_type: &str) -> &str {
    let mut name = c_type.trim();
    while let Some(rest) = ["const ", "volatile "]
        .iter()
        .find_map(|qualifier| name.strip_prefix(qualifier))
    {
        name = rest.trim_start();
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qualifiers_do_not_change_a_type() {
        assert_eq!(lookup("const clockid_t"), lookup("int"));
        assert_eq!(
            lookup("const enum landlock_rule_type"),
            Some(number(4, false))
        );
    }

    #[test]
    fn anything_with_a_star_is_a_pointer() {
        assert_eq!(lookup("const struct rlimit64 *"), Some(POINTER));
        assert_eq!(lookup("const void *const"), Some(POINTER));
    }

    #[test]
    fn structures_are_not_numbers() {
        assert_eq!(lookup("struct sockaddr"), None);
    }
}
