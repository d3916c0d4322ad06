//! Promote, abort, and what their dialogs do. Everything a dialog acts on was frozen by value when it opened.

use crate::console::message::{Effect, Moment};
use crate::console::panes::status::whose;
use crate::console::rollback::{is_gone, production};
use crate::console::source::{Access, Request, View};
use crate::console::ui::{Dialog, Field, Review, Tone, Ui};
use crate::console::words;
use crate::event::{EnvironmentName, JobState, JobStatus, RunState, VerdictClass};

use super::{ask, facts, log, rollback, rollout_of, say, steer};

/// `P`: opens the review of what waits for a yes.
pub(super) fn promote(ui: &mut Ui, view: &View, now: Moment) -> Vec<Effect> {
    let gate = match gate(ui, view) {
        Ok(gate) => gate,
        Err(why) => {
            say(ui, Tone::Refused, why, now);
            return Vec::new();
        }
    };
    let (run, job) = gate;
    let Some(created) = &run.created else {
        return Vec::new();
    };
    let opened = now.monotonic;
    let Some(environment) = environment(view, job) else {
        ui.dialog = Some(Dialog::Gate { opened, run: created.run.clone(), job: job.plan.name.clone() });
        return Vec::new();
    };
    let Some(to) = &run.release else {
        say(ui, Tone::Refused, "this run has no release yet: nothing was built that could be promoted".into(), now);
        return Vec::new();
    };
    let record = view.environments.iter().find(|known| known.name == environment).and_then(|known| known.record.as_ref());
    ui.dialog = Some(Dialog::Review(Box::new(Review {
        opened,
        run: created.run.clone(),
        job: job.plan.name.clone(),
        from: record.and_then(|record| record.current.clone()),
        to: to.clone(),
        facts: facts(view, &environment),
        blocked: blocked(view, &environment),
        environment,
        field: Field::default(),
    })));
    Vec::new()
}

/// `A`: asks.
pub(super) fn abort(ui: &mut Ui, view: &View, now: Moment) -> Vec<Effect> {
    let why_not = match &view.run {
        _ if view.access == Access::Replay => Some("this is a replay: nothing can be changed"),
        _ if view.access == Access::ReadOnly => Some("this console may only look"),
        None => Some("there is no run to abort"),
        Some(run) if run.ended.is_some() => Some("the run is over"),
        Some(run) if run.cancel.is_some() => Some("the run is being aborted"),
        Some(_) => None,
    };
    match (why_not, view.run.as_ref().and_then(|run| run.created.as_ref())) {
        (None, Some(created)) => ui.dialog = Some(Dialog::Abort { opened: now.monotonic, run: created.run.clone() }),
        (why_not, _) => say(ui, Tone::Refused, why_not.unwrap_or("there is no run to abort").into(), now),
    }
    Vec::new()
}

/// `y` at a question.
pub(super) fn yes(ui: &mut Ui, view: &View, now: Moment) -> Vec<Effect> {
    match ui.dialog.take() {
        Some(Dialog::Abort { run, .. }) => ask(ui, view, Request::Cancel { run }, "abort the run".into(), now).1,
        Some(Dialog::Gate { run, job, .. }) => {
            let what = format!("yes to {job}");
            let facts = crate::event::Facts { policy_hash: view.policy_hash.clone(), ..Default::default() };
            ask(ui, view, Request::Approve { run, job, facts, typed_tag: None }, what, now).1
        }
        Some(Dialog::Extend { rollout, .. }) => steer::extend_now(ui, view, &rollout, now),
        other => {
            ui.dialog = other;
            Vec::new()
        }
    }
}

/// Enter.
pub(super) fn submit(ui: &mut Ui, view: &View, now: Moment) -> Vec<Effect> {
    match ui.dialog.take() {
        None => rollback::fire(ui, view, now),
        Some(Dialog::Search(field)) if field.text.is_empty() => Vec::new(),
        Some(Dialog::Search(field)) => match log::search_for(ui, view, &field.text) {
            Ok(effects) => effects,
            Err(why) => {
                ui.dialog = Some(Dialog::Search(Field { complaint: Some(words::plain(&why)), ..field }));
                Vec::new()
            }
        },
        Some(Dialog::Review(mut review)) => {
            let why_not = review.blocked.clone().or_else(|| stale(&review, view)).or_else(|| {
                let typed = review.field.text.trim();
                (typed != review.to.tag).then(|| if typed.is_empty() { "type the tag".into() } else { "that is not the tag".into() })
            });
            if let Some(why_not) = why_not {
                review.field.complaint = Some(why_not);
                ui.dialog = Some(Dialog::Review(review));
                return Vec::new();
            }
            let what = format!("promote {} to {}", words::plain(&review.to.tag), review.environment);
            let request =
                Request::Approve { run: review.run, job: review.job, facts: review.facts, typed_tag: Some(review.to.tag.clone()) };
            ask(ui, view, request, what, now).1
        }
        Some(Dialog::Skip(skip)) => steer::skip_now(ui, view, skip, now),
        other @ Some(Dialog::Help { .. } | Dialog::Notices { .. } | Dialog::Abort { .. } | Dialog::Gate { .. } | Dialog::Extend { .. }) => {
            ui.dialog = other;
            Vec::new()
        }
    }
}

/// What has changed since the review was opened, if anything did; the first of the facts, as the engine would name it.
pub(crate) fn stale(review: &Review, view: &View) -> Option<String> {
    let now = facts(view, &review.environment);
    let (then, environment) = (&review.facts, &review.environment);
    if view.run.as_ref().and_then(|run| run.created.as_ref()).map(|created| &created.run) != Some(&review.run) {
        return Some("another run is on the screen now: Esc and look again".into());
    }
    let changed = if now.current != then.current {
        format!("what runs in {environment} changed")
    } else if now.candidate != then.candidate {
        "the release was made anew".into()
    } else if now.verdict != then.verdict {
        let word = |class: Option<VerdictClass>| class.map_or("none".into(), |class| class.to_string());
        format!("the verdict was {}, now {}", word(then.verdict), word(now.verdict))
    } else if now.policy_hash != then.policy_hash {
        "the policy changed".into()
    } else {
        return None;
    };
    Some(format!("{changed}: Esc and look again"))
}

/// The gate that `P` means: the selected job if it waits, else production's, else the first that waits.
fn gate<'a>(ui: &Ui, view: &'a View) -> Result<(&'a RunState, &'a JobState), String> {
    match view.access {
        Access::Full => {}
        Access::ReadOnly => return Err("this console may only look".into()),
        Access::Replay => return Err("this is a replay: nothing can be changed".into()),
    }
    let run = view.run.as_deref().ok_or("there is no run to promote")?;
    let waiting = || run.jobs.iter().filter(|job| job.status == JobStatus::Manual && !job.gate_open);
    let production = production(view).map(|environment| &environment.name);
    waiting()
        .find(|job| Some(&job.plan.name) == ui.selected.job())
        .or_else(|| waiting().find(|job| production.is_some_and(|name| job.plan.environments.contains(name))))
        .or_else(|| waiting().next())
        .map(|job| (run, job))
        .ok_or_else(|| format!("{}{}", why_nothing_waits(run), others(view)))
}

/// Who has a canary there now, if it is somebody else's: that is where a yes may be waited for.
fn others(view: &View) -> String {
    let mut live = view.rollouts.iter().rev().filter(|rollout| rollout.has_weight() && !is_gone(view, rollout));
    live.find_map(|rollout| Some((&rollout.created.as_ref()?.release.tag, whose(rollout, view)?)))
        .map_or(String::new(), |(tag, whose)| format!("; the canary {} is {whose}", words::plain(tag)))
}

fn why_nothing_waits(run: &RunState) -> String {
    if run.ended.is_some() {
        return "the run is over: nothing waits for a yes".into();
    }
    let next = run.jobs.iter().find(|job| job.plan.when == crate::event::When::Manual && job.status == JobStatus::Created);
    match next {
        Some(job) => format!("{} does not wait for a yes yet: what it needs is not done", job.plan.name),
        None => "nothing waits for a yes".into(),
    }
}

/// The environment that a gate's job changes, by the name its traffic has; none when it deploys nothing.
fn environment(view: &View, job: &JobState) -> Option<EnvironmentName> {
    let named = job.plan.environments.first()?;
    let known = view.environments.iter().any(|environment| &environment.name == named);
    if known { Some(named.clone()) } else { production(view).map(|environment| environment.name.clone()).or_else(|| Some(named.clone())) }
}

/// Why a promotion cannot be, as far as this view knows. The engine decides; this only saves the typing.
fn blocked(view: &View, environment: &EnvironmentName) -> Option<String> {
    if let Some(why) = view.environments.iter().find(|known| &known.name == environment).and_then(|known| known.stale.as_ref()) {
        return Some(format!("{environment} is not known as it is now: {}", words::plain(why)));
    }
    if let Some(drift) = view.environments.iter().find(|known| &known.name == environment).and_then(|known| known.drift.first()) {
        return Some(format!("{drift}: hms drift show"));
    }
    let rollout = rollout_of(view, environment)?;
    if is_gone(view, rollout) {
        return Some("its canary was taken back".into());
    }
    if let Some(why) = &rollout.voided {
        return Some(format!("the verdict is void: {}", words::plain(why)));
    }
    if rollout.overridden.is_some() {
        return None;
    }
    match rollout.verdict.as_ref().map(|verdict| (verdict.class, &verdict.reason)) {
        Some((VerdictClass::Pass, _)) => None,
        Some((class, reason)) => Some(format!("the verdict is {class}: {}", words::plain(reason))),
        None => Some("there is no verdict yet".into()),
    }
}
