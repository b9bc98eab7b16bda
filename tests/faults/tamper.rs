//! A writer to the databases: whatever is changed there, a read fails as corrupt, is logged and
//! returns no bytes.

use bailey_tests::sql::Which;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Answer, Client, Database, TestApp, cases};
use serde_json::json;

pub const CASES: &[OwnCase] = cases![
    a_swapped_reference_is_refused,
    a_swapped_ciphertext_is_refused,
    a_flipped_bit_is_refused,
    a_lost_ciphertext_is_told,
];

const PAYLOADS: [&str; 2] = ["first canary payload", "other canary payload"];

/// Two secrets of two projects, each with its client.
fn two_secrets(app: &TestApp) -> [(Client, String); 2] {
    PAYLOADS.map(|payload| {
        let client = app.client();
        let body = json!({ "payload": payload, "payload_content_type": "text/plain" });
        let answer = client.post("/v1/secrets").json(&body).send();
        assert_eq!(answer.status, 201, "{answer}");
        let href = answer.json()["secret_ref"].as_str().expect("a secret_ref").to_owned();
        (client, href)
    })
}

fn read((client, href): &(Client, String)) -> Answer {
    client.get(&format!("{href}/payload")).header("Accept", "text/plain").send()
}

fn id(app: &TestApp, (_, href): &(Client, String)) -> String {
    app.uuid(href.rsplit('/').next().unwrap_or_default())
}

/// Without a cache in the way, every secret fails, and neither answer nor log has a payload.
fn assert_corrupt(app: &TestApp, secrets: &[(Client, String)]) {
    for secret in secrets {
        let answer = read(secret);
        assert_eq!(answer.status, 500, "{answer}");
        let request = answer.header("x-openstack-request-id").expect("a request id").to_owned();
        for payload in PAYLOADS {
            assert!(!answer.text().contains(payload), "{answer}");
        }
        let log = app.log();
        let line = log.lines().find(|line| line.contains(&request) && line.contains("Corrupt"));
        assert!(line.is_some(), "no line of {request} says Corrupt: {log}");
        assert!(!PAYLOADS.iter().any(|payload| log.contains(payload)));
    }
}

fn start(database: Database) -> TestApp {
    TestApp::builder(database).set("BAILEY_CACHE__CIPHERTEXT_BYTES", "0").start().unwrap()
}

fn a_swapped_reference_is_refused(database: Database) {
    let app = start(database);
    let secrets = two_secrets(&app);
    let [one, other] = [id(&app, &secrets[0]), id(&app, &secrets[1])];
    let reference_only =
        format!("UPDATE secrets SET reference = (SELECT reference FROM secrets WHERE id = {other}) WHERE id = {one}");
    let _ = app.sql(Which::Metadata, &reference_only);
    assert_corrupt(&app, &secrets[..1]);
    let with_its_write = format!(
        "CREATE TEMPORARY TABLE held AS SELECT * FROM secrets WHERE id = {other};
         UPDATE secrets SET write_id = NULL, reference = NULL WHERE id = {other};
         UPDATE secrets SET write_id = (SELECT write_id FROM held), reference = (SELECT reference FROM held),
             reference_key = (SELECT reference_key FROM held) WHERE id = {one}"
    );
    let _ = app.sql(Which::Metadata, &with_its_write);
    assert_corrupt(&app, &secrets[..1]);
}

fn a_swapped_ciphertext_is_refused(database: Database) {
    let app = start(database);
    let secrets = two_secrets(&app);
    let swap = "CREATE TEMPORARY TABLE held AS SELECT write_id, bytes FROM ciphertexts;
                UPDATE ciphertexts SET bytes = (SELECT bytes FROM held WHERE held.write_id <> ciphertexts.write_id)";
    let _ = app.sql(Which::Vault, swap);
    assert_corrupt(&app, &secrets);
}

fn a_flipped_bit_is_refused(database: Database) {
    let app = start(database);
    let secrets = two_secrets(&app);
    let flip = match database {
        Database::Postgres | Database::Split => {
            "UPDATE ciphertexts SET bytes = set_bit(bytes, 8 * length(bytes) - 1, 1 - get_bit(bytes, 8 * length(bytes) - 1))"
        }
        // SQLite can't flip a bit of a blob: the last byte becomes another one.
        Database::Sqlite => {
            "UPDATE ciphertexts SET bytes = CAST(substr(bytes, 1, length(bytes) - 1)
                 || CASE WHEN substr(bytes, -1) = x'00' THEN x'01' ELSE x'00' END AS BLOB)"
        }
    };
    let _ = app.sql(Which::Vault, flip);
    assert_corrupt(&app, &secrets);
}

fn a_lost_ciphertext_is_told(database: Database) {
    let app = start(database);
    let secrets = two_secrets(&app);
    let _ = app.sql(Which::Vault, "DELETE FROM ciphertexts");
    assert_corrupt(&app, &secrets);
    let audit = app.command(&["store", "audit", "--json"]).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&audit.stdout).unwrap();
    assert_eq!(report[0]["unreadable"].as_array().map(Vec::len), Some(2), "{report}");
}
