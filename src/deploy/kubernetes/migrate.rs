//! What is run once for a release before it comes up anywhere: a Job by the release's name (`docs/decisions.md` 20.17).
//!
//! The Job stays: that it is through is how the next one knows. It never gets traffic, as none of its pods' labels are the workload's.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::access::Trouble;
use super::arm::with_images;
use super::diagnosis::{Finding, Hope};
use super::effects::{Hands, impossible};
use super::names;
use super::object::{Kind, Object, Objects};
use super::place::{ClusterPlace, Migration, Work};
use super::workload::{images_by_container, template};
use crate::deploy::{ReleaseImage, ReleaseRecord, TargetError};
use crate::event::Digest;

pub(super) const JOB: Kind = Kind { group: "batch", version: "v1", name: "Job", plural: "jobs" };
pub(super) const CRON_JOB: Kind = Kind { group: "batch", version: "v1", name: "CronJob", plural: "cronjobs" };
/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// How long a finding that waiting does not mend must stand.
const STANDS: Duration = Duration::from_secs(3);
/// How much longer than its own deadline a Job is waited for: its controller says that it is over.
const GRACE: Duration = Duration::from_secs(30);

/// How far a Job is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Running,
    Through,
    /// Why, in the cluster's words.
    Failed(String),
}

fn state(job: &Object) -> State {
    let conditions = job.at("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let text = |one: &Value, key: &str| one.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    for one in conditions.filter(|one| text(one, "status") == "True") {
        match text(one, "type").as_str() {
            "Complete" => return State::Through,
            "Failed" => return State::Failed(format!("{} ({})", text(one, "message"), text(one, "reason"))),
            _ => {}
        }
    }
    State::Running
}

impl Hands<'_> {
    /// Runs what is to run before a release comes up, unless that was done for it: then the Job says so. Nothing that serves changes.
    pub(super) async fn migrate(&self, stable: &Object, record: &ReleaseRecord) -> Result<(), TargetError> {
        let target = self.target;
        let Some(migration) = &target.migration else { return Ok(()) };
        let jobs = Objects::of(&target.access, JOB);
        let name = names::migration_object(target.place.workload.name(), &record.release.digest);
        let held = target.records.environment(self.environment).await?.slot.map(|slot| slot.rollout.to_string());
        let there = match jobs.get(&name).await? {
            Some(job) => {
                job.admit(&self.fence)?;
                match state(&job) {
                    State::Through => {
                        (self.say)(format!("job {name} is through: {} was migrated already", record.release.tag));
                        return Ok(());
                    }
                    // Whoever takes up this rollout does not do it again; a rollout that somebody began anew does.
                    State::Failed(why) if held.is_some() && job.annotation(names::ROLLOUT) == held.as_deref() => {
                        return Err(self.told(&job, migration, &why).await);
                    }
                    State::Failed(_) => {
                        (self.say)(format!("job {name} failed before, and is run anew"));
                        jobs.delete(&job).await?;
                        self.until_deleted(&jobs, &job).await?;
                        None
                    }
                    State::Running => Some(job),
                }
            }
            None => None,
        };
        let job = if let Some(job) = there {
            job
        } else {
            let body = self.job(stable, record, migration, held.as_deref()).await?;
            (self.say)(format!("job {name} runs {} before {} comes up", migration.work, record.release.tag));
            match jobs.create(&name, body).await {
                Ok(job) => job,
                // Another process of this rollout, or its own call whose answer was lost.
                Err(Trouble::Conflict { .. } | Trouble::Silent { .. }) => jobs.need(&name).await?,
                Err(trouble) => return Err(trouble.into()),
            }
        };
        self.until_through(&jobs, job, migration).await
    }

    /// The Job of a release, in the release's image.
    async fn job(
        &self,
        stable: &Object,
        record: &ReleaseRecord,
        migration: &Migration,
        rollout: Option<&str>,
    ) -> Result<Value, TargetError> {
        let target = self.target;
        let images = target.images_for(record);
        let mut spec = match &migration.work {
            Work::Command(command) => by_command(&target.place, &template(stable), &images, command)?,
            Work::CronJob(name) => {
                let cron = Objects::of(&target.access, CRON_JOB).get(name).await?.ok_or_else(|| {
                    impossible(format!("the cronjob {name} is not in {} (hint: `migrate.cronjob` in .hms names it)", target.access.name()))
                })?;
                by_cron_job(&target.place, &cron, &images)?
            }
        };
        let labels = names::labels(&target.app, Some(self.environment));
        for (key, value) in &labels {
            spec["template"]["metadata"]["labels"][key.as_str()] = json!(value);
        }
        if spec.get("activeDeadlineSeconds").is_none() {
            spec["activeDeadlineSeconds"] = json!(migration.timeout.as_secs().max(1));
        }
        let mut notes = json!({names::RELEASE: record.release.digest.to_string(), self.fence.name.as_str(): self.fence.number.to_string()});
        for (key, value) in
            [(names::ROLLOUT, rollout.map(str::to_owned)), (names::RUN, record.release.run.as_ref().map(ToString::to_string))]
        {
            if let Some(value) = value {
                notes[key] = json!(value);
            }
        }
        Ok(json!({"metadata": {"labels": labels, "annotations": notes}, "spec": spec}))
    }

    async fn until_deleted(&self, jobs: &Objects, job: &Object) -> Result<(), TargetError> {
        let deadline = Instant::now() + GRACE;
        while jobs.get(&job.name()).await?.is_some_and(|there| there.uid() == job.uid()) {
            if Instant::now() > deadline {
                return Err(TargetError::Unreachable { reason: format!("job {} does not end", job.name()) });
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    async fn until_through(&self, jobs: &Objects, mut job: Object, migration: &Migration) -> Result<(), TargetError> {
        let (name, began) = (job.name(), Instant::now());
        let seconds = job.number("/spec/activeDeadlineSeconds").and_then(|seconds| u64::try_from(seconds).ok());
        let deadline = began + seconds.map_or(migration.timeout, Duration::from_secs) + GRACE;
        let mut hopeless: Option<(String, Instant)> = None;
        loop {
            match state(&job) {
                State::Through => {
                    (self.say)(format!("job {name} is through after {} s", began.elapsed().as_secs()));
                    return Ok(());
                }
                State::Failed(why) => return Err(self.told(&job, migration, &why).await),
                State::Running => {}
            }
            if let Some((finding, lines)) = self.target.why_not_up(&pods(&job)).await {
                let text = finding.to_string();
                let since = hopeless.as_ref().filter(|(known, _)| *known == text).map_or_else(Instant::now, |(_, since)| *since);
                if finding.hope == Hope::None && since.elapsed() >= STANDS {
                    // What never began is not to begin when nobody looks any more.
                    jobs.delete(&job).await?;
                    return Err(failed(&name, migration, &text, lines));
                }
                if hopeless.as_ref().is_none_or(|(known, _)| *known != text) {
                    (self.say)(text.clone());
                }
                hopeless = Some((text, since));
            }
            if Instant::now() > deadline {
                return Err(failed(&name, migration, &format!("it is not through after {} s", began.elapsed().as_secs()), Vec::new()));
            }
            // It goes on without whoever was superseded: half a migration is worse than a whole one.
            self.admit().await?;
            tokio::time::sleep(LOOK).await;
            job = jobs.get(&name).await?.ok_or_else(|| impossible(format!("job {name} was deleted while it ran")))?;
        }
    }

    /// Why a Job failed: its pod's own reason and last lines where there are any.
    async fn told(&self, job: &Object, migration: &Migration, why: &str) -> TargetError {
        let own = self.target.why_not_up(&pods(job)).await;
        let say = |finding: &Finding| format!("pod {}: {}", finding.pod, finding.what);
        match own {
            Some((finding, lines)) => failed(&job.name(), migration, &format!("{}; {why}", say(&finding)), lines),
            None => failed(&job.name(), migration, why, Vec::new()),
        }
    }
}

fn failed(job: &str, migration: &Migration, why: &str, last_lines: Vec<String>) -> TargetError {
    let reason = format!("job {job}, which runs {} first, failed, and nothing of the release came up: {why}", migration.work);
    TargetError::StartFailed { reason, last_lines }
}

fn pods(job: &Object) -> String {
    format!("job-name={}", job.name())
}

/// A Job of one container of the workload's own: environment, mounts and account as there, another command, no probes and no ports.
fn by_command(place: &ClusterPlace, current: &Value, images: &[ReleaseImage], command: &[String]) -> Result<Value, TargetError> {
    let by_container = images_by_container(place, current, images)?;
    let next = with_images(current, &by_container).map_err(impossible)?;
    let mut pod = next.pointer("/spec").cloned().unwrap_or_else(|| json!({}));
    let mut containers = pod.get("containers").and_then(Value::as_array).into_iter().flatten();
    let own = containers.find(|one| one.get("name").and_then(Value::as_str).is_some_and(|name| by_container.contains_key(name)));
    let Some(mut own) = own.cloned() else {
        return Err(impossible(format!("no container of {} gets the release's image, so nothing can be run in it", place.workload)));
    };
    if let Some(own) = own.as_object_mut() {
        for field in ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "ports", "args"] {
            own.remove(field);
        }
        own.insert("command".to_owned(), json!(command));
    }
    // Those beside it would never end, and the Job with them. What runs before it may be what it needs.
    pod["containers"] = json!([own]);
    pod["restartPolicy"] = json!("Never");
    Ok(json!({"backoffLimit": 0, "template": {"metadata": {"labels": {}}, "spec": pod}}))
}

/// The job of a `CronJob`, with the release's image where it has the release's.
fn by_cron_job(place: &ClusterPlace, cron: &Object, images: &[ReleaseImage]) -> Result<Value, TargetError> {
    let mut spec = cron.at("/spec/jobTemplate/spec").cloned().unwrap_or_else(|| json!({}));
    if let Some(spec) = spec.as_object_mut() {
        // It is to be there when somebody asks whether it was.
        spec.remove("ttlSecondsAfterFinished");
        spec.remove("suspend");
        spec.entry("backoffLimit").or_insert_with(|| json!(0));
    }
    let pod = spec.get("template").cloned().unwrap_or(Value::Null);
    let has = |name: &String| {
        let all = ["/spec/containers", "/spec/initContainers"].into_iter().filter_map(|list| pod.pointer(list)?.as_array()).flatten();
        all.into_iter().any(|one| one.get("name").and_then(Value::as_str) == Some(name))
    };
    // Policy names the workload's containers; of those that are not here nothing is said.
    let containers = place.containers.iter().filter(|name| has(name)).cloned().collect();
    let by_container = images_by_container(&ClusterPlace { containers, ..place.clone() }, &pod, images)?;
    spec["template"] = with_images(&pod, &by_container).map_err(impossible)?;
    Ok(spec)
}

impl super::KubernetesTarget {
    /// Takes the Job of a release away that is kept no more.
    pub(super) async fn forget_migration(&self, release: &Digest) -> Result<(), TargetError> {
        if self.migration.is_none() {
            return Ok(());
        }
        let jobs = Objects::of(&self.access, JOB);
        match jobs.get(&names::migration_object(self.place.workload.name(), release)).await? {
            Some(job) => Ok(jobs.delete(&job).await?),
            None => Ok(()),
        }
    }

    /// The line that a preview has for what is run first; none where there is nothing, or it was run.
    pub(super) async fn would_migrate(&self, release: &Digest) -> Result<Option<String>, TargetError> {
        let Some(migration) = &self.migration else { return Ok(None) };
        let name = names::migration_object(self.place.workload.name(), release);
        let there = Objects::of(&self.access, JOB).get(&name).await?;
        let is_done = there.is_some_and(|job| state(&job) == State::Through);
        Ok((!is_done).then(|| format!("+ job {name}: runs {} before anything comes up", migration.work)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::workload::tests::place;
    use super::*;

    fn images() -> Vec<ReleaseImage> {
        vec![ReleaseImage { workload: None, container: None, reference: "r/shop@sha256:aa".to_owned(), tag: None }]
    }

    #[test]
    fn a_command_runs_in_the_container_that_is_released_and_gets_no_traffic() {
        let pod = json!({"metadata": {"labels": {"app": "shop"}}, "spec": {"serviceAccountName": "shop", "restartPolicy": "Always",
            "initContainers": [{"name": "wait", "image": "r/wait:1"}],
            "containers": [{"name": "proxy", "image": "r/proxy:1"},
                {"name": "shop", "image": "r/shop:1", "args": ["serve"], "env": [{"name": "A", "value": "b"}], "ports": [{"containerPort": 80}],
                    "readinessProbe": {}, "lifecycle": {}, "volumeMounts": [{"name": "ca", "mountPath": "/ca"}]}]}});
        let spec = by_command(&place(&[]), &pod, &images(), &["migrate".to_owned(), "up".to_owned()]).unwrap();
        assert_eq!(
            spec["template"],
            json!({"metadata": {"labels": {}}, "spec": {"serviceAccountName": "shop", "restartPolicy": "Never",
                "initContainers": [{"name": "wait", "image": "r/wait:1"}],
                "containers": [{"name": "shop", "image": "r/shop@sha256:aa", "command": ["migrate", "up"],
                    "env": [{"name": "A", "value": "b"}], "volumeMounts": [{"name": "ca", "mountPath": "/ca"}]}]}})
        );
        assert_eq!(spec["backoffLimit"], 0);
    }

    #[test]
    fn a_cron_jobs_job_is_taken_as_it_is_with_the_releases_image() {
        let cron = |spec: Value| {
            Object::from_value(json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "m"},
                "spec": {"schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": {"spec": spec}}}))
        };
        let pod = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "m", "image": "r/shop:1"}, {"name": "log", "image": "r/log:1"}]}});
        let spec =
            by_cron_job(&place(&["web"]), &cron(json!({"ttlSecondsAfterFinished": 60, "backoffLimit": 2, "template": pod})), &images());
        let mut expected = json!({"backoffLimit": 2, "template": pod});
        expected["template"]["spec"]["containers"][0]["image"] = json!("r/shop@sha256:aa");
        assert_eq!(spec.unwrap(), expected);
        let foreign = json!({"template": {"spec": {"containers": [{"name": "a", "image": "r/a:1"}, {"name": "b", "image": "r/b:1"}]}}});
        let refused = by_cron_job(&place(&[]), &cron(foreign), &images()).unwrap_err().to_string();
        assert!(refused.contains("which container"), "{refused}");
    }

    #[test]
    fn a_job_is_over_when_its_condition_says_so() {
        let job = |kind: &str, status: &str| {
            let condition =
                json!({"type": kind, "status": status, "reason": "BackoffLimitExceeded", "message": "Job has reached the limit"});
            state(&Object::from_value(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "m"},
                "status": {"conditions": [condition]}})))
        };
        assert_eq!(job("Complete", "True"), State::Through);
        assert_eq!(job("Complete", "False"), State::Running);
        assert_eq!(job("FailureTarget", "True"), State::Running, "its pods may still run");
        assert_eq!(job("Failed", "True"), State::Failed("Job has reached the limit (BackoffLimitExceeded)".to_owned()));
    }
}
