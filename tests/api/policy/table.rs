//! The rows of Barbican's policy table, asked over HTTP by alice.

use std::collections::HashMap;

use bailey_tests::app::TWO_STORES;
use bailey_tests::{Answer, Client, Database, Request, TestApp};
use serde_json::{Value, json};

/// Barbican's own answers, computed with its policy engine.
const TABLE: &str = include_str!("../../data/policy-table.csv");

/// Asks every row of a generation, as the contract has it or strictly.
pub fn check(database: Database, generation: &str, compat: &str) {
    let builder = TestApp::builder(database).file(TWO_STORES);
    let app = builder.set("BAILEY_POLICY__GENERATION", generation).set("BAILEY_COMPAT", compat).start();
    let app = app.unwrap_or_else(|error| panic!("{error:#}"));
    let secret = app.client_of("here", "bob", &["admin"]).create(&json!({}));
    let world = World { app, is_strict: compat == "strict", secret };
    let mut shared = HashMap::new();
    let mut wrong = Vec::new();
    for (number, row) in Row::all(generation).iter().enumerate() {
        let mut entity = String::new();
        if let Some(kind) = row.kind() {
            entity = if row.uses_up() {
                world.make(kind)
            } else {
                shared.entry(kind).or_insert_with(|| world.make(kind)).clone()
            };
        }
        for deed in row.deeds(&world, &entity, number) {
            let answer = deed.request.send();
            let is_right = if row.is_allowed(&world) {
                answer.status == deed.status && !is_hidden(&answer)
            } else {
                let denial = row.denial(&world);
                answer.status == denial && is_hidden(&answer) == (denial == 404)
            };
            if !is_right {
                wrong.push(format!("{}: {answer}", row.text));
            }
        }
    }
    assert!(wrong.is_empty(), "{} rows are answered wrongly:\n{}", wrong.len(), wrong.join("\n"));
}

/// The server, and those who prepare for alice what she asks for. Everything is project `here`'s.
struct World {
    app: TestApp,
    is_strict: bool,
    /// Something to put into containers.
    secret: String,
}

/// What is special about something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    is_container: bool,
    has_payload: bool,
    is_hers: bool,
    is_private: bool,
    lists_her: bool,
}

impl World {
    fn admin_of(&self, project: &str) -> Client {
        self.app.client_of(project, "bob", &["admin"])
    }

    fn make(&self, kind: Kind) -> String {
        let creator = self.app.client_of("here", if kind.is_hers { "alice" } else { "bob" }, &["admin"]);
        let href = match kind {
            Kind { is_container: true, .. } => {
                let container = creator.post("/v1/containers").json(&json!({ "type": "generic" }));
                container.send().expect(201).string("container_ref")
            }
            Kind { has_payload: true, .. } => creator.store("a payload"),
            _ => creator.create(&json!({})),
        };
        if kind.is_private || kind.lists_her {
            let users: &[&str] = if kind.lists_her { &["carol", "alice"] } else { &["carol"] };
            let acl = json!({ "read": { "project-access": !kind.is_private, "users": users } });
            let _ = creator.put(&format!("{href}/acl")).json(&acl).send().expect(200);
        }
        href
    }

    fn order(&self) -> String {
        let order = json!({ "type": "key", "meta": { "algorithm": "aes", "bit_length": 256 } });
        self.admin_of("here").post("/v1/orders").json(&order).send().expect(202).string("order_ref")
    }

    /// Quotas of a project that nobody else asks for.
    fn quotas(&self, number: usize) -> String {
        let path = format!("/v1/project-quotas/project-{number}");
        let administrator = self.app.client_of("elsewhere", "bob", &["admin", "key-manager:service-admin"]);
        let _ = administrator.put(&path).json(&quotas()).send().expect(204);
        path
    }

    fn transport_key(&self) -> String {
        let administrator = self.app.client_of("elsewhere", "bob", &["admin", "key-manager:service-admin"]);
        let registered = administrator.post("/v1/transport_keys").json(&transport_key()).send().expect(201);
        registered.string("transport_key_ref")
    }

    /// One of the stores, as a project prefers it.
    fn preferred(&self, project: &str) -> String {
        let admin = self.admin_of(project);
        let stores = admin.describe("/v1/secret-stores");
        let store = stores["secret_stores"][1]["secret_store_ref"].as_str().expect("a store").to_owned();
        let _ = admin.post(&format!("{store}/preferred")).send().expect(204);
        store
    }
}

/// A row of the table.
struct Row {
    text: String,
    rule: String,
    /// What alice sends as her roles; without any she would be an admin.
    role: String,
    is_here: Option<bool>,
    is_hers: bool,
    is_private: bool,
    lists_her: bool,
    barbican_allows: bool,
}

impl Row {
    fn read(record: &csv::StringRecord) -> Self {
        let is = |column: usize| &record[column] == "1";
        Self {
            text: record.iter().collect::<Vec<_>>().join(","),
            rule: record[0].to_owned(),
            role: if &record[2] == "none" { "nobody".to_owned() } else { record[2].to_owned() },
            is_here: (!record[3].is_empty()).then(|| is(3)),
            is_hers: is(4),
            is_private: is(5),
            lists_her: is(6),
            barbican_allows: is(7),
        }
    }

    /// The rows of a generation.
    fn all(generation: &str) -> Vec<Self> {
        let records = csv::Reader::from_reader(TABLE.as_bytes()).into_records().map(|record| record.expect("a row"));
        let rows: Vec<_> =
            records.filter(|record| &record[1] == generation).map(|record| Self::read(&record)).collect();
        assert_eq!(rows.len(), 2824);
        rows
    }

    /// What the row is about, if it is about a secret or a container.
    fn kind(&self) -> Option<Kind> {
        let (resource, _) = self.rule.split_once(':')?;
        let is_container = match resource {
            "secret" | "secret_meta" | "secret_acls" | "secret_consumers" => false,
            "container" | "container_secret" | "container_acls" | "container_consumers" | "consumer" => true,
            _ => return None,
        };
        Some(Kind {
            is_container,
            has_payload: !self.uses_up() || self.rule != "secret:put",
            is_hers: self.is_hers,
            is_private: self.is_private,
            lists_her: self.lists_her,
        })
    }

    /// Whether the row leaves what it is about in a state that would disturb the next one.
    fn uses_up(&self) -> bool {
        self.barbican_allows && matches!(self.rule.as_str(), "secret:put" | "secret:delete" | "container:delete")
    }

    fn is_allowed(&self, world: &World) -> bool {
        self.barbican_allows && !(world.is_strict && self.is_strictly_forbidden())
    }

    /// What `compat = "strict"` takes back of what Barbican allows.
    fn is_strictly_forbidden(&self) -> bool {
        let is_elsewhere = self.is_here == Some(false);
        let is_owner_or_admin = self.is_hers || self.role == "admin";
        match self.rule.as_str() {
            "secret:put" => is_elsewhere || (self.is_private && !is_owner_or_admin),
            "secret_acls:put_patch" | "secret_acls:delete" | "container_acls:put_patch" | "container_acls:delete" => {
                is_elsewhere || !is_owner_or_admin
            }
            "secret:get" | "secret:decrypt" | "secret_meta:get" | "container:get" | "consumer:get" => {
                is_elsewhere && !self.lists_her
            }
            rule if rule.contains("_consumers:") => is_elsewhere && !self.lists_her,
            _ => is_elsewhere,
        }
    }

    /// The status of a denial: strictly nobody learns what another project has, and of its orders nobody ever does.
    fn denial(&self, world: &World) -> u16 {
        let is_hidden = world.is_strict || self.rule.starts_with("order:");
        if self.is_here == Some(false) && is_hidden { 404 } else { 403 }
    }

    /// Everything that the rule is about.
    fn deeds(&self, world: &World, entity: &str, number: usize) -> Vec<Deed> {
        let project = if self.is_here == Some(true) { "here" } else { "elsewhere" };
        let alice = world.app.client_of(project, "alice", &[&self.role]);
        let at = |part: &str| format!("{entity}/{part}");
        let is_allowed = self.is_allowed(world);
        let deeds = match self.rule.as_str() {
            "secrets:post" => vec![(alice.post("/v1/secrets").json(&json!({})), 201)],
            "secrets:get" => vec![(alice.get("/v1/secrets"), 200)],
            "secret:get" => vec![(alice.get(entity), 200)],
            "secret:decrypt" => vec![(alice.get(&at("payload")).header("Accept", "text/plain"), 200)],
            "secret:put" => vec![(alice.put(entity).payload("text/plain", b"late"), 204)],
            "secret:delete" | "container:delete" => vec![(alice.delete(entity), 204)],
            "secret_meta:get" => vec![(alice.get(&at("metadata")), 200), (alice.get(&at("metadata/k")), 404)],
            "secret_meta:post" => {
                let item = json!({ "key": format!("k{number}"), "value": "v" });
                vec![(alice.post(&at("metadata")).json(&item), 201)]
            }
            "secret_meta:put" => vec![(alice.put(&at("metadata")).json(&json!({ "metadata": {} })), 201)],
            "secret_meta:delete" => vec![(alice.delete(&at("metadata/k")), 204)],
            "secret_acls:get" | "container_acls:get" => vec![(alice.get(&at("acl")), 200)],
            "secret_acls:put_patch" | "container_acls:put_patch" => {
                let requests = ["PUT", "PATCH"].map(|method| alice.request(method, &at("acl")).json(&json!({})));
                requests.map(|request| (request, 200)).into()
            }
            "secret_acls:delete" | "container_acls:delete" => vec![(alice.delete(&at("acl")), 200)],
            "containers:post" => vec![(alice.post("/v1/containers").json(&json!({ "type": "generic" })), 201)],
            "containers:get" => vec![(alice.get("/v1/containers"), 200)],
            "container:get" => vec![(alice.get(entity), 200)],
            "container_secret:post" | "container_secret:delete" => {
                let reference = json!({ "name": number.to_string(), "secret_ref": world.secret });
                let adds = self.rule.ends_with(":post");
                if is_allowed && !adds {
                    let _ = world.admin_of("here").post(&at("secrets")).json(&reference).send().expect(201);
                }
                let (method, status) = if adds { ("POST", 201) } else { ("DELETE", 204) };
                vec![(alice.request(method, &at("secrets")).json(&reference), status)]
            }
            "secret_consumers:get" | "container_consumers:get" => vec![(alice.get(&at("consumers")), 200)],
            "secret_consumers:post" | "container_consumers:post" => {
                vec![(alice.post(&at("consumers")).json(&consumer(entity)), 200)]
            }
            "secret_consumers:delete" | "container_consumers:delete" => {
                // Her own: another project's she couldn't remove.
                if is_allowed {
                    let _ = alice.post(&at("consumers")).json(&consumer(entity)).send().expect(200);
                }
                vec![(alice.delete(&at("consumers")).json(&consumer(entity)), 200)]
            }
            "consumer:get" => {
                vec![(alice.get(&at("consumers/00000000-0000-4000-8000-000000000000")), 404)]
            }
            "orders:post" => {
                let order = json!({ "type": "key", "meta": { "algorithm": "aes", "bit_length": 256 } });
                vec![(alice.post("/v1/orders").json(&order), 202)]
            }
            "orders:get" => vec![(alice.get("/v1/orders"), 200)],
            "orders:put" => vec![(alice.put("/v1/orders").json(&json!({})), 405)],
            "order:get" => vec![(alice.get(&world.order()), 200)],
            "order:delete" => vec![(alice.delete(&world.order()), 204)],
            "secretstores:get" => vec![(alice.get("/v1/secret-stores"), 200)],
            "secretstores:get_global_default" => vec![(alice.get("/v1/secret-stores/global-default"), 200)],
            "secretstores:get_preferred" => {
                let _ = world.preferred(project);
                vec![(alice.get("/v1/secret-stores/preferred"), 200)]
            }
            "secretstore:get" => vec![(alice.get(&world.preferred(project)), 200)],
            "secretstore_preferred:post" => {
                vec![(alice.post(&format!("{}/preferred", world.preferred(project))), 204)]
            }
            "secretstore_preferred:delete" => {
                vec![(alice.delete(&format!("{}/preferred", world.preferred(project))), 204)]
            }
            "quotas:get" => vec![(alice.get("/v1/quotas"), 200)],
            "project_quotas:get" => {
                let own = world.quotas(number);
                vec![(alice.get("/v1/project-quotas"), 200), (alice.get(&own), 200)]
            }
            "project_quotas:put" => vec![(alice.put(&world.quotas(number)).json(&quotas()), 204)],
            "project_quotas:delete" => vec![(alice.delete(&world.quotas(number)), 204)],
            "transport_keys:get" => vec![(alice.get("/v1/transport_keys"), 200)],
            "transport_keys:post" => vec![(alice.post("/v1/transport_keys").json(&transport_key()), 201)],
            "transport_key:get" => vec![(alice.get(&world.transport_key()), 200)],
            "transport_key:delete" => vec![(alice.delete(&world.transport_key()), 204)],
            rule => panic!("no request for {rule}"),
        };
        deeds.into_iter().map(|(request, status)| Deed { request, status }).collect()
    }
}

/// A request, and the status of its answer where it is allowed.
struct Deed {
    request: Request,
    status: u16,
}

/// Whether the answer says that there is no such thing as the path begins with, whatever follows in it.
fn is_hidden(answer: &Answer) -> bool {
    let hidden = ["secret", "container", "order"].map(|thing| format!("The {thing} was not found."));
    answer.status == 404 && hidden.contains(&answer.string("description"))
}

fn transport_key() -> Value {
    json!({ "plugin_name": "theirs", "transport_key": "a key" })
}

fn quotas() -> Value {
    json!({ "project_quotas": { "secrets": 10 } })
}

fn consumer(entity: &str) -> Value {
    if entity.contains("/containers/") {
        json!({ "name": "lb", "URL": "u" })
    } else {
        json!({ "service": "s", "resource_type": "t", "resource_id": "r" })
    }
}
