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
use super::object::{Object, Objects};
use super::place::RouterName;
use crate::deploy::TargetError;
use crate::event::Weight;

/// How long a controller may take to accept a change.
const ACCEPTANCE: Duration = Duration::from_secs(30);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// Names of the services of the two arms.
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
    pair: Pair,
    shape: Shape,
    acceptance: fn(&Object) -> Acceptance,
    warnings: fn(&Object) -> Vec<String>,
}

/// What a router's object says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RouteView {
    /// The canary's share by the object.
    pub(super) weight: Weight,
    /// The highest fence that wrote it.
    pub(super) fence: u64,
    /// Whether its controllers took it over.
    pub(super) acceptance: Acceptance,
    /// The rules that lead to both arms, in words.
    pub(super) rules: Vec<String>,
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

impl Router {
    /// The router that policy names.
    pub(super) fn of(access: &Access, name: &RouterName, pair: &Pair) -> Self {
        let weighted = |name: &str, shape: Shape, acceptance: fn(&Object) -> Acceptance, warnings: fn(&Object) -> Vec<String>| {
            let objects = Objects::of(access, shape.kind);
            Self::Weighted(Weighted { objects, name: name.to_owned(), pair: pair.clone(), shape, acceptance, warnings })
        };
        match name {
            RouterName::HttpRoute(name) => weighted(name, httproute::SHAPE, httproute::acceptance, httproute::warnings),
            RouterName::TraefikService(name) => weighted(name, traefik_service::SHAPE, |_| Acceptance::Accepted, |_| Vec::new()),
            RouterName::VirtualService(name) => weighted(name, virtual_service::SHAPE, |_| Acceptance::Accepted, |_| Vec::new()),
            RouterName::Ingress(name) => Self::Ingress(Ingress::new(access, name, pair.clone())),
        }
    }

    /// What the router's object says now.
    pub(super) async fn read(&self) -> Result<RouteView, TargetError> {
        match self {
            Self::Weighted(router) => {
                let object = router.objects.need(&router.name).await?;
                view(&object, &router.pair, &router.shape, router.acceptance, router.warnings)
            }
            Self::Ingress(ingress) => ingress.read().await,
        }
    }

    /// Gives the canary this share, under a fence, and waits until the change is accepted.
    pub(super) async fn set(&self, weight: Weight, fence: u64) -> Result<RouteView, TargetError> {
        match self {
            Self::Weighted(router) => {
                let edit = |object: &Object| weighted::edit(object, &router.pair, &router.shape, weight);
                router.objects.change(&router.name, TRAFFIC_MANAGER, fence, edit).await?;
            }
            Self::Ingress(ingress) => ingress.set(weight, fence).await?,
        }
        let deadline = Instant::now() + ACCEPTANCE;
        loop {
            let seen = self.read().await?;
            match &seen.acceptance {
                Acceptance::Accepted => return Ok(seen),
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
    pair: &Pair,
    shape: &Shape,
    acceptance: fn(&Object) -> Acceptance,
    warnings: fn(&Object) -> Vec<String>,
) -> Result<RouteView, TargetError> {
    let splits = weighted::splits(object, pair, shape)?;
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
    told.extend(warnings(object));
    Ok(RouteView {
        weight: most,
        fence: object.fence(),
        acceptance: acceptance(object),
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

    #[test]
    fn a_canary_that_gets_anything_has_a_share() {
        assert_eq!(share_of(1_000_000, 1), "0.1%".parse().unwrap());
        assert_eq!(share_of(0, 0), Weight::ZERO);
        assert_eq!(share_of(0, 7), Weight::FULL);
    }
}
