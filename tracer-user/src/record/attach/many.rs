//! Many functions at once: one program and one attachment, where the kernel can do that
//! (kprobe-multi, and kprobe-session for functions that return), instead of one or two of each
//! for every function. A single function takes that way, too: a breakpoint costs more, and so do
//! the two programs and the map of calls of one that returns.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, Result};
use aya_obj::generated::bpf_attach_type::BPF_TRACE_KPROBE_MULTI;
use aya_obj::generated::bpf_prog_type;
use tracer_common::{FunctionCookie, RETURN_SLOT_LEN, hook};

use crate::kernel::btf::{KernelBtf, NameKind};
use crate::probe::fetch::registers::returned;
use crate::probe::fetch::{Fetch, Layout};
use crate::probe::{AttachPoint, FunctionTarget, ResolvedProbe};
use crate::record::attach::link::Emits;
use crate::record::attach::template::Hooks;
use crate::sys::bpf::{self, BPF_TRACE_KPROBE_SESSION, ProgramKind};

/// Probes that one program can serve together. What the kernel refuses is attached one by one.
pub(super) struct Group {
    pub(super) at: At,
    /// What the program fetches of each.
    pub(super) fetched: Layout,
    pub(super) rows: Vec<usize>,
}

/// When events of the functions of a group happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// When they are entered.
    Entry,
    /// When they return. Their program runs at entries, too.
    Return,
}

impl At {
    /// The program, without what is made for it.
    pub(super) const fn template(self) -> &'static str {
        match self {
            Self::Entry => "on_function",
            Self::Return => "on_session",
        }
    }

    /// What `bpftool prog` shows of it.
    pub(super) const fn program_name(self) -> &'static str {
        match self {
            Self::Entry => "functions",
            Self::Return => "returns",
        }
    }

    /// What the kernel is told about it.
    pub(super) const fn kind(self) -> ProgramKind {
        ProgramKind {
            kind: bpf_prog_type::BPF_PROG_TYPE_KPROBE,
            attach_type: Some(self.attach_type()),
            btf_id: 0,
        }
    }

    const fn attach_type(self) -> u32 {
        match self {
            Self::Entry => BPF_TRACE_KPROBE_MULTI as u32,
            Self::Return => BPF_TRACE_KPROBE_SESSION,
        }
    }
}

/// Groups of `probes`: functions of which the same is fetched, but for its types, and the same
/// is asked. Those that a program is made for alone are groups of their own.
pub(super) fn groups(probes: &[ResolvedProbe], is_throttled: impl Fn(usize) -> bool) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut by_wish: HashMap<(String, Option<usize>), usize> = HashMap::new();
    for (row, probe) in probes.iter().enumerate() {
        let Some(Function {
            at, fetched, alone, ..
        }) = function(probe)
        else {
            continue;
        };
        let strings: Vec<&Fetch> = fetched.strings.iter().map(|value| &value.fetch).collect();
        let wish = format!(
            "{at:?} {strings:?} {:?} {:?} {}",
            probe.filter,
            probe.stacks,
            is_throttled(row)
        );
        let wish = (wish, alone.then_some(row));
        let group = *by_wish.entry(wish).or_insert_with(|| {
            groups.push(Group {
                at,
                fetched: fetched.into_owned(),
                rows: Vec::new(),
            });
            groups.len() - 1
        });
        groups[group].rows.push(row);
    }
    groups
}

/// A function that can be one of many.
struct Function<'a> {
    symbol: &'a str,
    at: At,
    fetched: Cow<'a, Layout>,
    /// As in [`FunctionCookie`].
    unused_tail: u8,
    /// It shares its program with no other function.
    alone: bool,
}

fn function(probe: &ResolvedProbe) -> Option<Function<'_>> {
    let AttachPoint::Function {
        target,
        layout,
        entry,
    } = &probe.attach_point
    else {
        return None;
    };
    match target {
        FunctionTarget::Kprobe {
            symbol,
            offset: 0,
            uniform,
        } => Some(Function {
            symbol,
            at: At::Entry,
            fetched: Cow::Borrowed(layout),
            unused_tail: 0,
            alone: !uniform,
        }),
        // The 8 bytes that the kernel keeps for a call have no room for values from its entry.
        FunctionTarget::Kretprobe { symbol } if entry.as_ref().is_none_or(Layout::is_empty) => {
            let shared = result(layout);
            // What the kernel skips of a function that was named is told by its name.
            let alone = probe.explicit || shared.is_none();
            let fetched = shared.unwrap_or_else(|| Cow::Owned(in_slots(layout)));
            Some(Function {
                symbol,
                at: At::Return,
                unused_tail: fetched.fixed_len().map_or(0, |len| len - layout.len) as u8,
                fetched,
                alone,
            })
        }
        _ => None,
    }
}

/// What a program can fetch of many functions that return, where `layout` is wanted of one of
/// them: the whole register with the result, whatever they have in it, or the string that it
/// points to.
fn result(layout: &Layout) -> Option<Cow<'_, Layout>> {
    let result = returned();
    match (&layout.fixed[..], &layout.strings[..]) {
        ([], [_]) => Some(Cow::Borrowed(layout)),
        ([], []) => Some(Cow::Owned(Layout::new(&[result]))),
        ([(_, own)], []) if own.fetch == result.fetch => Some(Cow::Owned(Layout::new(&[result]))),
        _ => None,
    }
}

/// The same values with room to the end of the last slot, as programs for returns reserve it.
fn in_slots(layout: &Layout) -> Layout {
    let len = layout
        .fixed_len()
        .map(|len| len.next_multiple_of(RETURN_SLOT_LEN));
    Layout {
        len: len.unwrap_or(layout.len),
        ..layout.clone()
    }
}

/// The kernel's functions that a program for returns calls, by their BTF types.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    is_return: u32,
    cookie: u32,
}

impl Session {
    /// Those that the programs of `groups` need, if any does and the kernel has them.
    pub(super) fn of_groups(groups: &[Group], sys: &Path) -> Option<Self> {
        if groups.iter().all(|group| group.at == At::Entry) {
            return None;
        }
        Self::read(sys)
            .inspect_err(|error| log::debug!("the kernel has no kprobe-session: {error:#}"))
            .ok()
    }

    fn read(sys: &Path) -> Result<Self> {
        let btf = KernelBtf::read(sys)?;
        let id = |name: &str| {
            let function = btf.vmlinux().find(NameKind::Function, name);
            let function = function.with_context(|| format!("there is no function `{name}`"))?;
            Ok::<_, anyhow::Error>(function.id())
        };
        Ok(Self {
            is_return: id("bpf_session_is_return")?,
            cookie: id("bpf_session_cookie")?,
        })
    }

    /// Has a program call them.
    pub(super) fn set(self, hooks: &mut Hooks) {
        hooks.set_of_kernel(hook::SESSION_IS_RETURN, self.is_return);
        hooks.set_of_kernel(hook::SESSION_COOKIE, self.cookie);
    }
}

impl Group {
    /// What the runs of its program amount to.
    pub(super) fn emits(&self, probes: &[ResolvedProbe]) -> Emits {
        match self.rows[..] {
            [row] => Emits::Class(probes[row].class.id),
            _ => Emits::Many,
        }
    }

    /// Attaches a program to these functions. It stays attached as long as the result is open.
    pub(super) fn attach(
        &self,
        program: &OwnedFd,
        probes: &[ResolvedProbe],
    ) -> io::Result<OwnedFd> {
        let (mut symbols, mut cookies) = (Vec::new(), Vec::new());
        for probe in self.rows.iter().map(|&row| &probes[row]) {
            if let Some(function) = function(probe) {
                symbols.push(CString::new(function.symbol)?);
                let cookie = FunctionCookie {
                    class: probe.class.id,
                    unused_tail: function.unused_tail,
                };
                cookies.push(cookie.to_bits());
            }
        }
        let attach_type = self.at.attach_type();
        bpf::link_to_functions(program.as_fd(), attach_type, &symbols, &cookies)
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;
    use crate::probe::Stacks;
    use crate::probe::fetch::{Base, Fetched, Load, Memory};
    use crate::trace::event::{Display, EventClass, Field, FieldType, IntegerType};

    fn value(base: Base, ty: FieldType, load: Load) -> Fetched {
        let name = "value".to_owned();
        Fetched {
            field: Field { name, ty },
            fetch: Fetch {
                base,
                steps: Vec::new(),
                load,
            },
        }
    }

    /// A number of `bytes` in the register `base`.
    fn number(base: Base, bytes: u16) -> Fetched {
        let ty = IntegerType::natural(bytes, true, Display::Decimal);
        value(base, FieldType::Integer(ty), Load::Itself)
    }

    fn string() -> Fetched {
        let load = Load::String {
            offset: 0,
            memory: Memory::Kernel,
        };
        value(Base::Return, FieldType::String, load)
    }

    /// A function that a pattern has matched.
    fn probe(
        target: FunctionTarget,
        fetched: &[Fetched],
        entry: Option<&[Fetched]>,
    ) -> ResolvedProbe {
        ResolvedProbe {
            class: EventClass {
                id: 0,
                name: String::new(),
                context: Vec::new(),
                fields: Vec::new(),
            },
            attach_point: AttachPoint::Function {
                target,
                layout: Layout::new(fetched),
                entry: entry.map(Layout::new),
            },
            sources: Vec::new(),
            filter: None,
            stacks: Stacks::default(),
            explicit: false,
            request: 0,
        }
    }

    fn entered() -> ResolvedProbe {
        let target = FunctionTarget::Kprobe {
            symbol: "f".to_owned(),
            offset: 0,
            uniform: true,
        };
        probe(target, &[number(Base::Argument(0), 8)], None)
    }

    fn returns(fetched: &[Fetched], entry: &[Fetched]) -> ResolvedProbe {
        let symbol = "f".to_owned();
        probe(FunctionTarget::Kretprobe { symbol }, fetched, Some(entry))
    }

    fn returns_number() -> ResolvedProbe {
        returns(&[number(Base::Return, 4)], &[])
    }

    fn unused_tail(probe: &ResolvedProbe) -> Option<u8> {
        function(probe).map(|function| function.unused_tail)
    }

    #[test]
    fn functions_share_a_program_by_when_their_events_happen() {
        let probes = [entered(), returns_number(), entered(), returns_number()];
        let groups = groups(&probes, |_| false);
        let found: Vec<_> = groups
            .iter()
            .map(|group| (group.at, &group.rows[..]))
            .collect();
        assert_eq!(found, [(At::Entry, &[0, 2][..]), (At::Return, &[1, 3])]);
    }

    #[test]
    fn of_each_group_the_same_is_asked() {
        let mut probes = [(); 4].map(|()| returns_number());
        probes[1].stacks.kernel = true;
        probes[3].stacks.kernel = true;
        let rows = |groups: Vec<Group>| groups.into_iter().map(|group| group.rows);
        let by_stacks: Vec<_> = rows(groups(&probes, |_| false)).collect();
        assert_eq!(by_stacks, [[0, 2], [1, 3]]);
        let by_throttle: Vec<_> = rows(groups(&probes, |row| row == 2)).collect();
        assert_eq!(by_throttle, [vec![0], vec![1, 3], vec![2]]);
    }

    #[test]
    fn a_single_function_is_a_group_and_an_instruction_inside_one_is_none() {
        let at = |offset, uniform| {
            let symbol = "f".to_owned();
            let target = FunctionTarget::Kprobe {
                symbol,
                offset,
                uniform,
            };
            probe(target, &[number(Base::Argument(0), 8)], None)
        };
        let probes = [at(0, false), at(4, false), at(0, true), returns_number()];
        let groups = groups(&probes, |_| false);
        let found = groups.iter().map(|group| (group.at, &group.rows[..]));
        let expected = [(At::Entry, &[0][..]), (At::Entry, &[2]), (At::Return, &[3])];
        assert_eq!(found.collect::<Vec<_>>(), expected);
        assert_eq!(groups[0].emits(&probes), Emits::Class(0));
    }

    #[test]
    fn events_end_where_what_was_fetched_does() {
        let result = |bytes| returns(&[number(Base::Return, bytes)], &[]);
        let tails = [8, 4, 1].map(|bytes| unused_tail(&result(bytes)));
        assert_eq!(tails, [0, 4, 7].map(Some));
        // A function that returns nothing.
        assert_eq!(unused_tail(&returns(&[], &[])), Some(8));
        // The end of a string tells itself.
        assert_eq!(unused_tail(&returns(&[string()], &[])), Some(0));
    }

    #[test]
    fn results_are_one_group_whatever_their_sizes_and_strings_are_another() {
        let probes = [
            returns(&[], &[]),
            returns(&[string()], &[]),
            returns_number(),
            returns(&[number(Base::Return, 8)], &[]),
            returns(&[string()], &[]),
            returns(&[number(Base::Return, 8), string()], &[]),
        ];
        let rows: Vec<_> = groups(&probes, |_| false)
            .into_iter()
            .map(|group| group.rows)
            .collect();
        assert_eq!(rows, [vec![0, 2, 3], vec![1, 4], vec![5]]);
    }

    #[test]
    fn what_is_more_than_a_result_needs_a_program_of_its_own() {
        let ret = number(Base::Return, 8);
        let low = number(Base::Return, 1);
        let more = [
            returns(&[ret.clone(), low], &[]),
            returns(&[ret.clone(), ret.clone()], &[]),
            returns(&[ret, string()], &[]),
        ];
        let groups = groups(&more, |_| false);
        let found = groups
            .iter()
            .map(|group| (&group.rows[..], group.fetched.len));
        // Before the string is its mask of faults, too.
        let slots = [(&[0][..], 16), (&[1], 16), (&[2], 16)];
        assert_eq!(found.collect::<Vec<_>>(), slots);
        assert_eq!(more.each_ref().map(unused_tail), [7, 0, 0].map(Some));
    }

    #[test]
    fn what_is_kept_from_an_entry_needs_the_map_of_calls() {
        let (ret, argument) = (number(Base::Return, 8), number(Base::Argument(0), 8));
        let probes = [returns(from_ref(&ret), from_ref(&argument))];
        assert!(groups(&probes, |_| false).is_empty());
    }

    #[test]
    fn a_return_that_was_named_has_a_program_of_its_own() {
        let named = || ResolvedProbe {
            explicit: true,
            ..returns_number()
        };
        let probes = [named(), returns_number(), named(), returns_number()];
        let groups = groups(&probes, |_| false);
        let rows: Vec<_> = groups.into_iter().map(|group| group.rows).collect();
        assert_eq!(rows, [vec![0], vec![1, 3], vec![2]]);
    }
}
