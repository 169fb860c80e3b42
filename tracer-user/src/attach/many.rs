//! Many functions at once: one program and one attachment, where the kernel can do that
//! (kprobe-multi, and kprobe-session for functions that return), instead of one or two of each
//! for every function.

use std::{
    collections::HashMap,
    ffi::CString,
    io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use anyhow::{Context, Result};
use aya_obj::generated::{bpf_attach_type::BPF_TRACE_KPROBE_MULTI, bpf_prog_type};
use tracer_common::{FunctionCookie, hook};

use super::template::Hooks;
use crate::{
    btf::KernelBtf,
    fetch::{Fetch, Layout},
    probe::{FunctionTarget, Place, ResolvedProbe, kprobe::returned},
    sys::bpf::{self, BPF_TRACE_KPROBE_SESSION, ProgramKind},
};

/// Rows of probes that one program can serve together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) at: At,
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

/// Groups of `probes`: functions with the same payload, but for their types, of which the same
/// is asked.
pub(super) fn groups(probes: &[ResolvedProbe], is_throttled: impl Fn(usize) -> bool) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut by_wish: HashMap<String, usize> = HashMap::new();
    for (row, probe) in probes.iter().enumerate() {
        let Some(Function { at, .. }) = function(probe) else {
            continue;
        };
        let wish = format!(
            "{at:?} {:?} {:?} {}",
            probe.filter,
            probe.stacks,
            is_throttled(row)
        );
        let group = *by_wish.entry(wish).or_insert_with(|| {
            let rows = Vec::new();
            groups.push(Group { at, rows });
            groups.len() - 1
        });
        groups[group].rows.push(row);
    }
    groups.retain(|group| group.rows.len() > 1);
    groups
}

/// A function that can be one of many.
struct Function<'a> {
    symbol: &'a str,
    at: At,
    /// As in [`FunctionCookie`].
    unused_tail: u8,
}

fn function(probe: &ResolvedProbe) -> Option<Function<'_>> {
    let Place::Function {
        target,
        layout,
        entry,
    } = &probe.place
    else {
        return None;
    };
    match target {
        FunctionTarget::Kprobe {
            symbol,
            uniform: true,
            ..
        } => Some(Function {
            symbol,
            at: At::Entry,
            unused_tail: 0,
        }),
        FunctionTarget::Kretprobe { symbol } if !probe.explicit => {
            let keeps_values = entry.as_ref().is_none_or(|entry| !entry.is_empty());
            let fits = !keeps_values && is_part_of(layout, &result());
            fits.then(|| Function {
                symbol,
                at: At::Return,
                unused_tail: (result().len - layout.len) as u8,
            })
        }
        _ => None,
    }
}

/// What is fetched of each of many functions that return: the register with the result.
pub(super) fn result() -> Layout {
    Layout::new(&[returned()])
}

/// Whether what `layout` fetches is the first bytes of what `whole` does.
fn is_part_of(layout: &Layout, whole: &Layout) -> bool {
    fn fetches(layout: &Layout) -> impl Iterator<Item = (u32, &Fetch)> {
        let fixed = layout.fixed.iter();
        fixed.map(|(at, value)| (*at, &value.fetch))
    }
    layout.strings.is_empty()
        && layout.fixed.len() <= whole.fixed.len()
        && fetches(layout).zip(fetches(whole)).all(|(a, b)| a == b)
}

/// The kernel's functions that a program for returns calls, by their BTF types.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    is_return: u32,
    cookie: u32,
}

impl Session {
    /// # Errors
    /// Where the kernel has them not: before Linux 6.10.
    pub(super) fn read(sys: &Path) -> Result<Self> {
        let btf = KernelBtf::read(sys)?;
        let id = |name: &str| {
            let found = btf.function(name);
            let found = found.with_context(|| format!("the kernel has no function `{name}`"))?;
            Ok::<_, anyhow::Error>(found.ty.id())
        };
        Ok(Self {
            is_return: id("bpf_session_is_return")?,
            cookie: id("bpf_session_cookie")?,
        })
    }

    /// Has a program call them.
    pub(super) fn hook(self, hooks: &mut Hooks) {
        hooks.set_of_kernel(hook::SESSION_IS_RETURN, self.is_return);
        hooks.set_of_kernel(hook::SESSION_COOKIE, self.cookie);
    }
}

impl Group {
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
    use super::*;
    use crate::{
        event::{Display, EventClass, Field, FieldType, IntegerType},
        fetch::{Base, Fetched, Load, Memory},
        probe::Stacks,
    };

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
            place: Place::Function {
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
        let group = |at, rows: [usize; 2]| Group {
            at,
            rows: rows.to_vec(),
        };
        let expected = [group(At::Entry, [0, 2]), group(At::Return, [1, 3])];
        assert_eq!(groups(&probes, |_| false), expected);
    }

    #[test]
    fn of_each_group_the_same_is_asked() {
        let mut probes = [(); 4].map(|()| returns_number());
        probes[1].stacks.kernel = true;
        probes[3].stacks.kernel = true;
        let rows = |groups: Vec<Group>| groups.into_iter().map(|group| group.rows);
        let by_stacks: Vec<_> = rows(groups(&probes, |_| false)).collect();
        assert_eq!(by_stacks, [[0, 2], [1, 3]]);
        // The only one of its kind is alone.
        let by_throttle: Vec<_> = rows(groups(&probes, |row| row == 2)).collect();
        assert_eq!(by_throttle, [[1, 3]]);
    }

    #[test]
    fn events_end_where_the_type_of_the_result_does() {
        let result = |bytes| returns(&[number(Base::Return, bytes)], &[]);
        assert_eq!(
            [8, 4, 1].map(|bytes| unused_tail(&result(bytes))),
            [0, 4, 7].map(Some)
        );
        // A function that returns nothing.
        assert_eq!(unused_tail(&returns(&[], &[])), Some(8));
    }

    #[test]
    fn what_is_more_than_a_result_needs_a_program_of_its_own() {
        let ret = number(Base::Return, 8);
        let other = [
            returns(&[string()], &[]),
            returns(&[ret.clone(), ret.clone()], &[]),
            returns(&[number(Base::Argument(0), 8)], &[]),
            returns(&[ret], &[number(Base::Argument(0), 8)]),
        ];
        assert_eq!(other.each_ref().map(unused_tail), [None; 4]);
    }

    #[test]
    fn a_return_that_was_named_has_a_program_of_its_own() {
        let named = ResolvedProbe {
            explicit: true,
            ..returns_number()
        };
        assert_eq!(unused_tail(&named), None);
    }
}
