//! The eBPF object inside a binary that `cargo xtask` built.

use tracer::record::programs;

/// `e_machine` of eBPF objects, at byte 18 of an ELF header (`elf.h`).
const EM_BPF: [u8; 2] = 247_u16.to_le_bytes();

#[test]
fn the_object_is_for_ebpf() {
    let object = programs::object().expect("built with an object");
    assert_eq!(object[18..20], EM_BPF);
}
