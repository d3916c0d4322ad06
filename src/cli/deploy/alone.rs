//! `hms-deploy` alone, in a shell or on a CI server: a driver of its own, under the rules that hold inside a run.
//!
//! It makes no release: it takes one that a run brought to the target. A canary is driven in the foreground until its verdict; then nobody
//! watches it any more, which is said, unless `--watch` stays.

use std::io::Write;
use std::sync::Arc;

use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::arguments::Output;
use crate::cli::environment::{Environment, actor};
use crate::cli::failure::{Exit, Failure, exit_of};
use crate::cli::notices::Notices;
use crate::cli::place::{Place, Refused, app_of, is_own_clone, no_such_environment, notice, outside_run, refuse, settings_at_head};
use crate::cli::run_new::Clone;
use crate::deploy::{AnyTarget, ArmName, Health, Target as _};
use crate::event::{
    Actor, AppName, Arm, DeployOutcome, EnvironmentName, EnvironmentRecord, Refusal, RefusalKind, ReleaseRef, RolloutCreated, RolloutId,
    Yes,
};
use crate::ledger::LedgerPlaces;
use crate::policy::{Placed, Policy, Protection, VersionBump, outdated, resolve_environment};
use crate::rollout::ports::SlotPolicy;
use crate::rollout::wired::{Asker, InForce, Lineage, ground, in_force};
use crate::rollout::{Answer, Authority, Bytes, Driver, Hear, ReleaseRequest, Setup, Standing, Walk, folder_of, reader};
use crate::run::engine::{VersionTag, lineage_in, make_version_tag, name_release};
use crate::text::plain;

use super::arguments::DeployArguments;
use super::candidate::{NoCandidate, Shelf, choose};
use super::client::code;
use super::consent::{Matter, NoConsent, own_yes};

/// A deploy by this process.
struct Alone<'a> {
    environment: Environment,
    arguments: &'a DeployArguments,
    output: Output,
    app: AppName,
    name: EnvironmentName,
    /// The app's own repository, when this folder is in it.
    clone: Option<Clone>,
    actor: Actor,
    hear: Hear,
}

/// Deploys, and gives the exit code.
pub(super) fn deploy(arguments: &DeployArguments, output: Output) -> Result<u8, Failure> {
    let environment = Environment::find()?;
    let name = arguments.env.clone().ok_or_else(|| Failure::new(Exit::Usage, "which environment?").hint("--env NAME"))?;
    let about = Refused { verb: "hms-deploy", app: arguments.app.as_ref(), environment: Some(&name), digest: None };
    outside_run(&environment, &about)?;
    let app = app_of(arguments.app.as_ref(), None)?;
    let notices = Notices::start(&environment, notice);
    let hear = notices.hear();
    let alone = Alone { environment, arguments, output, app, name, clone: Clone::find(None).ok(), actor: actor("hms-deploy"), hear };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(alone.carry_out());
    drop(notices);
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    code
}

/// What a deploy rests on.
struct Grounds {
    target: Arc<AnyTarget>,
    force: InForce,
    placed: Placed,
    record: EnvironmentRecord,
    release: ReleaseRef,
}

impl Alone<'_> {
    async fn carry_out(mut self) -> Result<u8, Failure> {
        let grounds = self.grounds().await?;
        if self.arguments.dry_run {
            return self.preview(&grounds).await;
        }
        let Grounds { target, force, placed, record, release } = &grounds;
        let whole = placed.arm == Arm::Whole;
        let there = record.current.as_ref().is_some_and(|current| current.digest == release.digest);
        // What somebody changed without hms is refused by the driver, also of what is there by the record.
        let drifted = || async { Ok::<_, Failure>(!target.drift(&placed.environment).await?.is_empty()) };
        if whole && there && record.slot.is_none() && (target.was_stopped()? || !drifted().await?) {
            if target.was_stopped()? {
                target.wake().await?;
                notice(&format!("{} was stopped by a person and is brought back", self.app));
                serves_again(target, &placed.environment, release).await?;
            }
            let answer = answered(DeployOutcome::Done, format!("{} is already in {}", release.tag, placed.environment));
            return self.report(&grounds, None, &answer).await;
        }
        let open = self.open_rollout(record, release, force)?;
        let lineage = self.clone.as_ref().map_or_else(Lineage::unknown, |clone| lineage_in(&clone.repository.common_dir()));
        if whole && let Some(current) = &record.current {
            // The driver looks again, at the effect; here so that nobody is asked for a yes that comes to nothing.
            let allowed = self.allowed().or(open.as_ref().and_then(|open| open.allow_outdated.as_deref()));
            outdated(lineage.ancestry(current, release), release, current, allowed)
                .map_err(|refusal| self.refused(refusal, Some(release)))?;
        }
        let yes = if whole && placed.protection() != Protection::Open { Some(self.consent(&grounds)?) } else { None };
        let setup = self.setup(&grounds, lineage)?;
        let driver = match &open {
            Some(open) => Box::pin(Driver::resume(setup, &self.app, &open.rollout, None)).await?,
            None => Driver::begin(setup, self.request(target, force, placed, release).await?).await?,
        };
        let work = async {
            match placed.arm {
                Arm::Canary => driver.canary(self.arguments.traffic.map_or(Walk::Steps, Walk::One)).await,
                Arm::Whole => driver.promote(self.authority(record, release, force, yes)).await,
            }
        };
        let mut signals = Signals::catch()?;
        let answer = tokio::select! {
            answer = work => answer,
            caught = signals.next() => return self.stopped(&driver, caught).await,
        };
        let code = self.report(&grounds, Some(driver.rollout()), &answer).await;
        if whole && answer.outcome == DeployOutcome::Done {
            self.tag_version(&grounds).await?;
        }
        self.let_go(placed, &driver, &mut signals).await?;
        code
    }

    /// What would change, in lines.
    async fn preview(&self, grounds: &Grounds) -> Result<u8, Failure> {
        let Grounds { target, placed, record, release, force } = grounds;
        let (arm, weight) = match placed.arm {
            Arm::Canary => (ArmName::Canary, self.arguments.traffic.or(force.policy.canary.steps.first().copied())),
            Arm::Whole => (ArmName::Stable, None),
        };
        let changes = target.preview(&release.digest, arm, weight).await?;
        let (place, mut out) = (target.identity().await?, std::io::stdout());
        if self.output == Output::Json {
            let value = json!({"format": 1, "dry_run": true, "environment": placed.environment, "arm": placed.arm, "release": release,
                "current": record.current, "weight": weight, "target": place, "changes": changes});
            writeln!(out, "{value}")?;
            return Ok(0);
        }
        let there = record.current.as_ref().map_or("nothing", |current| current.tag.as_str());
        let share = weight.map(|weight| format!(" with {weight}")).unwrap_or_default();
        let line =
            format!("would bring {} ({}) to {}{share} on {}, where {there} is", release.tag, release.digest.short(), self.name, place.name);
        writeln!(out, "{}", plain(&line))?;
        for change in &changes {
            writeln!(out, "  {}", plain(change))?;
        }
        Ok(0)
    }

    /// The target, the policy in force there, the environment, the release.
    async fn grounds(&mut self) -> Result<Grounds, Failure> {
        let place = Place::find(&self.environment, &self.app, self.arguments.target.as_ref()).await?;
        self.keep_own_clone(&place);
        let placed = place.resolve(&self.name);
        let releases = place.target_of(&placed.environment).await?.releases().await?;
        if releases.is_empty() {
            return Err(Failure::new(Exit::NotCarriedOut, format!("no release of {} is at this target", self.app))
                .hint("releases are made by runs: hms run --headless"));
        }
        if self.arguments.dry_run && place.record.policy.is_none() {
            // To look is no first use.
            return Err(Failure::new(Exit::NotCarriedOut, "no policy is in force there").hint("hms policy accept"));
        }
        let force = self.force(&place).await?;
        let mut known = place.names().await?;
        known.extend(force.policy.environments.keys().cloned());
        if !known.contains(&self.name) {
            let (message, hint) = no_such_environment(&self.app, &self.name, &known);
            let hint = format!("{hint}; a new one is named in `.hms`: environments: {{ {}: {{}} }}", self.name);
            return Err(Failure::new(Exit::Usage, message).hint(hint));
        }
        let placed = resolve_environment(&force.policy, &self.name);
        let target = Arc::new(match &self.arguments.target {
            Some(_) => place.target_of(&placed.environment).await?,
            None => place.targets().of(&force.policy, &placed).await?,
        });
        let record = target.record(&placed.environment).await?;
        let known = Shelf { releases: &releases, record: &record, placed: &placed, clone: self.clone.as_ref() };
        let release = choose(self.arguments, &known).map_err(|no| match no {
            NoCandidate::Refused(refusal) => self.refused(refusal, None),
            NoCandidate::Failed(failure) => failure,
        })?;
        Ok(Grounds { target, force, placed, record, release })
    }

    /// With `--app` the folder may be anything: only the app's own repository is asked about tags and ancestors.
    fn keep_own_clone(&mut self, place: &Place) {
        self.clone = self.clone.take().filter(|clone| is_own_clone(clone, &place.record));
    }

    async fn force(&self, place: &Place) -> Result<InForce, Failure> {
        let stored = || Some(Policy::from_text(&place.record.policy.as_ref()?.text).ok()?.policy);
        let commits = self.clone.as_ref().and_then(settings_at_head).map(|settings| settings.policy).or_else(stored).unwrap_or_default();
        let asker = Asker {
            actor: self.actor.clone(),
            floors: self.environment.operator.floors.clone(),
            ledger: LedgerPlaces::of(&self.environment.places),
            repository: self.clone.as_ref().and_then(|clone| clone.repository.first_commit().ok().flatten()),
        };
        let force = in_force(&place.target, &asker, &commits).await?;
        if !force.differences.is_empty() {
            let paths: Vec<&str> = force.differences.iter().map(|one| one.path.as_str()).collect();
            notice(&format!("this commit's policy differs from the one in force, which holds: {}", paths.join(", ")));
        }
        for floor in &force.floors {
            notice(&format!("the operator's floor holds: {floor}"));
        }
        Ok(force)
    }

    /// The rollout of this release that nobody drives now; one that somebody drives is theirs.
    fn open_rollout(&self, record: &EnvironmentRecord, release: &ReleaseRef, force: &InForce) -> Result<Option<RolloutCreated>, Failure> {
        let Some(slot) = record.slot.as_ref().filter(|slot| slot.release.digest == release.digest) else { return Ok(None) };
        let folder = folder_of(&self.environment.places.state, &self.app, &slot.rollout);
        let Some(state) = reader::read(&folder)? else { return Ok(None) };
        let Some(created) = state.created.filter(|_| state.ended.is_none()) else { return Ok(None) };
        if let Some(holder) = reader::holder(&folder) {
            let message = format!(
                "the rollout of {} in {} is driven by {} with pid {} on {}",
                release.tag, record.environment, holder.role, holder.process.pid, holder.host
            );
            let hint = driven_elsewhere(&created, &self.name);
            return Err(self.refused(Refusal::new(RefusalKind::SlotTaken, message).hint(hint), Some(release)));
        }
        if created.policy_hash != force.hash {
            let message = format!("the canary of {} was judged under another policy ({})", release.tag, created.policy_hash.short());
            let hint = format!("take it back and release it again: hms rollback --env canary --app {}", self.app);
            return Err(self.refused(Refusal::new(RefusalKind::Stale, message).hint(hint), Some(release)));
        }
        Ok(Some(created))
    }

    /// The reason of `--allow-outdated`.
    fn allowed(&self) -> Option<&str> {
        self.arguments.reason.as_deref().filter(|_| self.arguments.allow_outdated)
    }

    fn consent(&self, grounds: &Grounds) -> Result<Yes, Failure> {
        let matter = Matter {
            app: &self.app,
            name: &self.name,
            record: &grounds.record,
            release: &grounds.release,
            policy_hash: &grounds.force.hash,
            actor: &self.actor,
        };
        own_yes(&matter, self.arguments.promote.as_deref()).map_err(|no| match no {
            NoConsent::Refused(refusal) => self.refused(refusal, Some(&grounds.release)),
            NoConsent::Failed(failure) => failure,
        })
    }

    fn setup(&self, grounds: &Grounds, lineage: Lineage) -> Result<Setup<AnyTarget>, Failure> {
        let Grounds { target, force, placed, release, .. } = grounds;
        let ground = ground::Ground {
            places: self.environment.places.clone(),
            host: self.actor.host.clone(),
            socket: None,
            freeze: self.environment.operator.floors.freeze.clone(),
            metrics: self.environment.operator.floors.metrics.clone(),
            hear: self.hear.clone(),
            tell: Arc::new(notice),
        };
        let allowed = self.allowed().map(str::to_owned);
        let mut setup = ground.driver_setup(Arc::clone(target), &self.app, placed, force, release.run.clone(), lineage, allowed);
        if let Some(timeout) = &self.arguments.slot_timeout {
            setup.rules.slot_timeout = crate::cli::duration::parse(timeout)?;
        }
        if self.arguments.supersede {
            setup.rules.slot = SlotPolicy::Supersede;
        }
        if !self.arguments.watch && setup.rules.after.take().is_some() && placed.arm == Arm::Whole {
            notice("production is not watched afterwards: hms-deploy ends with the promotion (--watch stays)");
        }
        Ok(setup)
    }

    async fn request(&self, target: &AnyTarget, force: &InForce, placed: &Placed, release: &ReleaseRef) -> Result<ReleaseRequest, Failure> {
        let gone = || Failure::new(Exit::NotCarriedOut, format!("the bytes of {} are no longer at the target", release.tag));
        let record = target.placed(&release.digest).await?.ok_or_else(gone)?;
        Ok(ReleaseRequest {
            rollout: RolloutId::from_ulid(ulid::Ulid::generate()),
            app: self.app.clone(),
            environment: placed.environment.clone(),
            bytes: Bytes { record, tree: None },
            run: release.run.clone(),
            policy_hash: force.hash.clone(),
            actor: self.actor.clone(),
            reason: self.arguments.reason.clone(),
            allow_outdated: self.allowed().map(str::to_owned),
        })
    }

    /// The caller's own yes beside those that lie in the record: an override among them passes HOLD.
    fn authority(&self, record: &EnvironmentRecord, release: &ReleaseRef, force: &InForce, own: Option<Yes>) -> Authority {
        let bound = |yes: &&Yes| yes.release == release.digest && yes.policy_hash == force.hash;
        let yeses = record.yeses.iter().filter(bound).cloned().chain(own).collect();
        Authority { actor: self.actor.clone(), yeses, reason: self.arguments.reason.clone() }
    }

    async fn report(&self, grounds: &Grounds, rollout: Option<&RolloutId>, answer: &Answer) -> Result<u8, Failure> {
        let Grounds { target, placed, release, .. } = grounds;
        let mut out = std::io::stdout();
        let exit = answer.refusal.as_ref().map_or_else(|| code(answer.outcome), |refusal| exit_of(refusal.kind).code());
        if self.output == Output::Json {
            let seen = target.observe(&placed.environment).await.ok();
            let share = seen.as_ref().map(|seen| ground::share_of(seen, placed.arm, &release.digest));
            let value = json!({
                "format": 1, "outcome": answer.outcome, "exit_code": exit, "message": answer.message,
                "environment": placed.environment, "arm": placed.arm, "release": release, "rollout": rollout,
                "target": target.identity().await.ok(),
                "address": seen.as_ref().and_then(|seen| seen.address.clone()),
                "weight": {"applied": share.map(|(weight, _)| weight),
                    "measured": share.and_then(|(_, measured)| measured).map(|(part, _)| part)},
                "refusal": answer.refusal, "last_lines": answer.last_lines,
            });
            writeln!(out, "{value}")?;
            return Ok(exit);
        }
        if let Some(refusal) = &answer.refusal {
            return Err(refusal.clone().into());
        }
        for line in ground::result_lines(target.as_ref(), placed, release, answer).await {
            writeln!(out, "{}", plain(&line))?;
        }
        for line in &answer.last_lines {
            notice(&format!("  | {line}"));
        }
        Ok(exit)
    }

    /// `.hms` `version: {bump}`: the tag is made where the clone is.
    async fn tag_version(&self, grounds: &Grounds) -> Result<(), Failure> {
        let bump = grounds.force.policy.version.bump;
        let Some(clone) = self.clone.as_ref().filter(|_| bump != VersionBump::None) else { return Ok(()) };
        let about = VersionTag {
            bump,
            release: grounds.release.clone(),
            app: self.app.clone(),
            environment: grounds.placed.environment.clone(),
            actor: self.actor.clone(),
        };
        let (folder, places) = (clone.repository.common_dir(), self.environment.places.clone());
        let asked = about.clone();
        let made = tokio::task::spawn_blocking(move || make_version_tag(&folder, &places, &asked)).await;
        if let Some(made) = made.map_err(|error| Failure::of(Exit::NotCarriedOut, &error))? {
            name_release(grounds.target.as_ref(), &about, &made).await;
            notice(&made.line);
        }
        Ok(())
    }

    /// A canary that still has weight is watched on with `--watch`; else nobody does, and that is written down and said.
    async fn let_go(&self, placed: &Placed, driver: &Driver, signals: &mut Signals) -> Result<(), Failure> {
        let mut standing = driver.standing();
        if *standing.borrow() != Standing::Watching {
            return Ok(());
        }
        if self.arguments.watch {
            let what = if placed.arm == Arm::Whole { "production" } else { "the canary" };
            notice(&format!("watching {what}; Ctrl-C leaves it"));
            tokio::select! {
                _ = standing.wait_for(|standing| *standing == Standing::Over) => return Ok(()),
                _ = signals.next() => {}
            }
        }
        let answer = driver.leave().await;
        notice(&answer.message);
        if answer.outcome == DeployOutcome::Done {
            notice(&format!("take it back: hms rollback --env {} --app {}", self.name, self.app));
        }
        Ok(())
    }

    /// A person or a CI server stops it: the canary goes to 0 first. A terminal that is gone only leaves it.
    async fn stopped(&self, driver: &Driver, caught: Caught) -> Result<u8, Failure> {
        let answer = match caught {
            Caught::HungUp => driver.leave().await,
            Caught::Interrupted | Caught::Terminated => {
                driver.cancel(self.actor.clone(), Some("hms-deploy was interrupted".to_owned())).await
            }
        };
        notice(&answer.message);
        Ok(match caught {
            Caught::HungUp => 129,
            Caught::Interrupted => 130,
            Caught::Terminated => 143,
        })
    }

    fn refused(&self, refusal: Refusal, release: Option<&ReleaseRef>) -> Failure {
        let digest = release.map(|release| &release.digest);
        let about = Refused { verb: "hms-deploy", app: Some(&self.app), environment: Some(&self.name), digest };
        refuse(&self.environment, &about, refusal)
    }
}

fn driven_elsewhere(created: &RolloutCreated, name: &EnvironmentName) -> String {
    match &created.run {
        // An arm is no gate: there is nothing to approve.
        Some(run) if created.environment != *name => {
            format!("see hms status {run}, or take it back: hms rollback --env {name} --app {}", created.app)
        }
        Some(run) => format!("hms approve {run} {name}"),
        None => format!("wait for it, or take it back: hms rollback --env {name} --app {}", created.app),
    }
}

/// Between two looks at a release that is brought back.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(50);

/// Waits until a release that is brought back answers: before that nothing is done.
async fn serves_again(target: &AnyTarget, environment: &EnvironmentName, release: &ReleaseRef) -> Result<(), Failure> {
    let end = tokio::time::Instant::now() + ground::START_TIMEOUT;
    loop {
        let seen = target.observe(environment).await?;
        let health =
            seen.arms.into_iter().find(|view| view.arm == ArmName::Stable && view.release == release.digest).map(|view| view.health);
        match health {
            Some(Health::Healthy) => return Ok(()),
            Some(Health::Failing { reason, last_lines }) if tokio::time::Instant::now() >= end => {
                for line in last_lines {
                    notice(&format!("  | {line}"));
                }
                return Err(Failure::new(Exit::Failed, format!("{} was brought back and does not answer: {reason}", release.tag)));
            }
            Some(Health::Starting) | None if tokio::time::Instant::now() >= end => {
                return Err(Failure::new(Exit::Failed, format!("{} was brought back and is not healthy yet", release.tag)));
            }
            Some(Health::Starting | Health::Failing { .. }) | None => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}

fn answered(outcome: DeployOutcome, message: String) -> Answer {
    Answer { outcome, message, refusal: None, last_lines: Vec::new() }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caught {
    Interrupted,
    Terminated,
    HungUp,
}

/// The signals that end a deploy.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn catch() -> Result<Self, Failure> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Caught {
        tokio::select! {
            _ = self.interrupt.recv() => Caught::Interrupted,
            _ = self.terminate.recv() => Caught::Terminated,
            _ = self.hang_up.recv() => Caught::HungUp,
        }
    }
}
