//! What a driver stands on, put together from policy: the engine, `hms-deploy` alone and `hms drive` build it the same way.

use std::sync::Arc;

use crate::canary::provider::{
    Access, ManyScrapes, MetricsScrape, MetricsSettings, OwnSelectors, OwnSeries, PrometheusApi, Provider, Selector,
};
use crate::deploy::{ArmName, Observation, Target};
use crate::event::{AppName, Arm, DeployOutcome, Digest, OwnMetric, ReleaseRef, RunId, Weight};
use crate::ledger::LedgerPlaces;
use crate::policy::{
    AfterHarm as PolicyAfterHarm, FreezeWindow, MetricsAccess, MetricsSource, OnHarm as PolicyOnHarm, OwnMetric as PolicyMetric, Placed,
    Policy, Protection as PolicyProtection, Unwatched as PolicyUnwatched,
};
use crate::rollout::ports::{After, AfterHarm, Meter, OnHarm, Ports, Protection, Rules, SlotPolicy, Unwatched};
use crate::rollout::{Answer, Hear, Hearing, Setup, Tell};
use crate::store::{Inside, Peer, Places, inside_run, now};

use super::{CanaryJudge, InForce, LedgerRecorder, Lineage, MetricsMeter, NoMeter, PodsMeter, PolicyGatekeeper, TargetMeter};

/// How long a release may take until it answers its health check.
pub const START_TIMEOUT: std::time::Duration = std::time::Duration::from_mins(1);

/// Where a driver runs.
#[derive(Clone)]
pub struct Ground {
    /// This user's folders.
    pub places: Places,
    /// This host's name.
    pub host: String,
    /// Where the process that drives listens.
    pub socket: Option<std::path::PathBuf>,
    /// The operator's freeze windows.
    pub freeze: Vec<FreezeWindow>,
    /// What the operator lets servers of metrics see.
    pub metrics: Vec<MetricsAccess>,
    /// Who is told of what happens.
    pub hear: Hear,
    /// Lines for the person who asked.
    pub tell: Tell,
}

impl Ground {
    /// Everything a driver needs for one environment under the policy in force.
    #[expect(clippy::too_many_arguments, reason = "each is a fact of its own that the caller alone knows")]
    pub fn driver_setup<T: Target + 'static>(
        &self,
        target: Arc<T>,
        app: &AppName,
        placed: &Placed,
        force: &InForce,
        run: Option<RunId>,
        lineage: Lineage,
        allow_outdated: Option<String>,
    ) -> Setup<T> {
        let policy = &force.policy;
        let meter = meter(Arc::clone(&target), app, placed, policy, &self.metrics);
        let gatekeeper = PolicyGatekeeper {
            policy: policy.clone(),
            freeze: self.freeze.clone(),
            protection: placed.protection(),
            environment: placed.environment.clone(),
            run,
            lineage,
            ledger: LedgerPlaces::of(&self.places),
            allow_outdated,
        };
        Setup {
            target,
            ports: Ports {
                recorder: Arc::new(LedgerRecorder::new(LedgerPlaces::of(&self.places))),
                meter,
                judge: Arc::new(judge(policy)),
                gatekeeper: Arc::new(gatekeeper),
            },
            rules: rules(policy, placed),
            state: self.places.state.clone(),
            host: self.host.clone(),
            socket: self.socket.clone(),
            hear: self.hear.clone(),
            hearing: Some(self.hearing()),
            tell: Arc::clone(&self.tell),
            clock: Arc::new(now),
        }
    }
}

impl Ground {
    /// Beside the driver, for people of this user alone: no job steers a canary.
    fn hearing(&self) -> Hearing {
        let state = self.places.state.clone();
        let inside = move |peer: &Peer| peer.process.as_ref().is_none_or(|process| inside_run(process.pid, &state) != Inside::No);
        Hearing { runtime: self.places.runtime.clone(), inside: Arc::new(inside) }
    }
}

fn judge(policy: &Policy) -> CanaryJudge {
    let canary = &policy.canary;
    CanaryJudge {
        error_slo: canary.slo.error_rate,
        p95_slo: canary.slo.p95.map(|p95| p95.duration().as_secs_f64()),
        bake: canary.bake.duration(),
        warm_up: canary.warm_up.duration(),
        scrape: canary.interval.duration(),
        rules: canary.judge.clone(),
        own: own_limits(policy),
    }
}

/// The limits of the user's own metrics, as the judge is told them.
#[must_use]
pub fn own_limits(policy: &Policy) -> Vec<OwnMetric> {
    policy.metrics.own.iter().map(|(name, own)| limit(name, own)).collect()
}

fn limit(name: &str, own: &PolicyMetric) -> OwnMetric {
    let threshold_seconds = match own {
        PolicyMetric::Latency { slower_than, .. } => Some(slower_than.duration().as_secs_f64()),
        PolicyMetric::Status { .. } | PolicyMetric::Ratio { .. } => None,
    };
    OwnMetric { name: name.to_owned(), slo: own.slo(), threshold_seconds }
}

/// Which series each of the user's own metrics counts.
fn own_selectors(policy: &Policy) -> Result<Vec<OwnSelectors>, String> {
    let parsed =
        |name: &str, key: &str, text: &str| text.parse::<Selector>().map_err(|error| format!("`metrics.own.{name}.{key}`: {error}"));
    let selectors = |(name, own): (&String, &PolicyMetric)| {
        let series = match own {
            PolicyMetric::Status { status, .. } => {
                OwnSeries::Status(status.parse().map_err(|error| format!("`metrics.own.{name}.status`: {error}"))?)
            }
            PolicyMetric::Ratio { bad, all, .. } => {
                OwnSeries::Ratio { all: all.as_deref().map(|all| parsed(name, "all", all)).transpose()?, bad: parsed(name, "bad", bad)? }
            }
            PolicyMetric::Latency { latency, .. } => OwnSeries::Latency(parsed(name, "latency", latency)?),
        };
        Ok(OwnSelectors { name: name.clone(), series })
    };
    policy.metrics.own.iter().map(selectors).collect()
}

fn rules(policy: &Policy, placed: &Placed) -> Rules {
    let canary = &policy.canary;
    Rules {
        steps: canary.steps.clone(),
        on_harm: match canary.on_harm {
            PolicyOnHarm::Rollback => OnHarm::Rollback,
            PolicyOnHarm::Hold => OnHarm::Hold,
        },
        on_hold: canary.on_hold.duration(),
        unwatched: match canary.unwatched {
            PolicyUnwatched::Keep => Unwatched::Keep,
            PolicyUnwatched::Rollback => Unwatched::Rollback,
        },
        scrape: canary.interval.duration(),
        keep: policy.registry.as_ref().map_or(5, |registry| usize::try_from(registry.keep).unwrap_or(5)),
        slot_timeout: policy.slot_timeout.duration(),
        slot: SlotPolicy::Wait,
        start_timeout: START_TIMEOUT,
        protection: match placed.protection() {
            PolicyProtection::Open => Protection::Open,
            PolicyProtection::Protected { .. } => Protection::Protected,
        },
        after: canary.after.map(|after| After {
            watch: after.watch.duration(),
            holdback: after.holdback,
            on_harm: match after.on_harm {
                PolicyAfterHarm::Rollback => AfterHarm::Rollback,
                PolicyAfterHarm::Tell => AfterHarm::Tell,
            },
        }),
    }
}

/// The metrics that policy names; the target's own when it names none.
fn meter<T: Target + 'static>(
    target: Arc<T>,
    app: &AppName,
    placed: &Placed,
    policy: &Policy,
    accesses: &[MetricsAccess],
) -> Arc<dyn Meter> {
    if policy.metrics.source == MetricsSource::Target {
        return match own_selectors(policy) {
            Ok(own) => Arc::new(TargetMeter::new(target, app.clone(), placed.environment.clone(), own)),
            Err(why) => Arc::new(NoMeter(why)),
        };
    }
    if let MetricsSource::Pods(labels) = &policy.metrics.source {
        return match selectors(policy) {
            Ok(settings) => Arc::new(PodsMeter::new(target, labels.clone(), settings)),
            Err(why) => Arc::new(NoMeter(why)),
        };
    }
    match provider(policy, accesses) {
        Ok(provider) => Arc::new(MetricsMeter::new(provider)),
        Err(why) => Arc::new(NoMeter(why)),
    }
}

/// Which series are read.
fn selectors(policy: &Policy) -> Result<MetricsSettings, String> {
    let metrics = &policy.metrics;
    let requests = metrics.requests.parse().map_err(|error| format!("`metrics.requests`: {error}"))?;
    let latency = metrics.latency.parse().map_err(|error| format!("`metrics.latency`: {error}"))?;
    Ok(MetricsSettings { own: own_selectors(policy)?, ..MetricsSettings::new(requests, Some(latency), metrics.version_label.clone()) })
}

/// The source of metrics that policy names.
///
/// # Errors
/// Why there is none: a selector, an address or a credential that cannot be used, or the target's own metrics.
pub fn provider(policy: &Policy, accesses: &[MetricsAccess]) -> Result<Provider, String> {
    let metrics = &policy.metrics;
    let settings = selectors(policy)?;
    let accesses = accesses.iter().map(access).collect::<Result<Vec<Access>, _>>()?;
    let all = |first: &'_ str| std::iter::once(first.to_owned()).chain(metrics.fallbacks.iter().cloned()).collect::<Vec<String>>();
    let made = match &metrics.source {
        MetricsSource::Target => return Err("the target measures itself".to_owned()),
        MetricsSource::Pods(labels) => return Err(format!("the pods `{labels}` are read through their cluster while a canary is watched")),
        MetricsSource::Scrape(address) if metrics.fallbacks.is_empty() => {
            MetricsScrape::with_access(address, settings, &accesses).map(Provider::Scrape)
        }
        MetricsSource::Scrape(address) => {
            ManyScrapes::new(all(address).iter().map(String::as_str), &settings, &accesses).map(Provider::Scrapes)
        }
        MetricsSource::Prometheus(address) => {
            PrometheusApi::new(all(address).iter().map(String::as_str), settings, &accesses).map(Provider::Prometheus)
        }
    };
    made.map_err(|error| error.to_string())
}

/// What the operator's file says of one origin, with the secrets that its files hold.
fn access(said: &MetricsAccess) -> Result<Access, String> {
    let origin = &said.origin;
    let read = |path: &std::path::Path| {
        std::fs::read(path).map_err(|error| format!("metrics of {origin}: {} cannot be read: {error}", path.display()))
    };
    let secret = |path: &std::path::Path| {
        let text = String::from_utf8(read(path)?).map_err(|_| format!("metrics of {origin}: {} is not UTF-8", path.display()))?;
        Ok::<_, String>(text.trim_end_matches(['\r', '\n']).to_owned())
    };
    let told = |error: crate::canary::provider::BadAccess| format!("metrics of {origin}: {error}");
    let mut access = Access::to(origin).map_err(told)?;
    if let Some(file) = &said.bearer_file {
        access = access.bearer(&secret(file)?).map_err(told)?;
    }
    if let Some((user, file)) = &said.basic {
        access = access.basic(user, &secret(file)?).map_err(told)?;
    }
    for (name, value) in &said.headers {
        access = access.header(name, value).map_err(told)?;
    }
    if let Some(file) = &said.ca {
        access = access.authorities(&read(file)?).map_err(told)?;
    }
    Ok(access)
}

/// The lines that `hms-deploy` prints when it is done: what is so now, then where, with the share asked for and the share measured.
pub async fn result_lines<T: Target>(target: &T, placed: &Placed, release: &ReleaseRef, answer: &Answer) -> Vec<String> {
    let name = release.revision.as_ref().map_or_else(|| release.tag.clone(), |revision| revision.short().to_owned());
    let done = matches!(answer.outcome, DeployOutcome::Done | DeployOutcome::Overridden);
    let place = match placed.arm {
        Arm::Canary => "canary".to_owned(),
        Arm::Whole => placed.environment.to_string(),
    };
    let mut lines = if done {
        let done = format!("Deployed {name} to {place}");
        // What it says beside that is a line of its own.
        let said = answer.message.strip_prefix(done.as_str()).map_or(answer.message.as_str(), |rest| rest.trim_start_matches("; "));
        let said = (!said.is_empty()).then(|| said.to_owned());
        std::iter::once(format!("✔ {done}")).chain(said).collect()
    } else {
        vec![format!("✘ {}", answer.message)]
    };
    let (Ok(identity), Ok(observation)) = (target.identity().await, target.observe(&placed.environment).await) else { return lines };
    let address = observation.address.as_ref().map(|address| format!(" at {address}")).unwrap_or_default();
    let whose = match placed.arm {
        Arm::Canary => "canary",
        Arm::Whole => &release.tag,
    };
    let (weight, measured) = share_of(&observation, placed.arm, &release.digest);
    // What has nothing of the traffic was measured for another time.
    let measured = measured.filter(|_| weight > Weight::ZERO);
    let measured = measured.map(|(share, all)| format!(", measured {:.2} % of {all} requests", share * 100.0)).unwrap_or_default();
    lines.push(format!("  on {}{address}: {whose} {weight} in force{measured}", identity.name));
    lines
}

/// The share of the traffic that a deploy was about, as the target has it: the canary's, or all that the release has. Beside it what was
/// measured since, 0 to 1, and of how many requests.
#[must_use]
pub fn share_of(seen: &Observation, arm: Arm, release: &Digest) -> (Weight, Option<(f64, u64)>) {
    let small = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let measured = |part: u64, all: u64| (all > 0).then(|| (small(part) / small(all), all));
    let served = seen.served.unwrap_or_default();
    let all = served.0.saturating_add(served.1);
    let is_stable = seen.arms.iter().any(|view| view.arm == ArmName::Stable && view.release == *release);
    match arm {
        Arm::Whole if is_stable => {
            let rest = Weight::FULL.thousandths().saturating_sub(seen.weight.thousandths());
            (Weight::from_thousandths(rest).unwrap_or(Weight::FULL), measured(served.1, all))
        }
        Arm::Whole if !seen.arms.iter().any(|view| view.release == *release) => (Weight::ZERO, None),
        Arm::Whole | Arm::Canary => (seen.weight, measured(served.0, all)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::{ArmView, Health};

    #[test]
    fn a_whole_environment_has_the_share_of_its_release_and_not_the_canarys() {
        let digest = |name: &str| Digest::of(name.as_bytes());
        let arm = |arm, name: &str| ArmView { arm, release: digest(name), version: name.to_owned(), health: Health::Healthy, restarts: 0 };
        let ten = Weight::from_thousandths(100).unwrap();
        let seen = |weight, served| Observation {
            at: now(),
            arms: vec![arm(ArmName::Stable, "old"), arm(ArmName::Canary, "new")],
            weight,
            fence: 1,
            address: None,
            metrics: None,
            served: Some(served),
        };
        assert_eq!(share_of(&seen(Weight::ZERO, (0, 28_006)), Arm::Whole, &digest("old")), (Weight::FULL, Some((1.0, 28_006))));
        let ninety = Weight::from_thousandths(900).unwrap();
        assert_eq!(share_of(&seen(ten, (10, 90)), Arm::Whole, &digest("old")), (ninety, Some((0.9, 100))));
        assert_eq!(share_of(&seen(ten, (10, 90)), Arm::Canary, &digest("new")), (ten, Some((0.1, 100))));
        assert_eq!(share_of(&seen(ten, (10, 90)), Arm::Whole, &digest("other")), (Weight::ZERO, None));
        assert_eq!(share_of(&seen(Weight::ZERO, (0, 0)), Arm::Whole, &digest("old")), (Weight::FULL, None));
    }
}
