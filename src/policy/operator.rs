//! The operator's file: floors that no repository lowers, and what belongs to the machine.
//!
//! ```yaml
//! floors:
//!   approvals: 1                 # for every protected environment
//!   protected: [prod, staging]
//!   scan: { gate: high, advisories: required }
//!   slo: { error_rate: 1%, p95: 500ms }
//!   bake: 5m
//!   freeze: [{ from: Fri 16:00, to: Mon 08:00, reason: weekend }]
//! metrics:                       # who may be shown what; each is bound to one origin
//!   - { origin: "https://prometheus.example.gov", bearer_file: /etc/hms/prometheus.token, ca: /etc/hms/ca.pem }
//! jobs: { environment: [CARGO_HOME, RUSTUP_HOME] }
//! variables:                     # masked; a value comes from a command or a file, never from a repository
//!   DEPLOY_TOKEN: { command: [vault, kv, get, -field=token, irs], repositories: [/srv/irs], protected: true, jobs: [deploy*] }
//! protected_refs: { branches: [main, release/*], tags: [v*] }
//! includes:
//!   projects: { group/ci: /srv/checkouts/ci }
//!   templates: /srv/gitlab-templates
//!   remote: [{ origin: "https://files.example.gov", ca: /etc/hms/ca.pem }]
//! state: /var/lib/hms
//! notify: [{ command: [/usr/local/bin/page, irs], on: [harm, unwatched] }]
//! ```
//!
//! `/etc/hms/config.yml`, `$XDG_CONFIG_HOME/hms/config.yml` and `$HMS_CONFIG` are read in this order and joined (`docs/decisions.md` 8.3).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::freeze::FreezeWindow;
use super::notify::{NotifySink, notify};
use super::period::share;
use super::table::Table;
use super::{Advisories, Environment, Level, Period, Policy, Problem, ProtectedRefs, SuppliedVariable, known, reading, supplied};
use crate::document::Node;
use crate::event::EnvironmentName;

/// What the operator says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Operator {
    /// What no repository lowers.
    pub floors: Floors,
    /// Variables of the environment that jobs get, by name.
    pub job_environment: BTreeSet<String>,
    /// Variables that jobs are supplied with, by name.
    pub variables: BTreeMap<String, SuppliedVariable>,
    /// Which refs are protected; none: the default branch.
    pub protected_refs: Option<ProtectedRefs>,
    /// Where included files of elsewhere are read.
    pub includes: Includes,
    /// Where STATE is.
    pub state: Option<PathBuf>,
    /// Who is told of what.
    pub notify: Vec<NotifySink>,
}

/// Checkouts that pipelines may include files of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Includes {
    /// By the project's path, for a component with its host in front.
    pub projects: BTreeMap<String, PathBuf>,
    /// The folder of `include: template`.
    pub templates: Option<PathBuf>,
    /// From where `include: remote` may fetch, when it may not from everywhere.
    pub remote: Option<Vec<RemoteOrigin>>,
}

/// A server that pipelines may include files of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteOrigin {
    /// Scheme, host and port.
    pub origin: String,
    /// Certificate authorities (PEM) that speak for it; none: the system's.
    pub ca: Option<PathBuf>,
}

/// The least that holds, whatever a policy says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Floors {
    /// Yeses beside the first one, at every protected environment.
    pub approvals: Option<u32>,
    /// Environments that are protected.
    pub protected: BTreeSet<EnvironmentName>,
    /// The laxest level of scans.
    pub scan_gate: Option<Level>,
    /// Whether packages must have been looked up.
    pub advisories: Option<Advisories>,
    /// The largest share of failing requests.
    pub error_rate: Option<f64>,
    /// The slowest p95.
    pub p95: Option<Period>,
    /// The shortest watch.
    pub bake: Option<Period>,
    /// Freeze windows beside those of policy.
    pub freeze: Vec<FreezeWindow>,
    /// What servers of metrics may be shown: no floor, but it goes where the floors go, to whoever judges.
    pub metrics: Vec<MetricsAccess>,
}

/// Credentials of one server of metrics. Secrets are in files, which are read when they are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsAccess {
    /// Scheme, host and port; no other is ever shown any of this.
    pub origin: String,
    /// A file with a bearer token.
    pub bearer_file: Option<PathBuf>,
    /// A name, with the file of its password.
    pub basic: Option<(String, PathBuf)>,
    /// Certificate authorities (PEM) that speak for this origin; none: the system's.
    pub ca: Option<PathBuf>,
    /// Headers to send, as a tenant's name.
    pub headers: Vec<(String, String)>,
}

/// A file that somebody else could have written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnerProblem {
    /// It belongs to neither root nor the person.
    #[error("it belongs to uid {0}, neither to root nor to you")]
    Owner(u32),
    /// Its group or everybody may write it.
    #[error("its mode is {0:03o}: others may write it")]
    Writable(u32),
}

/// Checks that only root or the person could have written a file with this owner and mode (the low twelve bits of `st_mode`).
///
/// # Errors
/// When somebody else could have.
pub fn check_owner_mode(owner: u32, mode: u32, own_uid: u32) -> Result<(), OwnerProblem> {
    if owner != 0 && owner != own_uid {
        return Err(OwnerProblem::Owner(owner));
    }
    if mode & 0o022 != 0 {
        return Err(OwnerProblem::Writable(mode & 0o777));
    }
    Ok(())
}

impl Operator {
    /// Reads the root of an operator's file.
    ///
    /// # Errors
    /// At the first key that is not known and the first value that cannot be meant, with its place.
    pub fn read(node: &Node) -> Result<Self, Problem> {
        let table = Table::of(node, "config", &known::OPERATOR)?;
        let jobs = table.table("jobs", &known::JOBS)?;
        let names: Vec<String> = jobs.parsed_list("environment")?;
        jobs.must(
            "environment",
            names.iter().all(|name| may_be_let_in(name)),
            "has something that names no variable, or one of hms's own",
        )?;
        Ok(Self {
            floors: Floors { metrics: metrics(&table)?, ..floors(&table)? },
            job_environment: names.into_iter().collect(),
            variables: supplied::variables(&table)?,
            protected_refs: supplied::protected_refs(&table)?,
            includes: includes(&table)?,
            state: absolute(&table, "state")?,
            notify: notify(&table)?,
        })
    }

    /// Joins what two files say: for each floor the stricter, all variables, and the path, variable and protected refs that
    /// `self`, the earlier file, names.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
        let mut job_environment = self.job_environment;
        job_environment.extend(later.job_environment);
        let mut includes = later.includes;
        includes.projects.extend(self.includes.projects);
        includes.templates = self.includes.templates.or(includes.templates);
        let mut notify = self.notify;
        notify.extend(later.notify);
        includes.remote = self.includes.remote.or(includes.remote);
        let mut variables = later.variables;
        variables.extend(self.variables);
        Self {
            floors: self.floors.and(later.floors),
            job_environment,
            variables,
            protected_refs: self.protected_refs.or(later.protected_refs),
            includes,
            state: self.state.or(later.state),
            notify,
        }
    }
}

impl Floors {
    fn and(mut self, other: Self) -> Self {
        self.protected.extend(other.protected);
        self.freeze.extend(other.freeze);
        // The earlier file's word for an origin counts, as for paths.
        self.metrics.extend(other.metrics);
        Self {
            approvals: self.approvals.max(other.approvals),
            scan_gate: stricter(self.scan_gate, other.scan_gate, Ord::min),
            advisories: stricter(self.advisories, other.advisories, Ord::min),
            error_rate: stricter(self.error_rate, other.error_rate, f64::min),
            p95: stricter(self.p95, other.p95, Ord::min),
            bake: self.bake.max(other.bake),
            ..self
        }
    }
}

fn stricter<T>(one: Option<T>, other: Option<T>, choose: fn(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(choose(one, other)),
        (one, other) => one.or(other),
    }
}

/// A policy as it holds under the floors, and a sentence for each setting that they changed. The policy's hash stays that of the text that was accepted.
#[must_use]
pub fn apply_floors(policy: &Policy, floors: &Floors) -> (Policy, Vec<String>) {
    let mut held = policy.clone();
    let mut notes = Vec::new();
    let mut note = |setting: &str, was: &str, is: &str| notes.push(format!("{setting} is {is} by the operator's floor, not {was}"));
    let named: Vec<EnvironmentName> = floors.protected.iter().cloned().chain("prod".parse().ok()).collect();
    for name in named {
        held.environments.entry(name.clone()).or_insert_with(|| Environment::unnamed(&name));
    }
    for (name, environment) in &mut held.environments {
        let Environment::Place { protected, approvals, .. } = environment else { continue };
        if !*protected && floors.protected.contains(name) {
            *protected = true;
            note(&format!("environments.{name}.protected"), "false", "true");
        }
        let least = floors.approvals.unwrap_or(0);
        if *protected && *approvals < least {
            note(&format!("environments.{name}.approvals"), &approvals.to_string(), &least.to_string());
            *approvals = least;
        }
    }
    // A place that the floors did not change stays unnamed, as it was.
    held.environments.retain(|name, environment| policy.environments.contains_key(name) || *environment != Environment::unnamed(name));
    if let Some(gate) = floors.scan_gate.filter(|gate| *gate < held.scan.gate) {
        note("scan.gate", held.scan.gate.word(), gate.word());
        held.scan.gate = gate;
    }
    if floors.advisories == Some(Advisories::Required) && held.scan.advisories == Advisories::Optional {
        note("scan.advisories", "optional", "required");
        held.scan.advisories = Advisories::Required;
    }
    if let Some(rate) = floors.error_rate.filter(|rate| *rate < held.canary.slo.error_rate) {
        note("canary.slo.error_rate", &held.canary.slo.error_rate.to_string(), &rate.to_string());
        held.canary.slo.error_rate = rate;
    }
    if let Some(p95) = floors.p95.filter(|p95| held.canary.slo.p95.is_none_or(|own| *p95 < own)) {
        let was = held.canary.slo.p95.map_or_else(|| "unset".to_owned(), |own| own.to_string());
        note("canary.slo.p95", &was, &p95.to_string());
        held.canary.slo.p95 = Some(p95);
    }
    if let Some(bake) = floors.bake.filter(|bake| *bake > held.canary.bake) {
        note("canary.bake", &held.canary.bake.to_string(), &bake.to_string());
        held.canary.bake = bake;
    }
    for window in floors.freeze.iter().filter(|window| !policy.freeze.contains(window)) {
        notes.push(format!("frozen {window} by the operator's floor"));
        held.freeze.push(window.clone());
    }
    (held, notes)
}

fn floors(table: &Table<'_>) -> Result<Floors, Problem> {
    let floors = table.table("floors", &known::FLOORS)?;
    let (scan, slo) = (floors.table("scan", &known::SCAN)?, floors.table("slo", &known::SLO)?);
    let approvals: Option<u32> = floors.parsed("approvals")?;
    floors.must("approvals", approvals.is_none_or(|approvals| approvals <= 20), "at most 20")?;
    let error_rate = slo.read("error_rate", share)?;
    slo.must("error_rate", error_rate.is_none_or(|rate| rate > 0.0 && rate < 1.0), "between 0% and 100%, both excluded")?;
    let p95: Option<Period> = slo.parsed("p95")?;
    slo.must("p95", p95 != Some(Period::ZERO), "nothing is that fast")?;
    Ok(Floors {
        approvals,
        protected: floors.parsed_list("protected")?.into_iter().collect(),
        scan_gate: scan.choice("gate", &Level::WORDS)?,
        advisories: reading::advisories(&scan)?,
        error_rate,
        p95,
        bake: floors.parsed("bake")?,
        freeze: reading::freeze(&floors, "freeze")?,
        metrics: Vec::new(),
    })
}

fn metrics(table: &Table<'_>) -> Result<Vec<MetricsAccess>, Problem> {
    let mut all = Vec::new();
    for (node, path) in table.list("metrics") {
        let access = Table::of(node, &path, &known::ACCESS)?;
        let origin =
            access.text("origin")?.ok_or_else(|| access.problem("origin", "say which server this is for, as https://host:port"))?;
        let (bearer_file, user) = (absolute(&access, "bearer_file")?, access.text("user")?);
        let password_file = absolute(&access, "password_file")?;
        access.must("password_file", user.is_some() == password_file.is_some(), "`user` and `password_file` come together")?;
        access.must("bearer_file", bearer_file.is_none() || user.is_none(), "there is `user` too: choose one")?;
        let mut headers = Vec::new();
        if let Some(node) = access.node("headers") {
            let table = Table::open(node, &access.path_of("headers"))?;
            for (name, ..) in table.rows() {
                headers.push((name.to_owned(), table.text(name)?.unwrap_or_default()));
            }
        }
        all.push(MetricsAccess { origin, bearer_file, basic: user.zip(password_file), ca: absolute(&access, "ca")?, headers });
    }
    Ok(all)
}

fn includes(table: &Table<'_>) -> Result<Includes, Problem> {
    let table = table.table("includes", &known::INCLUDES)?;
    let mut projects = BTreeMap::new();
    if let Some(node) = table.node("projects") {
        let named = Table::open(node, &table.path_of("projects"))?;
        for (project, ..) in named.rows() {
            if let Some(path) = absolute(&named, project)? {
                projects.insert(project.to_owned(), path);
            }
        }
    }
    Ok(Includes { projects, templates: absolute(&table, "templates")?, remote: remote(&table)? })
}

fn remote(table: &Table<'_>) -> Result<Option<Vec<RemoteOrigin>>, Problem> {
    if table.node("remote").is_none() {
        return Ok(None);
    }
    let mut all = Vec::new();
    for (node, path) in table.list("remote") {
        let named = Table::of(node, &path, &known::REMOTE)?;
        let wanted = || named.problem("origin", "say which server, as https://host or https://host:port");
        let origin = named.text("origin")?.ok_or_else(wanted)?;
        let host = origin.strip_prefix("https://").ok_or_else(wanted)?;
        named.must("origin", !host.is_empty() && !host.contains(['/', '@', '?', '#']), "write https://host:port, without a path")?;
        all.push(RemoteOrigin { origin, ca: absolute(&named, "ca")? });
    }
    Ok(Some(all))
}

pub(super) fn absolute(table: &Table<'_>, key: &str) -> Result<Option<PathBuf>, Problem> {
    let path = table.text(key)?.map(PathBuf::from);
    table.must(key, path.as_ref().is_none_or(|path| path.is_absolute()), "write the whole path, from /")?;
    Ok(path)
}

/// Whether a variable of this name may be let in from the environment: a name, and none whose value in a job is hms's to say (`PATH`,
/// `HOME`, `CI…`, `HMS_…`).
#[must_use]
pub fn may_be_let_in(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let named = !name.is_empty() && !name.starts_with(|one: char| one.is_ascii_digit()) && name.bytes().all(plain);
    named && !matches!(name, "PATH" | "HOME") && !["CI", "HMS_"].iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(text: &str) -> Operator {
        Operator::read(&crate::document::parse(text.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn only_root_and_the_person_may_have_written_it() {
        assert_eq!(check_owner_mode(0, 0o644, 1000), Ok(()));
        assert_eq!(check_owner_mode(1000, 0o600, 1000), Ok(()));
        assert_eq!(check_owner_mode(1001, 0o600, 1000), Err(OwnerProblem::Owner(1001)));
        assert_eq!(check_owner_mode(1000, 0o664, 1000), Err(OwnerProblem::Writable(0o664)));
        assert_eq!(check_owner_mode(0, 0o646, 1000).unwrap_err().to_string(), "its mode is 646: others may write it");
    }

    #[test]
    fn the_stricter_wins_whichever_side_it_is_on() {
        let floors = operator(
            "floors: {approvals: 1, protected: [staging], scan: {gate: medium, advisories: required}, slo: {error_rate: 2%, p95: 300ms}, bake: 5m}",
        )
        .floors;
        let mut lax = Policy::default();
        lax.scan.gate = Level::None;
        lax.scan.advisories = Advisories::Optional;
        lax.canary.bake = Period::from_seconds(1);
        let (held, notes) = apply_floors(&lax, &floors);
        assert_eq!((held.scan.gate, held.scan.advisories), (Level::Medium, Advisories::Required));
        assert_eq!((held.canary.bake, held.canary.slo.p95), (Period::from_seconds(300), Some(Period::from_milliseconds(300))));
        assert!((held.canary.slo.error_rate - 0.01).abs() < 1e-12, "the policy was stricter");
        for name in ["prod", "staging"] {
            let placed = super::super::resolve_environment(&held, &name.parse().unwrap());
            assert_eq!(placed.protection(), super::super::Protection::Protected { approvals: 1 }, "{name}");
        }
        assert_eq!(notes.len(), 7, "{notes:#?}");
        let (again, more) = apply_floors(&held, &floors);
        assert_eq!((again, more), (held, Vec::new()));
        assert_eq!(apply_floors(&lax, &Floors::default()), (lax, Vec::new()));
    }

    #[test]
    fn files_are_joined_and_the_first_names_the_paths() {
        let root = operator("floors: {approvals: 1, slo: {error_rate: 1%}}\nstate: /var/lib/hms\njobs: {environment: [A]}");
        let own = operator("floors: {slo: {error_rate: 5%}, bake: 1h}\nstate: /home/x\njobs: {environment: B}");
        let joined = root.and(own);
        assert_eq!(joined.floors.error_rate, Some(0.01));
        assert_eq!((joined.floors.approvals, joined.floors.bake), (Some(1), Some(Period::from_seconds(3600))));
        assert_eq!(joined.state, Some(PathBuf::from("/var/lib/hms")));
        assert_eq!(joined.job_environment.into_iter().collect::<Vec<_>>(), ["A", "B"]);
        let shown = operator(concat!(
            "metrics:\n- {origin: 'https://p', bearer_file: /t, ca: /c, headers: {X-Scope-OrgID: shop}}\n",
            "- {origin: 'https://q', user: hms, password_file: /p}",
        ));
        let accesses = shown.floors.metrics;
        assert_eq!((accesses[0].bearer_file.as_deref(), accesses[0].headers.len()), (Some(std::path::Path::new("/t")), 1));
        assert_eq!(accesses[1].basic, Some(("hms".to_owned(), PathBuf::from("/p"))));
        for bad in [
            "metrics: {bearer_file: /t}",
            "metrics: {origin: 'https://p', user: hms}",
            "metrics: {origin: 'https://p', token: x}",
            "metrics: {origin: 'https://p', bearer_file: t}",
            "state: here",
            "jobs: {environment: [1A]}",
            "jobs: {environment: [HMS_ATTEMPT_X]}",
            "jobs: {environment: [PATH]}",
            "jobs: {environment: [HOME]}",
            "jobs: {environment: [CI_COMMIT_SHA]}",
            "floor: {}",
            "floors: {approval: 1}",
        ] {
            let tree = crate::document::parse(bad.as_bytes()).unwrap();
            assert!(Operator::read(&tree).is_err(), "{bad}");
        }
    }
}
