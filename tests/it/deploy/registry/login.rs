//! Who hms is to a registry: passwords, tokens, helpers, and where none of them may go.

use hms::deploy::registry::{Problem, Registry};
use serde_json::json;

use super::server::{Server, answer};
use super::token_server::{certificate, token_server};
use super::world::{Deletion, DockerFolder, Door, OCI_MANIFEST, RealRegistry, anonymous, client, entry, told};

#[tokio::test]
async fn a_password_opens_and_its_absence_is_said() {
    let Some(real) = RealRegistry::start(Door::Password, Deletion::Off).await else { return };
    let digest = real.put_image("shop/api", "v1", "one").await;
    let name = real.image("shop/api:v1");
    let docker = DockerFolder::new(&entry(&real.host, "anna", "correct horse"));
    assert_eq!(client(docker.credentials()).resolve(&name).await.unwrap().digest, digest);

    let nobody = anonymous().resolve(&name).await.unwrap_err();
    assert!(matches!(*nobody.problem, Problem::Denied { anonymous: true, .. }), "{nobody:?}");
    assert!(nobody.hint().unwrap().contains("docker login"), "{nobody:?}");
    let wrong = DockerFolder::new(&entry(&real.host, "anna", "battery staple"));
    let refused = client(wrong.credentials()).resolve(&name).await.unwrap_err();
    assert!(matches!(*refused.problem, Problem::Denied { anonymous: false, .. }), "{refused:?}");
    let all = format!("{} {refused:?} {:?}", told(&refused), wrong.credentials());
    assert!(!all.contains("battery staple"), "{all}");
    assert!(client(wrong.credentials()).exists(&name, &digest).await.is_err(), "a refusal is not an absence");
}

#[tokio::test]
async fn a_helper_is_asked_for_what_it_keeps() {
    let Some(real) = RealRegistry::start(Door::Password, Deletion::Off).await else { return };
    let digest = real.put_image("shop/api", "v1", "one").await;
    let name = real.image("shop/api:v1");
    let good = r#"printf '{"ServerURL":"%s","Username":"anna","Secret":"correct horse"}' "$server""#;
    let by_host = json!({"credHelpers": {real.host.clone(): "good"}, "credsStore": "none"});
    let docker = DockerFolder::new(&by_host).with_helper("good", good).with_helper("none", "exit 1");
    assert_eq!(client(docker.credentials()).resolve(&name).await.unwrap().digest, digest);

    let table = [
        ("exit 3", "ended with an error"),
        ("echo hunter2", "not its JSON"),
        ("echo hunter2; exit 1", "ended with an error"),
        ("echo credentials not found in native keychain; exit 1", "refused the anonymous request"),
    ];
    for (script, why) in table {
        let docker = DockerFolder::new(&json!({"credsStore": "bad"})).with_helper("bad", script);
        let refused = client(docker.credentials()).resolve(&name).await.unwrap_err();
        assert!(told(&refused).contains(why), "{script}: {}", told(&refused));
        assert!(!told(&refused).contains("hunter2"), "{}", told(&refused));
    }
    let absent = DockerFolder::new(&json!({"credsStore": "absent"}));
    let refused = client(absent.credentials()).resolve(&name).await.unwrap_err();
    assert!(told(&refused).contains("docker-credential-absent get") && told(&refused).contains("not on PATH"), "{}", told(&refused));
}

/// A real registry that takes tokens, and the server that gives them.
async fn with_tokens(life_seconds: i64) -> Option<(RealRegistry, Server)> {
    let tokens = token_server(life_seconds).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("certificate.pem");
    std::fs::write(&file, certificate()).unwrap();
    let realm = format!("http://{}/token", tokens.host);
    let real = RealRegistry::start(Door::Token { realm: &realm, certificate: &file }, Deletion::Off).await?;
    Some((real, tokens))
}

#[tokio::test]
async fn tokens_are_fetched_for_what_is_asked_and_used_again() {
    let Some((real, tokens)) = with_tokens(300).await else { return };
    let docker = DockerFolder::new(&entry(&real.host, "anna", "correct horse"));
    let registry = client(docker.credentials());
    let missing = registry.resolve(&real.image("shop/api:v1")).await.unwrap_err();
    assert!(missing.is_not_there(), "let in, and nothing is there: {missing:?}");
    assert!(registry.tags(&real.image("shop/api")).await.unwrap_err().is_not_there());
    assert_eq!(tokens.lines(), ["GET /token?service=the+registry&scope=repository%3Ashop%2Fapi%3Apull"]);

    assert!(registry.resolve(&real.image("shop/web:v1")).await.unwrap_err().is_not_there());
    assert_eq!(tokens.lines().len(), 2, "another repository is another scope");
    let (nobody, shop, public) = (anonymous(), real.image("shop/api:v1"), real.image("public/api:v1"));
    let denied = nobody.resolve(&shop).await.unwrap_err();
    assert!(matches!(*denied.problem, Problem::Denied { anonymous: true, .. }), "{denied:?}");
    assert!(nobody.resolve(&public).await.unwrap_err().is_not_there(), "anonymous tokens pull what is public");
}

#[tokio::test]
async fn a_token_that_ended_is_fetched_anew() {
    let Some((real, tokens)) = with_tokens(0).await else { return };
    let docker = DockerFolder::new(&entry(&real.host, "anna", "correct horse"));
    let registry = client(docker.credentials());
    for _ in 0..2 {
        assert!(registry.tags(&real.image("shop/api")).await.unwrap_err().is_not_there());
    }
    assert_eq!(tokens.lines().len(), 2);
}

#[tokio::test]
async fn an_identity_token_is_changed_for_others_by_post() {
    let Some((real, tokens)) = with_tokens(300).await else { return };
    let script = r#"printf '{"Username":"<token>","Secret":"annas-identity"}'"#;
    let docker = DockerFolder::new(&json!({"credsStore": "identity"})).with_helper("identity", script);
    assert!(client(docker.credentials()).tags(&real.image("shop/api")).await.unwrap_err().is_not_there());
    let asked = tokens.asked();
    assert_eq!(asked[0].line, "POST /token");
    assert!(asked[0].body.contains("grant_type=refresh_token") && asked[0].body.contains("scope=repository%3Ashop%2Fapi%3Apull"));

    let wrong = DockerFolder::new(&json!({"auths": {real.host.clone(): {"identitytoken": "stolen"}}}));
    let denied = client(wrong.credentials()).tags(&real.image("shop/api")).await.unwrap_err();
    assert!(told(&denied).contains("incorrect username or password"), "{}", told(&denied));
    assert!(!told(&denied).contains("stolen"));
}

fn known_at(server: &Server) -> Registry {
    let docker = DockerFolder::new(&entry(&server.host, "anna", "correct horse"));
    client(docker.credentials())
}

#[tokio::test]
async fn credentials_stay_with_the_host_they_are_for() {
    let body = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [],
        "config": {"mediaType": "x", "digest": hms::event::Digest::of(b"{}"), "size": 2}})
    .to_string();
    // Storage behind the registry, which asks for credentials that are not its own.
    let kept = body.clone();
    let storage = Server::start(move |_, asked| {
        if asked.line.contains("greedy") {
            return answer(401, "www-authenticate: Basic realm=\"storage\"", "");
        }
        answer(200, &format!("content-type: {OCI_MANIFEST}"), if asked.line.starts_with("HEAD") { "" } else { &kept })
    })
    .await;
    let host = storage.host.clone();
    let registry = Server::start(move |_, asked| match &asked.authorization {
        None => answer(401, "www-authenticate: Basic realm=\"registry\"", ""),
        Some(_) if asked.line.contains("greedy") => answer(307, &format!("location: http://{host}/greedy"), ""),
        Some(_) => answer(307, &format!("location: http://{host}/storage?signature=abc"), ""),
    })
    .await;
    let resolved = known_at(&registry).resolve(&format!("{}/shop/api:v1", registry.host).parse().unwrap()).await.unwrap();
    assert_eq!(resolved.digest, hms::event::Digest::of(body.as_bytes()));
    let greedy = known_at(&registry).resolve(&format!("{}/shop/greedy:v1", registry.host).parse().unwrap()).await.unwrap_err();
    assert!(matches!(*greedy.problem, Problem::Denied { .. }), "{greedy:?}");
    assert!(registry.asked().iter().any(|asked| asked.authorization.is_some()), "the registry saw them");
    assert!(storage.asked().len() >= 3 && storage.asked().iter().all(|asked| asked.authorization.is_none()), "{:?}", storage.asked());
}

#[tokio::test]
async fn nothing_is_shown_to_a_token_server_without_tls() {
    let registry = Server::start(|_, _| answer(401, "www-authenticate: Bearer realm=\"http://tokens.example/t\",service=\"x\"", "")).await;
    let refused = known_at(&registry).resolve(&format!("{}/shop/api:v1", registry.host).parse().unwrap()).await.unwrap_err();
    assert!(told(&refused).contains("tokens.example without TLS"), "{}", told(&refused));
}

#[tokio::test]
async fn a_registry_that_never_likes_a_login_is_asked_twice_and_no_more() {
    let registry = Server::start(|_, _| answer(401, "www-authenticate: Basic realm=\"x\"", "")).await;
    let refused = known_at(&registry).resolve(&format!("{}/shop/api:v1", registry.host).parse().unwrap()).await.unwrap_err();
    assert!(matches!(*refused.problem, Problem::Denied { anonymous: false, .. }), "{refused:?}");
    assert_eq!(registry.lines().len(), 2);
}
