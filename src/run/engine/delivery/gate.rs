//! Gates: what a yes rests on, whether it still holds, and whether it is enough.

use crate::deploy::Target;
use crate::event::{
    Actor, DeployOutcome, Digest, EnvironmentName, Facts, JobName, Refusal, RefusalKind, RolloutId, RolloutState, RunState, VerdictClass,
};
use crate::ledger::{Entry, Evidence, Phase};
use crate::policy::{Protection, count_people, resolve_environment};
use crate::rollout::wired::in_force;
use crate::store::chain;
use crate::text::quoted;

use super::{Delivery, NotEntered, Yes, setup};

/// A yes that was taken.
pub(in crate::run::engine) struct TakenYes {
    pub(in crate::run::engine) release: Option<Digest>,
    pub(in crate::run::engine) policy_hash: Option<Digest>,
    pub(in crate::run::engine) missing: u32,
}

impl Delivery {
    /// Takes a yes at a gate: facts compared, verdict looked at, entered in the ledger.
    pub(in crate::run::engine) async fn approve(
        &mut self,
        state: &RunState,
        job: &JobName,
        said: &Yes<'_>,
        actor: &Actor,
    ) -> Result<TakenYes, Refusal> {
        let plan = state.job(job).map(|job| job.plan.clone());
        let environment = plan.and_then(|plan| plan.environments.first().cloned());
        let mut entry = Entry::new("approve", Phase::Note, actor.clone());
        entry.run = state.created.as_ref().map(|created| created.run.clone());
        entry.app = state.created.as_ref().map(|created| created.app.clone());
        entry.revision = state.created.as_ref().map(|created| created.revision.clone());
        entry.tag = state.created.as_ref().map(|created| created.tag.clone());
        // Their names alone: a ledger is for ever, and values are in the run's journal.
        let given: Vec<&str> = said.variables.keys().map(String::as_str).collect();
        let with = if given.is_empty() { String::new() } else { format!(" with {}", given.join(", ")) };
        entry.reason = Some(said.reason.map_or_else(|| format!("gate {job}{with}"), |reason| format!("gate {job}{with}: {reason}")));
        let Some(environment) = environment else {
            self.enter(entry).await?;
            return Ok(TakenYes { release: None, policy_hash: None, missing: 0 });
        };
        let taken = self.weigh(state, job, &environment, said, actor, &mut entry).await?;
        self.enter(entry).await?;
        Ok(taken)
    }

    async fn weigh(
        &mut self,
        state: &RunState,
        name: &JobName,
        asked: &EnvironmentName,
        said: &Yes<'_>,
        actor: &Actor,
        entry: &mut Entry,
    ) -> Result<TakenYes, Refusal> {
        let unreachable = |why: String| Refusal::new(RefusalKind::Stale, format!("the target does not answer: {why}")).hint("hms doctor");
        let targets = self.targets(state).ok_or_else(|| unreachable("the run has no beginning".to_owned()))?;
        let settings = setup::commit_settings(&self.setup.folder).map_err(|no| unreachable(no.to_string()))?;
        let home = targets.home(Some(&settings.policy)).await.map_err(|error| unreachable(error.to_string()))?;
        let force =
            in_force(&home, &setup::asker(&self.setup, state), &settings.policy).await.map_err(|error| unreachable(chain(&error)))?;
        let placed = resolve_environment(&force.policy, asked);
        let target = targets.of(&force.policy, &placed).await.map_err(|error| unreachable(error.to_string()))?;
        let record = target.record(&placed.environment).await.map_err(|error| unreachable(error.to_string()))?;
        let rollout =
            self.hosted.get(&placed.environment).and_then(|hosted| crate::rollout::reader::read(hosted.driver.folder()).ok().flatten());
        // A verdict belongs to the policy that it was reached under.
        let (rollout, under_another) = match rollout {
            Some(rollout) if rollout.created.as_ref().is_some_and(|created| created.policy_hash == force.hash) => (Some(rollout), None),
            another => (None, another),
        };
        let verdict = rollout.as_ref().and_then(|rollout| rollout.verdict.clone());
        let candidate = state.release.as_ref().map(|release| release.digest.clone());
        let overridden = rollout.as_ref().is_some_and(|rollout| rollout.overridden.is_some())
            || candidate.as_ref().is_some_and(|release| !setup::overrides(&record, release, &force.hash).is_empty());
        let now = Facts {
            current: record.current.as_ref().map(|current| current.digest.clone()),
            candidate: candidate.clone(),
            verdict: verdict.as_ref().map(|verdict| verdict.class),
            policy_hash: Some(force.hash.clone()),
        };
        if let Protection::Protected { approvals: 1.. } = placed.protection()
            && !said.variables.is_empty()
        {
            let why = format!(
                "{} needs the yes of several people, and each must say yes to the same: variables cannot be given",
                placed.environment
            );
            return Err(Refusal::new(RefusalKind::Protected, why).hint("give them to the whole run: hms run --variable KEY=VALUE"));
        }
        if let Some(release) = candidate.clone().filter(|release| now.current.as_ref() == Some(release)) {
            // It got there another way, by `hms-deploy` alone: nothing is left to protect it from, and the job says so.
            entry.environment = Some(placed.environment.clone());
            entry.digest = Some(release.clone());
            entry.policy_hash = Some(force.hash.clone());
            return Ok(TakenYes { release: Some(release), policy_hash: Some(force.hash), missing: 0 });
        }
        if let Some(rollout) = under_another.filter(|_| placed.protection() != Protection::Open && !overridden) {
            return Err(judged_before(state, &rollout, &force.hash));
        }
        compare(said.facts, &now)?;
        let Some(release) = candidate else {
            // The gate comes before anything was deployed: its release is not made yet, so a yes here is bound to none.
            return match placed.protection() {
                Protection::Open => Ok(TakenYes { release: None, policy_hash: Some(force.hash), missing: 0 }),
                Protection::Protected { .. } => Err(Refusal::new(
                    RefusalKind::Protected,
                    format!("{} is protected, and this run has no release yet: nothing was judged", placed.environment),
                )
                .hint("let a canary go first: `hms-deploy --env canary`")),
            };
        };
        entry.environment = Some(placed.environment.clone());
        entry.digest = Some(release.clone());
        entry.previous.clone_from(&now.current);
        entry.policy_hash = Some(force.hash.clone());
        let folder = self.hosted.get(&placed.environment).map(|hosted| hosted.driver.folder());
        let evidence = folder.zip(now.verdict).and_then(|(folder, class)| crate::rollout::reader::evidence(folder, class));
        entry.rollout = rollout.as_ref().and_then(|rollout| rollout.created.as_ref()).map(|created| created.rollout.clone());
        entry.evidence =
            evidence.map(|evidence| Evidence { sha256: evidence.sha256.hex().to_owned(), verdict: evidence.verdict.to_string() });
        let Protection::Protected { approvals } = placed.protection() else {
            return Ok(TakenYes { release: Some(release), policy_hash: Some(force.hash), missing: 0 });
        };
        if now.verdict != Some(VerdictClass::Pass) && !overridden {
            let stands = match verdict {
                Some(verdict) => format!("the canary has {}: {}", verdict.class, verdict.reason),
                None => "the canary has no verdict".to_owned(),
            };
            let number = state.created.as_ref().map_or(0, |created| created.number);
            let refusal = Refusal::new(RefusalKind::Protected, format!("{} is protected, and {stands}", placed.environment));
            return Err(match now.verdict {
                Some(VerdictClass::Hold) => refusal.hint(format!("wait for PASS, or: hms override {number} canary --reason TEXT")),
                Some(VerdictClass::Pass | VerdictClass::Rollback) | None => refusal.hint("let its canary pass first"),
            });
        }
        let given = state.job(name).map(|job| setup::gate_yeses(job, &release, &force.hash)).unwrap_or_default();
        let mut people: Vec<&Actor> = given.iter().map(|yes| &yes.actor).collect();
        people.extend(record.yeses.iter().filter(|yes| yes.release == release && yes.policy_hash == force.hash).map(|yes| &yes.actor));
        let before = count_people(&people);
        people.push(actor);
        let after = count_people(&people);
        if after == before {
            return Err(Refusal::new(
                RefusalKind::Protected,
                format!("{} has said yes already; the next yes must be somebody else's", actor.login),
            )
            .hint("another account on this host, or another person on another"));
        }
        let wanted = usize::try_from(approvals).unwrap_or(usize::MAX).saturating_add(1);
        let missing = u32::try_from(wanted.saturating_sub(after)).unwrap_or(u32::MAX);
        Ok(TakenYes { release: Some(release), policy_hash: Some(force.hash), missing })
    }

    async fn enter(&self, entry: Entry) -> Result<(), Refusal> {
        self.note(entry).await.map(|_| ()).map_err(|error| match error {
            NotEntered::Fault(why) => {
                Refusal::new(RefusalKind::LedgerForked, format!("the ledger does not take it, so it is not done: {why}"))
                    .hint("hms ledger verify")
            }
            NotEntered::Unwritten(why) => {
                Refusal::new(RefusalKind::LedgerUnwritten, format!("the ledger cannot be written, so it is not done: {why}"))
                    .hint("see that it can be written, then say it again: hms doctor shows the disk")
            }
        })
    }

    /// Passes the HOLD of a job's canary.
    pub(in crate::run::engine) async fn pass_hold(
        &mut self,
        state: &RunState,
        name: &JobName,
        reason: &str,
        facts: &Facts,
        actor: &Actor,
    ) -> Result<Digest, Refusal> {
        if reason.trim().is_empty() {
            return Err(Refusal::new(RefusalKind::Protected, "an override needs a reason").hint("--reason TEXT"));
        }
        let hosted = self.hosted.values().find(|hosted| &hosted.job == name);
        let Some(hosted) = hosted else {
            return Err(Refusal::new(RefusalKind::NotWaiting, format!("{name} has no canary that is watched here")));
        };
        let Some(release) = state.release.as_ref().map(|release| release.digest.clone()) else {
            return Err(Refusal::new(RefusalKind::NotWaiting, "this run has no release yet"));
        };
        let verdict = crate::rollout::reader::read(hosted.driver.folder()).ok().flatten().and_then(|rollout| rollout.verdict_class());
        compare(
            facts,
            &Facts { current: facts.current.clone(), candidate: Some(release.clone()), verdict, policy_hash: facts.policy_hash.clone() },
        )?;
        let answer = hosted.driver.override_hold(actor.clone(), reason.to_owned()).await;
        match (answer.outcome, answer.refusal) {
            (DeployOutcome::Done | DeployOutcome::Overridden, _) => Ok(release),
            (_, Some(refusal)) => Err(refusal),
            (_, None) => Err(Refusal::new(RefusalKind::NotWaiting, answer.message)),
        }
    }
}

/// A policy was accepted since the canary was judged: looking again does not help, another judgement does.
fn judged_before(state: &RunState, rollout: &RolloutState, in_force: &Digest) -> Refusal {
    let number = state.created.as_ref().map_or(0, |created| created.number);
    let its = |id: &RolloutId| rollout.created.as_ref().is_some_and(|created| &created.rollout == id);
    let job = state.rollouts.iter().find(|(id, ..)| its(id)).map_or("canary", |(.., job)| job.as_str());
    Refusal::new(RefusalKind::Stale, format!("the canary was judged under another policy than {}, which is in force now", in_force.short()))
        .hint(format!("have it judged again: hms retry {number} {} --wait", quoted(job)))
}

/// Refuses a command when one of the facts it was given is not so any more, and names the first.
fn compare(seen: &Facts, now: &Facts) -> Result<(), Refusal> {
    let stale = |what: String| Err(Refusal::new(RefusalKind::Stale, what).hint("look again, then say it again"));
    let name = |digest: &Option<Digest>| digest.as_ref().map_or_else(|| "none".to_owned(), |digest| digest.short().to_owned());
    if seen.candidate.is_some() && seen.candidate != now.candidate {
        return stale(format!("the release is {} now, not {}", name(&now.candidate), name(&seen.candidate)));
    }
    if seen.current.is_some() && seen.current != now.current {
        return stale(format!("the environment holds {} now, not {}", name(&now.current), name(&seen.current)));
    }
    if seen.policy_hash.is_some() && seen.policy_hash != now.policy_hash {
        return stale(format!("the policy in force is {} now, not {}", name(&now.policy_hash), name(&seen.policy_hash)));
    }
    match (seen.verdict, now.verdict) {
        (Some(seen), Some(now)) if seen == now => Ok(()),
        (None, _) => Ok(()),
        (Some(seen), Some(now)) => stale(format!("the verdict is {now} now, not {seen}")),
        (Some(seen), None) => stale(format!("the verdict {seen} does not hold any more")),
    }
}
