//! What a driver stands on, put together from policy: the engine, `hms-deploy` alone and `hms drive` build it the same way.

use std::sync::Arc;

use crate::canary::provider::{MetricsScrape, MetricsSettings, Provider};
use crate::deploy::Target;
use crate::event::{AppName, Arm, DeployOutcome, ReleaseRef, RunId};
use crate::ledger::LedgerPlaces;
use crate::policy::{
    FreezeWindow, MetricsSource, OnHarm as PolicyOnHarm, Placed, Policy, Protection as PolicyProtection, Unwatched as PolicyUnwatched,
};
use crate::rollout::ports::{Meter, OnHarm, Ports, Protection, Rules, SlotPolicy, Unwatched};
use crate::rollout::{Answer, Setup, Tell};
use crate::store::{Places, now};

use super::{CanaryJudge, InForce, LedgerRecorder, Lineage, MetricsMeter, NoMeter, PolicyGatekeeper, TargetMeter};

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
        let meter = meter(Arc::clone(&target), app, placed, policy);
        let gatekeeper = PolicyGatekeeper {
            policy: policy.clone(),
            freeze: self.freeze.clone(),
            protection: placed.protection(),
            environment: placed.environment.clone(),
            run,
            lineage,
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
            tell: Arc::clone(&self.tell),
            clock: Arc::new(now),
        }
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
    }
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
    }
}

/// The metrics that policy names; the target's own when it names none.
fn meter<T: Target + 'static>(target: Arc<T>, app: &AppName, placed: &Placed, policy: &Policy) -> Arc<dyn Meter> {
    let named = |address: &str| {
        let requests = policy.metrics.requests.parse().map_err(|error| format!("`metrics.requests`: {error}"))?;
        let latency = policy.metrics.latency.parse().map_err(|error| format!("`metrics.latency`: {error}"))?;
        let settings = MetricsSettings::new(requests, Some(latency), policy.metrics.version_label.clone());
        let scrape = MetricsScrape::new(address, settings).map_err(|error| error.to_string())?;
        Ok::<_, String>(MetricsMeter::new(Provider::Scrape(scrape)))
    };
    let found = match &policy.metrics.source {
        MetricsSource::Target => return Arc::new(TargetMeter::new(target, app.clone(), placed.environment.clone())),
        MetricsSource::Scrape(address) => named(address),
        MetricsSource::Prometheus(address) => {
            Err(format!("the query API of {address} is not read by this hms yet; name the endpoint itself: metrics: {{scrape: URL}}"))
        }
    };
    match found {
        Ok(meter) => Arc::new(meter),
        Err(why) => Arc::new(NoMeter(why)),
    }
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
        let said = (!answer.message.starts_with("Deployed ")).then(|| answer.message.clone());
        std::iter::once(format!("✔ Deployed {name} to {place}")).chain(said).collect()
    } else {
        vec![format!("✘ {}", answer.message)]
    };
    let (Ok(identity), Ok(observation)) = (target.identity().await, target.observe(&placed.environment).await) else { return lines };
    let measured = observation.served.filter(|(canary, stable)| canary + stable > 0).map(|(canary, stable)| {
        let small = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let whole = small(canary + stable);
        format!(", measured {:.2} % of {} requests", small(canary) / whole * 100.0, canary + stable)
    });
    let address = observation.address.map(|address| format!(" at {address}")).unwrap_or_default();
    lines.push(format!("  on {}{address}: canary {} in force{}", identity.name, observation.weight, measured.unwrap_or_default()));
    lines
}
