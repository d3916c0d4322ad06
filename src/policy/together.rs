//! Workloads that are released together, what is run before them, and that no two environments share one.

use super::reading::{image_name, required, workload};
use super::table::Table;
use super::{Environment, Migrate, Period, Policy, Problem, Target, Together, known};

/// Reads the workloads that every release goes to beside `leading`.
pub(super) fn together(table: &Table<'_>, leading: Option<&str>) -> Result<Vec<Together>, Problem> {
    let mut all: Vec<Together> = Vec::new();
    for (node, path) in table.list("together") {
        let one = Table::of(node, &path, &known::TOGETHER)?;
        let name = required(&one, "workload")?;
        workload(&one)?;
        let is_twice = leading == Some(name.as_str()) || all.iter().any(|known| known.workload == name);
        one.must("workload", !is_twice, "is released with this environment already")?;
        let (stable, canary) = (one.text("stable")?, one.text("canary")?);
        one.must("canary", canary.is_some() == stable.is_some(), "name both services, `stable` and `canary`, or none")?;
        one.must("canary", canary.is_none() || canary != stable, "is the service of the stable arm too")?;
        let containers = one.parsed_list("containers")?;
        let image = one.text("image")?.map(|_| image_name(&one)).transpose()?;
        all.push(Together { workload: name, containers, image, stable, canary });
    }
    Ok(all)
}

/// Reads what is run before a release comes up.
pub(super) fn migrate(table: &Table<'_>) -> Result<Option<Migrate>, Problem> {
    if table.node("migrate").is_none() {
        return Ok(None);
    }
    let migrate = table.table("migrate", &known::MIGRATE)?;
    let (command, cronjob): (Vec<String>, _) = (migrate.parsed_list("command")?, migrate.text("cronjob")?);
    migrate.must("command", command.is_empty() != cronjob.is_none(), "name one: `command`, or the `cronjob` whose job it is")?;
    let timeout = migrate.parsed("timeout")?.unwrap_or(Period::from_seconds(10 * 60));
    migrate.must("timeout", timeout >= Period::from_seconds(1), "a second at least")?;
    Ok(Some(Migrate { command, cronjob, timeout }))
}

/// Services are split by a router, each by its own entry, and a workload stands once.
pub(super) fn fits(table: &Table<'_>, policy: &Policy) -> Result<(), Problem> {
    let Some(node) = table.node("environments") else { return Ok(()) };
    let all = Table::open(node, &table.path_of("environments"))?;
    for (name, place, ..) in all.rows() {
        let Some(settings) = policy.environments.iter().find(|(known, _)| known.as_str() == name).map(|(_, settings)| settings) else {
            continue;
        };
        let Environment::Place { together, .. } = settings else { continue };
        let problem = |what: String| Err(Problem::new(place, format!("`{name}` {what}")));
        let Some(things) = things(policy, settings) else { continue };
        if let Some(twice) =
            things.all.iter().enumerate().find_map(|(index, one)| things.all.iter().take(index).find(|other| *other == one))
        {
            return problem(format!("releases to {twice} twice"));
        }
        if let Some(one) = together.iter().find(|one| one.stable.is_some() && !things.is_routed) {
            return problem(format!("names services of {}, and no router that splits between them", one.workload));
        }
    }
    Ok(())
}

/// Two environments of one namespace share nothing that a release of one changes: it would be in the other too.
pub(super) fn apart(table: &Table<'_>, policy: &Policy) -> Result<(), Problem> {
    let Some(node) = table.node("environments") else { return Ok(()) };
    let all = Table::open(node, &table.path_of("environments"))?;
    for (index, (name, place, ..)) in all.rows().enumerate() {
        for (other, ..) in all.rows().take(index) {
            let find = |name: &str| policy.environments.iter().find(|(known, _)| known.as_str() == name).map(|(_, settings)| settings);
            let Some(what) = find(name).zip(find(other)).and_then(|(one, other)| shared(policy, one, other)) else { continue };
            let problem = Problem::new(place, format!("`{name}` and `{other}` are in one namespace and share {what}"));
            return Err(
                problem.hint("a release of one would change the other: give each its own `workload`, and its own `traffic` under its name")
            );
        }
    }
    Ok(())
}

/// What a release of an environment changes on a cluster.
struct Things {
    place: (Option<String>, Option<String>),
    /// In words: workloads, the router, services.
    all: Vec<String>,
    is_routed: bool,
}

fn things(policy: &Policy, settings: &Environment) -> Option<Things> {
    let Environment::Place { target: Target::Kubernetes, context, namespace, workload, together, traffic, .. } = settings else {
        return None;
    };
    let traffic = traffic.as_deref().or(policy.traffic.as_ref());
    let leading = workload.clone().or_else(|| policy.app.as_ref().map(|app| format!("deployment/{app}")));
    let mut all = vec![leading.unwrap_or_else(|| "the app's own deployment".to_owned())];
    all.extend(together.iter().map(|one| one.workload.clone()));
    let mut services = Vec::new();
    if let Some(traffic) = traffic {
        all.push(traffic.router());
        services.extend([traffic.stable.clone(), traffic.canary.clone()]);
    }
    services.extend(together.iter().flat_map(|one| one.stable.clone().into_iter().chain(one.canary.clone())));
    all.extend(services.iter().map(|service| format!("the service {service}")));
    Some(Things { place: (context.clone(), namespace.clone()), all, is_routed: traffic.is_some() })
}

/// What two places share, in words; none when it is nothing.
fn shared(policy: &Policy, one: &Environment, other: &Environment) -> Option<String> {
    let (one, other) = things(policy, one).zip(things(policy, other))?;
    if one.place != other.place {
        return None;
    }
    one.all.into_iter().find(|thing| other.all.contains(thing))
}
