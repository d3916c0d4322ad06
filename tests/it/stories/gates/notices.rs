//! People who do not look are told: by a command and by a POST, once for each event, and a run does not wait for either.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

use super::world::{World, pipeline, wait_for};

/// A server on loopback that answers 503 once, and keeps what it gets.
fn server() -> (String, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/hook/secret", listener.local_addr().unwrap());
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for (turn, stream) in listener.incoming().take(20).enumerate() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap() == 0 || line == "\r\n" {
                    break;
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let status = if turn == 0 { "503 Service Unavailable" } else { "204 No Content" };
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            if tell.send((head, String::from_utf8(body).unwrap())).is_err() {
                return;
            }
        }
    });
    (address, told)
}

fn operator(world: &World, text: &str) {
    let folder = world.path("home/.config/hms");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.yml"), text).unwrap();
}

#[test]
fn what_happens_is_told_once_and_nobody_waits_for_it() {
    let world = World::new(&pipeline(&[]));
    let (address, posts) = server();
    let (heard, token) = (world.path("heard"), world.path("token"));
    std::fs::write(&token, "s3cret\n").unwrap();
    operator(
        &world,
        &format!(
            "notify:\n- {{command: [/bin/sh, -c, 'cat >> {heard}']}}\n- {{post: '{address}', on: [harm], bearer_file: {token}}}\n- {{command: [/bin/false], on: [gate]}}\n",
            heard = heard.display(),
            token = token.display()
        ),
    );
    let _users = world.users();
    world.hms_ends(10, &["run", "--headless", "--no-linger"]);
    world.wait_ended("1");
    // Taken up again, and told of nothing twice.
    world.approve("1");
    world.commit_service("2", 0.5);
    world.hms_ends(12, &["run", "--headless"]);
    world.wait_ended("2");

    let lines = || -> Vec<Value> {
        std::fs::read_to_string(&heard).unwrap_or_default().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let told = wait_for("the rollback's notice", || Some(lines()).filter(|told| told.iter().any(|notice| notice["event"] == "rollback")));
    let events: Vec<&str> = told.iter().map(|notice| notice["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["gate", "unwatched", "harm", "rollback"], "{told:#?}");
    let schema: Value = serde_json::from_str(include_str!("../../../../assets/notice.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    for notice in &told {
        assert!(schema.is_valid(notice), "{notice:#}");
    }
    assert_eq!((&told[0]["job"], &told[0]["hint"]), (&"prod".into(), &"hms approve 1 'prod'".into()));
    let ids: std::collections::BTreeSet<&str> = told.iter().map(|notice| notice["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 4, "{told:#?}");

    // Refused once by the server, and tried again: the same notice, with its token.
    let (first, second) = (posts.recv().unwrap(), posts.recv().unwrap());
    assert_eq!(first.1, second.1);
    assert!(
        second.0.starts_with("POST /hook/secret ") && second.0.to_ascii_lowercase().contains("authorization: bearer s3cret"),
        "{second:?}"
    );
    assert_eq!(serde_json::from_str::<Value>(&second.1).unwrap()["event"], "harm");
    // What does not take it is said once, and the gate was there all the same.
    let notices = world.notices("1");
    assert_eq!(notices.matches("/bin/false could not be told").count(), 1, "{notices}");
    assert!(!notices.contains("s3cret") && !notices.contains("secret"), "{notices}");
}
