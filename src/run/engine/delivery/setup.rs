//! Carrying out a job's wish: the environment, the policy in force, the release, the driver; then the driver's answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::deploy::{AnyTarget, ReleaseRecord, Target};
use crate::event::{
    Actor, Arm, DeployOutcome, Digest, EnvironmentName, EnvironmentRecord, Refusal, RefusalKind, RolloutId, RunEvent, RunState, Yes,
    YesKind,
};
use crate::ledger::LedgerPlaces;
use crate::pipeline::Plan;
use crate::policy::{Placed, Protection, Settings, resolve_environment};
use crate::repo::{NamedRelease, Repository};
use crate::rollout::ports::SlotPolicy;
use crate::rollout::wired::{Asker, ForceError, InForce, Lineage, Targets, ground, in_force};
use crate::rollout::{Answer, Authority, Bytes, Driver, ReleaseRequest, Standing, Walk};
use crate::run::RunFolder;
use crate::run::control::Reply;
use crate::store::{chain, now};

use super::super::{EngineSetup, Input};
use super::release::{Maker, Making};
use super::version::{VersionTag, make_version_tag, name_release};
use super::{Delivery, DeliveryEvent, DeployOrder};

/// What a wish is carried out with: a view of the run as it was when the job asked.
pub(super) struct Work {
    pub(super) setup: EngineSetup,
    pub(super) sender: mpsc::Sender<Input>,
    pub(super) targets: Option<Targets>,
    pub(super) state: RunState,
    pub(super) plan: Plan,
    pub(super) folder: RunFolder,
    pub(super) hosted: HashMap<EnvironmentName, Arc<Driver>>,
    pub(super) maker: Maker,
}

/// What a job hears.
pub(super) struct Told {
    pub(super) answer: Answer,
    pub(super) lines: Vec<String>,
    /// It came to nothing before a driver had it.
    pub(super) undriven: bool,
}

impl Work {
    pub(super) async fn carry_out(&self, order: &DeployOrder) -> Told {
        match Box::pin(self.try_carry_out(order)).await {
            Ok(told) => told,
            Err(No::Refused(refusal)) => Told { answer: refused(refusal), lines: Vec::new(), undriven: true },
            Err(No::Failed(message)) => {
                let lines = vec![message.clone()];
                Told { answer: failed(message), lines, undriven: true }
            }
        }
    }

    async fn try_carry_out(&self, order: &DeployOrder) -> Result<Told, No> {
        let wish = &order.wish;
        let targets = self.targets.clone().ok_or_else(|| No::Failed("the run has no beginning".to_owned()))?;
        let name: EnvironmentName = wish.environment.parse().map_err(|error: crate::event::BadName| No::Failed(error.to_string()))?;
        let settings = self.settings()?;
        let home = targets.home(Some(&settings.policy)).await.map_err(|error| No::Failed(error.to_string()))?;
        let force = in_force(&home, &self.asker(), &settings.policy).await.map_err(No::from)?;
        targets.settle(&home, &force).map_err(|error| No::Failed(error.to_string()))?;
        self.say_policy(order, &force).await;
        let placed = resolve_environment(&force.policy, &name);
        let target = Arc::new(targets.of(&force.policy, &placed).await.map_err(|error| No::Failed(error.to_string()))?);
        let bytes = self.release(order, &target, &settings).await?;
        self.check_tag(wish.tag.as_deref(), &bytes)?;
        let known = self.hosted_for(&placed.environment, &bytes).filter(|driver| is_under(driver, &force));
        let driver = if let Some(driver) = known {
            driver
        } else {
            self.make_room(&placed, &bytes).await?;
            self.begin(order, &placed, &force, &target, &bytes).await?
        };
        let record = target.record(&placed.environment).await.map_err(|error| No::Failed(error.to_string()))?;
        let asked = async {
            match placed.arm {
                Arm::Canary => driver.canary(wish.traffic.map_or(Walk::Steps, Walk::One)).await,
                Arm::Whole => driver.promote(self.authority(order, &bytes, &force, &record)).await,
            }
        };
        if placed.arm == Arm::Whole && self.setup.briefing.no_linger && force.policy.canary.after.is_some() {
            let text = "production is not watched afterwards: this engine does not linger (hms run --linger)".to_owned();
            let _ = order.replies.send(Reply::Line { text }).await;
        }
        let answer = self.tell_waits(order, &driver, asked).await;
        let mut lines = ground::result_lines(target.as_ref(), &placed, &bytes.record.release, &answer).await;
        if answer.outcome == DeployOutcome::Done && placed.arm == Arm::Whole && placed.protection() != Protection::Open {
            lines.extend(self.tag_version(&target, &placed, &force, &bytes).await);
        }
        Ok(Told { answer, lines, undriven: false })
    }

    /// The next version's tag, when policy wants one.
    async fn tag_version(&self, target: &AnyTarget, into: &Placed, force: &InForce, bytes: &Bytes) -> Option<String> {
        let created = self.state.created.as_ref()?;
        let about = VersionTag {
            bump: force.policy.version.bump,
            release: bytes.record.release.clone(),
            app: created.app.clone(),
            environment: into.environment.clone(),
            actor: self.setup.actor.clone(),
        };
        let (repository, folders) = (created.repository.clone(), self.setup.places.clone());
        let asked = about.clone();
        let made = tokio::task::spawn_blocking(move || make_version_tag(&repository, &folders, &asked)).await.ok().flatten()?;
        name_release(target, &about, &made).await;
        Some(made.line)
    }

    /// The commit's settings; the file was checked when the run was made.
    fn settings(&self) -> Result<Settings, No> {
        commit_settings(&self.folder)
    }

    pub(super) fn asker(&self) -> Asker {
        asker(&self.setup, &self.state)
    }

    async fn say_policy(&self, order: &DeployOrder, force: &InForce) {
        let mut told = Vec::new();
        if force.first_use {
            told.push(format!("policy {} is in force: first use at this target", force.hash.short()));
        }
        if !force.differences.is_empty() {
            let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "unset".to_owned());
            let paths: Vec<String> =
                force.differences.iter().map(|one| format!("{} ({} → {})", one.path, word(&one.from), word(&one.to))).collect();
            told.push(format!(
                "this commit's policy differs from the one in force and has no effect until `hms policy accept`: {}",
                paths.join(", ")
            ));
        }
        told.extend(force.floors.iter().map(|floor| format!("the operator's floor holds: {floor}")));
        let known: Vec<&String> = self.state.notices.iter().map(|(_, text)| text).collect();
        for text in told.into_iter().filter(|text| !known.contains(&text)) {
            let _ = order.replies.send(Reply::Line { text: text.clone() }).await;
            self.record(RunEvent::NoticeGiven { job: None, text }).await;
        }
    }

    /// Has an event written by the engine, and waits until it is durable.
    pub(super) async fn record(&self, event: RunEvent) {
        let (durable, done) = oneshot::channel();
        let sent = self.sender.send(Input::Delivery(DeliveryEvent::Record { event: Box::new(event), durable })).await;
        if sent.is_ok() {
            let _ = done.await;
        }
    }

    async fn release(&self, order: &DeployOrder, target: &AnyTarget, settings: &Settings) -> Result<Bytes, No> {
        let _ = order.replies.send(Reply::Line { text: "making the release from the commit and the artifacts".to_owned() }).await;
        let (start, image) = (settings.start.clone(), settings.image.clone());
        let making = Making { state: self.state.clone(), plan: self.plan.clone(), folder: self.folder.clone(), start, image };
        let known = self.state.release.as_ref().map(|release| release.digest.clone());
        let tell = async |made: &ReleaseRecord| {
            self.record(RunEvent::ReleaseMade { release: made.release.clone(), files: made.files, bytes: made.bytes }).await;
        };
        self.maker.make(target, making, known, tell).await.map_err(No::Failed)
    }

    /// `--tag` inside a run names that run's release or nothing; a tag that moved since is refused.
    fn check_tag(&self, tag: Option<&str>, bytes: &Bytes) -> Result<(), No> {
        let Some(tag) = tag else { return Ok(()) };
        let release = &bytes.record.release;
        let repository = self.state.created.as_ref().map(|created| created.repository.clone()).unwrap_or_default();
        let named = Repository::discover(&repository)
            .and_then(|repository| repository.resolve_tag(tag))
            .map_err(|error| No::Failed(chain(&error)))?;
        let fits = match named {
            NamedRelease::Digest(digest) => digest == release.digest,
            NamedRelease::Commit { revision, .. } => Some(&revision) == release.revision.as_ref(),
        };
        if fits {
            return Ok(());
        }
        let message = format!("--tag {tag} is not this run's release, which is {}", release.tag);
        Err(No::Refused(Refusal::new(RefusalKind::WrongTag, message).hint("leave --tag out, or run the pipeline of that commit")))
    }

    fn hosted_for(&self, environment: &EnvironmentName, bytes: &Bytes) -> Option<Arc<Driver>> {
        let driver = self.hosted.get(environment)?;
        let state = crate::rollout::reader::read(driver.folder()).ok().flatten()?;
        let same = state.created.as_ref().is_some_and(|created| created.release.digest == bytes.record.release.digest);
        (same && state.ended.is_none()).then(|| Arc::clone(driver))
    }

    /// This run's own canary of other bytes, or judged under another policy, gives way to the next one: its verdict is about nothing
    /// any more. A promotion does not push it out, since nothing of what it would bring was judged.
    async fn make_room(&self, placed: &Placed, bytes: &Bytes) -> Result<(), No> {
        let Some(driver) = self.hosted.get(&placed.environment) else { return Ok(()) };
        if *driver.standing().borrow() != Standing::Watching {
            return Ok(());
        }
        let tag = &bytes.record.release.tag;
        if placed.arm == Arm::Whole && placed.protection() != Protection::Open {
            let number = self.state.created.as_ref().map_or(0, |created| created.number);
            let message =
                format!("{} is protected, and the canary there is not this release of {tag} under this policy", placed.environment);
            return Err(No::Refused(
                Refusal::new(RefusalKind::Protected, message)
                    .hint(format!("let it be judged first: hms retry {number} JOB, with the canary's job")),
            ));
        }
        let why = format!("another release of {tag} takes its place in the same run");
        driver.cancel(self.setup.actor.clone(), Some(why)).await;
        Ok(())
    }

    async fn begin(
        &self,
        order: &DeployOrder,
        placed: &Placed,
        force: &InForce,
        target: &Arc<AnyTarget>,
        bytes: &Bytes,
    ) -> Result<Arc<Driver>, No> {
        let created = self.state.created.clone().ok_or_else(|| No::Failed("the run has no beginning".to_owned()))?;
        let replies = order.replies.clone();
        let grounds = ground::Ground {
            places: self.setup.places.clone(),
            host: self.setup.actor.host.clone(),
            socket: Some(self.setup.places.socket(self.folder.path())),
            freeze: self.setup.floors.freeze.clone(),
            metrics: self.setup.floors.metrics.clone(),
            hear: self.setup.hear.clone(),
            tell: Arc::new(move |text: &str| {
                let _ = replies.try_send(Reply::Line { text: text.to_owned() });
            }),
        };
        let mut driver_setup = grounds.driver_setup(
            Arc::clone(target),
            &created.app,
            placed,
            force,
            Some(created.run.clone()),
            lineage_in(&created.repository),
            order.wish.allow_outdated.clone(),
        );
        if let Some(seconds) = order.wish.slot_timeout_seconds {
            driver_setup.rules.slot_timeout = Duration::from_secs(seconds);
        }
        if order.wish.supersede {
            driver_setup.rules.slot = SlotPolicy::Supersede;
        }
        if self.setup.briefing.no_linger {
            driver_setup.rules.after = None;
        }
        let rollout = RolloutId::from_ulid(ulid::Ulid::generate());
        // Named in the run's journal before anything changes, so that the next engine finds it.
        self.record(RunEvent::RolloutLinked {
            job: order.job.clone(),
            rollout: rollout.clone(),
            environment: placed.environment.clone(),
            arm: placed.arm,
        })
        .await;
        let request = ReleaseRequest {
            rollout,
            app: created.app,
            environment: placed.environment.clone(),
            bytes: bytes.clone(),
            run: Some(created.run),
            policy_hash: force.hash.clone(),
            actor: Actor { via: format!("job {}", order.job), ..created.actor },
            reason: order.wish.allow_outdated.clone(),
            allow_outdated: order.wish.allow_outdated.clone(),
        };
        let driver = Arc::new(Driver::begin(driver_setup, request).await.map_err(|error| No::Failed(chain(&error)))?);
        let hosted = DeliveryEvent::Hosted { environment: placed.environment.clone(), job: order.job.clone(), driver: Arc::clone(&driver) };
        let _ = self.sender.send(Input::Delivery(hosted)).await;
        Ok(driver)
    }

    /// The yeses of this job's own gate, and overrides given outside the run; a job without a gate brings no yes of its own.
    fn authority(&self, order: &DeployOrder, bytes: &Bytes, force: &InForce, record: &EnvironmentRecord) -> Authority {
        let release = &bytes.record.release.digest;
        let mut yeses = self.state.job(&order.job).map(|job| gate_yeses(job, release, &force.hash)).unwrap_or_default();
        let actor = yeses.last().map_or_else(|| self.setup.actor.clone(), |yes| yes.actor.clone());
        yeses.extend(overrides(record, release, &force.hash));
        Authority { actor, yeses, reason: None }
    }
}

/// Whether a rollout was begun under the policy in force: verdicts and yeses are bound to it.
fn is_under(driver: &Driver, force: &InForce) -> bool {
    let state = crate::rollout::reader::read(driver.folder()).ok().flatten();
    state.and_then(|state| state.created).is_some_and(|created| created.policy_hash == force.hash)
}

/// The yeses at a job's gate that are bound to this release and policy.
pub(super) fn gate_yeses(job: &crate::event::JobState, release: &Digest, policy_hash: &Digest) -> Vec<Yes> {
    let bound = job.yeses.iter().filter(|(_, bound_to, under)| bound_to.as_ref() == Some(release) && under.as_ref() == Some(policy_hash));
    bound
        .map(|(actor, ..)| Yes {
            kind: YesKind::Approval,
            actor: actor.clone(),
            release: release.clone(),
            policy_hash: policy_hash.clone(),
            reason: None,
            at: now(),
        })
        .collect()
}

/// Overrides of this release under this policy that were given outside a run.
pub(super) fn overrides(record: &EnvironmentRecord, release: &Digest, policy_hash: &Digest) -> Vec<Yes> {
    let bound = |yes: &&Yes| yes.kind == YesKind::Override && yes.release == *release && yes.policy_hash == *policy_hash;
    record.yeses.iter().filter(bound).cloned().collect()
}

impl Delivery {
    /// Takes a rollout up again; none when it is over.
    pub(super) async fn take_up(
        &mut self,
        state: &RunState,
        plan: &Plan,
        environment: &EnvironmentName,
        rollout: &RolloutId,
    ) -> Result<Option<Driver>, String> {
        let Some(created) = state.created.clone() else { return Ok(None) };
        let Some(targets) = self.targets(state) else { return Ok(None) };
        let folder = crate::rollout::folder_of(&self.setup.places.state, &created.app, rollout);
        let found = match crate::rollout::reader::read(&folder).map_err(|error| chain(&error))? {
            Some(found) if found.ended.is_none() => found,
            Some(_) | None => return Ok(None),
        };
        let settings = commit_settings(&self.setup.folder).map_err(|no| no.to_string())?;
        let home = targets.home(Some(&settings.policy)).await.map_err(|error| chain(&error))?;
        let force = in_force(&home, &asker(&self.setup, state), &settings.policy).await.map_err(|error| chain(&error))?;
        let placed = resolve_environment(&force.policy, environment);
        let target = Arc::new(targets.of(&force.policy, &placed).await.map_err(|error| chain(&error))?);
        let grounds = ground::Ground {
            places: self.setup.places.clone(),
            host: self.setup.actor.host.clone(),
            socket: Some(self.setup.places.socket(self.setup.folder.path())),
            freeze: self.setup.floors.freeze.clone(),
            metrics: self.setup.floors.metrics.clone(),
            hear: self.setup.hear.clone(),
            tell: Arc::new(|_| {}),
        };
        let lineage = lineage_in(&created.repository);
        let mut driver_setup =
            grounds.driver_setup(Arc::clone(&target), &created.app, &placed, &force, Some(created.run.clone()), lineage, None);
        if self.setup.briefing.no_linger {
            // A promotion from here would be watched by nobody.
            driver_setup.rules.after = None;
        }
        let wanted = found.created.map(|created| created.release.digest);
        let bytes = self.bytes_again(&target, state, plan, wanted, settings).await?;
        Driver::resume(driver_setup, &created.app, rollout, bytes).await.map(Some).map_err(|error| chain(&error))
    }
}

impl Delivery {
    /// The bytes of a rollout's release, when the target may not have them: its driver may have ended before it brought them.
    async fn bytes_again(
        &self,
        target: &AnyTarget,
        state: &RunState,
        plan: &Plan,
        wanted: Option<Digest>,
        settings: Settings,
    ) -> Result<Option<Bytes>, String> {
        let Some(wanted) = wanted else { return Ok(None) };
        let placed = target.placed(&wanted).await.map_err(|error| chain(&error))?;
        if placed.is_some() {
            return Ok(None);
        }
        let Settings { start, image, .. } = settings;
        let making = Making { state: state.clone(), plan: plan.clone(), folder: self.setup.folder.clone(), start, image };
        let known = state.release.as_ref().map(|release| release.digest.clone());
        let made = self.maker.make(target, making, known, async |_: &ReleaseRecord| {}).await?;
        // Artifacts that changed since make another release: this rollout's bytes are gone then.
        Ok(Some(made).filter(|bytes| bytes.record.release.digest == wanted))
    }
}

/// What the repository at that path knows of its commits, whenever it is asked.
pub(crate) fn lineage_in(repository: &std::path::Path) -> Lineage {
    let repository = repository.to_owned();
    Lineage::new(move |there, candidate| Repository::discover(&repository).and_then(|found| found.is_ancestor(there, candidate)).ok())
}

pub(super) fn asker(setup: &EngineSetup, state: &RunState) -> Asker {
    let repository = state.created.as_ref().and_then(|created| Repository::discover(&created.repository).ok()?.first_commit().ok()?);
    Asker { actor: setup.actor.clone(), floors: setup.floors.clone(), ledger: LedgerPlaces::of(&setup.places), repository }
}

/// The settings under `.hms` of the run's commit.
pub(super) fn commit_settings(folder: &RunFolder) -> Result<Settings, No> {
    let path = folder.pipeline();
    let bytes = std::fs::read(&path).map_err(|error| No::Failed(format!("cannot read {}: {error}", path.display())))?;
    match crate::pipeline::settings(&bytes) {
        None => Ok(Settings::default()),
        Some(node) => Settings::read(&node).map_err(|problem| No::Failed(format!("{}: {}", path.display(), problem.message))),
    }
}

/// Why a wish comes to nothing.
#[derive(Debug)]
pub(super) enum No {
    /// A rule.
    Refused(Refusal),
    /// A fault.
    Failed(String),
}

impl std::fmt::Display for No {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Failed(message) => f.write_str(message),
        }
    }
}

impl From<ForceError> for No {
    fn from(error: ForceError) -> Self {
        match error {
            ForceError::Refused(refusal) => Self::Refused(refusal),
            ForceError::Target(_) | ForceError::Ledger(_) => Self::Failed(chain(&error)),
        }
    }
}

fn refused(refusal: Refusal) -> Answer {
    Answer { outcome: DeployOutcome::Refused, message: refusal.message.clone(), refusal: Some(refusal), last_lines: Vec::new() }
}

fn failed(message: String) -> Answer {
    Answer { outcome: DeployOutcome::Failed, message, refusal: None, last_lines: Vec::new() }
}
