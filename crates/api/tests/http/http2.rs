//! What HTTP/2 lets a client do, and for how long.

use std::time::{Duration, Instant};

use actix_web::web::Bytes;
use bailey_api::Config;
use h2::client::{Builder, SendRequest};
use h2::{Reason, RecvStream};
use http::{Request, Response};
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::tls::Secured;

/// A connection and the task that works on it until it ends.
async fn connect(server: &Secured, window: u32) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
    let client = server.authority.client(None, &[&TLS13], &["h2"]).unwrap();
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(client).connect(name, stream).await.unwrap();
    let (sender, connection) = Builder::new().initial_window_size(window).handshake(stream).await.unwrap();
    (sender, tokio::spawn(connection))
}

fn request(method: &str, path: &str) -> Request<()> {
    let request = Request::builder().method(method).uri(format!("https://localhost{path}"));
    request.header("Content-Type", "application/json").body(()).unwrap()
}

async fn get(sender: &mut SendRequest<Bytes>, request: Request<()>) -> Result<Response<RecvStream>, h2::Error> {
    sender.send_request(request, true)?.0.await
}

fn config() -> Config {
    let mut config = Config::default();
    config.http.workers = 1;
    config.http.unread_seconds = 1.0;
    config.http.request_seconds = 3.0;
    config
}

#[actix_web::test]
async fn requests_under_way_on_one_connection_are_bounded() {
    let server = Secured::start(config(), |_, _| {});
    let (mut sender, _task) = connect(&server, 65_535).await;
    // Their bodies never end.
    let open: Vec<_> = (0..128).map(|_| sender.send_request(request("POST", "/v1/secrets"), false).unwrap()).collect();
    let refused = get(&mut sender, request("GET", "/livez")).await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after") && refused.headers().contains_key("x-openstack-request-id"));
    let (mut other, _task) = connect(&server, 65_535).await;
    assert_eq!(get(&mut other, request("GET", "/livez")).await.unwrap().status(), 200, "others are served");
    for (answer, _body) in open {
        assert_eq!(answer.await.unwrap().status(), 408);
    }
    assert_eq!(get(&mut sender, request("GET", "/livez")).await.unwrap().status(), 200, "and so is who gave way");
}

#[actix_web::test]
async fn answers_that_are_not_read_cut_the_connection() {
    let server = Secured::start(config(), |_, _| {});
    let (mut sender, task) = connect(&server, 0).await;
    let answer = get(&mut sender, request("GET", "/openapi.json")).await.unwrap();
    assert_eq!(answer.status(), 200);
    let begin = Instant::now();
    let ended = tokio::time::timeout(Duration::from_secs(10), task).await;
    assert!(ended.is_ok(), "an answer that nobody reads is still kept");
    assert!(begin.elapsed() >= Duration::from_millis(900), "{:?}", begin.elapsed());

    let (mut sender, _task) = connect(&server, 65_535).await;
    for _ in 0..2 {
        let mut body = get(&mut sender, request("GET", "/openapi.json")).await.unwrap().into_body();
        let mut length = 0;
        while let Some(part) = body.data().await {
            let part = part.unwrap();
            body.flow_control().release_capacity(part.len()).unwrap();
            length += part.len();
        }
        assert!(length > 65_535);
        // Those who read are left alone.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
    }
}

#[actix_web::test]
async fn heads_are_bounded_as_in_http_1() {
    let server = Secured::start(config(), |_, _| {});
    let (mut sender, _task) = connect(&server, 65_535).await;
    let mut huge = request("GET", "/livez");
    for number in 0..20 {
        huge.headers_mut().append("x-padding", format!("{number}{}", "a".repeat(8_000)).parse().unwrap());
    }
    match get(&mut sender, huge).await {
        Ok(answer) => assert_eq!(answer.status(), 400),
        Err(error) => assert!(error.reason().is_some_and(|reason| reason != Reason::NO_ERROR), "{error}"),
    }
}

#[actix_web::test]
async fn a_server_that_stops_does_not_wait_for_idle_clients() {
    let server = Secured::start(config(), |_, _| {});
    let (mut idle, idle_task) = connect(&server, 65_535).await;
    assert_eq!(get(&mut idle, request("GET", "/livez")).await.unwrap().status(), 200);
    let (mut busy, _task) = connect(&server, 65_535).await;
    let (answer, mut body) = busy.send_request(request("POST", "/v1/secrets"), false).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;

    let begin = Instant::now();
    let stopped = tokio::spawn(async move { bailey_api::stop(&server.handle, &server.state).await });
    let _ = tokio::time::timeout(Duration::from_secs(5), idle_task).await.expect("an idle connection is closed");
    assert!(!stopped.is_finished(), "what is under way is finished first");
    body.send_data(Bytes::from_static(b"{}"), true).unwrap();
    assert_eq!(answer.await.unwrap().status(), 503, "there is no worker");
    stopped.await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}
