//! Carrying requests out: each on a thread of its own, its answer through the waker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::console::{Request, Ticket, Waker};
use crate::event::{AppName, Arm, Command, Digest, EnvironmentName, Refusal, RefusalKind, ReleaseRef, RolloutId};
use crate::rollout::{CountdownAsk, ask_countdown};
use crate::run::RunFolder;

use super::super::arguments::RunArguments;
use super::super::control::send;
use super::super::drive::{DriveRequest, DriveResult, start_rollback};
use super::super::environment::{Environment, actor};
use super::super::failure::Failure;
use super::super::run_new::{Cause, Clone, make_run, wake};

/// Where requests go.
#[derive(std::clone::Clone)]
pub(super) struct Asks {
    environment: Environment,
    repository: std::path::PathBuf,
    waker: Waker,
    /// How long a rollback of production can be taken back: policy's `rollback.delay`, in milliseconds.
    delay_ms: Arc<AtomicU64>,
}

impl Asks {
    pub(super) fn new(environment: Environment, clone: &Clone, waker: Waker, delay_ms: Arc<AtomicU64>) -> Self {
        let repository = clone.repository.work_dir().unwrap_or_else(|| clone.repository.common_dir());
        Self { environment, repository, waker, delay_ms }
    }

    /// Does it beside the console. `folder` is the run's, for requests that name one.
    pub(super) fn carry_out(&self, ticket: Ticket, request: Request, folder: Option<RunFolder>, app: Option<AppName>) {
        let asks = self.clone();
        std::thread::spawn(move || {
            let answer = asks.answer(request, folder, app).map_err(Failure::into_refusal);
            asks.waker.answer(ticket, answer);
        });
    }

    fn answer(&self, request: Request, folder: Option<RunFolder>, app: Option<AppName>) -> Result<String, Failure> {
        let no_run = || Failure::from(Refusal::new(RefusalKind::NotWaiting, "there is no such run"));
        let no_app = || Failure::from(Refusal::new(RefusalKind::NotWaiting, "there is no app on the screen"));
        match request {
            Request::Approve { job, facts, .. } => {
                send(&self.environment, &folder.ok_or_else(no_run)?, Command::Approve { job, facts, reason: None })
            }
            Request::Cancel { .. } => send(&self.environment, &folder.ok_or_else(no_run)?, Command::Cancel),
            Request::Retry { job, .. } => send(&self.environment, &folder.ok_or_else(no_run)?, Command::Retry { job: Some(job) }),
            Request::CanaryToZero { environment, release } => {
                self.roll_back(app.ok_or_else(no_app)?, environment, Arm::Canary, release, None)
            }
            Request::RollBack { environment, from, to } => {
                self.roll_back(app.ok_or_else(no_app)?, environment, Arm::Whole, Some(from.digest), Some(to.digest))
            }
            Request::RollbackNow { rollout } => self.countdown(&app.ok_or_else(no_app)?, &rollout, &CountdownAsk::Now),
            Request::RollbackCancel { rollout } => {
                self.countdown(&app.ok_or_else(no_app)?, &rollout, &CountdownAsk::Cancel { actor: actor("hms console") })
            }
            Request::Start => self.start(),
        }
    }

    /// Starts the process that goes back. It counts down and fires by itself, whatever becomes of this console.
    fn roll_back(
        &self,
        app: AppName,
        environment: EnvironmentName,
        arm: Arm,
        from: Option<Digest>,
        to: Option<Digest>,
    ) -> Result<String, Failure> {
        let delay_ms = match arm {
            Arm::Canary => 0,
            Arm::Whole => self.delay_ms.load(Ordering::Relaxed),
        };
        let request = DriveRequest {
            rollout: RolloutId::from_ulid(ulid::Ulid::generate()),
            app,
            environment,
            arm: Some(arm),
            from,
            to: to.map(|digest| digest.to_string()),
            delay_ms,
            actor: actor("hms console"),
            reason: None,
            run: None,
        };
        let end = start_rollback(&self.environment, &request)?.follow(&mut |_| {})?;
        let name = |release: &Option<ReleaseRef>| release.as_ref().map_or_else(|| "nothing".to_owned(), |release| release.tag.clone());
        let refused = |message: String| Err(Refusal::new(RefusalKind::NotWaiting, message).into());
        match end.result {
            DriveResult::Reverted => Ok(format!("reverted to {}", name(&end.to))),
            DriveResult::AlreadyReverted => Ok(format!("already reverted to {}", name(&end.to))),
            DriveResult::NothingToRevert => Ok("nothing to revert".to_owned()),
            DriveResult::Cancelled => Ok("the rollback was taken back".to_owned()),
            DriveResult::Moved => refused(format!("{} has the traffic now; press R again", name(&end.to))),
            DriveResult::NoTarget | DriveResult::Refused | DriveResult::Failed | DriveResult::Superseded | DriveResult::NotCarriedOut => {
                refused(end.reason.unwrap_or_else(|| "the rollback did not come about".to_owned()))
            }
        }
    }

    fn countdown(&self, app: &AppName, rollout: &RolloutId, ask: &CountdownAsk) -> Result<String, Failure> {
        match ask_countdown(&self.environment.places.state, app, rollout, ask)? {
            Some(answer) => Ok(answer.end),
            None => Err(Refusal::new(RefusalKind::NotWaiting, "nothing counts down any more").into()),
        }
    }

    fn start(&self) -> Result<String, Failure> {
        let clone = Clone::find(Some(&self.repository))?;
        let resolved = clone.repository.resolve("HEAD")?;
        let arguments = RunArguments { file: ".hms-ci.yml".to_owned(), ..RunArguments::default() };
        let mut said = Vec::new();
        let made = make_run(&self.environment, &clone, &arguments, &resolved, &Cause::Asked, &mut said);
        let registered = made.map_err(|failure| failure.with_first_of(&said))?;
        // A person who watches lingers: this run's canary is watched at its gate.
        wake(&self.environment, &registered.folder, None, Some(true))?;
        Ok(format!("run {} of {} is started", registered.number, resolved.revision.short()))
    }
}
