//! Unix sockets that carry JSON lines (`docs/decisions.md` 4).

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::process::name_of;
use crate::event::ProcessName;

/// The protocol's major version.
const MAJOR: u32 = 1;
/// The longest line that is read, in bytes. A scan report is the largest thing that travels.
const LINE_LIMIT: u64 = 64 * 1024 * 1024;

/// The first line, from the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol's major version.
    pub hms: u32,
    /// `engine`, `attempt`, `driver` or `supervisor`.
    pub role: String,
    /// The program's version.
    pub program: String,
}

impl Hello {
    /// What this program says in that role.
    #[must_use]
    pub fn of(role: &str) -> Self {
        Self { hms: MAJOR, role: role.to_owned(), program: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

/// Who is at the other end, as the kernel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its user.
    pub uid: u32,
    /// The process that connected; none when it is gone already, or lives in a pid namespace that cannot be seen from here.
    pub process: Option<ProcessName>,
}

/// A conversation that did not come about.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Nobody listens there.
    #[error("nobody listens at {path}")]
    Nobody {
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The path is too long for a socket's address.
    #[error("{path} is {length} bytes long and a socket's path may have 107; set XDG_RUNTIME_DIR to a shorter folder")]
    TooLong {
        /// Which path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// The other end broke off, or took too long.
    #[error("the {role} at the other end broke off")]
    Broken {
        /// Who was meant to be there.
        role: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The other end is there and says nothing.
    #[error("the {role} at the other end says nothing")]
    Silent {
        /// Who was meant to speak.
        role: String,
    },
    /// The other end is of a version that this program does not speak with.
    #[error("the {role} runs hms {program} and speaks version {major}, this program speaks {MAJOR}; restart the {role}")]
    Version {
        /// Who.
        role: String,
        /// Its program's version.
        program: String,
        /// Its protocol's.
        major: u32,
    },
    /// A line was no JSON of the expected kind.
    #[error("a line could not be understood: {why}")]
    Malformed {
        /// What was wrong.
        why: String,
    },
}

/// Listens at `path` with mode 0600, in place of a socket that nobody listens at any more. The caller holds the lock that makes it the only one.
///
/// # Errors
/// When the path is too long or the system says no.
pub fn bind(path: &Path) -> Result<UnixListener, SocketError> {
    let length = path.as_os_str().len();
    if length > 107 {
        return Err(SocketError::TooLong { path: path.to_owned(), length });
    }
    let nobody = |source| SocketError::Nobody { path: path.to_owned(), source };
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(nobody(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(nobody)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(nobody)?;
    Ok(listener)
}

/// Between two looks at whether a socket's file is still there.
pub const LOOK: Duration = Duration::from_secs(1);

/// The file of a socket that is listened at: others can take it away, as a login manager takes away a user's runtime folder after the
/// last logout, and nobody would reach the one who listens any more.
#[derive(Debug)]
pub struct Bound {
    path: PathBuf,
    file: Option<(u64, u64)>,
}

impl Bound {
    /// The file there is the one that was bound just now.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), file: file_at(path) }
    }

    /// Listens at the same place again if the file is gone or another; none when all is well, or when that place cannot be had now.
    pub fn again(&mut self) -> Option<UnixListener> {
        let there = file_at(&self.path);
        if there.is_some() && there == self.file {
            return None;
        }
        super::make_private_folder(self.path.parent()?).ok()?;
        let listener = bind(&self.path).ok()?;
        self.file = file_at(&self.path);
        Some(listener)
    }
}

fn file_at(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// Who is at the other end of a connected socket.
///
/// # Errors
/// When the system does not say.
pub fn peer_of(stream: &impl AsFd) -> io::Result<Peer> {
    let found = getsockopt(stream, sockopt::PeerCredentials)?;
    // The kernel says the pid as this process would see it; 0 is one that it cannot see from its own namespace.
    let process = u32::try_from(found.pid()).ok().filter(|pid| *pid != 0).and_then(name_of);
    Ok(Peer { uid: found.uid(), process })
}

/// Serves one connection that was accepted: says hello, reads one request.
///
/// # Errors
/// When the other end breaks off, is too slow, or sends something else.
pub fn accept<R: DeserializeOwned>(stream: &UnixStream, role: &str, patience: Duration) -> Result<R, SocketError> {
    let broken = |source| SocketError::Broken { role: "client".to_owned(), source };
    stream.set_read_timeout(Some(patience)).map_err(broken)?;
    stream.set_write_timeout(Some(patience)).map_err(broken)?;
    write_line(stream, &Hello::of(role)).map_err(broken)?;
    read_line(&mut BufReader::new(stream), "client")
}

/// Writes one JSON line.
///
/// # Errors
/// When the other end is gone.
pub fn write_line(mut stream: &UnixStream, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// The lines that answer a request.
#[derive(Debug)]
pub struct Answer {
    reader: BufReader<UnixStream>,
    role: String,
}

/// Connects, checks who answers, and sends one request.
///
/// # Errors
/// When nobody listens, the other end is of another version, or breaks off.
pub fn ask(path: &Path, request: &impl Serialize, patience: Duration) -> Result<Answer, SocketError> {
    let stream = UnixStream::connect(path).map_err(|source| SocketError::Nobody { path: path.to_owned(), source })?;
    let broken = |source| SocketError::Broken { role: "server".to_owned(), source };
    stream.set_read_timeout(Some(patience)).map_err(broken)?;
    stream.set_write_timeout(Some(patience)).map_err(broken)?;
    let mut reader = BufReader::new(stream);
    let silent = reader.fill_buf().map(|_| ()).map_err(|source| quiet("server", source));
    let hello: Hello = silent.and_then(|()| read_line(&mut reader, "server"))?;
    if hello.hms > MAJOR || hello.hms + 1 < MAJOR {
        return Err(SocketError::Version { role: hello.role, program: hello.program, major: hello.hms });
    }
    write_line(reader.get_ref(), request).map_err(broken)?;
    Ok(Answer { reader, role: hello.role })
}

impl Answer {
    /// The next line, or none when the other end is done.
    ///
    /// # Errors
    /// When it breaks off, is silent for longer than `patience` (none: for as long as it takes), or sends something else. After a
    /// silence it can be asked for again.
    pub fn next<A: DeserializeOwned>(&mut self, patience: Option<Duration>) -> Result<Option<A>, SocketError> {
        let broken = |source| SocketError::Broken { role: self.role.clone(), source };
        self.reader.get_ref().set_read_timeout(patience).map_err(broken)?;
        if self.reader.fill_buf().map_err(|source| quiet(&self.role, source))?.is_empty() {
            return Ok(None);
        }
        read_line(&mut self.reader, &self.role).map(Some)
    }
}

/// Nothing came yet, or nothing will.
fn quiet(role: &str, source: io::Error) -> SocketError {
    if matches!(source.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
        return SocketError::Silent { role: role.to_owned() };
    }
    SocketError::Broken { role: role.to_owned(), source }
}

fn read_line<T: DeserializeOwned>(reader: &mut impl BufRead, role: &str) -> Result<T, SocketError> {
    let broken = |source| SocketError::Broken { role: role.to_owned(), source };
    let mut line = Vec::new();
    io::Read::take(&mut *reader, LINE_LIMIT).read_until(b'\n', &mut line).map_err(broken)?;
    if line.last() != Some(&b'\n') {
        return Err(broken(io::ErrorKind::UnexpectedEof.into()));
    }
    serde_json::from_slice(&line).map_err(|error| SocketError::Malformed { why: error.to_string() })
}
