//! What operators see: logs and metrics.

use std::io;
use std::sync::{Arc, Mutex};

use metrics_exporter_prometheus::PrometheusBuilder;
use tracing::subscriber::set_default;

use crate::fake::{ID, UNKNOWN, api, api_with, request, with_ids};

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn start(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || log.clone()).with_ansi(false);
        set_default(subscriber.with_max_level(tracing::Level::DEBUG).finish())
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[actix_web::test]
async fn a_fault_is_logged_once_with_the_requests_id() {
    let (log, api) = (Log::default(), api().await);
    let guard = log.start();
    let answer = api.ask("GET /v1/secrets?name=canary", &[("X-Auth-Token", "broken")], b"").await;
    drop(guard);
    let id = answer.header("x-openstack-request-id").unwrap();
    let (all, faults) = (log.text(), log.text().lines().filter(|line| line.contains("ERROR")).count());
    assert_eq!(faults, 1, "{all}");
    let line = all.lines().find(|line| line.contains("ERROR")).unwrap();
    for part in [id, "method=GET", "path=\"/v1/secrets\"", "status=500", "canary of the inside"] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[actix_web::test]
async fn the_log_tells_where_a_request_comes_from() {
    let other = "req-3d5a2f4e-6a54-4a9c-8d07-0d4c8d6f7a11";
    let mut config = bailey_api::Config::default();
    config.http.trusted_proxies = vec!["192.0.2.1".parse().unwrap()];
    let (log, api) = (Log::default(), api_with(config).await);
    let guard = log.start();
    for (peer, id, client, is_recorded) in [
        ("192.0.2.1:1", other, "client=198.51.100.7", true),
        ("192.0.2.2:1", other, "client=192.0.2.2", true),
        ("192.0.2.2:1", "req-canary", "client=192.0.2.2", false),
        ("192.0.2.2:1", &other.to_uppercase(), "client=192.0.2.2", false),
    ] {
        log.0.lock().unwrap().clear();
        let headers = [("X-Openstack-Request-Id", id), ("X-Forwarded-For", "198.51.100.7")];
        let answer = api.send(request("GET /livez", &headers, b"").peer_addr(peer.parse().unwrap())).await;
        assert_ne!(answer.header("x-openstack-request-id"), Some(id));
        let line = log.text();
        assert!(line.contains(client), "{line}");
        assert_eq!(line.contains(&format!("global_request_id={other}")), is_recorded, "{line}");
        assert!(!line.contains("canary"), "{line}");
    }
    drop(guard);
}

#[actix_web::test]
async fn no_log_has_a_token_or_a_payload() {
    let (log, api) = (Log::default(), api().await);
    let guard = log.start();
    let json = ("Content-Type", "application/json");
    let body = br#"{"payload":"canary-payload","payload_content_type":"text/plain"}"#;
    for token in ["good", "canary-token", "broken"] {
        let _ = api.ask("POST /v1/secrets", &[("X-Auth-Token", token), json], body).await;
        let _ = api.ask(&with_ids("GET /v1/secrets/{id}/payload"), &[("X-Auth-Token", token)], b"").await;
    }
    drop(guard);
    assert!(log.text().lines().count() >= 6, "{}", log.text());
    assert!(log.text().contains(ID));
    assert!(!log.text().contains("canary-"), "{}", log.text());
}

#[actix_web::test]
async fn requests_are_counted_by_route_and_never_by_id() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let guard = metrics::set_default_local_recorder(&recorder);
    let api = api().await;
    for line in [
        "GET /v1/secrets/{id}",
        "GET /v1/secrets/{id}/",
        "GET /v1/secrets/{unknown}",
        "INVENTED /v1/secrets",
        "GET /canary",
    ] {
        let _ = api.ask(&with_ids(line), &[], b"").await;
    }
    let text = recorder.handle().render();
    drop(guard);
    for line in [
        r#"bailey_http_requests_total{route="/v1/secrets/{id}",method="GET",status="200"} 2"#,
        r#"bailey_http_requests_total{route="/v1/secrets/{id}",method="GET",status="404"} 1"#,
        r#"bailey_http_requests_total{route="/v1/secrets",method="other",status="405"} 1"#,
        r#"bailey_http_requests_total{route="none",method="GET",status="404"} 1"#,
        r#"bailey_http_request_duration_seconds_count{route="/v1/secrets/{id}",method="GET"} 3"#,
        "bailey_http_requests_in_flight 0",
    ] {
        assert!(text.lines().any(|known| known == line), "{line}: {text}");
    }
    assert!(!text.contains(ID) && !text.contains(UNKNOWN) && !text.contains("canary"), "{text}");
}
