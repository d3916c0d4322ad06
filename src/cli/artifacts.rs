//! `hms artifacts`: what jobs handed on, listed, taken out as one file, kept, or done away with when its time is over.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::deploy::tar::{self, END, padding};
use crate::event::{ArtifactsLife, JobName};
use crate::executor::{KeptArtifact, KeptArtifacts, kept_artifacts};
use crate::run::reader::{RunReader, find};
use crate::run::{Expired, KeepError, expired, keep_artifacts, remove_expired};
use crate::store::{DiskError, Holder, now, this_process};
use crate::text::{count, plain, quoted};

use super::arguments::{ArtifactsVerb, Output, WhichArtifacts};
use super::control::known_job;
use super::environment::actor;
use super::failure::{Exit, Failure};
use super::run_new::Clone;

/// Does what is asked with artifacts.
pub(crate) fn artifacts(clone: &Clone, verb: &ArtifactsVerb, output: Output) -> Result<u8, Failure> {
    match verb {
        ArtifactsVerb::Show(which) => show(&Found::of(clone, which)?, output),
        ArtifactsVerb::Get { which, to } => get(&Found::of(clone, which)?, to.as_deref(), output),
        ArtifactsVerb::Keep { run, job } => keep(clone, run, job.as_ref(), output),
        ArtifactsVerb::Expired { remove } => {
            let gone = if *remove { remove_expired(&clone.folder, &holder("hms artifacts expired"), now()) } else { Vec::new() };
            let left = expired(&clone.folder, now());
            tell_expired(&gone, &left, output)
        }
    }
}

fn holder(role: &str) -> Holder {
    Holder { process: this_process(), host: actor(role).host, role: role.to_owned(), socket: None }
}

/// The artifacts of an attempt.
struct Found {
    run: u64,
    job: JobName,
    attempt: u32,
    is_kept: bool,
    manifest: KeptArtifacts,
    tree: PathBuf,
}

impl Found {
    fn of(clone: &Clone, which: &WhichArtifacts) -> Result<Self, Failure> {
        let listed = find(&clone.folder, which.run.as_deref())?;
        let mut reader = RunReader::new(&listed.folder);
        reader.poll()?;
        let job = &which.job;
        known_job(reader.state(), job)?;
        let attempts = reader.state().job(job).map(|job| job.attempts.as_slice()).unwrap_or_default();
        let found = match which.attempt {
            Some(number) => attempts.iter().find(|attempt| attempt.number == number),
            None => attempts.last(),
        };
        let Some(attempt) = found else {
            let has = format!("it has had {} attempts", attempts.len());
            return Err(Failure::new(Exit::Usage, format!("{job} has no such attempt in run {}", listed.number)).hint(has));
        };
        let (tree, number) = (listed.folder.artifacts(job, attempt.number), listed.number);
        if attempt.artifacts == ArtifactsLife::Over {
            let why = format!("the artifacts of {job} in run {number} have expired (`expire_in`)");
            let again = format!("to have them again: hms retry {number} {}", quoted(job.as_str()));
            return Err(Failure::new(Exit::NotCarriedOut, why).hint(again));
        }
        let manifest =
            kept_artifacts(&listed.folder.attempt(job, attempt.number)).map_err(|error| Failure::of(Exit::NotCarriedOut, &error))?;
        let Some(manifest) = manifest.filter(|_| tree.is_dir()) else {
            let why = format!("attempt {} of {job} in run {number} handed on nothing", attempt.number);
            return Err(Failure::new(Exit::NotCarriedOut, why).hint(format!("hms logs {} --run {number}", quoted(job.as_str()))));
        };
        Ok(Self {
            run: number,
            job: job.clone(),
            attempt: attempt.number,
            is_kept: attempt.artifacts == ArtifactsLife::Kept,
            manifest,
            tree,
        })
    }

    fn file_name(&self) -> String {
        format!("{}.tar.gz", self.manifest.file_name())
    }
}

fn show(found: &Found, output: Output) -> Result<u8, Failure> {
    let mut out = std::io::stdout();
    let (counts, name) = (found.manifest.counts, found.file_name());
    if output == Output::Json {
        let value = json!({
            "format": 1, "run": found.run, "job": found.job, "attempt": found.attempt, "file": name, "kept": found.is_kept,
            "files": counts.files, "links": counts.links, "bytes": counts.bytes, "entries": found.manifest.entries,
        });
        writeln!(out, "{value}")?;
        return Ok(0);
    }
    for KeptArtifact { path, link, bytes } in &found.manifest.entries {
        match (link, bytes) {
            (Some(link), _) => writeln!(out, "{:>15}  {} → {}", "link", plain(path), plain(link))?,
            (None, bytes) => writeln!(out, "{:>15}  {}", bytes.map(count).unwrap_or_default(), plain(path))?,
        }
    }
    let (files, bytes) = (count(counts.files), count(counts.bytes));
    writeln!(out, "{files} files, {bytes} bytes, of attempt {} of {} in run {}: {}", found.attempt, found.job, found.run, plain(&name))?;
    Ok(0)
}

fn get(found: &Found, to: Option<&Path>, output: Output) -> Result<u8, Failure> {
    if to == Some(Path::new("-")) {
        if std::io::stdout().is_terminal() {
            return Err(
                Failure::new(Exit::Usage, "an archive is nothing to read on a terminal").hint("hms artifacts get JOB --to - | tar -tz")
            );
        }
        pack(&found.tree, std::io::stdout().lock())?.flush()?;
        return Ok(0);
    }
    let path = to.map_or_else(|| PathBuf::from(found.file_name()), Path::to_owned);
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let file = made
        .map_err(DiskError::of("make", &path))
        .map_err(|error| Failure::of(Exit::NotCarriedOut, &error).hint("nothing is written over: --to names another file"))?;
    let packed = pack(&found.tree, BufWriter::new(file)).and_then(|mut file| file.flush());
    if let Err(error) = packed {
        let _ = fs::remove_file(&path);
        return Err(DiskError::of("pack the artifacts into", &path)(error).into());
    }
    let mut out = std::io::stdout();
    let (shown, files) = (path.display().to_string(), found.manifest.counts.files);
    match output {
        Output::Json => writeln!(out, "{}", json!({"format": 1, "file": shown, "files": files, "run": found.run, "job": found.job}))?,
        Output::Text => writeln!(out, "{}: {} files of {} in run {}", plain(&shown), count(files), found.job, found.run)?,
    }
    Ok(0)
}

/// Writes a tree as a packed archive, in the order of names; the same tree gives the same bytes.
fn pack<W: Write>(tree: &Path, to: W) -> io::Result<W> {
    let mut archive = GzEncoder::new(to, Compression::new(6));
    pack_folder(tree, Path::new(""), &mut archive)?;
    archive.write_all(&END)?;
    archive.finish()
}

fn pack_folder(tree: &Path, below: &Path, archive: &mut impl Write) -> io::Result<()> {
    let mut names: Vec<std::ffi::OsString> =
        fs::read_dir(tree.join(below))?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    names.sort();
    for name in names {
        let path = below.join(name);
        let (source, mut entry) = (tree.join(&path), path.as_os_str().as_bytes().to_vec());
        let metadata = fs::symlink_metadata(&source)?;
        if metadata.is_dir() {
            entry.push(b'/');
            archive.write_all(&tar::header(&entry, tar::Kind::Folder))?;
            pack_folder(tree, &path, archive)?;
        } else if metadata.is_symlink() {
            archive.write_all(&tar::header(&entry, tar::Kind::Link { text: fs::read_link(&source)?.as_os_str().as_bytes() }))?;
        } else {
            let executable = metadata.mode() & 0o111 != 0;
            archive.write_all(&tar::header(&entry, tar::Kind::File { executable, bytes: metadata.len() }))?;
            // The header says how many bytes come: what somebody writes to meanwhile makes no archive.
            let copied = io::copy(&mut File::open(&source)?, archive)?;
            if copied != metadata.len() {
                return Err(io::Error::other(format!("{} was changed while it was read", path.display())));
            }
            archive.write_all(&padding(copied))?;
        }
    }
    Ok(())
}

fn keep(clone: &Clone, run: &str, job: Option<&JobName>, output: Output) -> Result<u8, Failure> {
    let listed = find(&clone.folder, Some(run))?;
    let mut reader = RunReader::new(&listed.folder);
    reader.poll()?;
    if let Some(job) = job {
        known_job(reader.state(), job)?;
    }
    let who = actor("hms artifacts keep");
    let kept = keep_artifacts(&listed.folder, job, &who, &holder("hms artifacts keep"), now()).map_err(|error| {
        let failure = Failure::of(Exit::NotCarriedOut, &error);
        match error {
            KeepError::Lock(_) => failure.hint("nothing of a run expires while it goes on: say it again when that is over"),
            KeepError::Journal(_) | KeepError::Later => failure,
        }
    })?;
    let mut out = std::io::stdout();
    if output == Output::Json {
        let rows: Vec<Value> = kept.iter().map(|(job, attempt)| json!({"job": job, "attempt": attempt})).collect();
        writeln!(out, "{}", json!({"format": 1, "run": listed.number, "kept": rows}))?;
    } else if kept.is_empty() {
        writeln!(out, "nothing of run {} is there that is not kept already", listed.number)?;
    } else {
        let named: Vec<String> = kept.iter().map(|(job, attempt)| format!("{job} (attempt {attempt})")).collect();
        writeln!(out, "kept of run {}: {}", listed.number, named.join(", "))?;
    }
    Ok(0)
}

fn tell_expired(gone: &[Expired], left: &[Expired], output: Output) -> Result<u8, Failure> {
    let mut out = std::io::stdout();
    if output == Output::Json {
        let rows = |all: &[Expired]| -> Vec<Value> {
            all.iter().map(|one| json!({"run": one.number, "job": one.job, "attempt": one.attempt, "bytes": bytes_of(one)})).collect()
        };
        writeln!(out, "{}", json!({"format": 1, "removed": rows(gone), "expired": rows(left)}))?;
        return Ok(0);
    }
    for (word, all) in [("gone", gone), ("expired", left)] {
        for one in all {
            let bytes = bytes_of(one).map(|bytes| format!("  {} bytes", count(bytes))).unwrap_or_default();
            writeln!(out, "{word}  {} of run {}, attempt {}{bytes}", one.job, one.number, one.attempt)?;
        }
    }
    match (gone.is_empty(), left.is_empty()) {
        (true, true) => writeln!(out, "nothing that may go has expired")?,
        (_, false) => writeln!(std::io::stderr(), "Hint: the next run does away with it, or hms artifacts expired --remove")?,
        (false, true) => {}
    }
    Ok(0)
}

fn bytes_of(expired: &Expired) -> Option<u64> {
    Some(kept_artifacts(&expired.folder.attempt(&expired.job, expired.attempt)).ok()??.counts.bytes)
}
