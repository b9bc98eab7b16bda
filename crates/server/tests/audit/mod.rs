//! Audit events that can't be written.

use std::collections::HashSet;
use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};

use crate::process::{free_address, get, serve_somehow};
use crate::until;

fn request_id(answer: &str) -> String {
    let line = answer.lines().find_map(|line| line.strip_prefix("x-openstack-request-id: ")).expect("a request id");
    line.trim().to_owned()
}

/// Reads events for ever and keeps the ids of their requests.
fn read_events(reader: io::PipeReader) -> Arc<Mutex<HashSet<String>>> {
    let ids = Arc::new(Mutex::new(HashSet::new()));
    let read = Arc::clone(&ids);
    thread::spawn(move || {
        for line in BufReader::new(reader).lines() {
            let event: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
            read.lock().unwrap().extend(event["request_id"].as_str().map(str::to_owned));
        }
    });
    ids
}

#[test]
fn a_pipe_that_nobody_reads_refuses_requests_in_time_and_loses_no_event() {
    let (folder, address) = (tempfile::tempdir().unwrap(), free_address());
    let (reader, writer) = io::pipe().unwrap();
    fcntl(&reader, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    let variables = [("BAILEY_AUDIT__SINK", "stdout"), ("BAILEY_AUDIT__DEADLINE_SECONDS", "0.5")];
    let data = folder.path().join("data");
    let _server = serve_somehow(&data, address, &variables, Stdio::from(writer));
    until(|| data.join("admin.token").exists());
    let token = fs::read_to_string(data.join("admin.token")).unwrap();
    let list = || get(address, "/v1/secrets", Some(token.trim()));
    until(|| list().starts_with("HTTP/1.1 200"));

    let mut told = Vec::new();
    let refused = loop {
        let begin = Instant::now();
        let answer = get(address, "/v1/secrets", None);
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
        if !answer.starts_with("HTTP/1.1 401") {
            break answer;
        }
        told.push(request_id(&answer));
        assert!(told.len() < 1000, "more than fits into a pipe");
    };
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after"), "{refused}");
    for _ in 0..20 {
        let begin = Instant::now();
        let answer = list();
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(begin.elapsed() < Duration::from_millis(400), "not even tried: {:?}", begin.elapsed());
    }
    assert!(get(address, "/livez", None).starts_with("HTTP/1.1 200"));
    let health = get(address, "/healthcheck", None);
    assert!(health.starts_with("HTTP/1.1 503") && health.contains("audit log"), "{health}");

    let events = read_events(reader);
    until(|| list().starts_with("HTTP/1.1 200"));
    told.push(request_id(&refused));
    let missing = || {
        let events = events.lock().unwrap();
        told.iter().filter(|id| !events.contains(*id)).cloned().collect::<Vec<_>>()
    };
    until(|| missing().is_empty());
}
