//! `/v1/cas`: which certificate authorities there are, which ones a project has, and orders that go to them.

use std::net::SocketAddr;
use std::time::Duration;

use bailey_testkit::{ports, process};
use bailey_tests::scrape::{scrape, value};
use bailey_tests::sql::Which;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Answer, Client, Database, TestApp, cases};
use serde_json::{Value, json};

pub const CASES: &[OwnCase] = cases![
    without_a_ca_there_is_no_such_thing,
    switched_off_there_is_no_such_thing_either,
    a_project_prefers_one_of_what_it_has_chosen,
    a_project_has_a_ca_of_its_own,
    a_ca_serves_the_projects_that_it_is_kept_to,
    bad_cas_are_refused,
    roles_decide,
    each_ca_is_asked_whether_it_works,
    operators_see_whether_cas_can_be_used,
];

pub const CAS: &str = r#"
    [[cas]]
    name = "first"
    kind = "local"
    description = "the first one"
    subject = "CN=First,O=Test"
    [[cas.profiles]]
    name = "server"
    description = "TLS servers"
    dns = ["*.example.test"]

    [[cas]]
    name = "second"
    kind = "local"
    subject = "CN=Second,O=Test"
    path_length = 0
    [[cas.profiles]]
    name = "server"
    dns = ["*.example.test"]
"#;
const UNKNOWN: &str = "/v1/cas/00000000-0000-4000-8000-000000000000";
/// How long an order may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// What Barbican's default rules were while it had CAs, and the same in the roles of the new generation.
const TABLE: &str = include_str!("../data/policy-table-cas.csv");

fn start(database: Database, file: &str) -> TestApp {
    TestApp::builder(database).file(file).start().unwrap_or_else(|error| panic!("{error:#}"))
}

/// Both CAs, with certificates.
pub fn start_with_cas(database: Database) -> TestApp {
    let app = start(database, CAS);
    for name in ["first", "second"] {
        app.admin(&["ca", "init", name]).unwrap_or_else(|error| panic!("{error:#}"));
    }
    app
}

fn service(app: &TestApp) -> Client {
    app.client_of("service", "ann", &["key-manager:service-admin"])
}

/// Hrefs of the CAs in a list.
pub fn listed(client: &Client, list: &str) -> Vec<String> {
    let list = client.describe(list);
    let hrefs: Vec<String> = list["cas"].as_array().expect("CAs").iter().map(text).collect();
    assert_eq!(list["total"], hrefs.len(), "{list}");
    hrefs
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// What `meta` says under a name.
fn meta(ca: &Value, name: &str) -> Option<String> {
    ca["meta"].as_array().expect("meta").iter().find_map(|entry| entry.get(name)).map(text)
}

fn post(client: &Client, path: &str) -> Answer {
    client.post(path).send()
}

/// Orders a certificate, and waits for what becomes of it.
pub fn ordered(client: &Client, ca: Option<&str>) -> Value {
    let mut asked = json!({ "subject_alt_names": ["www.example.test"] });
    if let Some(ca) = ca {
        asked["ca_id"] = ca.into();
    }
    let order = client.post("/v1/orders").json(&json!({ "type": "certificate", "meta": asked })).send().expect(202);
    let href = order.string("order_ref");
    let mut ended = Value::Null;
    let ends = || {
        ended = client.describe(&href);
        anyhow::ensure!(ended["status"] != "PENDING", "{ended}");
        Ok(())
    };
    process::until(PATIENCE, ends).unwrap_or_else(|error| panic!("{error:#}"));
    ended
}

/// The certificates that lead from an ordered one to its root.
fn intermediates(client: &Client, order: &Value) -> String {
    assert_eq!(order["status"], "ACTIVE", "{order}");
    let container = client.describe(&text(&order["container_ref"]));
    let parts = container["secret_refs"].as_array().expect("parts").iter();
    parts
        .filter(|part| part["name"] == "intermediates")
        .map(|part| String::from_utf8(client.payload(&text(&part["secret_ref"]))).expect("PEM"))
        .collect()
}

/// Asks everything that there is about CAs, and a little more.
fn ask_everything(client: &Client) -> Vec<Answer> {
    let body = json!({ "name": "n", "subject_dn": "CN=n", "parent_ca_ref": UNKNOWN });
    let lists = ["", "/all", "/preferred", "/global-preferred", "/unset-global-preferred", "/junk"];
    let parts = ["", "/cacert", "/intermediates", "/projects", "/add-to-project", "/set-preferred", "/junk"];
    let paths = lists.map(|list| format!("/v1/cas{list}")).into_iter();
    let paths = paths.chain(parts.map(|part| format!("{UNKNOWN}{part}")));
    paths
        .flat_map(|path| {
            let requests = ["GET", "PUT", "DELETE", "PATCH"].map(|method| client.request(method, &path).send());
            requests.into_iter().chain([client.post(&path).json(&body).send()])
        })
        .collect()
}

/// Has Bailey answer a CA that proves names.
fn place_challenge(app: &TestApp) {
    let place =
        "INSERT INTO ca_challenges (token, answer, expires_at) VALUES ('token', 'answer', '2999-01-01 00:00:00Z')";
    let _ = app.sql(Which::Metadata, place);
}

fn challenge(app: &TestApp, token: &str) -> Answer {
    app.anonymous().get(&format!("/.well-known/acme-challenge/{token}")).send()
}

fn check_absent(app: &TestApp) {
    assert_eq!(challenge(app, "token").status, 404);
    for role in ["admin", "none"] {
        for answer in ask_everything(&app.client_of("p", "u", &[role])) {
            assert_eq!(answer.status, 404, "{answer}");
        }
    }
    let client = app.client();
    let order = json!({ "type": "certificate", "meta": { "subject_dn": "CN=n" } });
    let refused = client.post("/v1/orders").json(&order).send().expect(400);
    assert!(refused.string("description").contains("type"), "{refused}");
}

fn without_a_ca_there_is_no_such_thing(database: Database) {
    let app = start(database, "");
    place_challenge(&app);
    check_absent(&app);
}

fn switched_off_there_is_no_such_thing_either(database: Database) {
    let app = start(database, CAS);
    assert_eq!(listed(&app.client(), "/v1/cas").len(), 2);
    place_challenge(&app);
    assert_eq!(challenge(&app, "token").expect(200).text(), "answer");
    for token in ["unknown", "%2e%2e"] {
        let _ = challenge(&app, token).expect(404);
    }
    app.stop().unwrap();
    app.write_file(&format!("[api]\ncertificates = \"off\"\n{CAS}"));
    app.restart().unwrap();
    check_absent(&app);
    assert!(app.log().contains("CAs are configured and api.certificates is off"), "{}", app.log());
}

fn a_project_prefers_one_of_what_it_has_chosen(database: Database) {
    let app = start_with_cas(database);
    let (client, other, service) = (app.client(), app.client(), service(&app));
    let all = listed(&client, "/v1/cas");
    let [first, second] = [0, 1].map(|at: usize| all[at].as_str());
    let described = client.describe(first);
    let id = first.rsplit('/').next().expect("an id");
    assert_eq!((&described["ca_id"], &described["plugin_name"]), (&json!(id), &json!("local")));
    assert_eq!((&described["plugin_ca_id"], &described["status"]), (&json!("first"), &json!("ACTIVE")));
    assert_eq!(described["profiles"], json!([{ "name": "server", "description": "TLS servers" }]));
    assert_eq!(meta(&described, "name").as_deref(), Some("first"));
    assert_eq!(meta(&described, "description").as_deref(), Some("the first one"));
    assert!(described["expiration"].as_str().is_some_and(|time| time.starts_with("20")), "{described}");
    let certificate = client.get(&format!("{first}/cacert")).send().expect(200);
    assert_eq!(certificate.header("content-type"), Some("application/pem-certificate-chain"));
    assert_eq!(meta(&described, "ca_signing_certificate"), Some(certificate.text()));
    let chain = client.get(&format!("{first}/intermediates")).send().expect(200).text();
    assert_eq!(meta(&described, "intermediates"), Some(chain));

    let filtered = client.describe("/v1/cas?plugin_name=local&plugin_ca_id=second&limit=1");
    assert_eq!(filtered, json!({ "cas": [second], "total": 1 }));
    let paged = client.describe("/v1/cas/all?limit=1");
    assert_eq!(paged["next"], format!("{}/v1/cas/all?limit=1&offset=1", client.base()));

    let _ = client.get("/v1/cas/preferred").send().expect(404);
    let ambiguous = client.post("/v1/orders").json(&json!({ "type": "certificate", "meta": { "subject_dn": "CN=n" } }));
    assert!(ambiguous.send().expect(400).string("description").contains("ca_id"));
    let _ = post(&client, &format!("{second}/set-preferred")).expect(400);
    for href in [second, first, second] {
        assert!(post(&client, &format!("{href}/add-to-project")).expect(204).body.is_empty());
        assert_eq!(client.describe("/v1/cas/preferred"), json!({ "ca_ref": second }));
    }
    let _ = post(&client, &format!("{second}/remove-from-project")).expect(409);
    let _ = post(&client, &format!("{first}/set-preferred")).expect(204);
    let _ = post(&client, &format!("{second}/remove-from-project")).expect(204);
    let _ = post(&client, &format!("{second}/remove-from-project")).expect(404);
    assert_eq!((listed(&client, "/v1/cas"), listed(&client, "/v1/cas/all")), (vec![first.to_owned()], all.clone()));
    assert_eq!(listed(&other, "/v1/cas"), all);
    let projects = service.describe(&format!("{first}/projects"));
    assert_eq!(projects["projects"].as_array().map(Vec::len), Some(1), "{projects}");
    assert_eq!(service.describe(&format!("{second}/projects")), json!({ "projects": [] }));
    assert_eq!(ordered(&client, None)["status"], "ACTIVE");
    let elsewhere = json!({ "type": "certificate", "meta": { "subject_dn": "CN=n", "ca_id": second } });
    let refused = client.post("/v1/orders").json(&elsewhere).send().expect(400);
    assert!(refused.string("description").contains("ca_id"), "{refused}");

    let _ = service.get("/v1/cas/global-preferred").send().expect(404);
    let _ = post(&service, &format!("{second}/set-global-preferred")).expect(204);
    assert_eq!(service.describe("/v1/cas/global-preferred"), json!({ "ca_ref": second }));
    assert_eq!(other.describe("/v1/cas/preferred"), json!({ "ca_ref": second }));
    assert_eq!(client.describe("/v1/cas/preferred"), json!({ "ca_ref": first }));
    assert_eq!(ordered(&other, None)["status"], "ACTIVE");
    for _ in 0..2 {
        let _ = post(&service, "/v1/cas/unset-global-preferred").expect(204);
    }
    let _ = other.get("/v1/cas/preferred").send().expect(404);
}

fn a_project_has_a_ca_of_its_own(database: Database) {
    let app = start_with_cas(database);
    let (client, other) = (app.client_of("p", "ann", &["admin"]), app.client_of("q", "ann", &["admin"]));
    let all = listed(&client, "/v1/cas");
    let quotas = json!({ "project_quotas": { "cas": 1 } });
    let _ = service(&app).put("/v1/project-quotas/p").json(&quotas).send().expect(204);
    let body = json!({ "name": "billing", "subject_dn": "CN=Billing,O=Test", "parent_ca_ref": all[0] });
    let made = client.post("/v1/cas/").header("Idempotency-Key", "once").json(&body).send().expect(201);
    let own = made.string("ca_ref");
    assert_eq!(made.header("location"), Some(own.as_str()));
    let again = client.post("/v1/cas").header("Idempotency-Key", "once").json(&body).send().expect(201);
    assert_eq!(again.string("ca_ref"), own);
    let refused = client.post("/v1/cas").json(&body).send().expect(403);
    assert!(refused.string("description").contains("quota"), "{refused}");

    assert_eq!(listed(&client, "/v1/cas"), [&all[..], std::slice::from_ref(&own)].concat());
    assert_eq!(listed(&other, "/v1/cas/all"), all);
    for request in [other.get(&own), other.delete(&own), other.get(&format!("{own}/cacert")), other.put(&own)] {
        let _ = request.send().expect(404);
    }
    let _ = post(&other, &format!("{own}/add-to-project")).expect(404);
    let described = client.describe(&own);
    assert_eq!((&described["parent_ca_ref"], meta(&described, "name").as_deref()), (&json!(all[0]), Some("billing")));
    let chain = client.get(&format!("{own}/intermediates")).send().expect(200).text();
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2);

    let order = ordered(&client, Some(&own));
    let certificate = client.get(&format!("{own}/cacert")).send().expect(200).text();
    assert_eq!(intermediates(&client, &order), certificate);
    let foreign = json!({ "type": "certificate", "meta": { "subject_dn": "CN=n", "ca_id": own } });
    let _ = other.post("/v1/orders").json(&foreign).send().expect(400);

    let _ = client.delete(&all[0]).send().expect(403);
    let _ = post(&client, &format!("{own}/add-to-project")).expect(204);
    let _ = post(&client, &format!("{}/add-to-project", all[0])).expect(204);
    let _ = client.delete(&own).send().expect(409);
    let _ = post(&client, &format!("{}/set-preferred", all[0])).expect(204);
    assert!(client.delete(&own).send().expect(204).body.is_empty());
    for request in [client.get(&own), client.delete(&own), client.get(&format!("{own}/cacert"))] {
        let _ = request.send().expect(404);
    }
    assert_eq!(listed(&client, "/v1/cas"), [all[0].clone()]);
    let _ = client.post("/v1/cas").json(&body).send().expect(201);
}

/// The first CA with a CA's block for two projects, "p" and "q"; the second for everybody.
fn kept(projects: &str) -> String {
    CAS.replacen("kind = \"local\"", &format!("kind = \"local\"\nprojects = {projects}"), 1)
}

/// Asks for an order that names a CA, or none.
fn order(client: &Client, ca: Option<&str>) -> Answer {
    let mut asked = json!({ "subject_alt_names": ["www.example.test"] });
    if let Some(ca) = ca {
        asked["ca_id"] = ca.into();
    }
    client.post("/v1/orders").json(&json!({ "type": "certificate", "meta": asked })).send()
}

fn a_ca_serves_the_projects_that_it_is_kept_to(database: Database) {
    let app = start(database, &kept("[\"p\", \"q\"]"));
    for name in ["first", "second"] {
        app.admin(&["ca", "init", name]).unwrap_or_else(|error| panic!("{error:#}"));
    }
    let (client, other) = (app.client_of("p", "ann", &["admin"]), app.client_of("other", "bob", &["admin"]));
    let service = service(&app);
    let all = listed(&client, "/v1/cas/all");
    let [first, second] = [0, 1].map(|at: usize| all[at].as_str());
    assert_eq!(listed(&client, "/v1/cas"), all);
    for list in ["/v1/cas", "/v1/cas/all"] {
        assert_eq!(listed(&other, list), [second]);
    }
    let parts = ["", "/cacert", "/intermediates", "/projects"];
    for part in parts {
        let _ = other.get(&format!("{first}{part}")).send().expect(404);
    }
    for deed in ["add-to-project", "set-preferred", "remove-from-project"] {
        let _ = post(&other, &format!("{first}/{deed}")).expect(404);
    }
    let below = json!({ "name": "n", "subject_dn": "CN=n", "parent_ca_ref": first });
    assert!(other.post("/v1/cas").json(&below).send().expect(400).string("description").contains("parent_ca_ref"));
    let unknown = order(&other, Some(UNKNOWN)).expect(400).string("description");
    assert_eq!(order(&other, Some(first)).expect(400).string("description"), unknown);
    // The only one there is, also when all others prefer another.
    assert_eq!(ordered(&other, None)["status"], "ACTIVE");
    assert_eq!(service.describe(first)["ca_ref"], first);
    let _ = post(&service, &format!("{first}/set-global-preferred")).expect(204);
    assert_eq!(service.describe("/v1/cas/global-preferred"), json!({ "ca_ref": first }));
    let _ = other.get("/v1/cas/preferred").send().expect(404);
    assert_eq!(ordered(&other, None)["status"], "ACTIVE");
    assert_eq!(ordered(&client, None)["status"], "ACTIVE");
    let own = client.post("/v1/cas").json(&below).send().expect(201).string("ca_ref");
    let issued = ordered(&client, Some(&own));
    assert_eq!(issued["status"], "ACTIVE");
    let _ = post(&client, &format!("{first}/add-to-project")).expect(204);

    app.stop().unwrap();
    app.write_file(&kept("[\"q\"]"));
    app.restart().unwrap();
    let _ = client.get(first).send().expect(404);
    for ca in [first, &own] {
        assert!(order(&client, Some(ca)).expect(400).string("description").contains("ca_id"));
    }
    let revoke = format!("{}/revoke", text(&issued["order_ref"]));
    let _ = client.post(&revoke).json(&json!({})).send().expect(204);
    let _ = post(&client, &format!("{first}/remove-from-project")).expect(204);
    let _ = post(&client, &format!("{first}/remove-from-project")).expect(404);
    let _ = client.delete(&own).send().expect(204);
}

fn bad_cas_are_refused(database: Database) {
    let app = start_with_cas(database);
    let client = app.client();
    let all = listed(&client, "/v1/cas");
    let body = |parent: &str| json!({ "name": "n", "subject_dn": "CN=n", "parent_ca_ref": parent });
    let junk = json!({ "name": "", "subject_dn": "n", "parent_ca_ref": "invalid", "creator_id": "u" });
    let cases = [
        (junk, &["name", "subject_dn", "parent_ca_ref", "creator_id"][..]),
        (json!({}), &["name", "subject_dn", "parent_ca_ref"]),
        (body(&format!("{}{UNKNOWN}", client.base())), &["parent_ca_ref"]),
        // It may have none below it.
        (body(&all[1]), &["parent_ca_ref"]),
    ];
    for (body, named) in cases {
        let refused = client.post("/v1/cas").json(&body).send().expect(400);
        let description = refused.string("description");
        assert!(description.contains("schema 'CA'"), "{description}");
        assert!(named.iter().all(|name| description.contains(name)), "{description}");
    }
    assert_eq!(listed(&client, "/v1/cas"), all);
    let _ = client.post("/v1/cas").payload("text/plain", b"x").send().expect(415);
}

fn each_ca_is_asked_whether_it_works(database: Database) {
    let missing = r#"
        [[cas]]
        name = "third"
        kind = "acme"
        directory = "https://127.0.0.1:1/directory"
    "#;
    let app = start(database, &format!("{CAS}{missing}"));
    app.admin(&["ca", "init", "first"]).unwrap();
    let check = |more: &[&str]| {
        let output = app.command(&[&["ca", "check", "--json"], more].concat()).output().unwrap();
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.success(), found)
    };
    let (success, found) = check(&[]);
    let works = found.as_array().unwrap().iter().map(|ca| (ca["name"].clone(), ca["works"].clone()));
    let expected = json!([["first", true], ["second", false], ["third", false]]);
    assert_eq!((success, json!(works.collect::<Vec<_>>())), (false, expected), "{found}");
    assert!(text(&found[1]["trouble"]).contains("`second` was not made yet: `bailey ca init second`"), "{found}");
    assert!(text(&found[2]["trouble"]).contains("read ACME directory"), "{found}");
    assert!(check(&["first"]).0 && !check(&["third"]).0);
    let table = app.admin(&["ca", "check", "first"]).unwrap();
    assert!(table.lines().nth(1).unwrap().split_whitespace().eq(["first", "local", "works"]), "{table}");
    let refused = app.command(&["ca", "check", "fourth"]).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no CA `fourth` is configured"), "{refused:?}");
}

/// A CA that can't be used is no reason to send clients elsewhere: their orders wait.
fn operators_see_whether_cas_can_be_used(database: Database) {
    let metrics = SocketAddr::from(([127, 0, 0, 1], ports::free()));
    let builder = TestApp::builder(database).file(CAS).set("BAILEY_WORKER__CA_INTERVAL_SECONDS", "0.1");
    let builder =
        if database == Database::Split { builder } else { builder.set("BAILEY_METRICS__LISTEN", &metrics.to_string()) };
    let app = builder.start().unwrap();
    // The one of two processes that works has its own.
    let metrics = if database == Database::Split { app.nodes()[0].address() } else { metrics };
    app.admin(&["ca", "init", "first"]).unwrap();
    let usable = |ca: &str, is_usable: f64| {
        let is = || {
            let found = value(&scrape(metrics), &format!("bailey_ca_usable{{ca=\"{ca}\"}}"));
            anyhow::ensure!(found == Some(is_usable), "{ca}: {found:?}");
            Ok(())
        };
        process::until(PATIENCE, is).unwrap_or_else(|error| panic!("{error:#}"));
    };
    usable("first", 1.0);
    usable("second", 0.0);
    let _ = app.anonymous().get("/healthcheck").send().expect(200);
    let _ = app.anonymous().get("/readyz").send().expect(200);
    app.admin(&["ca", "init", "second"]).unwrap();
    usable("second", 1.0);
}

/// A request that the rule is about.
fn deed(client: &Client, rule: &str, ca: &str) -> Answer {
    let (method, path) = match rule {
        "certificate_authorities:get_limited" => ("GET", "/v1/cas".to_owned()),
        "certificate_authorities:get_all" => ("GET", "/v1/cas/all".to_owned()),
        "certificate_authorities:post" => ("POST", "/v1/cas".to_owned()),
        "certificate_authorities:get_preferred_ca" => ("GET", "/v1/cas/preferred".to_owned()),
        "certificate_authorities:get_global_preferred_ca" => ("GET", "/v1/cas/global-preferred".to_owned()),
        "certificate_authorities:unset_global_preferred" => ("POST", "/v1/cas/unset-global-preferred".to_owned()),
        "certificate_authority:get" => ("GET", ca.to_owned()),
        "certificate_authority:get_cacert" => ("GET", format!("{ca}/cacert")),
        "certificate_authority:get_ca_cert_chain" => ("GET", format!("{ca}/intermediates")),
        "certificate_authority:get_projects" => ("GET", format!("{ca}/projects")),
        "certificate_authority:add_to_project" => ("POST", format!("{ca}/add-to-project")),
        "certificate_authority:remove_from_project" => ("POST", format!("{ca}/remove-from-project")),
        "certificate_authority:set_preferred" => ("POST", format!("{ca}/set-preferred")),
        "certificate_authority:set_global_preferred" => ("POST", format!("{ca}/set-global-preferred")),
        rule => panic!("no request for {rule}"),
    };
    client.request(method, &path).send()
}

fn roles_decide(database: Database) {
    for generation in ["legacy", "new"] {
        let builder = TestApp::builder(database).file(CAS).set("BAILEY_POLICY__GENERATION", generation);
        let app = builder.start().unwrap_or_else(|error| panic!("{error:#}"));
        let admin = app.client_of("p", "root", &["admin"]);
        let ca = listed(&admin, "/v1/cas").remove(0);
        app.admin(&["ca", "init", "first"]).unwrap_or_else(|error| panic!("{error:#}"));
        let mut asked = 0;
        for row in csv::Reader::from_reader(TABLE.as_bytes()).into_records() {
            let row = row.expect("a row");
            let (rule, role, is_allowed) = (&row[0], &row[2], &row[7] == "1");
            // A configured CA is nobody's to delete; who may delete one of the project's comes below.
            if &row[1] != generation || rule == "certificate_authority:delete" {
                continue;
            }
            let answer = deed(&app.client_of("p", "alice", &[role]), rule, &ca);
            assert_eq!(answer.status != 403, is_allowed, "{rule} {generation} {role}: {answer}");
            asked += 1;
        }
        assert_eq!(asked, 14 * 8);
        let own = json!({ "name": "n", "subject_dn": "CN=n", "parent_ca_ref": ca });
        let own = admin.post("/v1/cas").json(&own).send().expect(201).string("ca_ref");
        for role in ["creator", "observer", "audit", "key-manager:service-admin", "member", "reader", "none"] {
            let _ = app.client_of("p", "alice", &[role]).delete(&own).send().expect(403);
        }
        let _ = admin.delete(&own).send().expect(204);
    }
}
