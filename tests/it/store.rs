//! Journals, locks and sockets, as other processes see them.

use std::io::Write;
use std::time::Duration;

use chrono::DateTime;
use hms::event::{RepositoryEvent, Stamped};
use hms::store::{Durability, Holder, Journal, JournalError, Lock, LockError, Tail, holder_of, read, this_process};
use proptest::prelude::*;

fn seen(name: &str) -> RepositoryEvent {
    let revision = "0123456789012345678901234567890123456789".parse().unwrap();
    RepositoryEvent::RefSeen { ref_name: name.to_owned(), revision, before: None }
}

fn write(path: &std::path::Path, names: &[String]) -> Vec<Stamped<RepositoryEvent>> {
    let mut journal = Journal::open(path).unwrap().journal;
    names.iter().map(|name| journal.append(DateTime::UNIX_EPOCH, seen(name), Durability::Synced).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever byte a write stops at, a reader has the whole lines before it, and the next writer goes on from there.
    #[test]
    fn a_torn_journal_is_its_whole_lines(names in prop::collection::vec("[a-z/\u{e9}\"\\\\]{0,12}", 1..6), cut in 0.0..1.0f64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let events = write(&path, &names);
        let whole = std::fs::read(&path).unwrap();
        let keep = (whole.len() as f64 * cut) as usize;
        std::fs::write(&path, &whole[..keep]).unwrap();
        let lines = whole[..keep].split_inclusive(|byte| *byte == b'\n').filter(|line| line.last() == Some(&b'\n')).count();

        prop_assert_eq!(&read::<RepositoryEvent>(&path).unwrap()[..], &events[..lines]);
        let opened = Journal::open(&path).unwrap();
        prop_assert_eq!(&opened.events[..], &events[..lines]);
        let last_line_at = whole[..keep].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        prop_assert_eq!(opened.dropped_bytes, (keep - last_line_at) as u64);
        let mut journal = opened.journal;
        let next = journal.append(DateTime::UNIX_EPOCH, seen("next"), Durability::Written).unwrap();
        prop_assert_eq!(next.seq, lines as u64 + 1);
        prop_assert_eq!(read::<RepositoryEvent>(&path).unwrap().len(), lines + 1);
    }

    /// A tail that looks at any moment sees each event once, in order, and no half line.
    #[test]
    fn a_tail_sees_every_event_once(names in prop::collection::vec("[a-z]{0,9}", 1..8), steps in prop::collection::vec(1usize..200, 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let events = write(&path, &names);
        let whole = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut tail = Tail::<RepositoryEvent>::new(&path);
        let mut found = tail.poll().unwrap();
        prop_assert!(found.is_empty());
        let mut file = std::fs::File::create(&path).unwrap();
        let mut at = 0;
        for step in steps.into_iter().chain([whole.len()]) {
            let end = (at + step).min(whole.len());
            file.write_all(&whole[at..end]).unwrap();
            at = end;
            found.extend(tail.poll().unwrap());
        }
        prop_assert_eq!(found, events);
    }
}

#[test]
fn damage_in_the_middle_is_named_by_line_and_nothing_is_read_past_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    write(&path, &["a".to_owned(), "b".to_owned(), "c".to_owned()]);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for bad in [format!("{}\nnonsense\n{}\n", lines[0], lines[2]), format!("{}\n{}\n", lines[0], lines[2])] {
        std::fs::write(&path, bad).unwrap();
        let error = read::<RepositoryEvent>(&path).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { line: 2, .. }), "{error}");
        assert!(Journal::<RepositoryEvent>::open(&path).is_err());
    }
    std::fs::write(&path, lines[0].replace("\"format\":1", "\"format\":2") + "\n").unwrap();
    assert!(matches!(read::<RepositoryEvent>(&path), Err(JournalError::TooNew { format: 2, .. })));
}

#[test]
fn an_event_of_a_later_version_is_read_as_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    std::fs::write(&path, "{\"format\":1,\"seq\":1,\"time\":\"2026-01-01T00:00:00.000Z\",\"type\":\"MoonSeen\",\"phase\":3}\n").unwrap();
    assert_eq!(read::<RepositoryEvent>(&path).unwrap()[0].event, RepositoryEvent::Unknown);
}

#[test]
fn a_lock_names_its_holder_until_it_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    let me = Holder { process: this_process(), host: "here".to_owned(), role: "engine".to_owned(), socket: Some("/run/x.sock".into()) };
    assert_eq!(holder_of(&path).unwrap(), None);
    let lock = Lock::try_take(&path, &me).unwrap();
    assert_eq!(holder_of(&path).unwrap(), Some(me.clone()));
    match Lock::take_within(&path, &me, Duration::from_millis(20)) {
        Err(LockError::Held { holder, .. }) => assert_eq!(holder, Some(Box::new(me.clone()))),
        other => panic!("{other:?}"),
    }
    // One that has not described itself yet is not taken for the one before, which is gone.
    let gone = Holder { process: hms::event::ProcessName { start_ticks: 1, ..me.process.clone() }, ..me.clone() };
    lock.describe(&gone).unwrap();
    match Lock::try_take(&path, &me) {
        Err(LockError::Held { holder, .. }) => assert_eq!(holder, None),
        other => panic!("{other:?}"),
    }
    drop(lock);
    assert_eq!(holder_of(&path).unwrap(), None);
    Lock::try_take(&path, &me).unwrap();
}

#[test]
fn a_request_reaches_the_server_and_its_lines_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sock");
    let listener = hms::store::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let peer = hms::store::peer_of(&stream).unwrap();
        let request: String = hms::store::accept(&stream, "engine", Duration::from_secs(5)).unwrap();
        for word in request.split(' ') {
            hms::store::write_line(&stream, &word).unwrap();
        }
        peer
    });
    let mut answer = hms::store::ask(&path, &"one two", Duration::from_secs(5)).unwrap();
    let mut words = Vec::new();
    while let Some(word) = answer.next::<String>(Some(Duration::from_secs(5))).unwrap() {
        words.push(word);
    }
    assert_eq!(words, ["one", "two"]);
    assert_eq!(server.join().unwrap().process, Some(this_process()));
    assert!(hms::store::ask(&folder.path().join("none"), &"x", Duration::from_secs(1)).is_err());
}
