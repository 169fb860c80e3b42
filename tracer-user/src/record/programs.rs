//! The eBPF programs that this binary carries: the object file that `cargo xtask build`
//! embeds, or nothing when the binary was built by plain cargo.

/// The object is read in place as ELF, so it must keep that format's alignment.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tracer-ebpf.o"));

/// The embedded eBPF object file, or `None` when this binary was built without one; it
/// can then read traces but not record them.
#[must_use]
pub fn object() -> Option<&'static [u8]> {
    (!OBJECT.is_empty()).then_some(OBJECT)
}
