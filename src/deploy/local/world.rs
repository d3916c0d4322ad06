//! Everything that is true of the local target of one app, in memory. One lock, held for moments and never across a wait.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use super::instance::{Instance, Ticket};
use super::split::{Side, Split};
use super::status::{Happening, LocalEnvironment};
use crate::deploy::{ArmName, Observation, TargetError};
use crate::event::{AppName, AppRecord, Digest, EnvironmentName, EnvironmentRecord, Weight};
use crate::store;

/// How many happenings are kept.
const HAPPENINGS: usize = 100;

/// The local target of one app.
#[derive(Debug)]
pub(super) struct World {
    pub(super) app: AppName,
    pub(super) app_record: Option<AppRecord>,
    pub(super) environments: BTreeMap<EnvironmentName, Environment>,
    pub(super) metrics: Option<SocketAddr>,
    pub(super) stopped: bool,
    pub(super) happenings: VecDeque<Happening>,
}

/// One environment.
#[derive(Debug)]
pub(super) struct Environment {
    pub(super) record: Option<EnvironmentRecord>,
    /// The highest fence that an effect came with.
    pub(super) fence: u64,
    pub(super) arms: Arms,
    pub(super) split: Split,
    pub(super) starting: Vec<Starting>,
    pub(super) leaving: Vec<Arc<Instance>>,
    pub(super) address: Option<SocketAddr>,
    pub(super) listening: bool,
}

/// Who has which place, and the canary's weight.
#[derive(Debug, Clone, Default)]
pub(super) struct Arms {
    pub(super) stable: Option<Arc<Instance>>,
    pub(super) canary: Option<Arc<Instance>>,
    pub(super) standby: Vec<Arc<Instance>>,
    pub(super) weight: Weight,
}

/// A start under way.
#[derive(Debug)]
pub(super) struct Starting {
    pub(super) instance: Arc<Instance>,
    pub(super) arm: ArmName,
    pub(super) fence: u64,
}

impl World {
    pub(super) fn environment(&mut self, name: &EnvironmentName) -> &mut Environment {
        self.environments.entry(name.clone()).or_insert_with(Environment::new)
    }

    /// The next request's instance: whose turn it is, and a hold on it. None when there is nobody to answer.
    pub(super) fn choose(&mut self, environment: &EnvironmentName) -> Option<(Side, Ticket)> {
        let environment = self.environments.get_mut(environment)?;
        let side = environment.split.take();
        let instance = match side {
            Side::Canary => environment.arms.canary.as_ref(),
            Side::Stable => environment.arms.stable.as_ref(),
        };
        Some((side, Ticket::of(instance?)))
    }

    /// A hold on stable, for a request that the canary could not take.
    pub(super) fn stable(&self, environment: &EnvironmentName) -> Option<Ticket> {
        self.environments.get(environment)?.arms.stable.as_ref().map(Ticket::of)
    }

    pub(super) fn happened(&mut self, text: impl Into<String>) {
        self.happenings.push_back(Happening { at: store::now(), text: text.into() });
        while self.happenings.len() > HAPPENINGS {
            self.happenings.pop_front();
        }
    }

    /// Everything that runs, starts or leaves.
    pub(super) fn instances(&self) -> Vec<Arc<Instance>> {
        self.environments.values().flat_map(|environment| environment.all().into_iter().map(|(_, instance)| instance)).collect()
    }
}

impl Environment {
    pub(super) fn new() -> Self {
        Self {
            record: None,
            fence: 0,
            arms: Arms::default(),
            split: Split::new(Weight::ZERO),
            starting: Vec::new(),
            leaving: Vec::new(),
            address: None,
            listening: false,
        }
    }

    /// The highest fence seen: by an effect, or in the record, whose numbers are given out by compare-and-swap.
    pub(super) fn highest_fence(&self) -> u64 {
        self.fence.max(self.record.as_ref().map_or(0, |record| record.fence))
    }

    /// Lets an effect with this fence in, or says who came later. Starts of an older fence are told to end.
    pub(super) fn admit(&mut self, fence: u64) -> Result<(), TargetError> {
        let highest = self.highest_fence();
        if fence < highest {
            return Err(self.superseded());
        }
        self.fence = fence;
        for starting in self.starting.iter().filter(|starting| starting.fence < fence) {
            starting.instance.end();
        }
        Ok(())
    }

    pub(super) fn superseded(&self) -> TargetError {
        let by = self.record.as_ref().and_then(|record| record.slot.as_ref()).map(|slot| slot.rollout.clone());
        TargetError::Superseded { by, fence: self.highest_fence() }
    }

    /// Sets the canary's weight; a new one begins a new block.
    pub(super) fn set_weight(&mut self, weight: Weight) {
        if self.arms.weight != weight {
            self.arms.weight = weight;
            self.split.set(weight);
        }
    }

    /// What runs, by place; what starts is shown in the place it is meant for.
    pub(super) fn arms(&self) -> Vec<(ArmName, Arc<Instance>)> {
        let mut all = Vec::new();
        all.extend(self.arms.stable.iter().map(|instance| (ArmName::Stable, Arc::clone(instance))));
        all.extend(self.arms.canary.iter().map(|instance| (ArmName::Canary, Arc::clone(instance))));
        all.extend(self.arms.standby.iter().map(|instance| (ArmName::Standby, Arc::clone(instance))));
        all.extend(self.starting.iter().map(|starting| (starting.arm, Arc::clone(&starting.instance))));
        all
    }

    pub(super) fn all(&self) -> Vec<(ArmName, Arc<Instance>)> {
        let mut all = self.arms();
        all.extend(self.leaving.iter().map(|instance| (ArmName::Standby, Arc::clone(instance))));
        all
    }

    pub(super) fn runs(&self, release: &Digest) -> bool {
        self.all().iter().any(|(_, instance)| instance.release == *release)
    }

    pub(super) fn observation(&self, metrics: Option<SocketAddr>) -> Observation {
        Observation {
            at: store::now(),
            arms: self.arms().iter().map(|(arm, instance)| instance.view(*arm)).collect(),
            weight: self.arms.weight,
            fence: self.highest_fence(),
            address: self.address.map(|address| format!("http://{address}")),
            metrics: metrics.map(|address| format!("http://{address}/metrics")),
            served: Some(self.split.served()),
        }
    }

    pub(super) fn described(&self, name: &EnvironmentName) -> LocalEnvironment {
        LocalEnvironment {
            environment: name.clone(),
            address: self.address.map(|address| format!("http://{address}")),
            listening: self.listening,
            weight: self.arms.weight,
            fence: self.highest_fence(),
            served: self.split.served(),
            arms: self.arms().iter().map(|(arm, instance)| instance.described(*arm)).collect(),
            leaving: self.leaving.iter().map(|instance| instance.described(ArmName::Standby)).collect(),
        }
    }
}
