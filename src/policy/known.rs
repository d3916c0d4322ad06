//! Which keys a mapping of settings may have: one table, for the readers and for whoever holds `docs/settings.md` to them.

/// A mapping of settings whose keys are all named here; the readers take no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// Where it may stand, as problems name it: `.hms…` in a pipeline file, `config…` in the operator's. `NAME` is any name, `[]` any item of a list.
    pub paths: &'static [&'static str],
    /// Its keys.
    pub keys: &'static [&'static str],
}

macro_rules! mappings {
    ($($name:ident at [$($path:literal),+] has [$($key:literal),+];)+) => {
        $(pub(super) const $name: Mapping = Mapping { paths: &[$($path),+], keys: &[$($key),+] };)+

        /// All of them.
        pub const MAPPINGS: &[Mapping] = &[$($name),+];
    };
}

mappings! {
    SETTINGS at [".hms"] has [
        "app", "watch", "start", "image", "registry", "environments", "traffic", "metrics", "canary", "scan", "rollback", "version", "freeze",
        "local", "slot_timeout", "policy_format"
    ];
    WATCH at [".hms.watch"] has ["branches", "on", "fetch"];
    IMAGE at [".hms.image"] has ["base", "entrypoint", "folder", "platform"];
    REGISTRY at [".hms.registry"] has ["image", "keep"];
    ENVIRONMENT at [".hms.environments.NAME"] has [
        "of", "target", "context", "namespace", "workload", "containers", "take_over", "together", "migrate", "traffic", "protected",
        "approvals"
    ];
    MIGRATE at [".hms.environments.NAME.migrate"] has ["command", "cronjob", "timeout"];
    TOGETHER at [".hms.environments.NAME.together[]"] has ["workload", "containers", "image", "stable", "canary"];
    TRAFFIC at [".hms.traffic", ".hms.environments.NAME.traffic"] has ["httproute", "ingress", "virtualservice", "traefikservice", "stable", "canary"];
    METRICS at [".hms.metrics"] has ["prometheus", "scrape", "pods", "requests", "latency", "version_label", "own"];
    OWN at [".hms.metrics.own.NAME"] has ["status", "bad", "all", "latency", "slower_than", "slo"];
    CANARY at [".hms.canary"] has [
        "slo", "steps", "bake", "on_harm", "on_hold", "unwatched", "warm_up", "interval", "pass_on", "alpha", "beta", "min_requests",
        "min_bad_events", "burst", "share_tolerance", "after"
    ];
    AFTER at [".hms.canary.after"] has ["watch", "holdback", "on_harm"];
    SLO at [".hms.canary.slo", "config.floors.slo"] has ["p95", "error_rate"];
    SCAN at [".hms.scan", "config.floors.scan"] has ["gate", "advisories"];
    ROLLBACK at [".hms.rollback"] has ["delay"];
    VERSION at [".hms.version"] has ["bump"];
    FREEZE at [".hms.freeze[]", "config.floors.freeze[]"] has ["from", "to", "zone", "rrule", "break_glass", "reason"];
    LOCAL at [".hms.local"] has ["listen"];
    OPERATOR at ["config"] has ["floors", "jobs", "includes", "state", "metrics", "variables", "protected_refs", "notify"];
    FLOORS at ["config.floors"] has ["approvals", "protected", "scan", "slo", "bake", "freeze"];
    JOBS at ["config.jobs"] has ["environment"];
    VARIABLE at ["config.variables.NAME"] has [
        "command", "path", "environment", "timeout", "type", "protected", "repositories", "jobs", "environments"
    ];
    PROTECTED_REFS at ["config.protected_refs"] has ["branches", "tags"];
    INCLUDES at ["config.includes"] has ["projects", "templates", "remote"];
    REMOTE at ["config.includes.remote[]"] has ["origin", "ca"];
    NOTIFY at ["config.notify[]"] has ["on", "command", "post", "bearer_file", "ca"];
    ACCESS at ["config.metrics[]"] has ["origin", "bearer_file", "user", "password_file", "ca", "headers"];
}
