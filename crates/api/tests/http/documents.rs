//! Versions, health and the API's own description.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::fake::{api, api_with, request, with_ids};

#[actix_web::test]
async fn versions_are_told_in_the_form_of_the_microversion() {
    let api = api().await;
    let links = json!([
        {"rel": "self", "href": "http://h/v1/"},
        {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/"},
    ]);
    let media_type = json!({"base": "application/json", "type": "application/vnd.openstack.key-manager-v1+json"});
    let stable = json!({"id": "v1", "status": "stable", "links": links, "media-types": [media_type]});
    let current = json!({"id": "v1", "status": "CURRENT", "min_version": "1.0", "max_version": "1.2", "links": links});
    for (version, expected) in
        [("1.0", json!({"values": [stable]})), ("1.1", json!([current])), ("latest", json!([current]))]
    {
        let header = format!("key-manager {version}");
        let answer = api.send(request("GET /", &[("Host", "h"), ("OpenStack-API-Version", &header)], b"")).await;
        assert_eq!((answer.status, &answer.json()["versions"]), (300, &expected), "{version}");
        let used = if version == "latest" { "key-manager 1.2" } else { &header };
        assert_eq!(answer.header("openstack-api-version"), Some(used));
    }
    for path in ["/v1", "/v1/", "/v1?build"] {
        let answer = api.ask(&format!("GET {path}"), &[("Host", "h")], b"").await;
        assert_eq!((answer.status, answer.json()), (200, json!({"version": stable})), "{path}");
    }
    let build = api.send(request("GET /?build", &[], b"")).await;
    assert_eq!((build.status, build.json()), (200, json!({"build": env!("CARGO_PKG_VERSION")})));
    let home = api.ask("GET /v1", &[("Accept", "application/json-home")], b"").await;
    assert_eq!((home.status, home.header("content-type")), (200, Some("application/json")));
    let home = api.send(request("GET /", &[("Host", "h"), ("Accept", "application/json-home")], b"")).await;
    assert_eq!((home.status, home.header("location")), (302, Some("http://h/v1/")));
}

#[actix_web::test]
async fn a_microversion_that_is_not_offered_is_refused_after_identity() {
    let api = api().await;
    for (version, status, code) in
        [("key-manager 1.9", 406, "406 Not Acceptable"), ("key-manager abc", 400, "400 Bad Request")]
    {
        for line in ["GET /", "GET /v1", "GET /v1/secrets", "GET /v1/nothing"] {
            let answer = api.ask(line, &[("OpenStack-API-Version", version)], b"").await;
            assert_eq!((answer.status, &answer.json()["code"]), (status, &json!(code)), "{line} {version}");
            assert_eq!(answer.header("openstack-api-version"), None, "{line} {version}");
            let text = api.ask(line, &[("OpenStack-API-Version", version), ("Accept", "text/plain")], b"").await;
            assert!(text.text().starts_with(code), "{}", text.text());
            let stranger = [("OpenStack-API-Version", version), ("X-Auth-Token", "bad")];
            assert_eq!(
                api.ask(line, &stranger, b"").await.status,
                if line == "GET /" { status } else { 401 },
                "{line}"
            );
        }
    }
}

#[actix_web::test]
async fn health_names_what_is_down() {
    let api = api().await;
    let text = api.send(request("GET /healthcheck", &[("Accept", "*/*")], b"")).await;
    assert_eq!((text.status, text.text().as_str()), (503, "vault: no connection"));
    assert_eq!(text.header("content-type"), Some("text/plain; charset=UTF-8"));
    let answer = api.send(request("GET /healthcheck/", &[("Accept", "application/json")], b"")).await;
    assert_eq!(answer.json(), json!({"detailed": false, "reasons": ["vault: no connection"]}));
    let ready = api.send(request("GET /readyz", &[], b"")).await;
    let part = |part: &str, state: &str, needed: bool| json!({"part": part, "state": state, "needed": needed});
    let parts = [part("worker", "ok", true), part("database", "ok", true), part("vault", "no connection", true)];
    assert_eq!((ready.status, ready.json()), (503, json!({"ready": false, "parts": parts})));
    let live = api.send(request("GET /livez", &[], b"")).await;
    assert_eq!((live.status, live.text().as_str()), (200, "OK"));
}

#[actix_web::test]
async fn a_file_takes_a_server_out_of_service() {
    for (file, reason) in [("Cargo.toml", "DISABLED BY FILE"), ("no such file", "vault: no connection")] {
        let disable_file = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
        let http = bailey_api::Http { disable_file, ..bailey_api::Http::default() };
        let api = api_with(bailey_api::Config { http, ..bailey_api::Config::default() }).await;
        let answer = api.send(request("GET /healthcheck", &[], b"")).await;
        assert_eq!((answer.status, answer.text().as_str()), (503, reason));
        let ready = api.send(request("GET /readyz", &[], b"")).await.json();
        let is_disabled = ready["parts"][0]["state"] == "disabled by file";
        assert_eq!((&ready["ready"], is_disabled), (&json!(false), file == "Cargo.toml"), "{ready}");
    }
}

/// Every operation of the document: method and path.
fn operations(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().unwrap();
    let methods = |(path, item): (&String, &Value)| -> Vec<_> {
        item.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())).collect()
    };
    paths.iter().flat_map(methods).collect()
}

#[actix_web::test]
async fn the_description_has_every_route_and_no_other() {
    let api = api().await;
    let document = api.send(request("GET /openapi.json", &[], b"")).await.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let described = operations(&document);
    let paths: BTreeSet<&String> = described.iter().map(|(_, path)| path).collect();
    for path in paths {
        // The 405 of a method that nothing has lists those that are there.
        let allowed = api.ask(&with_ids(&format!("INVENTED {}", path.replace("{key}", "k"))), &[], b"").await;
        let allowed = allowed.header("allow").unwrap_or_else(|| panic!("{path} is not served")).to_owned();
        let served: BTreeSet<_> = allowed.split(", ").map(|method| (method.to_owned(), path.clone())).collect();
        // Whether orders can be changed depends on whether certificates are offered: Barbican knows no such method.
        let is_plain = |method: &str| (method, path.as_str()) != ("PUT", "/v1/orders/{order}");
        let expected = described.iter().filter(|(method, known)| known == path && is_plain(method));
        assert_eq!(served, expected.cloned().collect(), "{path}");
    }
    assert_eq!(described.len(), 80, "a new route is described, and counted here");
}

#[actix_web::test]
async fn the_description_refers_to_nothing_that_is_missing() {
    let document = api().await.send(request("GET /openapi.json", &[], b"")).await.text();
    let value: Value = serde_json::from_str(&document).unwrap();
    for reference in document.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(value.pointer(reference).is_some(), "{reference}");
    }
    for (path, item) in value["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let responses = operation["responses"].as_object().unwrap();
            let statuses: Vec<&str> = responses.keys().map(String::as_str).filter(|status| *status >= "400").collect();
            assert_eq!(statuses, errors(method, path, operation), "{method} {path}");
            for (status, response) in responses {
                assert!(response["headers"]["x-openstack-request-id"].is_object(), "{method} {path} {status}");
            }
            assert_eq!(operation["security"].is_array(), path.starts_with("/v1"), "{method} {path}");
        }
    }
}

/// The error statuses that an operation must describe.
fn errors(method: &str, path: &str, operation: &Value) -> Vec<&'static str> {
    let is_api = path.starts_with("/v1");
    let has_body = is_api && operation["requestBody"].is_object();
    let never_conflicts = matches!(
        (method, path),
        ("post", "/v1/secrets" | "/v1/containers" | "/v1/orders" | "/v1/transport_keys")
            | ("post", "/v1/cas" | "/v1/orders/{order}/revoke")
            | ("put", "/v1/secrets/{id}/metadata" | "/v1/project-quotas/{project}")
            | ("delete", _)
    ) || ["/acl", "/consumers"].iter().any(|end| path.ends_with(end));
    let all = [
        ("400", is_api || path == "/"),
        ("401", is_api),
        ("403", is_api && path != "/v1"),
        (
            "404",
            path.contains('{')
                || ["/v1/secret-stores", "/v1/cas"].iter().any(|maybe| path.starts_with(maybe))
                || (method, path) == ("post", "/v1/containers"),
        ),
        ("405", (method, path) == ("put", "/v1/orders/{order}")),
        ("406", is_api || path == "/"),
        ("408", has_body),
        // A project whose store the configuration decides prefers none; a preferred CA stays a project's.
        (
            "409",
            (has_body && !never_conflicts)
                || ["{store}/preferred", "{ca}/remove-from-project"].iter().any(|end| path.ends_with(end))
                || (method, path) == ("delete", "/v1/cas/{ca}"),
        ),
        ("413", has_body),
        ("415", has_body),
        ("422", method == "post" && ["/v1/secrets", "/v1/containers", "/v1/orders", "/v1/cas"].contains(&path)),
        ("500", is_api),
        ("503", is_api || ["/healthcheck", "/readyz"].contains(&path)),
    ];
    all.into_iter().filter(|(_, applies)| *applies).map(|(status, _)| status).collect()
}

#[actix_web::test]
async fn the_page_for_people_is_complete() {
    let api = api().await;
    let moved = api.send(request("GET /docs", &[], b"")).await;
    assert_eq!((moved.status, moved.header("location")), (308, Some("/docs/")));
    let page = api.send(request("GET /docs/", &[], b"")).await;
    assert_eq!(page.status, 200);
    let text = page.text();
    let parts = text.split(['"', '\'']).filter(|part| part.ends_with(".js") || part.ends_with(".css"));
    let mut count = 0;
    for part in parts {
        assert!(!part.contains("//"), "{part} comes from elsewhere");
        let answer = api.send(request(&format!("GET /docs/{}", part.trim_start_matches("./")), &[], b"")).await;
        assert_eq!(answer.status, 200, "{part}");
        count += 1;
    }
    assert!(count >= 3, "{text}");
    let initializer = api.send(request("GET /docs/swagger-initializer.js", &[], b"")).await;
    assert!(initializer.text().contains("/openapi.json"));
}
