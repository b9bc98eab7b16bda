//! `/v1/containers/{id}/secrets`, and what becomes of containers when their secrets go.

use std::time::Duration;

use bailey_testkit::process;
use bailey_tests::secrets::in_seconds;
use bailey_tests::suite::SharedCase;
use bailey_tests::{Client, Request, TestApp, cases};
use serde_json::{Value, json};

pub const CASES: &[SharedCase] = cases![
    secrets_are_added_and_removed,
    bad_references_are_refused,
    only_generic_containers_grow,
    media_types,
    secrets_must_be_there,
    roles_and_projects,
    private_containers_are_their_owners,
    deleted_secrets_leave_their_containers,
    expired_secrets_stay_and_are_absent,
    one_of_many_twins_is_added,
    a_deleted_secret_is_in_no_container,
];

const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

fn reference(href: &str, name: &str) -> Value {
    json!({ "secret_ref": href, "name": name })
}

fn unnamed(href: &str) -> Value {
    json!({ "secret_ref": href })
}

#[track_caller]
fn add(client: &Client, container: &str, reference: &Value, status: u16) {
    let answer = client.post(&format!("{container}/secrets")).json(reference).send().expect(status);
    if status == 201 {
        assert_eq!(answer.json(), json!({ "container_ref": container }));
        assert_eq!(answer.header("Location"), Some(container));
    } else {
        assert!(!answer.string("title").is_empty());
    }
}

#[track_caller]
fn remove(client: &Client, container: &str, reference: &Value, status: u16) {
    let answer = client.delete(&format!("{container}/secrets")).json(reference).send().expect(status);
    assert_eq!(answer.body.is_empty(), status == 204, "{answer}");
}

/// What a container holds, with the names that are absent as null.
fn held(client: &Client, container: &str) -> Value {
    client.describe(container)["secret_refs"].take()
}

fn secrets_are_added_and_removed(app: &TestApp) {
    let client = app.client();
    let [a, b] = [(); 2].map(|()| client.store("text"));
    let container = client.contain(&json!({ "type": "generic", "secret_refs": [reference(&a, "first")] }));
    let before = client.describe(&container);
    add(&client, &container, &unnamed(&b), 201);
    add(&client, &container, &reference(&a, "second"), 201);
    add(&client, &container, &reference(&b, "first"), 201);
    add(&client, &container, &reference(&b, ""), 201);
    add(&client, &container, &json!({ "secret_ref": a, "name": " third ", "other": 1 }), 201);
    for twin in [reference(&a, "first"), unnamed(&b), reference(&b, ""), reference(&a, "third")] {
        add(&client, &container, &twin, 409);
    }
    let expected = json!([
        { "name": "first", "secret_ref": a }, { "name": null, "secret_ref": b }, { "name": "second", "secret_ref": a },
        { "name": "first", "secret_ref": b }, { "name": "", "secret_ref": b }, { "name": "third", "secret_ref": a },
    ]);
    assert_eq!(held(&client, &container), expected);

    remove(&client, &container, &reference(&b, "second"), 404);
    remove(&client, &container, &unnamed(&a), 404);
    remove(&client, &container, &unnamed(&b), 204);
    remove(&client, &container, &unnamed(&b), 404);
    remove(&client, &container, &reference(&b, ""), 204);
    remove(&client, &container, &reference(&a, "third"), 204);
    // What was removed comes back, named or not, where Barbican fails.
    add(&client, &container, &reference(&a, "third"), 201);
    add(&client, &container, &unnamed(&b), 201);
    let names: Vec<Value> =
        held(&client, &container).as_array().unwrap().iter().map(|held| held["name"].clone()).collect();
    assert_eq!(json!(names), json!(["first", "second", "first", "third", null]));
    let after = client.describe(&container);
    assert_eq!((&after["updated"], &after["created"]), (&before["updated"], &before["created"]));
}

fn bad_references_are_refused(app: &TestApp) {
    let client = app.client();
    let secret = client.store("text");
    let id = secret.rsplit_once('/').unwrap().1.to_owned();
    let container = client.contain(&json!({ "type": "generic" }));
    for body in [
        json!([]),
        json!({}),
        json!({ "name": "n" }),
        json!({ "secret_ref": null }),
        json!({ "secret_ref": 5 }),
        json!({ "secret_ref": " " }),
        json!({ "secret_ref": id }),
        json!({ "secret_ref": "junk" }),
        json!({ "secret_ref": secret, "name": null }),
        json!({ "secret_ref": secret, "name": 5 }),
        json!({ "secret_ref": secret, "name": "x".repeat(256) }),
    ] {
        add(&client, &container, &body, 400);
        remove(&client, &container, &body, 400);
    }
    let _ = client.post(&format!("{container}/secrets")).payload("application/json", "{").send().expect(400);
    let _ = client.delete(&format!("{container}/secrets")).send().expect(415);
    // Whose href it is doesn't matter here, its id does.
    for href in [format!("http://other.example/v1/secrets/{id}"), format!("/{id}")] {
        add(&client, &container, &reference(&href, "n"), 201);
        assert_eq!(held(&client, &container), json!([reference(&secret, "n")]));
        remove(&client, &container, &reference(&href, "n"), 204);
    }
}

fn only_generic_containers_grow(app: &TestApp) {
    let client = app.client();
    let [certificate, key] = [(); 2].map(|()| client.store("text"));
    let body = json!({ "type": "certificate", "secret_refs": [reference(&certificate, "certificate")] });
    let container = client.contain(&body);
    add(&client, &container, &reference(&key, "private_key"), 400);
    add(&client, &container, &json!({}), 400);
    add(&client, &container, &reference(&format!("{}/v1/secrets/{UNKNOWN}", client.base()), "private_key"), 400);
    remove(&client, &container, &reference(&certificate, "certificate"), 204);
    assert_eq!(held(&client, &container), json!([]));
}

fn media_types(app: &TestApp) {
    let client = app.client();
    let secret = client.store("text");
    let container = client.contain(&json!({ "type": "generic" }));
    let path = format!("{container}/secrets");
    for request in [client.post(&path), client.delete(&path)] {
        let _ = request.clone().payload("text/plain", unnamed(&secret).to_string()).send().expect(415);
        let _ = request.body(unnamed(&secret).to_string()).send().expect(415);
    }
    let _ = client.post(&path).json(&unnamed(&secret)).header("Accept", "text/plain").send().expect(406);
    for accept in ["text/plain", "text/html"] {
        add(&client, &container, &unnamed(&secret), 201);
        let _ = client.delete(&path).json(&unnamed(&secret)).header("Accept", accept).send().expect(204);
    }
}

fn secrets_must_be_there(app: &TestApp) {
    let (client, other) = (app.client(), app.client());
    let (deleted, foreign) = (client.store("text"), other.store("text"));
    let _ = client.delete(&deleted).send().expect(204);
    let container = client.contain(&json!({ "type": "generic" }));
    let base = client.base();
    for absent in [deleted, foreign, format!("{base}/v1/secrets/{UNKNOWN}"), format!("{base}/v1/secrets/junk")] {
        add(&client, &container, &reference(&absent, "n"), 404);
        remove(&client, &container, &reference(&absent, "n"), 404);
    }
    for container in [UNKNOWN, "junk"] {
        add(&client, &format!("/v1/containers/{container}"), &json!({}), 404);
        remove(&client, &format!("/v1/containers/{container}"), &json!({}), 404);
    }
}

fn roles_and_projects(app: &TestApp) {
    let client = app.client();
    let secret = client.store("text");
    let container = client.contain(&json!({ "type": "generic" }));
    for roles in ["observer", "audit", "key-manager:service-admin", "member"] {
        let weak = client.with_roles(roles);
        add(&weak, &container, &json!([]), 403);
        remove(&weak, &container, &json!([]), 403);
    }
    let creator = client.with_roles("creator").with("X-User-Id", "other");
    add(&creator, &container, &unnamed(&secret), 201);
    let stranger = app.client();
    add(&stranger, &container, &unnamed(&stranger.store("text")), 403);
    remove(&stranger, &container, &unnamed(&secret), 403);
    remove(&creator, &container, &unnamed(&secret), 204);
}

fn private_containers_are_their_owners(app: &TestApp) {
    let owner = app.client().with_roles("creator").with("X-User-Id", "owner");
    let other = owner.clone().with("X-User-Id", "other");
    let reader = app.client().with_roles("nobody").with("X-User-Id", "reader");
    let secret = owner.store("text");
    let container = owner.contain(&json!({ "type": "generic" }));
    add(&other, &container, &reference(&secret, "before"), 201);
    let acl = json!({ "read": { "project-access": false, "users": ["reader"] } });
    let _ = owner.put(&format!("{container}/acl")).json(&acl).send().expect(200);
    add(&other, &container, &reference(&secret, "after"), 403);
    remove(&other, &container, &reference(&secret, "before"), 403);
    let _ = other.get(&container).send().expect(403);
    let _ = other.delete(&container).send().expect(403);
    // Being let in to read is not being let in to change.
    assert_eq!(held(&reader, &container), json!([reference(&secret, "before")]));
    add(&reader, &container, &reference(&secret, "after"), 403);
    remove(&reader, &container, &reference(&secret, "before"), 403);
    let _ = reader.delete(&container).send().expect(403);
    // The list is for all who may list, as that of secrets.
    assert_eq!(other.describe("/v1/containers")["total"], json!(1));

    let admin = other.with_roles("admin");
    remove(&admin, &container, &reference(&secret, "before"), 204);
    add(&owner, &container, &reference(&secret, "after"), 201);
    let _ = owner.delete(&container).send().expect(204);
    let _ = reader.get(&container).send().expect(404);
}

fn deleted_secrets_leave_their_containers(app: &TestApp) {
    let client = app.client();
    let [kept, gone] = [(); 2].map(|()| client.store("text"));
    let both = json!([reference(&gone, "gone"), reference(&kept, "kept")]);
    let containers = [(); 2].map(|()| client.contain(&json!({ "type": "generic", "secret_refs": both })));
    add(&client, &containers[0], &reference(&gone, "again"), 201);
    let before = client.describe(&containers[0])["updated"].take();
    let _ = client.delete(&gone).send().expect(204);
    for container in &containers {
        assert_eq!(held(&client, container), json!([reference(&kept, "kept")]));
        remove(&client, container, &reference(&gone, "gone"), 404);
    }
    assert_eq!(client.describe(&containers[0])["updated"], before);
    let listed = client.describe("/v1/containers")["containers"].take();
    assert!(listed.as_array().unwrap().iter().all(|found| found["secret_refs"] == json!([reference(&kept, "kept")])));
}

fn expired_secrets_stay_and_are_absent(app: &TestApp) {
    let client = app.client();
    let secret = client.create(&json!({ "expiration": in_seconds(4) }));
    let container = client.contain(&json!({ "type": "generic", "secret_refs": [reference(&secret, "a")] }));
    add(&client, &container, &reference(&secret, "b"), 201);
    process::until(Duration::from_secs(10), || match client.get(&secret).send().status {
        404 => Ok(()),
        status => anyhow::bail!("still {status}"),
    })
    .unwrap();
    let expected = json!([reference(&secret, "a"), reference(&secret, "b")]);
    assert_eq!(held(&client, &container), expected);
    add(&client, &container, &reference(&secret, "c"), 404);
    remove(&client, &container, &reference(&secret, "a"), 404);
    let body = json!({ "type": "generic", "secret_refs": [reference(&secret, "a")] });
    let _ = client.post("/v1/containers").json(&body).send().expect(404);
    assert_eq!(held(&client, &container), expected);
}

/// The statuses of requests that are sent at once, sorted.
fn at_once(requests: Vec<Request>) -> Vec<u16> {
    let sent: Vec<_> = requests.into_iter().map(|request| std::thread::spawn(move || request.send().status)).collect();
    let mut statuses: Vec<u16> = sent.into_iter().map(|sent| sent.join().unwrap()).collect();
    statuses.sort_unstable();
    statuses
}

fn one_of_many_twins_is_added(app: &TestApp) {
    let client = app.client();
    let secret = client.store("text");
    for reference in [unnamed(&secret), reference(&secret, "n")] {
        let container = client.contain(&json!({ "type": "generic" }));
        let adding = client.post(&format!("{container}/secrets")).json(&reference);
        assert_eq!(at_once(vec![adding; 4]), [201, 409, 409, 409]);
        assert_eq!(held(&client, &container).as_array().unwrap().len(), 1);
        let removing = client.delete(&format!("{container}/secrets")).json(&reference);
        assert_eq!(at_once(vec![removing; 4]), [204, 404, 404, 404]);
        assert_eq!(held(&client, &container), json!([]));
    }
}

fn a_deleted_secret_is_in_no_container(app: &TestApp) {
    let client = app.client();
    for _ in 0..10 {
        let (secret, other) = (client.store("text"), client.store("text"));
        let container = client.contain(&json!({ "type": "generic" }));
        let body = json!({ "type": "generic", "secret_refs": [reference(&other, "o"), reference(&secret, "s")] });
        let statuses = at_once(vec![
            client.post("/v1/containers").json(&body),
            client.delete(&secret),
            client.post(&format!("{container}/secrets")).json(&reference(&secret, "s")),
        ]);
        assert!(statuses.iter().all(|status| [201, 204, 404].contains(status)), "{statuses:?}");
        let listed = client.describe("/v1/containers?limit=100").to_string();
        assert!(!listed.contains(&secret), "{listed}");
        assert_eq!(held(&client, &container), json!([]));
    }
}
