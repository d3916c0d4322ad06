//! Tests of policy: settings from text, and what follows from them.

#![expect(clippy::expect_used, reason = "helpers of tests: one that cannot go on must stop")]

use hms::document;
use hms::event::{Arm, EnvironmentName};
use hms::policy::{
    Advisories, Difference, Environment, Level, MetricsSource, OnHarm, Period, Policy, Problem, Protection, Settings, Target, WatchOn,
    difference, resolve_environment,
};

/// The settings of the design, as they stand there.
const DESIGN: &str = r#".hms:
  app: irs-api
  watch: { branches: [main], on: commit }     # commit: the local branch moved; push: the remote-tracking ref moved (fetch: 60s to look for it)
  registry: { image: registry.example.gov/irs/irs-api, keep: 5 }
  environments:
    canary: { of: prod }
    prod:   { target: kubernetes, context: onprem-east, namespace: irs, protected: true, approvals: 1 }
  traffic: { httproute: irs-api, stable: irs-api, canary: irs-api-canary }
  metrics:
    prometheus: http://prometheus.monitoring:9090     # or  scrape: http://127.0.0.1:9100/metrics
    requests: http_requests_total{app="irs-api"}
    latency: http_request_duration_seconds{app="irs-api"}
    version_label: version
  canary: { slo: { p95: 250ms, error_rate: 1% }, steps: [1%, 5%, 25%], bake: 10m, on_harm: rollback, on_hold: 30m }
"#;

fn read(text: &str) -> Result<Settings, Problem> {
    let tree = document::parse(text.as_bytes()).expect("YAML");
    Settings::read(tree.get(".hms").expect("a `.hms`"))
}

fn policy(settings: &str) -> Policy {
    read(&format!(".hms:\n  {settings}\n")).expect("settings").policy
}

fn name(text: &str) -> EnvironmentName {
    text.parse().expect("a name")
}

#[test]
fn the_settings_of_the_design_are_read_whole() {
    let settings = read(DESIGN).unwrap();
    let policy = &settings.policy;
    assert_eq!(settings.app().unwrap().as_str(), "irs-api");
    let watch = settings.watch.clone().unwrap();
    assert_eq!((watch.branches, watch.on, watch.fetch), (vec!["main".to_owned()], WatchOn::Commit, None));
    let registry = policy.registry.clone().unwrap();
    assert_eq!((registry.image.as_str(), registry.keep), ("registry.example.gov/irs/irs-api", 5));
    assert_eq!(policy.environments[&name("canary")], Environment::Arm { of: name("prod") });
    let prod = resolve_environment(policy, &name("canary"));
    assert_eq!((prod.environment.as_str(), prod.arm, prod.protection()), ("prod", Arm::Canary, Protection::Protected { approvals: 1 }));
    let Environment::Place { target, context, namespace, .. } = prod.settings else { panic!("an arm") };
    assert_eq!((target, context.as_deref(), namespace.as_deref()), (Target::Kubernetes, Some("onprem-east"), Some("irs")));
    assert_eq!(policy.traffic.clone().unwrap().canary, "irs-api-canary");
    assert_eq!(policy.metrics.source, MetricsSource::Prometheus("http://prometheus.monitoring:9090".to_owned()));
    assert_eq!(policy.metrics.requests, r#"http_requests_total{app="irs-api"}"#);
    assert_eq!(policy.canary.slo.p95, Some(Period::from_milliseconds(250)));
    assert!((policy.canary.slo.error_rate - 0.01).abs() < 1e-12);
    assert_eq!(policy.canary.steps.iter().map(ToString::to_string).collect::<Vec<_>>(), ["1%", "5%", "25%"]);
    assert_eq!((policy.canary.bake, policy.canary.on_harm), (Period::from_seconds(600), OnHarm::Rollback));
    assert_eq!((policy.scan.gate, policy.scan.advisories), (Level::High, Advisories::Required));
    let stored = Policy::from_text(&policy.text()).unwrap();
    assert_eq!((&stored.policy, stored.hash, stored.unknown), (policy, policy.hash(), Vec::new()));
}

#[test]
fn nothing_said_is_the_built_in_policy_with_the_same_hash() {
    for text in [".hms:\n", ".hms: {}\n", ".hms: {watch: {branches: main}}\n", ".hms: {start: node server.js}\n"] {
        assert_eq!(read(text).unwrap().policy.hash(), Policy::default().hash(), "{text}");
    }
    for same in ["scan: {gate: high}", "canary: {bake: 600s, steps: 1%}", "rollback: {delay: 3s}", "local: {listen: 127.0.0.1:8080}"] {
        assert_eq!(policy(same).hash(), Policy::default().hash(), "{same}");
    }
    for other in ["scan: {gate: low}", "app: x", "canary: {unwatched: rollback}", "freeze: {from: Fri 16:00, to: Mon 08:00}"] {
        assert_ne!(policy(other).hash(), Policy::default().hash(), "{other}");
    }
}

#[test]
fn metrics_of_ones_own_are_policy_and_keep_their_text() {
    let own = policy(
        "metrics: {scrape: 'http://a', own: {client_errors: {status: 4XX, slo: 5%}, jobs: {all: jobs_total, bad: 'jobs_total{r=\"x\"}', slo: 1%}, search: {latency: search_seconds, slower_than: 500ms, slo: 5%}}}",
    );
    let stored = Policy::from_text(&own.text()).unwrap();
    assert_eq!((&stored.policy, stored.hash, stored.unknown), (&own, own.hash(), Vec::new()));
    assert!(own.text().contains(r#""client_errors":{"slo":0.05,"status":"4xx"}"#), "{}", own.text());
    let paths: Vec<String> = difference(&policy("metrics: {scrape: 'http://a'}"), &own).into_iter().map(|one| one.path).collect();
    assert_eq!(paths, ["metrics.own"]);
}

/// Without the key a text, and its hash, are what they were before there was one.
#[test]
fn what_follows_a_promotion_is_policy_and_says_itself_whole() {
    assert!(!Policy::default().text().contains("after"), "{}", Policy::default().text());
    for (said, text) in [
        ("{watch: 10m}", r#""after":{"on_harm":"tell","watch":"10m"}"#),
        ("{watch: 600s, holdback: 5%}", r#""after":{"holdback":0.05,"on_harm":"rollback","watch":"10m"}"#),
        ("{watch: 1h, on_harm: rollback}", r#""after":{"on_harm":"rollback","watch":"1h"}"#),
    ] {
        let read = policy(&format!("canary: {{after: {said}}}"));
        assert!(read.text().contains(text), "{}", read.text());
        let stored = Policy::from_text(&read.text()).unwrap();
        assert_eq!((&stored.policy, stored.hash, stored.unknown), (&read, read.hash(), Vec::new()));
    }
}

/// Settings with a mistake, what is said of it, and what is meant.
const MISTAKES: &[(&str, &str, Option<&str>)] = &[
    ("aprovals: 1", "2:3: `.hms.aprovals` is not known", Some("known here")),
    ("canary: {bak: 1m}", "2:12: `.hms.canary.bak` is not known", Some("did you mean `bake`?")),
    ("canary:\n    slo: {p59: 1s}", "3:11: `.hms.canary.slo.p59` is not known", Some("did you mean `p95`?")),
    ("environments: {prod: {aprovals: 1}}", "2:25: `.hms.environments.prod.aprovals` is not known", Some("did you mean `approvals`?")),
    ("environments: {Prod: {}}", "2:18: environment name `Prod`", None),
    ("canary: {bake: 10}", "2:18: `.hms.canary.bake`: `10` is no duration", None),
    (
        "canary: {on_harm: roll-back}",
        "2:21: `.hms.canary.on_harm`: `roll-back` is not one of rollback, hold",
        Some("did you mean `rollback`?"),
    ),
    ("canary: {after: {}}", "2:19: `.hms.canary.after.watch`: say for how long", None),
    ("canary: {after: {watch: 0s}}", "2:27: `.hms.canary.after.watch`: say for how long", None),
    ("canary: {after: {wach: 1m}}", "2:20: `.hms.canary.after.wach` is not known", Some("did you mean `watch`?")),
    ("canary: {after: {watch: 1m, holdback: 0%}}", "2:41: `.hms.canary.after.holdback`: above 0%", None),
    (
        "canary: {steps: [1%, 60%], after: {watch: 1m, holdback: 50%}}",
        "2:59: `.hms.canary.after.holdback`: above 0%, and no more than the last of `steps` leaves",
        None,
    ),
    ("canary: {after: {watch: 1m, on_harm: hold}}", "2:40: `.hms.canary.after.on_harm`: `hold` is not one of rollback, tell", None),
    ("canary: {steps: [5%, 1%]}", "2:19: `.hms.canary.steps`: each is larger", None),
    ("canary: {steps: [100%]}", "2:19: `.hms.canary.steps`: one weight or more", None),
    ("canary: {steps: []}", "2:19: `.hms.canary.steps`: one weight or more", None),
    ("canary: {steps: [1%, x]}", "2:24: `.hms.canary.steps[1]`: `x` is no share", None),
    ("canary: {slo: {error_rate: 0%}}", "2:30: `.hms.canary.slo.error_rate`: between", None),
    ("canary: {slo: {error_rate: 1}}", "2:30: `.hms.canary.slo.error_rate`: `1` is no share", None),
    ("metrics: {own: {errors: {status: 4xx, slo: 1%}}}", "2:19: `.hms.metrics.own.errors`: hms has a metric of that name", None),
    ("metrics: {own: {x: {status: 4xx}}}", "2:22: `.hms.metrics.own.x.slo`: say which share", None),
    ("metrics: {own: {x: {status: 4xx, slo: 100%}}}", "2:41: `.hms.metrics.own.x.slo`: between", None),
    ("metrics: {own: {x: {status: 6xx, slo: 1%}}}", "2:31: `.hms.metrics.own.x.status`: write a class", None),
    ("metrics: {own: {x: {slo: 1%}}}", "2:28: `.hms.metrics.own.x.slo`: say what is bad", None),
    ("metrics: {own: {x: {status: 4xx, bad: up, slo: 1%}}}", "2:50: `.hms.metrics.own.x.slo`", None),
    ("metrics: {scrape: 'http://a', own: {x: {bad: up, slo: 1%}}}", "2:42: `.hms.metrics.own.x.all`: say what `bad` is a part", None),
    ("metrics: {scrape: 'http://a', own: {x: {latency: up, slo: 1%}}}", "2:42: `.hms.metrics.own.x.slower_than`", None),
    ("metrics: {own: {x: {bad: 'http_requests_total{code=\"404\"}', slo: 1%}}}", "2:28: `.hms.metrics.own.x.bad`: set `prom", None),
    ("metrics: {own: {x: {staus: 4xx, slo: 1%}}}", "2:23: `.hms.metrics.own.x.staus` is not known", Some("did you mean `status`?")),
    ("canary: 1", "2:11: `.hms.canary` must be a mapping, not the number 1", None),
    ("rollback: {delay: 11s}", "2:21: `.hms.rollback.delay`: 10s at most", None),
    ("environments: {prod: {protected: sometimes}}", "2:36: `.hms.environments.prod.protected` must be true or false", None),
    ("environments: {prod: {target: kubernetes}}", "`.hms.environments.prod.context`: a cluster's environment names it", None),
    ("environments: {prod: {namespace: x}}", "`.hms.environments.prod.namespace`: only an environment", None),
    ("environments: {prod: {traffic: {httproute: a, stable: a, canary: b}}}", "`.hms.environments.prod.traffic`: only an env", None),
    ("environments: {canary: {approvals: 1}}", "`.hms.environments.canary.approvals`: this is the canary arm of `prod`", None),
    ("environments: {canary: {of: stage}}", "2:18: `.hms.environments.canary` is an arm of `stage`", None),
    ("environments: {blue: {of: prod}}", "`.hms.environments.blue.of`: the canary's arm is named `canary`", None),
    (
        "environments: {prod: {target: kubernetes, context: c, namespace: n, together: [{workload: cart}]}}",
        "`.hms.environments.prod.together[0].workload`: write deployment/NAME",
        None,
    ),
    (
        "environments: {prod: {target: kubernetes, context: c, namespace: n, together: [{workload: deployment/a, stable: a}]}}",
        "`.hms.environments.prod.together[0].canary`: name both services",
        None,
    ),
    (
        "environments: {prod: {target: kubernetes, context: c, namespace: n, together: [{workload: deployment/a, stable: a, canary: b}]}}",
        "`prod` names services of deployment/a, and no router",
        None,
    ),
    (
        "environments: {prod: {target: kubernetes, context: c, namespace: n, workload: deployment/a, together: [{workload: deployment/a}]}}",
        "`.hms.environments.prod.together[0].workload`: is released with this environment already",
        None,
    ),
    (
        "environments: {prod: {target: kubernetes, context: c, namespace: n, migrate: {timeout: 5m}}}",
        "`.hms.environments.prod.migrate.command`: name one: `command`, or the `cronjob`",
        None,
    ),
    (
        "environments: {prod: {target: kubernetes, context: c, namespace: n, migrate: {command: [a], cronjob: b}}}",
        "`.hms.environments.prod.migrate.command`: name one",
        None,
    ),
    ("environments: {prod: {migrate: {command: [a]}}}", "`.hms.environments.prod.migrate`: only an environment", None),
    ("environments: {prod: {together: [{workload: deployment/a}]}}", "`.hms.environments.prod.together`: only an env", None),
    ("metrics: {prometheus: 'http://u:p@host'}", "`.hms.metrics.prometheus`: it must hold no credentials", None),
    ("metrics: {prometheus: 'http://a', pods: app=shop}", "`.hms.metrics.pods`: there is another source too: choose one", None),
    ("metrics: {pods: ' '}", "`.hms.metrics.pods`: say by which labels", None),
    ("metrics: {scrape: 'file:///etc/passwd'}", "`.hms.metrics.scrape`: it must start with http://", None),
    ("metrics: {prometheus: 'http://a', scrape: 'http://b'}", "`.hms.metrics.scrape`: there is `prometheus` too", None),
    ("registry: {image: a/b:latest}", "`.hms.registry.image`: leave the tag out", None),
    ("registry: {keep: 1}", "`.hms.registry.image`: is missing", None),
    ("local: {listen: 0.0.0.0:80}", "`.hms.local.listen`: the local target serves this machine alone", None),
    ("freeze: [{from: Fri 16:00, to: 2026-12-24T00:00:00Z}]", "`.hms.freeze[0].to`: must come after `from`", None),
    ("freeze: [{from: Friday}]", "`.hms.freeze[0].from`: `Friday` is no moment", None),
    ("watch: {on: push}", "`.hms.watch.branches`: name at least one branch", None),
    ("watch: {branches: ['-x']}", "`.hms.watch.branches`: has a name that no branch can have", None),
    ("start: ''", "`.hms.start`: is empty", None),
    ("app: Irs_API", "2:8: `.hms.app`: app name `Irs_API`", None),
    ("policy_format: 2", "`.hms.policy_format`: this program knows format 1 only", None),
];

#[test]
fn a_mistake_is_named_with_its_place_and_what_was_meant() {
    for (settings, message, hint) in MISTAKES {
        let problem = read(&format!(".hms:\n  {settings}\n")).expect_err(settings);
        assert!(problem.to_string().contains(message), "{settings}: {problem}");
        if let Some(hint) = hint {
            assert!(problem.hint.as_deref().unwrap_or_default().contains(hint), "{settings}: {:?}", problem.hint);
        }
    }
}

/// A release of one environment that takes the traffic of another is the worst that a setting can do.
#[test]
fn two_environments_of_one_namespace_share_nothing_that_a_release_changes() {
    let both = |namespace: &str, staging: &str| {
        let prod = "{target: kubernetes, context: east, namespace: irs}";
        let staging = format!("{{target: kubernetes, context: east, namespace: {namespace}{staging}}}");
        let traffic = "{httproute: irs, stable: irs, canary: irs-canary}";
        read(&format!(".hms:\n  app: irs\n  traffic: {traffic}\n  environments: {{prod: {prod}, staging: {staging}}}\n"))
    };
    let own = |router: &str, stable: &str| format!(", workload: deployment/s, traffic: {{{router}, stable: {stable}, canary: s-canary}}");
    for (staging, what) in [
        (String::new(), "deployment/irs"),
        (", workload: deployment/irs".to_owned(), "deployment/irs"),
        (", workload: deployment/s".to_owned(), "httproute irs"),
        (own("httproute: irs", "s"), "httproute irs"),
        (own("httproute: s", "irs-canary"), "the service irs-canary"),
    ] {
        let problem = both("irs", &staging).expect_err(&staging).to_string();
        assert!(problem.contains("`staging` and `prod` are in one namespace") && problem.contains(what), "{staging}: {problem}");
        both("elsewhere", &staging).unwrap();
    }
    both("irs", &own("httproute: s", "s")).unwrap();
    both("irs", &own("ingress: irs", "s")).unwrap();
}

#[test]
fn what_a_commit_weakens_is_shown_by_its_path() {
    let in_force = policy("environments: {prod: {approvals: 1}}");
    let commits =
        policy("environments: {prod: {approvals: 0}, stage: {}}\n  canary: {slo: {error_rate: 5%}}\n  metrics: {scrape: 'http://x/'}");
    let found = difference(&in_force, &commits);
    let value = |text: &str| Some(text.to_owned());
    let paths: Vec<&str> = found.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(paths, ["canary.slo.error_rate", "environments.prod.approvals", "environments.stage", "metrics.source"]);
    let approvals = Difference { path: "environments.prod.approvals".to_owned(), from: value("1"), to: value("0") };
    assert_eq!(found[1], approvals);
    assert_eq!(found[2].from, None);
    assert_eq!(difference(&in_force, &in_force), []);
    let app = difference(&Policy::default(), &policy("app: other"));
    assert_eq!(app, [Difference { path: "app".to_owned(), from: None, to: value("\"other\"") }]);
}

#[test]
fn two_policies_are_equal_exactly_when_nothing_differs() {
    let texts =
        ["app: a", "slot_timeout: 0", "version: {bump: patch}", "scan: {advisories: optional}", "environments: {prod: {protected: false}}"];
    for one in texts {
        for other in texts {
            let (left, right) = (policy(one), policy(other));
            assert_eq!(difference(&left, &right).is_empty(), left.hash() == right.hash(), "{one} / {other}");
        }
    }
}

#[test]
fn a_blocks_last_line_break_is_not_meant() {
    let settings = read(".hms:\n  start: |\n    exec node server.js\n").unwrap();
    assert_eq!(settings.start.as_deref(), Some("exec node server.js"));
    let problem = read(".hms:\n  start: |\n    one\n    two\n").unwrap_err();
    assert!(problem.to_string().contains("has a control character"), "{problem}");
}
