//! Steering the canary under way: `p` keeps it at its weight and lets it go on, `S` gives it its next weight without a PASS, `E` lets its HOLD
//! last longer. What cannot be undone asks first: a skip for its reason, an extension for a yes.

use crate::console::message::{Effect, Moment};
use crate::console::rollback::is_gone;
use crate::console::source::{Request, Steer, View};
use crate::console::ui::{Dialog, Field, Skip, Tone, Ui};
use crate::console::words;
use crate::event::{RolloutKind, RolloutState, Weight};

use super::{ask, say};

/// By how much `E` makes HOLD longer.
pub(crate) const EXTEND_SECONDS: u64 = 30 * 60;

/// The canary that has weight: the newest rollout forward that is not over.
pub(crate) fn live(view: &View) -> Option<&RolloutState> {
    view.rollouts.iter().rev().map(AsRef::as_ref).find(|rollout| {
        let forward = rollout.created.as_ref().is_some_and(|created| created.kind == RolloutKind::Release);
        forward && rollout.has_weight() && !is_gone(view, rollout)
    })
}

/// `p`.
pub(super) fn pause(ui: &mut Ui, view: &View, now: Moment) -> Vec<Effect> {
    let Some((rollout, canary)) = found(ui, view, now) else { return Vec::new() };
    let steer = if rollout.paused.is_some() { Steer::Resume } else { Steer::Pause };
    let what = if steer == Steer::Pause { format!("pause {canary}") } else { format!("let {canary} go on") };
    send(ui, view, rollout, steer, what, now)
}

/// `S`: opens the question for its reason.
pub(super) fn skip(ui: &mut Ui, view: &View, now: Moment) -> Vec<Effect> {
    let Some((rollout, _)) = found(ui, view, now) else { return Vec::new() };
    let Some(created) = &rollout.created else { return Vec::new() };
    let from = rollout.requested.unwrap_or(Weight::ZERO);
    let Some(to) = rollout.next_weight() else {
        say(ui, Tone::Refused, format!("{from} is its last weight: hms override RUN JOB --reason TEXT passes its HOLD"), now);
        return Vec::new();
    };
    ui.dialog = Some(Dialog::Skip(Box::new(Skip {
        opened: now.monotonic,
        rollout: created.rollout.clone(),
        environment: created.environment.clone(),
        tag: words::plain(&created.release.tag),
        from,
        to,
        field: Field::default(),
    })));
    Vec::new()
}

/// Enter in the skip's question.
pub(super) fn skip_now(ui: &mut Ui, view: &View, mut skip: Box<Skip>, now: Moment) -> Vec<Effect> {
    let reason = skip.field.text.trim().to_owned();
    let changed = live(view).filter(|rollout| {
        rollout.created.as_ref().is_some_and(|created| created.rollout == skip.rollout) && rollout.next_weight() == Some(skip.to)
    });
    let why_not = match (reason.is_empty(), changed) {
        (true, _) => Some("a weight without a PASS needs a reason"),
        (false, None) => Some("it is not at that weight any more: Esc and look again"),
        (false, Some(_)) => None,
    };
    if let Some(why_not) = why_not {
        skip.field.complaint = Some(why_not.to_owned());
        ui.dialog = Some(Dialog::Skip(skip));
        return Vec::new();
    }
    let what = format!("{} to {} without a PASS", skip.tag, skip.to);
    ask(ui, view, Request::Steer { rollout: skip.rollout, steer: Steer::Skip { reason } }, what, now).1
}

/// `E`: asks.
pub(super) fn extend(ui: &mut Ui, view: &View, now: Moment) -> Vec<Effect> {
    let Some((rollout, _)) = found(ui, view, now) else { return Vec::new() };
    let Some(created) = &rollout.created else { return Vec::new() };
    if rollout.hold_expired {
        say(ui, Tone::Refused, "its HOLD has lasted too long already: r goes on with the same evidence".to_owned(), now);
        return Vec::new();
    }
    ui.dialog = Some(Dialog::Extend { opened: now.monotonic, rollout: created.rollout.clone() });
    Vec::new()
}

/// `y` in the extension's question.
pub(super) fn extend_now(ui: &mut Ui, view: &View, id: &crate::event::RolloutId, now: Moment) -> Vec<Effect> {
    let Some(rollout) = live(view).filter(|rollout| rollout.created.as_ref().is_some_and(|created| created.rollout == *id)) else {
        say(ui, Tone::Refused, "that canary has no weight any more".to_owned(), now);
        return Vec::new();
    };
    send(ui, view, rollout, Steer::Extend { seconds: EXTEND_SECONDS }, format!("HOLD {} min longer", EXTEND_SECONDS / 60), now)
}

fn found<'a>(ui: &mut Ui, view: &'a View, now: Moment) -> Option<(&'a RolloutState, String)> {
    let found = live(view).and_then(|rollout| {
        let created = rollout.created.as_ref()?;
        Some((rollout, format!("{} in {}", words::plain(&created.release.tag), created.environment)))
    });
    if found.is_none() {
        say(ui, Tone::Refused, "no canary has traffic: there is nothing to steer".to_owned(), now);
    }
    found
}

fn send(ui: &mut Ui, view: &View, rollout: &RolloutState, steer: Steer, what: String, now: Moment) -> Vec<Effect> {
    let Some(created) = &rollout.created else { return Vec::new() };
    ask(ui, view, Request::Steer { rollout: created.rollout.clone(), steer }, what, now).1
}
