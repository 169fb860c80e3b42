//! Functions of programs: what they are entered with and what they return.

use crate::vm::Kernel;
use crate::vm::jobs::trace::{expect, recorded};
use crate::vm::jobs::{Check, Command};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "a function of a program is entered with its arguments",
        verify: |_: Kernel, outcome| {
            let (trace, _, pid) = recorded(outcome, NAME)?;
            expect(&trace, ENTERED, pid, CALLS - FIRST, |event| {
                let number = event.number("number");
                number.is_some_and(|number| number >= FIRST)
                    && event.text("signed") == number.map(|number| format!("-{number}")).as_deref()
            })
        },
    },
    Check {
        name: "a function of a program returns with its result and what it was entered with",
        verify: |_, outcome| {
            let (trace, _, pid) = recorded(outcome, NAME)?;
            expect(&trace, RETURNED, pid, CALLS - FIRST, |event| {
                let (number, ret) = (event.number("number"), event.number("ret"));
                // The result of the function.
                ret >= Some(3 * FIRST + 1)
                    && number.map(|number| 3 * number + 1) == ret
                    && event.number("duration").is_some()
            })
        },
    },
];

/// Folder of the results.
const NAME: &str = "user-functions";
const ENTERED: &str = "uprobe:/bin/work:work_probed";
const RETURNED: &str = "uretprobe:/bin/work:work_probed";
const CALLS: u64 = 40;
/// Calls before this one are left out by filters; calls count from 0.
const FIRST: u64 = 10;

pub(super) fn commands() -> Vec<Command> {
    vec![
        Command::new(NAME, "tracer record -o trace -e")
            .word(&format!(
                "{ENTERED}{{number=arg0:u64,signed=arg2:d32}} if number >= {FIRST}"
            ))
            .then("-e")
            .word(&format!(
                "{RETURNED}{{ret:d64,number=arg0:u64}} if number >= {FIRST}"
            ))
            .then(format!("-- work --cpu 0 function {CALLS}")),
    ]
}
