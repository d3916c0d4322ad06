//! How a candidate's commit stands to the one that is there, asked whenever it matters: what is there changes while a release waits.

use std::sync::Arc;

use crate::event::{ReleaseRef, Revision};
use crate::policy::Ancestry;

/// Whether the first commit is an ancestor of the second, or the same; none when it cannot be told.
type IsAncestor = dyn Fn(&Revision, &Revision) -> Option<bool> + Send + Sync;

/// What a repository knows of its commits.
#[derive(Clone)]
pub struct Lineage(Arc<IsAncestor>);

impl std::fmt::Debug for Lineage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lineage")
    }
}

impl Lineage {
    /// Of a repository that answers whether the first commit is an ancestor of the second.
    pub fn new(is_ancestor: impl Fn(&Revision, &Revision) -> Option<bool> + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_ancestor))
    }

    /// Where there is no repository to ask: only a commit and itself are known.
    #[must_use]
    pub fn unknown() -> Self {
        Self::new(|_, _| None)
    }

    /// How the candidate stands to what is there.
    #[must_use]
    pub fn ancestry(&self, current: &ReleaseRef, candidate: &ReleaseRef) -> Ancestry {
        // What ran before hms came is of no commit, and nothing is older than it.
        let Some(there) = &current.revision else { return Ancestry::Descends };
        let Some(commit) = &candidate.revision else { return Ancestry::Unknown };
        if there == commit {
            return Ancestry::Descends;
        }
        match (self.0)(there, commit) {
            Some(true) => Ancestry::Descends,
            Some(false) => Ancestry::Apart,
            None => Ancestry::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Digest;

    fn release(revision: Option<char>) -> ReleaseRef {
        let revision = revision.map(|letter| letter.to_string().repeat(40).parse().unwrap());
        ReleaseRef { digest: Digest::of(b"any"), revision, tag: "any".to_owned(), tag_object: None, run: None }
    }

    #[test]
    fn a_commit_comes_after_itself_and_its_ancestors_and_after_what_is_of_no_commit() {
        let knows = Lineage::new(|there, candidate| Some(there.as_str() < candidate.as_str()));
        let table = [
            (&knows, Some('a'), Some('b'), Ancestry::Descends),
            (&knows, Some('b'), Some('a'), Ancestry::Apart),
            (&knows, Some('b'), None, Ancestry::Unknown),
            (&knows, None, Some('a'), Ancestry::Descends),
            (&Lineage::unknown(), Some('a'), Some('a'), Ancestry::Descends),
            (&Lineage::unknown(), Some('a'), Some('b'), Ancestry::Unknown),
        ];
        for (lineage, there, candidate, wanted) in table {
            assert_eq!(lineage.ancestry(&release(there), &release(candidate)), wanted, "{there:?} {candidate:?}");
        }
    }
}
