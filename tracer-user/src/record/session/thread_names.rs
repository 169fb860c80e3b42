//! Names of threads: a sidecar of the trace, from `/proc` at the start and from events of the
//! kernel after it.

use std::mem;
use std::sync::Arc;

use tracer_common::{EventHeader, spec_flags};

use crate::kernel::KernelFiles;
use crate::probe::{AttachPoint, ProbeText, ResolvedProbe, resolve};
use crate::record::clock::monotonic_ns;
use crate::record::output::{Output, Sidecar, running_threads};
use crate::record::stream::observe::Observer;
use crate::trace::event::EventClass;
use crate::trace::sidecar::tasks::format_line;
use crate::trace::{FieldPlace, Value};

/// Tracepoints that report the names of threads. They are attached in addition to what the
/// user asked for; their events go to the sidecar and not into the trace.
const PROBES: [&str; 2] = ["task:task_newtask", "task:task_rename"];

/// Bytes of lines that are gathered before they are written.
const GATHERED_BYTES: usize = 4096;

/// The probes for names of threads, their classes numbered from `first_id`. On a kernel that
/// lacks them, new threads have no names in reports, which is no reason not to record.
pub(super) fn probes(files: &KernelFiles, first_id: u32) -> Vec<ResolvedProbe> {
    let mut id = first_id;
    let mut probes = Vec::new();
    for text in PROBES {
        let resolved = ProbeText::parse_list(text)
            .ok()
            .and_then(|texts| resolve(files, &texts).ok());
        for mut probe in resolved.into_iter().flatten() {
            probe.explicit = false;
            probe.class.id = id;
            if let AttachPoint::Tracepoint { spec, .. } = &mut probe.attach_point {
                spec.flags |= spec_flags::UNFILTERED;
            }
            id += 1;
            probes.push(probe);
        }
    }
    probes
}

/// Writes lines of names. If that fails reports lack names, which is no reason to end a
/// recording.
pub(super) fn write(output: &dyn Output, lines: &str) {
    if let Err(error) = output.sidecar(Sidecar::Tasks, lines) {
        log::warn!("cannot write names of threads: {error}");
    }
}

/// Writes the names of all threads that exist now.
pub(super) fn write_running(output: &dyn Output) {
    if output.takes(Sidecar::Tasks) {
        write(output, &running_threads(monotonic_ns()));
    }
}

/// The places of a thread's id and name in an event.
#[derive(Clone, Debug)]
pub(super) struct TaskEvent {
    class: u32,
    /// None: the thread in which it happens.
    tid: Option<FieldPlace>,
    comm: FieldPlace,
}

impl TaskEvent {
    pub(super) fn of(class: &EventClass) -> Option<Self> {
        let place = |names: &[&str]| {
            let mut fields = class.fields.iter();
            let index = fields.position(|field| names.contains(&field.name.as_str()))?;
            FieldPlace::of(class, index)
        };
        Some(Self {
            class: class.id,
            tid: place(&["pid"]),
            comm: place(&["comm", "newcomm"])?,
        })
    }

    /// The line of the sidecar for this event.
    fn line(&self, event: &[u8], header: &EventHeader) -> Option<String> {
        let tid = match &self.tid {
            None => header.tid,
            Some(place) => match place.read(event)? {
                Value::Number(number) => number.raw as u32,
                _ => return None,
            },
        };
        let Value::Text(comm) = self.comm.read(event)? else {
            return None;
        };
        Some(format_line(header.timestamp_ns, tid, comm))
    }
}

/// Writes the names in the events of a stream.
pub(super) struct NameObserver {
    events: Arc<[TaskEvent]>,
    output: Arc<dyn Output>,
    lines: String,
}

impl NameObserver {
    pub(super) fn new(events: &Arc<[TaskEvent]>, output: &Arc<dyn Output>) -> Self {
        Self {
            events: Arc::clone(events),
            output: Arc::clone(output),
            lines: String::new(),
        }
    }
}

impl Observer for NameObserver {
    fn wants(&self, class: u32) -> bool {
        self.events.iter().any(|event| event.class == class)
    }

    fn see(&mut self, event: &[u8], header: &EventHeader) {
        let places = self.events.iter();
        for place in places.filter(|place| place.class == header.class) {
            self.lines.extend(place.line(event, header));
        }
        if self.lines.len() > GATHERED_BYTES {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let lines = mem::take(&mut self.lines);
        if !lines.is_empty() {
            write(&*self.output, &lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use tracer_common::EVENT_HEADER_LEN;

    use super::*;
    use crate::trace::event::{Display, Field, FieldType, IntegerType};

    fn integer(name: &str, bytes: u16) -> Field {
        Field {
            name: name.to_owned(),
            ty: FieldType::Integer(IntegerType::natural(bytes, true, Display::Decimal)),
        }
    }

    #[test]
    fn the_name_of_a_thread_is_found_in_its_event() {
        let comm = FieldType::Array {
            element: IntegerType::natural(1, false, Display::Text),
            length: 16,
        };
        let class = EventClass {
            id: 7,
            name: "task:task_newtask".to_owned(),
            context: Vec::new(),
            fields: vec![
                integer("pid", 4),
                Field {
                    name: "comm".to_owned(),
                    ty: comm,
                },
                integer("clone_flags", 8),
            ],
        };
        let task = TaskEvent::of(&class).unwrap();
        let header = EventHeader {
            timestamp_ns: 5,
            class: 7,
            tid: 1,
            pid: 1,
            size: 24 + 32,
        };
        let mut event = vec![0; EVENT_HEADER_LEN];
        event.extend_from_slice(&42u32.to_ne_bytes());
        event.extend_from_slice(b"worker\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(
            task.line(&event, &header).unwrap(),
            format_line(5, 42, b"worker")
        );
        assert_eq!(task.line(&event[..30], &header), None);
    }
}
