//! What happened to environments → how they stand. Pure; each rule with GitLab's file.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::Deployment;
use crate::pipeline::AutoStop;

/// Something that happened to an environment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Happening {
    pub(super) environment: String,
    pub(super) at: DateTime<Utc>,
    pub(super) what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    /// A job that deploys there ended.
    Deployed { deployment: Deployment, success: Success, url: Option<String>, tier: Option<String>, auto_stop: Option<AutoStop> },
    /// A job prepared it, or was let in: the time until it is stopped begins anew.
    Accessed { auto_stop: Option<AutoStop> },
    /// A job looked at it.
    Verified { auto_stop: Option<AutoStop> },
    /// A job that stops it succeeded, or a person said that it is stopped.
    Stopped,
    /// A person said that it is not to be stopped by itself.
    Kept,
}

/// Whether a deployment is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Success {
    Yes,
    No,
}

/// An environment, folded.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    pub(super) stopped: bool,
    pub(super) url: Option<String>,
    pub(super) tier: Option<String>,
    pub(super) deployed: Option<Deployment>,
    /// The run of the last deployment that ended, however it did.
    pub(super) last_run: Option<u64>,
    pub(super) stops_at: Option<DateTime<Utc>>,
    /// What the last deployment that succeeded said of that.
    life: Option<AutoStop>,
}

/// Folds them in the order of time; what people say of an environment that no job ever named says nothing.
pub(super) fn fold(mut happenings: Vec<Happening>) -> BTreeMap<String, Told> {
    happenings.sort_by_key(|happening| happening.at);
    let mut all: BTreeMap<String, Told> = BTreeMap::new();
    for Happening { environment, at, what } in happenings {
        if let Some(told) = all.get_mut(&environment) {
            told.apply(at, what);
        } else if let Some(told) = Told::begin(at, what) {
            all.insert(environment, told);
        }
    }
    all
}

impl Told {
    /// The first job that names an environment makes it, with the time that it says (`app/services/environments/create_for_job_service.rb`).
    fn begin(at: DateTime<Utc>, what: What) -> Option<Self> {
        let said = match &what {
            What::Deployed { auto_stop, .. } | What::Accessed { auto_stop } | What::Verified { auto_stop } => *auto_stop,
            What::Stopped => None,
            What::Kept => return None,
        };
        let mut told = Self { stopped: false, url: None, tier: None, deployed: None, last_run: None, stops_at: None, life: None };
        told.stop_after(at, said);
        told.apply(at, what);
        Some(told)
    }

    fn apply(&mut self, at: DateTime<Utc>, what: What) {
        match what {
            // `app/services/deployments/update_environment_service.rb`: only a success changes the environment, and what its job says.
            What::Deployed { deployment, success, url, tier, auto_stop } => {
                self.last_run = Some(deployment.run);
                if success == Success::Yes {
                    self.stopped = false;
                    self.deployed = Some(deployment);
                    self.url = url.or_else(|| self.url.take());
                    self.tier = tier.or_else(|| self.tier.take());
                    self.life = auto_stop;
                    self.stop_after(at, auto_stop);
                }
            }
            // `app/services/environments/recalculate_auto_stop_service.rb`
            What::Accessed { auto_stop } => self.stop_after(at, auto_stop.or(self.life)),
            What::Verified { auto_stop } => self.stop_after(at, auto_stop),
            What::Stopped => (self.stopped, self.stops_at) = (true, None),
            What::Kept => self.stops_at = None,
        }
    }

    /// What says nothing leaves a time that was set before.
    fn stop_after(&mut self, at: DateTime<Utc>, said: Option<AutoStop>) {
        match said {
            None => {}
            Some(AutoStop::Never) => self.stops_at = None,
            Some(AutoStop::After(seconds)) => {
                let life = i64::try_from(seconds).ok().and_then(TimeDelta::try_seconds);
                self.stops_at = life.and_then(|life| at.checked_add_signed(life));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Happened = Vec<(i64, What)>;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn deployed(run: u64, success: Success, auto_stop: Option<AutoStop>) -> What {
        let (job, revision) = ("go".parse().unwrap(), "a".repeat(40).parse().unwrap());
        let deployment = Deployment { run, job, revision, reference: None, at: at(0) };
        What::Deployed { deployment, success, url: None, tier: None, auto_stop }
    }

    fn told(happened: &[(i64, What)]) -> Told {
        let one = |(second, what): &(i64, What)| Happening { environment: "e".to_owned(), at: at(*second), what: what.clone() };
        fold(happened.iter().map(one).collect()).remove("e").unwrap()
    }

    #[test]
    fn the_time_until_it_is_stopped_is_gitlabs() {
        use Success::{No, Yes};
        let after = |seconds| Some(AutoStop::After(seconds));
        let never = Some(AutoStop::Never);
        let table: Vec<(&str, Happened, Option<i64>)> = vec![
            ("a deployment sets it", vec![(10, deployed(1, Yes, after(100)))], Some(110)),
            ("the next anew", vec![(10, deployed(1, Yes, after(100))), (50, deployed(2, Yes, after(100)))], Some(150)),
            ("one that says nothing leaves it", vec![(10, deployed(1, Yes, after(100))), (50, deployed(2, Yes, None))], Some(110)),
            ("`never` takes it away", vec![(10, deployed(1, Yes, after(100))), (50, deployed(2, Yes, never))], None),
            ("one that failed changes nothing", vec![(10, deployed(1, Yes, after(100))), (50, deployed(2, No, after(100)))], Some(110)),
            ("but makes the environment", vec![(10, deployed(1, No, after(100)))], Some(110)),
            ("access begins it anew", vec![(10, deployed(1, Yes, after(100))), (50, What::Accessed { auto_stop: None })], Some(150)),
            ("with its own word", vec![(10, deployed(1, Yes, after(100))), (50, What::Accessed { auto_stop: after(7) })], Some(57)),
            ("verify does not", vec![(10, deployed(1, Yes, after(100))), (50, What::Verified { auto_stop: None })], Some(110)),
            ("unless it says so", vec![(10, deployed(1, Yes, after(100))), (50, What::Verified { auto_stop: after(7) })], Some(57)),
            ("a stop takes it away", vec![(10, deployed(1, Yes, after(100))), (50, What::Stopped)], None),
            ("so does a person", vec![(10, deployed(1, Yes, after(100))), (50, What::Kept)], None),
            ("until the next", vec![(10, deployed(1, Yes, after(100))), (20, What::Kept), (50, deployed(2, Yes, after(9)))], Some(59)),
            ("in the order of time", vec![(50, What::Kept), (10, deployed(1, Yes, after(100)))], None),
            ("beyond all time is none", vec![(10, deployed(1, Yes, after(u64::MAX)))], None),
        ];
        for (what, happened, expected) in table {
            assert_eq!(told(&happened).stops_at, expected.map(at), "{what}");
        }
    }

    #[test]
    fn only_a_deployment_that_succeeded_brings_a_stopped_one_back() {
        use Success::{No, Yes};
        let stopped = |more: &[(i64, What)]| told(&[vec![(1, deployed(1, Yes, None)), (2, What::Stopped)], more.to_vec()].concat());
        assert!(stopped(&[]).stopped);
        let failed = stopped(&[(3, deployed(2, No, None)), (4, What::Accessed { auto_stop: None })]);
        assert_eq!((failed.stopped, failed.deployed.unwrap().run, failed.last_run), (true, 1, Some(2)));
        assert!(!stopped(&[(3, deployed(2, Yes, None))]).stopped);
        let unknown = Happening { environment: "e".to_owned(), at: at(0), what: What::Kept };
        assert!(fold(vec![unknown]).is_empty());
    }
}
