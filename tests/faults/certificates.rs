//! Certificates by Bailey's own CA and by EJBCA: processes are killed at any time, and there is one for each order.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::ensure;
use bailey_testkit::ejbca::{EjbcaStandIn, Fault, Operation};
use bailey_testkit::process;
use bailey_tests::cas::{LOCAL, PATIENCE, ejbca_block};
use bailey_tests::suite::OwnCase;
use bailey_tests::{Client, Database, TestApp, cases, scale};
use serde_json::{Value, json};
use tokio::runtime::Builder;

use crate::acme::order;
use crate::kill::assert_settled;
use crate::orders::all;

pub const CASES: &[OwnCase] = cases![
    killed_at_any_time_the_local_ca_gives_one_certificate,
    killed_at_any_time_what_was_revoked_stays_so,
    killed_at_each_request_ejbca_gives_one_certificate,
];

/// How long after its orders a process is killed, in milliseconds: an order takes some of this.
const PAUSES: [u64; 8] = [0, 5, 12, 20, 35, 50, 80, 120];
const AT_ONCE: usize = 3;

fn start(database: Database, file: &str) -> TestApp {
    let builder = TestApp::builder(database).file(file);
    let builder = builder.set("BAILEY_ORDERS__LEASE_SECONDS", "2").set("BAILEY_ORDERS__LONGEST_WAIT_SECONDS", "1");
    builder.start().unwrap()
}

fn start_local(database: Database) -> TestApp {
    let app = start(database, LOCAL);
    app.admin(&["ca", "init", "servers"]).unwrap();
    app
}

fn openssl(arguments: &[&str], input: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), input).unwrap();
    let mut command = process::command("openssl");
    String::from_utf8(process::run(command.args(arguments).arg("-in").arg(file.path())).unwrap()).unwrap()
}

/// The serial number of an order's certificate, which is for the order's key.
fn serial(client: &Client, order: &Value) -> String {
    assert_eq!(order["status"], "ACTIVE", "{order}");
    let container = client.describe(order["container_ref"].as_str().unwrap());
    let [certificate, key] = ["certificate", "private_key"].map(|name| client.part(&container, name).unwrap());
    let certified = openssl(&["x509", "-noout", "-pubkey"], &certificate);
    assert_eq!(certified, openssl(&["pkey", "-pubout"], &key), "the key isn't the certificate's");
    let serial = openssl(&["x509", "-noout", "-serial"], &certificate);
    serial.trim().strip_prefix("serial=").unwrap().to_owned()
}

/// Each order has a container, and there is no secret beside those in them.
fn assert_products(client: &Client, count: usize) {
    let containers = all(client, "containers").unwrap();
    let held: usize = containers.iter().map(|container| container["secret_refs"].as_array().unwrap().len()).sum();
    assert_eq!((containers.len(), all(client, "secrets").unwrap().len()), (count, held));
}

fn killed_at_any_time_the_local_ca_gives_one_certificate(database: Database) {
    let app = start_local(database);
    let (client, mut serials, mut count) = (app.client(), BTreeSet::new(), 0);
    for round in 0..scale() {
        for pause in PAUSES {
            let name = |number: usize| format!("kill-{round}-{pause}-{number}.example.test");
            let hrefs: Vec<_> = (0..AT_ONCE).map(|number| order(&client, &name(number))).collect();
            std::thread::sleep(Duration::from_millis(pause));
            app.kill();
            app.launch().unwrap();
            for href in hrefs {
                serials.insert(serial(&client, &client.ended(&href).unwrap()));
                count += 1;
            }
        }
    }
    assert_eq!(serials.len(), count, "serial numbers");
    assert_products(&client, count);
    assert_settled(&app);
}

fn killed_at_any_time_what_was_revoked_stays_so(database: Database) {
    let app = start_local(database);
    let client = app.client();
    let revoked: BTreeSet<String> = std::thread::scope(|threads| {
        let hrefs: Vec<_> = (0..24).map(|number| order(&client, &format!("revoke-{number}.example.test"))).collect();
        let ended: Vec<_> = hrefs.iter().map(|href| client.ended(href).unwrap()).collect();
        let serials = ended.iter().map(|order| serial(&client, order)).collect();
        let client = &client;
        let revoking = threads.spawn(move || {
            for href in &hrefs {
                let revoke = client.post(&format!("{href}/revoke")).json(&json!({ "reason": "keyCompromise" }));
                process::until(PATIENCE, || {
                    let answer = revoke.try_send()?;
                    ensure!(answer.status == 204, "{answer}");
                    Ok(())
                })
                .unwrap();
            }
        });
        while !revoking.is_finished() {
            std::thread::sleep(Duration::from_millis(60));
            app.kill();
            app.launch().unwrap();
        }
        serials
    });
    let cas = client.describe("/v1/cas");
    let ca = cas["cas"][0].as_str().unwrap().rsplit('/').next().unwrap();
    let list = app.anonymous().get(&format!("/crl/{ca}/1")).send().expect(200);
    let told = openssl(&["crl", "-inform", "DER", "-noout", "-text"], &list.body);
    let serials = told.lines().filter_map(|line| line.trim().strip_prefix("Serial Number: "));
    assert_eq!(serials.map(str::to_owned).collect::<BTreeSet<_>>(), revoked);
    assert_eq!(told.matches("Key Compromise").count(), revoked.len(), "{told}");
}

fn killed_at_each_request_ejbca_gives_one_certificate(database: Database) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let ejbca = runtime.block_on(EjbcaStandIn::start()).unwrap();
    let app = start(database, &ejbca_block("ejbca", &ejbca, "settle_seconds = 4.0"));
    let client = app.client();
    let steps = [Operation::Search, Operation::Enrol];
    for (number, step) in steps.into_iter().enumerate() {
        let (seen, issued) = (ejbca.asked(step), ejbca.issued());
        // It arrives there, and is done when whoever asked is dead.
        ejbca.fail(step, Fault::Late(Duration::from_secs(2)));
        let href = order(&client, &format!("kill-{number}.example.test"));
        process::until(PATIENCE, || {
            ensure!(ejbca.asked(step) > seen, "{step:?} is not asked: {}", client.get(&href).try_send()?);
            Ok(())
        })
        .unwrap();
        app.kill();
        app.launch().unwrap();
        let _ = serial(&client, &client.ended(&href).unwrap());
        assert_eq!(ejbca.issued() - issued, 1, "killed at {step:?}: certificates");
    }
    assert_products(&client, steps.len());
    assert_settled(&app);
}
