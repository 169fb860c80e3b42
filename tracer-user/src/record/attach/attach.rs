//! Carries out a plan: attaches its programs, or what it has instead of those that the kernel
//! refuses.

use crate::record::attach::attached::Attached;
use crate::record::attach::error::AttachError;
use crate::record::attach::load::Loaded;
use crate::record::attach::plan::{AttachPlan, OnRefusal, ProgramPlan, Step};

impl Loaded<'_> {
    /// Attaches all programs. `progress` gets the number of probes that are done, and can end it
    /// with an error; `left_out` gets why a probe that only matched a pattern is left out of the
    /// recording.
    ///
    /// # Errors
    /// If `progress` fails, or the kernel refuses the program of a probe that the user named, or one that the
    /// recording depends on.
    pub fn attach(
        self,
        progress: impl FnMut(usize) -> anyhow::Result<()>,
        left_out: impl FnMut(AttachError),
    ) -> Result<Attached, AttachError> {
        let (loader, plan, maps) = self.into_parts();
        log::debug!("programs:\n{plan}");
        let mut run = Run {
            attach: |program: &ProgramPlan<'_>| loader.attach(program),
            programs: Vec::with_capacity(plan.steps.len()),
            done: 0,
            progress,
            left_out,
        };
        run.plan(&plan)?;
        Ok(Attached::new(maps, run.programs))
    }
}

/// A plan that is being carried out.
struct Run<T, A, P, L> {
    attach: A,
    programs: Vec<T>,
    /// Probes that are attached or left out.
    done: usize,
    progress: P,
    left_out: L,
}

impl<T, A, P, L> Run<T, A, P, L>
where
    A: Fn(&ProgramPlan<'_>) -> Result<T, AttachError>,
    P: FnMut(usize) -> anyhow::Result<()>,
    L: FnMut(AttachError),
{
    fn plan(&mut self, plan: &AttachPlan<'_>) -> Result<(), AttachError> {
        plan.steps.iter().try_for_each(|step| self.step(step))
    }

    fn step(&mut self, step: &Step<'_>) -> Result<(), AttachError> {
        let attached = step.programs.iter().map(&self.attach);
        match attached.collect::<Result<Vec<_>, _>>() {
            Ok(programs) => self.programs.extend(programs),
            Err(error @ AttachError::Refused { .. }) => match &step.on_refusal {
                OnRefusal::Fail => return Err(error),
                OnRefusal::LeaveOut => (self.left_out)(error),
                OnRefusal::Instead(steps) => {
                    log::debug!("another way is taken: {error}");
                    return steps.iter().try_for_each(|step| self.step(step));
                }
            },
            Err(error) => return Err(error),
        }
        self.done += step.rows.len();
        (self.progress)(self.done)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::attach::error::Refusal;
    use crate::record::attach::plan::{Attachment, Filter, Misses, Template};

    /// A step of one probe, with a program at each of these functions.
    fn step<'p>(row: usize, symbols: &[&'p str], on_refusal: OnRefusal<'p>) -> Step<'p> {
        let program = |symbol: &&'p str| ProgramPlan {
            subject: format!("`kprobe:{symbol}`"),
            name: String::new(),
            template: Template::Function,
            attachment: Attachment::Kprobe { symbol, offset: 0 },
            row,
            cookie: 0,
            fetched: None,
            filter: Filter::None,
            misses: Misses::Nothing,
        };
        Step {
            rows: vec![row],
            programs: symbols.iter().map(program).collect(),
            on_refusal,
        }
    }

    /// What came of steps on a kernel that refuses functions whose names begin with `bad`.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Outcome {
        attached: Vec<String>,
        left_out: Vec<String>,
        progress: Vec<usize>,
        error: Option<String>,
    }

    fn carry_out(steps: Vec<Step<'_>>) -> Outcome {
        let mut outcome = Outcome::default();
        let attach = |program: &ProgramPlan<'_>| match &program.attachment {
            Attachment::Kprobe { symbol, .. } if symbol.starts_with("bad") => {
                Err(AttachError::Refused {
                    subject: program.subject.clone(),
                    refusal: Refusal::Missing("function".to_owned()),
                })
            }
            Attachment::Kprobe { symbol, .. } if symbol.starts_with("broken") => {
                Err(anyhow::anyhow!("out of order").into())
            }
            attachment => Ok(attachment.to_string()),
        };
        let mut run = Run {
            attach,
            programs: Vec::new(),
            done: 0,
            progress: |done| {
                outcome.progress.push(done);
                if done == 5 {
                    return Err(anyhow::anyhow!("interrupted"));
                }
                Ok(())
            },
            left_out: |error: AttachError| outcome.left_out.push(error.to_string()),
        };
        let plan = AttachPlan {
            steps,
            specs: Vec::new(),
            syscalls: Vec::new(),
            calls: Vec::new(),
        };
        let error = run.plan(&plan).err().map(|error| error.to_string());
        let attached = run.programs;
        Outcome {
            attached,
            error,
            ..outcome
        }
    }

    #[test]
    fn all_programs_are_attached_in_order() {
        let steps = vec![
            step(0, &["a"], OnRefusal::Fail),
            step(1, &["b", "c"], OnRefusal::LeaveOut),
        ];
        let expected = Outcome {
            attached: ["kprobe a", "kprobe b", "kprobe c"].map(Into::into).into(),
            progress: vec![1, 2],
            ..Outcome::default()
        };
        assert_eq!(carry_out(steps), expected);
    }

    #[test]
    fn a_refused_probe_of_a_pattern_is_left_out_with_all_of_its_programs() {
        let steps = vec![
            step(0, &["a", "bad"], OnRefusal::LeaveOut),
            step(1, &["b"], OnRefusal::Fail),
        ];
        let expected = Outcome {
            attached: vec!["kprobe b".to_owned()],
            left_out: vec!["cannot attach to `kprobe:bad`: this kernel has no function".to_owned()],
            progress: vec![1, 2],
            error: None,
        };
        assert_eq!(carry_out(steps), expected);
    }

    #[test]
    fn a_refused_probe_that_was_named_ends_the_recording() {
        let steps = vec![
            step(0, &["bad"], OnRefusal::Fail),
            step(1, &["b"], OnRefusal::Fail),
        ];
        let outcome = carry_out(steps);
        assert!(outcome.attached.is_empty());
        assert!(outcome.error.unwrap().contains("`kprobe:bad`"));
    }

    #[test]
    fn other_steps_are_taken_instead_of_a_refused_one() {
        let instead = vec![
            step(0, &["a"], OnRefusal::LeaveOut),
            step(1, &["bad"], OnRefusal::LeaveOut),
        ];
        let steps = vec![
            step(9, &["bad group"], OnRefusal::Instead(instead)),
            step(2, &["c"], OnRefusal::LeaveOut),
        ];
        let outcome = carry_out(steps);
        assert_eq!(outcome.attached, ["kprobe a", "kprobe c"]);
        assert_eq!(outcome.left_out.len(), 1);
        assert_eq!(outcome.progress, [1, 2, 3]);
    }

    #[test]
    fn progress_can_end_it() {
        let steps = (1..=7).map(|row| step(row, &["a"], OnRefusal::LeaveOut));
        let outcome = carry_out(steps.collect());
        assert_eq!(outcome.attached.len(), 5);
        assert_eq!(outcome.error.as_deref(), Some("interrupted"));
    }

    #[test]
    fn a_program_that_cannot_be_made_has_no_fallback() {
        let instead = OnRefusal::Instead(vec![step(0, &["a"], OnRefusal::Fail)]);
        let outcome = carry_out(vec![step(0, &["broken"], instead)]);
        assert!(outcome.attached.is_empty());
        assert_eq!(outcome.error.as_deref(), Some("out of order"));
    }
}
