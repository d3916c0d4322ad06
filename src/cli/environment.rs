//! The one file that reads this process's environment: variables, terminal, user, host, program.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use crate::document;
use crate::event::Actor;
use crate::policy::{Operator, check_owner_mode};
use crate::store::{DiskError, Places, read_if_there};

use super::failure::{Exit, Failure};

/// What this process knows of where it runs.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    pub(crate) places: Places,
    pub(crate) operator: Operator,
    /// The `hms` program: this one, or the one beside this one.
    pub(crate) program: PathBuf,
    pub(crate) ci: bool,
}

/// A variable, if it is set and not empty.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A variable as the operating system has it.
pub(crate) fn environment_variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name)
}

/// Whether a person can be asked: a terminal on both ends.
pub(crate) fn is_interactive() -> bool {
    std::io::stdin().is_terminal()
        && std::io::stdout().is_terminal()
        && variable("CI").is_none()
        && variable("TERM").is_none_or(|term| term != "dumb")
}

/// What keeps a screen from a terminal that is there.
pub(crate) fn why_not_interactive() -> Option<&'static str> {
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        return None;
    }
    if variable("CI").is_some() {
        Some("no screen is drawn while CI is set")
    } else {
        Some("no screen can be drawn on a terminal with TERM=dumb")
    }
}

impl Environment {
    /// Looks around.
    pub(crate) fn find() -> Result<Self, Failure> {
        Self::under(operator()?)
    }

    /// Looks around for a rollback, which no broken file of the operator's stops: it is said, and left out.
    pub(crate) fn find_whatever_the_operator_wrote(tell: &mut dyn FnMut(String)) -> Result<Self, Failure> {
        let found = operator().unwrap_or_else(|failure| {
            tell(format!("the operator's settings are left out: {}", failure.told().0));
            Operator::default()
        });
        Self::under(found)
    }

    fn under(operator: Operator) -> Result<Self, Failure> {
        let lookup = |name: &str| match (name, &operator.state) {
            ("HMS_STATE_HOME", Some(state)) => Some(state.clone()),
            _ => std::env::var_os(name).map(PathBuf::from),
        };
        let places = Places::find(lookup).map_err(|error| {
            Failure::of(Exit::NotCarriedOut, &error).hint("set XDG_STATE_HOME, XDG_DATA_HOME and XDG_RUNTIME_DIR to folders of your own")
        })?;
        Ok(Self { places, operator, program: program()?, ci: variable("CI").is_some() })
    }
}

/// The `hms` program. Its path is resolved once; a job's PATH cannot put another in its place.
pub(crate) fn program() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe().map_err(|error| Failure::of(Exit::NotCarriedOut, &error))?;
    if own.file_name().is_some_and(|name| name == "hms") {
        return Ok(own);
    }
    let beside = own.with_file_name("hms");
    if beside.is_file() {
        return Ok(beside);
    }
    let failure = Failure::new(Exit::NotCarriedOut, format!("the program `hms` is not beside {}", own.display()));
    Err(failure.hint("install hms, hms-deploy and hms-scan into one folder"))
}

/// Who runs this process.
pub(crate) fn actor(via: &str) -> Actor {
    let uid = rustix::process::getuid().as_raw();
    let tty = [0, 1, 2]
        .iter()
        .find_map(|fd| std::fs::read_link(format!("/proc/self/fd/{fd}")).ok())
        .filter(|path| path.starts_with("/dev/pts") || path.starts_with("/dev/tty"));
    Actor {
        uid,
        login: login(uid),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        tty: tty.map(|path| path.to_string_lossy().into_owned()),
        ssh_client: variable("SSH_CONNECTION").map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")),
        via: via.to_owned(),
    }
}

/// The login name that the system's user table has for a uid; the number where it has none.
fn login(uid: u32) -> String {
    let table = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    found.unwrap_or_else(|| uid.to_string())
}

/// The operator's files, the later over the earlier; each must be root's or this user's and nobody else's to write.
pub(crate) fn operator() -> Result<Operator, Failure> {
    let mut all = Operator::default();
    for path in operator_paths() {
        if let Some(operator) = operator_file(&path)? {
            all = all.and(operator);
        }
    }
    Ok(all)
}

/// Where an operator's file may lie, the earlier first.
pub(crate) fn operator_paths() -> Vec<PathBuf> {
    let config = variable("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| variable("HOME").map(|home| Path::new(&home).join(".config")));
    let paths = [
        Some(PathBuf::from("/etc/hms/config.yml")),
        config.map(|config| config.join("hms/config.yml")),
        variable("HMS_CONFIG").map(PathBuf::from),
    ];
    paths.into_iter().flatten().collect()
}

fn operator_file(path: &Path) -> Result<Option<Operator>, Failure> {
    use std::os::unix::fs::MetadataExt;
    let unreadable = |error: DiskError| Failure::of(Exit::Usage, &error);
    let Some(bytes) = read_if_there(path).map_err(unreadable)? else { return Ok(None) };
    let found = std::fs::metadata(path).map_err(DiskError::of("look at", path)).map_err(unreadable)?;
    check_owner_mode(found.uid(), found.mode(), rustix::process::geteuid().as_raw()).map_err(|error| {
        Failure::new(Exit::Usage, format!("{}: {error}", path.display())).hint(format!("chmod go-w {}", path.display()))
    })?;
    let place = |place: Option<document::Place>| place.map(|place| format!(":{}:{}", place.line, place.column)).unwrap_or_default();
    let node = document::parse(&bytes)
        .map_err(|error| Failure::new(Exit::Usage, format!("{}{}: {}", path.display(), place(Some(error.place)), error.message)))?;
    Operator::read(&node)
        .map(Some)
        .map_err(|problem| Failure::new(Exit::Usage, format!("{}{}: {}", path.display(), place(Some(problem.place)), problem.message)))
}
