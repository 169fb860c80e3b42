//! Whatever text or bytes come from users, kernels and traces, the parsers accept or refuse
//! them: no panic, no endless work.
//!
//! Each test takes a parser, checks the outcome of the inputs that are kept in
//! `tests/corpus/PARSER`, then tries mutations of them. `accepted-…` and `refused-…` are
//! what their names say; `failed-…` are inputs that once failed. By default the runs are few;
//! `cargo xtask fuzz` makes millions. Variables of the environment:
//!
//! | variable | meaning |
//! |---|---|
//! | `TRACER_FUZZ_RUNS` | mutations of each parser; a summary of each is printed |
//! | `TRACER_FUZZ_SEED` | where the random numbers begin, as the summary has it |

#[path = "../common/mod.rs"]
mod common;
mod corpus;
mod mutate;
mod random;
mod run;
mod subjects;

use self::subjects::Subject;

fn fuzz(subject: &Subject) {
    let inputs = corpus::read(subject.name);
    run::check_outcomes(subject, &inputs);
    run::mutations(subject, &inputs);
}

#[test]
fn probe() {
    fuzz(&subjects::probe::SUBJECT);
}

#[test]
fn filter() {
    fuzz(&subjects::filter::SUBJECT);
}

#[test]
fn format() {
    fuzz(&subjects::format::FORMAT);
}

#[test]
fn print_fmt() {
    fuzz(&subjects::format::PRINT_FMT);
}

#[test]
fn btf() {
    fuzz(&subjects::btf::SUBJECT);
}

#[test]
fn metadata() {
    fuzz(&subjects::trace::METADATA);
}

#[test]
fn stream() {
    fuzz(&subjects::trace::STREAM);
}

#[test]
fn kallsyms() {
    fuzz(&subjects::trace::KALLSYMS);
}

#[test]
fn maps() {
    fuzz(&subjects::trace::MAPS);
}
