//! `hms ledger`: what was done, whether every byte of it is as it was written, and a new beginning where a ledger is gone.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use crate::event::{Actor, AppName, EnvironmentName, LedgerHead, Refusal, RefusalKind, RolloutId};
use crate::ledger::{Entry, Finding, Ledger, LedgerPlaces, OnFault, Phase, Verification, entries, unresolved, verify};
use crate::rollout::{
    folder_of,
    reader::{Kept as KeptEvidence, kept_evidence},
};
use crate::store::{DiskError, Inside, Places, chain, now, read_if_there, this_inside_run};
use crate::text::{plain, share};

use super::arguments::{LedgerVerb, Output};
use super::environment::{Environment, actor};
use super::failure::{Exit, Failure};

/// Carries out a verb of the ledger.
pub(crate) fn ledger(environment: &Environment, verb: LedgerVerb, output: Output) -> Result<u8, Failure> {
    match verb {
        LedgerVerb::Log { env, app } => log(&environment.places, env.as_ref(), app.as_ref(), output),
        LedgerVerb::Verify => check(&environment.places, output),
        LedgerVerb::New { reason } => begin_anew(environment, &reason, output),
    }
}

fn log(places: &Places, environment: Option<&EnvironmentName>, app: Option<&AppName>, output: Output) -> Result<u8, Failure> {
    let places = LedgerPlaces::of(places);
    let all = entries(&places)?;
    let open: HashSet<u64> = unresolved(&all).into_iter().map(|entry| entry.seq).collect();
    let wanted = |entry: &&Entry| {
        environment.is_none_or(|wanted| entry.environment.as_ref() == Some(wanted))
            && app.is_none_or(|wanted| entry.app.as_ref() == Some(wanted))
    };
    let mut out = std::io::stdout().lock();
    for entry in all.iter().filter(wanted) {
        let unresolved = open.contains(&entry.seq);
        match output {
            Output::Text => writeln!(out, "{}", line(entry, unresolved))?,
            Output::Json => writeln!(out, "{}", value(entry, unresolved)?)?,
        }
    }
    let lines =
        read_if_there(&places.entries())?.map_or(0, |bytes| bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count());
    let mut notices = std::io::stderr().lock();
    if lines == 0 {
        if let Some(finding) = verify(&places, &[])?.findings.into_iter().next() {
            return Err(Failure::new(Exit::NotCarriedOut, finding.what).hint("hms ledger verify has every finding"));
        }
        let _ = writeln!(notices, "hms: no ledger was begun here: nothing was done yet");
    } else if lines > all.len() {
        let _ = writeln!(notices, "hms: {} of {lines} lines are no entries and are not shown: hms ledger verify", lines - all.len());
    }
    Ok(0)
}

/// An entry on one line: when, who, what, where, with what, and why.
fn line(entry: &Entry, unresolved: bool) -> String {
    let mut words = vec![entry.time.clone(), who(&entry.actor), what(entry)];
    let place = match (&entry.app, &entry.environment) {
        (Some(app), Some(environment)) => Some(format!("{app}/{environment}")),
        (Some(app), None) => Some(app.to_string()),
        (None, Some(environment)) => Some(environment.to_string()),
        (None, None) => None,
    };
    words.extend(place);
    words.extend(release(entry));
    if let Some(weights) = &entry.weights {
        // A rollback takes the canary's weight away; what the release that it goes to has is the rest.
        let of = if entry.kind == "rollback" { "canary " } else { "" };
        let shown = [(format!("{of}requested"), weights.requested), (format!("{of}applied"), weights.applied)];
        words.extend(shown.into_iter().filter_map(|(name, weight)| Some(format!("{name} {}", weight?))));
        words.extend(weights.measured.map(|measured| format!("measured {}", share(measured))));
    }
    words.extend(entry.evidence.as_ref().map(|evidence| evidence.verdict.clone()));
    if entry.synthetic == Some(true) {
        words.push("synthetic traffic".to_owned());
    }
    if !entry.yeses.is_empty() {
        let people: Vec<String> = entry.yeses.iter().map(|yes| yes.actor.login.clone()).collect();
        words.push(format!("yes from {}", people.join(", ")));
    }
    if entry.kind == "policy.accept" {
        words.extend(entry.policy_hash.as_ref().map(|hash| format!("policy {}", hash.short())));
    }
    words.extend(entry.outcome.as_ref().map(|outcome| format!("→ {outcome}")));
    if unresolved {
        words.push("UNRESOLVED: whoever began it was stopped before its end".to_owned());
    }
    if let Some(follows) = &entry.follows {
        words.push(format!("follows {} ({} entries, not here)", follows.id, follows.size));
    }
    words.extend(entry.reason.as_ref().map(|reason| format!("“{reason}”")));
    plain(&words.join("  "))
}

fn who(actor: &Actor) -> String {
    let from = actor.ssh_client.as_ref().map(|client| format!(" from {client}")).unwrap_or_default();
    format!("{}@{}{from} ({})", actor.login, actor.host, actor.via)
}

fn what(entry: &Entry) -> String {
    match (entry.phase, entry.intent_seq) {
        (Phase::Intent, _) => format!("{} #{} intent", entry.kind, entry.seq),
        (Phase::Outcome, Some(intent)) => format!("{} #{} outcome of #{intent}", entry.kind, entry.seq),
        (Phase::Outcome, None) => format!("{} #{} outcome", entry.kind, entry.seq),
        (Phase::Note, _) => format!("{} #{}", entry.kind, entry.seq),
    }
}

fn release(entry: &Entry) -> Option<String> {
    let short = entry.revision.as_ref().map(|revision| revision.short().to_owned());
    let name = match (&entry.tag, short) {
        (Some(tag), Some(short)) if *tag != short => Some(format!("{tag} ({short})")),
        (Some(name), _) => Some(name.clone()),
        (None, short) => short,
    };
    match (name, &entry.digest) {
        (Some(name), Some(digest)) => Some(format!("{name} {}", digest.short())),
        (name, digest) => name.or_else(|| digest.as_ref().map(|digest| digest.short().to_owned())),
    }
}

/// The entry as it is, with whether its end is missing.
fn value(entry: &Entry, unresolved: bool) -> Result<serde_json::Value, Failure> {
    let mut value = serde_json::to_value(entry).map_err(std::io::Error::from)?;
    if let Some(fields) = value.as_object_mut() {
        fields.insert("format".to_owned(), json!(1));
        fields.insert("unresolved".to_owned(), json!(unresolved));
    }
    Ok(value)
}

fn check(places: &Places, output: Output) -> Result<u8, Failure> {
    let at_targets = heads_at_targets(places)?;
    let heads: Vec<_> = at_targets.heads.iter().map(|(place, head)| (named(place), head.clone())).collect();
    let mut found = verify(&LedgerPlaces::of(places), &heads)?;
    for (place, seq) in changed_here(&entries(&LedgerPlaces::of(places))?) {
        if !at_targets.heads.contains_key(&place) {
            let why = at_targets.unread.get(&place.0).map_or("it is gone, or names no ledger", String::as_str);
            let what = format!("the record at {} was written over entry {seq}, and cannot be compared: {why}", named(&place));
            found.findings.push(Finding { line: Some(seq + 1), what });
        }
    }
    check_evidence(places, &entries(&LedgerPlaces::of(places))?, &mut found);
    found.notes.extend(at_targets.unread.iter().map(|(app, why)| format!("not compared with the record of {app}: {why}")));
    let sound = found.findings.is_empty();
    if sound && found.size == 0 {
        let why = format!("no ledger is in {}: nothing was verified", LedgerPlaces::of(places).entries().display());
        let hint = "the first deploy begins one; another user's is read with HMS_STATE_HOME and HMS_DATA_HOME";
        return Err(Failure::new(Exit::NotCarriedOut, why).hint(hint));
    }
    let mut out = std::io::stdout().lock();
    if output == Output::Json {
        let findings: Vec<_> = found.findings.iter().map(|finding| json!({"line": finding.line, "what": finding.what})).collect();
        let answer = json!({
            "format": 1, "sound": sound, "id": found.id, "size": found.size, "root": found.root, "findings": findings, "notes": found.notes,
        });
        writeln!(out, "{answer}")?;
        return Ok(u8::from(!sound));
    }
    let file = LedgerPlaces::of(places).entries();
    for finding in &found.findings {
        let line = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
        writeln!(out, "{}{line}: {}", plain(&file.to_string_lossy()), plain(&finding.what))?;
    }
    for note in &found.notes {
        writeln!(out, "note: {}", plain(note))?;
    }
    let entries = if found.size == 1 { "entry" } else { "entries" };
    match (sound, found.findings.len()) {
        (true, _) => writeln!(out, "✔ the ledger is as it was written: {} {entries}, root {}", found.size, found.root)?,
        (false, 1) => writeln!(out, "✘ the ledger is not as it was written: 1 finding")?,
        (false, count) => writeln!(out, "✘ the ledger is not as it was written: {count} findings")?,
    }
    Ok(u8::from(!sound))
}

/// Every evidence file that an entry cites and whose rollout lies here has the hash that the entry says, and the samples that it was
/// made from still stand in that rollout's journal.
fn check_evidence(places: &Places, entries: &[Entry], found: &mut Verification) {
    let mut known: BTreeMap<RolloutId, Option<Vec<KeptEvidence>>> = BTreeMap::new();
    let mut elsewhere = 0;
    for entry in entries {
        let (Some(cited), Some(app), Some(rollout)) = (&entry.evidence, &entry.app, &entry.rollout) else { continue };
        let mut bad = |what: String| found.findings.push(Finding { line: Some(entry.seq + 1), what });
        let here = known.entry(rollout.clone()).or_insert_with(|| {
            let kept = kept_evidence(&folder_of(&places.state, app, rollout));
            kept.inspect_err(|error| bad(format!("the samples of rollout {rollout} cannot be compared: {}", chain(error)))).ok()
        });
        let Some(here) = here else { continue };
        if here.is_empty() {
            elsewhere += 1;
            continue;
        }
        match here.iter().find(|kept| kept.sha256.hex() == cited.sha256) {
            None => {
                bad(format!("no evidence file of rollout {rollout} is the one that entry {} cites: it was changed or removed", entry.seq));
            }
            Some(kept) if kept.changed => {
                bad(format!("the samples of rollout {rollout} are not those that the evidence of entry {} was made from", entry.seq));
            }
            Some(kept) if kept.missing > 0 => found.notes.push(format!(
                "{} samples that the evidence of entry {} was made from are not in rollout {rollout}'s journal",
                kept.missing, entry.seq
            )),
            Some(_) => {}
        }
    }
    if elsewhere > 0 {
        found.notes.push(format!("{elsewhere} entries cite evidence of rollouts that are not here"));
    }
}

/// What of a local target's `store.json` concerns the ledger. The file is the target's; verification must start nothing, so it is read
/// as it lies there.
#[derive(Deserialize)]
struct Kept {
    #[serde(default)]
    environments: BTreeMap<String, KeptEnvironment>,
}

#[derive(Deserialize)]
struct KeptEnvironment {
    #[serde(default)]
    record: Option<KeptRecord>,
}

#[derive(Deserialize)]
struct KeptRecord {
    #[serde(default)]
    ledger: Option<LedgerHead>,
}

/// An app's environment at this machine's target.
type Place = (String, String);

fn named((app, environment): &Place) -> String {
    format!("{app}/{environment} on this machine")
}

/// What this machine's targets hold of ledgers.
#[derive(Default)]
struct AtTargets {
    heads: BTreeMap<Place, LedgerHead>,
    /// By app: why its records cannot be compared.
    unread: BTreeMap<String, String>,
}

fn heads_at_targets(places: &Places) -> Result<AtTargets, Failure> {
    let mut found = AtTargets::default();
    for (app, folder) in local_apps(places)? {
        let path = folder.join("store.json");
        let bytes = match read_if_there(&path) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => continue,
            Err(error) => {
                found.unread.insert(app, error.to_string());
                continue;
            }
        };
        match serde_json::from_slice::<Kept>(&bytes) {
            Ok(kept) => {
                let heads = kept.environments.into_iter().filter_map(|(environment, kept)| Some((environment, kept.record?.ledger?)));
                found.heads.extend(heads.map(|(environment, head)| ((app.clone(), environment), head)));
            }
            Err(error) => drop(found.unread.insert(app, format!("{} cannot be understood: {error}", path.display()))),
        }
    }
    Ok(found)
}

/// Where an entry says that something was done at this machine's target, with its last such entry: a record there names this ledger
/// since then, whatever became of the file that it is kept in.
fn changed_here(entries: &[Entry]) -> BTreeMap<Place, u64> {
    let changes = |entry: &&Entry| {
        entry.phase == Phase::Outcome
            && entry.outcome.as_deref() == Some("done")
            && entry.target.as_ref().is_some_and(|target| target.kind == "local")
            && matches!(entry.kind.as_str(), "deploy" | "weight" | "promote" | "rollback" | "abort")
    };
    let place = |entry: &Entry| Some(((entry.app.as_ref()?.to_string(), entry.environment.as_ref()?.to_string()), entry.seq));
    entries.iter().filter(changes).filter_map(place).collect()
}

/// The apps that have a local target, with its folder, by name.
pub(crate) fn local_apps(places: &Places) -> Result<Vec<(String, std::path::PathBuf)>, DiskError> {
    let folder = places.state.join("local");
    let mut apps: Vec<_> = match std::fs::read_dir(&folder) {
        Ok(found) => found.flatten().map(|found| (found.file_name().to_string_lossy().into_owned(), found.path())).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(DiskError::of("read", &folder)(error)),
    };
    apps.retain(|(_, path): &(String, std::path::PathBuf)| Path::is_dir(path));
    apps.sort();
    Ok(apps)
}

fn begin_anew(environment: &Environment, reason: &str, output: Output) -> Result<u8, Failure> {
    let who = actor("hms ledger new");
    outside_runs(environment, &who, "ledger new")?;
    let at_targets: Vec<LedgerHead> = heads_at_targets(&environment.places)?.heads.into_values().collect();
    let ledger = Ledger::begin_anew(&LedgerPlaces::of(&environment.places), &who, reason, &at_targets, now())?;
    let head = ledger.head();
    let mut out = std::io::stdout().lock();
    match output {
        Output::Text => {
            for said in ledger.said() {
                writeln!(out, "{}", plain(said))?;
            }
            writeln!(out, "✔ the ledger {} begins here, with {} entries", head.id, head.size)?;
        }
        Output::Json => writeln!(out, "{}", json!({"format": 1, "ledger": head}))?,
    }
    Ok(0)
}

/// Refuses what only a person may do from inside a run, and enters the refusal (`docs/decisions.md` 4.2).
pub(crate) fn outside_runs(environment: &Environment, who: &Actor, verb: &str) -> Result<(), Failure> {
    if this_inside_run(&environment.places.state) == Inside::No {
        return Ok(());
    }
    let refusal = Refusal::new(RefusalKind::InsideRun, format!("`hms {verb}` is a person's to say, and this comes from inside a job"))
        .hint(format!("from a shell of your own: hms {verb}"));
    let mut entry = Entry::new("refuse", Phase::Note, who.clone());
    entry.reason = Some(format!("{verb}: {}", refusal.message));
    entry.outcome = Some(refusal.kind.word());
    let places = LedgerPlaces::of(&environment.places);
    let entered = Ledger::open(&places, who, std::time::Duration::from_secs(10), OnFault::Refuse, now())
        .and_then(|mut ledger| ledger.append(entry, now()));
    if let Err(error) = entered {
        let _ = writeln!(std::io::stderr(), "hms: the refusal could not be entered in the ledger: {error}");
    }
    Err(refusal.into())
}
