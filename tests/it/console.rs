//! The console's view of a finished run, from the lines that lie on disk.

use std::collections::BTreeMap;
use std::io;

use hms::console::{Access, Back, EngineLife, Graph, LogBytes, Replay, Source};
use hms::event::{JobStatus, RolloutEvent, RunEvent, Stamped};

const RUN: &str = r#"{"format":1,"seq":1,"time":"2026-11-24T16:00:00.000Z","type":"RunCreated","run":"01KATE0000000000000000RNN1","number":7,"app":"irs-api","revision":"8c4f2d3e1b0a49f6a7c25d8e3f1b2a4c5d6e7f80","tag":"v2","title":"a title","source":"cli","actor":{"uid":1,"login":"a","host":"h","via":"hms run"},"repository":"/r/irs","jobs":[{"name":"build","base_name":"build","stage":"build","needs":null,"when":"on_success","allow_failure":false}]}
{"format":1,"seq":2,"time":"2026-11-24T16:00:01.000Z","type":"AttemptStarting","job":"build","attempt":"01KATE0000000000000000RNN1.build.1","number":1,"guarded":false}
{"format":1,"seq":3,"time":"2026-11-24T16:00:05.000Z","type":"AttemptEnded","job":"build","attempt":"01KATE0000000000000000RNN1.build.1","result":"success","exit_code":0,"duration_ms":4000}
{"format":1,"seq":4,"time":"2026-11-24T16:00:06.000Z","type":"RunEnded","outcome":"success","exit_code":0}"#;

const ROLLOUT: &str = r#"{"format":1,"seq":1,"time":"2026-11-24T16:00:02.000Z","type":"RolloutCreated","rollout":"01KATE000000000000000RQXX1","kind":"release","app":"irs-api","environment":"prod","target":{"kind":"local","id":"x","name":"this machine"},"release":{"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","tag":"v2"},"previous":{"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b856","tag":"v1"},"policy_hash":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b857","actor":{"uid":1,"login":"a","host":"h","via":"hms"}}
{"format":1,"seq":2,"time":"2026-11-24T16:00:04.000Z","type":"Promoted"}
{"format":1,"seq":3,"time":"2026-11-24T16:00:04.000Z","type":"RolloutEnded","outcome":"promoted"}"#;

fn lines<E: for<'de> serde::Deserialize<'de>>(text: &str) -> serde_json::Result<Vec<Stamped<E>>> {
    text.lines().map(serde_json::from_str).collect()
}

fn replay() -> serde_json::Result<Replay> {
    let (run, rollout): (Vec<Stamped<RunEvent>>, Vec<Stamped<RolloutEvent>>) = (lines(RUN)?, lines(ROLLOUT)?);
    Ok(Replay::new(run, vec![rollout], BTreeMap::new(), Box::new(|_| Graph::default())))
}

#[test]
fn a_replay_shows_the_end_and_only_looks() {
    let view = replay().unwrap().view();
    assert_eq!((view.access, view.engine, view.repository.as_str()), (Access::Replay, EngineLife::Ended, "irs"));
    let [prod] = view.environments.as_slice() else { panic!("{:?}", view.environments) };
    assert_eq!(prod.record.as_ref().unwrap().current.as_ref().unwrap().tag, "v2");
    assert!(matches!(&prod.back, Back::To(release) if release.tag == "v1"), "{:?}", prod.back);
}

#[test]
fn a_moment_in_between_shows_what_was_known_then() {
    let view = replay().unwrap().view_at("2026-11-24T16:00:03Z".parse().unwrap());
    assert_eq!(view.engine, EngineLife::Alive);
    assert_eq!(view.run.unwrap().jobs[0].status, JobStatus::Preparing);
    assert_eq!(view.environments[0].record.as_ref().unwrap().current.as_ref().unwrap().tag, "v1");
    assert_eq!(replay().unwrap().view_at("2026-11-24T15:00:00Z".parse().unwrap()).run, None);
}

#[test]
fn a_job_without_a_log_has_none_and_bytes_are_read_by_offset() -> io::Result<()> {
    assert!(replay()?.log(&"build".parse().unwrap())?.is_none());
    let bytes = b"one\ntwo\n".to_vec();
    let mut buffer = [0; 8];
    assert_eq!(LogBytes::read_at(&bytes, 4, &mut buffer)?, 4);
    assert_eq!(&buffer[..4], b"two\n");
    assert_eq!(LogBytes::read_at(&bytes, 99, &mut buffer)?, 0);
    Ok(())
}
