//! The archives that this machine's apt is configured with, in both of apt's notations
//! (`sources.list(5)`: one line per source, and deb822 stanzas).

use std::path::Path;
use std::{fmt, fs};

use anyhow::{Context, Result};

/// One configured source of packages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Source {
    uris: String,
    suites: Vec<String>,
    components: Vec<String>,
    /// A path or a whole key, as it stands in the machine's own sources.
    signed_by: Option<String>,
}

impl Source {
    /// The same archive's other suite.
    pub(super) fn with_suite(&self, suite: &str) -> Self {
        Self {
            suites: vec![suite.to_owned()],
            components: vec!["main".to_owned()],
            ..self.clone()
        }
    }

    fn is_archive_of(&self, names: &[&str], security: bool) -> bool {
        let is_distribution = |suite: &String| match suite.strip_suffix("-security") {
            Some(name) => security && names.contains(&name),
            None => !security && names.contains(&suite.as_str()),
        };
        self.components.iter().any(|name| name == "main") && self.suites.iter().any(is_distribution)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Types: deb\nURIs: {}", self.uris)?;
        writeln!(f, "Suites: {}", self.suites.join(" "))?;
        writeln!(f, "Components: {}", self.components.join(" "))?;
        match &self.signed_by {
            Some(key) => writeln!(f, "Signed-By: {key}"),
            None => Ok(()),
        }
    }
}

/// The archive, among those that the files below `etc` configure, that carries `suite`:
/// the security archive for suites that end so, the distribution's main one for others.
pub(super) fn archive_for(etc: &Path, suite: &str) -> Result<Source> {
    let release = etc.join("os-release");
    let release = fs::read_to_string(&release)
        .with_context(|| format!("cannot read `{}`", release.display()))?;
    let codename = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .unwrap_or("stable")
        .trim_matches('"');
    // Symbolic names that stand for a release in people's own sources.
    let names = [
        codename,
        "oldstable",
        "stable",
        "testing",
        "unstable",
        "sid",
    ];
    configured(etc)
        .into_iter()
        .find(|source| source.is_archive_of(&names, suite.ends_with("-security")))
        .with_context(|| {
            format!(
                "apt's sources below `{}` name no Debian archive that would have {suite}",
                etc.join("apt").display()
            )
        })
}

fn configured(etc: &Path) -> Vec<Source> {
    let parts = fs::read_dir(etc.join("apt/sources.list.d"))
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<_> = parts.chain([etc.join("apt/sources.list")]).collect();
    files.sort();
    // A file that cannot be read is as good as none: another may name the archive.
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    files
        .iter()
        .flat_map(
            |path| match path.extension().and_then(|name| name.to_str()) {
                Some("sources") => parse_stanzas(&read(path)),
                Some("list") => parse_lines(&read(path)),
                _ => Vec::new(),
            },
        )
        .collect()
}

fn parse_stanzas(text: &str) -> Vec<Source> {
    let mut stanzas: Vec<Vec<(String, String)>> = vec![Vec::new()];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let fields = stanzas.last_mut().expect("starts with one, and only grows");
        if line.trim().is_empty() {
            stanzas.push(Vec::new());
        } else if line.starts_with([' ', '\t']) {
            // An embedded key is kept verbatim, line by line.
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    stanzas
        .iter()
        .filter_map(|fields| {
            let field = |name: &str| {
                let mut values = fields.iter().filter(|(field, _)| field == name);
                values.next().map(|(_, value)| value.as_str())
            };
            let words = |name| words(field(name).unwrap_or_default());
            let is_used = field("enabled").is_none_or(|value| !value.eq_ignore_ascii_case("no"));
            (is_used && words("types").contains(&"deb".to_owned())).then(|| Source {
                uris: words("uris").join(" "),
                suites: words("suites"),
                components: words("components"),
                signed_by: field("signed-by").map(str::to_owned),
            })
        })
        .collect()
}

fn parse_lines(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let mut rest = line.strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim();
    let mut signed_by = None;
    if let Some((options, after)) = rest.strip_prefix('[').and_then(|text| text.split_once(']')) {
        signed_by = options
            .split_whitespace()
            .find_map(|option| option.strip_prefix("signed-by="))
            .map(str::to_owned);
        rest = after;
    }
    let mut words = words(rest).into_iter();
    Some(Source {
        uris: words.next()?,
        suites: vec![words.next()?],
        components: words.collect(),
        signed_by,
    })
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEB822: &str = "\
# the archive
Types: deb deb-src
URIs: https://archive.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian.gpg

Types: deb
URIs: https://archive.example/security
Suites: bookworm-security
Components: main
";

    fn machine(name: &str, sources: &str) -> tempfile::TempDir {
        let etc = tempfile::tempdir().unwrap();
        let parts = etc.path().join("apt/sources.list.d");
        fs::create_dir_all(&parts).unwrap();
        fs::write(parts.join(name), sources).unwrap();
        fs::write(
            etc.path().join("os-release"),
            "ID=debian\nVERSION_CODENAME=bookworm\n",
        )
        .unwrap();
        etc
    }

    #[test]
    fn another_suite_comes_from_the_main_archive_with_its_key() {
        let etc = machine("debian.sources", DEB822);
        let source = archive_for(etc.path(), "trixie-backports").unwrap();
        assert_eq!(
            source.with_suite("trixie-backports").to_string(),
            "Types: deb\nURIs: https://archive.example/debian\nSuites: trixie-backports\n\
             Components: main\nSigned-By: /usr/share/keyrings/debian.gpg\n"
        );
    }

    #[test]
    fn a_security_suite_comes_from_the_security_archive() {
        let etc = machine("debian.sources", DEB822);
        let source = archive_for(etc.path(), "bookworm-security").unwrap();
        assert_eq!(source.uris, "https://archive.example/security");
    }

    #[test]
    fn one_line_sources_are_read_with_their_options() {
        let line = "deb [arch=amd64 signed-by=/k.gpg] https://archive.example/d bookworm main";
        let etc = machine("debian.list", line);
        let source = archive_for(etc.path(), "bookworm").unwrap();
        assert_eq!(source.signed_by.as_deref(), Some("/k.gpg"));
    }

    #[test]
    fn other_peoples_archives_are_not_taken() {
        let etc = machine("tool.list", "deb https://tool.example bookworm stable");
        assert!(archive_for(etc.path(), "bookworm").is_err());
    }

    #[test]
    fn a_source_that_is_switched_off_is_not_taken() {
        assert_eq!(parse_stanzas("Types: deb\nEnabled: no\nURIs: x\n"), []);
    }

    #[test]
    fn an_embedded_key_keeps_its_lines() {
        let sources = parse_stanzas("Types: deb\nSigned-By:\n BEGIN\n .\n END\n");
        assert_eq!(sources[0].signed_by.as_deref(), Some("\n BEGIN\n .\n END"));
    }
}
