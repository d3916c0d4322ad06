//! Was this release scanned, these very bytes, and strictly enough?

use std::collections::BTreeMap;

use super::place::Protection;
use super::{Advisories, Level, Scan};
use crate::event::{Refusal, RefusalKind, ScanSummary};

/// Refuses a release that a protected environment must not take for want of a scan.
///
/// `files` are the files whose bytes must have been scanned, path → SHA-256 in hex: those of the release that jobs handed on, or all of its files
/// when no job handed on any. A scan of more files is as good; a scan of other bytes, or of nothing, is none.
///
/// # Errors
/// When there is no report, it found something, it was laxer than `scan.gate`, it did not look packages up where that is
/// required, or a file is not in it with the same bytes.
pub fn scan_gate(
    scan: &Scan,
    protection: Protection,
    report: Option<&ScanSummary>,
    files: &BTreeMap<String, String>,
) -> Result<(), Refusal> {
    if protection == Protection::Open || scan.gate == Level::None {
        return Ok(());
    }
    let wanted = scan.gate.word();
    let no = |message: String| Refusal::new(RefusalKind::Unscanned, message);
    let how = format!("run a job with `scan PATH… --fail-on {wanted}` before it, on the files it deploys");
    let Some(report) = report else { return Err(no("the release was not scanned".to_owned()).hint(how)) };
    if !report.clean {
        return Err(no(format!("the release's scan failed at `{}`", report.fail_on)).hint("mend what it found and release again"));
    }
    let level = Level::WORDS.iter().find(|(word, _)| *word == report.fail_on).map(|(_, level)| *level);
    if level.is_none_or(|level| level > scan.gate) {
        return Err(no(format!("the release was scanned with --fail-on {}, which is laxer than {wanted}", report.fail_on)).hint(how));
    }
    if scan.advisories == Advisories::Required && report.packages > 0 && !report.advisories_checked {
        let message = format!("{} packages of the release were not checked for advisories", report.packages);
        return Err(no(message).hint("check them, or set `scan: {advisories: optional}` and accept that: hms policy accept"));
    }
    if report.scanned.is_empty() || report.files == 0 {
        return Err(no("the release's scan looked at no file".to_owned()).hint(how));
    }
    for (path, sum) in files {
        let why = match report.scanned.get(path) {
            Some(scanned) if scanned == sum => continue,
            Some(_) => "has other bytes than were scanned",
            None => "was not scanned",
        };
        return Err(no(format!("`{}` of the release {why}", path.escape_debug())).hint(how));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Digest;

    fn files(list: &[(&str, &str)]) -> BTreeMap<String, String> {
        list.iter().map(|(path, sum)| ((*path).to_owned(), (*sum).to_owned())).collect()
    }

    fn report() -> ScanSummary {
        ScanSummary {
            fail_on: "high".to_owned(),
            clean: true,
            findings: BTreeMap::new(),
            secrets: 0,
            files: 2,
            packages: 0,
            advisories_checked: false,
            report_sha256: Digest::of(b"report"),
            scanned: files(&[("dist/a", "11"), ("dist/b", "22")]),
        }
    }

    #[test]
    fn only_these_bytes_scanned_this_strictly_pass() {
        let release = files(&[("dist/a", "11")]);
        let ask = |report: Option<&ScanSummary>, files: &BTreeMap<String, String>| {
            scan_gate(&Scan::default(), Protection::Protected { approvals: 0 }, report, files).map_err(|refusal| refusal.message)
        };
        assert_eq!(ask(Some(&report()), &release), Ok(()));
        assert_eq!(ask(Some(&ScanSummary { fail_on: "low".to_owned(), ..report() }), &release), Ok(()));
        let looked_up = ScanSummary { packages: 3, advisories_checked: true, ..report() };
        assert_eq!(ask(Some(&looked_up), &release), Ok(()));
        let table: [(Option<ScanSummary>, BTreeMap<String, String>, &str); 9] = [
            (None, release.clone(), "not scanned"),
            (Some(ScanSummary { clean: false, ..report() }), release.clone(), "failed"),
            (Some(ScanSummary { fail_on: "critical".to_owned(), ..report() }), release.clone(), "laxer"),
            (Some(ScanSummary { fail_on: "none".to_owned(), ..report() }), release.clone(), "laxer"),
            (Some(ScanSummary { fail_on: "HIGH".to_owned(), ..report() }), release.clone(), "laxer"),
            (Some(ScanSummary { packages: 3, ..report() }), release.clone(), "not checked"),
            (Some(ScanSummary { files: 0, scanned: BTreeMap::new(), ..report() }), BTreeMap::new(), "no file"),
            (Some(report()), files(&[("dist/a", "12")]), "other bytes"),
            (Some(report()), files(&[("dist/c", "11")]), "was not scanned"),
        ];
        for (report, files, wanted) in table {
            let message = ask(report.as_ref(), &files).unwrap_err();
            assert!(message.contains(wanted), "{message}");
        }
        let optional = Scan { advisories: Advisories::Optional, ..Scan::default() };
        let unchecked = ScanSummary { packages: 3, ..report() };
        assert_eq!(scan_gate(&optional, Protection::Protected { approvals: 0 }, Some(&unchecked), &release), Ok(()));
        assert_eq!(scan_gate(&Scan::default(), Protection::Open, None, &release), Ok(()));
    }
}
