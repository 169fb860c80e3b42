//! Options whose place on the command line counts: one that stands behind a `-e` is for the
//! probes of that `-e`, one before the first `-e` is for all probes. What is said for a `-e`
//! takes the place of what is said for all.

use std::any::Any;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::error::ErrorKind;
use clap::{ArgMatches, Command, Error, FromArgMatches};

use crate::probe::filter::probe_and_filter;
use crate::record::attach::Rate;
use crate::record::session::{ProbeRequest, StackRequest};

/// What was asked for, in the order of the command line; without any `-e` one request for the
/// default probes.
#[derive(Clone, Debug)]
pub(super) struct ProbeArgs(pub(super) Vec<ProbeRequest>);

/// The options as the command line knows them. The order is lost in their values.
#[derive(clap::Args)]
struct Declared {
    /// What to record: `sched:sched_switch`, `syscall:openat`, `kprobe:vfs_read`,
    /// `kretprobe:vfs_read`, or patterns as in `sched:*`; may be given several times
    /// [default: scheduling and system calls]
    #[arg(id = PROBE, short = 'e', long = "event", value_name = "PROBE")]
    _probes: Vec<String>,

    /// Record only events for which this holds, as in `ret < 0 && comm == "cat"`; behind a -e
    /// for that one, before the first for all
    #[arg(id = FILTER, short = 'f', long, value_name = "FILTER")]
    _filter: Vec<String>,

    /// Record the call stack with each event: of the kernel, the process, or both; for a -e or
    /// for all, as -f
    #[arg(id = STACK, short = 'T', long, value_name = "WHICH",
          num_args = 0..=1, require_equals = true, default_missing_value = "kernel",
          value_parser = PossibleValuesParser::new(["kernel", "user", "both"]).map(|name| stack_of(&name)))]
    _stack: Vec<StackRequest>,

    /// Record at most so many events of each class, such as `10000/s` or `600/min`, and count
    /// the others; for a -e or for all, as -f
    #[arg(id = LIMIT, long, value_name = "RATE")]
    _limit: Vec<Rate>,

    /// Record one of so many events of each class on each CPU, and count the others; for a -e
    /// or for all, as -f
    #[arg(id = EVERY, long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    _every: Vec<u32>,
}

fn stack_of(name: &str) -> StackRequest {
    match name {
        "user" => StackRequest::User,
        "both" => StackRequest::Both,
        _ => StackRequest::Kernel,
    }
}

const PROBE: &str = "event";
const FILTER: &str = "filter";
const STACK: &str = "stack";
const LIMIT: &str = "limit";
const EVERY: &str = "every";

impl clap::Args for ProbeArgs {
    fn augment_args(command: Command) -> Command {
        Declared::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Declared::augment_args_for_update(command)
    }
}

impl FromArgMatches for ProbeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let probes = placed::<String>(matches, PROBE);
        // Positions of the command line that belong to all probes, then to each.
        let starts: Vec<usize> = probes.iter().map(|(at, _)| *at).collect();
        let all = Span {
            from: 0,
            to: starts.first().copied().unwrap_or(usize::MAX),
            probe: None,
        };
        if probes.is_empty() {
            return Ok(Self(vec![request(matches, &all, &all)?]));
        }
        let ends = starts.iter().skip(1).copied().chain([usize::MAX]);
        let requests = probes.iter().zip(ends).map(|((from, text), to)| {
            let own = Span {
                from: *from,
                to,
                probe: Some(text),
            };
            request(matches, &own, &all)
        });
        requests.collect::<Result<_, _>>().map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The part of a command line whose options belong together.
struct Span<'a> {
    from: usize,
    to: usize,
    /// None: all probes.
    probe: Option<&'a str>,
}

/// The request of the span `own`; what it leaves open, `all` says.
fn request(matches: &ArgMatches, own: &Span<'_>, all: &Span<'_>) -> Result<ProbeRequest, Error> {
    let says_filter = own
        .probe
        .is_some_and(|text| probe_and_filter(text).1.is_some());
    Ok(ProbeRequest {
        text: own.probe.map(str::to_owned),
        filter: setting(matches, FILTER, own, if says_filter { own } else { all })?,
        limit: setting(matches, LIMIT, own, all)?,
        every: setting(matches, EVERY, own, all)?,
        stack: setting(matches, STACK, own, all)?,
    })
}

fn setting<T: Any + Clone + Send + Sync>(
    matches: &ArgMatches,
    option: &str,
    own: &Span<'_>,
    all: &Span<'_>,
) -> Result<Option<T>, Error> {
    let values = placed::<T>(matches, option);
    let common = one_of(&values, option, all)?;
    Ok(one_of(&values, option, own)?.or(common).cloned())
}

/// The value that stands in `span`, which may be there once.
fn one_of<'a, T>(
    values: &[(usize, &'a T)],
    option: &str,
    span: &Span<'_>,
) -> Result<Option<&'a T>, Error> {
    let mut here = values
        .iter()
        .filter(|(at, _)| (span.from..span.to).contains(at));
    let first = here.next().map(|(_, value)| *value);
    if here.next().is_none() {
        return Ok(first);
    }
    let whose = span.probe.map_or_else(
        || "all probes".to_owned(),
        |probe| format!("`-e {probe}`, behind which it stands"),
    );
    Err(Error::raw(
        ErrorKind::ArgumentConflict,
        format!(
            "--{option} is given twice for {whose}; give it once, or once behind each -e that it \
             is for\n"
        ),
    ))
}

/// The values of an option, with their positions on the command line.
fn placed<'a, T: Any + Clone + Send + Sync>(
    matches: &'a ArgMatches,
    option: &str,
) -> Vec<(usize, &'a T)> {
    let values = matches.get_many::<T>(option).into_iter().flatten();
    let positions = matches.indices_of(option).into_iter().flatten();
    positions.zip(values).collect()
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    /// The requests of a command line, or what clap says.
    fn read(words: &[&str]) -> Result<Vec<ProbeRequest>, String> {
        let command = ProbeArgs::augment_args(Command::new("record").no_binary_name(true))
            .arg(clap::Arg::new("command").last(true).num_args(0..));
        let matches = command
            .try_get_matches_from(words)
            .map_err(|error| error.to_string())?;
        let args = ProbeArgs::from_arg_matches(&matches).map_err(|error| error.to_string())?;
        Ok(args.0)
    }

    fn of(text: &str) -> ProbeRequest {
        ProbeRequest {
            text: Some(text.into()),
            ..ProbeRequest::default()
        }
    }

    #[test]
    fn an_option_behind_a_probe_is_for_that_probe() {
        let requests = read(&["-e", "a:b", "--every", "3", "-e", "c:d", "-f", "x == 1"]);
        let expected = vec![
            ProbeRequest {
                every: Some(3),
                ..of("a:b")
            },
            ProbeRequest {
                filter: Some("x == 1".into()),
                ..of("c:d")
            },
        ];
        assert_eq!(requests, Ok(expected));
    }

    #[test]
    fn an_option_before_the_first_probe_is_for_all() {
        let requests = read(&["--limit", "5/s", "-e", "a:b", "-e", "c:d", "--limit=7/ms"]);
        let limits: Vec<_> = requests
            .unwrap()
            .iter()
            .map(|request| request.limit.map(|limit| limit.to_string()))
            .collect();
        assert_eq!(limits, [Some("5/s".into()), Some("7/ms".into())]);
    }

    #[test]
    fn a_filter_in_a_probe_takes_the_place_of_that_for_all() {
        let filters = |words: &[&str]| -> Vec<Option<String>> {
            let requests = read(words).unwrap();
            requests.into_iter().map(|request| request.filter).collect()
        };
        let filtered = "c:d if y == 2";
        let all = filters(&["-f", "x == 1", "-e", "a:b", "-e", filtered]);
        assert_eq!(all, [Some("x == 1".into()), None]);
        // One behind it is refused later, with the reason.
        let behind = filters(&["-e", filtered, "-f", "x == 1"]);
        assert_eq!(behind, [Some("x == 1".into())]);
    }

    #[test]
    fn without_probes_options_are_for_the_default_ones() {
        let expected = ProbeRequest {
            every: Some(10),
            ..ProbeRequest::default()
        };
        assert_eq!(read(&["--every", "10"]), Ok(vec![expected]));
        assert_eq!(read(&[]), Ok(vec![ProbeRequest::default()]));
    }

    #[test]
    fn a_stack_is_the_kernel_s_unless_it_says_more() {
        let stacks = |words| -> Vec<Option<StackRequest>> {
            let requests = read(words).unwrap();
            requests.iter().map(|request| request.stack).collect()
        };
        let words = ["-e", "a:b", "-T", "-e", "c:d", "--stack=both", "-e", "e:f"];
        let expected = [Some(StackRequest::Kernel), Some(StackRequest::Both), None];
        assert_eq!(stacks(&words), expected);
        // What stands behind it without `=` is not its value.
        assert_eq!(
            stacks(&["-T", "-e", "a:b", "--", "c"]),
            [Some(StackRequest::Kernel)]
        );
    }

    #[test]
    fn what_is_said_twice_for_the_same_probes_is_refused() {
        let error = read(&["-e", "a:b", "--every", "2", "--every", "3"]).unwrap_err();
        assert!(
            error.contains("--every is given twice for `-e a:b`"),
            "{error}"
        );
        let error = read(&["-f", "x", "-f", "y", "-e", "a:b"]).unwrap_err();
        assert!(
            error.contains("--filter is given twice for all probes"),
            "{error}"
        );
    }

    #[test]
    fn values_that_mean_nothing_are_refused_with_the_way_out() {
        for (words, said) in [
            (["--every", "0"], "0 is not in 1.."),
            (["--every", "x"], "--every <NUMBER>"),
            (["--limit", "x"], "--limit <RATE>"),
            (["--limit", "10"], "write a number of events and a time"),
        ] {
            let error = read(&words).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
