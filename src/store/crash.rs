//! Named points at which tests end the process: before and after each control effect, between the writes around it, and between the
//! writes of one effect that takes several.
//!
//! In builds with debug assertions `HMS_CRASH_AT=<name>` kills the process at that point with SIGKILL, which nothing can catch.
//! In release builds there is nothing to honour.

macro_rules! points {
    ($($(#[$meta:meta])* $name:ident = $text:literal,)+) => {
        /// A point at which the process may end, and everything must still be told truthfully.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum CrashPoint {
            $($(#[$meta])* $name,)+
        }

        impl CrashPoint {
            /// Every point, in the order of a rollout's life.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The name, as `HMS_CRASH_AT` spells it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

points! {
    /// The journal exists, nothing else does.
    Created = "created",
    /// The target's record names this rollout as the holder.
    SlotTaken = "slot-taken",
    /// An intent is in the ledger, its fence is not taken.
    IntentWritten = "intent-written",
    /// The fence is taken, the journal does not say so.
    FenceTaken = "fence-taken",
    /// The bytes are not at the target.
    BeforePlace = "before-place",
    /// The bytes are at the target.
    AfterPlace = "after-place",
    /// Not started.
    BeforeStart = "before-start",
    /// Started and healthy; the journal does not say so.
    AfterStart = "after-start",
    /// The old weight.
    BeforeWeigh = "before-weigh",
    /// The new weight; the journal does not say so.
    AfterWeigh = "after-weigh",
    /// Stable is the old release.
    BeforePromote = "before-promote",
    /// Stable is the new release; nothing written says so.
    AfterPromote = "after-promote",
    /// The canary has its weight.
    BeforeWithdraw = "before-withdraw",
    /// The canary has none; nothing written says so.
    AfterWithdraw = "after-withdraw",
    /// Stable is what is gone from.
    BeforeReturn = "before-return",
    /// Stable is what is gone to; nothing written says so.
    AfterReturn = "after-return",
    /// The arm beside stable is written, its pods are not up.
    ArmWritten = "arm-written",
    /// The router gives the arm beside stable everything; stable is as it was.
    TrafficBeside = "traffic-beside",
    /// Stable's new template is written, none of it is rolled out for certain; the arm has everything.
    StableWritten = "stable-written",
    /// Stable is rolled out; the arm has everything.
    StableRolled = "stable-rolled",
    /// The router gives stable everything; the arm is there.
    TrafficBack = "traffic-back",
    /// The old standby runs.
    BeforeRetire = "before-retire",
    /// The old standby is stopped.
    AfterRetire = "after-retire",
    /// The release's bytes are there.
    BeforeRemove = "before-remove",
    /// They are not; the record names it.
    AfterRemove = "after-remove",
    /// The journal has the effect, the ledger has no outcome.
    EffectWritten = "effect-written",
    /// The ledger has the outcome, the target's record is old.
    OutcomeWritten = "outcome-written",
    /// The target's record is new, the journal has no end.
    RecordWritten = "record-written",
}

impl CrashPoint {
    /// The points between the writes of one effect, at a target where an effect takes several.
    pub const INSIDE: &'static [Self] =
        &[Self::ArmWritten, Self::TrafficBeside, Self::StableWritten, Self::StableRolled, Self::TrafficBack];
}

/// Passes a point. Ends the process there when a test asks for it.
pub(crate) async fn reach(point: CrashPoint) {
    #[cfg(debug_assertions)]
    if std::env::var_os("HMS_CRASH_AT").is_some_and(|wanted| wanted == point.name()) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
    if stops(point) {
        // As far as the rest of the world can tell, this driver died here: the test drops it.
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
fn stops(point: CrashPoint) -> bool {
    hook::stops(point)
}

#[cfg(not(test))]
const fn stops(_: CrashPoint) -> bool {
    false
}

/// Lets a test stop the drivers of its own thread at a point.
#[cfg(test)]
pub(crate) mod hook {
    use std::cell::RefCell;

    use super::CrashPoint;

    type Hook = Box<dyn FnMut(CrashPoint) -> bool>;

    thread_local! {
        static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
    }

    /// Asks `hook` at each point from here on; a yes stops the driver there for good.
    pub(crate) fn set(hook: impl FnMut(CrashPoint) -> bool + 'static) {
        HOOK.with(|place| *place.borrow_mut() = Some(Box::new(hook)));
    }

    pub(crate) fn clear() {
        HOOK.with(|place| *place.borrow_mut() = None);
    }

    pub(super) fn stops(point: CrashPoint) -> bool {
        HOOK.with(|place| place.borrow_mut().as_mut().is_some_and(|hook| hook(point)))
    }
}
