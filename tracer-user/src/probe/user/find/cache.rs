//! The cache of glibc's dynamic linker, `/etc/ld.so.cache`.

/// What its current format starts with (`sysdeps/generic/dl-cache.h` of glibc). An older format
/// may precede it.
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER_LEN: usize = 48;
const ENTRY_LEN: usize = 24;

/// A library of the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The name that programs ask for: `libc.so.6`.
    pub(super) soname: String,
    /// Its file.
    pub(super) path: String,
    /// It is for some CPUs only.
    pub(super) special: bool,
}

/// The entries in their order: a name may occur several times. None if the format is unknown.
pub(super) fn parse(bytes: &[u8]) -> Vec<Entry> {
    let start = bytes.windows(MAGIC.len()).position(|at| at == MAGIC);
    let Some(cache) = start.map(|start| &bytes[start..]) else {
        return Vec::new();
    };
    let count = number(cache, MAGIC.len()).unwrap_or(0);
    let entries = cache.get(HEADER_LEN..).unwrap_or_default();
    let entries = entries.chunks_exact(ENTRY_LEN).take(count);
    entries
        .filter_map(|entry| read_entry(cache, entry))
        .collect()
}

/// `int32_t flags; uint32_t key, value, osversion; uint64_t hwcap`, native byte order.
fn read_entry(cache: &[u8], entry: &[u8]) -> Option<Entry> {
    Some(Entry {
        soname: text(cache, number(entry, 4)?)?,
        path: text(cache, number(entry, 8)?)?,
        special: entry[16..].iter().any(|&byte| byte != 0),
    })
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    usize::try_from(u32::from_ne_bytes(*bytes)).ok()
}

fn text(bytes: &[u8], at: usize) -> Option<String> {
    let bytes = bytes.get(at..)?;
    let end = bytes.iter().position(|&byte| byte == 0)?;
    String::from_utf8(bytes[..end].to_vec()).ok()
}

/// A cache with these names and paths.
#[cfg(test)]
pub(super) fn build(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut cache = MAGIC.to_vec();
    cache.extend((entries.len() as u32).to_ne_bytes());
    cache.resize(HEADER_LEN, 0);
    let mut strings = Vec::new();
    let base = HEADER_LEN + entries.len() * ENTRY_LEN;
    for (soname, path) in entries {
        let mut place = |text: &str| {
            let at = (base + strings.len()) as u32;
            strings.extend(text.bytes().chain([0]));
            at.to_ne_bytes()
        };
        cache.extend([0; 4]);
        cache.extend(place(soname));
        cache.extend(place(path));
        cache.extend([0; 12]);
    }
    cache.extend(strings);
    cache
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_in_order_after_an_older_cache() {
        let expected = [
            ("libb.so.2", "/lib/libb.so.2"),
            ("liba.so.1", "/usr/lib/liba.so.1"),
        ];
        let mut bytes = b"ld.so-1.7.0\0\0\0\0\0".to_vec();
        bytes.extend(build(&expected));
        let entries = parse(&bytes);
        let found: Vec<(&str, &str)> = entries
            .iter()
            .map(|entry| (&*entry.soname, &*entry.path))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn damage_is_no_panic() {
        let bytes = build(&[("liba.so.1", "/lib/liba.so.1")]);
        for len in 0..bytes.len() {
            assert!(parse(&bytes[..len]).len() <= 1);
        }
        assert_eq!(parse(b"something else"), []);
    }
}
