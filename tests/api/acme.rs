//! A CA that speaks ACME, kept to the names that are its own.

use bailey_testkit::pebble::{Gate, Pebble, Settings};
use bailey_tests::cas::acme_block;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Database, TestApp, cases};
use serde_json::json;

pub const CASES: &[OwnCase] = cases![a_name_outside_the_patterns_never_reaches_the_ca];

const PATTERNS: &str = r#"
challenges = ["http-01"]
[[cas.profiles]]
name = "server"
dns = ["shop.example.test", "*.shop.example.test"]
"#;

fn a_name_outside_the_patterns_never_reaches_the_ca(database: Database) {
    let builder = TestApp::builder(database).file("# written below\n");
    let app = builder.set("BAILEY_ORDERS__LONGEST_WAIT_SECONDS", "1").prepare().unwrap();
    let settings = Settings { http_port: Some(app.address().port()), ..Settings::default() };
    let pebble = Pebble::start(settings).unwrap();
    let gate = Gate::before(&pebble).unwrap();
    app.write_file(&acme_block("shop", &gate.directory(), &pebble.ca_file(), PATTERNS));
    app.restart().unwrap();
    let client = app.client();
    let ordered = |names: &[&str]| {
        let href = client.order("certificate", &json!({ "subject_alt_names": names }));
        client.ended(&href).unwrap()
    };

    let within = "www.shop.example.test";
    for name in ["www.example.test", "shop.example.test.example.org", "a.b.shop.example.test", "*.example.test"] {
        for names in [&[name][..], &[within, name]] {
            let order = ordered(names);
            assert_eq!((&order["status"], &order["error_status_code"]), (&json!("ERROR"), &json!("400")), "{order}");
            let reason = format!("The certificate authority refused: The profile doesn't grant {name}");
            assert_eq!(order["error_reason"], reason, "{order}");
        }
    }
    let order = ordered(&[within, "IP:192.0.2.1", "elsewhere.example.test"]);
    let reason = order["error_reason"].as_str().unwrap();
    assert!(reason.contains("192.0.2.1") && reason.contains("elsewhere.example.test"), "{order}");
    assert!(!reason.contains(within), "{order}");
    // Whether it works is asked all the time.
    assert_eq!(gate.seen("/") - gate.seen("/dir"), 0, "the CA was asked for something");

    let order = ordered(&[within, "shop.example.test"]);
    assert_eq!(order["status"], "ACTIVE", "{order}");
    assert_eq!((pebble.orders(), pebble.issued()), (1, 1));
}
