//! Where a ledger lies, what its head says, and where it is pinned.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::event::{LedgerHead, LedgerId, LedgerOwner};
use crate::store::{DiskError, Places, Prepared, make_private_folder, read_if_there, replace, sync_folder};

/// The folders of this user's ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerPlaces {
    folder: PathBuf,
    pins: PathBuf,
    state: PathBuf,
}

/// `head`: how far the lines are taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) id: LedgerId,
    pub(super) size: u64,
    pub(super) bytes: u64,
    pub(super) root: String,
}

impl Head {
    pub(super) fn pin(&self) -> LedgerHead {
        LedgerHead { id: self.id.clone(), size: self.size, root: self.root.clone(), by: None }
    }
}

/// A head and its pin that wait to take their places.
#[derive(Debug)]
pub(super) struct NextHead {
    pub(super) head: Prepared,
    pub(super) pin: Prepared,
}

/// A pin outside the ledger's folder: the head, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The head as it was last written.
    #[serde(flatten)]
    pub head: LedgerHead,
    /// The STATE folder of the ledger.
    pub state: PathBuf,
    /// The user who wrote it.
    pub uid: u32,
    /// On which host.
    pub host: String,
}

impl Pin {
    /// Whose ledger it is.
    #[must_use]
    pub fn owner(&self) -> LedgerOwner {
        LedgerOwner { uid: self.uid, host: self.host.clone(), state: self.state.clone() }
    }
}

impl LedgerPlaces {
    /// The ledger of these folders; nothing is made.
    #[must_use]
    pub fn of(places: &Places) -> Self {
        Self { folder: places.state.join("ledger"), pins: places.data.join("pins"), state: places.state.clone() }
    }

    /// Makes the folders.
    ///
    /// # Errors
    /// When they cannot be made, or are not this user's alone.
    pub(super) fn make(&self) -> Result<(), DiskError> {
        make_private_folder(&self.folder)?;
        make_private_folder(&self.unrecorded())?;
        make_private_folder(&self.pins)
    }

    /// The lines.
    #[must_use]
    pub fn entries(&self) -> PathBuf {
        self.folder.join("entries")
    }

    /// The head.
    #[must_use]
    pub fn head(&self) -> PathBuf {
        self.folder.join("head")
    }

    /// The writers' lock.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.folder.join("lock")
    }

    pub(super) fn unrecorded(&self) -> PathBuf {
        self.folder.join("unrecorded")
    }

    /// Whose ledger it is when this process writes it on that host.
    #[must_use]
    pub fn owner(&self, host: &str) -> LedgerOwner {
        LedgerOwner { uid: rustix::process::geteuid().as_raw(), host: host.to_owned(), state: self.state.clone() }
    }

    pub(super) fn state(&self) -> &Path {
        &self.state
    }

    /// Whether that is this STATE, however its path is spelled: by a link, a bind mount, or as a person typed it.
    #[must_use]
    pub fn is_state(&self, path: &Path) -> bool {
        let folder = |path: &Path| std::fs::metadata(path).ok().map(|folder| (folder.dev(), folder.ino()));
        path == self.state || folder(path).is_some_and(|there| Some(there) == folder(&self.state))
    }

    /// Whether that is who [`LedgerPlaces::owner`] names on that host.
    #[must_use]
    pub fn is_owner(&self, owner: &LedgerOwner, host: &str) -> bool {
        (owner.uid, owner.host.as_str()) == (rustix::process::geteuid().as_raw(), host) && self.is_state(&owner.state)
    }

    /// The pin's file of a ledger.
    #[must_use]
    pub fn pin(&self, id: &LedgerId) -> PathBuf {
        self.pins.join(format!("{id}.json"))
    }

    pub(super) fn read_head(&self) -> Result<Option<Head>, DiskError> {
        parse(&self.head())
    }

    pub(super) fn read_pin(&self, id: &LedgerId) -> Result<Option<Pin>, DiskError> {
        parse(&self.pin(id))
    }

    /// Writes the next head and its pin beside the ones that are there.
    pub(super) fn prepare_head(&self, head: &Head, host: &str) -> Result<NextHead, DiskError> {
        let LedgerOwner { uid, host, state } = self.owner(host);
        // Another way to spell the same folder moves no pin.
        let state = self.read_pin(&head.id).ok().flatten().map(|pin| pin.state).filter(|known| self.is_state(known)).unwrap_or(state);
        let pin = Pin { head: head.pin(), state, uid, host };
        let (head_path, pin_path) = (self.head(), self.pin(&head.id));
        Ok(NextHead {
            head: Prepared::write(&head_path, &line(&head_path, head)?)?,
            pin: Prepared::write(&pin_path, &line(&pin_path, &pin)?)?,
        })
    }

    /// Syncs the names of head and pin.
    pub(super) fn sync_names(&self) -> Result<(), DiskError> {
        sync_folder(&self.folder)?;
        sync_folder(&self.pins)
    }

    /// Keeps a pin that the ledger no longer fits, for good, beside the one that comes.
    pub(super) fn keep_pin(&self, pin: &Pin) -> Result<(), DiskError> {
        let mut number = 1;
        let name = |number: u32| self.pins.join(format!("{}.forked-{number}.json", pin.head.id));
        while name(number).exists() {
            number += 1;
        }
        write(&name(number), pin)
    }

    /// Every pin here that names this STATE, kept ones among them, with its file.
    pub(super) fn pins(&self) -> Result<Vec<(PathBuf, Pin)>, DiskError> {
        self.pin_files().into_iter().map(|path| Ok((parse::<Pin>(&path)?, path))).try_fold(Vec::new(), |mut pins, found| {
            let (pin, path) = found?;
            pins.extend(pin.filter(|pin| self.is_state(&pin.state)).map(|pin| (path, pin)));
            Ok(pins)
        })
    }

    /// The files that pins are in, of this STATE and of others, by name.
    pub(super) fn pin_files(&self) -> Vec<PathBuf> {
        let Ok(files) = std::fs::read_dir(&self.pins) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = files.filter_map(|file| Some(file.ok()?.path())).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        paths
    }
}

fn parse<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, DiskError> {
    let Some(bytes) = read_if_there(path)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| DiskError::of("understand", path)(error.into()))
}

fn write(path: &Path, value: &impl Serialize) -> Result<(), DiskError> {
    replace(path, &line(path, value)?)
}

fn line(path: &Path, value: &impl Serialize) -> Result<Vec<u8>, DiskError> {
    let mut bytes = serde_json::to_vec(value).map_err(|error| DiskError::of("write", path)(error.into()))?;
    bytes.push(b'\n');
    Ok(bytes)
}
