//! What is run for a release before it comes up: once, in its image, and nothing of it is there when that fails.

use hms::deploy::kubernetes::{Migration, Work};

use super::*;

/// A job that nobody runs by itself.
const CRON_JOB: &str = r#"
apiVersion: batch/v1
kind: CronJob
metadata: {name: shop-migrate}
spec:
  schedule: "0 0 1 1 *"
  suspend: true
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          initContainers:
          - name: wait
            image: 127.0.0.1:5000/app:v3
            env: [{name: JOB, value: 50ms}]
          containers:
          - name: migrate
            image: 127.0.0.1:5000/IMAGE:v1
            env: [{name: JOB, value: 200ms}]
"#;

impl Cluster {
    fn migrating(&self, work: Work) -> KubernetesTarget {
        self.target.clone().migrating(Some(Migration { work, timeout: Duration::from_mins(1) }))
    }

    /// Name, uid and image of each job.
    fn jobs(&self) -> String {
        let path =
            "{range .items[*]}{.metadata.name} {.metadata.uid} {.spec.template.spec.containers[*].image} {.status.succeeded}{\"\\n\"}{end}";
        self.kubectl(&["get", "jobs", "-o", &format!("jsonpath={path}")])
    }

    fn stamp(&self, what: &str, path: &str) -> String {
        self.kubectl(&["get", what, "-o", &format!("jsonpath={path}")])
    }
}

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn a_release_is_migrated_once_in_its_own_image_before_it_comes_up() {
    let folder = folder();
    let _gateway = GATEWAY.read().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let cluster = Cluster::new(&folder).await;
        let two = cluster.bring(cluster.release("two", &["VERSION=two"])).await;
        kubectl(&folder, &["-n", &cluster.namespace, "apply", "-f", "-"], Some(&CRON_JOB.replace("IMAGE", "shop-two")));
        let target = cluster.migrating(Work::CronJob("shop-migrate".to_owned()));
        let told = target.preview(&two, ArmName::Canary, None).await.unwrap();
        let name = format!("shop-migrate-{}", &two.to_string()[7..23]);
        assert_eq!(told[0], format!("+ job {name}: runs the job of cronjob/shop-migrate before anything comes up"));
        let said = Mutex::new(Vec::new());
        let say = |line: String| said.lock().unwrap().push(line);
        target.apply(&prod(), 1, &start(&two, ArmName::Canary), &say).await.unwrap();
        let jobs = cluster.jobs();
        assert!(jobs.starts_with(&name) && jobs.contains(&format!("127.0.0.1:5000/shop-two@{two} 1")), "{jobs}");
        let init = cluster.stamp(&format!("job/{name}"), "{.spec.template.spec.initContainers[0].image}");
        assert_eq!(init, "127.0.0.1:5000/app:v3", "an image of another name is not the release's");
        // Both are RFC 3339 in UTC by the second, so they compare as text.
        let through = cluster.stamp(&format!("job/{name}"), "{.status.completionTime}");
        let made = cluster.stamp("deployment/shop-canary", "{.metadata.creationTimestamp}");
        assert!(!through.is_empty() && through <= made, "the canary of {made} came before the job was through at {through}");

        // Taken back and given anew, it is not run again.
        target.apply(&prod(), 2, &Effect::Withdraw, &quiet).await.unwrap();
        target.apply(&prod(), 3, &start(&two, ArmName::Canary), &say).await.unwrap();
        assert_eq!(cluster.jobs(), jobs);
        let said = said.into_inner().unwrap().join("\n");
        assert!(said.contains(&format!("job {name} runs the job of cronjob/shop-migrate before")), "{said}");
        assert!(said.contains(&format!("job {name} is through: ")), "{said}");
        assert_eq!(target.preview(&two, ArmName::Canary, None).await.unwrap().iter().filter(|line| line.contains("job ")).count(), 0);
    });
}

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn a_migration_that_fails_leaves_nothing_of_the_release_and_is_told_with_its_last_lines() {
    let folder = folder();
    let _gateway = GATEWAY.read().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let cluster = Cluster::new(&folder).await;
        let two = cluster.release("two", &["VERSION=two"]);
        let tag = two.0.release.clone();
        let two = cluster.bring(two).await;
        let command = ["/app", "fail", "the column credit is not there"].map(str::to_owned).to_vec();
        let target = cluster.migrating(Work::Command(command));
        let rollout = "01KATE000000000000000RQXX1".parse().unwrap();
        cluster.amend(|record| record.slot = Some(Slot { release: tag, rollout, since: hms::store::now() })).await;
        let refused = async || target.apply(&prod(), 1, &start(&two, ArmName::Canary), &quiet).await.unwrap_err();
        let error = refused().await;
        let TargetError::StartFailed { reason, last_lines } = &error else { panic!("{error:?}") };
        assert!(reason.contains("-migrate-") && reason.contains("exit code 1") && reason.contains("runs `/app` first"), "{reason}");
        assert!(!reason.contains("credit"), "what follows a command's name may be a secret");
        assert!(last_lines.join("\n").contains("the column credit is not there"), "{last_lines:?}");
        assert_eq!(cluster.answer(&["get", "deployment", "shop-canary", "-o", "name"]), "", "no arm was made");
        let label = cluster.kubectl(&["get", "jobs", "-o", "jsonpath={.items[*].spec.template.metadata.labels.app}"]);
        assert_eq!(label, "", "the workload's service would send it requests");

        // Whoever takes up the rollout is told the same of the same job; a new rollout runs it anew.
        let first = cluster.jobs();
        assert_eq!(refused().await, error);
        assert_eq!(cluster.jobs(), first);
        cluster.amend(|record| record.slot.as_mut().unwrap().rollout = "01KATE000000000000000RQXX2".parse().unwrap()).await;
        refused().await;
        assert_ne!(cluster.jobs(), first);

        // One that cannot begin does not wait for somebody to mend it.
        let target = cluster.migrating(Work::CronJob("nobodys".to_owned()));
        cluster.amend(|record| record.slot.as_mut().unwrap().rollout = "01KATE000000000000000RQXX3".parse().unwrap()).await;
        let error = target.apply(&prod(), 1, &start(&two, ArmName::Canary), &quiet).await.unwrap_err().to_string();
        assert!(error.contains("cronjob nobodys is not in") && error.contains("hint:"), "{error}");
        let lacking = CRON_JOB
            .replace("IMAGE", "shop-two")
            .replace("{name: JOB, value: 200ms}", "{name: URL, valueFrom: {secretKeyRef: {name: db, key: url}}}");
        kubectl(&folder, &["-n", &cluster.namespace, "apply", "-f", "-"], Some(&lacking));
        let target = cluster.migrating(Work::CronJob("shop-migrate".to_owned()));
        let error = target.apply(&prod(), 1, &start(&two, ArmName::Canary), &quiet).await.unwrap_err().to_string();
        assert!(error.contains("the secret db is not there"), "{error}");
        until("the job is taken away", async || cluster.jobs().is_empty()).await;
    });
}
