//! From the tree of `.hms` to [`Policy`], each value checked where it stands.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::freeze::FreezeWindow;
use super::period::share;
use super::table::Table;
use super::{
    Advisories, After, AfterHarm, Canary, Environment, JudgeRules, Level, Local, Metrics, MetricsSource, OnHarm, OwnMetric, PassOn, Period,
    Policy, Problem, Registry, Rollback, Scan, Slo, Target, Traffic, Unwatched, Version, VersionBump, known, together,
};
use crate::event::{EnvironmentName, Weight};

/// Reads all of `.hms` that is policy.
pub(super) fn policy(table: &Table<'_>) -> Result<Policy, Problem> {
    let defaults = Policy::default();
    let policy = Policy {
        policy_format: defaults.policy_format,
        app: table.parsed("app")?,
        registry: registry(table)?,
        environments: environments(table)?,
        traffic: traffic(table)?,
        metrics: metrics(table)?,
        canary: canary(table)?,
        scan: scan(table)?,
        rollback: rollback(table)?,
        version: version(table)?,
        freeze: freeze(table, "freeze")?,
        local: local(table)?,
        slot_timeout: table.parsed("slot_timeout")?.unwrap_or(defaults.slot_timeout),
    };
    together::fits(table, &policy)?;
    together::apart(table, &policy)?;
    Ok(policy)
}

fn registry(table: &Table<'_>) -> Result<Option<Registry>, Problem> {
    if table.node("registry").is_none() {
        return Ok(None);
    }
    let registry = table.table("registry", &known::REGISTRY)?;
    let image = image_name(&registry)?;
    let keep = registry.parsed("keep")?.unwrap_or(5);
    registry.must("keep", keep >= 1, "at least the release that runs is kept")?;
    Ok(Some(Registry { image, keep }))
}

/// An image's name without a tag.
pub(super) fn image_name(table: &Table<'_>) -> Result<String, Problem> {
    let image = required(table, "image")?;
    let last = image.rsplit('/').next().unwrap_or_default();
    table.must("image", !image.contains(char::is_whitespace) && !image.contains("://"), "is no image name")?;
    table.must("image", !last.contains([':', '@']), "leave the tag out: each release has its own")?;
    Ok(image)
}

fn environments(table: &Table<'_>) -> Result<BTreeMap<EnvironmentName, Environment>, Problem> {
    let Some(node) = table.node("environments") else { return Ok(BTreeMap::new()) };
    let all = Table::open(node, &table.path_of("environments"))?;
    let mut read = BTreeMap::new();
    for (key, place, node, path) in all.rows() {
        let name: EnvironmentName = key.parse().map_err(|error| Problem::new(place, format!("{error}")))?;
        let environment = environment(&name, &Table::of(node, &path, &known::ENVIRONMENT)?)?;
        read.insert(name, environment);
    }
    for (key, place, _, path) in all.rows() {
        let Some(Environment::Arm { of }) = read.iter().find(|(name, _)| name.as_str() == key).map(|(_, environment)| environment) else {
            continue;
        };
        let is_place = matches!(read.get(of), Some(Environment::Place { .. })) || (!read.contains_key(of) && of.as_str() == "prod");
        if !is_place {
            return Err(Problem::new(place, format!("`{path}` is an arm of `{of}`, which is no environment with a place")));
        }
    }
    Ok(read)
}

fn environment(name: &EnvironmentName, table: &Table<'_>) -> Result<Environment, Problem> {
    let of: Option<EnvironmentName> = table.parsed("of")?;
    let of = match of {
        None if name.as_str() == "canary" => Some("prod".parse().map_err(|error| Problem::new(table.place, format!("{error}")))?),
        of => of,
    };
    if let Some(of) = of {
        for key in known::ENVIRONMENT.keys.iter().filter(|key| **key != "of") {
            table.must(key, table.node(key).is_none(), &format!("this is the canary arm of `{of}`; set it there"))?;
        }
        table.must("of", name.as_str() == "canary", "the canary's arm is named `canary`; other names are places of their own")?;
        return Ok(Environment::Arm { of });
    }
    let words = [("local", Target::Local), ("kubernetes", Target::Kubernetes)];
    let target = table.choice("target", &words)?.unwrap_or(Target::Local);
    let (context, namespace) = (table.text("context")?, table.text("namespace")?);
    for (key, value) in [("context", &context), ("namespace", &namespace)] {
        let (good, message) = match target {
            Target::Kubernetes => (value.is_some(), "a cluster's environment names it, so that nobody's kubeconfig decides"),
            Target::Local => (value.is_none(), "only an environment with `target: kubernetes` has one"),
        };
        table.must(key, good, message)?;
    }
    let approvals = table.parsed("approvals")?.unwrap_or(0);
    table.must("approvals", approvals <= 20, "at most 20")?;
    let protected = table.truth("protected")?.unwrap_or(name.as_str() == "prod");
    let workload = workload(table)?;
    let together = together::together(table, workload.as_deref())?;
    let migrate = together::migrate(table)?;
    let (containers, take_over) = (table.parsed_list("containers")?, table.parsed_list("take_over")?);
    let own_traffic = traffic(table)?;
    for key in ["workload", "containers", "take_over", "together", "migrate", "traffic"] {
        let fits = target == Target::Kubernetes || table.node(key).is_none();
        table.must(key, fits, "only an environment with `target: kubernetes` has one")?;
    }
    Ok(Environment::Place {
        target,
        context,
        namespace,
        workload,
        containers,
        take_over,
        together,
        migrate: migrate.map(Box::new),
        traffic: own_traffic.map(Box::new),
        protected,
        approvals,
    })
}

/// A workload by kind and name.
pub(super) fn workload(table: &Table<'_>) -> Result<Option<String>, Problem> {
    let workload = table.text("workload")?;
    if let Some(workload) = &workload {
        let known = workload
            .split_once('/')
            .is_some_and(|(kind, name)| ["deployment", "statefulset", "daemonset"].contains(&kind) && !name.is_empty());
        table.must("workload", known, "write deployment/NAME, statefulset/NAME or daemonset/NAME")?;
    }
    Ok(workload)
}

fn traffic(table: &Table<'_>) -> Result<Option<Traffic>, Problem> {
    if table.node("traffic").is_none() {
        return Ok(None);
    }
    let routers = ["httproute", "ingress", "virtualservice", "traefikservice"];
    let traffic = table.table("traffic", &known::TRAFFIC)?;
    let named = routers.iter().filter(|router| traffic.node(router).is_some()).count();
    traffic.must("httproute", named == 1, "name one router: httproute, ingress, virtualservice or traefikservice")?;
    let read = Traffic {
        httproute: traffic.text("httproute")?,
        ingress: traffic.text("ingress")?,
        virtualservice: traffic.text("virtualservice")?,
        traefikservice: traffic.text("traefikservice")?,
        stable: required(&traffic, "stable")?,
        canary: required(&traffic, "canary")?,
    };
    traffic.must("canary", read.canary != read.stable, "is the service of the stable arm too")?;
    Ok(Some(read))
}

fn metrics(table: &Table<'_>) -> Result<Metrics, Problem> {
    let metrics = table.table("metrics", &known::METRICS)?;
    let defaults = Metrics::default();
    let (mut servers, mut endpoints) = (addresses(&metrics, "prometheus")?.into_iter(), addresses(&metrics, "scrape")?.into_iter());
    let (source, fallbacks) = match (servers.next(), endpoints.next()) {
        (Some(_), Some(_)) => return Err(metrics.problem("scrape", "there is `prometheus` too: choose one")),
        (Some(address), None) => (MetricsSource::Prometheus(address), servers.collect()),
        (None, Some(address)) => (MetricsSource::Scrape(address), endpoints.collect()),
        (None, None) => (defaults.source, Vec::new()),
    };
    let pods = metrics.text("pods")?;
    metrics.must("pods", pods.as_ref().is_none_or(|labels| !labels.trim().is_empty()), "say by which labels, as app=shop")?;
    metrics.must("pods", pods.is_none() || source == MetricsSource::Target, "there is another source too: choose one")?;
    let source = pods.map_or(source, MetricsSource::Pods);
    Ok(Metrics {
        source,
        fallbacks,
        requests: metrics.text("requests")?.unwrap_or(defaults.requests),
        latency: metrics.text("latency")?.unwrap_or(defaults.latency),
        version_label: metrics.text("version_label")?.unwrap_or(defaults.version_label),
        own: own_metrics(&metrics)?,
    })
}

fn own_metrics(metrics: &Table<'_>) -> Result<BTreeMap<String, OwnMetric>, Problem> {
    let Some(node) = metrics.node("own") else { return Ok(BTreeMap::new()) };
    let all = Table::open(node, &metrics.path_of("own"))?;
    let requests = metrics.text("requests")?.unwrap_or_else(|| Metrics::default().requests);
    let elsewhere = ["prometheus", "scrape", "pods"].iter().any(|key| metrics.node(key).is_some());
    let mut read = BTreeMap::new();
    for (name, place, node, path) in all.rows() {
        let good = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
        let taken = ["requests", "errors", "latency", "slow"].contains(&name);
        if taken || name.is_empty() || name.len() > 63 || !name.chars().all(good) {
            let why = if taken { "hms has a metric of that name itself" } else { "a name has letters, digits, `-` and `_`, at most 63" };
            return Err(Problem::new(place, format!("`{}`: {why}", path.escape_debug())));
        }
        let own = Table::of(node, &path, &known::OWN)?;
        read.insert(name.to_owned(), own_metric(&own, &requests)?);
        let needs = ["bad", "all", "latency"].into_iter().find(|key| own.node(key).is_some());
        if let Some(key) = needs.filter(|_| !elsewhere) {
            let why =
                "set `prometheus`, `scrape` or `pods`: the target's own metrics tell statuses and durations of all requests, and no others";
            return Err(own.problem(key, why));
        }
    }
    Ok(read)
}

fn own_metric(own: &Table<'_>, requests: &str) -> Result<OwnMetric, Problem> {
    let slo = own.read("slo", share)?.unwrap_or_default();
    own.must("slo", own.node("slo").is_some(), "say which share of it may be bad")?;
    own.must("slo", slo > 0.0 && slo < 1.0, "between 0% and 100%, both excluded: no number of events proves 0%")?;
    let (status, bad, all, latency) = (own.text("status")?, own.text("bad")?, own.text("all")?, own.text("latency")?);
    let slower_than: Option<Period> = own.parsed("slower_than")?;
    own.must("all", all.is_none() || bad.is_some(), "is what `bad` is a part of, and there is no `bad`")?;
    own.must("slower_than", slower_than.is_none() || latency.is_some(), "is a limit of `latency`, and there is none")?;
    match (status, bad, latency) {
        (Some(status), None, None) => {
            own.must("status", is_status(&status), "write a class, as 4xx, or a code, as 429")?;
            Ok(OwnMetric::Status { status: status.to_lowercase(), slo })
        }
        (None, Some(bad), None) => {
            // A counter is born with its first event: one of another name that is never there looks like one without a bad event.
            let of_requests = name_of(&bad) == name_of(requests);
            own.must("all", all.is_some() || of_requests, "say what `bad` is a part of: it is no part of `metrics.requests`")?;
            Ok(OwnMetric::Ratio { bad, all, slo })
        }
        (None, None, Some(latency)) => {
            let slower_than = slower_than.filter(|limit| *limit > Period::ZERO);
            let slower_than = slower_than.ok_or_else(|| own.problem("slower_than", "say what is slow: a duration above 0"))?;
            Ok(OwnMetric::Latency { latency, slower_than, slo })
        }
        _ => Err(own.problem("slo", "say what is bad: one of `status`, `bad` and `latency`")),
    }
}

/// The metric's name in a selector.
fn name_of(selector: &str) -> &str {
    selector.split('{').next().unwrap_or_default().trim()
}

/// A class of statuses, or a code.
fn is_status(text: &str) -> bool {
    let class = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX"));
    let is_class = class.is_some_and(|class| ["1", "2", "3", "4", "5"].contains(&class));
    is_class || text.parse::<u16>().is_ok_and(|code| (100..600).contains(&code))
}

/// An address, or a list of them.
fn addresses(table: &Table<'_>, key: &str) -> Result<Vec<String>, Problem> {
    let texts: Vec<String> = table.parsed_list(key)?;
    let read = |text: &String| address(text).map_err(|message| table.problem(key, message));
    texts.iter().map(read).collect()
}

fn judge(canary: &Table<'_>) -> Result<JudgeRules, Problem> {
    let defaults = JudgeRules::default();
    let level = |key: &str, default: f64| {
        let level = canary.read(key, share)?.unwrap_or(default);
        canary.must(key, level > 0.0 && level < 1.0, "between 0% and 100%, both excluded")?;
        Ok::<_, Problem>(level)
    };
    let tolerance = canary.read("share_tolerance", share)?;
    canary.must("share_tolerance", tolerance.is_none_or(|tolerance| tolerance < 1.0), "below 100%: it is a part of the share")?;
    let burst = canary.parsed("burst")?.unwrap_or(defaults.burst);
    canary.must("burst", burst >= 1, "at least 1: a request by itself")?;
    let words = [("relative", PassOn::Relative), ("absolute", PassOn::Absolute), ("either", PassOn::Either)];
    Ok(JudgeRules {
        pass_on: canary.choice("pass_on", &words)?.unwrap_or(defaults.pass_on),
        alpha: level("alpha", defaults.alpha)?,
        beta: level("beta", defaults.beta)?,
        min_requests: canary.parsed("min_requests")?,
        min_bad_events: canary.parsed("min_bad_events")?.unwrap_or(defaults.min_bad_events),
        burst,
        share_tolerance: tolerance.or(defaults.share_tolerance),
    })
}

/// How production is watched after a promotion.
fn after(canary: &Table<'_>, steps: &[Weight]) -> Result<Option<After>, Problem> {
    if canary.node("after").is_none() {
        return Ok(None);
    }
    let table = canary.table("after", &known::AFTER)?;
    let watch: Period = table.parsed("watch")?.unwrap_or(Period::ZERO);
    table.must("watch", watch > Period::ZERO, "say for how long, above 0: without `after` nothing is watched")?;
    let holdback: Option<Weight> = table.parsed("holdback")?;
    let last = steps.last().copied().unwrap_or(Weight::ZERO);
    let room = |held: Weight| held > Weight::ZERO && held.thousandths() + last.thousandths() <= Weight::FULL.thousandths();
    table.must("holdback", holdback.is_none_or(room), "above 0%, and no more than the last of `steps` leaves to stable")?;
    let usual = if holdback.is_some() { AfterHarm::Rollback } else { AfterHarm::Tell };
    let on_harm = table.choice("on_harm", &[("rollback", AfterHarm::Rollback), ("tell", AfterHarm::Tell)])?.unwrap_or(usual);
    Ok(Some(After { watch, holdback, on_harm }))
}

fn canary(table: &Table<'_>) -> Result<Canary, Problem> {
    let canary = table.table("canary", &known::CANARY)?;
    let defaults = Canary::default();
    let slo = canary.table("slo", &known::SLO)?;
    let (p95, error_rate) = (slo.parsed::<Period>("p95")?, slo.read("error_rate", share)?.unwrap_or(defaults.slo.error_rate));
    slo.must("p95", p95 != Some(Period::ZERO), "nothing is that fast")?;
    slo.must("error_rate", error_rate > 0.0 && error_rate < 1.0, "between 0% and 100%, both excluded: no number of requests proves 0%")?;
    let mut steps: Vec<Weight> = canary.parsed_list("steps")?;
    if canary.node("steps").is_none() {
        steps = defaults.steps;
    }
    let walked = !steps.is_empty() && steps.iter().all(|step| *step > Weight::ZERO && *step < Weight::FULL);
    canary.must("steps", walked, "one weight or more, above 0% and below 100%")?;
    canary.must("steps", steps.windows(2).all(|pair| pair.first() < pair.last()), "each is larger than the one before")?;
    let interval = canary.parsed("interval")?.unwrap_or(defaults.interval);
    canary.must("interval", (100..=300_000).contains(&interval.milliseconds()), "from 100ms to 5m")?;
    let on_hold = canary.parsed("on_hold")?.unwrap_or(defaults.on_hold);
    canary.must("on_hold", on_hold > Period::ZERO, "above 0: a canary without evidence is held from its first moment")?;
    Ok(Canary {
        slo: Slo { p95, error_rate },
        after: after(&canary, &steps)?,
        steps,
        bake: canary.parsed("bake")?.unwrap_or(defaults.bake),
        on_harm: canary.choice("on_harm", &[("rollback", OnHarm::Rollback), ("hold", OnHarm::Hold)])?.unwrap_or(defaults.on_harm),
        on_hold,
        unwatched: canary
            .choice("unwatched", &[("keep", Unwatched::Keep), ("rollback", Unwatched::Rollback)])?
            .unwrap_or(defaults.unwatched),
        warm_up: canary.parsed("warm_up")?.unwrap_or(defaults.warm_up),
        interval,
        judge: judge(&canary)?,
    })
}

fn scan(table: &Table<'_>) -> Result<Scan, Problem> {
    let scan = table.table("scan", &known::SCAN)?;
    let defaults = Scan::default();
    Ok(Scan {
        gate: scan.choice("gate", &Level::WORDS)?.unwrap_or(defaults.gate),
        advisories: advisories(&scan)?.unwrap_or(defaults.advisories),
    })
}

/// Reads whether packages must be looked up.
pub(super) fn advisories(table: &Table<'_>) -> Result<Option<Advisories>, Problem> {
    table.choice("advisories", &[("required", Advisories::Required), ("optional", Advisories::Optional)])
}

fn rollback(table: &Table<'_>) -> Result<Rollback, Problem> {
    let rollback = table.table("rollback", &known::ROLLBACK)?;
    let delay = rollback.parsed("delay")?.unwrap_or(Rollback::default().delay);
    rollback.must("delay", delay <= Period::from_seconds(10), "10s at most: it is time that users pay for")?;
    Ok(Rollback { delay })
}

fn version(table: &Table<'_>) -> Result<Version, Problem> {
    let version = table.table("version", &known::VERSION)?;
    let words = [("conventional", VersionBump::Conventional), ("patch", VersionBump::Patch), ("none", VersionBump::None)];
    Ok(Version { bump: version.choice("bump", &words)?.unwrap_or(Version::default().bump) })
}

/// Reads a list of freeze windows.
pub(super) fn freeze(table: &Table<'_>, key: &str) -> Result<Vec<FreezeWindow>, Problem> {
    let mut windows = Vec::new();
    for (node, path) in table.list(key) {
        let window = Table::of(node, &path, &known::FREEZE)?;
        let from = window.parsed("from")?.ok_or_else(|| window.problem("from", "say when it begins"))?;
        let to = window.parsed("to")?.ok_or_else(|| window.problem("to", "say when it ends"))?;
        let break_glass = window.parsed("break_glass")?.unwrap_or(1);
        window.must("break_glass", break_glass <= 20, "at most 20")?;
        let read = FreezeWindow {
            from,
            to,
            reason: window.text("reason")?.unwrap_or_else(|| "freeze".to_owned()),
            zone: window.parsed("zone")?,
            rule: window.parsed("rrule")?,
            break_glass,
        };
        if let Some((key, fault)) = read.fault() {
            return Err(window.problem(key, fault));
        }
        windows.push(read);
    }
    Ok(windows)
}

fn local(table: &Table<'_>) -> Result<Local, Problem> {
    let local = table.table("local", &known::LOCAL)?;
    let bad = |_| "write an address and a port, as 127.0.0.1:8080";
    let listen: SocketAddr = local.read("listen", |text| text.parse().map_err(bad))?.unwrap_or(Local::default().listen);
    local.must("listen", listen.ip().is_loopback(), "the local target serves this machine alone: give a loopback address")?;
    Ok(Local { listen })
}

pub(super) fn required(table: &Table<'_>, key: &str) -> Result<String, Problem> {
    let text = table.text(key)?.unwrap_or_default();
    table.must(key, !text.trim().is_empty(), "is missing")?;
    Ok(text)
}

/// Reads an address of HTTP. It is part of a text that is shown and kept, so it holds no password.
fn address(text: &str) -> Result<String, &'static str> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).ok_or("it must start with http:// or https://")?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.contains('@') {
        return Err("it must hold no credentials: they belong in the operator's file");
    }
    if host.is_empty() || text.contains(char::is_whitespace) {
        return Err("it names no host");
    }
    Ok(text.to_owned())
}
