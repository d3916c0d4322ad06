//! Secrets made up for tests. They are put together from parts while a test runs: nothing in the source is one.

use std::fmt::Write as _;

use super::checksum;

const BASE62: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64URL: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const BASE32: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const HEX: &str = "0123456789abcdef";
const DIGITS: &str = "0123456789";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A made-up secret in the text that it is usually found in.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// The rule that should find it.
    pub(crate) rule: &'static str,
    /// What comes before the secret.
    pub(crate) before: String,
    /// The secret.
    pub(crate) value: String,
    /// What comes after it.
    pub(crate) after: String,
}

impl Sample {
    /// The whole text.
    pub(crate) fn text(&self) -> String {
        [self.before.as_str(), &self.value, &self.after].concat()
    }
}

/// A sequence that looks random and is the same for the same seed (xorshift64*, Marsaglia and Vigna).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn text(&mut self, alphabet: &str, length: usize) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        let size = u64::try_from(letters.len()).unwrap();
        (0..length).map(|_| letters[usize::try_from(self.next() % size).unwrap()]).collect()
    }
}

/// One sample for each kind of secret, made from a seed.
pub(crate) fn all(seed: u64) -> Vec<Sample> {
    let chance = &mut Chance(seed | 1);
    let mut samples = Vec::new();
    let mut add = |rule, before: &str, value: String, after: &str| {
        samples.push(Sample { rule, before: before.to_owned(), value, after: after.to_owned() });
    };
    add("anthropic-api-key", "key=", ["sk-", "ant-api03-", &chance.text(BASE64URL, 93), "AA"].concat(), "\n");
    let id = ["AK", "IA", &chance.text(BASE32, 16)].concat();
    let secret = chance.text(BASE64, 37) + "aB7";
    add("aws-secret-access-key", &format!("id = {id}\nsecret = "), secret, "\n");
    let secret = chance.text(BASE64, 37) + "aB7";
    add("aws-secret-access-key", "aws_secret_access_key = \"", secret, "\"\n");
    add("aws-access-key-id", "id: ", ["AS", "IA", &chance.text(BASE32, 16)].concat(), "\n");
    add("azure-storage-account-key", "AccountName=x;AccountKey=", chance.text(BASE64, 86) + "==", ";EndpointSuffix=core\n");
    add("digitalocean-token", "'", ["dop", "_v1_", &chance.text(HEX, 64)].concat(), "'");
    add("docker-access-token", "", ["dckr", "_pat_", &chance.text(BASE64URL, 27)].concat(), "\n");
    for prefix in ["p", "o", "u", "s", "r"] {
        let random = chance.text(BASE62, 30);
        let sum = String::from_utf8(checksum::digits(random.as_bytes()).to_vec()).unwrap();
        add("github-token", "token ", ["gh", prefix, "_", &random, &sum].concat(), ";");
    }
    add("github-refresh-token", " ", ["gh", "r_", &chance.text(BASE62, 76)].concat(), "\n");
    let fine = ["github", "_pat_", &chance.text(BASE62, 22), "_", &chance.text(BASE62, 59)].concat();
    add("github-fine-grained-token", "https://x:", fine, "@h.example/");
    add("gitlab-personal-token", "\\n", ["gl", "pat-", &chance.text(BASE64URL, 20)].concat(), "\\n");
    let routable = ["gl", "pat-", &chance.text(BASE64URL, 27), ".01.", &chance.text("0123456789abcdefghijklmnopqrstuvwxyz", 9)].concat();
    add("gitlab-personal-token", "%3D", routable, "&");
    add("gitlab-token", "\"", ["gl", "dt-", &chance.text(BASE64URL, 20)].concat(), "\"");
    add("google-api-key", "?key=", ["AI", "za", &chance.text(BASE64URL, 35)].concat(), "&x");
    add("google-oauth-client-secret", ":", ["GOC", "SPX-", &chance.text(BASE64URL, 28)].concat(), ",");
    add("huggingface-token", "=", ["h", "f_", &chance.text(LETTERS, 34)].concat(), "\n");
    let token = ["eyJhbGciOiJI", "UzI1NiJ9.", "eyJzdWIiOiI0", "MiJ9.", &chance.text(BASE64URL, 43)].concat();
    add("json-web-token", "Bearer ", token, "\r\n");
    let random = chance.text(BASE62, 30);
    let sum = String::from_utf8(checksum::digits(random.as_bytes()).to_vec()).unwrap();
    add("npm-token", "_authToken=", ["np", "m_", &random, &sum].concat(), "\n");
    let open = ["s", "k-", &chance.text(BASE62, 20), "T3Blbk", "FJ", &chance.text(BASE62, 20)].concat();
    add("openai-api-key", "\"", open, "\"");
    let project = ["s", "k-proj-", &chance.text(BASE64URL, 74), "T3Blbk", "FJ", &chance.text(BASE64URL, 74)].concat();
    add("openai-api-key", "\"", project, "\"");
    let body: String = (0..20).map(|_| chance.text(BASE64, 64)).collect::<Vec<_>>().join("\n");
    add("private-key", &["-----BEGIN RSA", " PRIVATE KEY-----\n"].concat(), body.clone() + "\n", "-----END");
    add("private-key", &["\"-----BEGIN", " PRIVATE KEY-----\\n"].concat(), body.replace('\n', "\\n") + "\\n", "-----END");
    let locked = ["-----BEGIN RSA", " PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0A1B\n\n"].concat();
    add("private-key-encrypted", &locked, body.clone() + "\n", "-----END");
    let account = ["{\"type\":\"service_account\",\"private_key_id\":\"1\",\"private_key\":\"-----BEGIN", " PRIVATE KEY-----\\n"].concat();
    add("google-service-account-key", &account, body.replace('\n', "\\n") + "\\n", "-----END");
    add("pypi-token", "password = ", ["py", "pi-AgEIcHlwaS5vcmc", &chance.text(BASE64URL, 120)].concat(), "\n");
    add("sendgrid-api-key", "=", ["S", "G.", &chance.text(BASE64URL, 22), ".", &chance.text(BASE64URL, 43)].concat(), "\n");
    let bot = ["xox", "b-", &chance.text(DIGITS, 12), "-", &chance.text(DIGITS, 12), "-", &chance.text(BASE62, 24)].concat();
    add("slack-token", "=", bot, "\n");
    let app = ["xap", "p-1-A", &chance.text(UPPER, 10), "-", &chance.text(DIGITS, 12), "-", &chance.text(HEX, 64)].concat();
    add("slack-app-token", "=", app, "\n");
    let hook = ["T", &chance.text(UPPER, 8), "/B", &chance.text(UPPER, 10), "/", &chance.text(BASE62, 24)].concat();
    add("slack-webhook", &["https://hooks.slack", ".com/services/"].concat(), hook, "\"");
    add("stripe-live-key", "=", ["sk", "_live_", &chance.text(BASE62, 24)].concat(), "\n");
    let mut account = String::new();
    let _ = write!(account, "sid=AC{}\nauth_token=", chance.text(HEX, 32));
    add("twilio-auth-token", &account, chance.text(HEX, 32), "\n");
    add("vault-token", "=", ["hv", "s.", &chance.text(BASE64URL, 95)].concat(), "\n");
    samples
}
