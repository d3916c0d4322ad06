//! Carrying requests out: each on a thread of its own, its answer through the waker.

use crate::console::{Request, Ticket, Waker};
use crate::event::{AppName, Arm, Command, Refusal, RefusalKind};
use crate::run::RunFolder;

use super::super::arguments::RunArguments;
use super::super::control::send;
use super::super::environment::Environment;
use super::super::failure::Failure;
use super::super::rollback;
use super::super::run_new::{Cause, Clone, make_run, wake};

/// Where requests go.
#[derive(std::clone::Clone)]
pub(super) struct Asks {
    environment: Environment,
    repository: std::path::PathBuf,
    waker: Waker,
}

impl Asks {
    pub(super) fn new(environment: Environment, clone: &Clone, waker: Waker) -> Self {
        let repository = clone.repository.work_dir().unwrap_or_else(|| clone.repository.common_dir());
        Self { environment, repository, waker }
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
                rollback::from_console(&self.environment, &app.ok_or_else(no_app)?, &environment, Arm::Canary, release, None)
            }
            Request::RollBack { environment, from, to } => rollback::from_console(
                &self.environment,
                &app.ok_or_else(no_app)?,
                &environment,
                Arm::Whole,
                Some(from.digest),
                Some(to.digest),
            ),
            Request::RollbackNow { rollout } => {
                rollback::countdown(&self.environment, &app.ok_or_else(no_app)?, &rollout, rollback::Countdown::Now)
            }
            Request::RollbackCancel { rollout } => {
                rollback::countdown(&self.environment, &app.ok_or_else(no_app)?, &rollout, rollback::Countdown::Cancel)
            }
            Request::Start => self.start(),
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
