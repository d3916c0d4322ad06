//! What people and jobs ask of the engine, and what it answers. Every yes and every no of a control action is in the ledger.

use crate::event::{
    Actor, AttemptId, CancelCause, Command, DeployOutcome, Digest, Facts, FailureReason, InterruptedDecision, JobName, JobStatus, Refusal,
    RefusalKind, RunEvent, When,
};
use crate::run::control::{ControlRequest, DeployWish, JobRequest, Reply, Wish};
use crate::store::{Inside, Peer, Signal, inside_run, send_signal};

use super::auto_cancel::Way;
use super::delivery::{DeployOrder, Yes};
use super::socket::Replies;
use super::{Engine, EngineError};

impl Engine {
    /// Answers a person.
    pub(super) async fn command(&mut self, request: ControlRequest, peer: &Peer, replies: Replies) -> Result<(), EngineError> {
        // Who asks is what the kernel says: it is the engine's own uid on the engine's own host (`docs/decisions.md` 4.2).
        let actor = Actor { uid: peer.uid, login: self.setup.actor.login.clone(), host: self.setup.actor.host.clone(), ..request.actor };
        let reply = if let Some(missing) = self.missing_value().filter(|_| request.command.starts_jobs()) {
            // Before it is accepted: the gate stays as it is.
            Reply::Failed { message: missing }
        } else if self.seen.insert(request.id) {
            let inside = peer.process.as_ref().map_or(Inside::Unknown, |process| inside_run(process.pid, &self.setup.places.state));
            if let (Command::MakeWay { number, revision }, Inside::No) = (&request.command, inside) {
                // It is no control action of a person's that could be refused: what stays goes on, and that is the answer.
                let reply = match self.make_way(*number, revision, &actor).await? {
                    Way::Made(message) => Reply::Accepted { message },
                    Way::Kept(message) => Reply::Failed { message },
                };
                let _ = replies.send(reply).await;
                return Ok(());
            }
            match self.decide(&request.command, &actor, inside).await? {
                Ok(message) => Reply::Accepted { message },
                Err(refusal) => {
                    let command = request.command.verb().to_owned();
                    self.delivery.record_refusal(&command, &actor, &refusal).await;
                    self.record(RunEvent::CommandRefused { command, actor, refusal: refusal.clone() })?;
                    Reply::Refused { refusal }
                }
            }
        } else {
            Reply::Accepted { message: "it was asked before and is under way".to_owned() }
        };
        let _ = replies.send(reply).await;
        Ok(())
    }

    async fn decide(&mut self, command: &Command, actor: &Actor, inside: Inside) -> Result<Result<String, Refusal>, EngineError> {
        if inside != Inside::No {
            return Ok(Err(Refusal::new(
                RefusalKind::InsideRun,
                format!("`hms {}` is a person's to say, and this comes from inside a job", command.verb()),
            )));
        }
        match command {
            Command::Approve { job, facts, reason, variables } => {
                let yes = Yes { facts, reason: reason.as_deref(), variables };
                self.approve(job, &yes, actor).await
            }
            Command::Override { job, reason, facts } => self.pass_hold(job, reason, facts, actor).await,
            Command::Retry { job } => self.retry(job.as_ref(), actor),
            Command::Decide { job, decision } => self.decide_for(job, *decision, actor),
            Command::Cancel {} if self.state.ended.is_some() && !self.delivery.has_weight() => {
                Ok(Ok("the run is over already; nothing is changed".to_owned()))
            }
            Command::Cancel {} => self.cancel(actor).await.map(Ok),
            Command::MakeWay { .. } => Ok(Ok("nothing is to be done".to_owned())),
            Command::Look {} => {
                self.delivery.look().await;
                Ok(Ok("looked".to_owned()))
            }
        }
    }

    async fn approve(&mut self, name: &JobName, said: &Yes<'_>, actor: &Actor) -> Result<Result<String, Refusal>, EngineError> {
        let Some(job) = self.state.job(name) else { return Ok(Err(no_job(name))) };
        // A delayed job may be wanted at once.
        let scheduled = job.status == JobStatus::Scheduled;
        if (job.status != JobStatus::Manual || job.gate_open) && !scheduled {
            let status = serde_json::to_value(job.status).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default();
            let why = job.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            return Ok(Err(Refusal::new(RefusalKind::NotWaiting, format!("{name} does not wait for anybody: it is {status}{why}"))));
        }
        let mut masked = self.state.created.iter().flat_map(|created| &created.masked).chain(self.setup.supplied.keys());
        let masked = masked.find(|name| said.variables.contains_key(*name));
        if let Some(masked) = masked {
            let why = format!("{masked} is a masked variable of this run, and what is given at a gate is written down");
            return Ok(Err(Refusal::new(RefusalKind::Protected, why).hint("leave it out: the job has it already")));
        }
        let yes = match self.delivery.approve(&self.state, name, said, actor).await {
            Ok(yes) => yes,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.record(RunEvent::GateAnswered {
            job: name.clone(),
            actor: actor.clone(),
            release: yes.release,
            policy_hash: yes.policy_hash,
            missing: yes.missing,
            variables: said.variables.clone(),
        })?;
        Ok(Ok(match yes.missing {
            0 => format!("{name} goes on"),
            1 => format!("{name} waits for 1 more yes, from somebody else"),
            missing => format!("{name} waits for {missing} more yeses, from different people"),
        }))
    }

    async fn pass_hold(
        &mut self,
        name: &JobName,
        reason: &str,
        facts: &Facts,
        actor: &Actor,
    ) -> Result<Result<String, Refusal>, EngineError> {
        if self.state.job(name).is_none() {
            return Ok(Err(no_job(name)));
        }
        let release: Digest = match self.delivery.pass_hold(&self.state, name, reason, facts, actor).await {
            Ok(release) => release,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.record(RunEvent::HoldOverridden { job: name.clone(), actor: actor.clone(), reason: reason.to_owned(), release })?;
        let held = self.state.job(name).filter(|job| job.status == JobStatus::Failed).and_then(|job| job.attempts.last()?.failure_reason);
        if held != Some(FailureReason::CanaryHeld) {
            return Ok(Ok(format!("the HOLD of {name} is passed")));
        }
        // Its script ended with the HOLD: it runs again, is told of the override at once, and ends as it would have.
        self.record(RunEvent::JobRetried { job: name.clone(), actor: actor.clone() })?;
        Ok(Ok(format!("the HOLD of {name} is passed; it runs again to its end")))
    }

    fn retry(&mut self, name: Option<&JobName>, actor: &Actor) -> Result<Result<String, Refusal>, EngineError> {
        if self.state.cancel.is_some() && !self.live.is_empty() {
            return Ok(Err(Refusal::new(RefusalKind::NotWaiting, "the run is being cancelled").hint("ask again when its jobs have ended")));
        }
        let again = |status| matches!(status, JobStatus::Failed | JobStatus::Canceled);
        let jobs: Vec<JobName> = match name {
            Some(name) => match self.state.job(name) {
                None => return Ok(Err(no_job(name))),
                Some(job) if job.status.is_finished() => vec![name.clone()],
                Some(_) => return Ok(Err(Refusal::new(RefusalKind::NotWaiting, format!("{name} has not ended yet")))),
            },
            None => self.state.jobs.iter().filter(|job| again(job.status)).map(|job| job.plan.name.clone()).collect(),
        };
        if jobs.is_empty() {
            return Ok(Err(Refusal::new(RefusalKind::NotWaiting, "no job of this run failed")));
        }
        let (gated, free): (Vec<JobName>, Vec<JobName>) =
            jobs.iter().cloned().partition(|name| self.state.job(name).is_some_and(|job| job.plan.when == When::Manual));
        let mut message = Vec::new();
        if !free.is_empty() {
            message.push(format!("{} again: {}", if free.len() == 1 { "runs" } else { "run" }, join(&free)));
        }
        if !gated.is_empty() {
            // Its yeses were for the attempt that ended.
            message.push(format!("{} at the gate again: {}", if gated.len() == 1 { "waits" } else { "wait" }, join(&gated)));
        }
        let message = message.join("; ");
        for job in jobs {
            self.record(RunEvent::JobRetried { job, actor: actor.clone() })?;
        }
        Ok(Ok(message))
    }

    fn decide_for(&mut self, name: &JobName, decision: InterruptedDecision, actor: &Actor) -> Result<Result<String, Refusal>, EngineError> {
        if self.state.job(name).and_then(|job| job.interrupted()).is_none() {
            return Ok(Err(Refusal::new(RefusalKind::NotWaiting, format!("{name} was not interrupted"))));
        }
        self.record(RunEvent::InterruptionAnswered { job: name.clone(), decision, actor: actor.clone() })?;
        Ok(Ok(format!("{name}: decided")))
    }

    /// Canary to 0 first, then the jobs.
    async fn cancel(&mut self, actor: &Actor) -> Result<String, EngineError> {
        self.record(RunEvent::CancelRequested { actor: actor.clone(), cause: CancelCause::Asked })?;
        self.carry_out_cancel(actor).await;
        Ok("the run is being cancelled: its canary first, then its jobs".to_owned())
    }

    /// What follows from a cancel in the journal, also by an engine that finds it there. Done twice it is done.
    pub(super) async fn carry_out_cancel(&mut self, actor: &Actor) {
        self.delivery.cancel(actor).await;
        for live in self.live.values_mut() {
            live.canceled = true;
            if let Some(keeper) = &live.keeper {
                let _ = send_signal(keeper, Signal::Term);
            }
        }
    }

    /// Answers a job.
    pub(super) async fn wish(&mut self, attempt: &AttemptId, request: JobRequest, replies: Replies) -> Result<(), EngineError> {
        let Some(live) = self.live.get(attempt).filter(|live| live.token == Digest::of(request.token.as_bytes())) else {
            let message = "this attempt is over, or the token is another's".to_owned();
            let _ = replies.send(Reply::Failed { message }).await;
            return Ok(());
        };
        let job = live.job.clone();
        match request.wish {
            Wish::Scan { report, summary } => {
                self.record(RunEvent::ScanReported { attempt: attempt.clone(), summary: summary.clone() })?;
                let number = self.number_of(attempt).unwrap_or(1);
                self.delivery.scanned(&self.state, &job, number, &report, &summary, replies);
                Ok(())
            }
            Wish::Rollback { environment } => {
                let refusal = Refusal::new(RefusalKind::InsideRun, format!("a job may not roll {environment} back"))
                    .hint(format!("from a shell of your own: hms rollback --env {environment}"));
                self.refuse(&job, attempt, "rollback", refusal, &replies).await
            }
            Wish::Deploy(wish) => self.deploy(job, attempt, wish, replies).await,
        }
    }

    async fn deploy(&mut self, job: JobName, attempt: &AttemptId, wish: DeployWish, replies: Replies) -> Result<(), EngineError> {
        let declared = self.state.job(&job).map(|job| job.plan.environments.clone()).unwrap_or_default();
        if !declared.iter().any(|environment| environment.as_str() == wish.environment) {
            let refusal =
                Refusal::new(RefusalKind::Undeclared, format!("the job {job} asks for {} and does not name it", wish.environment)).hint(
                    format!(
                        "write `environment: {}` in the job, or `hms-deploy --env {}` in its script",
                        wish.environment, wish.environment
                    ),
                );
            return self.refuse(&job, attempt, "deploy", refusal, &replies).await;
        }
        // The same request of the same attempt gets the same answer (`docs/decisions.md` 4.2).
        if let Some(end) = self.state.job(&job).and_then(|job| job.deploy.clone()).filter(|end| &end.attempt == attempt) {
            let _ = replies.send(Reply::Done { outcome: end.outcome, lines: vec![end.message] }).await;
            return Ok(());
        }
        let order = DeployOrder { job, attempt: attempt.clone(), wish, replies };
        self.delivery.deploy(&self.state, &self.plan, &self.setup.folder, order);
        Ok(())
    }

    pub(super) async fn refuse(
        &mut self,
        job: &JobName,
        attempt: &AttemptId,
        verb: &str,
        refusal: Refusal,
        replies: &Replies,
    ) -> Result<(), EngineError> {
        let actor = Actor { via: format!("job {job}"), ..self.setup.actor.clone() };
        self.delivery.record_refusal(verb, &actor, &refusal).await;
        self.record(RunEvent::CommandRefused { command: verb.to_owned(), actor, refusal: refusal.clone() })?;
        let message = refusal.message.clone();
        self.record(RunEvent::DeployEnded { job: job.clone(), attempt: attempt.clone(), outcome: DeployOutcome::Refused, message })?;
        let _ = replies.send(Reply::Refused { refusal }).await;
        Ok(())
    }
}

fn no_job(name: &JobName) -> Refusal {
    Refusal::new(RefusalKind::NotWaiting, format!("this run has no job `{name}`"))
}

fn join(jobs: &[JobName]) -> String {
    jobs.iter().map(JobName::as_str).collect::<Vec<_>>().join(", ")
}
