//! What is complained about first, and in which words.

use std::collections::BTreeSet;

use bailey_tests::suite::SharedCase;
use bailey_tests::{Answer, TestApp, cases};
use serde_json::json;

pub const CASES: &[SharedCase] = cases![
    bad_ids_are_not_found,
    another_projects_secret_is_forbidden,
    rights_come_before_media_types_before_bodies,
    media_types_of_json_bodies,
    malformed_json_is_refused,
    unsupported_methods_are_told,
    unknown_secrets_come_before_methods_and_forms,
    unknown_paths_are_not_found,
    a_trailing_slash_changes_nothing,
    json_resources_in_other_forms_are_not_acceptable,
    repeated_parameters_are_refused,
    missing_identity_has_the_other_shape,
];

/// The shape of what the API itself complains about.
#[track_caller]
fn assert_complaint(answer: &Answer, status: u16, title: &str) {
    assert_eq!(answer.status, status, "{answer}");
    let body = answer.json();
    assert_eq!(body["code"], json!(status), "{answer}");
    assert_eq!(body["title"], json!(title), "{answer}");
    let keys: BTreeSet<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["code", "description", "title"].into(), "{answer}");
    assert_eq!(answer.header("Content-Type"), Some("application/json"), "{answer}");
    assert!(answer.header("x-openstack-request-id").is_some(), "{answer}");
}

const UNKNOWN: &str = "/v1/secrets/00000000-0000-4000-8000-000000000000";

fn bad_ids_are_not_found(app: &TestApp) {
    let client = app.client();
    let id = client.store("text").rsplit('/').next().unwrap().to_owned();
    for bad in [
        "00000000-0000-4000-8000-000000000000",
        "junk",
        "1",
        "%00",
        "%ff",
        &id.to_uppercase(),
        &id.replace('-', ""),
        &format!("{{{id}}}"),
        &format!("{id}0"),
        &"a".repeat(1000),
    ] {
        let path = format!("/v1/secrets/{bad}");
        for answer in [
            client.get(&path).send(),
            client.delete(&path).send(),
            client.put_payload(&path, "text/plain", b"text"),
            client.put_payload(&path, "application/json", b""),
            client.get(&format!("{path}/payload")).send(),
        ] {
            assert_complaint(&answer, 404, "Not Found");
        }
    }
    let stranger = client.with_roles("stranger");
    assert_complaint(&stranger.get(UNKNOWN).send(), 404, "Not Found");
}

fn another_projects_secret_is_forbidden(app: &TestApp) {
    let href = app.client().store("text");
    let stranger = app.client();
    for answer in [
        stranger.get(&href).send(),
        stranger.get(&format!("{href}/payload")).send(),
        stranger.put_payload(&href, "text/plain", b"text"),
        stranger.delete(&href).send(),
        stranger.get(&format!("{href}/metadata")).send(),
        stranger.put(&format!("{href}/metadata")).json(&json!({ "metadata": {} })).send(),
    ] {
        assert_complaint(&answer, 403, "Forbidden");
        let description = answer.string("description");
        assert!(description.contains("attempt not allowed"), "{description}");
    }
    assert_eq!(stranger.describe("/v1/secrets")["total"], json!(0));
}

fn rights_come_before_media_types_before_bodies(app: &TestApp) {
    let client = app.client();
    let href = client.create(&json!({}));
    let observer = client.with_roles("observer");
    for (answer, status, title) in [
        (observer.post("/v1/secrets").payload("text/plain", "no JSON").send(), 403, "Forbidden"),
        (observer.post("/v1/secrets").json(&json!({ "bit_length": -1 })).send(), 403, "Forbidden"),
        (observer.put_payload(&href, "text/html", b""), 403, "Forbidden"),
        (observer.put(&format!("{href}/metadata")).payload("text/plain", "no JSON").send(), 403, "Forbidden"),
        (client.post("/v1/secrets").payload("text/plain", "no JSON").send(), 415, "Unsupported Media Type"),
        (client.put_payload(&href, "text/html", b""), 415, "Unsupported Media Type"),
        (client.post("/v1/secrets").payload("application/json", "no JSON").send(), 400, "Bad Request"),
        (observer.get("/v1/secrets?sort=nonsense").send(), 400, "Bad Request"),
        (client.with_roles("stranger").get("/v1/secrets?sort=nonsense").send(), 403, "Forbidden"),
    ] {
        assert_complaint(&answer, status, title);
    }
}

fn media_types_of_json_bodies(app: &TestApp) {
    let client = app.client();
    for (content_type, status) in [
        (Some("application/json"), 201),
        (Some("application/json; charset=utf-8"), 201),
        (Some("text/plain"), 415),
        (Some("application/xml"), 415),
        (Some("application/octet-stream"), 415),
        (Some("json"), 415),
        (Some(""), 415),
        (None, 415),
    ] {
        let mut request = client.post("/v1/secrets").body("{}");
        if let Some(content_type) = content_type {
            request = request.header("Content-Type", content_type);
        }
        let answer = request.send().expect(status);
        if status == 415 {
            assert_complaint(&answer, 415, "Unsupported Media Type");
        }
    }
}

fn malformed_json_is_refused(app: &TestApp) {
    let client = app.client();
    let path = format!("{}/metadata", client.create(&json!({})));
    for body in ["", " ", "{", "{]", "{\"name\": }", "{\"name\": \"a\"", "{} trailing", "{'name': 'a'}", "\u{feff}{}"] {
        for request in [client.post("/v1/secrets"), client.put(&path), client.post(&path)] {
            assert_complaint(&request.payload("application/json", body).send(), 400, "Bad Request");
        }
    }
    for body in ["null", "[]", "\"text\"", "7", "true"] {
        for request in [client.post("/v1/secrets"), client.put(&path), client.post(&path)] {
            assert_complaint(&request.payload("application/json", body).send(), 400, "Bad Request");
        }
    }
    assert_complaint(&client.post("/v1/secrets").header("Content-Type", "application/json").send(), 400, "Bad Request");
}

fn unsupported_methods_are_told(app: &TestApp) {
    let client = app.client();
    let href = client.store("text");
    let (collection, secret) = ("GET, POST", "DELETE, GET, PUT");
    for (method, path, allowed) in [
        ("PUT", "/v1/secrets".to_owned(), collection),
        ("DELETE", "/v1/secrets".to_owned(), collection),
        ("PATCH", "/v1/secrets".to_owned(), collection),
        ("POST", href.clone(), secret),
        ("PATCH", href.clone(), secret),
        ("POST", format!("{href}/payload"), "GET"),
        ("DELETE", format!("{href}/metadata"), "GET, POST, PUT"),
        ("POST", format!("{href}/metadata/a"), "DELETE, GET, PUT"),
    ] {
        let answer = client.request(method, &path).send();
        assert_complaint(&answer, 405, "Method Not Allowed");
        let mut told: Vec<&str> = answer.header("Allow").unwrap_or_default().split(',').map(str::trim).collect();
        told.sort_unstable();
        assert_eq!(told.join(", "), allowed, "{answer}");
    }
    for method in ["HEAD", "OPTIONS"] {
        for path in ["/v1/secrets", &href] {
            let answer = client.request(method, path).try_send();
            // A HEAD answer announces a body that doesn't come.
            assert!(
                answer.as_ref().map_or(method == "HEAD", |answer| answer.status == 405),
                "{method} {path} {answer:?}"
            );
        }
    }
    assert_eq!(client.payload(&href), b"text");
}

fn unknown_secrets_come_before_methods_and_forms(app: &TestApp) {
    let client = app.client();
    for (method, path) in [
        ("PATCH", UNKNOWN.to_owned()),
        ("POST", format!("{UNKNOWN}/payload")),
        ("DELETE", format!("{UNKNOWN}/metadata")),
        ("POST", format!("{UNKNOWN}/metadata/a")),
        ("GET", format!("{UNKNOWN}/metadata/a")),
        ("PUT", format!("{UNKNOWN}/metadata")),
    ] {
        let answer = client.request(method, &path).header("Accept", "text/html").send();
        assert_complaint(&answer, 404, "Not Found");
    }
    let href = client.store("text");
    // Neither says anything of rights: another project's secret is told as one's own is.
    for client in [client, app.client()] {
        assert_complaint(&client.request("PATCH", &href).send(), 405, "Method Not Allowed");
        let answer = client.get(&format!("{href}/metadata/a")).header("Accept", "text/html").send();
        assert_complaint(&answer, 406, "Not Acceptable");
    }
}

fn unknown_paths_are_not_found(app: &TestApp) {
    let client = app.client();
    let href = client.store("text");
    for path in [
        "/v1/nothing".to_owned(),
        "/v1/secret".to_owned(),
        format!("{href}/foo"),
        format!("{href}/payload/x"),
        format!("{href}/metadata/a/b"),
    ] {
        let answer = client.get(&path).send().expect(404);
        assert!(answer.json()["title"].is_string(), "{answer}");
    }
    for path in ["/v2/secrets", "/nothing", "/v1.0/secrets"] {
        let _ = client.get(path).send().expect(404);
    }
}

fn a_trailing_slash_changes_nothing(app: &TestApp) {
    let client = app.client();
    let href = client.store("text");
    let item = json!({ "key": "a", "value": "b" });
    let _ = client.post(&format!("{href}/metadata/")).json(&item).send().expect(201);
    for path in ["/v1", "/v1/secrets", "/healthcheck", &href, &format!("{href}/payload"), &format!("{href}/metadata/a")]
    {
        let (without, with) = (client.get(path).send().expect(200), client.get(&format!("{path}/")).send().expect(200));
        assert_eq!(with.body, without.body, "{path}");
    }
    let _ = client.get("/v1/secrets/?limit=1").send().expect(200);
    let _ = client.put(&format!("{href}/metadata/a/")).json(&item).send().expect(200);
    let _ = client.delete(&format!("{href}/metadata/a/")).send().expect(204);
    let _ = client.delete(&format!("{href}/")).send().expect(204);
}

fn json_resources_in_other_forms_are_not_acceptable(app: &TestApp) {
    let client = app.client();
    for accept in ["text/plain", "text/html"] {
        let answer = client.get("/v1/secrets").header("Accept", accept).send();
        assert_complaint(&answer, 406, "Not Acceptable");
        assert_eq!(answer.json()["description"], json!(null));
    }
    for accept in ["application/json", "*/*", "application/json, */*;q=0.1", "application/*"] {
        let _ = client.get("/v1/secrets").header("Accept", accept).send().expect(200);
    }
}

fn repeated_parameters_are_refused(app: &TestApp) {
    let client = app.client();
    for query in ["limit=1&limit=2", "name=a&name=b", "sort=name&sort=mode", "offset=1&offset=1"] {
        assert_complaint(&client.get(&format!("/v1/secrets?{query}")).send(), 400, "Bad Request");
    }
    let _ = client.get("/v1/secrets?unknown=1&unknown=2").send().expect(200);
}

fn missing_identity_has_the_other_shape(app: &TestApp) {
    let answer = app.anonymous().get("/v1/secrets").header("Accept", "application/json").send().expect(400);
    assert_eq!(answer.string("code"), "400 Bad Request");
    assert_eq!(answer.string("title"), "Bad Request");
    assert!(answer.json()["message"].is_string(), "{answer}");
    assert!(answer.header("x-openstack-request-id").is_some(), "{answer}");
    assert_eq!(answer.header("OpenStack-API-Version"), None, "{answer}");
    // Who asks is settled before everything else.
    for path in [UNKNOWN, "/v1/secrets/junk", "/v1/nothing"] {
        let _ = app.anonymous().get(path).send().expect(400);
    }
}
