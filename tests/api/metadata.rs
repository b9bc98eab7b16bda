//! User metadata of secrets.

use bailey_tests::suite::SharedCase;
use bailey_tests::{TestApp, cases};
use serde_json::json;

pub const CASES: &[SharedCase] = cases![
    all_at_once,
    one_at_a_time,
    keys_are_folded_and_compared_as_given,
    bad_maps_are_refused,
    bad_items_are_refused,
    unknown_secrets_have_none,
    methods_and_media_types,
    metadata_goes_with_its_secret,
];

fn all_at_once(app: &TestApp) {
    let client = app.client();
    let href = client.create(&json!({}));
    let path = format!("{href}/metadata");
    assert_eq!(client.describe(&path), json!({ "metadata": {} }));

    let answer = client.put(&path).json(&json!({ "metadata": { "owner": "me", "1": " x ", "a-b_C": "" } })).send();
    let answer = answer.expect(201);
    assert_eq!(answer.json(), json!({ "metadata_ref": path }));
    assert_eq!(answer.header("Location"), None);
    assert_eq!(client.describe(&path), json!({ "metadata": { "owner": "me", "1": "x", "a-b_c": "" } }));

    let _ = client.put(&path).json(&json!({ "metadata": { "other": "v" } })).send().expect(201);
    assert_eq!(client.describe(&path), json!({ "metadata": { "other": "v" } }));
    let _ = client.put(&path).json(&json!({ "metadata": {} })).send().expect(201);
    assert_eq!(client.describe(&path), json!({ "metadata": {} }));
    for accept in ["application/json", "*/*", "text/plain", "application/octet-stream"] {
        let _ = client.get(&path).header("Accept", accept).send().expect(200);
    }
}

fn one_at_a_time(app: &TestApp) {
    let client = app.client();
    let href = client.create(&json!({}));
    let path = format!("{href}/metadata");
    let item = json!({ "key": "colour", "value": "red" });
    let answer = client.post(&path).json(&item).send().expect(201);
    assert_eq!(answer.json(), item);
    assert_eq!(answer.header("Location"), Some(format!("{path}/colour").as_str()));
    assert_eq!(client.describe(&format!("{path}/colour")), item);
    assert_eq!(client.post(&path).json(&item).send().expect(409).string("title"), "Conflict");

    let changed = json!({ "key": "colour", "value": "blue" });
    let answer = client.put(&format!("{path}/colour")).json(&changed).send().expect(200);
    assert_eq!(answer.json(), changed);
    assert_eq!(client.describe(&path), json!({ "metadata": { "colour": "blue" } }));

    let absent = json!({ "key": "shape", "value": "round" });
    let _ = client.put(&format!("{path}/shape")).json(&absent).send().expect(404);
    let _ = client.put(&format!("{path}/shape")).json(&changed).send().expect(404);
    let _ = client.put(&format!("{path}/colour")).json(&absent).send().expect(409);
    let _ = client.get(&format!("{path}/shape")).send().expect(404);

    for _ in 0..2 {
        let _ = client.delete(&format!("{path}/colour")).send().expect(204);
        let _ = client.get(&format!("{path}/colour")).send().expect(404);
    }
}

fn keys_are_folded_and_compared_as_given(app: &TestApp) {
    let client = app.client();
    let href = client.create(&json!({}));
    let path = format!("{href}/metadata");
    let answer = client.post(&path).json(&json!({ "key": "MiXed", "value": "Kept As It Is" })).send().expect(201);
    assert_eq!(answer.string("key"), "mixed");
    let _ = client.get(&format!("{path}/mixed")).send().expect(200);
    let _ = client.get(&format!("{path}/MiXed")).send().expect(404);
    let _ = client.post(&path).json(&json!({ "key": "MIXED", "value": "again" })).send().expect(409);
    let _ = client.delete(&format!("{path}/MIXED")).send().expect(204);
    let _ = client.get(&format!("{path}/mixed")).send().expect(200);
}

fn bad_maps_are_refused(app: &TestApp) {
    let client = app.client();
    let path = format!("{}/metadata", client.create(&json!({})));
    let kept = json!({ "metadata": { "kept": "yes" } });
    let _ = client.put(&path).json(&kept).send().expect(201);
    for body in [
        json!({}),
        json!([]),
        json!({ "metadata": [] }),
        json!({ "metadata": "x" }),
        json!({ "metadata": null }),
        json!({ "metadata": { "bad key": "v" } }),
        json!({ "metadata": { "kéy": "v" } }),
        json!({ "metadata": { "a.b": "v" } }),
        json!({ "metadata": { "a": 5 } }),
        json!({ "metadata": { "a": null } }),
        json!({ "metadata": { "a": { "b": "c" } } }),
        json!({ "metadata": { "a": true } }),
    ] {
        let answer = client.put(&path).json(&body).send();
        assert_eq!(answer.status, 400, "{answer}");
        assert_eq!(answer.string("title"), "Bad Request");
    }
    assert_eq!(client.describe(&path), kept);
}

fn bad_items_are_refused(app: &TestApp) {
    let client = app.client();
    let path = format!("{}/metadata", client.create(&json!({})));
    let _ = client.post(&path).json(&json!({ "key": "kept", "value": "yes" })).send().expect(201);
    for body in [
        json!({}),
        json!([]),
        json!({ "key": "a" }),
        json!({ "value": "a" }),
        json!({ "key": "a", "value": 5 }),
        json!({ "key": "a", "value": null }),
        json!({ "key": 5, "value": "v" }),
        json!({ "key": "a b", "value": "v" }),
        json!({ "key": "a", "value": "v", "extra": 1 }),
        json!({ "key": "k".repeat(256), "value": "v" }),
        json!({ "key": "a", "value": "v".repeat(256) }),
    ] {
        for answer in [client.post(&path).json(&body).send(), client.put(&format!("{path}/kept")).json(&body).send()] {
            assert_eq!(answer.status, 400, "{answer}");
        }
    }
    for body in [json!({ "key": "k".repeat(255), "value": "v".repeat(255) }), json!({ "key": "empty", "value": "" })] {
        let _ = client.post(&path).json(&body).send().expect(201);
    }
    assert_eq!(client.describe(&format!("{path}/kept"))["value"], json!("yes"));
}

fn unknown_secrets_have_none(app: &TestApp) {
    let client = app.client();
    let item = json!({ "key": "a", "value": "b" });
    for id in ["00000000-0000-4000-8000-000000000000", "junk"] {
        let path = format!("/v1/secrets/{id}/metadata");
        let map = json!({ "metadata": {} });
        for answer in [
            client.get(&path).send(),
            client.put(&path).json(&map).send(),
            client.post(&path).json(&item).send(),
            client.get(&format!("{path}/a")).send(),
            client.put(&format!("{path}/a")).json(&item).send(),
            client.delete(&format!("{path}/a")).send(),
        ] {
            assert_eq!(answer.status, 404, "{answer}");
        }
    }
}

fn methods_and_media_types(app: &TestApp) {
    let client = app.client();
    let path = format!("{}/metadata", client.create(&json!({})));
    for (method, path) in [("DELETE", path.clone()), ("PATCH", path.clone()), ("POST", format!("{path}/a"))] {
        let _ = client.request(method, &path).send().expect(405);
    }
    for request in [client.put(&path), client.post(&path), client.put(&format!("{path}/a"))] {
        let _ = request.clone().body("{}").send().expect(415);
        let _ = request.payload("text/plain", "{}").send().expect(415);
    }
}

fn metadata_goes_with_its_secret(app: &TestApp) {
    let client = app.client();
    let href = client.store("text");
    let path = format!("{href}/metadata");
    let before = client.describe(&href);
    let _ = client.put(&path).json(&json!({ "metadata": { "a": "b" } })).send().expect(201);
    assert_eq!(client.describe(&href)["content_types"], before["content_types"]);
    assert_eq!(client.payload(&href), b"text");
    let _ = client.delete(&href).send().expect(204);
    let _ = client.get(&path).send().expect(404);
    let _ = client.get(&format!("{path}/a")).send().expect(404);
}
