//! What a newcomer meets: the first start, the lines it prints, and how it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bailey_testkit::process::{self, Process};
use bailey_tests::app::Builder;
use bailey_tests::http::read_answer;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Database, Store, TestApp, cases};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

pub const ONCE: &[(&str, fn())] =
    cases![a_terminal_shows_the_token_and_lines_that_work, elsewhere_the_lines_work_too_and_logs_are_json];

pub const CASES: &[OwnCase] = cases![
    sigterm_finishes_what_is_in_flight,
    a_revoked_token_stops_within_a_second,
    an_expired_token_stops,
    what_was_stored_is_there_after_a_restart,
];

/// Runs a line as a newcomer would paste it.
fn paste(line: &str) -> Value {
    let output = process::run(Command::new("sh").args(["-c", line])).unwrap();
    serde_json::from_slice(&output).unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// The lines of a banner that are to be pasted: one that stores, one that lists.
fn curl_lines(banner: &str) -> Vec<String> {
    let lines = banner.lines().map(|line| line.trim().to_owned());
    lines.filter(|line| line.starts_with("curl ")).collect()
}

fn store_and_list_by_pasting(banner: &str) {
    let lines = curl_lines(banner);
    assert_eq!(lines.len(), 2, "{banner}");
    let stored = paste(&lines[0]);
    let listed = paste(&lines[1]);
    assert_eq!(listed["total"], json!(1), "{listed}");
    assert_eq!(listed["secrets"][0]["secret_ref"], stored["secret_ref"], "{stored}");
}

/// Where nothing is configured, the store is the built-in one.
fn newcomer() -> Builder {
    TestApp::builder(Database::Sqlite).with_tokens().store(Store::Simple)
}

fn a_terminal_shows_the_token_and_lines_that_work() {
    let app = newcomer().prepare().unwrap();
    let serve = app.serve_command();
    let words: Vec<String> = std::iter::once(serve.get_program())
        .chain(serve.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    // `script` gives the server a terminal of its own and copies what appears on it.
    let mut command = process::command("script");
    command.args(["--quiet", "--flush", "--return", "--command", &format!("exec {}", words.join(" ")), "/dev/null"]);
    command
        .envs(serve.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut terminal = Process::start(command).unwrap();
    let mut lines = BufReader::new(terminal.child().stdout.take().unwrap()).lines();
    let mut banner = String::new();
    while curl_lines(&banner).len() < 2 {
        banner += &lines.next().expect("the end of the banner").unwrap();
        banner += "\n";
    }
    assert!(!banner.contains("{\"timestamp\""), "logs on a terminal are for people: {banner}");
    // Until it was shown, the token was safe in its file.
    process::until(Duration::from_secs(10), || {
        anyhow::ensure!(!app.data_dir().join("admin.token").exists(), "the token is still in its file");
        Ok(())
    })
    .unwrap();
    store_and_list_by_pasting(&banner);
    assert!(terminal.stop().is_ok());
}

fn elsewhere_the_lines_work_too_and_logs_are_json() {
    let app = newcomer().set("BAILEY_LOG__LEVEL", "debug").start().unwrap();
    process::until(Duration::from_secs(10), || {
        anyhow::ensure!(curl_lines(&app.stdout()).len() == 2, "{}", app.stdout());
        Ok(())
    })
    .unwrap();
    store_and_list_by_pasting(&app.stdout());
    let token = std::fs::read_to_string(app.data_dir().join("admin.token")).unwrap();
    assert!(!app.stdout().contains(token.trim()));

    let client = app.anonymous().with("X-Auth-Token", token.trim());
    let answer = client.get("/v1/secrets").send().expect(200);
    let request_id = answer.header("x-openstack-request-id").unwrap().to_owned();
    app.stop().unwrap();
    let log = app.log();
    let events: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    assert!(events.iter().all(|event| event["level"].is_string() && event["timestamp"].is_string()), "{log}");
    assert!(log.contains(&request_id), "no log line of {request_id}: {log}");
}

fn sigterm_finishes_what_is_in_flight(database: Database) {
    let app = TestApp::builder(database).start().unwrap();
    let client = app.client();
    let body = json!({ "payload": "in flight", "payload_content_type": "text/plain" });
    let request = client.post("/v1/secrets").json(&body).bytes();
    let (begun, rest) = request.split_at(request.len() - 10);
    let mut streams: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(client.address()).unwrap()).collect();
    for stream in &mut streams {
        stream.write_all(begun).unwrap();
    }
    // The server has seen the heads once it has answered somebody who came later.
    let _ = client.get("/v1/secrets").send().expect(200);
    app.signal(Signal::SIGTERM).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let mut hrefs = Vec::new();
    for stream in &mut streams {
        stream.write_all(rest).unwrap();
        let answer = read_answer(stream).unwrap().expect(201);
        hrefs.push(answer.string("secret_ref"));
        assert_eq!(stream.read(&mut [0; 16]).unwrap_or(0), 0, "the connection is closed");
    }
    assert!(app.stop().unwrap().unwrap().success());
    assert!(TcpStream::connect(client.address()).is_err());
    app.restart().unwrap();
    for href in hrefs {
        assert_eq!(client.payload(&href), b"in flight");
    }
}

fn a_revoked_token_stops_within_a_second(database: Database) {
    let app = TestApp::builder(database).with_tokens().start().unwrap();
    let token = app.token("project", "user", &["creator"]).unwrap();
    let client = app.anonymous().with("X-Auth-Token", &token);
    let bearer = app.anonymous().with("Authorization", &format!("Bearer {token}"));
    for client in [&client, &bearer] {
        let _ = client.get("/v1/secrets").send().expect(200);
    }
    let id = token.split('.').next().unwrap();
    assert!(app.admin(&["token", "list"]).unwrap().contains(id));
    app.admin(&["token", "revoke", id]).unwrap();
    let revoked = Instant::now();
    process::until(Duration::from_secs(5), || match client.get("/v1/secrets").send().status {
        401 => Ok(()),
        status => anyhow::bail!("still {status}"),
    })
    .unwrap();
    assert!(revoked.elapsed() < Duration::from_millis(1_500), "{:?}", revoked.elapsed());
    let _ = bearer.get("/v1/secrets").send().expect(401);
    assert!(!app.admin(&["token", "list"]).unwrap().contains(id));
    assert!(app.admin(&["token", "revoke", id]).is_err());
}

fn an_expired_token_stops(database: Database) {
    let app = TestApp::builder(database).with_tokens().start().unwrap();
    let create = ["token", "create", "--project", "p", "--user", "u", "--role", "admin", "--expires-in", "4s"];
    let token = app.admin(&create).unwrap();
    let client = app.anonymous().with("X-Auth-Token", token.trim());
    let _ = client.get("/v1/secrets").send().expect(200);
    process::until(Duration::from_secs(10), || match client.get("/v1/secrets").send().status {
        401 => Ok(()),
        status => anyhow::bail!("still {status}"),
    })
    .unwrap();
}

fn what_was_stored_is_there_after_a_restart(database: Database) {
    let app = TestApp::builder(database).with_tokens().start().unwrap();
    let client = app.client();
    let href = client.store_bytes(&[0, 255]);
    let _ = client.put(&format!("{href}/metadata")).json(&json!({ "metadata": { "a": "b" } })).send().expect(201);
    let described = client.describe(&href);
    assert!(app.stop().unwrap().unwrap().success());
    let began = Instant::now();
    app.restart().unwrap();
    assert!(began.elapsed() < Duration::from_secs(15), "started in {:?}", began.elapsed());
    assert_eq!(client.describe(&href), described);
    assert_eq!(client.payload(&href), [0, 255]);
    assert_eq!(client.describe(&format!("{href}/metadata")), json!({ "metadata": { "a": "b" } }));
}
