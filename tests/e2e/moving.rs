//! What docs/moving-from-barbican.md says works: its policies, its configuration, its program.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use bailey_testkit::{clients, process};
use bailey_tests::{Client, Database, TestApp, cases};
use serde_json::{Value, json};

pub const CASES: &[(&str, fn())] =
    cases![the_policies_do_what_the_overrides_did, the_configuration_is_good, a_project_is_copied];

/// The page's block in a language.
fn block(language: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/moving-from-barbican.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mark = format!("{language}\n");
    page.split("```").find_map(|block| block.strip_prefix(mark.as_str())).expect("a block").to_owned()
}

fn the_policies_do_what_the_overrides_did() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.cedar");
    std::fs::write(&file, block("cedar")).unwrap();
    let stores = "api.secret_stores = \"on\"\n";
    let app = TestApp::builder(Database::Sqlite).file(stores).set("BAILEY_POLICY__FILE", &file.display().to_string());
    let app = app.start().unwrap();
    let of = |role: &str| app.client_of("p", "u", &[role]);
    let secret = of("key-writer").store("text");
    let payload = |role: &str| of(role).get(&format!("{secret}/payload")).send().status;
    assert_eq!(["admin", "creator", "observer"].map(payload), [200, 403, 403]);
    let order = json!({ "type": "key", "meta": { "algorithm": "aes", "bit_length": 256 } });
    let order = of("creator").post("/v1/orders").json(&order).send().expect(202).string("order_ref");
    assert_eq!(app.client_of("q", "u", &["creator"]).delete(&order).send().status, 404);
    let _ = of("creator").delete(&order).send().expect(204);
    let store =
        of("admin").describe("/v1/secret-stores/global-default")["secret_store_ref"].as_str().unwrap().to_owned();
    let _ = of("admin").post(&format!("{store}/preferred")).send().expect(403);
}

fn the_configuration_is_good() {
    let app = TestApp::builder(Database::Sqlite).file(&block("toml")).prepare().unwrap();
    app.admin(&["config", "check"]).unwrap();
}

fn a_project_is_copied() {
    let [old, new] = [(); 2].map(|()| TestApp::builder(Database::Sqlite).start().unwrap());
    let there = old.client_of("p", "ann", &["admin"]);
    let binary: Vec<u8> = (0..=255).collect();
    let secrets = [there.store("a text"), there.store_bytes(&binary), there.create(&json!({ "name": "bare" }))];
    let spaced = there.create(&json!({}));
    let _ = there.put_payload(&spaced, "text/plain", b" spaced \n").expect(204);
    let _ =
        there.put(&format!("{}/metadata", secrets[0])).json(&json!({ "metadata": { "k": "v" } })).send().expect(201);
    let acl = json!({ "read": { "users": ["bob"], "project-access": false } });
    let _ = there.put(&format!("{}/acl", secrets[1])).json(&acl).send().expect(200);
    for number in 0..120 {
        let _ = there.create(&json!({ "name": format!("many {number}") }));
    }
    let order = json!({ "type": "key", "meta": { "algorithm": "aes", "bit_length": 256, "payload_content_type": "" } });
    let order = there.post("/v1/orders").json(&order).send().expect(202).string("order_ref");
    let untyped = process::until(Duration::from_secs(60), || {
        there.describe(&order)["secret_ref"].as_str().map(str::to_owned).context("no product yet")
    });
    let untyped = untyped.unwrap();
    let container = json!({ "name": "c", "type": "generic", "secret_refs": [
        { "name": "one", "secret_ref": secrets[0] }, { "name": "two", "secret_ref": secrets[1] },
    ] });
    let container = there.post("/v1/containers").json(&container).send().expect(201).string("container_ref");

    let here = new.client_of("p", "ann", &["admin"]);
    let moved = copy(&there, &here);
    assert_eq!(moved.as_object().unwrap().len(), 126);
    let now = |old: &str| moved[old].as_str().unwrap_or_else(|| panic!("{old} was not moved")).to_owned();
    assert_eq!(here.payload(&now(&secrets[0])), b"a text");
    assert_eq!(here.payload(&now(&secrets[1])), binary);
    assert_eq!(here.payload(&now(&spaced)), b" spaced \n");
    assert_eq!(here.describe(&now(&spaced))["content_types"], json!({ "default": "text/plain" }));
    assert_eq!(here.describe(&now(&secrets[2]))["name"], "bare");
    assert_eq!(here.describe(&now(&secrets[0]))["content_types"], json!({ "default": "text/plain" }));
    assert_eq!(here.describe(&format!("{}/metadata", now(&secrets[0]))), json!({ "metadata": { "k": "v" } }));
    assert_eq!(here.payload(&now(&untyped)), there.payload(&untyped));
    let read = here.describe(&format!("{}/acl", now(&secrets[1])))["read"].clone();
    assert_eq!((&read["users"], &read["project-access"]), (&json!(["bob"]), &json!(false)));
    let members = here.describe(&now(&container))["secret_refs"].clone();
    let expected = json!([
        { "name": "one", "secret_ref": now(&secrets[0]) }, { "name": "two", "secret_ref": now(&secrets[1]) },
    ]);
    assert_eq!(members, expected);
}

fn copy(there: &Client, here: &Client) -> Value {
    let headers = json!({ "X-Project-Id": "p", "X-User-Id": "ann", "X-Roles": "admin" }).to_string();
    let mut python = clients::command("python3").unwrap();
    python.env("BARBICAN", there.base()).env("BARBICAN_HEADERS", &headers);
    python.env("BAILEY", here.base()).env("BAILEY_HEADERS", &headers);
    let printed = process::run(python.args(["-c", &block("python")])).unwrap();
    serde_json::from_slice(&printed).unwrap()
}
