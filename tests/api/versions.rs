//! Version discovery and microversions.

use bailey_tests::suite::SharedCase;
use bailey_tests::{TestApp, cases};
use serde_json::{Value, json};

pub const CASES: &[SharedCase] = cases![
    root_lists_one_version,
    root_needs_no_identity,
    v1_describes_itself,
    v1_needs_an_identity,
    every_answer_names_its_microversion,
    other_services_microversions_are_ignored,
    bad_microversions_are_refused,
    every_answer_has_a_request_id,
];

const LATEST: &str = "1.2";

fn links(base: &str) -> Value {
    json!([
        { "rel": "self", "href": format!("{base}/v1/") },
        { "rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/" },
    ])
}

fn stable(base: &str) -> Value {
    json!({
        "id": "v1",
        "status": "stable",
        "links": links(base),
        "media-types": [{ "base": "application/json", "type": "application/vnd.openstack.key-manager-v1+json" }],
    })
}

fn current(base: &str) -> Value {
    json!({ "id": "v1", "status": "CURRENT", "min_version": "1.0", "max_version": LATEST, "links": links(base) })
}

fn root_lists_one_version(app: &TestApp) {
    let client = app.client();
    let base = client.base();
    assert_eq!(client.get("/").send().expect(300).json(), json!({ "versions": { "values": [stable(&base)] } }));
    for version in ["1.1", "1.2", "latest"] {
        let answer = client.with_microversion(version).get("/").send().expect(300);
        assert_eq!(answer.json(), json!({ "versions": [current(&base)] }), "{answer}");
    }
    let build = client.get("/?build").send().expect(200);
    assert!(!build.string("build").is_empty(), "{build}");
    let home = client.get("/").header("Accept", "application/json-home").send().expect(302);
    assert_eq!(home.header("Location"), Some(format!("{base}/v1/").as_str()));
    let _ = client.get("/").header("Accept", "text/html").send().expect(406);
    let _ = client.get("/nothing").send().expect(404);
}

fn root_needs_no_identity(app: &TestApp) {
    let _ = app.anonymous().get("/").send().expect(300);
    let _ = app.anonymous().get("/healthcheck").send().expect(200);
}

fn v1_describes_itself(app: &TestApp) {
    let client = app.client();
    let base = client.base();
    for path in ["/v1", "/v1/"] {
        assert_eq!(client.get(path).send().expect(200).json(), json!({ "version": stable(&base) }));
        let answer = client.with_microversion("1.1").get(path).send().expect(200);
        assert_eq!(answer.json(), json!({ "version": current(&base) }));
    }
}

fn v1_needs_an_identity(app: &TestApp) {
    let answer = app.anonymous().get("/v1/").header("Accept", "application/json").send().expect(400);
    assert_eq!(answer.string("code"), "400 Bad Request");
    assert!(answer.json()["title"].is_string(), "{answer}");
}

fn every_answer_names_its_microversion(app: &TestApp) {
    let client = app.client();
    for (asked, told) in [(None, "1.0"), (Some("1.0"), "1.0"), (Some("1.1"), "1.1"), (Some("latest"), LATEST)] {
        let client = asked.map_or_else(|| client.clone(), |version| client.with_microversion(version));
        for path in ["/v1/secrets", "/v1/secrets/nothing", "/v1/"] {
            let answer = client.get(path).send();
            let named = answer.header("OpenStack-API-Version");
            assert_eq!(named, Some(format!("key-manager {told}").as_str()), "{answer}");
            let vary = answer.header("Vary").unwrap_or_default().to_lowercase();
            assert!(vary.contains("openstack-api-version"), "{answer}");
        }
    }
}

fn other_services_microversions_are_ignored(app: &TestApp) {
    let client = app.client();
    for (value, told) in [
        ("compute 2.1", "1.0"),
        ("abc", "1.0"),
        ("key-manager", "1.0"),
        ("compute 2.1, key-manager 1.1", "1.1"),
        ("key-manager 1.1, compute 2.1", "1.1"),
    ] {
        let answer = client.get("/v1/secrets").header("openstack-api-version", value).send().expect(200);
        let named = answer.header("OpenStack-API-Version");
        assert_eq!(named, Some(format!("key-manager {told}").as_str()), "{value}: {answer}");
    }
}

fn bad_microversions_are_refused(app: &TestApp) {
    let client = app.client();
    for (version, status, code) in [
        ("1.9", 406, "406 Not Acceptable"),
        ("2.0", 406, "406 Not Acceptable"),
        ("0.9", 406, "406 Not Acceptable"),
        ("abc", 400, "400 Bad Request"),
        ("1", 400, "400 Bad Request"),
    ] {
        let request = client.with_microversion(version).get("/v1/secrets");
        let _ = request.send().expect(status);
        let answer = request.header("Accept", "application/json").send().expect(status);
        assert_eq!(answer.string("code"), code, "{answer}");
        assert!(answer.json()["title"].is_string(), "{answer}");
        assert_eq!(answer.header("OpenStack-API-Version"), None, "{answer}");
    }
}

fn every_answer_has_a_request_id(app: &TestApp) {
    let client = app.client();
    let id = |path: &str, method: &str| {
        let answer = client.request(method, path).send();
        let id =
            answer.header("x-openstack-request-id").unwrap_or_else(|| panic!("no request id: {answer}")).to_owned();
        let uuid = id.strip_prefix("req-").unwrap_or_else(|| panic!("{id}"));
        assert_eq!(uuid::Uuid::parse_str(uuid).map(|uuid| uuid.to_string()), Ok(uuid.to_owned()));
        id
    };
    let mut ids: Vec<String> = [
        ("/v1/secrets", "GET"),
        ("/v1/secrets", "POST"),
        ("/v1/secrets/x", "GET"),
        ("/v1/secrets", "DELETE"),
        ("/v1/", "GET"),
    ]
    .map(|(path, method)| id(path, method))
    .to_vec();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 5);
    let inbound = "req-00000000-0000-4000-8000-000000000000";
    let answer = client.get("/v1/secrets").header("x-openstack-request-id", inbound).send();
    assert_ne!(answer.header("x-openstack-request-id"), Some(inbound));
}
