//! `artifacts: reports` that hms keeps and does not read: masked copies beside the attempt's log, named in the run.

use std::os::unix::fs::PermissionsExt;

use super::World;

#[test]
fn a_report_is_kept_masked_whatever_the_result_and_the_run_says_where() {
    let world = World::new(concat!(
        "a:\n  script: [mkdir out, 'echo \"[$TOKEN]\" > out/gl.json', cp out/gl.json bom.json, exit 1]\n  artifacts:\n    reports:\n",
        "      codequality: out/gl.json\n      sast: ['out/*.json']\n      cyclonedx: $BOM\n      secret_detection: none.json\n",
        "      coverage_report: {coverage_format: cobertura, path: bom.json}\n",
    ));
    let file = world.path("values");
    std::fs::write(&file, "TOKEN=s3cr3t-value-of-the-test\n").unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    let said = world.hms(&["run", "--headless", "--variable-file", file.to_str().unwrap(), "--variable", "BOM=bom.json"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let reports = world.run_folder(1).join("jobs/a/1/reports");
    let notices = world.status("1")["notices"].to_string();
    for (kind, name) in
        [("codequality", "1-gl.json"), ("sast", "1-gl.json"), ("cyclonedx", "1-bom.json"), ("coverage_report", "1-bom.json")]
    {
        let path = reports.join(kind).join(name);
        assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), "[[MASKED]]\n", "{kind}");
        assert!(notices.contains(&format!("its report `{kind}` is {}", path.display())), "{kind}: {notices}");
    }
    assert!(!reports.join("secret_detection").exists() && notices.contains("`none.json` matches nothing"), "{notices}");
}
