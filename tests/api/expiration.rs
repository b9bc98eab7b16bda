//! Secrets that cease to be.

use std::time::Duration;

use bailey_testkit::process;
use bailey_tests::secrets::in_seconds;
use bailey_tests::suite::SharedCase;
use bailey_tests::{TestApp, cases};
use serde_json::json;

pub const CASES: &[SharedCase] = cases![many_forms_are_read, other_forms_are_refused, an_expired_secret_is_gone];

fn many_forms_are_read(app: &TestApp) {
    let client = app.client();
    for (given, told) in [
        ("2039-01-01T00:00:00", json!("2039-01-01T00:00:00")),
        ("2039-01-01 00:00:00", json!("2039-01-01T00:00:00")),
        ("2039-01-01", json!("2039-01-01T00:00:00")),
        ("2039-01-01T12:30", json!("2039-01-01T12:30:00")),
        ("2039-01-01T12:30:15.25", json!("2039-01-01T12:30:15.250000")),
        ("2039-01-01T12:30:15,25", json!("2039-01-01T12:30:15.250000")),
        ("2039-01-01T12:30:15.180394", json!("2039-01-01T12:30:15.180394")),
        ("2039-01-01T00:00:00Z", json!("2039-01-01T00:00:00")),
        ("2039-01-01T00:00:00+02", json!("2038-12-31T22:00:00")),
        ("2039-01-01T00:00:00+02:00", json!("2038-12-31T22:00:00")),
        ("2039-01-01T00:00:00-0530", json!("2039-01-01T05:30:00")),
        ("20390101T000000", json!("2039-01-01T00:00:00")),
        ("2039-01", json!("2039-01-01T00:00:00")),
        ("2039", json!("2039-01-01T00:00:00")),
        (" 2039-01-01 ", json!("2039-01-01T00:00:00")),
        ("", json!(null)),
    ] {
        let answer = client.post("/v1/secrets").json(&json!({ "expiration": given })).send();
        assert_eq!(answer.status, 201, "{given}: {answer}");
        assert_eq!(client.describe(&answer.string("secret_ref"))["expiration"], told, "{given}");
    }
}

fn other_forms_are_refused(app: &TestApp) {
    let client = app.client();
    for given in [
        "2039-01-01T00:00:00-5:00",
        "2039-01-01T00:00:00 +05:00",
        "2039-W01-1",
        "2039-13-01",
        "2039-02-30",
        "2039-01-01T24:30:00",
        "2039-01-01T00:00:00+99:00",
        "tomorrow",
        "2001-01-01T00:00:00",
        "2001-01-01T00:00:00Z",
    ] {
        let answer = client.post("/v1/secrets").json(&json!({ "expiration": given })).send();
        assert_eq!(answer.status, 400, "{given}: {answer}");
        assert!(answer.string("description").contains("Invalid property: 'expiration'"), "{given}: {answer}");
    }
}

fn an_expired_secret_is_gone(app: &TestApp) {
    let client = app.client();
    let lasting = client.store("lasting");
    let soon = in_seconds(4);
    let fleeting = client.create(&json!({
        "name": "fleeting", "payload": "text", "payload_content_type": "text/plain", "expiration": soon,
    }));
    let bare = client.create(&json!({ "expiration": soon }));
    assert_eq!(client.payload(&fleeting), b"text");
    let metadatum = json!({ "metadata": { "a": "b" } });
    let _ = client.put(&format!("{fleeting}/metadata")).json(&metadatum).send().expect(201);
    assert_eq!(client.describe("/v1/secrets")["total"], json!(3));

    process::until(Duration::from_secs(10), || match client.get(&fleeting).send().status {
        404 => Ok(()),
        status => anyhow::bail!("still {status}"),
    })
    .unwrap();
    let _ = client.get(&format!("{fleeting}/payload")).send().expect(404);
    let _ = client.get(&format!("{fleeting}/metadata")).send().expect(404);
    let _ = client.put(&format!("{fleeting}/metadata")).json(&metadatum).send().expect(404);
    let _ = client.delete(&format!("{fleeting}/metadata/a")).send().expect(404);
    let _ = client.put_payload(&bare, "text/plain", b"late").expect(404);
    let listed = client.describe("/v1/secrets?expiration=gt:2001-01-01&limit=100");
    assert_eq!(listed["total"], json!(0), "{listed}");
    let listed = client.describe("/v1/secrets?limit=100");
    assert_eq!((&listed["total"], &listed["secrets"][0]["secret_ref"]), (&json!(1), &json!(lasting)), "{listed}");
    // Nobody can read it any more, but it can be destroyed.
    let _ = client.delete(&fleeting).send().expect(204);
    let _ = client.delete(&fleeting).send().expect(404);
}
