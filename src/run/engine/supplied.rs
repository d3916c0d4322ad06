//! Values of variables that the operator supplies, looked up when a job starts that gets them. They go into the job's keeper and nowhere else.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, kill_process_group};

use crate::event::RunCreated;
use crate::executor::{VariableFile, check_maskable};
use crate::pipeline::Job;
use crate::policy::{Asker, Shape, SuppliedVariable, ValueSource, check_owner_mode};
use crate::store::KEPT;

use super::prepare::NotPrepared;

/// The longest value, in bytes.
const LONGEST_BYTES: u64 = 64 * 1024;
/// Marks a command of the operator's, so that an engine which ends what a killed keeper left passes it over.
pub(super) const MARK: &str = "HMS_VALUE_OF_";
/// Between two looks at whether a command has ended.
const LOOK: Duration = Duration::from_millis(5);

/// What a job gets of masked variables.
#[derive(Default)]
pub(super) struct Handed {
    /// What a variable holds: its value, or the path of its file.
    pub(super) variables: BTreeMap<String, String>,
    /// The files.
    pub(super) files: Vec<VariableFile>,
    /// All values, also of those that this job does not get.
    pub(super) masks: Vec<String>,
    /// What people should know, a sentence each.
    pub(super) notices: Vec<String>,
}

/// Whom it is looked up for.
pub(super) struct Receiver<'a> {
    pub(super) created: &'a RunCreated,
    pub(super) job: &'a Job,
    /// The folder of its files.
    pub(super) folder: PathBuf,
}

/// Hands out the values that the run was given, and looks up those that the operator supplies.
pub(super) fn hand_out(
    given: &BTreeMap<String, String>,
    supplied: &BTreeMap<String, SuppliedVariable>,
    receiver: &Receiver<'_>,
) -> Result<Handed, NotPrepared> {
    let mut handed = Handed { masks: given.values().cloned().collect(), ..Handed::default() };
    for (name, value) in given {
        match supplied.get(name) {
            Some(variable) if !gets(name, variable, receiver, &mut handed.notices) => {}
            Some(variable) => handed.take(name, value.clone(), variable.shape, receiver),
            None => handed.take(name, value.clone(), Shape::Text, receiver),
        }
    }
    for (name, variable) in supplied.iter().filter(|(name, _)| !given.contains_key(*name)) {
        let Some(source) = &variable.source else { continue };
        if !gets(name, variable, receiver, &mut handed.notices) {
            continue;
        }
        let value = look_up(name, source)?;
        check_maskable(&value).map_err(|error| NotPrepared::Lacking(format!("the value of {name} cannot be masked: {error}")))?;
        handed.masks.push(value.clone());
        handed.take(name, value, variable.shape, receiver);
    }
    Ok(handed)
}

impl Handed {
    fn take(&mut self, name: &str, value: String, shape: Shape, receiver: &Receiver<'_>) {
        let held = match shape {
            Shape::Text => value,
            Shape::File => {
                let path = receiver.folder.join(name);
                let held = path.to_string_lossy().into_owned();
                self.files.push(VariableFile { path, value });
                held
            }
        };
        self.variables.insert(name.to_owned(), held);
    }
}

/// Whether the job gets it. What only protected refs get is left out elsewhere, as GitLab does, and that is said.
fn gets(name: &str, variable: &SuppliedVariable, receiver: &Receiver<'_>, notices: &mut Vec<String>) -> bool {
    let repository = receiver.created.repository.to_string_lossy();
    let environment = receiver.job.environment.as_ref().map(|environment| environment.name.as_str());
    let environment = environment.or_else(|| receiver.job.environments.first().map(crate::event::EnvironmentName::as_str));
    if !variable.is_for(&Asker { repository: &repository, job: &receiver.job.base_name, environment }) {
        return false;
    }
    if variable.protected && receiver.created.protected != Some(true) {
        let of = receiver.created.ref_name.as_deref().unwrap_or("a bare revision");
        notices.push(format!("{name} is for protected refs alone, and {of} is none: jobs of this run do not get it"));
        return false;
    }
    true
}

fn look_up(name: &str, source: &ValueSource) -> Result<String, NotPrepared> {
    match source {
        ValueSource::Path(path) => read_value(path).map_err(|why| NotPrepared::Lacking(format!("{name}: {}: {why}", path.display()))),
        ValueSource::Command { command, environment, limit } => {
            let told = command.join(" ");
            ask(name, command, environment, limit.duration()).map_err(|why| {
                NotPrepared::Trouble(format!(
                    "{name} has no value: the operator's command `{told}` {why}; run it by hand to see what it says"
                ))
            })
        }
    }
}

fn read_value(path: &Path) -> Result<String, String> {
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let found = file.metadata().map_err(|error| error.to_string())?;
    check_owner_mode(found.uid(), found.mode(), rustix::process::geteuid().as_raw()).map_err(|error| error.to_string())?;
    if found.mode() & 0o077 != 0 {
        return Err(format!("others can read it (mode {:o}); chmod 600 {}", found.mode() & 0o777, path.display()));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    not_too_long(bytes).and_then(value_of)
}

fn not_too_long(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    let short = u64::try_from(bytes.len()).is_ok_and(|length| length <= LONGEST_BYTES);
    if short { Ok(bytes) } else { Err(format!("gave more than {LONGEST_BYTES} bytes")) }
}

/// A value without the line break at its end, as `$(…)` and every vault's client have it.
fn value_of(bytes: Vec<u8>) -> Result<String, String> {
    let text = String::from_utf8(bytes).map_err(|_| "gave something that is no UTF-8".to_owned())?;
    let value = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    if value.is_empty() { Err("gave nothing".to_owned()) } else { Ok(value.to_owned()) }
}

/// Runs the operator's command to its end, or to its limit.
fn ask(name: &str, command: &[String], environment: &BTreeMap<String, String>, limit: Duration) -> Result<String, String> {
    let Some((program, arguments)) = command.split_first() else { return Err("names no program".to_owned()) };
    let mut asked = Command::new(program);
    asked.args(arguments).env_clear().current_dir("/").process_group(0);
    asked.envs(std::env::vars_os().filter(|(name, _)| KEPT.iter().any(|kept| name == kept)));
    asked.envs(environment).env(format!("{MARK}{name}"), "1");
    let mut child = asked
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot be started: {error}"))?;
    let end = Instant::now() + limit;
    let answer = read_within(&mut child, end).and_then(|bytes| {
        let status = wait_until(&mut child, end)?;
        if status.success() { value_of(bytes) } else { Err(ended(status)) }
    });
    if answer.is_err() {
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let _ = group.map(|group| kill_process_group(group, rustix::process::Signal::KILL));
        let _ = child.wait();
    }
    answer
}

fn too_slow() -> String {
    "took longer than its `timeout` and was ended".to_owned()
}

/// All that it prints, and no byte more than may be.
fn read_within(child: &mut Child, end: Instant) -> Result<Vec<u8>, String> {
    let output = child.stdout.take().ok_or("has no output")?;
    let (sender, answer) = mpsc::channel();
    // It ends with the command's output, which ends with the command's group at the latest.
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = output.take(LONGEST_BYTES + 1).read_to_end(&mut bytes);
        let _ = sender.send(read.map(|_| bytes));
    });
    match answer.recv_timeout(end.saturating_duration_since(Instant::now())) {
        Ok(Ok(bytes)) => not_too_long(bytes),
        Ok(Err(error)) => Err(format!("cannot be read: {error}")),
        Err(_) => Err(too_slow()),
    }
}

fn wait_until(child: &mut Child, end: Instant) -> Result<ExitStatus, String> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if Instant::now() >= end => return Err(too_slow()),
            Ok(None) => std::thread::sleep(LOOK),
            Err(error) => return Err(format!("cannot be waited for: {error}")),
        }
    }
}

fn ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended nobody knows how".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Result<String, String> {
        let command = ["sh", "-c", script].map(str::to_owned);
        ask("TOKEN", &command, &BTreeMap::from([("GIVEN".to_owned(), "given".to_owned())]), Duration::from_secs(20))
    }

    #[test]
    fn a_value_is_what_the_command_prints_and_nothing_else_is_one() {
        assert_eq!(shell("echo $GIVEN-value"), Ok("given-value".to_owned()));
        assert_eq!(shell("printf 'two\\nlines\\n'"), Ok("two\nlines".to_owned()));
        for (script, why) in [
            ("echo value; exit 7", "ended with exit code 7"),
            ("kill -9 $$", "was killed by signal 9"),
            ("true", "gave nothing"),
            ("printf '\\377'", "gave something that is no UTF-8"),
            ("yes", "gave more than 65536 bytes"),
        ] {
            assert_eq!(shell(script), Err(why.to_owned()), "{script}");
        }
        let missing = ask("TOKEN", &["/nowhere/at/all".to_owned()], &BTreeMap::new(), Duration::from_secs(20));
        assert!(missing.is_err_and(|why| why.starts_with("cannot be started")));
    }

    #[test]
    fn a_command_that_hangs_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let number = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", number.display());
        let command = ["sh", "-c", &script].map(str::to_owned);
        assert_eq!(ask("TOKEN", &command, &BTreeMap::new(), Duration::from_secs(1)), Err(too_slow()));
        let pid: u32 = std::fs::read_to_string(&number).unwrap().trim().parse().unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        while crate::store::name_of(pid).is_some_and(|process| crate::store::is_alive(&process)) {
            assert!(Instant::now() < end, "{pid} lives");
            std::thread::sleep(LOOK);
        }
    }
}
