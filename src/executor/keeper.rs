//! The keeper's process: from the specification on its standard input to the exit record (`docs/decisions.md` 1.4).

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::process::{getpid, set_child_subreaper, setsid};

use super::attempt::Attempt;
use super::log::Log;
use super::mask::Secrets;
use super::record::{ArtifactCounts, ExitRecord, lock_path, log_path, record_path, reserve_path};
use super::signals::Signals;
use super::spec::KeeperSpec;
use super::start::READY;
use super::variable_files::VariableFiles;
use crate::event::{AttemptResult, FailureReason};
use crate::store::{self, Holder, Lock};

/// How much of the disk is kept for the exit record, in bytes: by the job's end the disk may be full, by the job itself.
const RESERVED_BYTES: u64 = 64 << 10;
/// How often a full disk is tried again for the exit record.
const RECORD_TRIES: u32 = 20;
/// How long between two tries.
const RECORD_PAUSE: Duration = Duration::from_millis(500);

/// Why a keeper could not do its work at all; its text goes to its standard error.
#[derive(Debug, thiserror::Error)]
enum KeeperError {
    #[error("the specification cannot be read: {0}")]
    Spec(#[source] serde_json::Error),
    #[error("the attempt was started before; {0} is there")]
    Again(std::path::PathBuf),
    #[error("cannot {0}: {1}")]
    System(&'static str, #[source] io::Error),
    #[error(transparent)]
    Lock(#[from] store::LockError),
    #[error("the exit record cannot be written: {0}")]
    Record(#[source] store::DiskError),
}

impl KeeperError {
    fn of(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System(what, source)
    }
}

/// Is `hms keeper STATE`: runs the attempt that is described on standard input and returns 0 when its exit record is written, else 3.
#[must_use]
pub fn keeper_main(state: &Path) -> u8 {
    match keep(state) {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(io::stderr(), "hms keeper: {error}");
            3
        }
    }
}

fn keep(state: &Path) -> Result<(), KeeperError> {
    let mut text = Vec::new();
    io::stdin().read_to_end(&mut text).map_err(KeeperError::of("read the specification"))?;
    let spec: KeeperSpec = serde_json::from_slice(&text).map_err(KeeperError::Spec)?;
    drop(text);
    // Refused only to a process that leads a group already, as one started from a shell does.
    let _ = setsid();
    set_child_subreaper(Some(getpid())).map_err(|error| KeeperError::System("become a subreaper", error.into()))?;
    let signals = Signals::catch().map_err(KeeperError::of("catch signals"))?;
    let lock = lock_path(&spec.attempt_folder);
    if lock.exists() {
        return Err(KeeperError::Again(lock));
    }
    let _held = Lock::try_take(&lock, &this_holder())?;
    let resource =
        spec.resource.as_ref().map(|resource| Lock::try_take(&resource.path, &Holder { role: resource.role.clone(), ..this_holder() }));
    // Where it cannot be kept, the record is written as the disk is by then.
    let _ = reserve(&reserve_path(&spec.attempt_folder));
    let _at_home = store::settle(state);
    writeln!(io::stdout(), "{READY}").and_then(|()| io::stdout().flush()).map_err(KeeperError::of("say that it is ready"))?;
    let taken = resource
        .as_ref()
        .map_or(Ok(()), |taken| taken.as_ref().map(|_| ()).map_err(|error| format!("its resource group is taken: {error}")));
    let files = || VariableFiles::write(&spec.variable_files).map_err(|error| store::chain(&error));
    let ready = taken.and_then(|()| files()).and_then(|files| prepare(&spec).map(|(log, secrets)| (files, log, secrets)));
    let record = match ready {
        // The files are gone before the record says that the job has ended.
        Ok((_files, log, secrets)) => Attempt::new(&spec, store::mark_value(state), signals, log, &secrets).run(),
        Err(why) => not_carried_out(&spec, why),
    };
    write_record(&spec, &record)
}

fn prepare(spec: &KeeperSpec) -> Result<(Log, Rc<Secrets>), String> {
    if spec.script.iter().all(|entry| entry.trim().is_empty()) {
        return Err("the script is empty, and a success must be earned".to_owned());
    }
    let values = spec.masks.iter().chain(&spec.token).map(String::as_str);
    let secrets = Rc::new(Secrets::new(values).map_err(|error| format!("the masked values cannot be masked: {error}"))?);
    let path = log_path(&spec.attempt_folder);
    let log = Log::open(&path, Rc::clone(&secrets), spec.log_limit_bytes).map_err(|error| format!("the log cannot be opened: {error}"))?;
    Ok((log, secrets))
}

fn not_carried_out(spec: &KeeperSpec, why: String) -> ExitRecord {
    ExitRecord {
        format: 1,
        attempt: spec.attempt.clone(),
        result: AttemptResult::Failed,
        exit_code: None,
        signal: None,
        failure_reason: Some(FailureReason::RunnerSystemFailure),
        duration_ms: 0,
        message: Some(why),
        artifacts: ArtifactCounts::default(),
        tests: None,
        warnings: Vec::new(),
        dotenv: Vec::new(),
        reports: Vec::new(),
        coverage: None,
    }
}

fn reserve(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    Ok(fallocate(&file, FallocateFlags::empty(), 0, RESERVED_BYTES)?)
}

fn write_record(spec: &KeeperSpec, record: &ExitRecord) -> Result<(), KeeperError> {
    let _ = fs::remove_file(reserve_path(&spec.attempt_folder));
    let path = record_path(&spec.attempt_folder);
    let text = serde_json::to_vec(record).map_err(|error| KeeperError::System("write the exit record", error.into()))?;
    let mut tries = 0;
    loop {
        match store::replace(&path, &text) {
            Err(error) if error.is_full() && tries < RECORD_TRIES => {
                tries += 1;
                std::thread::sleep(RECORD_PAUSE);
            }
            answer => return answer.map_err(KeeperError::Record),
        }
    }
}

pub(super) fn this_holder() -> Holder {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    Holder { process: store::this_process(), host, role: "keeper".to_owned(), socket: None }
}
