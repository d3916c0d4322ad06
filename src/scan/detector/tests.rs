//! Every rule finds what it is for and leaves alone what only looks like it.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::sample;
use crate::scan::search::Searcher;

static SEARCHER: LazyLock<Searcher> = LazyLock::new(|| Searcher::new().unwrap());

fn found(text: &[u8]) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    SEARCHER.search(text, 0..text.len(), |hit| found.push((hit.rule.id, String::from_utf8_lossy(&text[hit.value]).into_owned())));
    found.dedup();
    found
}

#[test]
fn every_rule_has_a_sample() {
    let rules: BTreeSet<&str> = super::all().map(|rule| rule.id).collect();
    let samples: BTreeSet<&str> = sample::all(7).iter().map(|sample| sample.rule).collect();
    assert_eq!(samples, rules);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_sample_is_found_whole_and_by_its_rule_alone(seed in any::<u64>()) {
        for sample in sample::all(seed) {
            let text = sample.text();
            prop_assert_eq!(found(text.as_bytes()), vec![(sample.rule, sample.value.clone())], "{} in {}", sample.rule, text);
        }
    }

    #[test]
    fn a_changed_letter_breaks_a_checksum(seed in any::<u64>(), at in 4_usize..34) {
        for sample in sample::all(seed) {
            if matches!(sample.rule, "github-token" | "npm-token") {
                let mut value = sample.value.into_bytes();
                value[at] = if value[at] == b'a' { b'b' } else { b'a' };
                prop_assert_eq!(found(&value), vec![]);
            }
        }
    }

    #[test]
    fn a_longer_word_is_no_token(seed in any::<u64>()) {
        let exact = ["digitalocean-token", "github-fine-grained-token", "google-api-key", "huggingface-token", "sendgrid-api-key", "aws-access-key-id"];
        for sample in sample::all(seed) {
            if exact.contains(&sample.rule) {
                prop_assert_eq!(found(format!("{}Z9", sample.value).as_bytes()), vec![], "more after");
                prop_assert_eq!(found(format!("word{}", sample.value).as_bytes()), vec![], "more before");
            }
        }
    }

    #[test]
    fn noise_is_silent(noise in proptest::collection::vec(any::<u8>(), 0..20_000)) {
        prop_assert_eq!(found(&noise), vec![]);
    }
}

#[test]
fn what_only_looks_like_a_secret_is_left_alone() {
    let sha1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
    let documented_id = ["AKIA", "IOSFODNN7", "EXAMPLE"].concat();
    let documented_secret = ["wJalrXUtnFEMI/K7MDENG", "/bPxRfiCYEXAMPLEKEY"].concat();
    let emulator = ["Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2", "UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="].concat();
    let announced = ["ghp_zQWBuTSOoRi4A9spHc", "VY5ncnsDkxkJ0mLq17"].concat();
    let table = [
        format!("aws_access_key_id = {documented_id}\naws_secret_access_key = {documented_secret}\n"),
        format!("aws_secret_access_key = {sha1}\n"),
        format!("AccountKey={emulator};"),
        announced,
        format!("ghp_{}", "x".repeat(36)),
        format!("https://hooks.slack.com/services/T00000000/B00000000/{}", "X".repeat(24)),
        ["-----BEGIN RSA", " PRIVATE KEY-----\n...\n-----END RSA PRIVATE KEY-----"].concat(),
        ["if line.starts_with(\"-----BEGIN", " PRIVATE KEY-----\") { return Err(Error::PrivateKeyInConfigurationFile) }"].concat(),
        ["-----BEGIN", " CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBaMQswCQYDVQQG\n"].concat(),
        ["sk", "_test_4eC39HqLyjWDarjtT1zdp7dc"].concat(),
        ["eyJhbGciOiJu", "b25lIn0.eyJzdWIiOiI0MiJ9.", &"aB3".repeat(15)].concat(),
        [
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.",
            "eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.",
            "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
        ]
        .concat(),
        format!("sid=AC{sha1}\n"),
        "sid=AC0123456789abcdef0123456789abcdef\nchecksum 9e107d9d372bb6826bd81d3542a419d6\n".to_owned(),
        "integrity sha512-NB1UAZomZlCV/LmJqkLhNTqtKfFXJZAUPcfl/zqG7EfsQdeUJtaWO98SGbuQ3pydJ3fHl2CvI/51OKYlCYYcaw==".to_owned(),
        "task-risk-disk- glpat- glpat-short sk-ant-api03- hf_ npm_config_registry github_pat_ SG.. xoxb-".to_owned(),
    ];
    for text in table {
        assert_eq!(found(text.as_bytes()), [], "{text}");
    }
}
