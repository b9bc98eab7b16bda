//! Many clients that do little: idle ones, slow ones. The server drops them, its memory stays
//! bounded, and others are served meanwhile.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use bailey_testkit::process::{self, Process};
use bailey_tests::http::read_answer;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Client, Database, TestApp, cases};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;

pub const CASES: &[OwnCase] = cases![
    thousands_of_idle_connections,
    slow_clients_are_cut_off,
    clients_that_read_nothing_are_cut_off,
    stalled_bodies_are_bounded,
    large_requests_are_not_kept
];

/// Tells this program to be the crowd instead of the tests: the server's address.
const CROWD: &str = "BAILEY_TEST_CROWD";

const CONNECTIONS: usize = 3_000;
const MEBIBYTE: u64 = 1024 * 1024;

/// The crowd, if this process was started to be it. A process of its own: it needs as many
/// descriptors as the server.
pub fn crowd() -> Option<ExitCode> {
    let address: SocketAddr = std::env::var(CROWD).ok()?.parse().ok()?;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let mut streams: Vec<TcpStream> = (0..CONNECTIONS).map(|_| TcpStream::connect(address).unwrap()).collect();
    for (number, stream) in streams.iter_mut().enumerate() {
        let said = ["", "GET / HTTP/1.1\r\nX-", "POST /v1/secrets HTTP/1.1\r\nContent-Length: 50\r\n\r\n{"][number % 3];
        let _ = stream.write_all(said.as_bytes());
    }
    println!("{}", streams.len());
    let all_closed = streams.iter_mut().all(is_closed);
    Some(if all_closed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether the server closes the connection before long.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    match stream.read_to_end(&mut Vec::new()) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            // The kernel forgets connections that overflow the server's queue without a word to the
            // client; only sending shows it.
            let _ = stream.write_all(b"G");
            stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            stream.read(&mut [0]).is_err_and(|error| error.kind() != ErrorKind::WouldBlock)
        }
        _ => true,
    }
}

fn store_and_read(client: &Client) {
    let began = Instant::now();
    let href = client.store("served");
    assert_eq!(client.payload(&href), b"served");
    assert!(began.elapsed() < Duration::from_secs(5), "served after {:?}", began.elapsed());
}

fn thousands_of_idle_connections(database: Database) {
    let app = TestApp::builder(database).set("BAILEY_HTTP__REQUEST_SECONDS", "3").start().unwrap();
    let client = app.client();
    store_and_read(&client);
    let before = app.resident_bytes();

    let mut command = process::command(std::env::current_exe().unwrap());
    command.env(CROWD, app.address().to_string()).stdout(Stdio::piped());
    let mut crowd = Process::start(command).unwrap();
    let mut line = String::new();
    BufReader::new(crowd.child().stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.trim(), CONNECTIONS.to_string());
    for _ in 0..5 {
        store_and_read(&client);
    }
    let grown = app.resident_bytes().saturating_sub(before);
    assert!(grown < 64 * MEBIBYTE, "{CONNECTIONS} idle connections cost {} MiB", grown / MEBIBYTE);
    assert!(crowd.wait(Duration::from_secs(60)).unwrap().success());
    store_and_read(&client);
}

fn slow_clients_are_cut_off(database: Database) {
    let app = TestApp::builder(database).set("BAILEY_HTTP__REQUEST_SECONDS", "1").start().unwrap();
    let client = app.client();
    let body = json!({ "payload": "slow", "payload_content_type": "text/plain" });
    let request = client.post("/v1/secrets").json(&body).bytes();
    let head = request.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    for part in [&request[..0], &request[..20], &request[..head], &request[..head + 10]] {
        let mut stream = TcpStream::connect(client.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(part).unwrap();
        let began = Instant::now();
        match read_answer(&mut stream) {
            Ok(answer) => assert_eq!(answer.status, 408, "{answer}"),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{error}"),
        }
        assert!(began.elapsed() < Duration::from_secs(15));
    }
    drip(&client, &request);
    assert_eq!(client.describe("/v1/secrets")["total"], json!(0));
    store_and_read(&client);
}

fn clients_that_read_nothing_are_cut_off(database: Database) {
    let app = TestApp::builder(database).set("BAILEY_HTTP__UNREAD_SECONDS", "2").start().unwrap();
    let client = app.client();
    store_and_read(&client);
    let before = app.resident_bytes();
    let request = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: h\r\n\r\n".repeat(16);
    let mut deaf: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(app.address()).unwrap()).collect();
    for stream in &mut deaf {
        stream.write_all(request.as_bytes()).unwrap();
    }
    store_and_read(&client);
    let grown = app.resident_bytes().saturating_sub(before);
    assert!(grown < 64 * MEBIBYTE, "{} unread answers cost {} MiB", deaf.len(), grown / MEBIBYTE);
    // A closed connection answers the first byte with a reset, which the second one meets.
    std::thread::sleep(Duration::from_secs(8));
    for stream in &mut deaf {
        let _ = stream.write_all(b"\r");
    }
    std::thread::sleep(Duration::from_secs(1));
    for stream in &mut deaf {
        assert!(stream.write_all(b"\r").is_err(), "a client that reads nothing is still connected");
    }
    store_and_read(&client);
}

/// Each announces the largest body, sends all of it but one byte, and waits.
fn stalled_bodies_are_bounded(database: Database) {
    let app = TestApp::builder(database).set("BAILEY_HTTP__REQUEST_SECONDS", "3").start().unwrap();
    let client = app.client();
    store_and_read(&client);
    let before = app.resident_bytes();
    let head =
        "POST /v1/secrets HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 65536\r\n\r\n";
    let request = format!("{head}{}", "a".repeat(65_535));
    let stalled: Vec<TcpStream> = (0..500)
        .map(|_| {
            let mut stream = TcpStream::connect(app.address()).unwrap();
            let _ = stream.write_all(request.as_bytes());
            stream
        })
        .collect();
    store_and_read(&client);
    let grown = app.resident_bytes().saturating_sub(before);
    assert!(grown < 160 * MEBIBYTE, "{} stalled bodies cost {} MiB", stalled.len(), grown / MEBIBYTE);
    store_and_read(&client);
}

/// Sends a byte now and then: each comes in time, the whole doesn't.
fn drip(client: &Client, request: &[u8]) {
    let mut stream = TcpStream::connect(client.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let began = Instant::now();
    for byte in request {
        let is_closed = stream.write_all(std::slice::from_ref(byte)).is_err();
        if is_closed || stream.read(&mut [0; 512]).is_ok() {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(15), "a dripping client is still listened to");
    }
}

fn large_requests_are_not_kept(database: Database) {
    let app = TestApp::builder(database).start().unwrap();
    let client = app.client();
    store_and_read(&client);
    let before = app.resident_bytes();
    let megabytes = vec![b'a'; 8 * 1024 * 1024];
    let senders: Vec<_> = (0..16)
        .map(|number| {
            let path = if number % 2 == 0 { "/v1/secrets" } else { "/v1/secrets/00000000-0000-4000-8000-000000000000" };
            let method = if number % 2 == 0 { "POST" } else { "PUT" };
            let request = client.request(method, path).payload("application/json", megabytes.clone());
            std::thread::spawn(move || (0..4).filter_map(|_| Some(request.try_send().ok()?.status)).collect::<Vec<_>>())
        })
        .collect();
    store_and_read(&client);
    for status in senders.into_iter().flat_map(|sender| sender.join().unwrap()) {
        assert!((400..500).contains(&status), "{status}");
    }
    let grown = app.resident_bytes().saturating_sub(before);
    assert!(grown < 32 * MEBIBYTE, "grown by {} MiB", grown / MEBIBYTE);
}
