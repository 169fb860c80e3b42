//! Programs as instructions, to be copied and completed for each plan.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result, anyhow};
use aya::maps::{Map, MapData};
use aya_obj::Object;
use aya_obj::generated::{BPF_PSEUDO_CALL, BPF_PSEUDO_KFUNC_CALL, BPF_PSEUDO_MAP_VALUE, bpf_insn};
use tracer_common::{ProbeSpec, hook};

use crate::sys::bpf;

/// The section of the object in whose place the table of specifications is put.
const SPEC_SECTION: &str = ".rodata.spec";

/// The map of calls in progress. The size of its values depends on the probes.
const ENTRIES: &str = "ENTRIES";

/// The storage of system calls under way. The size of its values depends on the probes.
const CALLS: &str = "CALLS";

/// All programs of the object, with the table of specifications that their copies use.
pub(super) struct Templates {
    programs: HashMap<String, Vec<bpf_insn>>,
    license: CString,
    specs: OwnedFd,
    /// Open until all programs are loaded.
    _entries: OwnedFd,
    _calls: Option<OwnedFd>,
}

impl Templates {
    /// Reads the programs of `object`, whose maps aya has created as `maps`, for the probes
    /// that `specs` describes. `entries` is the map of calls in progress, `calls` that of system
    /// calls, if whole ones are recorded.
    pub(super) fn new<'a>(
        object: &[u8],
        maps: impl Iterator<Item = (&'a str, &'a Map)>,
        specs: &[ProbeSpec],
        entries: OwnedFd,
        calls: Option<OwnedFd>,
    ) -> Result<Self> {
        let mut object = Object::parse(object)?;
        let table = bpf::create_frozen(table_of(specs))
            .context("cannot create the table of probe specifications")?;
        let mut fds: HashMap<String, i32> = maps
            .filter_map(|(name, map)| Some((name.to_owned(), data_of(map)?.fd().as_raw_fd())))
            .collect();
        fds.insert(SPEC_SECTION.to_owned(), table.as_raw_fd());
        fds.insert(ENTRIES.to_owned(), entries.as_raw_fd());
        if let Some(calls) = &calls {
            fds.insert(CALLS.to_owned(), calls.as_raw_fd());
        }
        let definitions = object.maps.clone();
        let sections = object
            .functions
            .keys()
            .map(|(section, _)| *section)
            .collect();
        object.relocate_maps(
            definitions
                .iter()
                .filter_map(|(name, map)| Some((name.as_str(), *fds.get(name)?, map))),
            &sections,
        )?;
        object.relocate_calls(&sections)?;
        let programs = object
            .programs
            .iter()
            .map(|(name, program)| {
                let function = &object.functions[&program.function_key()];
                (name.clone(), function.instructions.clone())
            })
            .collect();
        Ok(Self {
            programs,
            license: object.license.clone(),
            specs: table,
            _entries: entries,
            _calls: calls,
        })
    }

    /// A copy of the program `template` that reads row `row` of the specifications and calls
    /// `hooks`.
    pub(super) fn copy(&self, template: &str, row: usize, hooks: &Hooks) -> Result<Vec<bpf_insn>> {
        let mut instructions = self
            .programs
            .get(template)
            .ok_or_else(|| anyhow!("the embedded object has no program `{template}`"))?
            .clone();
        let shift = i32::try_from(row * size_of::<ProbeSpec>())
            .context("too many probes for one table of specifications")?;
        for i in 0..instructions.len().saturating_sub(1) {
            let load = &instructions[i];
            if load.src_reg() == BPF_PSEUDO_MAP_VALUE as u8
                && load.code == LOAD_IMM64
                && load.imm == self.specs.as_raw_fd()
            {
                instructions[i + 1].imm += shift;
            }
        }
        hooks.link(&mut instructions);
        Ok(instructions)
    }

    /// The license of the programs, which the kernel asks for.
    pub(super) fn license(&self) -> &CStr {
        &self.license
    }
}

/// `BPF_LD | BPF_IMM | BPF_DW`: a 64-bit constant over two instructions, the second of
/// which holds the offset into the map's value.
const LOAD_IMM64: u8 = 0x18;

/// Generated functions and functions of the kernel that a program calls, by the numbers of
/// `tracer_common::hook`.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    generated: Vec<(u32, Vec<bpf_insn>)>,
    /// Each with its BTF type.
    of_kernel: Vec<(u32, u32)>,
}

impl Hooks {
    /// Makes the program call `function` at the hook.
    pub(super) fn set(&mut self, hook: u32, function: Vec<bpf_insn>) {
        self.generated.push((hook, function));
    }

    /// Makes the program call the kernel's function of this BTF type at the hook.
    pub(super) fn set_of_kernel(&mut self, hook: u32, btf_id: u32) {
        self.of_kernel.push((hook, btf_id));
    }

    /// Appends the generated functions to a program, and points its calls at them and at those
    /// of the kernel. Calls of hooks without a function become their default result.
    fn link(&self, instructions: &mut Vec<bpf_insn>) {
        let calls: Vec<usize> = (0..instructions.len())
            .filter(|&at| is_hook(instructions[at]))
            .collect();
        for (hook, btf_id) in &self.of_kernel {
            for &at in &calls {
                let call = &mut instructions[at];
                if call.src_reg() == 0 && call.imm as u32 == *hook {
                    call.set_src_reg(BPF_PSEUDO_KFUNC_CALL as u8);
                    call.imm = *btf_id as i32;
                }
            }
        }
        for (hook, function) in &self.generated {
            let start = instructions.len();
            let mut called = false;
            for &at in &calls {
                let call = &mut instructions[at];
                if call.src_reg() == 0 && call.imm as u32 == *hook {
                    call.set_src_reg(BPF_PSEUDO_CALL as u8);
                    call.imm = (start - at - 1) as i32;
                    called = true;
                }
            }
            if called {
                instructions.extend_from_slice(function);
            }
        }
        for &at in &calls {
            let call = &mut instructions[at];
            if call.src_reg() == 0 {
                call.code = MOVE_IMM;
                call.imm = default_result(call.imm as u32);
            }
        }
    }
}

fn is_hook(instruction: bpf_insn) -> bool {
    let hooks = [
        hook::FILTER,
        hook::CONTEXT,
        hook::FETCH,
        hook::SYSCALL_FILTER,
        hook::CALL_FILTER,
        hook::SESSION_IS_RETURN,
        hook::SESSION_COOKIE,
    ];
    instruction.code == CALL
        && instruction.src_reg() == 0
        && hooks.contains(&(instruction.imm as u32))
}

fn default_result(hook: u32) -> i32 {
    match hook {
        hook::FILTER | hook::SYSCALL_FILTER | hook::CALL_FILTER => 1,
        _ => 0,
    }
}

/// `BPF_JMP | BPF_CALL`.
const CALL: u8 = 0x85;

/// `BPF_ALU64 | BPF_MOV | BPF_K`, here to register 0.
const MOVE_IMM: u8 = 0xb7;

/// The data of a map; `None` for kinds of maps that the object does not use.
pub(super) fn data_of(map: &Map) -> Option<MapFdRef<'_>> {
    match map {
        Map::Array(data)
        | Map::ArrayOfMaps(data)
        | Map::HashMap(data)
        | Map::PerCpuArray(data)
        | Map::RingBuf(data) => Some(MapFdRef(data)),
        _ => None,
    }
}

/// A map's data, for its descriptor.
#[derive(Clone, Copy)]
pub(super) struct MapFdRef<'a>(&'a MapData);

impl<'a> MapFdRef<'a> {
    /// The descriptor.
    pub(super) fn fd(self) -> std::os::fd::BorrowedFd<'a> {
        use std::os::fd::AsFd;
        self.0.fd().as_fd()
    }
}

/// The content of the table of specifications, which is never empty: the kernel has no maps
/// without a value.
fn table_of(specs: &[ProbeSpec]) -> &[u8] {
    if specs.is_empty() {
        bytemuck::bytes_of(&ProbeSpec::EMPTY)
    } else {
        bytemuck::cast_slice(specs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_specification_is_encoded_as_programs_read_it() {
        let spec = ProbeSpec {
            class: 1,
            flags: 2,
            payload_len: 3,
            payload_offset: 4,
            priority_count: 6,
            priorities: [7, 8],
            piece_count: 5,
            ..ProbeSpec::EMPTY
        };
        let specs = [ProbeSpec::EMPTY, spec];
        let bytes = table_of(&specs);
        assert_eq!(bytes.len(), 2 * size_of::<ProbeSpec>());
        let second = &bytes[size_of::<ProbeSpec>()..];
        assert_eq!(second[core::mem::offset_of!(ProbeSpec, piece_count)], 5);
        assert_eq!(second[core::mem::offset_of!(ProbeSpec, payload_offset)], 4);
        assert_eq!(second[core::mem::offset_of!(ProbeSpec, priorities) + 4], 8);
    }

    #[test]
    fn a_table_without_probes_is_not_empty() {
        assert_eq!(table_of(&[]), [0; size_of::<ProbeSpec>()]);
    }

    fn call(hook: u32) -> bpf_insn {
        bpf_insn {
            code: CALL,
            _bitfield_align_1: [],
            _bitfield_1: bpf_insn::new_bitfield_1(0, 0),
            off: 0,
            imm: hook as i32,
        }
    }

    /// Code, source register and constant of each instruction.
    fn parts(instructions: &[bpf_insn]) -> Vec<(u8, u8, i32)> {
        let parts = |insn: &bpf_insn| (insn.code, insn.src_reg(), insn.imm);
        instructions.iter().map(parts).collect()
    }

    #[test]
    fn hooks_call_generated_code_or_the_kernel_or_become_a_constant() {
        let called = [
            hook::FETCH,
            hook::SESSION_COOKIE,
            hook::FILTER,
            hook::CONTEXT,
        ];
        let mut program: Vec<bpf_insn> = called.map(call).to_vec();
        let mut hooks = Hooks::default();
        hooks.set(hook::FETCH, vec![call(1)]);
        // Nothing calls it.
        hooks.set(hook::SYSCALL_FILTER, vec![call(2)]);
        hooks.set_of_kernel(hook::SESSION_COOKIE, 4711);
        hooks.link(&mut program);
        let expected = [
            // From the next instruction to the one after all.
            (CALL, BPF_PSEUDO_CALL as u8, 3),
            (CALL, BPF_PSEUDO_KFUNC_CALL as u8, 4711),
            (MOVE_IMM, 0, 1),
            (MOVE_IMM, 0, 0),
            (CALL, 0, 1),
        ];
        assert_eq!(parts(&program), expected);
    }
}
