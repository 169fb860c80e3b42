//! Ways through made-up types.

mod any;
mod messages;
mod scopes;
mod steps;

use super::*;
use crate::kernel::btf::builder::Builder;
use crate::kernel::btf::{KernelBtf, KernelBtfError};
use crate::probe::fetch::{Base, Fetch, FetchError, FetchList, Load, Scope};
use crate::trace::event::{Display, FieldType, IntegerType};

/// The kernel of [`types`].
fn kernel() -> KernelBtf {
    in_folder(&types().bytes()).unwrap()
}

/// A kernel with `vfs_open(const struct path *path, struct file *file)`,
/// `typed(...)` with arguments of many types, and the raw tracepoint `exec`.
fn types() -> Builder {
    let mut btf = Builder::new();
    let int = btf.integer("int", 4, true);
    let uint = btf.integer("unsigned int", 4, false);
    let word = btf.integer("long unsigned int", 8, false);
    let char = btf.integer("char", 1, true);
    let byte = btf.integer("unsigned char", 1, false);
    let boolean = btf.boolean();
    let const_char = btf.constant(char);
    let text = btf.pointer(const_char);
    let user_char = btf.user(char);
    let user_text = btf.pointer(user_char);
    let user_word = btf.user(text);
    let user_pointers = btf.pointer(user_word);
    let qstr = btf.structure("qstr", 16, &[("hash", uint, 0), ("name", text, 8)]);
    let comm = btf.array(char, 16);
    let mac = btf.array(byte, 6);
    let rest = btf.array(char, 0);
    let words = btf.array(word, 4);
    let inner = btf.union("", 8, &[("ino", word), ("seq", uint)]);
    let flags = btf.bit_fields(
        "flags",
        8,
        &[
            ("low", uint, 0, 3),
            ("cross", int, 6, 12),
            ("wide", word, 33, 31),
        ],
    );
    let unknown = btf.forward("unknown");
    let unknown = btf.pointer(unknown);
    let dentry = btf.structure(
        "dentry",
        144,
        &[
            ("d_name", qstr, 16),
            ("", inner, 32),
            ("comm", comm, 40),
            ("mac", mac, 56),
            ("words", words, 64),
            ("bits", flags, 96),
            ("secret", unknown, 104),
            ("links", user_pointers, 112),
            ("rest", rest, 144),
        ],
    );
    let dentry = btf.pointer(dentry);
    let path = btf.structure("path", 16, &[("mnt", word, 0), ("dentry", dentry, 8)]);
    let const_path = btf.constant(path);
    let path = btf.pointer(const_path);
    let mode = btf.typedef("fmode_t", uint);
    let file = btf.structure(
        "file",
        64,
        &[("f_mode", mode, 4), ("f_path", const_path, 16)],
    );
    let file = btf.pointer(file);
    btf.function("vfs_open", int, &[("path", path), ("file", file)]);
    let color = btf.enumeration("color", true, &[("NONE", -1), ("BLUE", 7)]);
    let double = btf.float("double", 8);
    btf.function(
        "typed",
        0,
        &[
            ("flag", boolean),
            ("color", color),
            ("", text),
            ("ratio", double),
            ("buf", user_text),
            ("flag", file),
            ("n", mode),
            ("late", int),
        ],
    );
    btf.function("checked", int, &[("ret", int), ("arg5", int)]);
    let void = btf.pointer(0);
    let exec = btf.prototype(0, &[("__data", void), ("file", file), ("pid", int)]);
    let exec = btf.pointer(exec);
    btf.typedef("btf_trace_exec", exec);
    btf.structure("sock", 16, &[("family", uint, 4)]);
    btf.typedef("u32", uint);
    btf
}

fn in_folder(btf: &[u8]) -> std::result::Result<KernelBtf, KernelBtfError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("kernel/btf")).unwrap();
    std::fs::write(folder.path().join("kernel/btf/vmlinux"), btf).unwrap();
    KernelBtf::read(folder.path())
}

fn fetch_all(text: &str, scope: &Scope<'_>) -> std::result::Result<Vec<Fetched>, FetchError> {
    FetchList::parse(text).unwrap().resolve(scope)
}

/// The only value of a list where `vfs_open` is entered.
fn fetch(text: &str) -> Fetched {
    let kernel = kernel();
    let scope = Scope::entry(None, kernel.function("vfs_open").as_ref());
    fetch_all(text, &scope).unwrap().remove(0)
}

fn problem(text: &str) -> FetchProblem {
    let kernel = kernel();
    let scope = Scope::entry(None, kernel.function("vfs_open").as_ref());
    fetch_all(text, &scope).unwrap_err().problem().clone()
}

fn natural(size: u16, signed: bool, display: Display) -> FieldType {
    FieldType::Integer(IntegerType::natural(size, signed, display))
}

fn way(argument: u8, steps: &[i64], load: Load) -> Fetch {
    Fetch {
        base: Base::Argument(argument),
        steps: steps.to_vec(),
        load,
    }
}

fn number(offset: i64, size: u8) -> Load {
    Load::Number {
        offset,
        size,
        bits: None,
        memory: Memory::Kernel,
    }
}

fn string(offset: i64, memory: Memory) -> Load {
    Load::String { offset, memory }
}
