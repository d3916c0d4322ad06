//! The files beside an included file: those of the commit, of the project that it is from, or none.

use std::sync::Arc;

use super::Origin;
use crate::pipeline::files::{Elsewhere, Files, Foreign, Identity, Since};

/// Files as a file of that origin sees them.
pub(super) struct Beside<'b> {
    pub(super) files: &'b dyn Files,
    pub(super) origin: &'b Origin,
}

impl Files for Beside<'_> {
    fn local(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        match self.origin {
            Origin::Commit => self.files.local(path),
            Origin::Of(elsewhere) => self.files.foreign(&Foreign::Of(elsewhere.clone(), path.to_owned())),
            Origin::Nowhere => Err("a template, or a file at an address, has no files beside it".to_owned()),
        }
    }

    fn paths(&self) -> Result<Arc<[String]>, String> {
        match self.origin {
            Origin::Commit => self.files.paths(),
            Origin::Of(elsewhere) => self.files.paths_of(elsewhere),
            Origin::Nowhere => Ok(Arc::default()),
        }
    }

    fn changed(&self, since: &Since) -> Result<Arc<[String]>, String> {
        self.files.changed(since)
    }

    fn foreign(&self, wanted: &Foreign) -> Result<Option<Vec<u8>>, String> {
        self.files.foreign(wanted)
    }

    fn paths_of(&self, wanted: &Elsewhere) -> Result<Arc<[String]>, String> {
        self.files.paths_of(wanted)
    }

    fn identity_of(&self, wanted: &Elsewhere) -> Result<Identity, String> {
        self.files.identity_of(wanted)
    }
}
