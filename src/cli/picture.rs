//! What waits for what, as a picture: in the terminal, as Mermaid, as DOT. Pure.

use std::collections::HashMap;
use std::fmt::Write;

use crate::event::JobName;
use crate::pipeline::{Job, Plan};
use crate::text::plain;

/// More lines beside each other than a terminal shows.
const LANE_LIMIT: usize = 40;

/// Lanes go down from each job to those that need it; a job without `needs` waits for the stages above it.
pub(crate) fn terminal(plan: &Plan) -> String {
    let uses = uses(plan);
    let mut lanes: Vec<Option<(&JobName, usize)>> = Vec::new();
    let mut out = String::new();
    for job in in_order(plan) {
        while lanes.last().is_some_and(Option::is_none) {
            lanes.pop();
        }
        let needs: Vec<&JobName> = job.needs.iter().flatten().map(|need| &need.job).collect();
        let mut line = String::new();
        let mut joined = false;
        for lane in &mut lanes {
            let fill = if joined { '─' } else { ' ' };
            let (mark, after) = match lane {
                Some((producer, left)) if needs.contains(producer) => {
                    *left -= 1;
                    joined = true;
                    (if *left == 0 { '╰' } else { '├' }, '─')
                }
                Some(_) if joined => ('┼', '─'),
                Some(_) => ('│', ' '),
                None => (fill, fill),
            };
            line.extend([mark, after]);
            if matches!(lane, Some((_, 0))) {
                *lane = None;
            }
        }
        let after = if job.needs.is_none() && job.stage_index > 0 { " (after the stages above)" } else { "" };
        let _ = writeln!(out, "{line}● {} [{}]{after}", plain(job.name.as_str()), plain(&job.stage));
        if let Some(count) = uses.get(&job.name).filter(|_| lanes.len() < LANE_LIMIT) {
            lanes.push(Some((&job.name, *count)));
        }
    }
    out
}

/// How many jobs need each one by name.
fn uses(plan: &Plan) -> HashMap<&JobName, usize> {
    let mut uses = HashMap::new();
    for need in plan.jobs.iter().flat_map(|job| job.needs.iter().flatten()) {
        *uses.entry(&need.job).or_default() += 1;
    }
    uses
}

/// Each job after all that it needs; else as in the plan.
fn in_order(plan: &Plan) -> Vec<&Job> {
    let mut done: std::collections::HashSet<&JobName> = std::collections::HashSet::new();
    let mut order = Vec::with_capacity(plan.jobs.len());
    let mut rest: Vec<&Job> = plan.jobs.iter().collect();
    while !rest.is_empty() {
        let before = rest.len();
        rest.retain(|job| {
            let ready = job.needs.iter().flatten().all(|need| done.contains(&need.job));
            if ready {
                done.insert(&job.name);
                order.push(*job);
            }
            !ready
        });
        // A plan has no circle; were there one, the rest is shown as it stands.
        if rest.len() == before {
            order.append(&mut rest);
        }
    }
    order
}

/// Mermaid's `graph`. A stage's end is a point of its own, so that jobs without `needs` have one line and not one for each job before them.
pub(crate) fn mermaid(plan: &Plan) -> String {
    let name = |text: &str| plain(text).replace('"', "#quot;");
    let mut out = String::from("graph LR\n");
    for (index, stage) in plan.stages.iter().enumerate() {
        let _ = writeln!(out, "  subgraph s{index}[\"{}\"]", name(stage));
        for (at, job) in plan.jobs.iter().enumerate().filter(|(_, job)| job.stage_index == index) {
            let _ = writeln!(out, "    j{at}[\"{}\"]", name(job.name.as_str()));
        }
        out.push_str("  end\n");
    }
    for edge in edges(plan) {
        let _ = match edge {
            Edge::Need(from, to) => writeln!(out, "  j{from} --> j{to}"),
            Edge::Stage(stage, to) => writeln!(out, "  s{stage} -.-> j{to}"),
        };
    }
    out
}

/// Graphviz's `digraph`.
pub(crate) fn dot(plan: &Plan) -> String {
    let name = |text: &str| plain(text).replace('\\', "\\\\").replace('"', "\\\"");
    let mut out = String::from("digraph pipeline {\n  rankdir=LR; compound=true; node [shape=box];\n");
    for (index, stage) in plan.stages.iter().enumerate() {
        let _ = writeln!(out, "  subgraph cluster_{index} {{ label=\"{}\";", name(stage));
        for (at, job) in plan.jobs.iter().enumerate().filter(|(_, job)| job.stage_index == index) {
            let _ = writeln!(out, "    j{at} [label=\"{}\"];", name(job.name.as_str()));
        }
        out.push_str("  }\n");
    }
    for edge in edges(plan) {
        let _ = match edge {
            Edge::Need(from, to) => writeln!(out, "  j{from} -> j{to};"),
            Edge::Stage(stage, to) => {
                let from = plan.jobs.iter().rposition(|job| job.stage_index == stage).unwrap_or_default();
                writeln!(out, "  j{from} -> j{to} [style=dotted, ltail=cluster_{stage}];")
            }
        };
    }
    out.push_str("}\n");
    out
}

/// What a job waits for: another by name, or a whole stage.
enum Edge {
    Need(usize, usize),
    Stage(usize, usize),
}

fn edges(plan: &Plan) -> Vec<Edge> {
    let index: HashMap<&JobName, usize> = plan.jobs.iter().enumerate().map(|(at, job)| (&job.name, at)).collect();
    let mut edges = Vec::new();
    for (to, job) in plan.jobs.iter().enumerate() {
        match (&job.needs, job.stage_index.checked_sub(1)) {
            (Some(needs), _) => edges.extend(needs.iter().filter_map(|need| Some(Edge::Need(*index.get(&need.job)?, to)))),
            (None, Some(before)) => edges.push(Edge::Stage(before, to)),
            (None, None) => {}
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{PlanInputs, ReadOptions, plan, read};

    fn planned(text: &str) -> Plan {
        let reading = read(text.as_bytes(), &ReadOptions::default());
        plan(&reading.pipeline.unwrap(), &PlanInputs::default()).unwrap()
    }

    const FILE: &str = "stages: [build, test, go]\na: {stage: build, script: x}\nb: {stage: build, script: x}\nc: {stage: test, script: x, needs: [a]}\nd: {stage: test, script: x, needs: [a, b]}\ne: {stage: go, script: x}\n";

    #[test]
    fn lanes_go_to_what_needs_them() {
        let expected = "\
● a [build]
│ ● b [build]
├─┼─● c [test]
╰─╰─● d [test]
● e [go] (after the stages above)
";
        assert_eq!(terminal(&planned(FILE)), expected);
    }

    #[test]
    fn pictures_for_other_programs() {
        let plan = planned(FILE);
        let mermaid = mermaid(&plan);
        for line in ["graph LR", "  subgraph s1[\"test\"]", "    j2[\"c\"]", "  j0 --> j2", "  s1 -.-> j4"] {
            assert!(mermaid.lines().any(|found| found == line), "{line}\n{mermaid}");
        }
        let dot = dot(&plan);
        for line in ["  j0 -> j2;", "  j3 -> j4 [style=dotted, ltail=cluster_1];", "    j2 [label=\"c\"];"] {
            assert!(dot.lines().any(|found| found == line), "{line}\n{dot}");
        }
        let quoted = planned("'a\"b': {script: x}\n");
        assert!(super::dot(&quoted).contains("label=\"a\\\"b\"") && super::mermaid(&quoted).contains("a#quot;b"));
    }
}
