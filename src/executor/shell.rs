//! The text that a job's shell reads, as GitLab Runner writes it (`shells/bash.go`, `shells/abstract.go`).
//!
//! The shell is a login shell and reads the script from its standard input; the job itself runs in a subshell whose input is
//! empty. Its text, with the environment in it, is the value of a variable: bash shows the whole command that a signal ended, and
//! this one is short. `errexit` and `pipefail` are on, `nounset` and `noclobber` are not.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// The shell of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shell {
    /// Its absolute path.
    pub(crate) program: PathBuf,
}

impl Shell {
    /// Finds bash on the PATH given, else in its usual places, else takes `/bin/sh`. Relative folders on the PATH do not count.
    pub(crate) fn find(path: &str) -> Self {
        let folders = path.split(':').map(Path::new).chain([Path::new("/usr/local/bin"), Path::new("/usr/bin"), Path::new("/bin")]);
        let bash = folders
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join("bash"))
            .find(|program| program.is_file() && access(program, Access::EXEC_OK).is_ok());
        Self { program: bash.unwrap_or_else(|| PathBuf::from("/bin/sh")) }
    }
}

/// The whole text for the shell: `exports` in their order, then `cd`, then each entry after its echo.
pub(crate) fn script_text(exports: &[(String, String)], folder: &Path, entries: &[String]) -> String {
    // Not the job's to see.
    let mut body = String::from("unset hms_script\n");
    for (name, value) in exports {
        body.push_str("export ");
        body.push_str(name);
        body.push('=');
        push_quoted(&mut body, value);
        body.push('\n');
    }
    body.push_str("cd -- ");
    push_quoted(&mut body, &folder.to_string_lossy());
    body.push('\n');
    for entry in entries {
        match echo_of(entry) {
            Some(echo) => {
                body.push_str("printf '%s\\n' ");
                push_quoted(&mut body, &echo);
            }
            None => body.push_str("echo"),
        }
        body.push('\n');
        body.push_str(entry);
        body.push('\n');
    }
    let mut text = String::with_capacity(body.len() * 2);
    text.push_str("trap 'exit 1' TERM\n");
    text.push_str("case \"$(set -o)\" in *\"pipefail\"*) set -o pipefail;; esac; set -o errexit\n");
    text.push_str("set +o noclobber\n");
    text.push_str("hms_script=");
    push_quoted(&mut text, &body);
    text.push_str("\n(trap 'exit 1' TERM; eval \"$hms_script\") < /dev/null\nexit 0\n");
    text
}

/// How an entry is shown before it runs: bold green, the first line alone of several; none for a blank entry.
pub(crate) fn echo_of(entry: &str) -> Option<String> {
    title_of(entry).map(|title| format!("\u{1b}[32;1m$ {title}\u{1b}[0;m"))
}

/// An entry on one line.
pub(crate) fn title_of(entry: &str) -> Option<String> {
    let trimmed = entry.trim();
    let first = trimmed.lines().next()?;
    Some(if first.len() == trimmed.len() { first.to_owned() } else { format!("{first} # collapsed multi-line command") })
}

/// Between single quotes nothing is special in any shell; a single quote itself is put as `'\''`.
fn push_quoted(text: &mut String, value: &str) {
    text.push('\'');
    text.push_str(&value.replace('\'', "'\\''"));
    text.push('\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(program: &str, text: &str) -> (Option<i32>, String) {
        use std::io::Write;
        use std::process::{Command, Stdio};
        let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn the_text_is_the_runners() {
        let exports = [("A".to_owned(), "it's".to_owned())];
        let text = script_text(&exports, Path::new("/build"), &["echo $A".to_owned()]);
        let expected = "trap 'exit 1' TERM\n\
            case \"$(set -o)\" in *\"pipefail\"*) set -o pipefail;; esac; set -o errexit\n\
            set +o noclobber\n\
            hms_script='unset hms_script\n\
            export A='\\''it'\\''\\'\\'''\\''s'\\''\n\
            cd -- '\\''/build'\\''\n\
            printf '\\''%s\\n'\\'' '\\''\u{1b}[32;1m$ echo $A\u{1b}[0;m'\\''\n\
            echo $A\n\
            '\n\
            (trap 'exit 1' TERM; eval \"$hms_script\") < /dev/null\n\
            exit 0\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn an_echo_is_trimmed_and_shows_the_first_line() {
        let table = [
            ("echo a", Some("$ echo a")),
            ("  echo a \n", Some("$ echo a")),
            ("if true\nthen echo\nfi", Some("$ if true # collapsed multi-line command")),
            (" \n ", None),
        ];
        for (entry, expected) in table {
            assert_eq!(echo_of(entry), expected.map(|text| format!("\u{1b}[32;1m{text}\u{1b}[0;m")), "{entry:?}");
        }
    }

    #[test]
    fn every_value_survives_every_shell() {
        for value in ["", "it's", "''", "a\\b", "$HOME `id` \"x\" !", "two\nlines\n", "-n", "\u{e9}\u{1F600}", "*?[a]{b,c}~"] {
            let exports = [("VALUE".to_owned(), value.to_owned())];
            let text = script_text(&exports, Path::new("/"), &[" ".to_owned(), "printf '[%s]' \"$VALUE\"".to_owned()]);
            for program in ["bash", "sh"] {
                let (code, output) = run(program, &text);
                assert_eq!(code, Some(0));
                assert!(output.ends_with(&format!("[{value}]")), "{program} {value:?}: {output:?}");
            }
        }
    }
}
