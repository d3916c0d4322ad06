//! What is in force, and who may: the settings under `.hms`, the operator's floors, and the decisions that rest on them.
//!
//! All of it is pure: no file is read here and no clock; `now` and every fact are arguments. A no is a [`Refusal`](crate::event::Refusal),
//! a value with its reason and the way out. Names `document` and `event`, no other room.
//!
//! | file | what it says |
//! |---|---|
//! | `settings`, `reading`, `table` | `.hms` → [`Settings`], each mistake with its line and column |
//! | `known` | which keys there are; `docs/settings.md` is held to it |
//! | `model`, `canary`, `canonical` | [`Policy`], its defaults, its text and hash (`docs/decisions.md` 8.1) |
//! | `difference` | what a commit would change |
//! | `operator`, `notify` | the operator's file and its floors (8.3) |
//! | `supplied` | variables that the operator supplies, and protected refs |
//! | `people`, `promotion` | who said yes, and whether that is enough |
//! | `scan_gate`, `freeze`, `moment`, `place`, `descent` | the other rules that can say no |
//! | `recurrence`, `wall` | days that come again, and what a clock shows in a zone |

mod canary;
mod canonical;
mod descent;
mod difference;
mod freeze;
mod known;
mod model;
mod moment;
mod near;
mod notify;
mod operator;
mod people;
mod period;
mod place;
mod problem;
mod promotion;
mod reading;
mod recurrence;
mod scan_gate;
mod settings;
mod supplied;
mod table;
mod together;
mod wall;

pub use canary::{After, AfterHarm, Canary, JudgeRules, OnHarm, PassOn, Slo, Unwatched};
pub use canonical::{BadPolicyText, StoredPolicy};
pub use descent::{Ancestry, outdated};
pub use difference::{Difference, difference};
pub use freeze::{FreezeFacts, FreezeState, FreezeWindow, Span, breakers, freeze_at, frozen};
pub use known::{MAPPINGS, Mapping};
pub use model::{
    Advisories, Environment, Level, Local, Metrics, MetricsSource, Migrate, OwnMetric, Policy, Registry, Rollback, Scan, Target, Together,
    Traffic, Version, VersionBump,
};
pub use moment::{BadMoment, Moment};
pub use notify::{NotifySink, NotifyWay};
pub use operator::{Floors, Includes, MetricsAccess, Operator, OwnerProblem, RemoteOrigin, apply_floors, check_owner_mode, may_be_let_in};
pub use people::{count_people, same_person};
pub use period::{BadPeriod, Period};
pub use place::{Placed, Protection, may_deploy_environment, resolve_environment};
pub use problem::Problem;
pub use promotion::{GivenYes, Judgement, PromotionFacts, count_yeses, may_promote};
pub use recurrence::{BadRecurrence, Recurrence};
pub use scan_gate::scan_gate;
pub use settings::{Image, Settings, Watch, WatchOn};
pub use supplied::{Asker, ProtectedRefs, RunRef, Shape, SuppliedVariable, ValueSource, is_like, is_protected};
pub use wall::{BadZone, Zone};
