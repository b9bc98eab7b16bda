//! A real server before clients that misbehave.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use bailey_api::{Config, State};
use bailey_core::access::Call;
use bailey_core::request::{CreateSecret, Identify};
use bailey_core::secret::CreatedSecret;
use bailey_queue::{Handlers, Queue};

/// Serves until the test ends.
fn serve(config: Config) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let queue = Queue::new(&bailey_queue::Config::default(), tokio::runtime::Handle::current());
    queue.attach(Handlers::default().on(|_: Call, Identify {}| async { Ok(()) }).on(
        |_: Call, request: CreateSecret| async {
            {
                let made = CreatedSecret { id: crate::fake::ID.parse().unwrap(), transport_key: None };
                request.secret.accept().map(|_| made)
            }
        },
    ));
    actix_web::rt::spawn(bailey_api::server(listener, State::new(config, queue), None).unwrap());
    address
}

fn impatient() -> Config {
    let mut config = Config::default();
    config.http.workers = 1;
    config.http.request_seconds = 0.5;
    config.http.keep_alive_seconds = 0.5;
    config
}

/// Sends bytes and reads until the server closes, on a thread of its own.
async fn exchange(address: SocketAddr, bytes: Vec<u8>) -> String {
    tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        // A server that has heard enough may close before everything is sent.
        let _ = stream.write_all(&bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    })
    .await
    .unwrap()
}

fn post(length: usize, body: &str) -> Vec<u8> {
    let head = "POST /v1/secrets HTTP/1.1\r\nHost: h\r\nContent-Type: application/json";
    format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

#[actix_web::test]
async fn a_body_that_comes_too_slowly_is_408_and_the_connection_closes() {
    let address = serve(impatient());
    let started = Instant::now();
    let answer = exchange(address, post(100, "{\"name\":")).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("x-openstack-request-id: req-"), "{answer}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[actix_web::test]
async fn a_head_that_comes_too_slowly_or_never_is_408_or_closed() {
    let address = serve(impatient());
    for bytes in [b"GET /v1 HTTP/1.1\r\nHost:".to_vec(), Vec::new()] {
        let answer = exchange(address, bytes).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
}

#[actix_web::test]
async fn heads_that_are_too_large_or_broken_are_refused() {
    let address = serve(impatient());
    let cases = [
        format!("GET / HTTP/1.1\r\nHost: h\r\nX-Big: {}\r\n\r\n", "a".repeat(1_000_000)),
        format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(1_000_000)),
        format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(10_000)),
        "nonsense\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned(),
    ];
    for bytes in cases {
        let answer = exchange(address, bytes.clone().into_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{:.60}: {answer}", bytes);
    }
    let good = exchange(address, b"GET /livez HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".to_vec()).await;
    assert!(good.starts_with("HTTP/1.1 200"), "others are served: {good}");
}

#[actix_web::test]
async fn a_body_larger_than_the_limit_is_413_whether_announced_or_not() {
    let address = serve(impatient());
    let announced = exchange(address, post(300_000, &"a".repeat(300_000))).await;
    assert!(announced.starts_with("HTTP/1.1 413"), "{announced}");
    let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
    let head =
        "POST /v1/secrets HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunked = exchange(address, format!("{head}{}0\r\n\r\n", chunk.repeat(4)).into_bytes()).await;
    assert!(chunked.starts_with("HTTP/1.1 413"), "{chunked}");
}

/// Whether the peer has cut the connection; asking sends a byte, which is answered with a reset then.
fn is_cut(stream: &mut TcpStream) -> bool {
    (0..10).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        stream.write_all(b"\r").is_err()
    })
}

#[actix_web::test]
async fn a_client_that_reads_nothing_is_cut_off() {
    let mut config = impatient();
    config.http.unread_seconds = 1.0;
    let address = serve(config);
    let is_cut = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        let request = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: h\r\n\r\n";
        stream.write_all(request.repeat(16).as_bytes()).unwrap();
        std::thread::sleep(Duration::from_secs(4));
        is_cut(&mut stream)
    });
    assert!(is_cut.await.unwrap(), "an answer that nobody reads is still kept");
}
