//! Traces: one request is one tree from HTTP to the store, and nothing that clients say is in it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use bailey_testkit::{ports, process};
use bailey_tests::collector::{Collector, attribute};
use bailey_tests::scrape::{scrape, value};
use bailey_tests::search::Haystack;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Database, TestApp, cases};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::json;
use uuid::Uuid;

pub const CASES: &[OwnCase] = cases![
    a_request_is_one_tree,
    what_begins_here_is_sampled,
    nothing_that_clients_say_is_traced,
    a_collector_that_is_down_holds_up_nobody,
];

/// A parent's `traceparent`, and its two ids.
fn parent(flags: u8) -> (String, u128, u64) {
    let (trace, span) = (Uuid::new_v4().as_u128(), Uuid::new_v4().as_u64_pair().1);
    (format!("00-{trace:032x}-{span:016x}-{flags:02x}"), trace, span)
}

fn named<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no `{name}` among {names:?}"))
}

fn a_request_is_one_tree(database: Database) {
    let collector = Collector::start();
    let builder = TestApp::builder(database).set("BAILEY_TRACES__ENDPOINT", &collector.endpoint());
    let app = builder.set("BAILEY_LOG__FORMAT", "json").set("BAILEY_LOG__LEVEL", "debug").start().unwrap();
    let (header, trace, above) = parent(1);
    let body = json!({ "payload": "hello", "payload_content_type": "text/plain" });
    let _ = app.client().post("/v1/secrets").header("traceparent", &header).json(&body).send().expect(201);

    let path = ["POST /v1/secrets", "ask secret.store.v1", "secret.store.v1", "store simple"];
    let spans = collector.wait_for(trace, &path);
    let mut expected = above.to_be_bytes().to_vec();
    for (name, kind) in path.into_iter().zip([SpanKind::Server, SpanKind::Client, SpanKind::Server, SpanKind::Client]) {
        let span = named(&spans, name);
        assert_eq!((&span.parent_span_id, span.kind()), (&expected, kind), "{name}");
        assert!(span.start_time_unix_nano < span.end_time_unix_nano, "{span:?}");
        expected.clone_from(&span.span_id);
    }
    let use_case = &named(&spans, "secret.store.v1").span_id;
    assert_eq!(&named(&spans, "write metadata").parent_span_id, use_case);
    assert_eq!(named(&spans, "write vault").parent_span_id, expected, "within the store's call");

    let http = named(&spans, "POST /v1/secrets");
    for (key, value) in
        [("http.request.method", "POST"), ("http.route", "/v1/secrets"), ("http.response.status_code", "201")]
    {
        assert_eq!(attribute(http, key).as_deref(), Some(value), "{http:?}");
    }
    let id = attribute(http, "bailey.request_id").unwrap();
    let log = app.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains(&id)).collect();
    let trace_id = format!("\"trace_id\":\"{trace:032x}\"");
    assert!(!lines.is_empty() && lines.iter().all(|line| line.contains(&trace_id)), "{lines:?}");
}

fn what_begins_here_is_sampled(database: Database) {
    let collector = Collector::start();
    let builder = TestApp::builder(database).set("BAILEY_TRACES__ENDPOINT", &collector.endpoint());
    let app = builder.set("BAILEY_TRACES__SAMPLE_RATIO", "0.0").start().unwrap();
    let (recorded, trace, _) = parent(1);
    let (unrecorded, other, _) = parent(0);
    let client = app.client();
    for header in [&unrecorded, "junk"] {
        let _ = client.get("/v1/secrets").header("traceparent", header).send().expect(200);
    }
    let missing = client.get(&format!("/v1/secrets/{}", Uuid::new_v4())).header("traceparent", &recorded);
    let _ = missing.send().expect(404);
    let spans = collector.wait_for(trace, &["GET /v1/secrets/{id}", "secret.get.v1"]);
    let use_case = named(&spans, "secret.get.v1");
    assert_eq!(attribute(use_case, "error.type").as_deref(), Some("not_found"));
    let status = use_case.status.as_ref().map(|status| status.code());
    assert_eq!(status, Some(StatusCode::Unset), "the client's fault is none of ours");
    assert!(collector.spans(other).is_empty());
    let exported = Haystack::new("traces", &collector.bytes());
    assert_eq!(exported.find(b"/v1/secrets/{id}"), Some("raw"));
    assert_eq!(exported.find(b"secret.list.v1"), None, "what begins here is not recorded");
}

/// What any span may say.
const ATTRIBUTES: [&str; 12] = [
    "bailey.order.type",
    "bailey.request",
    "bailey.request_id",
    "bailey.store.name",
    "bailey.store.operation",
    "db.namespace",
    "db.operation.name",
    "db.system.name",
    "error.type",
    "http.request.method",
    "http.response.status_code",
    "http.route",
];

fn nothing_that_clients_say_is_traced(database: Database) {
    let collector = Collector::start();
    let builder = TestApp::builder(database).with_tokens().set("BAILEY_TRACES__ENDPOINT", &collector.endpoint());
    let app = builder.start().unwrap();
    let canary = || format!("canary-{}", Uuid::new_v4());
    let [payload, name, key, label, query, project, user, passphrase] = [(); 8].map(|()| canary());
    let token = app.token(&project, &user, &["admin"]).unwrap();
    let (header, trace, _) = parent(1);
    let client = app.anonymous().with("X-Auth-Token", &token).with("traceparent", &header);
    let secret = json!({ "name": name, "payload": payload, "payload_content_type": "text/plain" });
    let href = client.create(&secret);
    assert_eq!(client.payload(&href), payload.as_bytes());
    let _ = client
        .put(&format!("{href}/metadata"))
        .json(&json!({ "metadata": { (key.as_str()): label } }))
        .send()
        .expect(201);
    let _ = client.get(&format!("{href}/metadata/{key}")).send().expect(200);
    let _ = client.get(&format!("/v1/secrets?name={query}")).send().expect(200);
    let _ = client.get(&format!("/v1/{query}")).send().expect(404);
    let _ = client.get(&format!("/v1/secrets/{query}")).send().expect(404);
    let _ = client.post("/v1/secrets").json(&json!({ "payload": payload, "secret_type": query })).send().expect(400);
    let meta = json!({ "algorithm": "ec", "bit_length": 256, "passphrase": passphrase });
    let _ = client.post("/v1/orders").json(&json!({ "type": "asymmetric", "meta": meta })).send().expect(202);
    let _ = client.delete(&href).send().expect(204);

    let last = "DELETE /v1/secrets/{id}";
    let spans = collector.wait_for(trace, &[last, "GET /v1/secrets/{id}/metadata/{key}", "GET /v1/secrets"]);
    app.stop().unwrap();
    let exported = Haystack::new("traces", &collector.bytes());
    exported.prove(canary().as_bytes());
    let id = href.rsplit('/').next().unwrap();
    let secret = token.split_once('.').unwrap().1;
    for said in [&payload, &name, &key, &label, &query, &project, &user, &passphrase] {
        assert_eq!(exported.find(said.as_bytes()), None, "{said}");
    }
    for said in [id, secret, &token] {
        assert_eq!(exported.find(said.as_bytes()), None, "{said}");
    }
    let keys: BTreeSet<_> = spans.iter().flat_map(|span| &span.attributes).map(|each| each.key.as_str()).collect();
    assert!(keys.iter().all(|key| ATTRIBUTES.contains(key)), "{keys:?}");
    assert!(spans.iter().all(|span| span.events.is_empty()));
}

fn a_collector_that_is_down_holds_up_nobody(database: Database) {
    let metrics = SocketAddr::from(([127, 0, 0, 1], ports::free()));
    let nobody = format!("http://127.0.0.1:{}", ports::free());
    let builder = TestApp::builder(database).set("BAILEY_METRICS__LISTEN", &metrics.to_string());
    let app = builder.set("BAILEY_TRACES__ENDPOINT", &nobody).start().unwrap();
    let client = app.client();
    let failed = || value(&scrape(metrics), r#"bailey_trace_spans_total{outcome="failed"}"#).unwrap_or_default();
    for _ in 0..2 {
        let before = failed();
        for _ in 0..20 {
            assert_eq!(client.payload(&client.store("hello")), b"hello");
        }
        process::until(Duration::from_secs(20), || {
            anyhow::ensure!(failed() >= before + 100.0, "{}", failed());
            Ok(())
        })
        .unwrap();
    }
    assert_eq!(app.log().matches("traces are not taken").count(), 1, "{}", app.log());
    app.stop().unwrap();
}
