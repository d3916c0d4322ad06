//! Variables of the type `file`: what they hold lies on the disk for as long as the keeper lives, in a folder of the attempt's own.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::spec::VariableFile;
use crate::store::{DiskError, make_private_folder};

/// The files, until this is dropped.
pub(super) struct VariableFiles(Vec<PathBuf>);

impl VariableFiles {
    /// Writes them, each readable by its owner alone (as GitLab Runner does, beside the checkout).
    pub(super) fn write(files: &[VariableFile]) -> Result<Self, DiskError> {
        let mut written = Self(Vec::new());
        for file in files {
            if let Some(folder) = file.path.parent() {
                make_private_folder(folder)?;
                written.0.push(folder.to_owned());
            }
            let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file.path);
            // Not synced: nobody wants it back after a power cut.
            opened.and_then(|mut open| open.write_all(file.value.as_bytes())).map_err(DiskError::of("write", &file.path))?;
        }
        Ok(written)
    }
}

impl Drop for VariableFiles {
    fn drop(&mut self) {
        for folder in &self.0 {
            remove_variable_files(folder);
        }
    }
}

/// Takes away what a keeper left of them; nothing where it left nothing.
pub fn remove_variable_files(folder: &Path) {
    let _ = std::fs::remove_dir_all(folder);
}
