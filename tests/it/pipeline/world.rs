//! Files in memory, for what a pipeline looks at beside its own file.

use std::collections::BTreeMap;
use std::sync::Arc;

use hms::pipeline::{
    Elsewhere, Files, Foreign, Identity, PlanInputs, Purpose, ReadOptions, Reading, Since, Surroundings, Trace, plan_in, read_in,
};

use super::{Plan, Problem};

/// A commit that is a list of files.
#[derive(Default)]
pub(crate) struct Commit {
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) changed: BTreeMap<Since, Vec<String>>,
    pub(crate) foreign: BTreeMap<Foreign, String>,
}

impl Commit {
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        Self { files, ..Self::default() }
    }

    pub(crate) fn changing(mut self, since: Since, paths: &[&str]) -> Self {
        self.changed.insert(since, paths.iter().map(|path| (*path).to_owned()).collect());
        self
    }

    pub(crate) fn with_foreign(mut self, wanted: Foreign, text: &str) -> Self {
        self.foreign.insert(wanted, text.to_owned());
        self
    }

    pub(crate) fn read(&self, inputs: &PlanInputs) -> Reading {
        self.read_for(inputs, Purpose::Run)
    }

    /// Reads the file `.hms-ci.yml` of the commit.
    pub(crate) fn read_for(&self, inputs: &PlanInputs, purpose: Purpose) -> Reading {
        let bytes = self.files[".hms-ci.yml"].as_bytes();
        let options = ReadOptions { gitlab_strict: false, purpose };
        read_in(bytes, &options, &Surroundings { files: self, inputs, path: ".hms-ci.yml" })
    }

    pub(crate) fn plan(&self, inputs: &PlanInputs) -> (Result<Plan, Vec<Problem>>, Trace) {
        let reading = self.read_for(inputs, Purpose::Look);
        let pipeline = reading.pipeline.unwrap_or_else(|| panic!("{:#?}", reading.problems));
        plan_in(&pipeline, inputs, self)
    }

    pub(crate) fn planned(&self, inputs: &PlanInputs) -> Plan {
        self.plan(inputs).0.unwrap_or_else(|problems| panic!("{problems:#?}"))
    }
}

impl Files for Commit {
    fn local(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(self.files.get(path).map(|text| text.clone().into_bytes()))
    }

    fn paths(&self) -> Result<Arc<[String]>, String> {
        Ok(self.files.keys().cloned().collect())
    }

    fn changed(&self, since: &Since) -> Result<Arc<[String]>, String> {
        self.changed.get(since).map(|paths| paths.clone().into()).ok_or_else(|| format!("{since:?} is not here"))
    }

    fn foreign(&self, wanted: &Foreign) -> Result<Option<Vec<u8>>, String> {
        Ok(self.foreign.get(wanted).map(|text| text.clone().into_bytes()))
    }

    fn paths_of(&self, wanted: &Elsewhere) -> Result<Arc<[String]>, String> {
        let of = |foreign: &Foreign| match foreign {
            Foreign::Of(elsewhere, path) => (elsewhere == wanted).then(|| path.clone()),
            Foreign::Template(_) | Foreign::Remote(_) => None,
        };
        let paths: Vec<String> = self.foreign.keys().filter_map(of).collect();
        if paths.is_empty() { Err("no checkout of it is configured".to_owned()) } else { Ok(paths.into()) }
    }

    fn identity_of(&self, wanted: &Elsewhere) -> Result<Identity, String> {
        self.paths_of(wanted)?;
        let version = match wanted {
            Elsewhere::Component { version, .. } => Some(version.clone()),
            Elsewhere::Project { .. } => None,
        };
        Ok(Identity { sha: "1".repeat(40), version })
    }
}
