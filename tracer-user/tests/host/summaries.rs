//! `tracer stats` and `tracer calls` of a workload whose system calls are known. Needs root.

use serde_json::Value;

use crate::common::recording::{Recorder, printed, work_words};
use crate::common::trace::tracer;

const CALLS: u64 = 20_000;

#[test]
fn known_calls_are_counted() {
    let recording = Recorder::new(&["--buffer-size", "16M", "-e", "syscall:getppid"])
        .command(work_words(&["getppid", &CALLS.to_string()]))
        .run();
    let pid = printed(&recording.stdout, "pid").to_string();
    let dir = recording.trace_dir();
    let read = |command: &str| -> Value {
        let options = ["-p", &pid, "--format", "json"];
        let output = tracer(|tracer| tracer.arg(command).arg(dir).args(options));
        assert!(
            output.status.success(),
            "{}",
            crate::common::stderr(&output)
        );
        serde_json::from_str(&crate::common::stdout(&output)).unwrap()
    };
    let stats = read("stats");
    assert_eq!(stats["events"], 2 * CALLS);
    assert_eq!(stats["lost_events"], 0);
    let calls = read("calls");
    let row = &calls["rows"][0];
    assert_eq!((&row["calls"], &row["errors"]), (&CALLS.into(), &0.into()));
    assert_eq!(
        (&row["call"], &row["process"]),
        (&"getppid".into(), &"work".into())
    );
    for apart in [
        "at_start",
        "at_end",
        "over_loss",
        "without_entry",
        "without_exit",
    ] {
        assert_eq!(calls[apart], 0, "{apart}");
    }
    let [min, p50, max] = ["min_ns", "p50_ns", "max_ns"].map(|key| row[key].as_u64().unwrap());
    assert!(0 < min && min <= p50 && p50 <= max, "{row}");
    assert_eq!(row["total_ns"], calls["total_ns"]);
}
