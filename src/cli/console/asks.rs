//! Carrying requests out: each on a thread of its own, its answer through the waker.

use std::path::PathBuf;
use std::time::Duration;

use crate::console::{Request, Steer, Ticket, Waker};
use crate::event::{AppName, Arm, Command, DeployOutcome, Digest, EnvironmentName, Refusal, RefusalKind, RolloutId};
use crate::policy::Rollback;
use crate::rollout::{CountdownAsk, SteerAnswer, SteerAsk, SteerWish, folder_of};
use crate::run::RunFolder;

use super::super::arguments::RunArguments;
use super::super::control::send;
use super::super::environment::{Environment, actor};
use super::super::failure::{Exit, Failure};
use super::super::run_new::{Cause, Clone, Waking, make_run, wake};
use super::rollback::{self, Wanted};

/// Where requests go.
#[derive(std::clone::Clone)]
pub(super) struct Asks {
    environment: Environment,
    waker: Waker,
}

/// What a request is about, as far as the source knows.
#[derive(Debug, Default)]
pub(super) struct About {
    /// The repository, once it is found.
    pub(super) repository: Option<PathBuf>,
    /// The run that the request names.
    pub(super) folder: Option<RunFolder>,
    pub(super) app: Option<AppName>,
    /// What policy says of the time in which a rollback may be taken back; none when it was not seen.
    pub(super) delay: Option<Duration>,
}

impl Asks {
    pub(super) fn new(environment: Environment, waker: Waker) -> Self {
        Self { environment, waker }
    }

    /// Does it beside the console.
    pub(super) fn carry_out(&self, ticket: Ticket, request: Request, about: About) {
        let asks = self.clone();
        std::thread::spawn(move || {
            let answer = asks.answer(request, about).map_err(Failure::into_refusal);
            asks.waker.answer(ticket, answer);
        });
    }

    fn answer(&self, request: Request, about: About) -> Result<String, Failure> {
        let About { repository, folder, app, delay } = about;
        let no_run = || Failure::from(Refusal::new(RefusalKind::NotWaiting, "there is no such run"));
        let no_app = || Failure::from(Refusal::new(RefusalKind::NotWaiting, "it is not known yet which app this is"));
        match request {
            Request::Approve { job, facts, .. } => send(
                &self.environment,
                &folder.ok_or_else(no_run)?,
                Command::Approve { job, facts, reason: None, variables: std::collections::BTreeMap::new() },
            ),
            Request::Cancel { .. } => send(&self.environment, &folder.ok_or_else(no_run)?, Command::Cancel {}),
            Request::Retry { job, .. } => send(&self.environment, &folder.ok_or_else(no_run)?, Command::Retry { job: Some(job) }),
            // A canary goes to 0 at once: there is nothing that a moment's thought could save.
            Request::CanaryToZero { environment, release } => self.go_back(app, &environment, Arm::Canary, release, None, Duration::ZERO),
            Request::RollBack { environment, from, to } => self.go_back(
                app,
                &environment,
                Arm::Whole,
                Some(from.digest),
                Some(to.digest),
                delay.unwrap_or(Rollback::default().delay.duration()),
            ),
            Request::RollbackNow { rollout } => {
                rollback::countdown(&self.environment, &app.ok_or_else(no_app)?, &rollout, &CountdownAsk::Now)
            }
            Request::RollbackCancel { rollout } => {
                rollback::countdown(&self.environment, &app.ok_or_else(no_app)?, &rollout, &rollback::cancel())
            }
            Request::Steer { rollout, steer } => self.steer(&app.ok_or_else(no_app)?, &rollout, steer),
            Request::Resume { .. } => {
                let started = wake(&self.environment, &folder.ok_or_else(no_run)?, &Waking { linger: Some(true), ..Waking::default() })?;
                Ok(if started.holder.is_some() { "its engine lives".to_owned() } else { String::new() })
            }
            Request::Start => self.start(repository),
        }
    }

    fn steer(&self, app: &AppName, rollout: &RolloutId, steer: Steer) -> Result<String, Failure> {
        let (what, reason, verb) = match steer {
            Steer::Pause => (SteerWish::Pause, None, "pause"),
            Steer::Resume => (SteerWish::Resume, None, "resume"),
            Steer::Skip { reason } => (SteerWish::Skip, Some(reason), "skip"),
            Steer::Extend { seconds } => (SteerWish::Extend { seconds }, None, "extend"),
        };
        let ask = SteerAsk { actor: actor(&format!("hms console, {verb}")), what, reason };
        let folder = folder_of(&self.environment.places.state, app, rollout);
        let answer = crate::rollout::steer(&self.environment.places.runtime, &folder, &ask)?.ok_or_else(|| {
            Refusal::new(RefusalKind::NotWaiting, "nobody drives this canary on this host").hint(format!("hms canary {verb} {rollout}"))
        })?;
        match answer {
            SteerAnswer { refusal: Some(refusal), .. } => Err(refusal.into()),
            SteerAnswer { outcome: DeployOutcome::Done, message, .. } => Ok(message),
            SteerAnswer { message, .. } => Err(Failure::new(Exit::NotCarriedOut, message)),
        }
    }

    fn go_back(
        &self,
        app: Option<AppName>,
        environment: &EnvironmentName,
        arm: Arm,
        from: Option<Digest>,
        to: Option<Digest>,
        delay: Duration,
    ) -> Result<String, Failure> {
        let app = app.ok_or_else(|| Refusal::new(RefusalKind::NotWaiting, "it is not known yet which app this is"))?;
        rollback::go_back(&self.environment, &Wanted { app: &app, environment, arm, from, to, delay })
    }

    fn start(&self, repository: Option<PathBuf>) -> Result<String, Failure> {
        let repository = repository.ok_or_else(|| Refusal::new(RefusalKind::NotWaiting, "the repository is still being looked for"))?;
        let clone = Clone::find(Some(&repository))?;
        let resolved = clone.repository.resolve("HEAD")?;
        let arguments = RunArguments { file: ".hms-ci.yml".to_owned(), ..RunArguments::default() };
        let mut said = Vec::new();
        let made = make_run(&self.environment, &clone, &arguments, &resolved, &Cause::Asked, &mut said);
        let registered = made.map_err(|failure| failure.with_first_of(&said))?;
        // A person who watches lingers: this run's canary is watched at its gate.
        wake(&self.environment, &registered.folder, &Waking { linger: Some(true), ..Waking::default() })?;
        Ok(format!("run {} of {} is started", registered.number, resolved.revision.short()))
    }
}
