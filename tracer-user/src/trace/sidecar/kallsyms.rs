//! Kernel functions: the hidden file [`FILE_NAME`] of a trace with call stacks.
//!
//! The lines are those of `/proc/kallsyms`, `ADDRESS TYPE NAME [MODULE]`, for functions only. The
//! kernel is at different addresses after each boot, so they cannot be looked up later.

use std::path::Path;
use std::{fs, io};

/// Name of the file in the folder of a trace or of its chunks.
pub const FILE_NAME: &str = ".kallsyms";

/// Maximum size of a function in bytes: an address further from the start of one is not in it.
const MAX_FUNCTION_LEN: u64 = 1 << 20;

/// Reads the functions of the running kernel from `proc` (`/proc`), as the content of such a
/// file; `None` if the kernel hides addresses (`kernel.kptr_restrict`).
pub fn read_running(proc: &Path) -> io::Result<Option<String>> {
    let all = fs::read_to_string(proc.join("kallsyms"))?;
    let mut functions = String::with_capacity(all.len());
    for line in all.lines() {
        if parse_line(line).is_some_and(|symbol| !is_padding(symbol.name)) {
            functions.push_str(line);
            functions.push('\n');
        }
    }
    Ok((!functions.is_empty()).then_some(functions))
}

/// Whether a symbol is the padding before a function.
fn is_padding(name: &str) -> bool {
    name.starts_with("__pfx_") || name.starts_with("__cfi_")
}

/// A kernel function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelSymbol<'a> {
    /// Start address.
    pub address: u64,
    /// Name.
    pub name: &'a str,
    /// Name of its module, without brackets; `None` for the kernel itself.
    pub module: Option<&'a str>,
}

/// The functions of the kernel that was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelSymbols {
    text: String,
    /// Address, and offset of its line in `text`, sorted.
    lines: Vec<(u64, usize)>,
}

impl KernelSymbols {
    /// Reads the file of the trace in `folder`; `None` if it has no such file.
    pub fn open(folder: &Path) -> io::Result<Option<Self>> {
        match fs::read(folder.join(FILE_NAME)) {
            Ok(bytes) => Ok(Some(Self::parse(
                String::from_utf8_lossy(&bytes).into_owned(),
            ))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Parses the content of such a file; malformed lines are ignored.
    #[must_use]
    pub fn parse(text: String) -> Self {
        let mut lines = Vec::new();
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            if let Some(symbol) = parse_line(line) {
                lines.push((symbol.address, start));
            }
            start += line.len();
        }
        // the first of several names for a function counts
        lines.sort_by_key(|&(address, _)| address);
        lines.dedup_by_key(|&mut (address, _)| address);
        Self { text, lines }
    }

    /// The function that contains `address`.
    #[must_use]
    pub fn find(&self, address: u64) -> Option<KernelSymbol<'_>> {
        let next = self.lines.partition_point(|&(start, _)| start <= address);
        let &(_, line) = self.lines.get(next.checked_sub(1)?)?;
        let symbol = parse_line(self.text[line..].lines().next()?)?;
        (address - symbol.address < MAX_FUNCTION_LEN).then_some(symbol)
    }
}

fn parse_line(line: &str) -> Option<KernelSymbol<'_>> {
    let mut columns = line.split_ascii_whitespace();
    let address = u64::from_str_radix(columns.next()?, 16).ok()?;
    matches!(columns.next()?, "t" | "T" | "w" | "W").then_some(())?;
    let name = columns.next()?;
    let module = columns.next().map(|module| {
        let module = module.strip_prefix('[').unwrap_or(module);
        module.strip_suffix(']').unwrap_or(module)
    });
    (address != 0).then_some(KernelSymbol {
        address,
        name,
        module,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
ffffffff81000000 T _text
ffffffff81000000 T _stext
ffffffff81000010 D some_data
ffffffff81000100 t vfs_read
ffffffff810000f0 t __pfx_vfs_read
torn
ffffffffc0000000 t kvm_exit\t[kvm]
";

    fn found(address: u64) -> Option<(&'static str, Option<&'static str>)> {
        let symbols = Box::leak(Box::new(KernelSymbols::parse(TEXT.to_owned())));
        let symbol = symbols.find(address)?;
        Some((symbol.name, symbol.module))
    }

    #[test]
    fn an_address_is_in_the_nearest_function_before_it() {
        assert_eq!(found(0xffff_ffff_8100_0000), Some(("_text", None)));
        assert_eq!(found(0xffff_ffff_8100_00ef), Some(("_text", None)));
        assert_eq!(found(0xffff_ffff_8100_0180), Some(("vfs_read", None)));
        assert_eq!(
            found(0xffff_ffff_c000_0007),
            Some(("kvm_exit", Some("kvm")))
        );
    }

    #[test]
    fn an_address_far_from_all_functions_is_in_none() {
        assert_eq!(found(0xffff_ffff_8120_0000), None);
        assert_eq!(found(0x1000), None);
        assert_eq!(found(u64::MAX), None);
    }

    #[test]
    fn only_functions_are_kept() {
        let proc = tempfile::tempdir().unwrap();
        fs::write(proc.path().join("kallsyms"), TEXT).unwrap();
        let kept = read_running(proc.path()).unwrap().unwrap();
        let names: Vec<_> = kept
            .lines()
            .map(|line| line.split_whitespace().nth(2))
            .collect();
        assert_eq!(names, ["_text", "_stext", "vfs_read", "kvm_exit"].map(Some));
    }

    #[test]
    fn hidden_addresses_are_ignored() {
        let proc = tempfile::tempdir().unwrap();
        let hidden = "0000000000000000 T _text\n0000000000000000 t vfs_read\n";
        fs::write(proc.path().join("kallsyms"), hidden).unwrap();
        assert_eq!(read_running(proc.path()).unwrap(), None);
        assert_eq!(KernelSymbols::open(proc.path()).unwrap(), None);
    }
}
