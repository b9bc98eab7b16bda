//! `/crl` and `/ocsp`: what anybody is told of CAs, how often it is signed, and of CAs that are gone. OpenSSL asks and
//! checks.

use bailey_testkit::process;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Answer, Client, Database, TestApp, cases};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::certificates::{CAS, listed, ordered, text};

pub const CASES: &[OwnCase] = cases![
    an_answer_is_told_again_until_something_is_revoked,
    an_answer_with_a_nonce_is_one_of_its_own,
    what_is_no_answer_is_not_kept,
    a_deleted_ca_is_told_of_by_the_one_above,
];

/// A Bailey whose first CA's certificates say where to ask, and a folder for OpenSSL.
struct Site {
    app: TestApp,
    client: Client,
    /// The first CA.
    ca: String,
    desk: TempDir,
}

fn id(href: &str) -> &str {
    href.rsplit('/').next().expect("an id")
}

impl Site {
    fn start(database: Database) -> Self {
        let config = CAS.replacen("kind = \"local\"", "kind = \"local\"\npublic_url = \"http://keys.example.test\"", 1);
        let app = TestApp::builder(database).file(&config).start().unwrap_or_else(|error| panic!("{error:#}"));
        app.admin(&["ca", "init", "first"]).unwrap_or_else(|error| panic!("{error:#}"));
        let client = app.client();
        let ca = listed(&client, "/v1/cas").remove(0);
        let site = Self { app, client, ca, desk: tempfile::tempdir().unwrap() };
        site.keep_certificate("ca", &site.ca);
        site
    }

    /// Runs OpenSSL where the files are; whether it was content, and what it said.
    fn openssl(&self, arguments: &str) -> (bool, String) {
        let mut command = process::command("openssl");
        let output = command.args(arguments.split_whitespace()).current_dir(self.desk.path()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    fn done(&self, arguments: &str) -> String {
        let (success, said) = self.openssl(arguments);
        assert!(success, "openssl {arguments}: {said}");
        said
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.desk.path().join(name), bytes).unwrap();
    }

    fn keep_certificate(&self, name: &str, ca: &str) {
        self.write(name, &self.client.get(&format!("{ca}/cacert")).send().expect(200).body);
    }

    /// Has a CA issue a certificate, which is kept under this name.
    fn issue(&self, name: &str, ca: &str) -> Value {
        let order = ordered(&self.client, Some(ca));
        assert_eq!(order["status"], "ACTIVE", "{order}");
        let container = self.client.describe(&text(&order["container_ref"]));
        self.write(name, &self.client.part(&container, "certificate").unwrap());
        order
    }

    fn revoke(&self, order: &Value) {
        let revoke = self.client.post(&format!("{}/revoke", text(&order["order_ref"])));
        let _ = revoke.json(&json!({ "reason": "superseded" })).send().expect(204);
    }

    /// A CA's list, which is kept under this name, too.
    fn list(&self, name: &str, ca: &str) -> Vec<u8> {
        let list = self.app.anonymous().get(&format!("/crl/{}/1", id(ca))).send().expect(200);
        assert_eq!(list.header("cache-control"), Some("max-age=60, public"));
        self.write("der", &list.body);
        let _ = self.done(&format!("crl -inform DER -in der -out {name}"));
        list.body
    }

    /// What OpenSSL asks of a certificate of the first CA's.
    fn question(&self, certificate: &str, more: &str) -> Vec<u8> {
        let _ = self.done(&format!("ocsp -issuer ca -cert {certificate} -reqout question {more}"));
        std::fs::read(self.desk.path().join("question")).unwrap()
    }

    fn ask(&self, ca: &str, question: &[u8]) -> Answer {
        let asked = self.app.anonymous().post(&format!("/ocsp/{}", id(ca)));
        asked.payload("application/ocsp-request", question).send()
    }

    /// What an answer of the first CA's says of a certificate.
    fn status(&self, certificate: &str, answer: &Answer) -> String {
        self.write("answer", &answer.body);
        let said = self.done(&format!("ocsp -respin answer -issuer ca -cert {certificate} -CAfile ca -no_nonce"));
        let status = said.lines().find_map(|line| line.strip_prefix(&format!("{certificate}: ")));
        status.unwrap_or_else(|| panic!("{said}")).to_owned()
    }
}

fn an_answer_is_told_again_until_something_is_revoked(database: Database) {
    let site = Site::start(database);
    let orders = ["one", "two"].map(|name| site.issue(name, &site.ca));
    let question = site.question("one", "-no_nonce");
    let ask = || site.ask(&site.ca, &question).expect(200);
    let first = ask();
    assert_eq!(first.header("content-type"), Some("application/ocsp-response"));
    assert_eq!(first.header("cache-control"), Some("max-age=60, public"));
    assert_eq!(site.status("one", &first), "good");
    // A signature by an EC key is another one each time.
    assert_eq!(ask().body, first.body);
    let list = site.list("list", &site.ca);
    assert_eq!(site.list("list", &site.ca), list);

    site.revoke(&orders[1]);
    let second = ask();
    assert_ne!(second.body, first.body);
    assert_eq!((site.status("one", &second), ask().body), ("good".to_owned(), second.body));
    assert_eq!(site.status("two", &site.ask(&site.ca, &site.question("two", "-no_nonce"))), "revoked");
    site.revoke(&orders[0]);
    let third = ask();
    assert_eq!(site.status("one", &third), "revoked");
    let list = site.list("list", &site.ca);
    assert_eq!(site.done("crl -in list -noout -text").matches("Superseded").count(), 2);

    // Nothing has changed.
    site.revoke(&orders[0]);
    assert_eq!((ask().body, site.list("list", &site.ca)), (third.body, list));
}

fn an_answer_with_a_nonce_is_one_of_its_own(database: Database) {
    let site = Site::start(database);
    let order = site.issue("one", &site.ca);
    let answers = [(); 2].map(|()| {
        let question = site.question("one", "");
        let answer = site.ask(&site.ca, &question).expect(200);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        site.write("answer", &answer.body);
        // It complains of a nonce that isn't the question's, and of none; with `-no_nonce` it adds none of its own.
        let said = site.done("ocsp -respin answer -reqin question -issuer ca -cert one -CAfile ca -no_nonce");
        assert!(said.contains("one: good") && !said.to_lowercase().contains("nonce"), "{said}");
        assert_ne!(site.ask(&site.ca, &question).expect(200).body, answer.body);
        answer.body
    });
    assert_ne!(answers[0], answers[1]);
    site.revoke(&order);
    let question = site.question("one", "");
    assert_eq!(site.status("one", &site.ask(&site.ca, &question)), "revoked");
}

fn what_is_no_answer_is_not_kept(database: Database) {
    let site = Site::start(database);
    let _ = site.issue("one", &site.ca);
    let second = listed(&site.client, "/v1/cas").remove(1);
    site.app.admin(&["ca", "init", "second"]).unwrap();
    let question = site.question("one", "-no_nonce");
    for (ca, question, status) in [(&second, question, 6), (&site.ca, b"junk".to_vec(), 1)] {
        let refused = site.ask(ca, &question).expect(200);
        assert_eq!(refused.body, [0x30, 3, 0x0a, 1, status]);
        assert_eq!(refused.header("cache-control"), Some("no-store"));
    }
}

fn a_deleted_ca_is_told_of_by_the_one_above(database: Database) {
    let site = Site::start(database);
    let body = json!({ "name": "below", "subject_dn": "CN=Below,O=Test", "parent_ca_ref": site.ca });
    let below = site.client.post("/v1/cas").json(&body).send().expect(201).string("ca_ref");
    site.keep_certificate("below", &below);
    let said = site.done("x509 -in below -noout -text");
    for list in [format!("/crl/{}/1", id(&site.ca)), format!("/ocsp/{}", id(&site.ca))] {
        assert!(said.contains(&format!("URI:http://keys.example.test{list}\n")), "{said}");
    }
    let _ = site.issue("leaf", &below);
    let verified = || {
        let _ = site.list("above.crl", &site.ca);
        site.openssl("verify -CAfile ca -untrusted below -CRLfile above.crl -CRLfile below.crl -crl_check_all leaf")
    };
    let _ = site.list("below.crl", &below);
    let question = site.question("below", "-no_nonce");
    assert_eq!(verified(), (true, "leaf: OK\n".to_owned()));
    assert_eq!(site.status("below", &site.ask(&site.ca, &question)), "good");
    let own = format!("/ocsp/{}", id(&below));
    let _ = site.app.anonymous().post(&own).payload("application/ocsp-request", question.as_slice()).send().expect(200);

    let _ = site.client.delete(&below).send().expect(204);
    for path in [format!("/crl/{}/1", id(&below)), format!("{own}/MAMCAQA=")] {
        let _ = site.app.anonymous().get(&path).send().expect(404);
    }
    let (success, said) = verified();
    assert!(!success && said.contains("error 23 at 1 depth lookup: certificate revoked"), "{said}");
    assert_eq!(site.done("crl -in above.crl -noout -text").matches("Cessation Of Operation").count(), 1);
    assert_eq!(site.status("below", &site.ask(&site.ca, &question)), "revoked");
    let _ = site.client.delete(&below).send().expect(404);
}
