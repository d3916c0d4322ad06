//! Making the run's release: the commit's tree overlaid with the artifacts of its successful jobs (`docs/decisions.md` 5.2).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use walkdir::WalkDir;

use crate::deploy::release::{assemble, digest_of_tree};
use crate::deploy::{AnyTarget, ImageSource, ReleaseRecord, Target};
use crate::event::{ArtifactsLife, AttemptResult, Digest, ReleaseRef, RunState, ScanSummary};
use crate::pipeline::Plan;
use crate::policy::Image;
use crate::repo::Repository;
use crate::rollout::Bytes;
use crate::run::RunFolder;
use crate::store::{DiskError, now};

/// One maker a run at a time. Two jobs may deploy at once, and each asks for the release.
#[derive(Debug, Clone, Default)]
pub(super) struct Maker {
    /// The release that the run's journal was told of last. Held while a release is made and told: whoever waits needs what comes of it.
    told: Arc<tokio::sync::Mutex<Option<Digest>>>,
}

impl Maker {
    /// Makes the release, and tells of it by `tell` when it is not the one that was told last.
    pub(super) async fn make(
        &self,
        target: &AnyTarget,
        what: Making,
        known: Option<Digest>,
        tell: impl AsyncFnOnce(&ReleaseRecord),
    ) -> Result<Bytes, String> {
        let mut told = self.told.lock().await;
        let Making { state, plan, folder, start, image } = what;
        let made = tokio::task::spawn_blocking(move || make(&state, &plan, &folder, start)).await;
        let Bytes { record, tree } = made.map_err(|error| error.to_string())??;
        // Named as its target names it: on a cluster by the image that a job pushed, or that is made here.
        let image = image.map(|image| ImageSource {
            base: image.base,
            entrypoint: image.entrypoint,
            folder: image.folder,
            platform: image.platform,
        });
        let at = tree.as_deref().unwrap_or(Path::new(""));
        let record = target.prepare(record, at, image.as_ref()).await.map_err(|error| error.to_string())?;
        let bytes = Bytes { record, tree };
        let digest = &bytes.record.release.digest;
        if told.as_ref().or(known.as_ref()) != Some(digest) {
            tell(&bytes.record).await;
        }
        *told = Some(digest.clone());
        Ok(bytes)
    }
}

/// What a release is made of.
pub(super) struct Making {
    pub(super) state: RunState,
    pub(super) plan: Plan,
    pub(super) folder: RunFolder,
    pub(super) start: Option<String>,
    pub(super) image: Option<Image>,
}

/// The run's release as its artifacts stand now: the one that was made, if nothing changed since.
fn make(state: &RunState, plan: &Plan, folder: &RunFolder, start: Option<String>) -> Result<Bytes, String> {
    let created = state.created.as_ref().ok_or("the run has no beginning")?;
    let told = |error: &dyn std::error::Error| crate::store::chain(error);
    let place = folder.release();
    crate::store::make_private_folder(&place).map_err(|error| told(&error))?;
    let (base, fresh) = (place.join("base"), place.join("fresh"));
    for old in [&base, &fresh] {
        remove(old).map_err(|error| told(&error))?;
    }
    let repository = Repository::discover(&created.repository).map_err(|error| told(&error))?;
    repository.checkout(&created.revision, &base).map_err(|error| told(&error))?;
    if let Some(job) = expired(state) {
        return Err(format!(
            "the artifacts of {job} have expired (`expire_in`), and they are part of the release; to have them again: hms retry {} {job}",
            created.number
        ));
    }
    let overlays = overlays(state, plan, folder);
    let made = assemble(&base, &overlays, &fresh).map_err(|error| told(&error))?;
    let must_be_scanned = to_be_scanned(&fresh, &overlays).map_err(|error| told(&error))?;
    let tree = place.join(made.digest.hex());
    // A driver may be bringing these very bytes to the target: the tree that was made stays where it is.
    if digest_of_tree(&tree).is_ok_and(|(there, ..)| there == made.digest) {
        remove(&fresh).map_err(|error| told(&error))?;
    } else {
        remove(&tree).map_err(|error| told(&error))?;
        fs::rename(&fresh, &tree).map_err(DiskError::of("name", &tree)).map_err(|error| told(&error))?;
    }
    remove(&base).map_err(|error| told(&error))?;
    let tag = repository.tag_of(&created.revision).map_err(|error| told(&error))?;
    let record = ReleaseRecord {
        format: 1,
        release: ReleaseRef {
            digest: made.digest,
            revision: Some(created.revision.clone()),
            tag: tag.tag,
            tag_object: tag.tag_object,
            run: Some(created.run.clone()),
        },
        app: created.app.clone(),
        created_at: now(),
        files: made.files,
        bytes: made.bytes,
        start,
        scan: merged_scan(state),
        must_be_scanned,
        images: Vec::new(),
    };
    Ok(Bytes { record, tree: Some(tree) })
}

fn remove(folder: &Path) -> Result<(), DiskError> {
    if folder.exists() { fs::remove_dir_all(folder).map_err(DiskError::of("remove", folder)) } else { Ok(()) }
}

/// The first job that succeeded and whose artifacts are not there any more.
fn expired(state: &RunState) -> Option<&crate::event::JobName> {
    let last = |job: &&crate::event::JobState| {
        job.attempts.last().is_some_and(|last| last.artifacts == ArtifactsLife::Over && last.result == Some(AttemptResult::Success))
    };
    state.jobs.iter().find(last).map(|job| &job.plan.name)
}

/// Artifact trees of the jobs that succeeded, in the order of the pipeline; later wins.
fn overlays(state: &RunState, plan: &Plan, folder: &RunFolder) -> Vec<PathBuf> {
    let kept = |job: &crate::pipeline::Job| {
        let last = state.job(&job.name)?.attempts.last()?;
        (last.result == Some(AttemptResult::Success)).then(|| folder.artifacts(&job.name, last.number))
    };
    plan.jobs.iter().filter_map(kept).filter(|tree| tree.is_dir()).collect()
}

/// What jobs handed on, or every file when none handed on any, with the SHA-256 it has in the release.
fn to_be_scanned(tree: &Path, overlays: &[PathBuf]) -> Result<BTreeMap<String, String>, DiskError> {
    let roots: Vec<&Path> = if overlays.is_empty() { vec![tree] } else { overlays.iter().map(PathBuf::as_path).collect() };
    let mut sums = BTreeMap::new();
    for root in roots {
        for entry in WalkDir::new(root).into_iter().filter_map(Result::ok).filter(|entry| entry.file_type().is_file()) {
            let Ok(path) = entry.path().strip_prefix(root) else { continue };
            let file = tree.join(path);
            let bytes = fs::read(&file).map_err(DiskError::of("read", &file))?;
            sums.insert(
                path.to_string_lossy().into_owned(),
                crate::event::Digest::from_sha256(&Sha256::digest(&bytes).into()).hex().to_owned(),
            );
        }
    }
    Ok(sums)
}

/// What the run's scans say together: as clean as the worst, as strict as the laxest, over all files.
fn merged_scan(state: &RunState) -> Option<ScanSummary> {
    let counts = |job: &crate::event::JobState| job.attempts.last().map(|last| last.id.clone());
    let current: Vec<_> = state.jobs.iter().filter_map(counts).collect();
    let mut scans = state.scans.iter().filter(|(attempt, _)| current.contains(attempt)).map(|(_, scan)| scan.clone());
    let first = scans.next()?;
    Some(scans.fold(first, |mut all, scan| {
        let rank = |level: &str| ["low", "medium", "high", "critical"].iter().position(|known| *known == level).unwrap_or(usize::MAX);
        if rank(&scan.fail_on) > rank(&all.fail_on) {
            all.fail_on.clone_from(&scan.fail_on);
        }
        all.clean &= scan.clean;
        all.advisories_checked &= scan.advisories_checked;
        all.secrets += scan.secrets;
        all.packages += scan.packages;
        for (level, count) in scan.findings {
            *all.findings.entry(level).or_default() += count;
        }
        all.scanned.extend(scan.scanned);
        all.files = u64::try_from(all.scanned.len()).unwrap_or(u64::MAX);
        all.report_sha256 = scan.report_sha256;
        all
    }))
}
