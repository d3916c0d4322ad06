//! Where things lie (`docs/decisions.md` 2).

use std::path::{Path, PathBuf};

use super::files::{DiskError, make_private_folder};
use crate::event::Digest;

/// The folders of this user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Ledger, rollouts, local targets.
    pub state: PathBuf,
    /// Sockets.
    pub runtime: PathBuf,
    /// Pins, outside `state`.
    pub data: PathBuf,
}

/// No place could be found or made.
#[derive(Debug, thiserror::Error)]
pub enum PlacesError {
    /// Neither a variable nor a home names a folder.
    #[error("there is no place for hms's {what}: neither {variable} nor HOME is set")]
    NoHome {
        /// What has no place.
        what: &'static str,
        /// The variable that may name it.
        variable: &'static str,
    },
    /// The disk said no.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Places {
    /// Finds the folders by `variable`, which reads the environment, and makes those that are not there.
    ///
    /// # Errors
    /// When nothing names a folder, or it cannot be made private.
    pub fn find(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<Self, PlacesError> {
        let absolute = |name: &str| variable(name).filter(|path| path.is_absolute());
        let home =
            |what, variable, below: &str| absolute("HOME").map(|home| home.join(below)).ok_or(PlacesError::NoHome { what, variable });
        let state = match (absolute("HMS_STATE_HOME"), absolute("XDG_STATE_HOME")) {
            (Some(state), _) => state,
            (None, Some(state)) => state.join("hms"),
            (None, None) => home("state", "XDG_STATE_HOME", ".local/state/hms")?,
        };
        let data = match (absolute("HMS_DATA_HOME"), absolute("XDG_DATA_HOME")) {
            (Some(data), _) => data,
            (None, Some(data)) => data.join("hms"),
            (None, None) => home("pins", "XDG_DATA_HOME", ".local/share/hms")?,
        };
        let runtime = absolute("XDG_RUNTIME_DIR")
            .filter(|folder| folder.is_dir())
            .map_or_else(|| PathBuf::from(format!("/tmp/hms-{}", rustix::process::geteuid().as_raw())), |folder| folder.join("hms"));
        for folder in [&state, &data, &runtime] {
            make_private_folder(folder)?;
        }
        Ok(Self { state, runtime, data })
    }

    /// A socket's path for whatever owns `folder`; short enough to bind.
    #[must_use]
    pub fn socket(&self, folder: &Path) -> PathBuf {
        self.runtime.join(socket_name(folder))
    }
}

/// The file name of the socket of whatever owns `folder`: 16 hex digits of SHA-256 and `.sock`.
#[must_use]
pub fn socket_name(folder: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let digest = Digest::of(folder.as_os_str().as_bytes());
    format!("{}.sock", digest.hex().get(..16).unwrap_or_default())
}
