//! The one function that changes the view's own state: (state, view, message) → effects. It does no I/O and has no clock.

mod dialogs;
mod graphs;
mod log;
mod rollback;
mod selection;
mod steer;

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::event::{EnvironmentName, Facts, JobState, JobStatus, Refusal, RolloutKind, RolloutState};

use super::keymap::{self, Action, Context, Move};
use super::message::{Effect, Leave, Message, Moment};
use super::source::{Access, EngineLife, Request, Ticket, View};
use super::ui::{Dialog, Field, Focus, Notice, Tone, Ui};
use super::{dialog, panes, words};

pub(crate) use dialogs::stale;
pub(crate) use steer::{EXTEND_SECONDS, live};

/// Keys are ignored for so long after a dialog that does something opened: what was typed before was not meant for it.
const GUARD: Duration = Duration::from_millis(300);

/// Lines that a page of a dialog goes.
const PAGE: usize = 10;

/// Takes in one message.
pub(crate) fn update(ui: &mut Ui, view: &View, message: Message, now: Moment) -> Vec<Effect> {
    match message {
        Message::Woken | Message::Continued => Vec::new(),
        Message::Changed => selection::follow_view(ui, view, now),
        Message::LogGrew => log::grow(ui),
        Message::LogOpened(job, opened) => log::opened(ui, &job, opened),
        Message::Key(key) => on_key(ui, view, &key, now),
        Message::Paste => {
            on_paste(ui, now);
            Vec::new()
        }
        Message::Resized(size) => {
            ui.size = size;
            Vec::new()
        }
        Message::Drawn => {
            rollback::drawn(ui, view, now);
            Vec::new()
        }
        Message::Tick => on_tick(ui, view, now),
        Message::Answer(ticket, answer) => {
            on_answer(ui, ticket, answer, now);
            Vec::new()
        }
        Message::Hangup => vec![Effect::Leave(Leave::Hangup)],
        Message::Terminated(signal) => vec![Effect::Leave(Leave::Signal(signal))],
    }
}

fn on_key(ui: &mut Ui, view: &View, key: &KeyEvent, now: Moment) -> Vec<Effect> {
    if key.kind == KeyEventKind::Release {
        return Vec::new();
    }
    let context = context(ui);
    let action = keymap::lookup(context, key);
    if action.is_none() && context != Context::Screen && key.modifiers == KeyModifiers::ALT && matches!(key.code, KeyCode::Char(_)) {
        // Esc and another key in one packet: a slow line makes Alt of them. Not on the bare screen, where Esc may cancel a rollback.
        let mut effects = on_key(ui, view, &KeyEvent::from(KeyCode::Esc), now);
        effects.extend(on_key(ui, view, &KeyEvent::from(key.code), now));
        return effects;
    }
    if guarded(ui, now) && !action.is_some_and(acts_at_once) {
        return Vec::new();
    }
    if let Some(action) = action {
        return act(ui, view, action, now);
    }
    if context == Context::Field
        && let (Some(c), Some(field)) = (keymap::typed(key), field(ui))
    {
        field.complaint = None;
        if field.text.chars().count() < 200 {
            field.text.push(c);
        }
    }
    Vec::new()
}

/// What a guarded dialog lets through: leaving it, and the way back for production.
fn acts_at_once(action: Action) -> bool {
    matches!(action, Action::Cancel | Action::Rollback | Action::Leave | Action::Suspend | Action::Redraw)
}

fn act(ui: &mut Ui, view: &View, action: Action, now: Moment) -> Vec<Effect> {
    match action {
        Action::Rollback => rollback::press(ui, view, now),
        Action::Promote => dialogs::promote(ui, view, now),
        Action::Abort => dialogs::abort(ui, view, now),
        Action::Retry => retry(ui, view, now),
        Action::Pause => steer::pause(ui, view, now),
        Action::Skip => steer::skip(ui, view, now),
        Action::Extend => steer::extend(ui, view, now),
        Action::Start => start(ui, view, now),
        Action::Submit => dialogs::submit(ui, view, now),
        Action::Yes => dialogs::yes(ui, view, now),
        Action::Cancel => cancel(ui, view, now),
        Action::Search => {
            ui.dialog = Some(Dialog::Search(Field::default()));
            Vec::new()
        }
        Action::NextMatch | Action::PreviousMatch | Action::NextError => log::find(ui, action, now),
        Action::Move(to) => go(ui, view, to),
        Action::Zoom => {
            ui.zoom = !ui.zoom;
            Vec::new()
        }
        Action::Focus => {
            ui.focus = match ui.focus {
                Focus::Pipeline => Focus::Log,
                Focus::Log if graphs::there(view) => Focus::Graphs,
                Focus::Log | Focus::Graphs => Focus::Pipeline,
            };
            Vec::new()
        }
        Action::Graphs => graphs::turn(ui),
        Action::Closer | Action::Wider => graphs::resize(ui, view, action),
        Action::Help => {
            ui.dialog = match ui.dialog {
                Some(Dialog::Help { .. }) => None,
                _ => Some(Dialog::Help { scroll: 0 }),
            };
            Vec::new()
        }
        Action::Notices => {
            ui.dialog = match ui.dialog {
                Some(Dialog::Notices { .. }) => None,
                _ => Some(Dialog::Notices { scroll: 0 }),
            };
            Vec::new()
        }
        Action::Leave => vec![Effect::Leave(Leave::Detached)],
        Action::Suspend => vec![Effect::Suspend],
        Action::Redraw => {
            ui.redraw = true;
            Vec::new()
        }
        Action::Erase | Action::Clear => {
            if let Some(field) = field(ui) {
                field.complaint = None;
                if action == Action::Clear {
                    field.text.clear();
                } else {
                    field.text.pop();
                }
            }
            Vec::new()
        }
    }
}

fn go(ui: &mut Ui, view: &View, to: Move) -> Vec<Effect> {
    if let Some(Dialog::Help { scroll } | Dialog::Notices { scroll }) = &mut ui.dialog {
        *scroll = match to {
            Move::Up => scroll.saturating_sub(1),
            Move::PageUp => scroll.saturating_sub(PAGE),
            Move::PageDown => *scroll + PAGE,
            Move::Down | Move::Left | Move::Right | Move::Top | Move::Bottom | Move::Follow | Move::Wrap => *scroll + 1,
        };
        // What lies past the end is not remembered: the first press up is seen.
        let last = dialog::last_scroll(ui, view);
        if let Some(Dialog::Help { scroll } | Dialog::Notices { scroll }) = &mut ui.dialog {
            *scroll = (*scroll).min(last);
        }
        return Vec::new();
    }
    if matches!(to, Move::Up | Move::Down) && ui.focus == Focus::Pipeline && !ui.zoom {
        return selection::go(ui, view, to);
    }
    if ui.focus == Focus::Graphs && graphs::there(view) {
        return graphs::go(ui, view, to);
    }
    log::scroll(ui, view, to);
    Vec::new()
}

fn cancel(ui: &mut Ui, view: &View, now: Moment) -> Vec<Effect> {
    if ui.dialog.take().is_some() {
        return Vec::new();
    }
    if ui.log.searching.take().is_some() {
        say(ui, Tone::Said, "search stopped".into(), now);
        return Vec::new();
    }
    let counting = crate::console::rollback::under_way(view).is_some();
    if !counting && ui.graphs.cursor.take().is_some() {
        return Vec::new();
    }
    rollback::take_back(ui, view, now)
}

fn retry(ui: &mut Ui, view: &View, now: Moment) -> Vec<Effect> {
    let Some((run, job)) = view.run.as_ref().and_then(|run| {
        let name = ui.selected.job()?;
        Some((run.created.as_ref()?.run.clone(), run.jobs.iter().find(|job| &job.plan.name == name)?))
    }) else {
        say(ui, Tone::Refused, "no job is selected".into(), now);
        return Vec::new();
    };
    let name = job.plan.name.clone();
    if view.engine == EngineLife::Dead {
        return ask(ui, view, Request::Resume { run }, "go on with the run".into(), now).1;
    }
    if !may_be_retried(job) {
        say(ui, Tone::Refused, format!("{name} did not fail: there is nothing to retry"), now);
        return Vec::new();
    }
    ask(ui, view, Request::Retry { run, job: name.clone() }, format!("retry {name}"), now).1
}

/// Whether `r` does something for this job.
pub(crate) fn may_be_retried(job: &JobState) -> bool {
    matches!(job.status, JobStatus::Failed | JobStatus::Canceled)
}

fn start(ui: &mut Ui, view: &View, now: Moment) -> Vec<Effect> {
    ask(ui, view, Request::Start, "start a run".into(), now).1
}

fn on_tick(ui: &mut Ui, view: &View, now: Moment) -> Vec<Effect> {
    if ui.notice.as_ref().is_some_and(|notice| notice.until <= now.monotonic) {
        ui.notice = None;
    }
    if ui.log.searching.is_some() { log::search(ui, view, now) } else { Vec::new() }
}

fn on_paste(ui: &mut Ui, now: Moment) {
    let text = "pasted text is never taken here: type it";
    match field(ui) {
        Some(field) => field.complaint = Some(text.into()),
        None => say(ui, Tone::Refused, "pasted text is never a command".into(), now),
    }
}

fn on_answer(ui: &mut Ui, ticket: Ticket, answer: Result<String, Refusal>, now: Moment) {
    let Some(index) = ui.asked.iter().position(|(asked, _)| *asked == ticket) else {
        return;
    };
    let (_, what) = ui.asked.swap_remove(index);
    rollback::answered(ui, ticket, answer.is_ok());
    match answer {
        Ok(text) if text.is_empty() => say(ui, Tone::Said, what, now),
        Ok(text) => say(ui, Tone::Said, format!("{what}: {}", words::plain(&text)), now),
        Err(refusal) => {
            let hint = refusal.hint.map_or(String::new(), |hint| format!(" (hint: {})", words::plain(&hint)));
            say(ui, Tone::Refused, format!("{what} refused: {}{hint}", words::plain(&refusal.message)), now);
        }
    }
}

/// Sends a request, unless the view may only look.
fn ask(ui: &mut Ui, view: &View, request: Request, what: String, now: Moment) -> (Option<Ticket>, Vec<Effect>) {
    let why_not = match view.access {
        Access::Full => None,
        Access::ReadOnly => Some("this console may only look"),
        Access::Replay => Some("this is a replay: nothing can be changed"),
    };
    if let Some(why_not) = why_not {
        say(ui, Tone::Refused, why_not.into(), now);
        return (None, Vec::new());
    }
    ui.tickets += 1;
    let ticket = Ticket(ui.tickets);
    say(ui, Tone::Said, format!("{what} …"), now);
    ui.asked.push((ticket, what));
    (Some(ticket), vec![Effect::Send(ticket, Box::new(request))])
}

fn say(ui: &mut Ui, tone: Tone, text: String, now: Moment) {
    let stays = match tone {
        Tone::Said => Duration::from_secs(6),
        Tone::Refused => Duration::from_secs(20),
    };
    ui.notice = Some(Notice { text, tone, until: now.monotonic + stays });
}

fn context(ui: &Ui) -> Context {
    match &ui.dialog {
        None => Context::Screen,
        Some(Dialog::Help { .. } | Dialog::Notices { .. }) => Context::Help,
        Some(Dialog::Search(_) | Dialog::Review(_) | Dialog::Skip(_)) => Context::Field,
        Some(Dialog::Abort { .. } | Dialog::Gate { .. } | Dialog::Extend { .. }) => Context::Question,
    }
}

fn guarded(ui: &Ui, now: Moment) -> bool {
    let opened = match &ui.dialog {
        Some(Dialog::Abort { opened, .. } | Dialog::Gate { opened, .. } | Dialog::Extend { opened, .. }) => *opened,
        Some(Dialog::Review(review)) => review.opened,
        Some(Dialog::Skip(skip)) => skip.opened,
        Some(Dialog::Help { .. } | Dialog::Notices { .. } | Dialog::Search(_)) | None => return false,
    };
    now.monotonic.saturating_sub(opened) < GUARD
}

fn field(ui: &mut Ui) -> Option<&mut Field> {
    match ui.dialog.as_mut()? {
        Dialog::Search(field) => Some(field),
        Dialog::Review(review) => Some(&mut review.field),
        Dialog::Skip(skip) => Some(&mut skip.field),
        Dialog::Help { .. } | Dialog::Notices { .. } | Dialog::Abort { .. } | Dialog::Gate { .. } | Dialog::Extend { .. } => None,
    }
}

/// The rollout that brings this run's release to an environment; the newest.
pub(crate) fn rollout_of<'a>(view: &'a View, environment: &EnvironmentName) -> Option<&'a RolloutState> {
    let run = &view.run.as_ref()?.created.as_ref()?.run;
    view.rollouts.iter().rev().map(AsRef::as_ref).find(|rollout: &&RolloutState| {
        rollout.created.as_ref().is_some_and(|created| {
            created.kind == RolloutKind::Release && created.run.as_ref() == Some(run) && &created.environment == environment
        })
    })
}

/// What a yes now would rest on.
fn facts(view: &View, environment: &EnvironmentName) -> Facts {
    let record = view.environments.iter().find(|known| &known.name == environment).and_then(|known| known.record.as_ref());
    Facts {
        current: record.and_then(|record| record.current.as_ref()).map(|release| release.digest.clone()),
        candidate: view.run.as_ref().and_then(|run| run.release.as_ref()).map(|release| release.digest.clone()),
        verdict: rollout_of(view, environment).and_then(RolloutState::verdict_class),
        policy_hash: view.policy_hash.clone(),
    }
}

/// When the screen changes by itself, if it does: a second of something that runs, a notice that goes.
pub(crate) fn deadline(ui: &Ui, view: &View, now: Moment) -> Option<Duration> {
    let notice = ui.notice.as_ref().map(|notice| notice.until);
    let ageing = panes::ageing(ui, view).map(|since| {
        // The next whole second of the thing that runs.
        let past = (now.wall - since).num_milliseconds().rem_euclid(1000);
        now.monotonic + Duration::from_millis(u64::try_from(1000 - past).unwrap_or(1000))
    });
    notice.into_iter().chain(ageing).min()
}
