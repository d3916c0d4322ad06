//! Images of hms's own, pushed to a real registry and read back from it.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use hms::deploy::registry::{ImageName, ImageRecipe, Platform, Presence, Problem, Pushed, Registry, RegistryError, TakenTag};
use hms::deploy::release::digest_of_tree;
use hms::event::Digest;
use reqwest::Method;
use serde_json::{Value, json};

use super::server::{Server, answer};
use super::token_server::{certificate, token_server};
use super::world::{
    DOCKER_MANIFEST, Deletion, DockerFolder, Door, OCI_INDEX, OCI_MANIFEST, RealRegistry, anonymous, client, entry, open_registry, told,
};

fn tree() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8], mode: u32| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    put("server.sh", b"#!/bin/sh\necho served\n", 0o755);
    put("dist/app.js", b"console.log(1)\n", 0o644);
    // More than the pieces in which a file is sent, and nothing that packs well.
    let noise: Vec<u8> = (0..500_000u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    put("dist/noise.bin", &noise, 0o644);
    put(&format!("{}/end.txt", "a-long-name/".repeat(12)), "end é".as_bytes(), 0o644);
    symlink("dist/app.js", folder.path().join("app.js")).unwrap();
    folder
}

fn recipe(base: ImageName) -> ImageRecipe {
    ImageRecipe {
        base,
        platform: "linux/amd64".parse().unwrap(),
        folder: "/srv/app".to_owned(),
        entrypoint: vec!["/srv/app/server.sh".to_owned()],
        command: Vec::new(),
        labels: BTreeMap::new(),
    }
}

/// Pushes, and gives the lines that were told.
async fn push(registry: &Registry, recipe: &ImageRecipe, tree: &Path, target: &ImageName) -> (Result<Pushed, RegistryError>, Vec<String>) {
    let (scratch, lines) = (tempfile::tempdir().unwrap(), Mutex::new(Vec::new()));
    let progress = |line: String| lines.lock().unwrap().push(line);
    let pushed = registry.push_image(recipe, tree, scratch.path(), target, TakenTag::Refuse, &progress).await;
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "the layer is gone");
    (pushed, lines.into_inner().unwrap())
}

async fn json_of(real: &RealRegistry, path: &str) -> Value {
    real.send(Method::GET, path, "", vec![]).await.bytes().await.map(|bytes| serde_json::from_slice(&bytes).unwrap()).unwrap()
}

#[tokio::test]
async fn a_release_becomes_an_image_on_its_base_and_its_files_come_out_again() {
    let Some(real) = open_registry().await else { return };
    let base = real.put_image("base/sh", "1", "base layer").await;
    let tree = tree();
    let registry = anonymous();
    let target = real.image("shop/api:v1");
    let (pushed, lines) = push(&registry, &recipe(real.image("base/sh:1")), tree.path(), &target).await;
    let pushed = pushed.unwrap();
    assert_eq!(pushed.base, base);
    assert_eq!(pushed.tree, digest_of_tree(tree.path()).unwrap().0);
    assert_eq!(lines, ["layer 1 of 1 of the base is mounted from the base's repository", "the release's layer is sent"]);
    assert_eq!(registry.resolve(&target).await.unwrap().digest, pushed.digest);
    let linux = recipe(target.clone()).platform;
    assert_eq!(registry.presence(&target, &pushed.digest, &linux).await.unwrap(), Presence::Whole);
    let config = registry.config(&registry.resolve(&pushed.name).await.unwrap(), &linux).await.unwrap();
    assert_eq!((config.entrypoint.as_slice(), config.command.len()), (["/srv/app/server.sh".to_owned()].as_slice(), 0));
    assert_eq!((config.working_directory.as_str(), config.environment.as_slice()), ("/srv/app", ["PATH=/bin".to_owned()].as_slice()));
    assert_eq!(config.labels["org.opencontainers.image.base.digest"], base.as_str());

    let manifest = json_of(&real, &format!("shop/api/manifests/{}", pushed.digest)).await;
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 2);
    let layer = real.send(Method::GET, &format!("shop/api/blobs/{}", manifest["layers"][1]["digest"].as_str().unwrap()), "", vec![]).await;
    let packed = layer.bytes().await.unwrap();
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(packed.as_ref()).read_to_end(&mut unpacked).unwrap();
    let raw = json_of(&real, &format!("shop/api/blobs/{}", manifest["config"]["digest"].as_str().unwrap())).await;
    assert_eq!(raw["rootfs"]["diff_ids"][1], Digest::of(&unpacked).as_str());
    assert_eq!((&raw["created"], &raw["history"][1]["created_by"]), (&json!("1970-01-01T00:00:00Z"), &json!("hms")));

    // Another program's reading of the archive.
    let out = tempfile::tempdir().unwrap();
    let mut tar = Command::new("tar").arg("-xzf").arg("-").arg("-C").arg(out.path()).stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut tar.stdin.take().unwrap(), &packed).unwrap();
    assert!(tar.wait().unwrap().success());
    assert_eq!(digest_of_tree(&out.path().join("srv/app")).unwrap().0, pushed.tree);
}

#[tokio::test]
async fn the_same_release_is_the_same_image_wherever_it_is_made() {
    let (Some(one), Some(two)) = (open_registry().await, open_registry().await) else { return };
    let mut digests = Vec::new();
    for real in [&one, &two] {
        real.put_image("base/sh", "1", "base layer").await;
        let tree = tree();
        let (pushed, _) = push(&anonymous(), &recipe(real.image("base/sh:1")), tree.path(), &real.image("shop/api:v1")).await;
        digests.push(pushed.unwrap().digest);
    }
    assert_eq!(digests[0], digests[1]);
    // The base by another name is the same base; another entrypoint is another image.
    one.put_image("base/sh", "latest", "base layer").await;
    let tree = tree();
    let same = recipe(one.image("base/sh"));
    let (again, lines) = push(&anonymous(), &same, tree.path(), &one.image("shop/api:v1")).await;
    assert_eq!(again.unwrap().digest, digests[0]);
    assert!(lines.iter().all(|line| line.ends_with("is there already")), "{lines:?}");
    let other = ImageRecipe { entrypoint: vec!["/bin/other".to_owned()], ..same };
    let (refused, _) = push(&anonymous(), &other, tree.path(), &one.image("shop/api:v1")).await;
    let refused = refused.unwrap_err();
    assert!(matches!(&*refused.problem, Problem::TagTaken { has, .. } if *has == digests[0]), "{refused:?}");
    let scratch = tempfile::tempdir().unwrap();
    let moved =
        anonymous().push_image(&other, tree.path(), scratch.path(), &one.image("shop/api:v1"), TakenTag::Move, &|_| {}).await.unwrap();
    assert_ne!(moved.digest, digests[0]);
    assert_eq!(anonymous().resolve(&one.image("shop/api:v1")).await.unwrap().digest, moved.digest);
    assert!(anonymous().exists(&one.image("shop/api"), &digests[0]).await.unwrap());
}

#[tokio::test]
async fn a_base_of_another_registry_is_copied_and_dockers_own_stays_dockers() {
    let (Some(from), Some(to)) = (open_registry().await, open_registry().await) else { return };
    let docker = from.image_of("base/sh", "a docker layer", DOCKER_MANIFEST).await;
    let manifest = from.put_manifest("base/sh", "plain", DOCKER_MANIFEST, &docker).await;
    let list = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [{
        "mediaType": DOCKER_MANIFEST, "digest": manifest, "size": docker.to_string().len(),
        "platform": {"os": "linux", "architecture": "amd64"},
    }]});
    from.put_manifest("base/sh", "many", OCI_INDEX, &list).await;
    let tree = tree();
    let target = to.image("shop/api:v1");
    let (pushed, lines) = push(&anonymous(), &recipe(from.image("base/sh:many")), tree.path(), &target).await;
    let pushed = pushed.unwrap();
    assert_eq!(pushed.base, manifest, "the platform's manifest, not the index");
    assert_eq!(lines, ["layer 1 of 1 of the base is sent", "the release's layer is sent"]);
    let made = anonymous().resolve(&target).await.unwrap();
    assert_eq!((made.media_type.as_str(), &made.digest), (DOCKER_MANIFEST, &pushed.digest));
    let layers = json_of(&to, &format!("shop/api/manifests/{}", pushed.digest)).await["layers"].clone();
    assert_eq!(layers[1]["mediaType"], "application/vnd.docker.image.rootfs.diff.tar.gzip");
    let other = ImageRecipe { platform: "linux/arm64".parse().unwrap(), ..recipe(from.image("base/sh:many")) };
    let (refused, _) = push(&anonymous(), &other, tree.path(), &target).await;
    assert!(told(&refused.unwrap_err()).contains("not made for linux/arm64"));
}

#[tokio::test]
async fn what_a_first_push_left_or_a_cleaner_took_is_mended() {
    let Some(real) = open_registry().await else { return };
    real.put_image("base/sh", "1", "base layer").await;
    let tree = tree();
    let (registry, target) = (anonymous(), real.image("shop/api:v1"));
    let (pushed, _) = push(&registry, &recipe(real.image("base/sh:1")), tree.path(), &target).await;
    let pushed = pushed.unwrap();
    let base_layer = Digest::of(b"base layer");
    real.send(Method::DELETE, &format!("shop/api/blobs/{base_layer}"), "", vec![]).await;
    let platform: Platform = "linux/amd64".parse().unwrap();
    let missing = Presence::Damaged { missing: vec![base_layer] };
    assert_eq!(registry.presence(&target, &pushed.digest, &platform).await.unwrap(), missing);
    let (again, _) = push(&registry, &recipe(real.image("base/sh:1")), tree.path(), &target).await;
    assert_eq!(again.unwrap(), pushed);
    assert_eq!(registry.presence(&target, &pushed.digest, &platform).await.unwrap(), Presence::Whole);
}

#[tokio::test]
async fn tokens_cover_both_repositories_of_a_mount() {
    let tokens = token_server(300).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("certificate.pem");
    std::fs::write(&file, certificate()).unwrap();
    let realm = format!("http://{}/token", tokens.host);
    let Some(real) = RealRegistry::start(Door::Token { realm: &realm, certificate: &file }, Deletion::On).await else { return };
    let Some(open) = open_registry().await else { return };
    open.put_image("base/sh", "1", "base layer").await;
    let docker = DockerFolder::new(&entry(&real.host, "anna", "correct horse"));
    let (registry, tree) = (client(docker.credentials()), tree());
    // From an open registry into one that wants tokens, then from one repository of that to another.
    let (first, _) = push(&registry, &recipe(open.image("base/sh:1")), tree.path(), &real.image("team/base:1")).await;
    let first = first.unwrap();
    let (second, lines) = push(&registry, &recipe(first.name), tree.path(), &real.image("team/api:v1")).await;
    second.unwrap();
    assert!(lines.iter().filter(|line| line.contains("mounted")).count() >= 2, "{lines:?}");
    let both = "scope=repository%3Ateam%2Fapi%3Apull%2Cpush&scope=repository%3Ateam%2Fbase%3Apull";
    assert!(tokens.lines().iter().any(|line| line.contains(both)), "{:?}", tokens.lines());
    let (refused, _) = push(&anonymous(), &recipe(open.image("base/sh:1")), tree.path(), &real.image("public/api:v1")).await;
    let refused = refused.unwrap_err();
    assert!(matches!(*refused.problem, Problem::Denied { anonymous: true, .. }), "{refused:?}");
}

#[tokio::test]
async fn a_tree_that_no_layer_can_hold_is_refused_before_anything_is_sent() {
    let Some(real) = open_registry().await else { return };
    real.put_image("base/sh", "1", "base layer").await;
    let tree = tree();
    std::fs::write(tree.path().join("dist/.wh.etc"), "").unwrap();
    let (refused, lines) = push(&anonymous(), &recipe(real.image("base/sh:1")), tree.path(), &real.image("shop/api:v1")).await;
    assert!(told(&refused.unwrap_err()).contains("removes a file of the base"));
    assert_eq!(lines, Vec::<String>::new());
    let (missing, _) = push(&anonymous(), &recipe(real.image("base/nothing:1")), tree.path(), &real.image("shop/api:v1")).await;
    let missing = missing.unwrap_err();
    assert!(missing.is_not_there() && missing.repository == "base/nothing", "{missing:?}");
}

/// A registry that has everything but the manifest, which it takes and then closes the connection without a word.
async fn mute(digest_after: bool) -> Server {
    let config = json!({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": []}}).to_string();
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [],
        "config": {"mediaType": "x", "digest": Digest::of(config.as_bytes()), "size": config.len()}})
    .to_string();
    let put: Mutex<Option<Digest>> = Mutex::new(None);
    Server::start(move |_, asked| {
        let kind = format!("content-type: {OCI_MANIFEST}");
        let is_head = asked.line.starts_with("HEAD");
        if asked.line.starts_with("PUT") {
            *put.lock().unwrap() = Some(Digest::of(asked.body.as_bytes()));
            return Vec::new();
        }
        if asked.line.contains("/shop/api/manifests/v1") {
            return match &*put.lock().unwrap() {
                Some(digest) if digest_after => answer(200, &format!("docker-content-digest: {digest}"), ""),
                _ => answer(404, "", ""),
            };
        }
        let body = if asked.line.contains("/manifests/") { &manifest } else { &config };
        answer(200, &kind, if is_head { "" } else { body })
    })
    .await
}

#[tokio::test]
async fn a_push_without_an_answer_is_read_back() {
    let tree = tree();
    for taken in [true, false] {
        let server = mute(taken).await;
        let name = |text: &str| format!("{}/{text}", server.host).parse::<ImageName>().unwrap();
        let (pushed, _) = push(&anonymous(), &recipe(name("base/sh:1")), tree.path(), &name("shop/api:v1")).await;
        assert_eq!(pushed.is_ok(), taken, "{pushed:?}");
        assert_eq!(server.lines().iter().filter(|line| line.starts_with("PUT")).count(), 1, "never sent twice");
    }
}

/// A registry that lacks every blob; what it does with the bytes is up to the test.
async fn hungry(
    begin: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static,
    put: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static,
) -> Server {
    let config = json!({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": []}}).to_string();
    let digest = Digest::of(config.as_bytes());
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [],
        "config": {"mediaType": "x", "digest": digest, "size": config.len()}})
    .to_string();
    let puts = std::sync::atomic::AtomicUsize::new(0);
    Server::start(move |before, asked| {
        if asked.authorization.is_none() {
            return answer(401, "www-authenticate: Basic realm=\"x\"", "");
        }
        let line = asked.line.as_str();
        match line.split_once(' ').unwrap().0 {
            "POST" => begin(before),
            "PUT" if line.contains("/manifests/") => answer(201, "", ""),
            "PUT" => put(puts.fetch_add(1, std::sync::atomic::Ordering::SeqCst)),
            "HEAD" if line.contains("/shop/api/") => answer(404, "", ""),
            method => {
                let body = if line.contains("/manifests/") { &manifest } else { &config };
                answer(200, &format!("content-type: {OCI_MANIFEST}"), if method == "HEAD" { "" } else { body })
            }
        }
    })
    .await
}

async fn push_to(server: &Server) -> Result<Pushed, RegistryError> {
    let name = |text: &str| format!("{}/{text}", server.host).parse::<ImageName>().unwrap();
    let docker = DockerFolder::new(&entry(&server.host, "anna", "correct horse"));
    push(&client(docker.credentials()), &recipe(name("base/sh:1")), tree().path(), &name("shop/api:v1")).await.0
}

#[tokio::test]
async fn an_upload_that_broke_is_begun_anew_and_not_for_ever() {
    let at = |_| answer(202, "location: /upload?state=1", "");
    let once = hungry(at, |before| if before == 0 { Vec::new() } else { answer(201, "", "") }).await;
    push_to(&once).await.unwrap();
    let puts = |server: &Server| server.lines().into_iter().filter(|line| line.starts_with("PUT /upload?state=1&digest=sha256")).count();
    assert_eq!(puts(&once), 3, "the layer twice, the configuration once");
    let never = hungry(at, |_| answer(500, "", "")).await;
    assert!(told(&push_to(&never).await.unwrap_err()).contains("answered 500"));
    assert_eq!(puts(&never), 3);
    let denied = hungry(at, |_| answer(403, "", "")).await;
    assert!(matches!(*push_to(&denied).await.unwrap_err().problem, Problem::Denied { .. }));
    assert_eq!(puts(&denied), 1);
}

#[tokio::test]
async fn bytes_may_go_to_another_host_and_credentials_may_not() {
    let storage = Server::start(|_, _| answer(201, "", "")).await;
    let place = format!("location: http://{}/upload?signature=abc", storage.host);
    let registry = hungry(move |_| answer(202, &place, ""), |_| answer(500, "", "")).await;
    push_to(&registry).await.unwrap();
    let asked = storage.asked();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|asked| asked.authorization.is_none() && asked.line.starts_with("PUT /upload?signature=abc&digest=")));
    let outside = hungry(|_| answer(202, "location: http://elsewhere.example/upload", ""), |_| answer(500, "", "")).await;
    assert!(told(&push_to(&outside).await.unwrap_err()).contains("elsewhere.example, without TLS"));
    let nowhere = hungry(|_| answer(202, "", ""), |_| answer(500, "", "")).await;
    assert!(told(&push_to(&nowhere).await.unwrap_err()).contains("where to send the bytes"));
}
