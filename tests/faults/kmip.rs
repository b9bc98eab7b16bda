//! Software, a token and a KMIP server side by side, each with a project of its own: what happens to one back-end is no
//! business of the others.

use std::time::{Duration, Instant};

use anyhow::ensure;
use bailey_testkit::process;
use bailey_testkit::pykmip::PyKmip;
use bailey_testkit::softhsm::SoftHsm;
use bailey_tests::app::kmip_block;
use bailey_tests::sql::Which;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Client, Database, TestApp, cases, hsm};
use serde_json::json;

pub const CASES: &[OwnCase] = cases![what_happens_to_one_back_end_is_no_business_of_the_others];

const STORES: [&str; 3] = ["software", "hsm", "kmip"];
/// A store's deadline is ten seconds unless it is configured.
const IN_TIME: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(60);

/// A project whose payloads are in one of the stores.
struct Project {
    store: &'static str,
    client: Client,
    href: String,
}

impl Project {
    /// Stores, reads and destroys, as if nothing had happened.
    fn assert_untouched(&self, when: &str) {
        let begun_at = Instant::now();
        let href = self.client.store("another");
        assert_eq!(self.client.payload(&href), b"another", "{}, {when}", self.store);
        assert_eq!(self.client.payload(&self.href), self.store.as_bytes(), "{}, {when}", self.store);
        let _ = self.client.delete(&href).send().expect(204);
        let took = begun_at.elapsed();
        assert!(took < Duration::from_secs(5), "{}, {when}: {took:?}", self.store);
    }

    fn assert_unavailable(&self, when: &str) {
        let begun_at = Instant::now();
        let body = json!({ "payload": "lost", "payload_content_type": "text/plain" });
        for answer in [
            self.client.get(&format!("{}/payload", self.href)).header("Accept", "text/plain").send(),
            self.client.post("/v1/secrets").json(&body).send(),
        ] {
            assert_eq!(answer.status, 503, "{}, {when}: {answer}", self.store);
            assert!(answer.header("retry-after").is_some(), "{answer}");
        }
        let took = begun_at.elapsed();
        assert!(took < IN_TIME * 2, "{}, {when}: {took:?}", self.store);
    }

    fn await_recovery(&self, when: &str) {
        let read = || {
            let answer =
                self.client.get(&format!("{}/payload", self.href)).header("Accept", "text/plain").try_send()?;
            ensure!(answer.status == 200 && answer.body == self.store.as_bytes(), "{}, {when}: {answer}", self.store);
            Ok(())
        };
        process::until(PATIENCE, read).unwrap();
    }
}

fn start(database: Database, softhsm: &SoftHsm, server: &PyKmip) -> TestApp {
    let file = [
        "[[stores]]\nname = \"software\"\nkind = \"simple\"\ndefault = true\n",
        &hsm::store(softhsm, "hsm", softhsm.token_label(), ""),
        &kmip_block(server, "kmip", "", "connect_seconds = 2.0\n").unwrap(),
    ]
    .concat()
    .replace("answer_seconds = 30.0", "answer_seconds = 2.0");
    let app = hsm::builder(database, softhsm, &file).prepare().unwrap();
    app.admin(&["db", "migrate"]).unwrap();
    app.admin(&["hsm", "--store", "hsm", "generate"]).unwrap();
    app.restart().unwrap();
    app
}

fn project(app: &TestApp, store: &'static str) -> Project {
    let client = app.client_of(store, "tester", &["admin"]);
    app.admin(&["store", "prefer", "--project", store, store]).unwrap();
    let href = client.store(store);
    Project { store, client, href }
}

fn what_happens_to_one_back_end_is_no_business_of_the_others(database: Database) {
    let (softhsm, server) = (SoftHsm::start().unwrap(), PyKmip::start().unwrap());
    let app = start(database, &softhsm, &server);
    let projects = STORES.map(|store| project(&app, store));
    let [software, token, kmip] = &projects;
    let placed =
        app.sql(Which::Metadata, "SELECT t.name FROM secrets s JOIN stores t ON t.id = s.store_id ORDER BY t.name");
    assert_eq!(placed.split_whitespace().collect::<Vec<_>>(), ["hsm", "kmip", "software"]);

    type Change<'a> = (&'a str, &'a dyn Fn(), &'a dyn Fn());
    let changes: [Change<'_>; 2] = [
        ("the server is stopped", &|| server.stop().unwrap(), &|| server.restart().unwrap()),
        ("the server hangs", &|| server.suspend().unwrap(), &|| server.resume().unwrap()),
    ];
    for (when, begin, end) in changes {
        begin();
        kmip.assert_unavailable(when);
        software.assert_untouched(when);
        token.assert_untouched(when);
        end();
        kmip.await_recovery(when);
    }
    softhsm.remove(softhsm.token_label()).unwrap();
    software.assert_untouched("the token is pulled out");
    kmip.assert_untouched("the token is pulled out");
    softhsm.put_back(softhsm.token_label()).unwrap();
    token.await_recovery("the token was pulled out");
    projects.iter().for_each(|project| project.assert_untouched("all is well again"));
}
