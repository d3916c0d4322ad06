//! Following a run without a screen: lines or JSON as it goes, then the exit code. It only reads.

use std::cell::{Cell, OnceCell};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::canary::series_for_graph;
use crate::event::{
    EngineState, JobName, JobState, JobStatus, RolloutEvent, RolloutId, RolloutState, RunOutcome, RunState, Stamped, VersionCounters,
};
use crate::executor::log_path;
use crate::pipeline::{Plan, Seen, next};
use crate::report::{Headless, Line, Stream};
use crate::rollout::reader::RolloutReader;
use crate::run::RunFolder;
use crate::run::lost::{as_it_stands, gone};
use crate::run::reader::{EngineLife, RunReader, engine_of};
use crate::store::{Changes, Places, is_alive};
use crate::text::{plain, plain_line, quoted};

use super::arguments::Output;
use super::failure::Failure;

/// How long an engine that is gone may take to be seen as gone.
const LOOK: Duration = Duration::from_secs(2);
/// How long an engine may take to decide what becomes of an interrupted job.
const DECIDING: Duration = Duration::from_secs(4);
/// How long an engine that does not linger may take to let its canary go.
const LETTING_GO: Duration = Duration::from_secs(30);

/// Between two looks at a run that goes on, at most.
const PATIENCE: Duration = Duration::from_millis(500);
/// Between two looks at one that is about to rest.
const ALMOST: Duration = Duration::from_millis(20);

/// How long a run is looked at again and again before its folder is watched. To let go of a watch, the kernel makes a process wait
/// for a moment when no other processor uses it, 8 to 20 ms (`fsnotify_wait_marks_destroyed`): that is more than all else that a
/// short run costs, and nothing beside a long one.
const UNWATCHED: Duration = Duration::from_millis(300);
/// Between two looks meanwhile.
const GLANCE: Duration = Duration::from_millis(2);

/// A run with its rollouts, folded as they grow.
pub(crate) struct Followed {
    folder: RunFolder,
    places: Places,
    run: RunReader,
    /// The run as it stands, where that is more than its journal says.
    beyond: Option<RunState>,
    rollouts: Vec<(RolloutId, RolloutReader)>,
    since: Instant,
    /// None while the run is young.
    changes: Option<Changes>,
    /// The run's plan; none when it cannot be read.
    plan: OnceCell<Option<Plan>>,
    /// When it was first seen that nothing goes on by itself.
    resting_since: Cell<Option<Instant>>,
}

impl Followed {
    pub(crate) fn new(folder: &RunFolder, places: &Places) -> Self {
        Self {
            folder: folder.clone(),
            places: places.clone(),
            run: RunReader::new(folder),
            beyond: None,
            rollouts: Vec::new(),
            since: Instant::now(),
            changes: None,
            plan: OnceCell::new(),
            resting_since: Cell::default(),
        }
    }

    /// Folds what came; the new events of the run and of its rollouts, as JSON lines have them.
    pub(crate) fn poll(&mut self) -> Result<Vec<serde_json::Value>, Failure> {
        let mut events: Vec<_> =
            self.run.poll()?.iter().filter_map(|event| Some((event.time, serde_json::to_value(event).ok()?))).collect();
        if let Some(app) = self.run.state().created.as_ref().map(|created| created.app.clone()) {
            for (id, ..) in &self.run.state().rollouts {
                if !self.rollouts.iter().any(|(known, _)| known == id) {
                    self.rollouts.push((id.clone(), RolloutReader::new(&self.places.state, &app, id)));
                }
            }
            for (id, reader) in &mut self.rollouts {
                if let Some(changes) = &self.changes {
                    // The folder is made after the run's journal has named it.
                    let _ = changes.watch(&crate::rollout::folder_of(&self.places.state, &app, id));
                }
                let new = reader.poll()?;
                events.extend(new.iter().filter_map(|event| Some((event.time, of_rollout(id, event)?))));
            }
        }
        self.beyond = self.look_beyond()?;
        // Each journal keeps its order; between them it is that of time, as far as they were written by now.
        events.sort_by_key(|(time, _)| *time);
        Ok(events.into_iter().map(|(_, event)| event).collect())
    }

    pub(crate) fn state(&self) -> &RunState {
        self.beyond.as_ref().unwrap_or_else(|| self.run.state())
    }

    /// A run without an engine does not hear that its canary was taken back: who looks at it is told all the same.
    fn look_beyond(&self) -> Result<Option<RunState>, Failure> {
        let state = self.run.state();
        if !matches!(state.engine, EngineState::Parked { .. }) || self.run.engine()? == EngineLife::Alive {
            return Ok(None);
        }
        let gone = |id: &RolloutId| {
            let (_, rollout) = self.rollouts.iter().find(|(known, _)| known == id)?;
            gone(rollout.state(), rollout.successor().as_ref())
        };
        Ok(as_it_stands(state, &gone))
    }

    pub(crate) fn engine(&self) -> Result<EngineLife, Failure> {
        Ok(self.run.engine()?)
    }

    pub(crate) fn rollouts(&self) -> Vec<(RolloutId, RolloutState)> {
        self.rollouts.iter().map(|(id, reader)| (id.clone(), reader.state().clone())).collect()
    }

    /// Waits until there may be something to poll.
    pub(crate) fn wait(&mut self, patience: Duration) -> Result<(), Failure> {
        match &self.changes {
            Some(changes) => {
                let _ = changes.wait(Some(patience));
            }
            None if self.since.elapsed() < UNWATCHED => std::thread::sleep(GLANCE.min(patience)),
            // What came before the watch is found by the poll that follows at once.
            None => {
                let changes = Changes::new()?;
                changes.watch(self.folder.path())?;
                self.changes = Some(changes);
            }
        }
        Ok(())
    }

    /// Whether the living engine is about to start something: between two of its events a gate can be reached and a job beside it not
    /// queued yet.
    fn steps_are_due(&self, state: &RunState) -> bool {
        let Some(plan) = self.plan.get_or_init(|| serde_json::from_slice(&std::fs::read(self.folder.plan()).ok()?).ok()) else {
            return false;
        };
        let scheduled = |job: &JobState| {
            let exit_code = job.attempts.last().and_then(|attempt| attempt.exit_code);
            let (status, gate_open) = if job.interrupted().is_some() { (JobStatus::Running, false) } else { (job.status, job.gate_open) };
            Seen { status, gate_open, exit_code }
        };
        let new = Seen { status: JobStatus::Created, gate_open: false, exit_code: None };
        let due = !next(plan, &|name| state.job(name).map_or(new, scheduled)).is_empty();
        due && state.cancel.is_none() && self.run.engine().is_ok_and(|life| life == EngineLife::Alive)
    }

    /// Whether nothing more comes by itself: over, at a gate, or without an engine that could go on.
    fn rests(&self) -> Result<Option<RunOutcome>, Failure> {
        let state = self.state();
        if let Some((outcome, _)) = state.ended {
            return Ok((!self.leaves()?).then_some(outcome));
        }
        let moving = |job: &JobState| match job.status {
            JobStatus::Pending | JobStatus::Preparing | JobStatus::Running | JobStatus::WaitingForResource | JobStatus::Scheduled => true,
            JobStatus::Created => !waits_for_gate(state),
            JobStatus::Manual => job.gate_open,
            JobStatus::Success | JobStatus::Failed | JobStatus::Canceled | JobStatus::Skipped => false,
        };
        // A cancel that an earlier engine left goes on by itself.
        let stuck = state.cancel.is_none() && !state.jobs.iter().any(moving) && !self.steps_are_due(state);
        if stuck && matches!(state.outcome(), RunOutcome::Waiting | RunOutcome::Interrupted) && state.seq > 1 {
            let beaten = beats_gate(state);
            let outcome = beaten.unwrap_or_else(|| state.outcome());
            // An engine that does not linger carries out what policy says of an unwatched canary first, and then is gone.
            let since = self.rested_since();
            // One that was started to decide about an interruption is given the time to say so, and one whose run failed in spite of a
            // gate to say how.
            let decides = (state.outcome() == RunOutcome::Interrupted || beaten.is_some()) && since.elapsed() < DECIDING;
            let awaited = self.leaves()? || (decides && self.run.engine()? == EngineLife::Alive);
            return Ok((!awaited).then_some(outcome));
        }
        self.resting_since.set(None);
        match self.run.engine()? {
            EngineLife::Alive => Ok(None),
            EngineLife::Parked | EngineLife::Ended => Ok(Some(state.outcome())),
            EngineLife::Dead => Ok(Some(RunOutcome::Interrupted)),
        }
    }

    /// Whether the engine is one that does not linger and is not gone yet: who started it is told of the end when it is.
    fn leaves(&self) -> Result<bool, Failure> {
        let leaves = self.run.state().created.as_ref().is_some_and(|created| created.no_linger);
        Ok(leaves && self.rested_since().elapsed() < LETTING_GO && self.run.engine()? == EngineLife::Alive)
    }

    /// When it was first seen that nothing goes on by itself; now, if this is the first time.
    fn rested_since(&self) -> Instant {
        let since = self.resting_since.get().unwrap_or_else(Instant::now);
        self.resting_since.set(Some(since));
        since
    }
}

/// An event of a rollout names it: its place is one in that rollout's journal.
fn of_rollout(id: &RolloutId, event: &Stamped<RolloutEvent>) -> Option<serde_json::Value> {
    let mut line = serde_json::to_value(event).ok()?;
    line.as_object_mut()?.insert("rollout".to_owned(), serde_json::to_value(id).ok()?);
    Some(line)
}

fn waits_for_gate(state: &RunState) -> bool {
    state.jobs.iter().any(|job| job.status == JobStatus::Manual && !job.gate_open)
}

/// A failure beats a gate, and so does a job that a cancel ended and that was not run again.
fn beats_gate(state: &RunState) -> Option<RunOutcome> {
    let any = |status| state.jobs.iter().any(|job| job.status == status && !job.failure_allowed() && job.interrupted().is_none());
    let failed = any(JobStatus::Failed).then_some(RunOutcome::Failed);
    failed.or_else(|| any(JobStatus::Canceled).then_some(RunOutcome::Canceled))
}

/// Follows a run until it rests, and gives its exit code.
pub(crate) fn follow(
    folder: &RunFolder,
    places: &Places,
    output: Output,
    bound: Option<Duration>,
    stop: &dyn Fn() -> Option<u8>,
    out: &mut dyn Write,
    notices: &mut dyn Write,
) -> Result<u8, Failure> {
    let (mut followed, mut printer) = (Followed::new(folder, places), Headless::default());
    follow_on(&mut followed, &mut printer, output, bound, stop, out, notices)
}

/// Goes on following where an earlier call stopped: what was printed is not printed again.
pub(crate) fn follow_on(
    followed: &mut Followed,
    printer: &mut Headless,
    output: Output,
    bound: Option<Duration>,
    stop: &dyn Fn() -> Option<u8>,
    out: &mut dyn Write,
    notices: &mut dyn Write,
) -> Result<u8, Failure> {
    let started = Instant::now();
    let mut late: Vec<serde_json::Value> = Vec::new();
    let mut dead_since: Option<Instant> = None;
    loop {
        let events = match std::mem::take(&mut late) {
            late if late.is_empty() => followed.poll()?,
            late => late,
        };
        if output == Output::Json {
            for event in events {
                let _ = writeln!(out, "{event}");
            }
        } else {
            let rollouts = followed.rollouts();
            let p95 = |id: &RolloutId| p95_of(&rollouts, id);
            let lines = printer.look(followed.state(), &rollouts, &p95);
            print(followed, &lines, out, notices);
        }
        let _ = out.flush();
        if let Some(code) = stop() {
            return Ok(code);
        }
        match followed.rests()? {
            Some(RunOutcome::Interrupted)
                if followed.engine()? == EngineLife::Dead && dead_since.get_or_insert_with(Instant::now).elapsed() < LOOK => {}
            Some(outcome) => {
                // What was written before the engine let go, and after it was read, can say otherwise.
                late = followed.poll()?;
                if !late.is_empty() {
                    continue;
                }
                let engine = engine_of(&followed.folder)?.map(|holder| holder.process.pid);
                let farewell = Headless::farewell(followed.state(), &followed.rollouts(), outcome, engine, &is_alive);
                match output {
                    Output::Text => print(followed, &farewell, out, notices),
                    // No event says that an engine died: the one who reads the stream's program hears it beside it.
                    Output::Json if outcome == RunOutcome::Interrupted => {
                        for line in &farewell {
                            let _ = writeln!(notices, "hms: {}", line.text);
                        }
                    }
                    Output::Json => {}
                }
                let _ = out.flush();
                return Ok(outcome.exit_code());
            }
            None => dead_since = None,
        }
        if bound.is_some_and(|bound| started.elapsed() >= bound) {
            let _ = writeln!(notices, "hms: the run goes on; this view ends after the time that was given");
            return Ok(followed.state().outcome().exit_code());
        }
        // That an engine lets go of its lock is no change in the folder.
        let patience = if followed.resting_since.get().is_some() { ALMOST } else { PATIENCE };
        followed.wait(patience.min(bound.map_or(LOOK, |bound| bound.saturating_sub(started.elapsed()))))?;
    }
}

fn print(followed: &Followed, lines: &[Line], out: &mut dyn Write, notices: &mut dyn Write) {
    for line in lines {
        let _ = match line.stream {
            Stream::Result => writeln!(out, "{}", line.text),
            Stream::Notice => writeln!(notices, "{}", line.text),
        };
        if let Some((job, attempt)) = &line.log {
            // What follows is on another stream, and belongs below this line.
            let _ = out.flush();
            print_log_end(followed, job, *attempt, notices);
        }
    }
}

/// How many lines of a failed job's log are shown.
const LAST_LINES: usize = 20;
/// How much of it is read for them, in bytes.
const LAST_BYTES: u64 = 64 << 10;

/// The last lines of an attempt's log, and how to see all of it when they are not all.
fn print_log_end(followed: &Followed, job: &JobName, attempt: u32, notices: &mut dyn Write) {
    let Ok((text, mut whole)) = end_of(&log_path(&followed.folder.attempt(job, attempt))) else { return };
    let lines: Vec<&[u8]> = text.strip_suffix(b"\n").unwrap_or(&text).split(|byte| *byte == b'\n').collect();
    whole &= lines.len() <= LAST_LINES;
    for line in lines.iter().skip(lines.len().saturating_sub(LAST_LINES)).filter(|_| !text.is_empty()) {
        let _ = writeln!(notices, "  │ {}", plain_line(line));
    }
    if !whole {
        let number = followed.state().created.as_ref().map_or(0, |created| created.number);
        let name = plain(&quoted(job.as_str()));
        let _ = writeln!(notices, "hms: the last {LAST_LINES} lines; all of them: hms logs {name} --run {number} --attempt {attempt}");
    }
}

/// The end of a log, and whether it is all of it.
fn end_of(path: &Path) -> std::io::Result<(Vec<u8>, bool)> {
    let mut file = std::fs::File::open(path)?;
    let start = file.metadata()?.len().saturating_sub(LAST_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut text = Vec::new();
    file.take(LAST_BYTES).read_to_end(&mut text)?;
    Ok((text, start == 0))
}

/// The canary's p95 over its whole watch.
fn p95_of(rollouts: &[(RolloutId, RolloutState)], id: &RolloutId) -> Option<f64> {
    let (_, rollout) = rollouts.iter().find(|(known, _)| known == id)?;
    let version = canary_version(rollout)?;
    let whole: Vec<crate::event::Sample> = whole_of(rollout);
    series_for_graph(&whole, &version, Duration::MAX).last()?.p95.map(|quantile| quantile.seconds)
}

/// The first and the last sample alone: one interval over the whole watch.
fn whole_of(rollout: &RolloutState) -> Vec<crate::event::Sample> {
    let mut samples: Vec<crate::event::Sample> =
        rollout.samples_of_weight().first().into_iter().chain(rollout.samples_of_weight().last()).cloned().collect();
    if let [first, last] = samples.as_mut_slice() {
        // A series that was born meanwhile began at 0.
        for version in last.versions.keys() {
            first.versions.entry(version.clone()).or_insert_with(VersionCounters::default);
        }
    }
    samples
}

fn canary_version(rollout: &RolloutState) -> Option<String> {
    match &rollout.watch {
        Some(crate::event::RolloutEvent::WatchStarted { canary_version, .. }) => Some(canary_version.clone()),
        _ => None,
    }
}
