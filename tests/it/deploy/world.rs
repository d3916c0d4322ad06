//! A local target of its own for a test: folders, releases, requests, and the end of everything it started.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hms::deploy::local::LocalTarget;
use hms::deploy::release::digest_of_tree;
use hms::deploy::{Applied, ArmName, ArmView, Effect, ReleaseRecord, Target, TargetError};
use hms::event::{AppName, Digest, EnvironmentName, ReleaseRef, Weight};
use hms::store::{Places, Signal};

pub(super) const HMS: &str = env!("CARGO_BIN_EXE_hms");
/// How long anything may take before a test says that it did not happen.
pub(super) const BOUND: Duration = Duration::from_secs(20);

pub(super) struct World {
    pub(super) folder: tempfile::TempDir,
    pub(super) places: Places,
    pub(super) target: LocalTarget,
}

pub(super) fn app() -> AppName {
    "shop".parse().unwrap()
}

pub(super) fn prod() -> EnvironmentName {
    "prod".parse().unwrap()
}

pub(super) fn weight(text: &str) -> Weight {
    text.parse().unwrap()
}

pub(super) fn quiet(_: String) {}

impl World {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let places = Places { state: at("state"), runtime: at("run").join("hms"), data: at("data") };
        for place in [&places.state, &places.runtime, &places.data] {
            hms::store::make_private_folder(place).unwrap();
        }
        let target = LocalTarget::open(&places, &app(), Path::new(HMS)).listening_at("127.0.0.1:0".parse().unwrap());
        Self { folder, places, target }
    }

    pub(super) fn app_folder(&self) -> PathBuf {
        self.places.state.join("local/shop")
    }

    /// A tree with these files; those that begin with `#!` can be run.
    pub(super) fn tree(&self, files: &[(&str, &str)]) -> PathBuf {
        let tree = self.folder.path().join(format!("tree-{}", ulid::Ulid::generate()));
        for (name, text) in files {
            let path = tree.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        tree
    }

    /// Places a release of these files.
    pub(super) async fn place(&self, files: &[(&str, &str)], start: Option<&str>) -> Digest {
        let tree = self.tree(files);
        let record = record(&tree, start);
        self.target.place(&record, &tree).await.unwrap();
        record.release.digest
    }

    /// Places a release of the demo's service.
    pub(super) async fn service(&self, settings: serde_json::Value) -> Digest {
        self.place(&[("service.json", &settings.to_string())], Some(&format!("exec {HMS} demo-service service.json"))).await
    }

    pub(super) async fn apply(&self, fence: u64, effect: Effect) -> Result<Applied, TargetError> {
        self.target.apply(&prod(), fence, &effect, &quiet).await
    }

    pub(super) async fn start(&self, fence: u64, release: &Digest, arm: ArmName) -> Applied {
        self.apply(fence, start(release, arm)).await.unwrap()
    }

    /// Makes a release stable, and another the canary.
    pub(super) async fn stable_and_canary(&self, stable: &Digest, canary: &Digest) -> String {
        self.start(1, stable, ArmName::Canary).await;
        self.apply(1, Effect::Promote { release: stable.clone() }).await.unwrap();
        self.start(1, canary, ArmName::Canary).await.observation.address.unwrap()
    }

    pub(super) fn supervisor(&self) -> Option<hms::store::Holder> {
        hms::store::holder_of(&self.app_folder().join("lock")).unwrap()
    }

    pub(super) async fn process_of(&self, release: &Digest) -> Option<hms::event::ProcessName> {
        let status = self.target.status().await.unwrap();
        let arms = status.environments.into_iter().flat_map(|environment| environment.arms);
        arms.into_iter().find(|arm| arm.view.release == *release).and_then(|arm| arm.process)
    }

    /// Every living process that a supervisor of this world started.
    pub(super) fn started(&self) -> Vec<hms::event::ProcessName> {
        let name = hms::store::socket_name(&self.app_folder());
        hms::store::with_mark(&format!("HMS_LOCAL_{}", name.trim_end_matches(".sock").to_ascii_uppercase()))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(holder) = self.supervisor() {
            let _ = hms::store::send_signal(&holder.process, Signal::Kill);
        }
        for process in self.started() {
            let _ = hms::store::send_signal(&process, Signal::Kill);
        }
    }
}

pub(super) fn start(release: &Digest, arm: ArmName) -> Effect {
    Effect::Start { release: release.clone(), arm, timeout_ms: 15_000 }
}

pub(super) fn record(tree: &Path, start: Option<&str>) -> ReleaseRecord {
    let (digest, files, bytes) = digest_of_tree(tree).unwrap();
    ReleaseRecord {
        must_be_scanned: std::collections::BTreeMap::new(),
        images: Vec::new(),
        format: 1,
        release: ReleaseRef { digest, revision: None, tag: "v1".to_owned(), tag_object: None, run: None },
        app: app(),
        created_at: hms::store::now(),
        files,
        bytes,
        start: start.map(str::to_owned),
        scan: None,
    }
}

pub(super) fn arm(arms: &[ArmView], name: ArmName) -> Option<&ArmView> {
    arms.iter().find(|arm| arm.arm == name)
}

/// Waits until something is so, and says what was not when it never is.
pub(super) async fn until<F: AsyncFnMut() -> bool>(what: &str, mut so: F) {
    let end = Instant::now() + BOUND;
    while !so().await {
        assert!(Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The runtime of a test: two threads would hide waits that block.
pub(crate) fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}
