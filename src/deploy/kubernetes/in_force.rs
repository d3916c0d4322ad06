//! When a weight is in force, and when pods may be touched: by what pods count, with a pause as the floor (`docs/decisions.md` 20.8).
//!
//! A route's status leads the traffic by seconds, and a gateway learns of pods after the cluster does. Neither says when it is there; the
//! pods' own counts do.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use tokio::time::Instant;

use super::access::Trouble;
use super::arm::labels_at;
use super::beside::{BESIDE, Beside};
use super::counts::Counts;
use super::effects::Hands;
use super::names;
use super::object::Object;
use crate::deploy::TargetError;
use crate::event::Weight;

/// Between two looks at the counts.
const LOOK: Duration = Duration::from_millis(500);
/// Over how long nothing may come until nothing comes.
const STILL: Duration = Duration::from_secs(1);
/// How long a gateway is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a gateway may take to hear of what the API server has. When it builds a configuration is another matter: with a new weight
/// it takes the endpoints that it heard of before.
const HEARS: Duration = Duration::from_secs(1);
/// So many requests of the canary's share are awaited before a share is measured.
const ENOUGH: f64 = 3.0;

/// Whether pods get requests that nobody should send them any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quiet {
    /// None come.
    Yes,
    /// Some come, or it cannot be known.
    Doubtful,
}

/// Requests of the canary and of stable since the weight was accepted.
pub(super) type Seen = (u64, u64);

/// The pods of an arm.
pub(super) fn pods_beside(beside: &Beside) -> String {
    names::selector(&labels_at(beside.object.at("/spec/selector/matchLabels")))
}

/// The pods of stable, those of the arm left out: its selector may find them too.
pub(super) fn pods_of_stable(stable: &Object) -> String {
    format!("{},!{BESIDE}", names::selector(&labels_at(stable.at("/spec/selector/matchLabels"))))
}

impl Hands<'_> {
    /// The floor: the gateway may go on as before for so long after it accepted a change.
    async fn settle(&self) {
        if let Some(traffic) = &self.target.place.traffic {
            tokio::time::sleep(traffic.settle).await;
        }
    }

    /// Waits until a service has so many ready endpoints, and until the gateway heard of them: with a weight on pods that it does not know
    /// it answers 503.
    pub(super) async fn learned(&self, service: &str, pods: u32) -> Result<(), TargetError> {
        let Some(traffic) = &self.target.place.traffic else { return Ok(()) };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ready = match self.target.ready_endpoints(service).await {
                Ok(ready) => ready,
                Err(trouble) => {
                    (self.say)(format!("whether {service} has its pods is not known: {trouble}"));
                    break;
                }
            };
            if ready >= pods {
                break;
            }
            if Instant::now() > deadline {
                let reason = format!("the service {service} has {ready} of {pods} pods after {} s", PATIENCE.as_secs());
                return Err(TargetError::StartFailed { reason, last_lines: Vec::new() });
            }
            tokio::time::sleep(LOOK).await;
        }
        tokio::time::sleep(traffic.settle.min(HEARS)).await;
        Ok(())
    }

    /// Waits, after the gateway accepted that these pods get nothing, until they do get nothing. It never waits for ever: clients that go
    /// past the gateway go on.
    pub(super) async fn quiet(&self, who: &str, pods: &str) -> Result<Quiet, TargetError> {
        if self.target.place.traffic.is_none() {
            return Ok(Quiet::Doubtful);
        }
        self.settle().await;
        let deadline = Instant::now() + PATIENCE;
        let mut earlier: Option<Counts> = None;
        loop {
            self.admit().await?;
            let now = match self.target.counts(pods).await {
                Ok(counts) if counts.is_counted => counts,
                Ok(_) => return Ok(self.unmeasured(who, "no pod of it shows such a counter")),
                Err(why) => return Ok(self.unmeasured(who, &why)),
            };
            if let Some(earlier) = earlier {
                let (got, checks) = (now.since(&earlier), now.checks_since(&earlier));
                if got <= checks {
                    let but = if got > 0.0 { " but what may be health checks" } else { "" };
                    (self.say)(format!("{who} gets no requests any more{but}, by its own counts"));
                    return Ok(Quiet::Yes);
                }
                if Instant::now() > deadline {
                    (self.say)(format!(
                        "{who} still gets requests {} s after the gateway accepted that it gets none: {got} in the last second (sessions, \
                         clients of the service itself, or health checks that `metrics.requests` does not leave out)",
                        (self.target.settle() + PATIENCE).as_secs()
                    ));
                    return Ok(Quiet::Doubtful);
                }
            }
            earlier = Some(now);
            tokio::time::sleep(STILL).await;
        }
    }

    fn unmeasured(&self, who: &str, why: &str) -> Quiet {
        (self.say)(format!("whether {who} still gets requests is not measured ({why}); waited {} s", self.target.settle().as_secs()));
        Quiet::Doubtful
    }

    /// What the canary and stable count, at all workloads that the router leads to.
    async fn both(&self, routed: &[(Beside, Object)]) -> Result<(Counts, Counts), String> {
        let mut both: Option<(Counts, Counts)> = None;
        for (beside, stable) in routed {
            let one = (self.target.counts(&pods_beside(beside)).await?, self.target.counts(&pods_of_stable(stable)).await?);
            both = Some(match both {
                None => one,
                Some((canary, rest)) => (canary.and(one.0), rest.and(one.1)),
            });
        }
        both.filter(|both| both.0.is_counted || both.1.is_counted).ok_or_else(|| "no pod shows such a counter".to_owned())
    }

    /// Waits until a share is in the traffic, and tells what was measured; none without a measure or without traffic.
    pub(super) async fn in_force(&self, (from, to): (Weight, Weight), routed: &[(Beside, Object)]) -> Result<Option<Seen>, TargetError> {
        let began = Instant::now();
        let mut window: Option<(Counts, Counts)> = None;
        loop {
            self.admit().await?;
            let now = match self.both(routed).await {
                Ok(counts) => counts,
                Err(why) => {
                    (self.say)(format!("{to} accepted; whether the traffic follows is not measured ({why})"));
                    return Ok(None);
                }
            };
            if let Some(start) = window.take() {
                let (canary, rest) = (now.0.since(&start.0), now.1.since(&start.1));
                let split = judged(from, to, canary, rest);
                if split == Split::New {
                    (self.say)(format!("{to} in force: {canary} of {} requests", canary + rest));
                    return Ok(Some((whole(canary), whole(rest))));
                }
                let is_idle = began.elapsed() > self.target.settle() && canary + rest <= now.1.checks_since(&start.1);
                if is_idle || began.elapsed() > PATIENCE {
                    (self.say)(format!("{to} accepted, not seen in traffic yet ({canary} of {} requests)", canary + rest));
                    return Ok(None);
                }
                window = (split == Split::Unknown).then_some(start);
            }
            window.get_or_insert(now);
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl super::KubernetesTarget {
    /// How many endpoints of a service are ready.
    pub(super) async fn ready_endpoints(&self, service: &str) -> Result<u32, Trouble> {
        let slices: Vec<EndpointSlice> = self.access.list(&format!("kubernetes.io/service-name={service}")).await?;
        Ok(ready(&slices))
    }

    fn settle(&self) -> Duration {
        self.place.traffic.as_ref().map_or(Duration::ZERO, |traffic| traffic.settle)
    }
}

/// Which of two splits requests followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Split {
    New,
    Old,
    /// Too few requests to tell.
    Unknown,
}

fn judged(from: Weight, to: Weight, canary: f64, rest: f64) -> Split {
    let share = |weight: Weight| f64::from(weight.thousandths()) / 1000.0;
    let (all, wanted) = (canary + rest, share(to));
    if all * wanted < ENOUGH {
        return Split::Unknown;
    }
    let got = canary / all;
    if from == to || (got - wanted).abs() < (got - share(from)).abs() { Split::New } else { Split::Old }
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts; the cast saturates")]
fn whole(count: f64) -> u64 {
    count.round() as u64
}

fn ready(slices: &[EndpointSlice]) -> u32 {
    let is_ready = |ready: Option<bool>| ready.unwrap_or(true);
    let endpoints = slices.iter().flat_map(|slice| slice.endpoints.iter().flatten());
    let ready = endpoints.filter(|endpoint| endpoint.conditions.as_ref().is_none_or(|conditions| is_ready(conditions.ready)));
    // A pod with two addresses is in a slice of each family.
    let pod =
        |endpoint: &Endpoint| endpoint.target_ref.as_ref().and_then(|target| target.uid.clone()).ok_or_else(|| endpoint.addresses.clone());
    u32::try_from(ready.map(pod).collect::<BTreeSet<_>>().len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_split_is_the_new_one_when_requests_are_nearer_to_it_than_to_the_old_one() {
        let weight = |text: &str| text.parse().unwrap();
        let between = |from: &str, to: &str, canary: f64, rest: f64| judged(weight(from), weight(to), canary, rest);
        assert_eq!(between("0%", "1%", 4.0, 396.0), Split::New);
        assert_eq!(between("0%", "1%", 0.0, 400.0), Split::Old);
        assert_eq!(between("0%", "1%", 1.0, 99.0), Split::Unknown, "one request in a hundred may be anything");
        assert_eq!(between("1%", "5%", 2.0, 200.0), Split::Old);
        assert_eq!(between("1%", "5%", 12.0, 200.0), Split::New);
        assert_eq!(between("5%", "1%", 12.0, 300.0), Split::Old);
        assert_eq!(between("5%", "5%", 20.0, 300.0), Split::New);
        assert_eq!(between("0%", "1%", 0.0, 0.0), Split::Unknown);
    }

    #[test]
    fn ready_endpoints_are_those_that_do_not_say_otherwise() {
        let slice = json!({"metadata": {"name": "a"}, "addressType": "IPv4", "endpoints": [
            {"addresses": ["10.0.0.1"], "conditions": {"ready": true}}, {"addresses": ["10.0.0.2"], "conditions": {"ready": false}},
            {"addresses": ["10.0.0.3"], "conditions": {}}, {"addresses": ["10.0.0.4"]}]});
        assert_eq!(ready(&[serde_json::from_value(slice).unwrap()]), 3);
        let family = |kind: &str, address: &str| {
            let pod = json!({"kind": "Pod", "name": "p", "uid": "u1"});
            serde_json::from_value::<EndpointSlice>(json!({"metadata": {"name": kind}, "addressType": kind,
                "endpoints": [{"addresses": [address], "conditions": {"ready": true}, "targetRef": pod}]}))
            .unwrap()
        };
        assert_eq!(ready(&[family("IPv4", "10.0.0.1"), family("IPv6", "fd00::1")]), 1, "one pod with two addresses");
    }
}
