//! The folder that holds all of a demo, and how it goes: the target stopped, every process in it gone, the folder removed.
//!
//! ```text
//! $TMPDIR/hms-demo-<10>/   home/  state/  data/  run/  tmp/  environment.sh  owner
//!   hms-demo/              the repository; its runs are below .git/hms
//! ```

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::deploy::local::LocalTarget;
use crate::event::{AppName, ProcessName};
use crate::store::{DiskError, Holder, Lock, Places, Signal, environment_has, name_of, read_if_there, replace, send_signal, this_process};

use super::super::failure::{Exit, Failure};
use super::{APP, Afterwards};

/// The longest folder below which a socket's path can still be bound: 107 bytes, less what comes after it.
const LONGEST: usize = 70;
/// Variables that the demo's processes get as they are: how the terminal is, and who looks.
const KEPT: [&str; 11] =
    ["LANG", "LC_ALL", "LC_CTYPE", "TZ", "USER", "LOGNAME", "TERM", "COLORTERM", "COLORFGBG", "NO_COLOR", "SSH_CONNECTION"];
/// How long processes may take to end by themselves.
const ENDING: Duration = Duration::from_secs(10);
/// How long they may take when they are told to.
const ASKED: Duration = Duration::from_secs(2);

/// What the owner of a demo's folder is.
const ROLE: &str = "demo";
/// So many dead ones are removed at once.
const MOST_DEAD: usize = 8;

/// How the demo's processes end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// By themselves, but for the target: the story is over, and whatever still runs is a fault.
    Awaited,
    /// Now, whatever they are doing.
    Forced,
}

/// A demo's folder and what belongs to it.
pub(super) struct World {
    pub(super) folder: PathBuf,
    pub(super) repository: PathBuf,
    pub(super) places: Places,
    pub(super) program: PathBuf,
    pub(super) app: AppName,
    /// Held while its demo lives: what is left with this lock free is a dead one's.
    _owner: Lock,
}

impl World {
    /// Makes the folder; `program` is the hms to run.
    pub(super) fn make(program: PathBuf) -> Result<Self, Failure> {
        let folder = private_folder()?;
        let below = |name: &str| folder.join(name);
        for name in ["home", "state", "data", "run", "tmp", APP] {
            DirBuilder::new().mode(0o700).create(below(name)).map_err(DiskError::of("make", &below(name)))?;
        }
        let places = places_in(&folder)?;
        let app = APP.parse().map_err(|error| Failure::of(Exit::NotCarriedOut, &error))?;
        let owner = own(&folder).map_err(|error| Failure::of(Exit::NotCarriedOut, &error))?;
        let world = Self { repository: folder.join(APP), places, program, app, folder, _owner: owner };
        world.write_environment()?;
        Ok(world)
    }

    /// Ends and removes what demos of this user left that were killed; a line for each. Only what is provably theirs: a folder of this user's
    /// alone, named as a demo's, whose owner's lock says that a demo held it, and nobody does. A kept one has no owner.
    pub(super) fn remove_dead(program: &Path) -> Vec<String> {
        let Ok(parent) = parent() else { return Vec::new() };
        let entries = std::fs::read_dir(&parent).into_iter().flatten().flatten().map(|entry| entry.path());
        let dead = entries.filter_map(|folder| Self::of_the_dead(folder, program)).take(MOST_DEAD);
        dead.map(|world| {
            let folder = world.folder.display().to_string();
            match world.close(Ending::Forced, Afterwards::Remove) {
                Ok(_) => format!("a demo that was killed had left {folder}: it is removed, and nothing of it runs any more"),
                Err(failure) => format!("a demo that was killed left {folder}, which cannot be removed: {}", failure.in_one_line()),
            }
        })
        .collect()
    }

    fn of_the_dead(folder: PathBuf, program: &Path) -> Option<Self> {
        let random = folder.file_name()?.to_str()?.strip_prefix("hms-demo-")?;
        let named = random.len() == 10 && random.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let metadata = std::fs::symlink_metadata(&folder).ok()?;
        let mine = metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode().trailing_zeros() >= 6;
        let held: Holder = serde_json::from_slice(&read_if_there(&folder.join("owner")).ok().flatten()?).ok()?;
        if !named || !mine || held.role != ROLE || held.host != this_host() {
            return None;
        }
        // Taken: from here on no other demo removes it.
        let owner = own(&folder).ok()?;
        let places = places_in(&folder).ok()?;
        Some(Self { repository: folder.join(APP), places, program: program.to_owned(), app: APP.parse().ok()?, folder, _owner: owner })
    }

    /// The whole environment of the demo's processes.
    pub(super) fn variables(&self) -> Vec<(OsString, OsString)> {
        let mut all: Vec<(OsString, OsString)> = KEPT.iter().filter_map(|name| Some(((*name).into(), std::env::var_os(name)?))).collect();
        let own = [
            ("HOME", "home"),
            ("HMS_STATE_HOME", "state"),
            ("HMS_DATA_HOME", "data"),
            ("XDG_RUNTIME_DIR", "run"),
            ("XDG_CONFIG_HOME", "home/.config"),
            ("TMPDIR", "tmp"),
        ];
        all.extend(own.into_iter().map(|(name, below)| (name.into(), self.folder.join(below).into())));
        all.push(("PATH".into(), self.path()));
        all
    }

    /// The PATH with the folder of this hms first: releases are started by `hms demo-service`.
    fn path(&self) -> OsString {
        let mut path = self.program.parent().unwrap_or(Path::new("/")).as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()));
        path
    }

    /// `environment.sh`, for a second terminal.
    fn write_environment(&self) -> Result<(), Failure> {
        let mut text = b"# . this file, and a shell is in the demo\n".to_vec();
        for (name, value) in self.variables().iter().filter(|(name, _)| !KEPT.iter().any(|kept| name == kept)) {
            let quoted = value.as_bytes().split(|byte| *byte == b'\'').collect::<Vec<_>>().join(&b"'\\''"[..]);
            text.extend([b"export ", name.as_bytes(), b"='", &quoted, b"'\n"].concat());
        }
        Ok(replace(&self.folder.join("environment.sh"), &text)?)
    }

    pub(super) fn target(&self) -> LocalTarget {
        LocalTarget::open(&self.places, &self.app, &self.program)
    }

    /// Every process that was started in this demo and still lives: those that the demo started have its HOME, and jobs have one of
    /// their run's, which lies in the repository.
    pub(super) fn processes(&self) -> Vec<ProcessName> {
        let mark = format!("HOME={}/", self.folder.display());
        let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| environment_has(*pid, &mark) == Some(true)).filter_map(name_of).collect()
    }

    /// Stops what runs and removes the folder; what there is to say of it.
    ///
    /// # Errors
    /// When something still ran that was [`Ending::Awaited`], or the folder cannot be removed.
    pub(super) fn close(&self, ending: Ending, afterwards: Afterwards) -> Result<String, Failure> {
        self.stop_target();
        let left = self.end_processes(ending);
        let line = match afterwards {
            Afterwards::Keep => {
                // Nobody's any more: no later demo removes it.
                std::fs::remove_file(self.folder.join("owner")).map_err(DiskError::of("remove", &self.folder))?;
                format!("kept: {}; to look around: . {0}/environment.sh && cd {0}/{APP}", self.folder.display())
            }
            Afterwards::Remove => {
                std::fs::remove_dir_all(&self.folder).map_err(DiskError::of("remove", &self.folder))?;
                format!("nothing of it runs any more, and {} is removed", self.folder.display())
            }
        };
        match (ending, left.as_slice()) {
            (Ending::Forced, _) | (Ending::Awaited, []) => Ok(line),
            (Ending::Awaited, left) => {
                let pids: Vec<String> = left.iter().map(|process| process.pid.to_string()).collect();
                let message = format!("still running when the demo was over, and ended by force: pid {}", pids.join(", "));
                Err(Failure::new(Exit::Failed, message))
            }
        }
    }

    /// Its failure is no matter of its own: what still runs then is ended next.
    fn stop_target(&self) {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        let _ = runtime.block_on(self.target().stop(&|_| ()));
    }

    /// Ends what still runs, after it had its time when it was to end by itself; what had to be ended.
    fn end_processes(&self, ending: Ending) -> Vec<ProcessName> {
        let patience = match ending {
            Ending::Awaited => ENDING,
            Ending::Forced => Duration::ZERO,
        };
        if self.none_within(patience) {
            return Vec::new();
        }
        let left = self.processes();
        // Twice the last, for what was started by something that was ended just then.
        for signal in [Signal::Term, Signal::Kill, Signal::Kill] {
            for process in self.processes() {
                let _ = send_signal(&process, signal);
            }
            if self.none_within(ASKED) {
                break;
            }
        }
        left
    }

    fn none_within(&self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        loop {
            if self.processes().is_empty() {
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn places_in(folder: &Path) -> Result<Places, Failure> {
    let lookup = |name: &str| match name {
        "HMS_STATE_HOME" => Some(folder.join("state")),
        "HMS_DATA_HOME" => Some(folder.join("data")),
        "XDG_RUNTIME_DIR" => Some(folder.join("run")),
        _ => None,
    };
    Places::find(lookup).map_err(|error| Failure::of(Exit::NotCarriedOut, &error))
}

fn own(folder: &Path) -> Result<Lock, crate::store::LockError> {
    Lock::try_take(&folder.join("owner"), &Holder { process: this_process(), host: this_host(), role: ROLE.to_owned(), socket: None })
}

fn this_host() -> String {
    super::super::environment::actor("hms demo").host
}

/// Where demos are made.
fn parent() -> Result<PathBuf, Failure> {
    let wanted = std::env::var_os("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    Ok(wanted.canonicalize().map_err(DiskError::of("find", &wanted))?)
}

/// A new folder of this user's alone, with a path that sockets below it can have.
fn private_folder() -> Result<PathBuf, Failure> {
    let parent = parent()?;
    let name = || {
        let random = ulid::Ulid::generate().to_string().to_lowercase();
        format!("hms-demo-{}", random.get(16..).unwrap_or(&random))
    };
    if parent.as_os_str().len() + 1 + name().len() > LONGEST {
        let message = format!("{} is too long a path: sockets below it could not be bound", parent.display());
        return Err(Failure::new(Exit::NotCarriedOut, message).hint("TMPDIR=/tmp hms demo"));
    }
    loop {
        let folder = parent.join(name());
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(DiskError::of("make", &folder)(error).into()),
        }
    }
}
