//! Who splits traffic between the stable arm and the canary: one file for each kind of router.
//!
//! A router reads its object, finds every rule that leads to the stable service, and writes weights and the fence under the version
//! that was read; nothing else in the object is touched. What the object's status says is acceptance, not traffic
//! (`docs/decisions.md` 20.8). The smallest example is [`traefik_service`].

mod httproute;
mod ingress;
mod traefik_service;
mod virtual_service;
mod weighted;

use std::time::Duration;

use tokio::time::Instant;

use ingress::Ingress;
use weighted::Shape;

use super::access::Access;
use super::names::TRAFFIC_MANAGER;
use super::object::{Fence, Fences, Object, Objects};
use super::place::RouterName;
use super::written::{self, Writer};
use crate::deploy::TargetError;
use crate::event::Weight;

/// How long a controller may take to accept a change.
const ACCEPTANCE: Duration = Duration::from_secs(30);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// Names of the services of a workload's two arms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) stable: String,
    pub(super) canary: String,
}

/// A router of one environment.
#[derive(Debug, Clone)]
pub(super) enum Router {
    /// An object with lists of weighted backends.
    Weighted(Weighted),
    /// ingress-nginx.
    Ingress(Ingress),
}

/// An object with lists of weighted backends.
#[derive(Debug, Clone)]
pub(super) struct Weighted {
    objects: Objects,
    name: String,
    pairs: Vec<Pair>,
    shape: Shape,
    parents: fn(&Object) -> Vec<Parent>,
    warnings: fn(&Object) -> Vec<String>,
}

/// What a router's object says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RouteView {
    /// The canary's share by the object.
    pub(super) weight: Weight,
    /// The highest fence of each environment that wrote it.
    pub(super) fences: Fences,
    /// What those say of it who serve it; nobody where the kind has nobody who says.
    pub(super) parents: Vec<Parent>,
    /// The rules that lead to both arms, in words.
    pub(super) rules: Vec<String>,
    /// Whether hms wrote the weights last.
    pub(super) is_ours: bool,
    /// Who wrote them, when it was somebody else and that is known.
    pub(super) writer: Option<Writer>,
    /// What a person should know of the object: a rule with another weight, sessions that pass the split by.
    pub(super) warnings: Vec<String>,
}

/// Whether a change was taken over by whoever serves traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Acceptance {
    /// By every parent, in this generation; or the kind has nobody who says so.
    Accepted,
    /// Not yet.
    Awaited(String),
    /// It says no, and will not say yes by itself.
    Rejected(String),
}

/// What one who serves an object says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parent {
    /// Who, for people.
    pub(super) name: String,
    /// Why it has not spoken of what the object is now; none when it has.
    pub(super) awaited: Option<String>,
    /// Whether it ever spoke of the object.
    pub(super) is_known: bool,
    /// What it objects to: of which kind, and in its words.
    pub(super) objections: Vec<(String, String)>,
}

/// What they say of a change. What one of them objected to before, and one that never spoke, are not the change's: a rule that leads somewhere
/// else may be broken, and one gateway of two may be gone, for as long as they like. What is passed over is said.
fn judged(before: &[Parent], now: &[Parent]) -> (Acceptance, Vec<String>) {
    let was = |parent: &Parent| before.iter().find(|was| was.name == parent.name);
    let is_old = |parent: &Parent, kind: &str| was(parent).is_some_and(|was| was.objections.iter().any(|(known, _)| known == kind));
    let is_answered = now.iter().any(|parent| parent.is_known);
    let mut warnings = Vec::new();
    let mut awaited = None;
    for parent in now {
        for (kind, words) in &parent.objections {
            if parent.awaited.is_none() && !is_old(parent, kind) {
                return (Acceptance::Rejected(words.clone()), Vec::new());
            }
            warnings.push(format!("{words}; it was so before"));
        }
        match &parent.awaited {
            Some(why) if !parent.is_known && is_answered && was(parent).is_some() => warnings.push(format!("{why}; it was so before")),
            Some(why) => awaited = Some(why.clone()),
            None => {}
        }
    }
    (awaited.map_or(Acceptance::Accepted, Acceptance::Awaited), warnings)
}

impl Router {
    /// The router that policy names, for the arms of one workload or of several: one write gives all of them their share.
    pub(super) fn of(access: &Access, name: &RouterName, pairs: &[Pair]) -> Self {
        let weighted = |name: &str, shape: Shape, parents: fn(&Object) -> Vec<Parent>, warnings: fn(&Object) -> Vec<String>| {
            let objects = Objects::of(access, shape.kind);
            Self::Weighted(Weighted { objects, name: name.to_owned(), pairs: pairs.to_vec(), shape, parents, warnings })
        };
        match name {
            RouterName::HttpRoute(name) => weighted(name, httproute::SHAPE, httproute::parents, httproute::warnings),
            RouterName::TraefikService(name) => weighted(name, traefik_service::SHAPE, |_| Vec::new(), |_| Vec::new()),
            RouterName::VirtualService(name) => weighted(name, virtual_service::SHAPE, |_| Vec::new(), |_| Vec::new()),
            RouterName::Ingress(name) => Self::Ingress(Ingress::new(access, name, pairs.to_vec())),
        }
    }

    /// What the router's object says now.
    pub(super) async fn read(&self) -> Result<RouteView, TargetError> {
        match self {
            Self::Weighted(router) => {
                let object = router.objects.need(&router.name).await?;
                view(&object, &router.pairs, &router.shape, router.parents, router.warnings)
            }
            Self::Ingress(ingress) => ingress.read().await,
        }
    }

    /// Gives the canary this share, under a fence, and waits until the change is accepted. Where it is not, a share that was raised is put back;
    /// one that was lowered stays, and that is said: nothing is better for it than less.
    pub(super) async fn set(&self, weight: Weight, fence: &Fence) -> Result<RouteView, TargetError> {
        let before = self.read().await?;
        self.write(weight, fence).await?;
        match self.accepted(&before.parents).await {
            Ok(seen) => Ok(seen),
            Err(why) if weight <= before.weight => {
                let mut seen = self.read().await?;
                seen.warnings.push(why.to_string());
                Ok(seen)
            }
            Err(why) => {
                self.write(before.weight, fence).await?;
                if let TargetError::NotPossible { reason } = why {
                    let reason = format!("{reason}; it has {} again", before.weight);
                    return Err(TargetError::NotPossible { reason });
                }
                Err(why)
            }
        }
    }

    async fn write(&self, weight: Weight, fence: &Fence) -> Result<(), TargetError> {
        match self {
            Self::Weighted(router) => {
                let edit = |object: &Object| weighted::edit(object, &router.pairs, &router.shape, weight);
                router.objects.change(&router.name, TRAFFIC_MANAGER, fence, edit).await?;
                Ok(())
            }
            Self::Ingress(ingress) => ingress.set(weight, fence).await,
        }
    }

    async fn accepted(&self, before: &[Parent]) -> Result<RouteView, TargetError> {
        let deadline = Instant::now() + ACCEPTANCE;
        loop {
            let mut seen = self.read().await?;
            let (acceptance, warnings) = judged(before, &seen.parents);
            match acceptance {
                Acceptance::Accepted => {
                    seen.warnings.extend(warnings);
                    return Ok(seen);
                }
                Acceptance::Rejected(why) => {
                    return Err(TargetError::NotPossible {
                        reason: format!("{} was written, and its controller says no: {why}", self.name()),
                    });
                }
                Acceptance::Awaited(why) if Instant::now() > deadline => {
                    let seconds = ACCEPTANCE.as_secs();
                    return Err(TargetError::Unreachable { reason: format!("{} was not accepted within {seconds} s: {why}", self.name()) });
                }
                Acceptance::Awaited(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Kind and name.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Weighted(router) => format!("{} {}", router.shape.kind.word(), router.name),
            Self::Ingress(ingress) => ingress.name(),
        }
    }
}

fn view(
    object: &Object,
    pairs: &[Pair],
    shape: &Shape,
    parents: fn(&Object) -> Vec<Parent>,
    warnings: fn(&Object) -> Vec<String>,
) -> Result<RouteView, TargetError> {
    let mut splits = Vec::new();
    for pair in pairs {
        splits.extend(weighted::splits(object, pair, shape)?);
    }
    let object_words = format!("{} {}", shape.kind.word(), object.name());
    let most = splits.iter().map(|split| split.weight).max().unwrap_or(Weight::ZERO);
    let mut told: Vec<String> = splits
        .iter()
        .filter(|split| split.weight != most)
        .map(|split| format!("{} gives the canary {}, another one gives it {most}", split.list.words, split.weight))
        .collect();
    let all = (shape.lists)(object).len();
    if splits.len() < all {
        told.push(format!("{} of {all} rules lead to neither arm and are left alone", all - splits.len()));
    }
    told.extend(splits.iter().filter_map(|split| split.third(&object_words)));
    told.extend(pairs.iter().flat_map(|pair| weighted::alone(object, pair, shape)));
    told.extend(warnings(object));
    let at: Vec<&str> = splits.iter().flat_map(|split| split.list.at.split('/').skip(1)).collect();
    let at = written::keys(&at);
    Ok(RouteView {
        is_ours: written::is_by_hms(object, &at),
        writer: written::writer(object, &at),
        weight: most,
        fences: object.fences(),
        parents: parents(object),
        rules: splits.into_iter().map(|split| split.list.words).collect(),
        warnings: told,
    })
}

/// The share that two weights give, to the nearest thousandth; a canary that gets anything has at least one.
fn share_of(stable: u64, canary: u64) -> Weight {
    let all = stable + canary;
    if all == 0 || canary == 0 {
        return Weight::ZERO;
    }
    let thousandths = u16::try_from((canary * 1000 + all / 2) / all).unwrap_or(1000).max(1);
    Weight::from_thousandths(thousandths).unwrap_or(Weight::FULL)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent(name: &str, awaited: Option<&str>, objections: &[&str]) -> Parent {
        Parent {
            name: name.to_owned(),
            awaited: awaited.map(str::to_owned),
            is_known: awaited != Some("silent"),
            objections: objections.iter().map(|kind| ((*kind).to_owned(), format!("{name}: {kind}"))).collect(),
        }
    }

    #[test]
    fn what_was_wrong_before_a_change_is_not_the_changes() {
        let good = [parent("web", None, &[])];
        let docs = [parent("web", None, &["ResolvedRefs BackendNotFound"])];
        let other = [parent("web", None, &["Accepted NoMatchingParent"])];
        let accepted = |before: &[Parent], now: &[Parent]| judged(before, now).0 == Acceptance::Accepted;
        assert!(accepted(&good, &good));
        assert!(!accepted(&good, &docs) && accepted(&docs, &docs) && accepted(&docs, &good) && !accepted(&docs, &other));
        assert!(judged(&docs, &docs).1[0].contains("it was so before"));
        // One gateway of two that never answers is no reason; the only one is, and so is one that answered before.
        let late = |name: &str| parent(name, Some("not yet"), &[]);
        let silent = |name: &str| parent(name, Some("silent"), &[]);
        assert!(accepted(&[parent("web", None, &[]), silent("gone")], &[parent("web", None, &[]), silent("gone")]));
        assert!(!accepted(&[silent("web")], &[silent("web")]) && !accepted(&good, &[late("web")]));
        assert!(!accepted(&[late("web"), silent("gone")], &[late("web"), silent("gone")]));
        assert!(accepted(&[], &[]), "nobody says");
    }

    #[test]
    fn a_canary_that_gets_anything_has_a_share() {
        assert_eq!(share_of(1_000_000, 1), "0.1%".parse().unwrap());
        assert_eq!(share_of(0, 0), Weight::ZERO);
        assert_eq!(share_of(0, 7), Weight::FULL);
    }
}
