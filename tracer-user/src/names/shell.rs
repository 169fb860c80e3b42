//! Words of a command line that users can paste into a shell.

use std::ffi::OsStr;

/// `word`, quoted if a shell would not take it literally. Bytes that cannot be printed are written
/// as escapes, in the quoting of bash, zsh and ksh (`$'…'`).
#[must_use]
pub fn quoted(word: &OsStr) -> String {
    let bytes = word.as_encoded_bytes();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"%+,-./:=@_^".contains(byte);
    match word.to_str() {
        Some(text) if !text.is_empty() && bytes.iter().all(is_plain) => text.to_owned(),
        Some(text) if !text.chars().any(char::is_control) => {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
        _ => {
            let escaped: String = bytes
                .iter()
                .map(|byte| match byte {
                    b'\'' | b'\\' => format!("\\{}", char::from(*byte)),
                    b' '..=b'~' => char::from(*byte).to_string(),
                    byte => format!("\\{byte:03o}"),
                })
                .collect();
            format!("$'{escaped}'")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;
    use std::process::Command;

    use super::*;

    #[test]
    fn plain_words_are_not_quoted() {
        assert_eq!(quoted(OsStr::new("/tmp/trace-1.2_x")), "/tmp/trace-1.2_x");
    }

    #[test]
    fn what_is_not_plain_is_quoted() {
        assert_eq!(quoted(OsStr::new("o %s x")), "'o %s x'");
        assert_eq!(quoted(OsStr::new("it's")), r"'it'\''s'");
        assert_eq!(quoted(OsStr::new("~")), "'~'");
        assert_eq!(quoted(OsStr::new("")), "''");
        assert_eq!(quoted(OsStr::from_bytes(b"a\n\xff'")), r"$'a\012\377\''");
    }

    #[test]
    fn a_shell_reads_what_was_quoted() {
        for word in [
            &b"o %s x"[..],
            b"it's",
            b"$HOME `id` \\ \"",
            b"a\nb\xff'",
            "ä*".as_bytes(),
        ] {
            let script = format!("printf %s {}", quoted(OsStr::from_bytes(word)));
            let Ok(output) = Command::new("bash").args(["-c", &script]).output() else {
                return;
            };
            assert_eq!(output.stdout, word, "{script}");
        }
    }
}
