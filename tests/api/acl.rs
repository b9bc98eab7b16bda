//! `/v1/secrets/{id}/acl` and `/v1/containers/{id}/acl`.

use std::collections::BTreeSet;
use std::thread;

use bailey_tests::suite::SharedCase;
use bailey_tests::{Client, TestApp, cases};
use serde_json::{Value, json};

pub const CASES: &[SharedCase] = cases![
    without_an_acl_the_project_reads,
    put_replaces_all,
    nothing_said_removes_by_put_and_changes_nothing_by_patch,
    patch_keeps_what_is_not_said,
    delete_is_idempotent_and_answers_null,
    users_are_told_once,
    only_the_first_user_is_looked_at_closely,
    bad_acls_are_refused,
    what_the_acl_belongs_to_is_updated,
    an_acl_decides_who_reads,
    an_acl_goes_with_what_it_belongs_to,
    of_two_patches_at_once_none_is_lost,
    order_of_complaints,
];

/// Hrefs of a new secret and a new container.
fn both(client: &Client) -> [String; 2] {
    let container = client.post("/v1/containers").json(&json!({ "type": "generic" })).send().expect(201);
    [client.create(&json!({})), container.string("container_ref")]
}

fn acl(of: &str) -> String {
    format!("{of}/acl")
}

fn put(client: &Client, of: &str, body: &Value) {
    let answer = client.put(&acl(of)).json(body).send().expect(200);
    assert_eq!(answer.json(), json!({ "acl_ref": acl(of) }));
}

fn patch(client: &Client, of: &str, body: &Value) {
    let answer = client.request("PATCH", &acl(of)).json(body).send().expect(200);
    assert_eq!(answer.json(), json!({ "acl_ref": acl(of) }));
}

fn default() -> Value {
    json!({ "read": { "project-access": true } })
}

/// What a stored ACL says, with its users sorted and its times left out.
fn stored(client: &Client, of: &str) -> Value {
    let mut body = client.describe(&acl(of));
    let read = body["read"].as_object_mut().expect("an operation");
    for time in ["created", "updated"] {
        assert!(read.remove(time).is_some_and(|time| time.is_string()), "no {time}");
    }
    let users: BTreeSet<String> = serde_json::from_value(read["users"].take()).expect("a list of users");
    read.insert("users".to_owned(), json!(users));
    body
}

fn says(project_access: bool, users: &[&str]) -> Value {
    json!({ "read": { "project-access": project_access, "users": users } })
}

fn without_an_acl_the_project_reads(app: &TestApp) {
    let client = app.client();
    for of in both(&client) {
        assert_eq!(client.describe(&acl(&of)), default());
    }
}

fn put_replaces_all(app: &TestApp) {
    let client = app.client();
    for of in both(&client) {
        for (body, expected) in [
            (says(false, &["u1", "u2"]), says(false, &["u1", "u2"])),
            (says(true, &["u2", "u3"]), says(true, &["u2", "u3"])),
            (json!({ "read": { "project-access": false } }), says(false, &[])),
            (json!({ "read": { "users": ["u1"] } }), says(true, &["u1"])),
            (json!({ "read": { "users": [] } }), says(true, &[])),
        ] {
            put(&client, &of, &body);
            assert_eq!(stored(&client, &of), expected, "{body}");
        }
    }
}

fn nothing_said_removes_by_put_and_changes_nothing_by_patch(app: &TestApp) {
    let client = app.client();
    for of in both(&client) {
        for nothing in [json!({}), json!({ "read": {} })] {
            patch(&client, &of, &nothing);
            assert_eq!(client.describe(&acl(&of)), default());
            put(&client, &of, &says(false, &["u"]));
            let before = client.describe(&acl(&of));
            patch(&client, &of, &nothing);
            assert_eq!(client.describe(&acl(&of)), before);
            for _ in 0..2 {
                put(&client, &of, &nothing);
                assert_eq!(client.describe(&acl(&of)), default());
            }
        }
    }
}

fn patch_keeps_what_is_not_said(app: &TestApp) {
    let client = app.client();
    for of in both(&client) {
        for (body, expected) in [
            (json!({ "read": { "users": ["u1", "u2"] } }), says(true, &["u1", "u2"])),
            (json!({ "read": { "project-access": false } }), says(false, &["u1", "u2"])),
            (json!({ "read": { "users": ["u3"] } }), says(false, &["u3"])),
            (json!({ "read": { "users": [] } }), says(false, &[])),
            (says(true, &["u4"]), says(true, &["u4"])),
        ] {
            patch(&client, &of, &body);
            assert_eq!(stored(&client, &of), expected, "{body}");
        }
    }
    for of in both(&client) {
        patch(&client, &of, &json!({ "read": { "project-access": false } }));
        assert_eq!(stored(&client, &of), says(false, &[]));
    }
}

fn delete_is_idempotent_and_answers_null(app: &TestApp) {
    let client = app.client();
    for of in both(&client) {
        put(&client, &of, &says(false, &["u"]));
        for _ in 0..2 {
            let answer = client.delete(&acl(&of)).send().expect(200);
            assert_eq!((answer.json(), answer.header("Content-Type")), (Value::Null, Some("application/json")));
            assert_eq!(client.describe(&acl(&of)), default());
        }
    }
}

fn users_are_told_once(app: &TestApp) {
    let client = app.client();
    for of in both(&client) {
        put(&client, &of, &json!({ "read": { "users": ["u1", " u3 ", "u3", "", "u4", "U1"] } }));
        assert_eq!(client.describe(&acl(&of))["read"]["users"].as_array().map(Vec::len), Some(4));
        assert_eq!(stored(&client, &of), says(true, &["U1", "u1", "u3", "u4"]));
    }
}

fn only_the_first_user_is_looked_at_closely(app: &TestApp) {
    let client = app.client();
    for of in both(&client) {
        put(&client, &of, &json!({ "read": { "users": ["a", 1, 12_345_678_901_234_567_890_u64] } }));
        assert_eq!(stored(&client, &of), says(true, &["1", "12345678901234567890", "a"]));
        let _ = client.put(&acl(&of)).json(&json!({ "read": { "users": [1, "a"] } })).send().expect(400);
    }
}

fn bad_acls_are_refused(app: &TestApp) {
    let client = app.client();
    for of in both(&client) {
        put(&client, &of, &says(false, &["kept"]));
        for (body, named) in [
            (json!([]), "None"),
            (json!({ "read": null }), "read"),
            (json!({ "read": ["u"] }), "read"),
            (json!({ "read": { "users": null } }), "read.users"),
            (json!({ "read": { "users": "u" } }), "read.users"),
            (json!({ "read": { "users": ["a", {}] } }), "read.users"),
            (json!({ "read": { "users": ["a", "x".repeat(256)] } }), "read.users"),
            (json!({ "read": { "project-access": "true" } }), "read.project-access"),
            (json!({ "read": { "project-access": null } }), "read.project-access"),
            (json!({ "read": { "creator-only": true } }), "read.creator-only"),
            (json!({ "write": { "users": [] } }), "write"),
            (json!({ "list": {}, "read": { "users": [] } }), "list"),
            (json!({ "delete": {} }), "delete"),
        ] {
            for method in ["PUT", "PATCH"] {
                let answer = client.request(method, &acl(&of)).json(&body).send().expect(400);
                let description = answer.string("description");
                assert!(description.starts_with("Provided object does not match schema 'ACL': "), "{description}");
                assert!(description.ends_with(&format!("Invalid property: '{named}'")), "{description}");
            }
        }
        assert_eq!(stored(&client, &of), says(false, &["kept"]));
    }
}

fn what_the_acl_belongs_to_is_updated(app: &TestApp) {
    let client = app.client();
    for of in both(&client) {
        let updated = || client.describe(&of)["updated"].clone();
        let created = updated();
        let _ = client.delete(&acl(&of)).send().expect(200);
        put(&client, &of, &json!({}));
        assert_eq!(updated(), created);
        put(&client, &of, &says(false, &[]));
        let put_at = updated();
        assert_ne!(put_at, created);
        patch(&client, &of, &json!({ "read": { "users": ["u"] } }));
        assert_ne!(updated(), put_at);
        let body = client.describe(&acl(&of));
        assert_eq!((&body["read"]["created"], &body["read"]["updated"]), (&put_at, &updated()));
    }
}

fn an_acl_decides_who_reads(app: &TestApp) {
    let project = format!("acl-{}", app.database());
    let [owner, admin, other, observer] =
        [("own", "creator"), ("boss", "admin"), ("other", "creator"), ("eye", "observer")]
            .map(|(user, role)| app.client_of(&project, user, &[role]));
    let guest = app.client_of("elsewhere", "guest", &["nobody"]);
    for of in both(&owner) {
        let all = [&owner, &admin, &other, &observer, &guest];
        let statuses = || all.map(|client| client.get(&of).send().status);
        assert_eq!(statuses(), [200, 200, 200, 200, 403]);
        put(&owner, &of, &says(false, &[]));
        assert_eq!(statuses(), [200, 200, 403, 403, 403]);
        put(&owner, &of, &says(false, &["guest", "eye"]));
        assert_eq!(statuses(), [200, 200, 403, 200, 200]);
        put(&owner, &of, &says(true, &["guest"]));
        assert_eq!(statuses(), [200, 200, 200, 200, 200]);
        // A name on the list reads, and no more.
        for answer in [
            guest.get(&acl(&of)).send(),
            guest.put(&acl(&of)).json(&json!({})).send(),
            guest.request("PATCH", &acl(&of)).json(&json!({})).send(),
            guest.delete(&acl(&of)).send(),
            guest.delete(&of).send(),
        ] {
            assert_eq!(answer.status, 403, "{answer}");
        }
        let _ = owner.delete(&acl(&of)).send().expect(200);
        assert_eq!(statuses(), [200, 200, 200, 200, 403]);
    }
}

fn an_acl_goes_with_what_it_belongs_to(app: &TestApp) {
    let client = app.client();
    for of in both(&client) {
        put(&client, &of, &says(false, &["u"]));
        let _ = client.delete(&of).send().expect(204);
        for request in [client.get(&acl(&of)), client.put(&acl(&of)).json(&json!({})), client.delete(&acl(&of))] {
            let _ = request.send().expect(404);
        }
    }
}

fn of_two_patches_at_once_none_is_lost(app: &TestApp) {
    let client = app.client();
    for of in both(&client) {
        for _ in 0..10 {
            let _ = client.delete(&acl(&of)).send().expect(200);
            let patches = [json!({ "read": { "project-access": false } }), json!({ "read": { "users": ["u"] } })];
            thread::scope(|scope| {
                for body in &patches {
                    let (client, of) = (&client, &of);
                    scope.spawn(move || patch(client, of, body));
                }
            });
            assert_eq!(stored(&client, &of), says(false, &["u"]));
        }
    }
}

fn order_of_complaints(app: &TestApp) {
    let client = app.client();
    for of in both(&client) {
        let path = acl(&of);
        let _ = client.post(&path).json(&json!({})).send().expect(405);
        let weak = client.with_roles("observer");
        let operation = if of.contains("secrets") { "SecretACL(s)" } else { "ContainerACL(s)" };
        for (method, label) in [("PUT", "Update"), ("PATCH", "Update"), ("DELETE", "deletion")] {
            let denied = weak.request(method, &path).payload("text/plain", "x").send().expect(403);
            let expected =
                format!("{operation} {label} attempt not allowed - please review your user/project privileges");
            assert_eq!(denied.string("description"), expected);
        }
        let denied = client.with_roles("audit").get(&path).send().expect(403);
        assert!(denied.string("description").starts_with(&format!("{operation} retrieval attempt")), "{denied}");
        for method in ["PUT", "PATCH"] {
            let _ = client.request(method, &path).payload("text/plain", "{}").send().expect(415);
            let _ = client.request(method, &path).body("{}").send().expect(415);
            let _ = client.request(method, &path).payload("application/json", "x").send().expect(400);
            let _ = client.request(method, &path).payload("application/json", "").send().expect(400);
        }
        for method in ["GET", "PUT", "PATCH", "DELETE"] {
            let request = client.request(method, &path).header("Accept", "text/plain").json(&json!({}));
            let _ = request.send().expect(406);
        }
        let _ = client.get(&format!("{path}/x")).send().expect(404);
    }
    for kind in ["secrets", "containers"] {
        for id in ["00000000-0000-4000-8000-000000000000", "junk"] {
            for method in ["GET", "PUT", "PATCH", "DELETE", "POST"] {
                let path = format!("/v1/{kind}/{id}/acl");
                let _ = client.with_roles("nobody").request(method, &path).body("x").send().expect(404);
            }
        }
    }
}
