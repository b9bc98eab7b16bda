//! The order of complaints: identity, existence, rights, content type, content, size.

use serde_json::json;

use crate::fake::{api, with_ids};

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Every route with a method it has, and a body that is wrong in every way.
const ROUTES: [&str; 47] = [
    "GET /v1",
    "GET /v1/secrets?sort=bogus",
    "POST /v1/secrets",
    "GET /v1/secrets/{id}",
    "PUT /v1/secrets/{id}",
    "DELETE /v1/secrets/{id}",
    "GET /v1/secrets/{id}/payload",
    "GET /v1/secrets/{id}/metadata",
    "PUT /v1/secrets/{id}/metadata",
    "POST /v1/secrets/{id}/metadata",
    "GET /v1/secrets/{id}/metadata/k",
    "PUT /v1/secrets/{id}/metadata/k",
    "DELETE /v1/secrets/{id}/metadata/k",
    "GET /v1/containers?limit=1&limit=2",
    "POST /v1/containers",
    "GET /v1/containers/{container}",
    "DELETE /v1/containers/{container}",
    "POST /v1/containers/{container}/secrets",
    "DELETE /v1/containers/{container}/secrets",
    "GET /v1/orders?limit=1&limit=2",
    "POST /v1/orders",
    "GET /v1/orders/{order}",
    "DELETE /v1/orders/{order}",
    "GET /v1/secrets/{id}/acl",
    "PUT /v1/secrets/{id}/acl",
    "PATCH /v1/secrets/{id}/acl",
    "DELETE /v1/secrets/{id}/acl",
    "GET /v1/containers/{container}/acl",
    "PUT /v1/containers/{container}/acl",
    "PATCH /v1/containers/{container}/acl",
    "DELETE /v1/containers/{container}/acl",
    "GET /v1/secrets/{id}/consumers?limit=1&limit=2",
    "POST /v1/secrets/{id}/consumers",
    "DELETE /v1/secrets/{id}/consumers",
    "GET /v1/containers/{container}/consumers?offset=1&offset=2",
    "POST /v1/containers/{container}/consumers",
    "DELETE /v1/containers/{container}/consumers",
    "GET /v1/cas?plugin_name=a&plugin_name=b",
    "GET /v1/cas/all?limit=1&limit=2",
    "POST /v1/cas",
    "GET /v1/cas/preferred",
    "GET /v1/cas/global-preferred",
    "GET /v1/cas/{ca}",
    "DELETE /v1/cas/{ca}",
    "GET /v1/cas/{ca}/cacert",
    "GET /v1/cas/{ca}/intermediates",
    "GET /v1/cas/{ca}/projects",
];

/// Routes that look at no body.
const BODILESS: [&str; 5] = [
    "POST /v1/cas/unset-global-preferred",
    "POST /v1/cas/{ca}/add-to-project",
    "POST /v1/cas/{ca}/remove-from-project",
    "POST /v1/cas/{ca}/set-preferred",
    "POST /v1/cas/{ca}/set-global-preferred",
];

#[actix_web::test]
async fn identity_comes_before_everything() {
    let api = api().await;
    let others = [
        "GET /v1/nothing",
        "PATCH /v1/secrets",
        "HEAD /v1/secrets",
        "GET /v1/secrets/junk",
        "PUT /v1/secrets/junk",
        "TRACE /v1",
    ];
    for line in ROUTES.into_iter().chain(BODILESS).chain(others) {
        let answer = api.ask(&with_ids(line), &[("X-Auth-Token", "bad"), ("Content-Type", "junk")], b"x").await;
        assert_eq!(answer.status, 401, "{line}");
        assert!(answer.header("www-authenticate").is_some(), "{line}");
        assert_eq!(answer.header("openstack-api-version"), None, "{line}");
        assert!(answer.header("x-openstack-request-id").unwrap().starts_with("req-"), "{line}");
        let expected =
            json!({"message": "The token is missing or no good", "code": "401 Unauthorized", "title": "Unauthorized"});
        assert_eq!(answer.json(), expected, "{line}");
    }
    let unidentified = api.send(crate::fake::request("GET /v1", &[("X-User-Id", "u")], b"")).await;
    assert_eq!((unidentified.status, &unidentified.json()["code"]), (400, &json!("400 Bad Request")));
}

#[actix_web::test]
async fn existence_comes_before_rights_and_content() {
    let api = api().await;
    for line in ROUTES.into_iter().chain(BODILESS).filter(|line| line.contains('{')) {
        for id in [
            "{unknown}",
            "junk",
            "01968A3E-8F4B-7CC3-98C4-DC0C0C07398F",
            "01968a3e8f4b7cc398c4dc0c0c07398f",
            "%FF",
            "%00",
        ] {
            let line = ["{id}", "{container}", "{order}", "{ca}"]
                .iter()
                .fold(line.to_owned(), |line, part| line.replace(part, id));
            let line = with_ids(&line);
            let answer = api.ask(&line, &[("X-Auth-Token", "weak"), ("Content-Type", "junk")], b"x").await;
            assert_eq!((answer.status, &answer.json()["title"]), (404, &json!("Not Found")), "{line}");
        }
    }
}

#[actix_web::test]
async fn existence_comes_before_method_and_accept() {
    let api = api().await;
    for (line, status) in [
        ("PATCH /v1/secrets/ID", 405),
        ("POST /v1/secrets/ID/payload", 405),
        ("DELETE /v1/secrets/ID/metadata", 405),
        ("PATCH /v1/secrets/ID/metadata/k", 405),
        ("PUT /v1/secrets/ID/metadata", 406),
        ("POST /v1/secrets/ID/metadata", 406),
        ("GET /v1/secrets/ID/metadata/k", 406),
        ("DELETE /v1/secrets/ID/metadata/k", 406),
        ("PUT /v1/containers/ID", 405),
        ("PATCH /v1/containers/ID", 405),
        ("GET /v1/containers/ID/secrets", 405),
        ("GET /v1/containers/ID", 406),
        ("POST /v1/containers/ID/secrets", 406),
        ("POST /v1/secrets/ID/acl", 405),
        ("POST /v1/containers/ID/acl", 405),
        ("GET /v1/secrets/ID/acl", 406),
        ("DELETE /v1/containers/ID/acl", 406),
        ("PATCH /v1/secrets/ID/consumers", 405),
        ("PUT /v1/containers/ID/consumers", 405),
        ("PUT /v1/containers/ID/consumers/ID", 405),
        ("POST /v1/secrets/ID/consumers", 406),
        ("GET /v1/containers/ID/consumers", 406),
        ("PUT /v1/orders/ID", 405),
        ("GET /v1/orders/ID", 406),
        ("PUT /v1/cas/ID", 405),
        ("GET /v1/cas/ID", 406),
        ("POST /v1/cas/ID/cacert", 405),
        ("GET /v1/cas/ID/add-to-project", 405),
        ("GET /v1/cas/ID/projects", 406),
    ] {
        for (id, status) in [(crate::fake::ID, status), (crate::fake::UNKNOWN, 404), ("junk", 404)] {
            let line = line.replace("ID", id);
            assert_eq!(api.ask(&line, &[("Accept", "text/html"), JSON], b"{}").await.status, status, "{line}");
            let stranger = [("Accept", "text/html"), ("X-Auth-Token", "bad")];
            assert_eq!(api.ask(&line, &stranger, b"").await.status, 401, "{line}");
        }
    }
}

#[actix_web::test]
async fn rights_come_before_content() {
    let api = api().await;
    for line in ROUTES.into_iter().chain(BODILESS).filter(|line| *line != "GET /v1") {
        let answer = api.ask(&with_ids(line), &[("X-Auth-Token", "weak"), ("Content-Type", "junk")], b"x").await;
        assert_eq!((answer.status, &answer.json()["code"]), (403, &json!(403)), "{line}");
        let description = answer.json()["description"].as_str().unwrap().to_owned();
        assert!(
            description.ends_with("attempt not allowed - please review your user/project privileges"),
            "{description}"
        );
    }
}

#[actix_web::test]
async fn content_type_comes_before_content_and_content_before_size() {
    let api = api().await;
    let big = vec![b'a'; 70_000];
    for line in ROUTES.into_iter().filter(|line| line.starts_with('P')) {
        let line = with_ids(line);
        for content_type in ["junk", "application/xml", "text/plain;", "application/pkcs8"] {
            if line.ends_with(crate::fake::ID) && content_type.starts_with("text/plain") {
                continue;
            }
            assert_eq!(
                api.ask(&line, &[("Content-Type", content_type)], b"{").await.status,
                415,
                "{line} {content_type}"
            );
        }
        assert_eq!(api.ask(&line, &[], b"{").await.status, 415, "{line}");
        let good = if line.ends_with(crate::fake::ID) { ("Content-Type", "text/plain") } else { JSON };
        assert_eq!(api.ask(&line, &[good], b"").await.status, 400, "{line}");
        let too_big = api.ask(&line, &[good], &big).await;
        assert_eq!((too_big.status, &too_big.json()["title"]), (413, &json!("Request Entity Too Large")), "{line}");
    }
}

#[actix_web::test]
async fn faults_show_nothing_of_the_inside() {
    let api = api().await;
    let broken = api.ask("GET /v1/secrets", &[("X-Auth-Token", "broken")], b"").await;
    assert_eq!(broken.status, 500);
    assert_eq!(broken.json()["description"], "Secret(s) retrieval failure seen - please contact site administrator.");
    let away = api.ask("GET /v1/secrets", &[("X-Auth-Token", "slow")], b"").await;
    assert_eq!((away.status, away.header("retry-after")), (503, Some("1")));
    assert!(!away.text().contains("database"));
}
