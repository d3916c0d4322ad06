//! An older commit does not replace a newer one by accident.

use crate::event::{Refusal, RefusalKind, ReleaseRef};

/// How a candidate's commit stands to the one that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ancestry {
    /// It comes after it, or is it, or nothing is there yet.
    Descends,
    /// It does not.
    Apart,
    /// It cannot be told: one of the commits is not in this clone.
    Unknown,
}

/// Refuses a candidate that does not come after what is there. A person's reason allows it; not to know is refused like knowing.
///
/// # Errors
/// When it is not known to come after, and no reason is given.
pub fn outdated(ancestry: Ancestry, candidate: &ReleaseRef, current: &ReleaseRef, allowed_because: Option<&str>) -> Result<(), Refusal> {
    if ancestry == Ancestry::Descends || allowed_because.is_some_and(|reason| !reason.trim().is_empty()) {
        return Ok(());
    }
    let message = match ancestry {
        Ancestry::Unknown => {
            format!(
                "nobody can tell whether {} comes after {}: one of them is in no clone that is looked at here",
                candidate.tag, current.tag
            )
        }
        Ancestry::Descends | Ancestry::Apart => format!("{} does not come after {}, which is there now", candidate.tag, current.tag),
    };
    let hint = match ancestry {
        Ancestry::Unknown => "from a clone that has both (git fetch, git fetch --unshallow); or --allow-outdated --reason TEXT",
        Ancestry::Descends | Ancestry::Apart => "rebase it; to go back use hms rollback; or --allow-outdated --reason TEXT",
    };
    Err(Refusal::new(RefusalKind::Outdated, message).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Digest;

    fn release(tag: &str) -> ReleaseRef {
        ReleaseRef { digest: Digest::of(tag.as_bytes()), revision: None, tag: tag.to_owned(), tag_object: None, run: None }
    }

    #[test]
    fn only_what_comes_after_goes_without_a_reason() {
        let ask = |ancestry, reason| outdated(ancestry, &release("b"), &release("a"), reason).map_err(|refusal| refusal.kind);
        assert_eq!(ask(Ancestry::Descends, None), Ok(()));
        assert_eq!(ask(Ancestry::Apart, None), Err(RefusalKind::Outdated));
        assert_eq!(ask(Ancestry::Unknown, None), Err(RefusalKind::Outdated));
        assert_eq!(ask(Ancestry::Apart, Some("  ")), Err(RefusalKind::Outdated));
        assert_eq!(ask(Ancestry::Apart, Some("hotfix branch")), Ok(()));
    }
}
