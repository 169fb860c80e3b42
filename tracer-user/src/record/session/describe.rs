//! The description of a trace: its id and its metadata.

use std::fs;

use anyhow::{Context, Result};

use crate::record::clock::wall_offset_ns;
use crate::record::session::plan::Plan;
use crate::trace::ctf::{Clock, EnvValue, TraceInfo, metadata};
use crate::trace::lttng::{self, Naming};

/// Id and metadata of a trace.
#[derive(Clone, Debug)]
pub(super) struct Description {
    /// The id of the trace, which is in each packet.
    pub(super) uuid: [u8; 16],
    /// How far the wall clock was ahead of its clock, in nanoseconds.
    pub(super) wall_offset_ns: u64,
    /// Its metadata, as text.
    pub(super) text: String,
}

impl Description {
    /// Of a new trace.
    pub(super) fn new(plan: &Plan, trace_name: &str) -> Result<Self> {
        let uuid = random_uuid()?;
        let wall_offset_ns = wall_offset_ns();
        let info = TraceInfo {
            uuid,
            clock: Clock {
                uuid: boot_id()?,
                offset_ns: wall_offset_ns,
            },
            env: environment(trace_name, plan.names),
        };
        Ok(Self {
            uuid,
            wall_offset_ns,
            text: metadata(&info, &plan.trace_classes()),
        })
    }
}

fn boot_id() -> Result<[u8; 16]> {
    let path = "/proc/sys/kernel/random/boot_id";
    let text = fs::read_to_string(path).with_context(|| format!("cannot read `{path}`"))?;
    parse_uuid(text.trim()).with_context(|| format!("`{path}` does not hold a UUID"))
}

fn random_uuid() -> Result<[u8; 16]> {
    let path = "/proc/sys/kernel/random/uuid";
    let text = fs::read_to_string(path).with_context(|| format!("cannot read `{path}`"))?;
    parse_uuid(text.trim()).with_context(|| format!("`{path}` does not hold a UUID"))
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    u128::from_str_radix(&digits, 16)
        .ok()
        .map(u128::to_be_bytes)
}

fn environment(trace_name: &str, names: Naming) -> Vec<(String, EnvValue)> {
    let system = rustix::system::uname();
    let created = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S+0000");
    let mut env = vec![
        text("hostname", &system.nodename().to_string_lossy()),
        text("domain", "kernel"),
        text("sysname", &system.sysname().to_string_lossy()),
        text("kernel_release", &system.release().to_string_lossy()),
        text("kernel_version", &system.version().to_string_lossy()),
        text("machine", &system.machine().to_string_lossy()),
    ];
    env.extend(tracer(names));
    env.extend([
        text("trace_name", trace_name),
        text("trace_creation_datetime", &created.to_string()),
    ]);
    env
}

/// The tracer whose names the events have, by which readers choose how to read them, and the
/// one that wrote the trace.
fn tracer(names: Naming) -> Vec<(String, EnvValue)> {
    let own_version = env!("CARGO_PKG_VERSION");
    match names {
        Naming::Lttng => {
            let [major, minor, patchlevel] = lttng::VERSION;
            vec![
                text("tracer_name", "lttng-modules"),
                number("tracer_major", major),
                number("tracer_minor", minor),
                number("tracer_patchlevel", patchlevel),
                text("written_by", &format!("tracer {own_version}")),
            ]
        }
        Naming::Tracefs => {
            let part = |text: &str| text.parse().unwrap_or(0);
            vec![
                text("tracer_name", "tracer"),
                number("tracer_major", part(env!("CARGO_PKG_VERSION_MAJOR"))),
                number("tracer_minor", part(env!("CARGO_PKG_VERSION_MINOR"))),
                number("tracer_patchlevel", part(env!("CARGO_PKG_VERSION_PATCH"))),
            ]
        }
    }
}

fn text(key: &str, value: &str) -> (String, EnvValue) {
    (key.to_owned(), EnvValue::Text(value.to_owned()))
}

fn number(key: &str, value: i64) -> (String, EnvValue) {
    (key.to_owned(), EnvValue::Number(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_read_in_the_order_of_their_digits() {
        let uuid = parse_uuid("00010203-0405-0607-0809-0a0b0c0d0e0f").unwrap();
        assert_eq!(uuid, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    }
}
