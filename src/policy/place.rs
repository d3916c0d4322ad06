//! Which place a name means, how it is protected, and which jobs may ask for it.

use std::collections::BTreeSet;

use super::{Environment, Policy};
use crate::event::{Arm, EnvironmentName, Refusal, RefusalKind};

/// What an environment's name means under a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The environment that has a place: `prod` for `canary`.
    pub environment: EnvironmentName,
    /// The part of its traffic that is meant.
    pub arm: Arm,
    /// The place's settings; always [`Environment::Place`].
    pub settings: Environment,
}

impl Placed {
    /// How the place is protected.
    #[must_use]
    pub fn protection(&self) -> Protection {
        match &self.settings {
            Environment::Place { protected: true, approvals, .. } => Protection::Protected { approvals: *approvals },
            Environment::Place { protected: false, .. } => Protection::Open,
            // Not reached: a place was looked up. Closed when in doubt.
            Environment::Arm { .. } => Protection::Protected { approvals: 0 },
        }
    }
}

/// How an environment is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// Any deploy changes it.
    Open,
    /// Only a promotion changes it.
    Protected {
        /// How many yeses beside the first one it takes.
        approvals: u32,
    },
}

/// Finds the place that a name means. `canary` is an arm of `prod` unless it says of what; a name that policy does not hold is a local place,
/// and `prod` is a protected one.
#[must_use]
pub fn resolve_environment(policy: &Policy, name: &EnvironmentName) -> Placed {
    let arm_of = match policy.environments.get(name) {
        Some(Environment::Arm { of }) => Some(of.clone()),
        None if name.as_str() == "canary" => "prod".parse().ok(),
        Some(Environment::Place { .. }) | None => None,
    };
    let (environment, arm) = match arm_of {
        Some(of) => (of, Arm::Canary),
        None => (name.clone(), Arm::Whole),
    };
    let settings = match policy.environments.get(&environment) {
        Some(place @ Environment::Place { .. }) => place.clone(),
        Some(Environment::Arm { .. }) | None => Environment::unnamed(&environment),
    };
    Placed { environment, arm, settings }
}

/// Refuses a job that asks for an environment which its text does not name.
///
/// # Errors
/// When `asked` is not among those that the job declares.
pub fn may_deploy_environment(job: &str, declared: &BTreeSet<EnvironmentName>, asked: &EnvironmentName) -> Result<(), Refusal> {
    if declared.contains(asked) {
        return Ok(());
    }
    let list = declared.iter().map(EnvironmentName::as_str).collect::<Vec<_>>().join(", ");
    let said = if list.is_empty() { "no environment".to_owned() } else { list };
    let message = format!("job `{job}` asks for {asked} but declares {said}");
    Err(Refusal::new(RefusalKind::Undeclared, message).hint(format!("add `environment: {asked}` to `{job}`, and make it manual")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> EnvironmentName {
        text.parse().unwrap()
    }

    #[test]
    fn prod_is_protected_and_canary_is_its_arm_without_any_setting() {
        let policy = Policy::default();
        let prod = resolve_environment(&policy, &name("prod"));
        assert_eq!((prod.arm, prod.protection()), (Arm::Whole, Protection::Protected { approvals: 0 }));
        let canary = resolve_environment(&policy, &name("canary"));
        assert_eq!((canary.environment.as_str(), canary.arm, canary.protection()), ("prod", Arm::Canary, prod.protection()));
        assert_eq!(resolve_environment(&policy, &name("staging")).protection(), Protection::Open);
    }

    #[test]
    fn a_job_gets_what_it_declares_and_nothing_else() {
        let declared = BTreeSet::from([name("canary")]);
        assert_eq!(may_deploy_environment("c", &declared, &name("canary")), Ok(()));
        let refusal = may_deploy_environment("build", &BTreeSet::new(), &name("prod")).unwrap_err();
        assert_eq!(
            (refusal.kind, refusal.message.as_str()),
            (RefusalKind::Undeclared, "job `build` asks for prod but declares no environment")
        );
        assert!(may_deploy_environment("c", &declared, &name("prod")).is_err(), "the arm does not give the whole");
    }
}
