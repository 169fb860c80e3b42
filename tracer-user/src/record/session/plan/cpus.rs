//! Which CPUs are recorded: `--cpu`.

use anyhow::{Result, bail};

/// The number of possible CPUs, and those to record.
pub(super) fn select(wanted: Option<&[u32]>) -> Result<(u32, Vec<u32>)> {
    let failed = |(what, error): (&str, _)| anyhow::Error::new(error).context(what.to_owned());
    let count = aya::util::nr_cpus().map_err(failed)? as u32;
    let online = aya::util::online_cpus().map_err(failed)?;
    let Some(wanted) = wanted else {
        return Ok((count, online));
    };
    Ok((count, among(&online, wanted)?))
}

/// The wanted CPUs, each once and in order.
fn among(online: &[u32], wanted: &[u32]) -> Result<Vec<u32>> {
    let mut cpus = wanted.to_vec();
    cpus.sort_unstable();
    cpus.dedup();
    if let Some(cpu) = cpus.iter().find(|cpu| !online.contains(cpu)) {
        bail!(
            "cannot record CPU {cpu}: it is offline (online: {})",
            list(online)
        );
    }
    Ok(cpus)
}

/// CPUs in ascending order as the kernel writes them: `0-3,6`.
fn list(cpus: &[u32]) -> String {
    let ranges = cpus.chunk_by(|a, b| a + 1 == *b).map(|range| match range {
        [only] => only.to_string(),
        [first, .., last] => format!("{first}-{last}"),
        [] => String::new(),
    });
    ranges.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_listed_as_the_kernel_does() {
        assert_eq!(list(&[0]), "0");
        assert_eq!(list(&[0, 1]), "0-1");
        assert_eq!(list(&[0, 1, 2, 4, 6, 7]), "0-2,4,6-7");
    }

    #[test]
    fn a_cpu_that_is_offline_is_named() {
        assert_eq!(among(&[0, 1, 2], &[2, 0, 2]).unwrap(), [0, 2]);
        let error = among(&[0, 1], &[0, 9]).unwrap_err().to_string();
        assert!(error.contains("CPU 9"), "{error}");
        assert!(error.contains("online: 0-1"), "{error}");
    }
}
