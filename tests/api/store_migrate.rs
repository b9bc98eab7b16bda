//! `bailey store migrate`: what clients see of it, which is nothing, and what operators do.

use bailey_tests::app::TWO_STORES;
use bailey_tests::sql::Which;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Client, Database, Store, TestApp, cases};
use serde_json::{Value, json};

pub const CASES: &[OwnCase] = cases![
    nobody_sees_where_a_payload_is,
    one_project_is_moved_alone,
    a_rehearsal_changes_nothing,
    what_makes_no_sense_is_refused,
    a_running_server_that_lacks_the_store_is_in_the_way,
];

pub const ONCE: &[(&str, fn())] = cases![payloads_move_between_software_and_others];

const ONE_STORE: &str = r#"
    [[stores]]
    name = "first"
    kind = "simple"
    default = true
"#;

fn start(database: Database) -> TestApp {
    TestApp::builder(database).file(TWO_STORES).start().unwrap_or_else(|error| panic!("{error:#}"))
}

fn migrate(app: &TestApp, more: &[&str]) -> Value {
    let arguments = [&["store", "migrate", "--from", "first", "--to", "second", "--json"], more].concat();
    serde_json::from_str(&app.admin(&arguments).unwrap_or_else(|error| panic!("{error:#}"))).expect("JSON")
}

/// The error of a command that must be refused.
fn refused(app: &TestApp, arguments: &[&str]) -> String {
    app.admin(&[&["store", "migrate"], arguments].concat()).expect_err("it must be refused").to_string()
}

/// How many payloads of a project each store has, by the store's name.
fn placed(app: &TestApp, project: &str) -> String {
    let query = format!(
        "SELECT t.name, COUNT(*) FROM secrets s JOIN stores t ON t.id = s.store_id WHERE s.project = '{project}' \
         GROUP BY t.name ORDER BY t.name"
    );
    app.sql(Which::Metadata, &query).trim().replace('\n', " ")
}

fn fill(client: &Client) -> Vec<String> {
    let label = json!({ "name": "bare" });
    let mut hrefs = vec![client.store("text"), client.store_bytes(&[0, 159, 146, 150]), client.create(&label)];
    let late = client.create(&label);
    let _ = client.put_payload(&late, "application/octet-stream", b"late").expect(204);
    hrefs.push(late);
    hrefs
}

/// All that a client can learn of a secret.
fn everything(client: &Client, href: &str) -> (Value, u16, Vec<u8>) {
    let payload = client.get(&format!("{href}/payload")).send();
    (client.describe(href), payload.status, payload.body)
}

fn nobody_sees_where_a_payload_is(database: Database) {
    let app = start(database);
    let client = app.client_of("mine", "tester", &["admin"]);
    let hrefs = fill(&client);
    let before: Vec<_> = hrefs.iter().map(|href| everything(&client, href)).collect();
    let listed = client.describe("/v1/secrets");

    let done = migrate(&app, &[]);
    let numbers = ["found", "moved", "gone", "left", "payloads_to_destroy"].map(|name| done[name].clone());
    assert_eq!(numbers, [json!(3), json!(3), json!(0), json!(0), json!(0)], "{done}");
    assert_eq!((&done["skipped"], &done["still_receives"], &done["trouble"]), (&json!([]), &json!(true), &Value::Null));
    assert_eq!(placed(&app, "mine"), "second|3");
    let after: Vec<_> = hrefs.iter().map(|href| everything(&client, href)).collect();
    assert_eq!(after, before);
    assert_eq!(client.describe("/v1/secrets"), listed);
    assert_eq!(app.sql(Which::Vault, "SELECT COUNT(*) FROM ciphertexts").trim(), "3");

    app.restart().unwrap();
    let after: Vec<_> = hrefs.iter().map(|href| everything(&client, href)).collect();
    assert_eq!(after, before);
    let again = migrate(&app, &[]);
    assert_eq!((&again["found"], &again["moved"]), (&json!(0), &json!(0)), "{again}");
    let _ = client.delete(&hrefs[0]).send().expect(204);
    let _ = client.put_payload(&hrefs[2], "text/plain", b"at last").expect(204);
    assert_eq!(placed(&app, "mine"), "first|1 second|2");

    let log = std::fs::read_to_string(app.data_dir().join("audit.log")).unwrap();
    let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let events: Vec<_> = events.filter(|event| event["action"] == "store migrate").collect();
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event["target"] == "stores/first/to/second" && event["outcome"] == "success"));
}

fn one_project_is_moved_alone(database: Database) {
    let app = start(database);
    let [mine, yours] = ["mine", "yours"].map(|project| app.client_of(project, "tester", &["admin"]));
    let (href, other) = (mine.store("mine"), yours.store("yours"));
    let done = migrate(&app, &["--project", "mine", "--rate", "1000"]);
    assert_eq!((&done["found"], &done["moved"], &done["project"]), (&json!(1), &json!(1), &json!("mine")), "{done}");
    assert_eq!((placed(&app, "mine"), placed(&app, "yours")), ("second|1".to_owned(), "first|1".to_owned()));
    assert_eq!((mine.payload(&href), yours.payload(&other)), (b"mine".to_vec(), b"yours".to_vec()));
    assert_eq!(migrate(&app, &["--project", "nobody's"])["found"], 0);
}

fn a_rehearsal_changes_nothing(database: Database) {
    let app = start(database);
    let client = app.client_of("mine", "tester", &["admin"]);
    let _ = fill(&client);
    let done = migrate(&app, &["--dry-run"]);
    assert_eq!((&done["found"], &done["moved"], &done["left"]), (&json!(3), &json!(3), &json!(3)), "{done}");
    assert_eq!(placed(&app, "mine"), "first|3");
    let table = app.admin(&["store", "migrate", "--from", "first", "--to", "second", "--dry-run"]).unwrap();
    assert!(table.starts_with("FOUND  MOVABLE  SKIPPED"), "{table}");

    // One that can't be read can't be moved, and is said to.
    app.stop().unwrap();
    let _ = app.sql(Which::Vault, "DELETE FROM ciphertexts");
    app.restart().unwrap();
    for more in [&["--dry-run"][..], &[]] {
        let arguments = [&["--from", "first", "--to", "second"], more].concat();
        assert!(refused(&app, &arguments).contains("3 payload(s) can't be moved"));
    }
    assert_eq!(placed(&app, "mine"), "first|3");
}

fn what_makes_no_sense_is_refused(database: Database) {
    let app = start(database);
    for (arguments, why) in [
        (&["--from", "first", "--to", "first"][..], "`first` is both"),
        (&["--from", "first", "--to", "third"], "there is no store `third`"),
        (&["--from", "third", "--to", "first"], "there is no store `third`"),
        (&["--from", "first"], "--to"),
        (&["--from", "first", "--to", "second", "--rate", "0"], "--rate"),
        (&["--from", "first", "--to", "second", "--project", ""], "--project"),
    ] {
        let error = refused(&app, arguments);
        assert!(error.contains(why), "{arguments:?}: {error}");
    }
    app.stop().unwrap();
    app.admin(&["restore"]).unwrap();
    let error = refused(&app, &["--from", "first", "--to", "second"]);
    assert!(error.contains("accept-restore"), "{error}");
}

fn a_running_server_that_lacks_the_store_is_in_the_way(database: Database) {
    let app = start(database);
    let client = app.client();
    let href = client.store("kept");
    app.write_file(ONE_STORE);
    app.restart().unwrap();
    app.write_file(TWO_STORES);
    let error = refused(&app, &["--from", "first", "--to", "second"]);
    assert!(error.contains("1 running worker(s) don't have the store `second`"), "{error}");
    assert_eq!(migrate(&app, &["--dry-run"])["moved"], 1);
    assert_eq!(client.payload(&href), b"kept");
    app.restart().unwrap();
    assert_eq!(migrate(&app, &[])["moved"], 1);
    assert_eq!(client.payload(&href), b"kept");
}

fn payloads_move_between_software_and_others() {
    for store in Store::OTHERS {
        let software = "[[stores]]\nname = \"software\"\nkind = \"simple\"\n";
        let app = TestApp::builder(Database::Sqlite).store(store).store_settings(software).start().unwrap();
        let client = app.client_of("mine", "tester", &["admin"]);
        let hrefs = fill(&client);
        let before: Vec<_> = hrefs.iter().map(|href| everything(&client, href)).collect();
        for (from, to) in [(app.store_name(), "software"), ("software", app.store_name())] {
            let printed = app.admin(&["store", "migrate", "--from", from, "--to", to, "--json"]).unwrap();
            let done: Value = serde_json::from_str(&printed).unwrap();
            assert_eq!(
                (&done["moved"], &done["left"], &done["payloads_to_destroy"]),
                (&json!(3), &json!(0), &json!(0))
            );
            assert_eq!(placed(&app, "mine"), format!("{to}|3"));
            let after: Vec<_> = hrefs.iter().map(|href| everything(&client, href)).collect();
            assert_eq!(after, before, "{store}, in {to}");
        }
        // A KMIP server keeps them itself.
        let kept = if store == Store::Kmip { "0" } else { "3" };
        assert_eq!(app.sql(Which::Vault, "SELECT COUNT(*) FROM ciphertexts").trim(), kept);
    }
}
