//! `bailey store`, what the configuration decides of projects, and stores that are taken out of it.

use std::fs;

use bailey_tests::app::TWO_STORES;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Database, TestApp, cases};
use serde_json::{Value, json};

use crate::secret_stores::{ONE_STORE, href, recorded, start, store};

pub const CASES: &[OwnCase] = cases![
    stores_are_listed_and_shown,
    operators_say_which_store_a_project_prefers,
    the_configuration_goes_before_a_preference,
    a_store_that_is_needed_can_not_be_taken_away,
    each_store_is_asked_whether_it_works,
];

fn parsed(app: &TestApp, arguments: &[&str]) -> Value {
    serde_json::from_str(&app.admin(&[arguments, &["--json"]].concat()).unwrap()).unwrap()
}

/// Why the command fails.
fn refused(app: &TestApp, arguments: &[&str]) -> String {
    app.admin(arguments).expect_err("it must be refused").to_string()
}

/// What the server says that can't start with this configuration.
fn refusal(app: &TestApp, file: &str) -> String {
    app.stop().unwrap();
    app.write_file(file);
    let refusal = app.restart().map(|()| app.log()).unwrap_or_else(|error| format!("{error:#}"));
    app.stop().unwrap();
    refusal
}

fn stores_are_listed_and_shown(database: Database) {
    let app = start(database, ONE_STORE);
    let client = app.client_of("p", "u", &["admin"]);
    let _ = client.store("here");
    app.write_file(&format!("{TWO_STORES}\n[projects.assigned]\nstore = \"second\""));
    let of_second = |key: &str| parsed(&app, &["store", "show", "second"])[key].clone();
    assert_eq!((of_second("state"), of_second("id")), (json!("never started"), json!(null)));
    assert!(refused(&app, &["store", "prefer", "--project", "p", "second"]).contains("never started"));

    app.restart().unwrap();
    app.admin(&["store", "prefer", "--project", "p", "second"]).unwrap();
    let _ = client.store("there");
    let _ = client.store("there, too");
    let listed = parsed(&app, &["store", "list"]);
    let told = listed.as_array().unwrap().iter().map(|store| {
        [&store["name"], &store["kind"], &store["default"], &store["state"], &store["secrets"], &store["projects"]]
    });
    assert_eq!(
        json!(told.collect::<Vec<_>>()),
        json!([
            ["first", "simple", true, "configured", 1, []],
            ["second", "simple", false, "configured", 2, ["assigned", "p"]],
        ])
    );
    assert!(href(&store(&client, "second")).ends_with(of_second("id").as_str().unwrap()));
    let table = app.admin(&["store", "list"]).unwrap();
    assert!(
        table.lines().nth(2).unwrap().split_whitespace().eq([
            "second",
            of_second("id").as_str().unwrap(),
            "simple",
            "no",
            "configured",
            "2",
            "2",
        ]),
        "{table}"
    );
    assert!(refused(&app, &["store", "show", "third"]).contains("there is no store `third`"));
}

fn operators_say_which_store_a_project_prefers(database: Database) {
    let app = start(database, TWO_STORES);
    let client = app.client_of("p", "u", &["admin"]);
    let prefer = ["store", "prefer", "--project", "p"];
    app.admin(&[&prefer[..], &["second"]].concat()).unwrap();
    assert_eq!(client.describe("/v1/secret-stores/preferred")["name"], "second");
    assert_eq!(recorded(&app, &client.store("there")), "second");
    app.admin(&[&prefer[..], &["--none"]].concat()).unwrap();
    assert_eq!(recorded(&app, &client.store("here")), "first");
    for (more, why) in [
        (&["--none"][..], "project p prefers no store"),
        (&["third"], "there is no store `third`"),
        (&["first", "--none"], "cannot be used with"),
        (&[], "required"),
    ] {
        let refused = refused(&app, &[&prefer[..], more].concat());
        assert!(refused.contains(why), "{refused}");
    }
    let audit = fs::read_to_string(app.data_dir().join("audit.log")).unwrap();
    for action in ["\"store prefer\"", "\"store prefer --none\""] {
        assert!(audit.contains(action), "{action}");
    }
}

fn the_configuration_goes_before_a_preference(database: Database) {
    let app = start(database, TWO_STORES);
    let client = app.client_of("p", "u", &["admin"]);
    let [first, second] = ["first", "second"].map(|name| format!("{}/preferred", href(&store(&client, name))));
    let _ = client.post(&first).send().expect(204);
    app.write_file(&format!("{TWO_STORES}\n[projects.p]\nstore = \"second\""));
    app.restart().unwrap();

    assert_eq!(client.describe("/v1/secret-stores/preferred")["name"], "second");
    assert_eq!(recorded(&app, &client.store("there")), "second");
    let two_step = client.create(&json!({}));
    let _ = client.put_payload(&two_step, "text/plain", b"two-step").expect(204);
    assert_eq!(recorded(&app, &two_step), "second");
    for request in [client.post(&first), client.post(&second), client.delete(&first)] {
        let refused = request.send().expect(409);
        assert!(refused.string("description").contains("'second', is set in the configuration"), "{refused}");
    }
    let _ = client.with_roles("creator").post(&first).send().expect(403);
    assert!(refused(&app, &["store", "prefer", "--project", "p", "first"]).contains("go to `second`: change it there"));
    let other = app.client_of("q", "u", &["admin"]);
    assert_eq!(recorded(&app, &other.store("elsewhere")), "first");
    let _ = other.post(&second).send().expect(204);

    let misspelt = refusal(&app, &format!("{TWO_STORES}\n[projects.p]\nstore = \"secnod\""));
    assert!(misspelt.contains("projects.p.store: there is no store `secnod`, did you mean `second`?"), "{misspelt}");
    app.write_file(TWO_STORES);
    app.restart().unwrap();
    assert_eq!(recorded(&app, &client.store("back")), "first", "what it preferred before counts again");
}

fn a_store_that_is_needed_can_not_be_taken_away(database: Database) {
    let app = start(database, TWO_STORES);
    let client = app.client_of("p", "u", &["admin"]);
    let prefer = |name: &[&str]| app.admin(&[&["store", "prefer", "--project", "p"], name].concat()).unwrap();
    prefer(&["second"]);
    let secrets = [client.store("one"), client.store("two")];
    prefer(&["--none"]);
    let refusal = refusal(&app, ONE_STORE);
    let id = parsed(&app, &["store", "show", "second"])["id"].as_str().unwrap().to_owned();
    assert!(refusal.contains("the store `second` is not configured any more, but 2 secret(s) have"), "{refusal}");
    assert!(refusal.contains(&id), "{refusal}");
    assert_eq!(parsed(&app, &["store", "show", "second"])["state"], "not configured");
    assert!(refused(&app, &["store", "audit"]).contains("not configured any more"));

    app.write_file(TWO_STORES);
    app.restart().unwrap();
    secrets.iter().for_each(|secret| drop(client.delete(secret).send().expect(204)));
    app.stop().unwrap();
    app.write_file(ONE_STORE);
    app.restart().unwrap();
    assert_eq!(recorded(&app, &client.store("here")), "first");
}

/// The second store's key file is taken away, and given back.
fn each_store_is_asked_whether_it_works(database: Database) {
    let app = start(database, TWO_STORES);
    let check = |more: &[&str]| {
        let output = app.command(&[&["store", "check", "--json"], more].concat()).output().unwrap();
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let works = found.as_array().unwrap().iter().map(|store| (store["name"].clone(), store["works"].clone()));
        (output.status.success(), json!(works.collect::<Vec<_>>()), found)
    };
    assert_eq!(check(&[]).1, json!([["first", true], ["second", true]]));
    let (file, aside) = ["mkek-second.key", "aside"].map(|name| app.data_dir().join("keys").join(name)).into();
    fs::rename(&file, &aside).unwrap();
    let (success, works, found) = check(&[]);
    assert_eq!((success, works), (false, json!([["first", true], ["second", false]])));
    assert!(found[1]["trouble"].as_str().unwrap().contains("mkek-second.key is missing"), "{found}");
    assert!(check(&["first"]).0 && !check(&["second"]).0);
    assert!(!file.exists(), "a check makes nothing");
    fs::rename(&aside, &file).unwrap();
    assert!(check(&[]).0);
    let table = app.admin(&["store", "check", "second"]).unwrap();
    assert!(table.lines().nth(1).unwrap().split_whitespace().eq(["second", "simple", "works"]), "{table}");
    assert!(refused(&app, &["store", "check", "third"]).contains("there is no store `third`"));
}
