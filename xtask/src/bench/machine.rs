//! The machine of the figures: kernel, processors and load.

use std::fs;
use std::process::Command;

use rustix::system::uname;

/// One line about kernel, processors and load, which shows figures of a busy machine as such.
pub(super) fn describe() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("?");
    let clock = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let clock = fs::read_to_string(clock).unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!(
        "Linux {}, {cpus} CPUs, clock {}, load {load}",
        uname().release().to_string_lossy(),
        clock.trim(),
    )
}

/// The load average of the last minute.
pub(super) fn load() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// The version that a program gives of itself; some end with an error after giving it.
pub(super) fn version(program: &str) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find(|line| !line.trim().is_empty());
    line.unwrap_or("unknown version").trim().to_owned()
}
