//! What is so after each death, and what goes on from there. `docs/crash-points.md` shows this table and is compared with it.

use std::fmt::Write;
use std::path::Path;

use hms::rollout::CrashPoint;

use super::world::Shape;

/// What is under way when the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// The first release of the environment becomes its canary, with all traffic.
    FirstCanary,
    /// The first release is promoted.
    FirstPromotion,
    /// A second release becomes the canary, with 10 %.
    Canary,
    /// The second release is promoted from 10 %.
    Promotion,
    /// The second release is promoted from 10 % by `hms-deploy` alone.
    Alone,
    /// The engine leaves a canary with 10 %, which policy wants taken back then.
    Leave,
    /// Production goes back from the second release to the first.
    Rollback,
    /// The fourth release goes straight into an unprotected environment that keeps as few as it can.
    Fourth,
}

/// A death, and what must be so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) act: Act,
    pub(super) point: CrashPoint,
    /// The share of the newest release in what users get, in percent; none when nobody has anything yet.
    pub(super) newest: Option<u32>,
    /// The intents that are in the ledger without an outcome.
    pub(super) open: &'static [&'static str],
}

impl Act {
    pub(super) const ALL: [Self; 8] =
        [Self::FirstCanary, Self::FirstPromotion, Self::Canary, Self::Promotion, Self::Alone, Self::Leave, Self::Rollback, Self::Fourth];

    fn title(self) -> &'static str {
        match self {
            Self::FirstCanary => "The first release of an environment becomes its canary (all traffic)",
            Self::FirstPromotion => "The first release is promoted",
            Self::Canary => "A second release becomes the canary (10 %)",
            Self::Promotion => "The second release is promoted",
            Self::Alone => "The second release is promoted by `hms-deploy` alone",
            Self::Leave => "The engine leaves a canary with 10 % (`canary.unwatched: rollback`)",
            Self::Rollback => "Production goes back (`hms rollback --env prod`)",
            Self::Fourth => "A fourth release, straight into an unprotected environment that keeps as few as it can",
        }
    }

    pub(super) fn shape(self) -> Shape {
        match self {
            Self::FirstCanary | Self::FirstPromotion | Self::Canary | Self::Promotion | Self::Alone | Self::Rollback => Shape::Whole,
            Self::Leave => Shape::Leaving,
            Self::Fourth => Shape::Direct,
        }
    }

    /// The number of the run in which the process dies.
    pub(super) fn run(self) -> &'static str {
        match self {
            Self::FirstCanary | Self::FirstPromotion => "1",
            Self::Canary | Self::Promotion | Self::Alone | Self::Leave | Self::Rollback => "2",
            Self::Fourth => "4",
        }
    }

    /// The one command that goes on, its exit code, and the share of the newest release afterwards, in percent.
    pub(super) fn finish(self) -> (&'static str, i32, u32) {
        match self {
            Self::FirstCanary => ("hms run --resume 1 --headless", 10, 100),
            Self::FirstPromotion => ("hms run --resume 1 --headless", 0, 100),
            Self::Canary => ("hms run --resume 2 --headless", 10, 10),
            Self::Promotion => ("hms run --resume 2 --headless", 0, 100),
            Self::Alone => ("hms-deploy --env prod --promote DIGEST --app shop", 0, 100),
            Self::Leave => ("hms run --resume 2 --headless", 12, 0),
            Self::Rollback => ("hms rollback --env prod", 0, 0),
            Self::Fourth => ("hms run --resume 4 --headless", 0, 100),
        }
    }

    /// The one command that goes back, where there is something to go back to.
    pub(super) fn revert(self, newest: Option<u32>) -> Option<&'static str> {
        match self {
            Self::FirstCanary | Self::FirstPromotion | Self::Rollback => None,
            Self::Promotion | Self::Alone if newest == Some(100) => Some("hms rollback --env prod"),
            Self::Canary | Self::Promotion | Self::Alone | Self::Leave => Some("hms rollback --env canary"),
            Self::Fourth => (newest == Some(100)).then_some("hms rollback --env prod"),
        }
    }
}

macro_rules! rows {
    ($($act:ident $point:ident $newest:tt $open:expr;)+) => {
        &[$(Row { act: Act::$act, point: CrashPoint::$point, newest: rows!(@ $newest), open: &$open },)+]
    };
    (@ nobody) => { None };
    (@ $percent:literal) => { Some($percent) };
}

pub(super) const ROWS: &[Row] = rows! {
    FirstCanary Created nobody [];
    FirstCanary SlotTaken nobody [];
    FirstCanary IntentWritten nobody ["deploy"];
    FirstCanary FenceTaken nobody ["deploy"];
    FirstCanary BeforePlace nobody ["deploy"];
    FirstCanary AfterPlace nobody ["deploy"];
    FirstCanary BeforeStart nobody ["deploy"];
    FirstCanary AfterStart nobody ["deploy"];
    FirstCanary BeforeWeigh nobody ["deploy"];
    FirstCanary AfterWeigh 100 ["deploy"];
    FirstCanary EffectWritten 100 ["deploy"];
    FirstCanary OutcomeWritten 100 [];
    FirstCanary RecordWritten 100 [];
    FirstPromotion IntentWritten 100 ["promote"];
    FirstPromotion FenceTaken 100 ["promote"];
    FirstPromotion BeforePromote 100 ["promote"];
    FirstPromotion AfterPromote 100 ["promote"];
    FirstPromotion EffectWritten 100 ["promote"];
    FirstPromotion OutcomeWritten 100 [];
    FirstPromotion RecordWritten 100 [];
    Canary BeforePlace 0 ["deploy"];
    Canary BeforeWeigh 0 ["deploy"];
    Canary AfterWeigh 10 ["deploy"];
    Canary RecordWritten 10 [];
    Promotion BeforePromote 10 ["promote"];
    Promotion AfterPromote 100 ["promote"];
    Promotion RecordWritten 100 [];
    Alone IntentWritten 10 ["promote"];
    Alone BeforePromote 10 ["promote"];
    Alone AfterPromote 100 ["promote"];
    Alone OutcomeWritten 100 [];
    Leave BeforeWithdraw 10 ["abort"];
    Leave AfterWithdraw 0 ["abort"];
    Rollback IntentWritten 100 ["rollback"];
    Rollback FenceTaken 100 ["rollback"];
    Rollback BeforeReturn 100 ["rollback"];
    Rollback AfterReturn 0 ["rollback"];
    Rollback EffectWritten 0 ["rollback"];
    Rollback OutcomeWritten 0 [];
    Rollback RecordWritten 0 [];
    Fourth BeforeRetire 100 [];
    Fourth AfterRetire 100 [];
    Fourth BeforeRemove 100 ["release.remove"];
    Fourth AfterRemove 100 ["release.remove"];
};

/// The table as people read it.
fn rendered() -> String {
    let mut text = String::new();
    for act in Act::ALL {
        let (finish, exit, then) = act.finish();
        let _ = write!(text, "\n## {}\n\n", act.title());
        let _ = write!(text, "Goes on: `{finish}` (exit {exit}); users then get {then} % from the newest release.\n\n");
        text.push_str("| killed at | users get from the newest release | unresolved in the ledger | goes back |\n|---|---|---|---|\n");
        for row in ROWS.iter().filter(|row| row.act == act) {
            let newest = row.newest.map_or_else(|| "nobody has anything yet".to_owned(), |percent| format!("{percent} %"));
            let open = if row.open.is_empty() { "–".to_owned() } else { format!("`{}`", row.open.join("`, `")) };
            let back = act.revert(row.newest).map_or_else(|| "–".to_owned(), |command| format!("`{command}`"));
            let _ = writeln!(text, "| `{}` | {newest} | {open} | {back} |", row.point.name());
        }
    }
    text
}

/// The page below its introduction is this table.
#[test]
fn the_page_shows_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/crash-points.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (_, shown) = page.split_once("<!-- the table -->\n").expect("the page has a table");
    let (shown, _) = shown.split_once("\n<!-- its end -->").expect("the table ends");
    assert_eq!(shown, rendered().trim_end_matches('\n'), "docs/crash-points.md is not what the walk proves; it must be:\n{}", rendered());
}

#[test]
fn every_point_of_the_code_is_in_the_table() {
    // Those inside an effect are walked on a cluster (`stories/cluster/inside.rs`): here an effect is one write.
    let here = CrashPoint::ALL.iter().filter(|point| !CrashPoint::INSIDE.contains(point));
    let missing: Vec<&str> = here.filter(|point| ROWS.iter().all(|row| row.point != **point)).map(|point| point.name()).collect();
    assert!(missing.is_empty(), "never walked: {missing:?}");
}
