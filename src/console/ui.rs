//! The view's own state: what is selected, how the log is scrolled, which dialog is open. Plain data; only `update` changes it.

use std::time::Duration;

use chrono::{DateTime, FixedOffset, Utc};
use ratatui::layout::Size;
use regex::Regex;

use crate::event::{AttemptId, EnvironmentName, Facts, JobName, ReleaseRef, RolloutId, RunId, Weight};

use super::live::Leaving;
use super::log::{Log, Search};
use super::rollback::Identity;
use super::source::Ticket;
use super::theme::Theme;

/// The state of one console.
#[derive(Debug)]
pub(crate) struct Ui {
    pub(crate) size: Size,
    pub(crate) theme: Theme,
    /// Where the person is, for times of day.
    pub(crate) zone: FixedOffset,
    /// The run that the selection belongs to.
    pub(crate) run: Option<RunId>,
    pub(crate) selected: Selection,
    pub(crate) focus: Focus,
    pub(crate) zoom: bool,
    pub(crate) log: LogView,
    pub(crate) dialog: Option<Dialog>,
    pub(crate) notice: Option<Notice>,
    pub(crate) rollback: RollbackKey,
    /// Requests without an answer yet, with what they are called for people.
    pub(crate) asked: Vec<(Ticket, String)>,
    pub(crate) tickets: u64,
    pub(crate) graphs: GraphView,
    pub(crate) scales: Scales,
    /// A frame must be drawn whole: the terminal may show anything.
    pub(crate) redraw: bool,
    /// For the help.
    pub(crate) leaving: Leaving,
}

/// Which job the log is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selection {
    /// The one where something happens; none when there is no job.
    Automatic(Option<JobName>),
    /// The one the person went to.
    Chosen(JobName),
}

impl Selection {
    pub(crate) fn job(&self) -> Option<&JobName> {
        match self {
            Self::Automatic(job) => job.as_ref(),
            Self::Chosen(job) => Some(job),
        }
    }
}

/// Which pane the arrows move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Focus {
    Pipeline,
    Log,
    Graphs,
}

/// How the graphs are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct GraphView {
    pub(crate) page: GraphPage,
    /// How much time is shown, as a place in `LENGTHS`; none: as much as there is.
    pub(crate) length: Option<usize>,
    /// The right edge; none: now.
    pub(crate) end: Option<DateTime<Utc>>,
    /// The moment whose values are read; none: the newest.
    pub(crate) cursor: Option<DateTime<Utc>>,
}

/// Which two graphs are beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum GraphPage {
    /// p95 and errors.
    #[default]
    Health,
    /// Requests a second and the canary's share.
    Traffic,
    /// How far from a verdict, and errors.
    Evidence,
}

/// The tops of the graphs.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Scales {
    pub(crate) p95: Scale,
    pub(crate) errors: Scale,
    pub(crate) rate: Scale,
    pub(crate) share: Scale,
}

/// How the log is looked at.
#[derive(Debug)]
pub(crate) struct LogView {
    /// Whose log it is, or will be once it is open.
    pub(crate) of: Option<(JobName, AttemptId)>,
    pub(crate) log: Option<Log>,
    /// Why there is none although there should be.
    pub(crate) trouble: Option<String>,
    pub(crate) follow: bool,
    pub(crate) wrap: bool,
    /// The first line on the screen, when it is not followed.
    pub(crate) top: usize,
    /// Columns scrolled to the right.
    pub(crate) left: usize,
    /// What was searched for last.
    pub(crate) pattern: Option<Regex>,
    pub(crate) searching: Option<Search>,
    /// The line that a search found last.
    pub(crate) at: Option<usize>,
}

/// What lies over the panes.
#[derive(Debug)]
pub(crate) enum Dialog {
    Help {
        scroll: usize,
    },
    /// The run's notices, whole.
    Notices {
        scroll: usize,
    },
    Search(Field),
    Abort {
        opened: Duration,
        run: RunId,
    },
    /// Yes at a gate that deploys nothing.
    Gate {
        opened: Duration,
        run: RunId,
        job: JobName,
    },
    Review(Box<Review>),
    /// A canary's next weight without a PASS: why?
    Skip(Box<Skip>),
    /// A longer HOLD?
    Extend {
        opened: Duration,
        rollout: RolloutId,
    },
}

/// A line of text being typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Field {
    pub(crate) text: String,
    /// What is wrong with it, or was refused.
    pub(crate) complaint: Option<String>,
}

/// What a promotion would change, frozen when it was opened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Review {
    pub(crate) opened: Duration,
    pub(crate) run: RunId,
    pub(crate) job: JobName,
    pub(crate) environment: EnvironmentName,
    pub(crate) from: Option<ReleaseRef>,
    pub(crate) to: ReleaseRef,
    pub(crate) facts: Facts,
    /// Why it cannot be done, as far as can be seen from here.
    pub(crate) blocked: Option<String>,
    pub(crate) field: Field,
}

/// A weight without a PASS, as it was when it was asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Skip {
    pub(crate) opened: Duration,
    pub(crate) rollout: RolloutId,
    pub(crate) environment: EnvironmentName,
    pub(crate) tag: String,
    pub(crate) from: Weight,
    pub(crate) to: Weight,
    pub(crate) field: Field,
}

/// A line for people that goes away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) text: String,
    pub(crate) tone: Tone,
    pub(crate) until: Duration,
}

/// How a line is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Said,
    Refused,
}

/// What is remembered for the one key that must be neither too slow nor too easy.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct RollbackKey {
    /// When it was last pressed, effect or not.
    pub(crate) pressed: Option<Duration>,
    /// A rollback was asked for and not answered.
    pub(crate) pending: Option<(Ticket, Duration)>,
    /// A canary was taken to 0 by this key: what it names next is inert for a while.
    pub(crate) after_canary: bool,
    /// The target that is on the screen, since when.
    pub(crate) shown: Option<(Identity, Duration)>,
    /// The banner that is on the screen.
    pub(crate) banner: Option<RolloutId>,
}

/// The top of a graph. It grows at once and shrinks late, or the whole graph would be painted anew at each wobble.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Scale {
    pub(crate) max: f64,
    /// Since when less would do.
    pub(crate) roomy: Option<Duration>,
}

impl Ui {
    pub(crate) fn new(size: Size, theme: Theme, zone: FixedOffset) -> Self {
        Self {
            size,
            theme,
            zone,
            run: None,
            selected: Selection::Automatic(None),
            focus: Focus::Pipeline,
            zoom: false,
            log: LogView::default(),
            dialog: None,
            notice: None,
            rollback: RollbackKey::default(),
            asked: Vec::new(),
            tickets: 0,
            graphs: GraphView::default(),
            scales: Scales::default(),
            redraw: false,
            leaving: Leaving::RunGoesOn,
        }
    }
}

impl Default for LogView {
    fn default() -> Self {
        Self { of: None, log: None, trouble: None, follow: true, wrap: false, top: 0, left: 0, pattern: None, searching: None, at: None }
    }
}

impl LogView {
    pub(crate) fn lines(&self) -> usize {
        self.log.as_ref().map_or(0, Log::lines)
    }
}

impl Scale {
    /// Makes room for `peak`, which is not below 0.
    pub(crate) fn fit(&mut self, peak: f64, now: Duration) {
        let wanted = nice(peak);
        if wanted >= self.max {
            *self = Self { max: wanted, roomy: None };
            return;
        }
        match self.roomy {
            None => self.roomy = Some(now),
            Some(since) if now.saturating_sub(since) >= SHRINK_AFTER => *self = Self { max: wanted, roomy: None },
            Some(_) => {}
        }
    }
}

const SHRINK_AFTER: Duration = Duration::from_mins(1);

/// The next of 1, 1.5, 2, 3, 5, 7.5 times a power of ten.
fn nice(peak: f64) -> f64 {
    if !peak.is_finite() || peak <= 0.0 {
        return 0.0;
    }
    let power = 10f64.powf(peak.log10().floor());
    [1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0].iter().map(|step| step * power).find(|step| *step >= peak * 0.999_999).unwrap_or(peak)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_grows_at_once_and_shrinks_after_a_minute() {
        let mut scale = Scale::default();
        let at = Duration::from_secs;
        scale.fit(0.3, at(0));
        assert!((scale.max - 0.3).abs() < 1e-9);
        scale.fit(0.9, at(1));
        assert!((scale.max - 1.0).abs() < 1e-9);
        scale.fit(0.2, at(2));
        scale.fit(0.2, at(61));
        assert!((scale.max - 1.0).abs() < 1e-9);
        scale.fit(0.2, at(62));
        assert!((scale.max - 0.2).abs() < 1e-9);
    }
}
