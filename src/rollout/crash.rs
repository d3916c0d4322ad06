//! Which of the named points of [`store`](crate::store) lie around which effect.

pub use crate::store::CrashPoint;
#[cfg(test)]
pub(crate) use crate::store::crash_hook as hook;
pub(crate) use crate::store::reach;

use crate::deploy::Effect;

impl CrashPoint {
    /// The two points around an effect. A new effect does not compile without them.
    #[must_use]
    pub fn around(effect: &Effect) -> (Self, Self) {
        match effect {
            Effect::Start { .. } => (Self::BeforeStart, Self::AfterStart),
            Effect::Weigh { .. } => (Self::BeforeWeigh, Self::AfterWeigh),
            Effect::Promote { .. } => (Self::BeforePromote, Self::AfterPromote),
            Effect::Withdraw => (Self::BeforeWithdraw, Self::AfterWithdraw),
            Effect::Return { .. } => (Self::BeforeReturn, Self::AfterReturn),
            Effect::Retire { .. } => (Self::BeforeRetire, Self::AfterRetire),
        }
    }
}
