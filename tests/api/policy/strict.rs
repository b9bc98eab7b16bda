//! What `compat = "strict"` closes, each beside what Barbican answers.

use bailey_core::ids::SecretId;
use bailey_tests::{Client, Database, TestApp};
use serde_json::{Value, json};

fn start(database: Database, generation: &str, compat: &str) -> TestApp {
    let builder = TestApp::builder(database).set("BAILEY_POLICY__GENERATION", generation);
    builder.set("BAILEY_COMPAT", compat).start().unwrap_or_else(|error| panic!("{error:#}"))
}

fn close(client: &Client, href: &str, users: &[&str]) {
    let acl = json!({ "read": { "project-access": false, "users": users } });
    let _ = client.put(&format!("{href}/acl")).json(&acl).send().expect(200);
}

fn container(client: &Client) -> String {
    client.post("/v1/containers").json(&json!({ "type": "generic" })).send().expect(201).string("container_ref")
}

/// Another project's secrets and containers are not there, for its admin neither.
pub fn no_project_sees_another(database: Database) {
    for (generation, compat, role, read, delete) in [
        ("legacy", "barbican", "admin", 403, 403),
        ("legacy", "strict", "admin", 404, 404),
        ("new", "barbican", "member", 403, 403),
        ("new", "barbican", "admin", 200, 204),
        ("new", "strict", "admin", 404, 404),
    ] {
        let app = start(database, generation, compat);
        let owner = app.client_of("here", "bob", &["admin"]);
        let stranger = app.client_of("elsewhere", "alice", &[role]);
        let (stored, container) = (owner.store("a payload"), container(&owner));
        let hidden = if compat == "strict" { 404 } else { 403 };
        let absent = format!("/v1/secrets/{}", SecretId::new());
        let ask = |path: &str| stranger.get(path).header("Accept", "*/*").send();
        for (part, status) in
            [("", read), ("/payload", hidden), ("/metadata", hidden), ("/acl", hidden), ("/consumers", hidden)]
        {
            let denied = ask(&format!("{stored}{part}")).expect(status);
            if compat == "strict" {
                let unknown = ask(&format!("{absent}{part}")).expect(404);
                assert_eq!(denied.text(), unknown.text(), "nothing tells one from the other");
            }
        }
        for part in ["", "/acl", "/consumers"] {
            let _ = ask(&format!("{container}{part}")).expect(hidden);
        }
        let _ = stranger.put(&stored).payload("text/plain", b"late").send().expect(hidden);
        let _ = stranger.delete(&container).send().expect(hidden);
        assert_eq!(owner.payload(&stored), b"a payload");
        let _ = stranger.delete(&stored).send().expect(delete);
        let _ = owner.get(&stored).send().expect(if delete == 204 { 404 } else { 200 });
    }
}

/// Any creator of the project may upload into another's private secret, and open it: not strictly.
pub fn only_owners_and_admins_change_what_is_private(database: Database) {
    for (compat, upload, change) in [("barbican", 204, 200), ("strict", 403, 403)] {
        let app = start(database, "legacy", compat);
        let [bob, alice] = ["bob", "alice"].map(|user| app.client_of("here", user, &["creator"]));
        let boss = app.client_of("here", "boss", &["admin"]);
        for href in [bob.create(&json!({})), container(&bob)] {
            close(&bob, &href, &[]);
            let _ = alice.get(&href).send().expect(403);
            if href.contains("secrets") {
                let _ = alice.put_payload(&href, "text/plain", b"late").expect(upload);
            }
            for (method, body) in
                [("PUT", json!({})), ("PATCH", json!({ "read": { "users": ["alice"] } })), ("DELETE", Value::Null)]
            {
                let _ = alice.request(method, &format!("{href}/acl")).json(&body).send().expect(change);
                let _ = alice.get(&href).send().expect(if change == 200 { 200 } else { 403 });
                for owner in [&bob, &boss] {
                    close(owner, &href, &[]);
                }
            }
        }
    }
}

/// Strictly, lists leave out what is private and the caller may not read.
pub fn lists_keep_what_is_private(database: Database) {
    for (generation, compat, roles) in [
        ("legacy", "barbican", ["admin", "creator", "observer"]),
        ("legacy", "strict", ["admin", "creator", "observer"]),
        ("new", "strict", ["admin", "member", "member"]),
    ] {
        let app = start(database, generation, compat);
        let [boss, alice, eye] = [("boss", roles[0]), ("alice", roles[1]), ("eye", roles[2])]
            .map(|(user, role)| app.client_of("here", user, &[role]));
        let bob = app.client_of("here", "bob", &["admin"]);
        for kind in ["secrets", "containers"] {
            let make = |client: &Client, name: &str| {
                let body = json!({ "name": name, "type": if kind == "secrets" { "opaque" } else { "generic" } });
                let answer = client.post(&format!("/v1/{kind}")).json(&body).send().expect(201);
                answer.header("Location").expect("an href").to_owned()
            };
            let _ = make(&bob, "open");
            let acl = make(&bob, "open with an ACL");
            let open = json!({ "read": { "project-access": true, "users": ["carol"] } });
            let _ = bob.put(&format!("{acl}/acl")).json(&open).send().expect(200);
            close(&bob, &make(&bob, "bob's"), &["carol"]);
            close(&bob, &make(&bob, "bob's for eye"), &["carol", "eye"]);
            close(&boss, &make(&alice, "alice's"), &[]);

            let all = ["open", "open with an ACL", "bob's", "bob's for eye", "alice's"];
            let seen = |client: &Client| (names(client, kind, ""), names(client, kind, "&name=%25").len());
            assert_eq!(seen(&boss), (all.map(str::to_owned).into(), 5));
            if compat == "barbican" {
                assert_eq!((seen(&alice), seen(&eye)), (seen(&boss), seen(&boss)));
                continue;
            }
            assert_eq!(names(&alice, kind, ""), ["open", "open with an ACL", "alice's"]);
            assert_eq!(names(&eye, kind, ""), ["open", "open with an ACL", "bob's for eye"]);
            assert_eq!(names(&alice, kind, "&name=%25s"), ["alice's"]);
            assert_eq!(names(&eye, kind, "&name=bob%25"), ["bob's for eye"]);
            let last = alice.describe(&format!("/v1/{kind}?limit=1&offset=2"));
            assert_eq!((last[kind][0]["name"].as_str(), last.get("next")), (Some("alice's"), None));
            // What is on a page can be read, what isn't can't.
            for client in [&alice, &eye] {
                let readable = names(&boss, kind, "").len() - names(client, kind, "").len();
                let hrefs = boss.describe(&format!("/v1/{kind}"))[kind].as_array().expect("a list").clone();
                let reference = format!("{}_ref", kind.trim_end_matches('s'));
                let denied = hrefs.iter().filter(|item| {
                    let href = item[&reference].as_str().expect("an href");
                    client.get(href).send().status == 403
                });
                assert_eq!(denied.count(), readable);
            }
        }
    }
}

/// The names of what a client sees in a list, which are as many as the list says.
fn names(client: &Client, kind: &str, filter: &str) -> Vec<String> {
    let page = client.describe(&format!("/v1/{kind}?limit=100{filter}"));
    let items = page[kind].as_array().expect("a list");
    assert_eq!(page["total"], json!(items.len()), "{page}");
    items.iter().map(|item| item["name"].as_str().expect("a name").to_owned()).collect()
}
