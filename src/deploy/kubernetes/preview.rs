//! What a deploy would change, without changing it: the API server's own dry run, told in lines.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::KubernetesTarget;
use super::arm::pods_for;
use super::names;
use super::workload::{applied_fields, difference, next_template, template};
use crate::deploy::{ArmName, ReleaseRecord, TargetError};
use crate::event::{Digest, Weight};

impl KubernetesTarget {
    /// The changes that a release would make as the canary or as stable, in lines for people.
    pub(super) async fn would_change(&self, release: &Digest, arm: ArmName, weight: Option<Weight>) -> Result<Vec<String>, TargetError> {
        let record = self.records.release(release).await?.ok_or_else(|| TargetError::ReleaseMissing {
            release: release.clone(),
            why: format!("{} has no record of it", self.access.name()),
        })?;
        self.is_for_all(&record)?;
        let mut lines: Vec<String> = self.would_migrate(release).await?.into_iter().collect();
        for member in self.members() {
            lines.extend(member.one_would_change(&record, arm, weight).await?);
        }
        if let (ArmName::Canary, Some(weight), Some(router)) = (arm, weight, self.router()) {
            lines.push(format!("{} ~ the canary's share: {} → {weight}", router.name(), router.read().await?.weight));
        }
        Ok(lines)
    }

    async fn one_would_change(&self, record: &ReleaseRecord, arm: ArmName, weight: Option<Weight>) -> Result<Vec<String>, TargetError> {
        let release = &record.release.digest;
        let stable = self.need_workload().await?;
        let (current, images) = (template(&stable), self.images_for(record));
        let named = |what: &str, lines: Vec<String>| lines.into_iter().map(|line| format!("{what} {line}")).collect::<Vec<_>>();
        if arm != ArmName::Canary || !self.is_deployment() {
            let fields = applied_fields(&self.place, &current, &images, release, &BTreeMap::new())?;
            let said = Mutex::new(Vec::new());
            let say = |line: String| said.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            let (dry, _) = self.dry_run(&stable, &fields, &say).await?;
            let mut lines = said.into_inner().unwrap_or_else(PoisonError::into_inner);
            lines.extend(named(&self.place.workload.to_string(), difference(&current, &template(&dry))));
            return Ok(lines);
        }
        let (beside, name) = (self.beside().await?, names::arm_object(self.place.workload.name()));
        let pods = weight.map_or(1, |weight| pods_for(Self::full_size(&stable), weight));
        let there = beside.as_ref().map_or_else(|| current.clone(), |beside| template(&beside.object));
        let next = next_template(&self.place, &current, &images, release)?;
        let mut lines = vec![match &beside {
            Some(_) => format!("deployment {name}, which is there, with {pods} pods or more"),
            None => format!("+ deployment {name}: {pods} pods beside {}, made of its template", self.place.workload),
        }];
        lines.extend(named(&format!("deployment {name}"), difference(&there, &next)));
        Ok(lines)
    }
}
