//! What is answered when all is well, and the routes' own rules.

use actix_web::http::header::HOST;
use bailey_api::Config;
use serde_json::{Value, json};

use crate::fake::{ID, api, api_with, request, with_ids};

const JSON: (&str, &str) = ("Content-Type", "application/json; charset=utf-8");
const BASE: &str = "http://localhost:8080/v1";

#[actix_web::test]
async fn a_secret_is_created_and_its_place_told_twice() {
    let api = api().await;
    for path in ["/v1/secrets", "/v1/secrets/", "/v1//secrets.json"] {
        let answer = api.ask(&format!("POST {path}"), &[JSON, ("Host", "localhost:8080")], br#"{"name":"n"}"#).await;
        assert_eq!(answer.status, 201, "{path}");
        assert_eq!(answer.json(), json!({"secret_ref": format!("{BASE}/secrets/{ID}")}));
        assert_eq!(answer.header("location"), Some(format!("{BASE}/secrets/{ID}").as_str()));
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
}

#[actix_web::test]
async fn the_sentence_that_tests_look_for_is_there() {
    let body = br#"{"payload":"x","payload_content_type":"bogus/type","name":5}"#;
    let answer = api().await.ask("POST /v1/secrets", &[JSON], body).await;
    let description = answer.json()["description"].as_str().unwrap().to_owned();
    let expected = "payload_content_type is not one of ['text/plain', 'text/plain;charset=utf-8', \
                    'text/plain; charset=utf-8', 'application/octet-stream'";
    assert!(description.contains(expected), "{description}");
    assert!(description.contains("Invalid property: 'name'"), "{description}");
    assert_eq!(answer.json()["title"], "Bad Request");
    let alone =
        api().await.ask("POST /v1/secrets", &[JSON], br#"{"payload":"x","payload_content_type":"bogus/type"}"#).await;
    let description = alone.json()["description"].as_str().unwrap().to_owned();
    assert!(
        description.starts_with(&format!("Provided object does not match schema 'Secret': {expected}")),
        "{description}"
    );
}

#[actix_web::test]
async fn a_secret_is_shown_as_its_microversion_wants() {
    let api = api().await;
    let expected = json!({
        "created": "2030-02-28T19:14:44.180394", "updated": "2030-02-28T19:14:45", "status": "ACTIVE", "name": "hé",
        "secret_type": "passphrase", "expiration": "2039-01-01T00:00:00", "algorithm": null, "bit_length": 128,
        "mode": null, "creator_id": "u", "content_types": {"default": "text/plain"},
        "secret_ref": format!("{BASE}/secrets/{ID}"),
    });
    for accept in [None, Some("application/json"), Some("*/*"), Some("")] {
        let headers: Vec<_> =
            accept.iter().map(|accept| ("Accept", *accept)).chain([("Host", "localhost:8080")]).collect();
        let answer = api.ask(&with_ids("GET /v1/secrets/{id}"), &headers, b"").await;
        assert_eq!(answer.json(), expected, "{accept:?}");
        assert_eq!(answer.header("openstack-api-version"), Some("key-manager 1.0"));
        assert_eq!(answer.header("vary"), Some("openstack-api-version"));
    }
    let newer = [("OpenStack-API-Version", "key-manager 1.1")];
    let answer = api.ask(&with_ids("GET /v1/secrets/{id}.json"), &newer, b"").await;
    let consumers = json!([{"service": "nova", "resource_type": "vm", "resource_id": "r1"}]);
    assert_eq!((answer.status, &answer.json()["consumers"]), (200, &consumers));
    let needed = api.ask(&with_ids("GET /v1/secrets/{id}?transport_key_needed=TRUE"), &[], b"").await;
    let key = needed.json()["transport_key_ref"].clone();
    assert!(key.as_str().unwrap().ends_with(&with_ids("/v1/transport_keys/{id}")), "{key}");
}

#[actix_web::test]
async fn a_payload_is_handed_out_in_the_form_asked_for() {
    let api = api().await;
    let cases = [
        (None, 200, Some("application/octet-stream")),
        (Some("*/*"), 200, Some("text/plain; charset=UTF-8")),
        (Some("text/plain"), 200, Some("text/plain; charset=UTF-8")),
        (Some("text/plain;charset=utf-8"), 200, Some("text/plain;charset=utf-8")),
        (Some("application/octet-stream"), 200, Some("application/octet-stream")),
        (Some("application/pkcs8"), 200, Some("application/pkcs8")),
        (Some("text/plain, application/octet-stream"), 406, Some("application/json")),
        (Some("application/json"), 406, Some("application/json")),
        (Some("image/png"), 406, Some("application/json")),
    ];
    for (accept, status, content_type) in cases {
        let headers: Vec<_> = accept.iter().map(|accept| ("Accept", *accept)).collect();
        let answer = api.ask(&with_ids("GET /v1/secrets/{id}/payload"), &headers, b"").await;
        assert_eq!((answer.status, answer.header("content-type")), (status, content_type), "{accept:?}");
        if status == 200 {
            assert_eq!(answer.body, "téxt".as_bytes(), "{accept:?}");
        }
        if accept.is_some_and(|accept| accept != "*/*" && accept != "application/json") {
            let deprecated = api.ask(&with_ids("GET /v1/secrets/{id}"), &headers, b"").await;
            assert_eq!((deprecated.status, deprecated.header("content-type")), (status, content_type), "{accept:?}");
            if status != 200 {
                assert!(deprecated.text().contains("Secret retrieval issue seen"), "{}", deprecated.text());
            }
        }
    }
    for query in ["trans_wrapped_session_key=x", "trans_wrapped_session_key=x&transport_key_id=y"] {
        let answer = api.ask(&with_ids(&format!("GET /v1/secrets/{{id}}/payload?{query}")), &[], b"").await;
        assert_eq!(answer.status, 400, "{query}");
    }
}

#[actix_web::test]
async fn a_payload_is_put_or_refused() {
    let api = api().await;
    let octets = ("Content-Type", "application/octet-stream");
    let base64 = ("Content-Encoding", "BASE64");
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [u8], u16);
    let cases: [Case<'_>; 10] = [
        (&[("Content-Type", "text/plain; charset=latin-1")], b"\xff", 204),
        (&[octets], &[0; 20_000], 204),
        (&[octets], &[0; 20_001], 413),
        (&[octets, base64], b"YW\nJj", 204),
        (&[octets, base64], b"!!!!", 400),
        (&[octets, ("Content-Encoding", "gzip")], b"x", 400),
        (&[octets], b"", 400),
        (&[("Content-Type", "application/pkcs8")], b"x", 415),
        (&[("Content-Type", "application/json")], b"x", 415),
        (&[("Content-Type", "application/json")], b"\xff", 400),
    ];
    for (headers, body, status) in cases {
        let answer = api.ask(&with_ids("PUT /v1/secrets/{id}"), headers, body).await;
        assert_eq!(answer.status, status, "{headers:?}");
        assert_eq!(answer.body.is_empty(), status == 204, "{headers:?}");
    }
}

#[actix_web::test]
async fn the_largest_payload_fits_through_one_step_as_base64() {
    let body = json!({
        "payload": format!("{}AAA=", "AAAA".repeat(6666)),
        "payload_content_type": "application/octet-stream",
        "payload_content_encoding": "base64",
    });
    let answer = api().await.ask("POST /v1/secrets", &[JSON], body.to_string().as_bytes()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

#[actix_web::test]
async fn deletion_spares_consumed_secrets_from_1_2_on() {
    let api = api().await;
    let cases = [
        ("1.0", "", 204, "Valid(false)"),
        ("1.1", "?force=junk", 204, "Valid(false)"),
        ("1.2", "", 204, "Valid(true)"),
        ("1.2", "?force=False", 204, "Valid(true)"),
        ("1.2", "?force=YES", 204, "Valid(false)"),
        ("latest", "?force=1", 204, "Valid(false)"),
        ("1.2", "?force=", 400, "Complaint"),
        ("1.2", "?force=junk", 400, "Complaint"),
    ];
    for (version, query, status, asked) in cases {
        let header = format!("key-manager {version}");
        let answer = api
            .ask(
                &with_ids(&format!("DELETE /v1/secrets/{{id}}{query}")),
                &[("OpenStack-API-Version", &header), ("Accept", "junk")],
                b"",
            )
            .await;
        assert_eq!(answer.status, status, "{version} {query}");
        let last = api.asked.lock().unwrap().pop().unwrap();
        assert!(last.contains(&format!("spare_consumed: {asked}")), "{version} {query}: {last}");
    }
}

#[actix_web::test]
async fn pages_link_to_their_neighbours() {
    let api = api().await;
    let cases = [
        ("", None, Some("limit=10&offset=10")),
        ("?limit=7&offset=3", Some("limit=7&offset=0"), Some("limit=7&offset=10")),
        ("?limit=500&offset=29", Some("limit=100&offset=0"), None),
        ("?offset=20", Some("limit=10&offset=10"), None),
        ("?offset=30", None, None),
        (
            "?limit=1&offset=1&bits=junk&foo=b%20r&sort=created:asc&x",
            Some("limit=1&offset=0&bits=junk&foo=b+r&sort=created%3Aasc&x="),
            Some("limit=1&offset=2&bits=junk&foo=b+r&sort=created%3Aasc&x="),
        ),
    ];
    for (query, previous, next) in cases {
        let answer = api.ask(&format!("GET /v1/secrets{query}"), &[("Host", "localhost:8080")], b"").await;
        let body = answer.json();
        let link = |query: Option<&str>| query.map_or(Value::Null, |query| json!(format!("{BASE}/secrets?{query}")));
        assert_eq!(
            (&body["previous"], &body["next"], &body["total"]),
            (&link(previous), &link(next), &json!(30)),
            "{query}"
        );
    }
    for query in ["sort=bogus", "created=junk", "limit=1&limit=2", "name=%ff", "name=%00"] {
        assert_eq!(api.ask(&format!("GET /v1/secrets?{query}"), &[], b"").await.status, 400, "{query}");
    }
}

#[actix_web::test]
async fn user_metadata_is_read_and_written() {
    let api = api().await;
    let item = br#"{"key":"K","value":" v "}"#;
    let cases: [(&str, &[u8], u16, Value); 7] = [
        ("GET /v1/secrets/{id}/metadata", b"", 200, json!({"metadata": {"k": "v"}})),
        (
            "PUT /v1/secrets/{id}/metadata",
            br#"{"metadata":{"A":"x"}}"#,
            201,
            json!({"metadata_ref": format!("http://localhost:8080/v1/secrets/{ID}/metadata")}),
        ),
        ("POST /v1/secrets/{id}/metadata", item, 201, json!({"key": "k", "value": "v"})),
        ("GET /v1/secrets/{id}/metadata/K%20", b"", 200, json!({"key": "K ", "value": "v"})),
        ("GET /v1/secrets/{id}/metadata/k.json", b"", 200, json!({"key": "k", "value": "v"})),
        ("PUT /v1/secrets/{id}/metadata/k", item, 200, json!({"key": "k", "value": "v"})),
        ("POST /v1/secrets/{id}/metadata/", item, 201, json!({"key": "k", "value": "v"})),
    ];
    for (line, body, status, expected) in cases {
        let answer = api.ask(&with_ids(line), &[JSON, ("Host", "localhost:8080")], body).await;
        assert_eq!((answer.status, answer.json()), (status, expected), "{line}");
        if line.starts_with("POST") {
            assert_eq!(answer.header("location"), Some(format!("{BASE}/secrets/{ID}/metadata/k").as_str()));
        }
    }
    assert_eq!(api.ask(&with_ids("DELETE /v1/secrets/{id}/metadata/k"), &[], b"").await.status, 204);
    for body in ["{", "[]", "{}", r#"{"key":"k"}"#, r#"{"key":"a b","value":"v"}"#, r#"{"key":"k","value":"v","x":1}"#]
    {
        assert_eq!(
            api.ask(&with_ids("POST /v1/secrets/{id}/metadata"), &[JSON], body.as_bytes()).await.status,
            400,
            "{body}"
        );
    }
}

#[actix_web::test]
async fn clients_that_take_no_json_are_told_so() {
    let api = api().await;
    for line in ["GET /v1", "GET /v1/secrets", "POST /v1/secrets", "DELETE /v1/secrets/{id}/metadata/k", "GET /"] {
        let answer = api.ask(&with_ids(line), &[("Accept", "text/html")], b"").await;
        assert_eq!(answer.status, 406, "{line}");
        assert_eq!(answer.json(), json!({"code": 406, "title": "Not Acceptable", "description": null}), "{line}");
    }
}

#[actix_web::test]
async fn what_does_not_exist_is_404_and_what_is_not_done_is_405() {
    let api = api().await;
    for line in [
        "GET /v1/nothing",
        "GET /nothing",
        "GET /v1/secrets/{id}/foo",
        "GET /v1/secrets/{id}/payload/x",
        "PATCH /v1/secrets/junk",
        "GET /v1/secrets/{id}/metadata/a/b",
        "GET /v1x",
    ] {
        let answer = api.ask(&with_ids(line), &[], b"").await;
        assert_eq!((answer.status, &answer.json()["title"]), (404, &json!("Not Found")), "{line}");
        assert!(answer.header("x-openstack-request-id").is_some(), "{line}");
    }
    let cases = [
        ("/v1", "GET"),
        ("/v1/secrets", "GET, POST"),
        ("/v1/secrets/{id}", "DELETE, GET, PUT"),
        ("/v1/secrets/{id}/payload", "GET"),
        ("/v1/secrets/{id}/metadata", "GET, POST, PUT"),
        ("/v1/secrets/{id}/metadata/k", "DELETE, GET, PUT"),
        ("/", "GET"),
        ("/healthcheck", "GET"),
        ("/livez", "GET"),
        ("/readyz", "GET"),
        ("/openapi.json", "GET"),
    ];
    for (path, allowed) in cases {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "INVENTED"] {
            if allowed.split(", ").any(|known| known == method) {
                continue;
            }
            let answer = api.ask(&with_ids(&format!("{method} {path}")), &[], b"").await;
            assert_eq!((answer.status, answer.header("allow")), (405, Some(allowed)), "{method} {path}");
            assert!(answer.header("x-openstack-request-id").is_some(), "{method} {path}");
        }
    }
}

#[actix_web::test]
async fn refs_follow_the_request_or_the_setting() {
    let headers = [JSON, ("X-Auth-Token", "good"), ("Host", "keys.example"), ("X-Forwarded-Proto", "https")];
    let mut config = Config::default();
    config.http.trusted_proxies = vec!["192.0.2.0/24".parse().unwrap()];
    for (host_href, peer, base) in [
        ("", "192.0.2.1:1", "https://keys.example"),
        ("", "198.51.100.1:1", "http://keys.example"),
        ("https://configured:1/", "192.0.2.1:1", "https://configured:1"),
    ] {
        config.host_href = host_href.into();
        let request = request("POST /v1/secrets", &headers, b"{}").peer_addr(peer.parse().unwrap());
        let answer = api_with(config.clone()).await.send(request).await;
        assert_eq!(answer.json()["secret_ref"], format!("{base}/v1/secrets/{ID}"), "{peer}");
    }
    let without = api().await.send(request("GET /", &[], b"")).await;
    assert!(without.headers.get(HOST).is_none() && without.text().contains("/v1/\""));
}
