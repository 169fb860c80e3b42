//! How packets shall be written, and how they were.

use std::fmt;
use std::str::FromStr;

/// The method that the user asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SinkKind {
    /// The best that works: [`Direct`](Self::Direct), then [`Splice`](Self::Splice), then
    /// [`Copy`](Self::Copy).
    #[default]
    Auto,
    /// `O_DIRECT`; an error at the start if the file system does not support it.
    Direct,
    /// Through the page cache.
    Splice,
    /// By `write`.
    Copy,
}

impl SinkKind {
    /// What [`from_str`](Self::from_str) reads.
    pub const NAMES: [&str; 4] = ["auto", "direct", "splice", "copy"];
}

/// Why a text is not the name of a kind of sink.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a kind of sink; use `auto`, `direct`, `splice` or `copy`")]
pub struct SinkKindError(String);

impl FromStr for SinkKind {
    type Err = SinkKindError;

    fn from_str(text: &str) -> Result<Self, SinkKindError> {
        match text {
            "auto" => Ok(Self::Auto),
            "direct" => Ok(Self::Direct),
            "splice" => Ok(Self::Splice),
            "copy" => Ok(Self::Copy),
            _ => Err(SinkKindError(text.to_owned())),
        }
    }
}

/// How bytes get from a sub-buffer to their destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WriteMethod {
    /// `vmsplice` and `splice` to a file opened with `O_DIRECT`: the device reads our pages.
    Direct,
    /// `vmsplice` and `splice`: the kernel copies our pages into its page cache.
    Splice,
    /// `write`: as above, without a pipe between.
    Copy,
    /// `write` to a pipe.
    Pipe,
    /// `sendmsg` with `MSG_ZEROCOPY`: the network reads our pages.
    Socket,
    /// `sendmsg`: the kernel copies our pages into the socket.
    SocketCopy,
}

impl fmt::Display for WriteMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "O_DIRECT splice",
            Self::Splice => "buffered splice",
            Self::Copy => "copy",
            Self::Pipe => "copy to a pipe",
            Self::Socket => "zero copy to a socket",
            Self::SocketCopy => "copy to a socket",
        })
    }
}

/// How a sink writes packets, and why not in a better way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SinkReport {
    /// The method of the latest packet.
    pub way: WriteMethod,
    /// What prevents a better one; `None` if it is the one that was asked for.
    pub reason: Option<String>,
}

impl fmt::Display for SinkReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Some(reason) => write!(f, "{}: {reason}", self.way),
            None => self.way.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read() {
        for name in SinkKind::NAMES {
            assert!(name.parse::<SinkKind>().is_ok(), "{name}");
        }
        let error = "fast".parse::<SinkKind>().unwrap_err();
        assert!(error.to_string().contains("`fast`"), "{error}");
    }

    #[test]
    fn a_report_says_why_there_is_no_better_way() {
        let report = SinkReport {
            way: WriteMethod::Splice,
            reason: Some("tmpfs has no direct I/O".to_owned()),
        };
        assert_eq!(
            report.to_string(),
            "buffered splice: tmpfs has no direct I/O"
        );
    }
}
