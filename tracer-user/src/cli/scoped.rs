//! Options that depend on their position: after a `-e` they apply to the probes of that `-e`,
//! before the first `-e` to all probes. A setting of a `-e` overrides the one for all.

use std::any::Any;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::error::ErrorKind;
use clap::{ArgMatches, Command, Error, FromArgMatches};

use crate::probe::filter::probe_and_filter;
use crate::record::attach::Rate;
use crate::record::session::{ProbeRequest, StackRequest};

/// The requested probes, in the order of the command line; without any `-e`, one request for the
/// default probes.
#[derive(Clone, Debug)]
pub(super) struct ProbeArgs(pub(super) Vec<ProbeRequest>);

/// The options as clap parses them, which loses their order.
#[derive(clap::Args)]
#[command(next_help_heading = "Events")]
struct Declared {
    /// Record this probe, such as `sched:sched_switch`, `syscall:openat`, `call:openat`,
    /// `kprobe:vfs_read`, `kretprobe:vfs_read`, or a pattern such as `sched:*`; can be repeated
    /// [default: scheduling and system calls]
    #[arg(id = PROBE, short = 'e', long = "event", value_name = "PROBE")]
    _probes: Vec<String>,

    /// Record only events that match, such as `ret < 0 && comm == "cat"`. After `-e`: for that
    /// probe; before the first `-e`: for all
    #[arg(id = FILTER, short = 'f', long, value_name = "FILTER")]
    _filter: Vec<String>,

    /// Record the call stack with each event: `kernel` (the default), `user` or `both`. After
    /// `-e`: for that probe; before the first `-e`: for all
    #[arg(id = STACK, short = 'T', long, value_name = "WHICH", hide_possible_values = true,
          num_args = 0..=1, require_equals = true, default_missing_value = "kernel",
          value_parser = PossibleValuesParser::new(["kernel", "user", "both"]).map(|name| stack_of(&name)))]
    _stack: Vec<StackRequest>,

    /// Record at most this many events of each class, such as `10000/s` or `600/min`; the rest
    /// are counted. After `-e`: for that probe; before the first `-e`: for all
    #[arg(id = LIMIT, long, value_name = "RATE")]
    _limit: Vec<Rate>,

    /// Record every Nth event of each class, per CPU; the rest are counted. After `-e`: for that
    /// probe; before the first `-e`: for all
    #[arg(id = EVERY, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
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
        // The sections of the command line: for all probes, then for each.
        let starts: Vec<usize> = probes.iter().map(|(at, _)| *at).collect();
        let all = Section {
            from: 0,
            to: starts.first().copied().unwrap_or(usize::MAX),
            probe: None,
        };
        if probes.is_empty() {
            return Ok(Self(vec![request(matches, &all, &all)?]));
        }
        let ends = starts.iter().skip(1).copied().chain([usize::MAX]);
        let requests = probes.iter().zip(ends).map(|((from, text), to)| {
            let own = Section {
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

/// The positions on the command line whose options apply to one probe, or to all.
struct Section<'a> {
    from: usize,
    to: usize,
    /// `None`: all probes.
    probe: Option<&'a str>,
}

/// The request of the section `own`, with the settings of `all` as defaults.
fn request(
    matches: &ArgMatches,
    own: &Section<'_>,
    all: &Section<'_>,
) -> Result<ProbeRequest, Error> {
    let has_filter = own
        .probe
        .is_some_and(|text| probe_and_filter(text).1.is_some());
    Ok(ProbeRequest {
        text: own.probe.map(str::to_owned),
        filter: setting(matches, FILTER, own, if has_filter { own } else { all })?,
        limit: setting(matches, LIMIT, own, all)?,
        every: setting(matches, EVERY, own, all)?,
        stack: setting(matches, STACK, own, all)?,
    })
}

fn setting<T: Any + Clone + Send + Sync>(
    matches: &ArgMatches,
    option: &str,
    own: &Section<'_>,
    all: &Section<'_>,
) -> Result<Option<T>, Error> {
    let values = placed::<T>(matches, option);
    let common = one_of(&values, option, all)?;
    Ok(one_of(&values, option, own)?.or(common).cloned())
}

/// The only value in `section`, if there is one.
fn one_of<'a, T>(
    values: &[(usize, &'a T)],
    option: &str,
    section: &Section<'_>,
) -> Result<Option<&'a T>, Error> {
    let mut here = values
        .iter()
        .filter(|(at, _)| (section.from..section.to).contains(at));
    let first = here.next().map(|(_, value)| *value);
    if here.next().is_none() {
        return Ok(first);
    }
    let whose = section
        .probe
        .map_or_else(|| "all probes".to_owned(), |probe| format!("`-e {probe}`"));
    Err(Error::raw(
        ErrorKind::ArgumentConflict,
        format!(
            "--{option} is given twice for {whose}; give it once before the first -e, for all \
             probes, or once after a -e, for that probe\n"
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

    /// The requests of a command line, or the error of clap.
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
    fn an_option_after_a_probe_is_for_that_probe() {
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
    fn a_filter_in_a_probe_overrides_the_one_for_all() {
        let filters = |words: &[&str]| -> Vec<Option<String>> {
            let requests = read(words).unwrap();
            requests.into_iter().map(|request| request.filter).collect()
        };
        let filtered = "c:d if y == 2";
        let all = filters(&["-f", "x == 1", "-e", "a:b", "-e", filtered]);
        assert_eq!(all, [Some("x == 1".into()), None]);
        // Two filters of one probe are refused later, with the reason.
        let both = filters(&["-e", filtered, "-f", "x == 1"]);
        assert_eq!(both, [Some("x == 1".into())]);
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
    fn a_stack_is_the_kernel_s_by_default() {
        let stacks = |words| -> Vec<Option<StackRequest>> {
            let requests = read(words).unwrap();
            requests.iter().map(|request| request.stack).collect()
        };
        let words = ["-e", "a:b", "-T", "-e", "c:d", "--stack=both", "-e", "e:f"];
        let expected = [Some(StackRequest::Kernel), Some(StackRequest::Both), None];
        assert_eq!(stacks(&words), expected);
        // An argument that follows without `=` is not its value.
        assert_eq!(
            stacks(&["-T", "-e", "a:b", "--", "c"]),
            [Some(StackRequest::Kernel)]
        );
    }

    #[test]
    fn an_option_that_is_given_twice_for_the_same_probes_is_refused() {
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
    fn invalid_values_are_refused_with_a_hint() {
        for (words, hint) in [
            (["--every", "0"], "0 is not in 1.."),
            (["--every", "x"], "--every <N>"),
            (["--limit", "x"], "--limit <RATE>"),
            (["--limit", "10"], "10000/s"),
        ] {
            let error = read(&words).unwrap_err();
            assert!(error.contains(hint), "{error}");
        }
    }
}
