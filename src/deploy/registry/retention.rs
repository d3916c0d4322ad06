//! Which images of a repository no release needs any more. Pure: nothing is removed here.
//!
//! Registries remove by digest, and every tag of it goes with it; they tell neither order nor time of tags, and let anybody put a
//! tag anywhere. So order is the ledger's, the unit is the digest, and whatever is not known for sure stays.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use crate::event::Digest;

/// An image that was released under a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleasedImage {
    /// The tag that it was released under.
    pub tag: String,
    /// The digest that the tag named then.
    pub digest: Digest,
}

/// What hms knows of an app's images, over all its environments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownImages {
    /// Everything released, newest first by the ledger's order.
    pub released: Vec<ReleasedImage>,
    /// What runs anywhere: stable, canary, or an arm that is being gone back to.
    pub running: BTreeSet<Digest>,
    /// What any environment could be rolled back to.
    pub rollback_targets: BTreeSet<Digest>,
}

/// What a repository holds, looked at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Every tag, and what it names.
    pub tags: BTreeMap<String, Digest>,
    /// Of each index that a tag or a release names, the manifests in it.
    pub parts: BTreeMap<Digest, BTreeSet<Digest>>,
}

/// Why an image stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It runs.
    Runs,
    /// A rollback could go to it.
    RollbackTarget,
    /// It is one of the newest.
    Recent {
        /// 1 for the newest.
        place: usize,
    },
    /// It is also known by tags that hms did not release it under: removing it would remove those.
    OtherTags {
        /// Which.
        tags: Vec<String>,
    },
    /// An index that stays names it.
    PartOf {
        /// Which.
        index: Digest,
    },
}

/// A released image that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Which.
    pub digest: Digest,
    /// Its tags in the registry, sorted.
    pub tags: Vec<String>,
    /// The first reason that there is.
    pub why: Reason,
}

/// A released image that may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Which.
    pub digest: Digest,
    /// The tags that go with it, sorted; empty when its tags name something else by now.
    pub tags: Vec<String>,
}

/// What may go and what stays; shown before anything is done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetentionPlan {
    /// Newest first.
    pub keep: Vec<Kept>,
    /// Newest first.
    pub remove: Vec<Removal>,
    /// Tags of images that hms never released; they are not touched, sorted.
    pub foreign: Vec<String>,
}

impl KnownImages {
    /// Every digest named here.
    pub(super) fn digests(&self) -> BTreeSet<Digest> {
        let released = self.released.iter().map(|image| &image.digest);
        released.chain(&self.running).chain(&self.rollback_targets).cloned().collect()
    }

    fn was_released_as(&self, tag: &str, digest: &Digest) -> bool {
        self.released.iter().any(|image| image.tag == tag && image.digest == *digest)
    }

    /// Digests in the order of their newest release, without those that come again.
    fn in_order(&self) -> Vec<&Digest> {
        let mut seen = BTreeSet::new();
        self.released.iter().map(|image| &image.digest).filter(|digest| seen.insert(*digest)).collect()
    }
}

impl Survey {
    fn tags_of(&self, digest: &Digest) -> Vec<String> {
        self.tags.iter().filter(|(_, named)| *named == digest).map(|(tag, _)| tag.clone()).collect()
    }

    /// An index that names this digest and is not among those that go.
    fn index_of(&self, part: &Digest, going: &BTreeSet<&Digest>) -> Option<&Digest> {
        self.parts.iter().find(|(index, parts)| parts.contains(part) && !going.contains(index)).map(|(index, _)| index)
    }
}

/// Decides what stays: the `keep` newest digests, what runs, what a rollback could go to, and whatever else would be lost with what
/// goes. The same digest released twice counts once, at its newest place.
#[must_use]
pub fn plan_retention(known: &KnownImages, survey: &Survey, keep: NonZeroUsize) -> RetentionPlan {
    let order = known.in_order();
    let mut reasons: BTreeMap<&Digest, Reason> = BTreeMap::new();
    for (index, digest) in order.iter().enumerate() {
        if let Some(why) = reason(known, survey, digest, index + 1, keep) {
            reasons.insert(digest, why);
        }
    }
    // What an index that stays names stays too; that may be an index again.
    loop {
        let going: BTreeSet<&Digest> = order.iter().copied().filter(|digest| !reasons.contains_key(digest)).collect();
        let part = going.iter().find_map(|digest| Some((*digest, survey.index_of(digest, &going)?.clone())));
        let Some((digest, index)) = part else { break };
        reasons.insert(digest, Reason::PartOf { index });
    }
    let mut plan = RetentionPlan::default();
    for digest in &order {
        let (digest, tags) = ((*digest).clone(), survey.tags_of(digest));
        match reasons.remove(&digest) {
            Some(why) => plan.keep.push(Kept { digest, tags, why }),
            None => plan.remove.push(Removal { digest, tags }),
        }
    }
    let foreign = survey.tags.iter().filter(|(_, digest)| !order.contains(digest));
    plan.foreign = foreign.map(|(tag, _)| tag.clone()).collect();
    plan
}

fn reason(known: &KnownImages, survey: &Survey, digest: &Digest, place: usize, keep: NonZeroUsize) -> Option<Reason> {
    if known.running.contains(digest) {
        return Some(Reason::Runs);
    }
    if known.rollback_targets.contains(digest) {
        return Some(Reason::RollbackTarget);
    }
    if place <= keep.get() {
        return Some(Reason::Recent { place });
    }
    let tags: Vec<String> = survey.tags_of(digest).into_iter().filter(|tag| !known.was_released_as(tag, digest)).collect();
    (!tags.is_empty()).then_some(Reason::OtherTags { tags })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    /// Releases as `tag=image`, newest first.
    fn known(released: &[&str], running: &[&str], targets: &[&str]) -> KnownImages {
        let released = released.iter().map(|text| {
            let (tag, image) = text.split_once('=').unwrap();
            ReleasedImage { tag: tag.to_owned(), digest: digest(image) }
        });
        let all = |names: &[&str]| names.iter().map(|name| digest(name)).collect();
        KnownImages { released: released.collect(), running: all(running), rollback_targets: all(targets) }
    }

    fn survey(tags: &[&str]) -> Survey {
        let tags = tags.iter().map(|text| text.split_once('=').unwrap());
        Survey { tags: tags.map(|(tag, image)| (tag.to_owned(), digest(image))).collect(), parts: BTreeMap::new() }
    }

    fn plan(known: &KnownImages, survey: &Survey, keep: usize) -> RetentionPlan {
        plan_retention(known, survey, NonZeroUsize::new(keep).unwrap())
    }

    fn removed(plan: &RetentionPlan) -> Vec<&Digest> {
        plan.remove.iter().map(|removal| &removal.digest).collect()
    }

    const SIX: [&str; 6] = ["v6=f", "v5=e", "v4=d", "v3=c", "v2=b", "v1=a"];

    #[test]
    fn the_newest_by_the_ledger_stay_with_what_runs_and_what_could_come_back() {
        let known = known(&SIX, &["a"], &["c"]);
        let plan = plan(&known, &survey(&SIX), 2);
        let kept: Vec<_> = plan.keep.iter().map(|kept| (kept.tags[0].as_str(), kept.why.clone())).collect();
        let recent = |place| Reason::Recent { place };
        assert_eq!(kept, [("v6", recent(1)), ("v5", recent(2)), ("v3", Reason::RollbackTarget), ("v1", Reason::Runs)]);
        assert_eq!(removed(&plan), [&digest("d"), &digest("b")]);
        assert_eq!(plan.remove[0].tags, ["v4"]);
    }

    #[test]
    fn an_old_tag_on_what_runs_is_not_removed_with_it() {
        // The trap: `v1` is old, `v1-hotfix` is the release that runs, and both are one digest.
        let known = known(&["v1-hotfix=a", "v2=b", "v3=c", "v1=a"], &["a"], &[]);
        let plan = plan(&known, &survey(&["v1=a", "v1-hotfix=a", "v2=b", "v3=c"]), 1);
        assert_eq!(plan.keep[0].tags, ["v1", "v1-hotfix"]);
        assert_eq!(removed(&plan), [&digest("b"), &digest("c")]);
    }

    #[test]
    fn a_tag_that_somebody_else_put_there_keeps_its_image() {
        let known = known(&["v2=b", "v1=a"], &[], &[]);
        let one = plan(&known, &survey(&["v1=a", "v2=b", "audited=a", "nightly=z"]), 1);
        assert_eq!(one.keep[1].why, Reason::OtherTags { tags: vec!["audited".to_owned()] });
        assert_eq!((one.remove.len(), one.foreign), (0, vec!["nightly".to_owned()]));
        // A tag of ours that was moved by somebody else to an older image of ours.
        let moved = plan(&known, &survey(&["v2=a"]), 1);
        assert_eq!(moved.keep[1].why, Reason::OtherTags { tags: vec!["v2".to_owned()] });
        // And to something foreign: ours is without a tag and may go, theirs stays.
        let away = plan(&known, &survey(&["v1=z", "v2=b"]), 1);
        assert_eq!(away.remove, [Removal { digest: digest("a"), tags: vec![] }]);
        assert_eq!(away.foreign, ["v1"]);
    }

    #[test]
    fn what_an_index_that_stays_names_stays() {
        let known = known(&["v3=c", "v2=b", "v1=a"], &[], &[]);
        let with = |parts: &[(&str, &str)]| {
            let mut survey = survey(&["v1=a", "v2=b", "v3=c", "theirs=z"]);
            for (index, part) in parts {
                survey.parts.entry(digest(index)).or_default().insert(digest(part));
            }
            plan(&known, &survey, 1)
        };
        assert_eq!(removed(&with(&[("c", "a")])), [&digest("b")]);
        assert_eq!(removed(&with(&[("z", "b")])), [&digest("a")], "a stranger's index counts");
        assert_eq!(removed(&with(&[("c", "b"), ("b", "a")])), Vec::<&Digest>::new(), "an index of indexes");
        assert_eq!(removed(&with(&[("b", "a")])), [&digest("b"), &digest("a")], "both go");
        assert_eq!(removed(&with(&[("b", "a"), ("a", "b")])).len(), 2, "a circle ends");
    }

    #[test]
    fn one_release_many_times_is_one() {
        let known = known(&["v2=b", "v1=a", "v2=b", "v0=z", "v2=b"], &[], &[]);
        assert_eq!(removed(&plan(&known, &survey(&[]), 2)), [&digest("z")]);
    }

    fn some_image() -> impl Strategy<Value = String> {
        "[a-h]".prop_map(|name| name)
    }

    proptest! {
        #[test]
        fn nothing_that_is_needed_goes(
            released in proptest::collection::vec(("[uvw][0-9]", some_image()), 0..20),
            running in proptest::collection::vec(some_image(), 0..3),
            targets in proptest::collection::vec(some_image(), 0..3),
            tags in proptest::collection::btree_map("[uvw][0-9]", some_image(), 0..20),
            parts in proptest::collection::vec((some_image(), some_image()), 0..5),
            keep in 1..6usize,
        ) {
            let all = |names: &[String]| names.iter().map(|name| digest(name)).collect::<BTreeSet<_>>();
            let released: Vec<_> = released.into_iter().map(|(tag, image)| ReleasedImage { tag, digest: digest(&image) }).collect();
            let known = KnownImages { released, running: all(&running), rollback_targets: all(&targets) };
            let mut survey = Survey { tags: tags.into_iter().map(|(tag, image)| (tag, digest(&image))).collect(), ..Survey::default() };
            for (index, part) in &parts {
                survey.parts.entry(digest(index)).or_default().insert(digest(part));
            }
            let plan = plan(&known, &survey, keep);
            let gone: BTreeSet<&Digest> = plan.remove.iter().map(|removal| &removal.digest).collect();
            for digest in known.running.iter().chain(&known.rollback_targets) {
                prop_assert!(!gone.contains(digest));
            }
            for digest in known.in_order().into_iter().take(keep) {
                prop_assert!(!gone.contains(digest));
            }
            for (tag, digest) in &survey.tags {
                prop_assert!(!gone.contains(digest) || known.was_released_as(tag, digest), "{} is not ours to remove", tag);
            }
            for (index, parts) in &survey.parts {
                for part in parts {
                    prop_assert!(gone.contains(index) || !gone.contains(part), "an index that stays lost a part");
                }
            }
            for digest in &gone {
                prop_assert!(known.released.iter().any(|image| image.digest == **digest), "never released by hms");
            }
            prop_assert_eq!(plan.keep.len() + plan.remove.len(), known.in_order().len());
        }
    }
}
