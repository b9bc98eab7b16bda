//! What the service tells of itself: health and its own description.

use bailey_tests::suite::SharedCase;
use bailey_tests::{TestApp, cases};
use serde_json::{Value, json};

pub const CASES: &[SharedCase] = cases![
    health_is_told_in_two_forms,
    readiness_names_every_part,
    the_description_is_complete,
    the_browser_page_works_offline
];

fn health_is_told_in_two_forms(app: &TestApp) {
    let client = app.anonymous();
    let text = client.get("/healthcheck").send().expect(200);
    assert_eq!(text.text().trim(), "OK");
    assert!(text.header("Content-Type").is_some_and(|kind| kind.starts_with("text/plain")), "{text}");
    let json = client.get("/healthcheck").header("Accept", "application/json").send().expect(200);
    assert_eq!(json.json()["reasons"], json!(["OK"]), "{json}");
    assert_eq!(json.json()["detailed"], json!(false), "{json}");
}

fn readiness_names_every_part(app: &TestApp) {
    let ready = app.anonymous().get("/readyz").send().expect(200).json();
    assert_eq!(ready["ready"], json!(true), "{ready}");
    let parts: Vec<&str> = ready["parts"].as_array().unwrap().iter().filter_map(|part| part["part"].as_str()).collect();
    assert_eq!(parts, ["worker", "database", "vault", "worker key", "store simple"]);
    assert_eq!(app.anonymous().get("/livez").send().expect(200).text(), "OK");
}

fn the_description_is_complete(app: &TestApp) {
    let document = app.anonymous().get("/openapi.json").send().expect(200).json();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{}", document["openapi"]);
    let paths = document["paths"].as_object().unwrap();
    for (path, methods) in [
        ("/", vec!["get"]),
        ("/healthcheck", vec!["get"]),
        ("/v1/secrets", vec!["get", "post"]),
        ("/v1/secrets/{id}", vec!["get", "put", "delete"]),
        ("/v1/secrets/{id}/payload", vec!["get"]),
        ("/v1/secrets/{id}/metadata", vec!["get", "put", "post"]),
        ("/v1/secrets/{id}/metadata/{key}", vec!["get", "put", "delete"]),
    ] {
        let shape = shape(path);
        let described = paths.iter().find(|(known, _)| self::shape(known) == shape);
        let (_, described) = described.unwrap_or_else(|| panic!("{path} is not described: {:?}", paths.keys()));
        for method in methods {
            let responses = &described[method]["responses"];
            assert!(responses.as_object().is_some_and(|responses| !responses.is_empty()), "{method} {path}");
        }
    }
    assert!(every_reference_resolves(&document, &document));
}

/// A path without the names of its parameters.
fn shape(path: &str) -> String {
    let parts = path.trim_end_matches('/').split('/');
    parts.map(|part| if part.starts_with('{') { "{}" } else { part }).collect::<Vec<_>>().join("/")
}

fn every_reference_resolves(document: &Value, part: &Value) -> bool {
    match part {
        Value::Object(fields) => fields.iter().all(|(key, value)| match value.as_str() {
            Some(target) if key == "$ref" => document.pointer(target.trim_start_matches('#')).is_some(),
            _ => every_reference_resolves(document, value),
        }),
        Value::Array(items) => items.iter().all(|item| every_reference_resolves(document, item)),
        _ => true,
    }
}

fn the_browser_page_works_offline(app: &TestApp) {
    let client = app.anonymous();
    let mut page = client.get("/docs/").send();
    if page.status / 100 == 3 {
        page = client.get(page.header("Location").unwrap()).send();
    }
    let page = page.expect(200).text();
    assert!(page.contains("swagger-ui"), "{page}");
    assert!(!page.contains("src=\"http") && !page.contains("href=\"http"), "{page}");
    let _ = client.get("/docs/swagger-ui-bundle.js").send().expect(200);
}
