//! `bailey hsm`: the key ceremony, by the commands alone, and what it leaves when it is cut short.

use std::time::Duration;

use bailey_testkit::kryoptic::{Kryoptic, PIN, SO_PIN};
use bailey_testkit::process;
use bailey_testkit::softhsm::SoftHsm;
use bailey_tests::hsm::{LABELS, builder, destroy, store};
use bailey_tests::sql::Which;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Database, TestApp, cases};
use serde_json::{Value, json};

use crate::secret_stores::recorded;

pub const CASES: &[OwnCase] = cases![
    keys_are_made_used_changed_and_given_up,
    keys_of_others_are_not_taken_on,
    a_ceremony_that_was_cut_short_goes_on,
    a_server_waits_for_its_first_key,
    a_version_is_used_once_every_worker_sees_it,
    the_ceremony_is_the_same_on_kryoptic,
];

/// Workers look into their token every five seconds and report every ten.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why the command fails.
fn refused(app: &TestApp, arguments: &[&str]) -> String {
    app.admin(arguments).expect_err("it must be refused").to_string()
}

fn list(app: &TestApp, name: &str) -> Vec<Value> {
    let listed = app.admin(&["hsm", "--store", name, "list", "--json"]).unwrap();
    serde_json::from_str(&listed).unwrap()
}

/// Each version's state, KEKs and number of keys in the token.
fn told(app: &TestApp, name: &str) -> Value {
    let told = |version: &Value| {
        let keys = version["keys"].as_array().unwrap();
        assert!(keys.iter().all(|key| key["complaints"] == json!([]) && key["extractable"] == false), "{version}");
        json!([version["state"], version["objects"], keys.len()])
    };
    list(app, name).iter().map(told).collect()
}

fn generate(app: &TestApp, name: &str) -> String {
    app.admin(&["hsm", "--store", name, "generate"]).unwrap().trim().to_owned()
}

fn keys_are_made_used_changed_and_given_up(database: Database) {
    let softhsm = SoftHsm::start().unwrap();
    let [hsm, second] = [("hsm", "bailey", "default = true"), ("second", "second", "")]
        .map(|(name, label, more)| store(&softhsm, name, label, more));
    let app = builder(database, &softhsm, &format!("{hsm}{second}")).prepare().unwrap();
    let second = |more: &[&'static str]| [&["hsm", "--store", "second"], more].concat();

    assert!(refused(&app, &second(&["check"])).contains("no token labelled `second`"));
    assert!(refused(&app, &second(&["init", "--so-pin", "1234"])).contains("file:PATH or env:NAME"));
    app.admin(&second(&["init", "--so-pin", "env:HSM_SO_PIN"])).unwrap();
    assert!(
        refused(&app, &second(&["init", "--so-pin", "env:HSM_SO_PIN"])).contains("a token labelled `second` already")
    );
    let unfinished = app.command(&second(&["check"])).output().unwrap();
    let findings = String::from_utf8(unfinished.stdout).unwrap();
    assert!(!unfinished.status.success() && findings.contains("wrong: the token has no keys"), "{findings}");

    app.admin(&["db", "migrate"]).unwrap();
    assert!(refused(&app, &["hsm", "rotate"]).contains("`bailey hsm generate` makes the first one"));
    let (first, _) = (generate(&app, "hsm"), generate(&app, "second"));
    assert!(refused(&app, &["hsm", "generate"]).contains(&format!("has an MKEK already, {first}")));
    app.restart().unwrap();
    let client = app.client_of("p", "u", &["admin"]);
    let kept = client.store("kept");
    app.admin(&["store", "prefer", "--project", "p", "second"]).unwrap();
    let elsewhere = client.store("elsewhere");
    app.admin(&["store", "prefer", "--project", "p", "--none"]).unwrap();
    assert_eq!([recorded(&app, &kept), recorded(&app, &elsewhere)], ["hsm", "second"]);
    for name in ["hsm", "second"] {
        assert_eq!(told(&app, name), json!([["active", 1, 2]]));
        app.admin(&["hsm", "--store", name, "check"]).unwrap();
    }
    app.admin(&["store", "check"]).unwrap();
    assert!(refused(&app, &["mkek", "list"]).contains("bailey hsm --store hsm list"));

    let next = app.admin(&["hsm", "rotate"]).unwrap().trim().to_owned();
    process::until(PATIENCE, || {
        let told = told(&app, "hsm");
        anyhow::ensure!(told == json!([["decrypt-only", 0, 2], ["active", 1, 2]]), "{told}");
        Ok(())
    })
    .unwrap();
    assert!(refused(&app, &["hsm", "retire", &next]).contains("active"));
    app.admin(&["hsm", "rewrap"]).unwrap();
    app.admin(&["hsm", "retire", &first]).unwrap();
    destroy(&softhsm, "bailey", &first, &LABELS);
    assert_eq!(told(&app, "hsm"), json!([["retired", 0, 0], ["active", 1, 2]]));
    app.restart().unwrap();
    for (secret, payload) in [(&kept, "kept"), (&elsewhere, "elsewhere"), (&client.store("new"), "new")] {
        assert_eq!(client.payload(secret), payload.as_bytes());
    }
    let audit = std::fs::read_to_string(app.data_dir().join("audit.log")).unwrap();
    for action in ["hsm init", "hsm generate", "hsm rotate", "hsm rewrap", "hsm retire"] {
        assert!(audit.contains(&format!("\"{action}\"")), "{action}");
    }
    assert!(![audit, app.log()].concat().contains(softhsm.pin()), "a PIN was written down");
}

fn keys_of_others_are_not_taken_on(database: Database) {
    let softhsm = SoftHsm::start().unwrap();
    let first = store(&softhsm, "first", "bailey", "default = true");
    let app =
        builder(database, &softhsm, &format!("{first}{}", store(&softhsm, "second", "bailey", ""))).prepare().unwrap();
    app.admin(&["db", "migrate"]).unwrap();
    let id = generate(&app, "first");
    let foreign = refused(&app, &["hsm", "--store", "second", "generate"]);
    assert!(foreign.contains("which this vault knows nothing of") && foreign.contains(&id), "{foreign}");
    assert_eq!(list(&app, "second")[0]["state"], "not registered");

    let labels = "mkek_label = \"second-mkek\"\nhmac_label = \"second-hmac\"";
    app.write_file(&format!("{first}{}", store(&softhsm, "second", "bailey", labels)));
    generate(&app, "second");
    app.restart().unwrap();
    let client = app.client_of("p", "u", &["admin"]);
    let one = client.store("one");
    app.admin(&["store", "prefer", "--project", "p", "second"]).unwrap();
    let other = client.store("other");
    assert_eq!([recorded(&app, &one), recorded(&app, &other)], ["first", "second"]);
    assert_eq!([client.payload(&one), client.payload(&other)], [b"one".to_vec(), b"other".to_vec()]);
    for name in ["first", "second"] {
        assert_eq!(told(&app, name), json!([["active", 1, 2]]));
    }
}

/// What is left when it dies: after the vault was told of the version; with one of its keys made; with both.
fn a_ceremony_that_was_cut_short_goes_on(database: Database) {
    let softhsm = SoftHsm::start().unwrap();
    let app = builder(database, &softhsm, &store(&softhsm, "hsm", "bailey", "default = true")).prepare().unwrap();
    app.admin(&["db", "migrate"]).unwrap();
    let id = generate(&app, "hsm");
    let blank = if database == Database::Sqlite { "x''" } else { "''" };
    let set_back = || {
        let statement =
            format!("UPDATE master_keys SET state = 'added', check_value = {blank} WHERE id = {}", app.uuid(&id));
        let _ = app.sql(Which::Vault, &statement);
        assert_eq!(list(&app, "hsm")[0]["state"], "begun");
    };
    for lost in [&LABELS[..], &LABELS[..1], &LABELS[1..], &[]] {
        set_back();
        destroy(&softhsm, "bailey", &id, lost);
        assert!(lost.is_empty() || !app.command(&["hsm", "check"]).output().unwrap().status.success());
        assert_eq!(generate(&app, "hsm"), id, "it makes another one");
        assert_eq!(told(&app, "hsm"), json!([["active", 0, 2]]));
        app.admin(&["hsm", "check"]).unwrap();
    }

    let next = app.admin(&["hsm", "rotate"]).unwrap().trim().to_owned();
    let statement = "UPDATE master_keys SET state = 'decrypt-only' WHERE state = 'active'";
    let _ = app.sql(Which::Vault, statement);
    let _ = app.sql(Which::Vault, &format!("UPDATE master_keys SET state = 'active' WHERE id = {}", app.uuid(&id)));
    let begun = format!("UPDATE master_keys SET state = 'added', check_value = {blank} WHERE id = {}", app.uuid(&next));
    let _ = app.sql(Which::Vault, &begun);
    destroy(&softhsm, "bailey", &next, &LABELS[..1]);
    app.admin(&["hsm", "check"]).expect("half a version does no harm to the others");
    assert_eq!(app.admin(&["hsm", "rotate"]).unwrap().trim(), next);
    assert_eq!(told(&app, "hsm"), json!([["decrypt-only", 0, 2], ["active", 0, 2]]));
}

fn a_server_waits_for_its_first_key(database: Database) {
    let softhsm = SoftHsm::start().unwrap();
    let app = builder(database, &softhsm, &store(&softhsm, "hsm", "bailey", "default = true")).prepare().unwrap();
    app.launch().unwrap();
    let client = app.client_of("p", "u", &["admin"]);
    let body = json!({ "payload": "late", "payload_content_type": "text/plain" });
    let early = client.post("/v1/secrets").json(&body).send().expect(503);
    assert!(early.header("Retry-After").is_some(), "{early}");
    let stores = app.command(&["store", "check"]).output().unwrap();
    let diagnosis = String::from_utf8(stores.stdout).unwrap();
    assert!(!stores.status.success() && diagnosis.contains("bailey hsm generate"), "{diagnosis}");
    generate(&app, "hsm");
    process::until(PATIENCE, || {
        let answer = client.post("/v1/secrets").json(&body).send();
        anyhow::ensure!(answer.status == 201, "{answer}");
        Ok(())
    })
    .unwrap();
}

/// The other worker is one of whom nothing is there but its report: it lives, and sees no key.
fn a_version_is_used_once_every_worker_sees_it(database: Database) {
    let softhsm = SoftHsm::start().unwrap();
    let app = builder(database, &softhsm, &store(&softhsm, "hsm", "bailey", "default = true")).prepare().unwrap();
    app.admin(&["db", "migrate"]).unwrap();
    let first = generate(&app, "hsm");
    app.restart().unwrap();
    let (nobody, other) = (app.uuid(NIL), app.uuid(OTHER_WORKER));
    let insert = format!(
        "INSERT INTO worker_reports (worker_id, key_id, reported_at) SELECT {other}, {nobody}, max(reported_at) \
         FROM worker_reports"
    );
    let _ = app.sql(Which::Vault, &insert);
    let waiting = refused(&app, &["hsm", "rotate", "--wait", "1s"]);
    assert!(waiting.contains("running worker(s) don't see"), "{waiting}");
    let told = list(&app, "hsm");
    let begun = told[1]["id"].as_str().unwrap().to_owned();
    assert_eq!([&told[0]["id"], &told[0]["state"], &told[1]["state"]], [first.as_str(), "active", "added"]);

    let _ = app.sql(Which::Vault, &format!("DELETE FROM worker_reports WHERE worker_id = {other}"));
    assert_eq!(app.admin(&["hsm", "rotate"]).unwrap().trim(), begun, "it goes on with the same version");
    assert_eq!(list(&app, "hsm")[1]["state"], "active");
}

fn the_ceremony_is_the_same_on_kryoptic(database: Database) {
    let kryoptic = Kryoptic::start().unwrap();
    let block = format!(
        "[[stores]]\nname = \"hsm\"\nkind = \"pkcs11\"\ndefault = true\nmodule = \"{}\"\ntoken_label = \"made\"\n\
         pin = \"env:HSM_PIN\"",
        kryoptic.module().display()
    );
    kryoptic.add_slot().unwrap();
    let mut app = TestApp::builder(database).file(&block).set("HSM_PIN", PIN).set("HSM_SO_PIN", SO_PIN);
    for (name, value) in kryoptic.environment() {
        app = app.set(name, value.to_str().unwrap());
    }
    let app = app.prepare().unwrap();
    app.admin(&["hsm", "init", "--so-pin", "env:HSM_SO_PIN"]).unwrap();
    app.admin(&["db", "migrate"]).unwrap();
    let first = generate(&app, "hsm");
    app.admin(&["hsm", "check"]).unwrap();
    app.restart().unwrap();
    let client = app.client_of("p", "u", &["admin"]);
    let kept = client.store("kept");
    app.admin(&["hsm", "rotate"]).unwrap();
    app.admin(&["hsm", "rewrap"]).unwrap();
    assert_eq!(told(&app, "hsm"), json!([["decrypt-only", 0, 2], ["active", 1, 2]]));
    app.admin(&["hsm", "retire", &first]).unwrap();
    app.restart().unwrap();
    assert_eq!(client.payload(&kept), b"kept");
    app.admin(&["store", "check"]).unwrap();
}

const NIL: &str = "00000000-0000-0000-0000-000000000000";
const OTHER_WORKER: &str = "00000000-0000-4000-8000-000000000001";
