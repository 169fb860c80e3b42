//! Messages about expressions that cannot be resolved.

use super::*;

#[test]
fn the_parts_of_a_composite_value_are_listed() {
    let message = |text: &str| problem(text).to_string();
    assert_eq!(
        message("path->dentry->d_name"),
        "`path->dentry->d_name` is a `struct qstr`, which cannot be recorded as a whole; choose a \
        member: `hash`, `name`"
    );
    assert!(message("path->dentry->words").contains("choose an element"));
    assert!(message("path->dentry->d_nam").contains("did you mean `d_name`?"));
    assert!(message("path->mnt->x").contains("((struct NAME *)path->mnt)->x"));
    assert!(message("path->dentry->secret->x").contains("declared but not defined"));
    assert!(message("*file->f_mode").contains("not a pointer"));
    assert!(message("*path").contains("choose a member"));
    assert!(message("file->f_mode:str").contains("not a pointer or an array of characters"));
    assert!(message("file->f_mode:x64").contains("but `file->f_mode` only 32"));
    assert!(message("pat").contains("did you mean `path`?"));
    assert!(message("ret").contains("no value is named `ret` here"));
}

#[test]
fn a_mistake_is_shown_in_the_text() {
    let kernel = kernel();
    let scope = Scope::entry(None, kernel.function("vfs_open").as_ref());
    let error = fetch_all("file, path->dentri->d_name", &scope).unwrap_err();
    let shown = error.to_string();
    assert!(
        shown.ends_with("\n  file, path->dentri->d_name\n              ^^^^^^"),
        "{shown}"
    );
}

#[test]
fn fields_have_different_names() {
    let kernel = kernel();
    let scope = Scope::entry(None, kernel.function("vfs_open").as_ref());
    let fetched = fetch_all("file, file:d, b=file, fetch_fault=arg1", &scope).unwrap_err();
    assert_eq!(*fetched.problem(), FetchProblem::ReservedName);
    let fetched = fetch_all("arg1, arg1:d, arg1_2=file", &scope).unwrap();
    let names: Vec<&str> = fetched
        .iter()
        .map(|value| value.field.name.as_str())
        .collect();
    assert_eq!(names, ["arg1", "arg1_3", "arg1_2"]);
    let twice = fetch_all("a=file, a=path", &scope).unwrap_err();
    assert_eq!(*twice.problem(), FetchProblem::DuplicateName("a".into()));
}

#[test]
fn the_reason_is_given_for_what_cannot_be_fetched() {
    let kernel = kernel();
    let scope = Scope::entry(None, kernel.function("typed").as_ref());
    for (name, reason) in [("ratio", "floating-point"), ("late", "on the stack")] {
        let error = fetch_all(name, &scope).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}
