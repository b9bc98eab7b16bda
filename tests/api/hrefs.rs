//! Where hrefs point to.

use bailey_tests::suite::OwnCase;
use bailey_tests::{Database, TestApp, cases};
use serde_json::json;

pub const CASES: &[OwnCase] =
    cases![hrefs_follow_the_request, a_configured_host_wins, a_proxy_that_is_not_trusted_says_nothing];

fn hrefs_follow_the_request(database: Database) {
    let app = TestApp::builder(database).set("BAILEY_HTTP__TRUSTED_PROXIES", "127.0.0.0/8").start().unwrap();
    let client = app.client();
    let _ = client.create(&json!({}));
    for (header, value, base) in [
        ("Host", "keys.example.test:9311", "http://keys.example.test:9311"),
        ("Host", "keys.example.test", "http://keys.example.test"),
        ("X-Forwarded-Proto", "https", &client.base().replace("http:", "https:")),
        ("X-Forwarded-Host", "keys.example.test", "http://keys.example.test"),
        ("X-Forwarded-Prefix", "/key-manager", &format!("{}/key-manager", client.base())),
    ] {
        let answer = client.post("/v1/secrets").header(header, value).json(&json!({})).send().expect(201);
        let href = answer.string("secret_ref");
        assert!(href.starts_with(&format!("{base}/v1/secrets/")), "{value}: {href}");
        assert_eq!(answer.header("Location"), Some(href.as_str()));
        let listed = client.get("/v1/secrets?limit=1&offset=1").header(header, value).send().expect(200);
        assert!(listed.string("previous").starts_with(&format!("{base}/v1/secrets?limit=1&offset=0")), "{listed}");
    }
}

fn a_configured_host_wins(database: Database) {
    let base = "https://keys.example.test/key-manager";
    let app = TestApp::builder(database).set("BAILEY_HOST_HREF", base).start().unwrap();
    let client = app.client();
    for host in ["other.example.test", "evil\"<script>"] {
        let answer = client.post("/v1/secrets").header("Host", host).json(&json!({})).send().expect(201);
        assert!(answer.string("secret_ref").starts_with(&format!("{base}/v1/secrets/")), "{answer}");
        let version = client.get("/").header("Host", host).send().expect(300);
        assert_eq!(version.json()["versions"]["values"][0]["links"][0]["href"], json!(format!("{base}/v1/")));
    }
}

fn a_proxy_that_is_not_trusted_says_nothing(database: Database) {
    let app = TestApp::builder(database).start().unwrap();
    let client = app.client();
    for (header, value) in
        [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.example.test"), ("X-Forwarded-Prefix", "/evil")]
    {
        let answer = client.post("/v1/secrets").header(header, value).json(&json!({})).send().expect(201);
        assert!(answer.string("secret_ref").starts_with(&format!("{}/v1/secrets/", client.base())), "{answer}");
    }
}
