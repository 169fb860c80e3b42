//! Probe texts as typed and as understood.

use super::*;

fn parse(text: &str) -> Result<ProbeText, SpecError> {
    text.parse()
}

#[test]
fn a_list_keeps_its_order() {
    let list = ProbeText::parse_list("sched:sched_switch, syscall:*,kprobe:vfs_read").unwrap();
    let texts: Vec<String> = list.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        ["sched:sched_switch", "syscall:*", "kprobe:vfs_read"]
    );
}

#[test]
fn offsets_are_decimal_or_hexadecimal() {
    for text in ["kprobe:f+16", "kprobe:f+0x10"] {
        let expected = Target::Kprobe {
            function: "f".into(),
            offset: 16,
        };
        assert_eq!(parse(text), Ok(expected.into()), "{text}");
    }
}

#[test]
fn bad_offsets_are_refused() {
    for offset in ["", "x", "0x", "-1", "+1", "0xg", "99999999999999999999"] {
        let text = format!("kprobe:f+{offset}");
        assert!(
            matches!(parse(&text), Err(SpecError::BadOffset { .. })),
            "{text}"
        );
    }
}

#[test]
fn an_offset_on_a_return_is_refused() {
    assert_eq!(
        parse("kretprobe:f+1"),
        Err(SpecError::OffsetOnReturn("kretprobe:f+1".into()))
    );
}

#[test]
fn an_offset_on_a_pattern_is_refused() {
    assert_eq!(
        parse("kprobe:f*+1"),
        Err(SpecError::OffsetOnGlob("kprobe:f*+1".into()))
    );
}

#[test]
fn empty_texts_and_parts_are_refused() {
    assert_eq!(parse(""), Err(SpecError::Empty));
    assert_eq!(ProbeText::parse_list("a:b,,c:d"), Err(SpecError::Empty));
    assert!(matches!(
        parse(":x"),
        Err(SpecError::EmptyPart(_, "before"))
    ));
    assert!(matches!(
        parse("sched:"),
        Err(SpecError::EmptyPart(_, "after"))
    ));
    assert!(matches!(
        parse("kprobe:+4"),
        Err(SpecError::EmptyPart(_, "after"))
    ));
}

#[test]
fn a_missing_colon_is_reported() {
    assert_eq!(
        parse("sched_switch"),
        Err(SpecError::NoColon("sched_switch".into()))
    );
}

#[test]
fn only_exact_names_are_explicit() {
    assert!(parse("syscalls:sys_enter_read").unwrap().is_explicit());
    for text in ["sched:*", "*:x", "syscall:open*", "kretprobe:vfs_?ead"] {
        assert!(!parse(text).unwrap().is_explicit(), "{text}");
    }
}

#[test]
fn commas_in_braces_separate_nothing() {
    let list = ProbeText::parse_list("kprobe:f{a, str(b)},fexit:g{ret} , a:b").unwrap();
    let texts: Vec<String> = list.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["kprobe:f{a, b:str}", "fexit:g{ret}", "a:b"]);
}

#[test]
fn every_kind_is_shown_as_it_is_typed() {
    for text in [
        "kprobe:f+0x10{arg0:x32}",
        "kretprobe:f{ret}",
        "fentry:vfs_open{path->dentry->d_name.name:str}",
        "fexit:f{ret, a}",
        "func:f",
        "rawtp:sched_switch{prev->pid}",
        "uprobe:/a:b/c:main+0x4{arg0:ustr}",
        "uprobe:/lib/x.so:0x401136",
        "uretprobe:./x:f{ret:d}",
        "sched:sched_switch{prev_pid}",
    ] {
        let parsed = parse(text).unwrap();
        assert_eq!(parsed.fetch.is_some(), text.contains('{'), "{text}");
        assert_eq!(parsed.to_string(), text);
    }
}

#[test]
fn a_user_place_has_a_path_and_a_symbol() {
    let symbol = UserSymbol::Name("main".into());
    let path = "/bin/a:b".to_owned();
    let expected = Target::Uretprobe { path, symbol };
    assert_eq!(parse("uretprobe:/bin/a:b:main"), Ok(expected.into()));
    for text in ["uprobe:/bin/x", "uprobe:/bin/x:", "uprobe::main"] {
        assert!(
            matches!(parse(text), Err(SpecError::NoUserSymbol { .. })),
            "{text}"
        );
    }
    assert!(matches!(
        parse("uprobe:/bin/x:0xz"),
        Err(SpecError::BadAddress { .. })
    ));
    assert!(matches!(
        parse("uprobe:/bin/x:f+z"),
        Err(SpecError::BadOffset { .. })
    ));
}

#[test]
fn offsets_are_for_instructions_only() {
    for text in ["fexit:f+1", "uretprobe:/x:f+1"] {
        assert_eq!(parse(text), Err(SpecError::OffsetOnReturn(text.into())));
    }
    for text in ["fentry:f+1", "func:f+1"] {
        assert_eq!(parse(text), Err(SpecError::OffsetOnEntry(text.into())));
    }
}

#[test]
fn braces_end_the_probe() {
    for text in ["kprobe:f{a", "kprobe:f{a}b", "kprobe:f{a}}", "kprobe:f{{a}"] {
        assert_eq!(parse(text), Err(SpecError::OpenBraces(text.into())));
    }
}

#[test]
fn what_cannot_be_fetched_is_shown_with_its_place() {
    let error = parse("kprobe:f{a, b:y}").unwrap_err().to_string();
    assert!(
        error.starts_with("cannot fetch from `kprobe:f`: unknown format `y`"),
        "{error}"
    );
    assert!(error.ends_with("\n  a, b:y\n       ^"), "{error}");
}

#[test]
fn a_call_is_a_name_or_a_pattern_without_braces() {
    let name = "openat".to_owned();
    assert_eq!(parse("call:openat"), Ok(Target::Call { name }.into()));
    assert!(!parse("call:*").unwrap().is_explicit());
    let text = "call:openat{filename}";
    assert_eq!(parse(text), Err(SpecError::FetchOfCall(text.into())));
}

#[test]
fn a_system_call_has_its_arguments_without_braces() {
    let text = "syscall:openat{filename}";
    assert_eq!(parse(text), Err(SpecError::FetchOfSyscall(text.into())));
}
