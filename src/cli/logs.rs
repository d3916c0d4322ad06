//! `hms logs`: a job's log, as text or as a JSON line a line.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use crate::event::{JobName, JobStatus};
use crate::executor::log_path;
use crate::report::json_text;
use crate::run::reader::{RunReader, find};
use crate::text::{MAX_CHARACTERS, safe_line};

use super::arguments::Output;
use super::control::known_job;
use super::failure::{Exit, Failure};
use super::place::notice;
use super::run_new::Clone;
use super::status::word;

/// A job's log: of the attempt that is named, else of the last; with `follow` until that ends.
pub(crate) fn logs(
    clone: &Clone,
    job: &JobName,
    run: Option<&str>,
    (attempt, follow): (Option<u32>, bool),
    output: Output,
) -> Result<u8, Failure> {
    let listed = find(&clone.folder, run)?;
    let mut reader = RunReader::new(&listed.folder);
    reader.poll()?;
    known_job(reader.state(), job)?;
    let attempts = reader.state().job(job).map_or(0, |job| job.attempts.len());
    if let Some(number) = attempt.filter(|number| *number == 0 || usize::try_from(*number).map_or(true, |number| number > attempts)) {
        return Err(Failure::new(Exit::Usage, format!("{job} has no attempt {number}")).hint(format!("it has had {attempts}")));
    }
    // Not a line at a time: a log may have millions.
    let out = std::io::BufWriter::with_capacity(1 << 16, std::io::stdout());
    let mut printer = Printer { job, output, attempt: 0, line: 0, offset: 0, partial: Vec::new(), cut: false, out };
    loop {
        let state = reader.state();
        let found = state.job(job).map(|job| (job.status, job.attempts.last().map(|attempt| attempt.number)));
        let over = found.is_none_or(|(status, _)| status.is_finished());
        if let Some((_, Some(last))) = found {
            let number = attempt.unwrap_or(last);
            printer.go_on(number, &log_path(&listed.folder.attempt(job, number)))?;
        } else if !follow || over {
            let status = found.map_or(JobStatus::Created, |(status, _)| status);
            return Err(Failure::new(Exit::NotCarriedOut, format!("{job} has no log: it is {}", word(&status))));
        }
        if !follow || over {
            printer.end()?;
            printer.out.flush()?;
            if printer.cut {
                let path = log_path(&listed.folder.attempt(job, printer.attempt));
                notice(&format!("lines of more than {MAX_CHARACTERS} characters end in …; all of them: {}", path.display()));
            }
            return Ok(0);
        }
        std::thread::sleep(Duration::from_millis(100));
        reader.poll()?;
    }
}

/// Where the printing of a log stands.
struct Printer<'a, W> {
    job: &'a JobName,
    output: Output,
    attempt: u32,
    /// Lines that were printed of this attempt.
    line: u64,
    offset: u64,
    /// A line that has no end yet.
    partial: Vec<u8>,
    /// Whether a line was longer than what is shown of one.
    cut: bool,
    out: W,
}

impl<W: Write> Printer<'_, W> {
    /// Prints what came since the last time; another attempt's log begins anew.
    fn go_on(&mut self, attempt: u32, path: &Path) -> Result<(), Failure> {
        if self.attempt != attempt {
            self.end()?;
            (self.attempt, self.line, self.offset) = (attempt, 0, 0);
        }
        let Ok(mut file) = std::fs::File::open(path) else { return Ok(()) };
        file.seek(SeekFrom::Start(self.offset))?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = file.read(&mut buffer)?;
            let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { return Ok(self.out.flush()?) };
            self.offset += u64::try_from(count).unwrap_or(0);
            for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
                self.partial.extend_from_slice(piece);
                if self.partial.last() == Some(&b'\n') {
                    self.partial.pop();
                    self.print()?;
                }
            }
        }
    }

    /// Prints a last line that has no end.
    fn end(&mut self) -> Result<(), Failure> {
        if self.partial.is_empty() { Ok(()) } else { self.print() }
    }

    /// Without what a terminal would obey.
    fn print(&mut self) -> Result<(), Failure> {
        self.line += 1;
        let bytes = std::mem::take(&mut self.partial);
        match self.output {
            Output::Text => {
                let shown = safe_line(&bytes);
                self.cut |= bytes.len() > MAX_CHARACTERS && shown.trim_end_matches("\u{1b}[0m").ends_with('…');
                writeln!(self.out, "{shown}")?;
            }
            Output::Json => {
                let text = String::from_utf8_lossy(&bytes);
                let line = serde_json::json!({
                    "format": 1, "job": self.job, "attempt": self.attempt, "line": self.line, "text": text,
                });
                writeln!(self.out, "{}", json_text(&line).map_err(|error| Failure::of(Exit::NotCarriedOut, &error))?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_value_with_its_place_and_what_a_terminal_obeys_is_spelt_out() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        std::fs::write(&one, b"a\n\x1b[31mb\x1b[0m\nhal").unwrap();
        std::fs::write(&two, b"again").unwrap();
        let job = "test".parse().unwrap();
        let mut printer =
            Printer { job: &job, output: Output::Json, attempt: 0, line: 0, offset: 0, partial: Vec::new(), cut: false, out: Vec::new() };
        printer.go_on(1, &one).unwrap();
        std::fs::write(&one, b"a\n\x1b[31mb\x1b[0m\nhalf\n").unwrap();
        printer.go_on(1, &one).unwrap();
        printer.go_on(2, &two).unwrap();
        printer.end().unwrap();
        let text = String::from_utf8(printer.out).unwrap();
        assert!(!text.contains('\x1b'), "{text}");
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let told = |line: &serde_json::Value| (line["attempt"].as_u64(), line["line"].as_u64(), line["text"].as_str().unwrap().to_owned());
        let wanted = [(1, 1, "a"), (1, 2, "\x1b[31mb\x1b[0m"), (1, 3, "half"), (2, 1, "again")];
        let wanted = wanted.map(|(attempt, line, text)| (Some(attempt), Some(line), text.to_owned()));
        assert_eq!(lines.iter().map(told).collect::<Vec<_>>(), wanted);
    }
}
