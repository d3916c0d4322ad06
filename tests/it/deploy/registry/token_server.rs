//! A token server for the real registry: it is of the tests and knows one person, but its tokens are real ones, which the
//! registry checks by the certificate (RFC 7519; distribution's docs/content/spec/auth/jwt.md).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};

use super::server::{Asked, Server, answer};

/// A key of these tests, made for them and used nowhere else (P-256, PKCS#8).
const KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgx4bJNLdnPjA4iTTnSQNsVQQQsoCj381EwTW5bcIpCXShRANCAARwPrArBu7uGy82iPYzzA/Cd2XRrQ+CjhAolQg2H5Y2UTxSwOYvVXCXii8VnqxIrtJNMFkZ3T7zk8M1a/n4hLNI";
/// Its certificate, signed by itself, valid from 2020 to 2120.
const CERTIFICATE: &str = "MIIBfDCCASGgAwIBAgIBATAKBggqhkjOPQQDAjAkMSIwIAYDVQQDDBl0b2tlbiBzZXJ2ZXIgb2YgdGhlIHRlc3RzMCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjAkMSIwIAYDVQQDDBl0b2tlbiBzZXJ2ZXIgb2YgdGhlIHRlc3RzMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEcD6wKwbu7hsvNoj2M8wPwndl0a0Pgo4QKJUINh+WNlE8UsDmL1Vwl4ovFZ6sSK7STTBZGd0+85PDNWv5+ISzSKNCMEAwDwYDVR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAoQwHQYDVR0OBBYEFGnl1m4awx0iPeD72THkMhKV68ZpMAoGCCqGSM49BAMCA0kAMEYCIQDoyoWUs/nstTPTQbTokkEfSGCEranbDqHRFjUtde1qlgIhAJqxe7Hhr8fhMu+CXcrlM9Hymmrpy+Vg7tX9ptpwpCq7";

/// `anna:correct horse` gets what she asks for, her identity token too; everybody else gets to pull from `public/…`.
pub(super) async fn token_server(life_seconds: i64) -> Server {
    Server::start(move |_, asked| give(asked, life_seconds)).await
}

/// The certificate as the registry reads it.
pub(super) fn certificate() -> String {
    format!("-----BEGIN CERTIFICATE-----\n{CERTIFICATE}\n-----END CERTIFICATE-----\n")
}

fn give(asked: &Asked, life_seconds: i64) -> Vec<u8> {
    let is_post = asked.line.starts_with("POST");
    let form = if is_post { asked.body.clone() } else { asked.line.split_once('?').unwrap().1.to_owned() };
    let fields: Vec<(String, String)> = reqwest::Url::parse(&format!("http://x/?{form}")).unwrap().query_pairs().into_owned().collect();
    let known = match &asked.authorization {
        Some(header) => *header == format!("Basic {}", STANDARD.encode("anna:correct horse")),
        None => fields.contains(&("refresh_token".to_owned(), "annas-identity".to_owned())),
    };
    if !known && (asked.authorization.is_some() || is_post) {
        return answer(401, "", r#"{"details": "incorrect username or password"}"#);
    }
    let scopes = fields.iter().filter(|(key, _)| key == "scope").flat_map(|(_, value)| value.split(' '));
    let access: Vec<Value> = scopes
        .filter_map(|scope| {
            let [kind, name, actions] = scope.split(':').collect::<Vec<_>>().try_into().ok()?;
            let allowed = actions.split(',').filter(|action| known || (name.starts_with("public/") && *action == "pull"));
            Some(json!({"type": kind, "name": name, "actions": allowed.collect::<Vec<_>>()}))
        })
        .collect();
    let now = hms::store::now().timestamp();
    let claims = json!({
        "iss": "the tests", "sub": "anna", "aud": "the registry", "jti": "1",
        "iat": now, "nbf": now - 60, "exp": now + 600, "access": access,
    });
    let key = if is_post { "access_token" } else { "token" };
    answer(200, "content-type: application/json", &json!({key: sign(&claims), "expires_in": life_seconds}).to_string())
}

fn sign(claims: &Value) -> String {
    let random = SystemRandom::new();
    let key = STANDARD.decode(KEY).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key, &random).unwrap();
    let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [CERTIFICATE]});
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(claims));
    let signature = key.sign(&random, signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
