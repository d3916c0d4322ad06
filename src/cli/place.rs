//! Where a verb that needs no run acts: the app, its target, what a name means there. And that no job acts through it.

use std::collections::BTreeSet;
use std::io::{Write, sink};
use std::path::Path;
use std::time::Duration;

use crate::deploy::{AnyTarget, Target, TargetError};
use crate::event::{
    Actor, AppName, AppRecord, Digest, EnvironmentName, EnvironmentRecord, Refusal, RefusalKind, ReleaseRef, TargetIdentity,
};
use crate::ledger::{Entry, Ledger, LedgerError, LedgerPlaces, OnFault, Phase};
use crate::policy::{Environment as Setting, Placed, Policy, Settings, Target as Kind, resolve_environment};
use crate::rollout::wired::{ClusterName, Home, Targets};
use crate::store::{self, now, this_inside_run};
use crate::text::plain;

use super::environment::{Environment, actor, environment_variable};
use super::failure::{Exit, Failure};
use super::pipeline_file::read_settings;
use super::run_new::Clone;

/// How long a refusal waits for the ledger's lock.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(2);

/// The app that is meant: the one named, else the one of the repository around `at`.
pub(crate) fn app_of(given: Option<&AppName>, at: Option<&Path>) -> Result<AppName, Failure> {
    if let Some(app) = given {
        return Ok(app.clone());
    }
    match Clone::find(at) {
        Ok(clone) => Ok(app_of_clone(&clone)),
        Err(_) => Err(Failure::new(Exit::Usage, "no repository is here, so the app must be named").hint("--app NAME")),
    }
}

/// The app of a clone: what `.hms` of its HEAD says, else the folder's name. A file that cannot be read names no app.
pub(crate) fn app_of_clone(clone: &Clone) -> AppName {
    settings_at_head(clone).map_or_else(|| clone.repository.app_name_default(), |settings| clone.app(&settings))
}

/// What `.hms` of a clone's HEAD says, when there is a pipeline file and that is right.
pub(crate) fn settings_at_head(clone: &Clone) -> Option<Settings> {
    let revision = clone.repository.head().ok()??;
    let bytes = clone.repository.read_file_at(&revision, Path::new(".hms-ci.yml")).ok()??;
    read_settings(".hms-ci.yml", &bytes, &mut sink()).ok()
}

/// The targets of an app, under what is in force at its home as far as it can be read.
pub(crate) struct Place {
    /// The target of `prod`, which keeps the policy.
    pub(crate) target: AnyTarget,
    pub(crate) record: AppRecord,
    targets: Targets,
    /// For names and addresses alone: the default where none is in force, or none that can be read.
    policy: Policy,
}

impl Place {
    /// Asks the home of an app: the one named, else the one that is known here, else the one that the clone around this folder names.
    pub(crate) async fn find(environment: &Environment, app: &AppName, named: Option<&ClusterName>) -> Result<Self, TargetError> {
        let home = targets(environment, app).at(named.cloned()).home(policy_around(app).as_ref()).await?;
        Self::at(environment, app, named, home).await
    }

    /// Likewise, of a home that is at hand. A policy that cannot be read is no reason not to go on: nothing is decided by this one.
    pub(crate) async fn at(
        environment: &Environment,
        app: &AppName,
        named: Option<&ClusterName>,
        home: AnyTarget,
    ) -> Result<Self, TargetError> {
        let (targets, commits) = (targets(environment, app).at(named.cloned()), policy_around(app));
        let record = home.app_record().await?;
        let stored = record.policy.as_ref().and_then(|accepted| Policy::from_text(&accepted.text).ok());
        let policy = stored.map(|stored| stored.policy).or(commits).unwrap_or_default();
        // A home that a person names stays the one, whatever its policy calls it from elsewhere.
        let target = match (home, named) {
            (AnyTarget::Kubernetes(_), Some(named)) => targets.of_named(&policy, named).await?,
            (AnyTarget::Local(local), _) if is_local(&prod(&policy)) => local.listening_at(policy.local.listen).into(),
            (AnyTarget::Local(_) | AnyTarget::Kubernetes(_), _) => targets.of(&policy, &prod(&policy)).await?,
        };
        Ok(Self { target, record, targets, policy })
    }

    /// What an environment's name means here.
    pub(crate) fn resolve(&self, name: &EnvironmentName) -> Placed {
        resolve_environment(&self.policy, name)
    }

    /// The environments that there are: those that the policy in force names, those that were ever released to, and those that every app
    /// has.
    pub(crate) async fn names(&self) -> Result<BTreeSet<EnvironmentName>, TargetError> {
        let always = ["prod", "canary"].iter().filter_map(|name| name.parse().ok());
        let released = self.target.environments().await?;
        Ok(always.chain(released).chain(self.policy.environments.keys().cloned()).collect())
    }

    /// The target of an environment.
    pub(crate) async fn target_of(&self, environment: &EnvironmentName) -> Result<AnyTarget, TargetError> {
        let (prod, placed) = (prod(&self.policy), self.resolve(environment));
        if placed.settings == prod.settings || is_same_place(&placed, &prod) {
            return Ok(self.target.clone());
        }
        self.targets.of(&self.policy, &placed).await
    }

    /// Every environment that has a record, with its target.
    pub(crate) async fn environments(&self) -> Result<Vec<(EnvironmentName, AnyTarget)>, TargetError> {
        let mut found: Vec<(EnvironmentName, AnyTarget)> = Vec::new();
        for name in self.target.environments().await? {
            found.push((name, self.target.clone()));
        }
        for name in self.policy.environments.keys() {
            let placed = self.resolve(name);
            if placed.environment == *name && !found.iter().any(|(known, _)| known == name) {
                found.push((name.clone(), self.target_of(name).await?));
            }
        }
        Ok(found)
    }

    /// The hash of the policy in force; the default's where none is.
    pub(crate) fn policy_hash(&self) -> Digest {
        self.record.policy.as_ref().map_or_else(|| Policy::default().hash(), |accepted| accepted.hash.clone())
    }

    pub(crate) fn targets(&self) -> &Targets {
        &self.targets
    }
}

fn prod(policy: &Policy) -> Placed {
    resolve_environment(policy, &EnvironmentName::prod())
}

/// Whether both live at one target: on this machine all do.
fn is_same_place(one: &Placed, other: &Placed) -> bool {
    is_local(one) && is_local(other)
}

fn is_local(placed: &Placed) -> bool {
    matches!(placed.settings, Setting::Place { target: Kind::Local, .. })
}

/// Where an app may be released to, as this process sees it.
pub(crate) fn targets(environment: &Environment, app: &AppName) -> Targets {
    Targets::of_app(&environment.places, &environment.program, app, environment_variable)
}

/// The cluster that keeps an app's policy, for a process that is started elsewhere: the one named, else the one that is known here; none
/// for this machine.
pub(crate) fn cluster_of(environment: &Environment, app: &AppName, named: Option<&ClusterName>) -> Result<Option<ClusterName>, Failure> {
    let targets = targets(environment, app).at(named.cloned());
    let commits = policy_around(app);
    // On a thread of its own: the caller may be inside a runtime.
    let known = std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok::<_, Failure>(runtime.block_on(targets.known_home(commits.as_ref()))?)
        });
        asked.join().map_err(|_| Failure::new(Exit::NotCarriedOut, "the app's home could not be looked for"))?
    })?;
    Ok(match known {
        Home::Local => None,
        Home::Kubernetes(name) => Some(name),
    })
}

/// The policy of the clone around this folder, when it is this app's.
pub(crate) fn policy_around(app: &AppName) -> Option<Policy> {
    let clone = Clone::find(None).ok()?;
    let settings = settings_at_head(&clone)?;
    (clone.app(&settings) == *app).then_some(settings.policy)
}

/// Whether a clone is the app's own: by its first commit where the target knows it, else by the name that it gives its app.
pub(crate) fn is_own_clone(clone: &Clone, record: &AppRecord) -> bool {
    match &record.repository {
        Some(repository) => clone.repository.first_commit().ok().flatten().as_ref() == Some(repository),
        None => app_of_clone(clone) == record.app,
    }
}

/// A name that no environment has is a slip of the keys, and is told with those that were meant.
pub(crate) fn no_such_environment(app: &AppName, name: &EnvironmentName, known: &BTreeSet<EnvironmentName>) -> (String, String) {
    let names: Vec<&str> = known.iter().map(EnvironmentName::as_str).collect();
    (format!("{app} has no environment `{name}`"), format!("its environments are {}", names.join(", ")))
}

/// A refusal with what it was about, for the ledger.
pub(crate) struct Refused<'a> {
    pub(crate) verb: &'a str,
    pub(crate) app: Option<&'a AppName>,
    pub(crate) environment: Option<&'a EnvironmentName>,
    pub(crate) digest: Option<&'a Digest>,
}

/// Refuses what a job asks for that only a person may do (`docs/decisions.md` 1.5). Doubt is never a person.
pub(crate) fn outside_run(environment: &Environment, about: &Refused<'_>) -> Result<(), Failure> {
    let why = match this_inside_run(&environment.places.state) {
        store::Inside::No => return Ok(()),
        store::Inside::Yes => "this process is inside a run",
        store::Inside::Unknown => "it cannot be told whether this process is inside a run",
    };
    let refusal = Refusal::new(RefusalKind::InsideRun, format!("{} is an act of a person, and {why}", about.verb))
        .hint("do it from a shell of your own");
    Err(refuse(environment, about, refusal))
}

/// Puts a refusal into the ledger, and gives it as the command's failure.
pub(crate) fn refuse(environment: &Environment, about: &Refused<'_>, refusal: Refusal) -> Failure {
    let mut entry = Entry::new("refuse", Phase::Note, actor(about.verb));
    entry.app = about.app.cloned();
    entry.environment = about.environment.cloned();
    entry.digest = about.digest.cloned();
    entry.reason = Some(format!("{}: {}", about.verb, refusal.message));
    entry.outcome = Some(refusal.kind.word());
    let written = enter(environment, entry, REFUSAL_PATIENCE);
    let failure = Failure::from(refusal);
    match written {
        Ok(_) => failure,
        Err(error) => failure.because(format!("the refusal itself is not in the ledger: {error}")),
    }
}

/// Appends one entry to this user's ledger.
pub(crate) fn enter(environment: &Environment, entry: Entry, patience: Duration) -> Result<u64, LedgerError> {
    let actor = entry.actor.clone();
    Ledger::open(&LedgerPlaces::of(&environment.places), &actor, patience, OnFault::Refuse, now())?.append(entry, now())
}

/// A line on standard error. Nobody may be there to read it.
pub(crate) fn notice(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", plain(text));
}

/// A release as people read it: its tag, its short revision, the beginning of its digest.
pub(crate) fn shown(release: &ReleaseRef) -> String {
    let revision = release.revision.as_ref().map_or("–", |revision| revision.short());
    let digest = release.digest.short();
    if release.tag == revision { format!("{revision}  sha256:{digest}") } else { format!("{}  {revision}  sha256:{digest}", release.tag) }
}

/// The short SHA of a release's commit; its tag when it has none.
pub(crate) fn short(release: &ReleaseRef) -> &str {
    release.revision.as_ref().map_or(release.tag.as_str(), |revision| revision.short())
}

/// A share of requests that went to the canary, 0 to 1, and of how many.
pub(crate) fn measured(served: Option<(u64, u64)>) -> Option<(f64, u64)> {
    let (canary, stable) = served?;
    let all = canary.checked_add(stable).filter(|all| *all > 0)?;
    let small = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    Some((small(canary) / small(all), all))
}

/// The ledger's note of what a person says of a release that is at an environment's target, outside of any rollout.
pub(super) fn note_of_release(kind: &str, actor: Actor, release: &ReleaseRef, record: &EnvironmentRecord, target: TargetIdentity) -> Entry {
    let mut entry = Entry::new(kind, Phase::Note, actor);
    entry.app = Some(record.app.clone());
    entry.environment = Some(record.environment.clone());
    entry.target = Some(target);
    entry.run.clone_from(&release.run);
    entry.tag = Some(release.tag.clone());
    entry.tag_object.clone_from(&release.tag_object);
    entry.revision.clone_from(&release.revision);
    entry.digest = Some(release.digest.clone());
    entry.previous = record.current.as_ref().map(|current| current.digest.clone());
    entry
}
