//! `R`, the cheapest key, and what keeps a slip from being one too many: it acts only on what the screen named, a burst is
//! one press, and after a canary's rollback it rests until the next target has been read.

use std::time::Duration;

use crate::console::message::{Effect, Moment};
use crate::console::rollback::{Stage, Target, under_way};
use crate::console::source::{Request, Ticket, View};
use crate::console::ui::{Tone, Ui};
use crate::console::words;

use super::{ask, say};

/// Presses closer than this are one: the first delay of a held key is up to 0.66 s, and a stalled line delivers many at once.
const BURST: Duration = Duration::from_millis(700);
/// How long a new target is on the screen before `R` acts on it, after a canary was rolled back.
const REST: Duration = Duration::from_secs(2);
/// An unanswered request is no reason to refuse the key for longer than this.
const PATIENCE: Duration = Duration::from_secs(3);

/// One press.
pub(super) fn press(ui: &mut Ui, view: &View, now: Moment) -> Vec<Effect> {
    let before = ui.rollback.pressed.replace(now.monotonic);
    if before.is_some_and(|before| now.monotonic.saturating_sub(before) < BURST) {
        return Vec::new();
    }
    if let Some(going) = under_way(view) {
        return match going.stage {
            Stage::Armed(_) => fire(ui, view, now),
            Stage::Going(_) => {
                say(ui, Tone::Said, format!("{} is being rolled back to {}", going.environment, words::plain(&going.to.tag)), now);
                Vec::new()
            }
        };
    }
    if ui.rollback.pending.is_some_and(|(_, since)| now.monotonic.saturating_sub(since) < PATIENCE) {
        return Vec::new();
    }
    let target = Target::of(view);
    let shown = ui.rollback.shown.as_ref().filter(|(identity, _)| *identity == target.identity()).map(|(_, since)| *since);
    let Some(since) = shown else {
        say(ui, Tone::Refused, format!("R means something else now, {}: press it again", describe(&target)), now);
        return Vec::new();
    };
    match target {
        Target::Nothing(why) => {
            say(ui, Tone::Said, why, now);
            Vec::new()
        }
        Target::Canary { environment, release, .. } => {
            let release = release.map(|release| release.digest);
            let request = Request::CanaryToZero { environment, release };
            let (ticket, effects) = ask(ui, view, request, "canary to 0".into(), now);
            if let Some(ticket) = ticket {
                ui.rollback.pending = Some((ticket, now.monotonic));
                ui.rollback.after_canary = true;
            }
            effects
        }
        Target::Production { environment, from, to } => {
            if ui.rollback.after_canary && now.monotonic.saturating_sub(since) < REST {
                say(ui, Tone::Refused, format!("the canary is at 0; R now means {environment} itself: press it again to roll back"), now);
                return Vec::new();
            }
            let what = format!("roll back {environment} to {}", words::plain(&to.tag));
            let (ticket, effects) = ask(ui, view, Request::RollBack { environment, from, to }, what, now);
            if let Some(ticket) = ticket {
                ui.rollback.pending = Some((ticket, now.monotonic));
                ui.rollback.after_canary = false;
            }
            effects
        }
    }
}

/// Fires the armed rollback whose banner is on the screen; one that nobody has seen is not fired.
pub(super) fn fire(ui: &mut Ui, view: &View, now: Moment) -> Vec<Effect> {
    let Some(rollout) = armed_and_shown(ui, view) else {
        return Vec::new();
    };
    ask(ui, view, Request::RollbackNow { rollout }, "roll back now".into(), now).1
}

/// Takes the armed rollback back.
pub(super) fn take_back(ui: &mut Ui, view: &View, now: Moment) -> Vec<Effect> {
    let Some(rollout) = armed_and_shown(ui, view) else {
        return Vec::new();
    };
    ask(ui, view, Request::RollbackCancel { rollout }, "cancel the rollback".into(), now).1
}

fn armed_and_shown(ui: &Ui, view: &View) -> Option<crate::event::RolloutId> {
    let going = under_way(view)?;
    let armed = matches!(going.stage, Stage::Armed(_));
    (armed && ui.rollback.banner.as_ref() == Some(going.rollout)).then(|| going.rollout.clone())
}

/// A frame is on the screen: what it names may be acted on.
pub(super) fn drawn(ui: &mut Ui, view: &View, now: Moment) {
    let identity = Target::of(view).identity();
    if ui.rollback.shown.as_ref().is_none_or(|(shown, _)| *shown != identity) {
        ui.rollback.shown = Some((identity, now.monotonic));
    }
    ui.rollback.banner = under_way(view).filter(|going| matches!(going.stage, Stage::Armed(_))).map(|going| going.rollout.clone());
}

/// An answer came; a refusal gives the key back at once.
pub(super) fn answered(ui: &mut Ui, ticket: Ticket, accepted: bool) {
    if ui.rollback.pending.is_some_and(|(pending, _)| pending == ticket) {
        ui.rollback.pending = None;
        if !accepted {
            ui.rollback.after_canary = false;
        }
    }
}

fn describe(target: &Target) -> String {
    match target {
        Target::Canary { weight, .. } => format!("canary {weight} to 0"),
        Target::Production { environment, from, to } => {
            format!("{environment} {} to {}", words::plain(&from.tag), words::plain(&to.tag))
        }
        Target::Nothing(why) => words::plain(why),
    }
}
