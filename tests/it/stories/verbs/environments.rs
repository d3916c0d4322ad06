//! `environment`: what jobs are told of it.

use super::World;

#[test]
fn jobs_see_their_environment_with_true_values() {
    let show = "echo \"$CI_ENVIRONMENT_NAME $CI_ENVIRONMENT_SLUG $CI_ENVIRONMENT_URL $CI_ENVIRONMENT_ACTION $CI_ENVIRONMENT_TIER\" >> $OUT";
    let world = World::new(&format!(
        "stages: [make, go, check]
make: {{stage: make, script: echo PORT=8080 > a.env, artifacts: {{reports: {{dotenv: a.env}}}}}}
go:
  stage: go
  script: '{show}'
  environment: {{name: review/$CI_COMMIT_REF_SLUG, url: 'http://$CI_ENVIRONMENT_SLUG.test:$PORT/'}}
check:
  stage: check
  script: '{show}'
  environment: {{name: customers, action: verify, url: $CI_PROJECT_NAME}}
none: {{stage: check, script: 'echo \"${{CI_ENVIRONMENT_NAME-none}}\" >> $OUT', needs: [check]}}
"
    ));
    let out = format!("OUT={}", world.path("out").display());
    let said = world.hms(&["run", "--headless", "--variable", &out]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let slug = hms::pipeline::environment_slug("review/main");
    assert_eq!(
        world.read("out"),
        format!("review/main {slug} http://{slug}.test:8080/ start development\ncustomers customers repo verify other\nnone\n")
    );
}

#[test]
fn a_job_whose_environment_has_no_name_fails_and_says_so() {
    let world = World::new("go:\n  script: touch $OUT\n  retry: 2\n  environment: review/$WHICH\n");
    let out = format!("OUT={}", world.path("out").display());
    assert_eq!(world.hms(&["run", "--headless", "--variable", &out]).code, Some(1));
    let job = world.job("1", "go");
    assert_eq!(job["attempts"].as_array().unwrap().len(), 1, "{job}");
    assert!(job["why"].as_str().unwrap().contains("its environment would be called `review/`"), "{job}");
    assert!(!world.path("out").exists());
    assert_eq!(world.hms(&["run", "--headless", "--variable", &out, "--variable", "WHICH=a"]).code, Some(0));
}
