//! Quotas: what projects are told of them, and that they hold.

use std::sync::Barrier;
use std::time::Duration;

use bailey_tests::secrets::in_seconds;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Answer, Client, Database, Request, TestApp, cases};
use serde_json::{Value, json};

pub const CASES: &[OwnCase] = cases![
    quotas_are_set_told_and_removed,
    quotas_are_listed_in_pages,
    bad_quotas_are_refused,
    defaults_count_where_a_project_has_none,
    expired_secrets_and_deleted_ones_make_room,
    orders_are_charged_for_all_that_they_will_make,
    a_repetition_at_the_limit_is_refused,
    of_two_hundred_at_once_fifty_are_made,
    of_two_hundred_consumers_at_once_fifty_are_registered,
    a_lower_limit_holds_at_once,
];

const LIMIT: usize = 50;

fn start(database: Database) -> TestApp {
    TestApp::builder(database).start().unwrap_or_else(|error| panic!("{error:#}"))
}

/// Someone who may set quotas.
fn admin(app: &TestApp) -> Client {
    app.client_of("service", "ann", &["key-manager:service-admin"])
}

fn set(admin: &Client, project: &str, quotas: &Value) {
    let path = format!("/v1/project-quotas/{project}");
    let answer = admin.put(&path).json(&json!({ "project_quotas": quotas })).send().expect(204);
    assert_eq!(answer.body, b"");
}

fn own(secrets: Value, orders: Value) -> Value {
    json!({ "secrets": secrets, "orders": orders, "containers": null, "consumers": null, "cas": null })
}

fn quotas_are_set_told_and_removed(database: Database) {
    let app = start(database);
    let (admin, member) = (admin(&app), app.client_of("p", "bob", &["creator"]));
    let path = "/v1/project-quotas/p";
    let _ = admin.get(path).send().expect(404);
    let _ = admin.delete(path).send().expect(404);
    set(&admin, "p", &json!({}));
    assert_eq!(admin.describe(path), json!({ "project_quotas": own(json!(null), json!(null)) }));
    set(&admin, "p", &json!({ "secrets": 5, "orders": -7 }));
    set(&admin, "p", &json!({ "secrets": 6.0 }));
    assert_eq!(admin.describe(path), json!({ "project_quotas": own(json!(6), json!(-7)) }));
    let told = json!({ "secrets": 6, "orders": -7, "containers": -1, "consumers": -1, "cas": -1 });
    assert_eq!(member.describe("/v1/quotas"), json!({ "quotas": told }));
    for request in
        [member.get(path), member.delete(path), member.put(path).json(&json!({})), member.get("/v1/project-quotas")]
    {
        let _ = request.send().expect(403);
    }
    for (method, path) in
        [("POST", "/v1/quotas"), ("PUT", "/v1/quotas"), ("POST", "/v1/project-quotas"), ("PATCH", path)]
    {
        let _ = admin.request(method, path).send().expect(405);
    }
    assert_eq!(admin.delete(path).send().expect(204).body, b"");
    let _ = admin.get(path).send().expect(404);
    assert_eq!(member.describe("/v1/quotas")["quotas"]["secrets"], json!(-1));
    set(&admin, "p%C3%A4ron%20%2F%201", &json!({ "cas": 1 }));
    assert_eq!(admin.describe("/v1/project-quotas")["project_quotas"][0]["project_id"], json!("päron / 1"));
}

fn quotas_are_listed_in_pages(database: Database) {
    let app = start(database);
    let admin = admin(&app);
    assert_eq!(admin.describe("/v1/project-quotas"), json!({ "project_quotas": [], "total": 0 }));
    for (number, project) in ["c", "a", "b"].into_iter().enumerate() {
        set(&admin, project, &json!({ "secrets": number }));
    }
    let link = |offset: u32| json!(format!("{}/v1/project-quotas?limit=1&offset={offset}", admin.base()));
    let entry =
        |project: &str, limit: u32| json!({ "project_id": project, "project_quotas": own(json!(limit), json!(null)) });
    for path in ["project-quotas", "project_quotas"] {
        let page = admin.describe(&format!("/v1/{path}?limit=1&offset=1"));
        let expected = json!({ "project_quotas": [entry("a", 1)], "total": 3, "previous": link(0), "next": link(2) });
        assert_eq!(page, expected);
    }
    let beyond = admin.describe("/v1/project-quotas?limit=1&offset=7");
    assert_eq!(beyond, json!({ "project_quotas": [], "total": 3, "previous": link(6) }));
    let next = admin.describe("/v1/project-quotas?limit=1&offset=1")["next"].clone();
    assert_eq!(admin.describe(next.as_str().unwrap())["project_quotas"], json!([entry("b", 2)]));
}

fn bad_quotas_are_refused(database: Database) {
    let app = start(database);
    let admin = admin(&app);
    let path = "/v1/project-quotas/p";
    for body in [
        json!({}),
        json!([]),
        json!({ "project_quotas": null }),
        json!({ "project_quotas": 5 }),
        json!({ "project_quotas": {}, "more": 1 }),
        json!({ "project_quotas": { "secrets": null } }),
        json!({ "project_quotas": { "secrets": "5" } }),
        json!({ "project_quotas": { "secrets": 1.5 } }),
        json!({ "project_quotas": { "secrets": true } }),
        json!({ "project_quotas": { "secrets": 1e10 } }),
        json!({ "project_quotas": { "volumes": 5 } }),
    ] {
        let answer = admin.put(path).json(&body).send().expect(400);
        assert!(answer.string("description").contains("schema 'Project Quota'"), "{answer}");
    }
    let _ = admin.put(path).payload("application/json", "").send().expect(400);
    let _ = admin.put(path).body("{}").send().expect(415);
    let _ = admin.get(path).send().expect(404);
}

fn post_secret(client: &Client) -> Request {
    client.post("/v1/secrets").json(&json!({ "payload": "p", "payload_content_type": "text/plain" }))
}

fn assert_over(answer: &Answer, operation: &str) {
    assert_eq!(answer.status, 403, "{answer}");
    let expected = format!("{operation} issue seen - Creation not allowed because a quota has been reached.");
    assert_eq!(answer.string("description"), expected);
}

fn defaults_count_where_a_project_has_none(database: Database) {
    let app = TestApp::builder(database)
        .set("BAILEY_QUOTAS__SECRETS", "1")
        .set("BAILEY_QUOTAS__CONTAINERS", "0")
        .start()
        .unwrap_or_else(|error| panic!("{error:#}"));
    let (admin, client) = (admin(&app), app.client());
    let told = json!({ "secrets": 1, "orders": -1, "containers": 0, "consumers": -1, "cas": -1 });
    assert_eq!(client.describe("/v1/quotas"), json!({ "quotas": told }));
    let _ = client.create(&json!({}));
    assert_over(&post_secret(&client).send(), "Secret creation");
    let container = client.post("/v1/containers").json(&json!({ "type": "generic" }));
    assert_over(&container.send(), "Container creation");
    set(&admin, "p", &json!({ "secrets": -1, "containers": 1 }));
    let rich = app.client_of("p", "bob", &["creator"]);
    let _ = (rich.store("1"), rich.store("2"));
    let _ = rich.post("/v1/containers").json(&json!({ "type": "generic" })).send().expect(201);
    let container = rich.post("/v1/containers").json(&json!({ "type": "generic" }));
    assert_over(&container.send(), "Container creation");
}

fn expired_secrets_and_deleted_ones_make_room(database: Database) {
    let app = start(database);
    let (admin, client) = (admin(&app), app.client_of("p", "bob", &["creator"]));
    set(&admin, "p", &json!({ "secrets": 2 }));
    let _ = client.create(&json!({ "expiration": in_seconds(3) }));
    let href = client.store("kept");
    assert_over(&post_secret(&client).send(), "Secret creation");
    let _ = client.delete(&href).send().expect(204);
    let href = client.store("again");
    assert_over(&post_secret(&client).send(), "Secret creation");
    std::thread::sleep(Duration::from_secs(3));
    let _ = client.store("after the first expired");
    assert_over(&post_secret(&client).send(), "Secret creation");
    // A payload that follows makes no secret.
    let _ = client.delete(&href).send().expect(204);
    let two_steps = client.create(&json!({}));
    assert_eq!(client.put_payload(&two_steps, "text/plain", b"late").status, 204);
}

fn post_order(client: &Client, order_type: &str, passphrase: Option<&str>) -> Request {
    let algorithm = if order_type == "key" { "aes" } else { "rsa" };
    let bit_length = if order_type == "key" { 256 } else { 2048 };
    let mut meta = json!({ "algorithm": algorithm, "bit_length": bit_length });
    if let Some(passphrase) = passphrase {
        meta["passphrase"] = json!(passphrase);
    }
    client.post("/v1/orders").json(&json!({ "type": order_type, "meta": meta }))
}

/// Whether they are pending, or active by now and their secrets and containers are there.
fn orders_are_charged_for_all_that_they_will_make(database: Database) {
    let app = start(database);
    let (admin, client) = (admin(&app), app.client_of("p", "bob", &["creator"]));
    set(&admin, "p", &json!({ "secrets": 7, "containers": 2 }));
    let _ = post_order(&client, "asymmetric", Some("canary")).send().expect(202);
    let _ = post_order(&client, "asymmetric", None).send().expect(202);
    for passphrase in [None, Some("canary")] {
        assert_over(&post_order(&client, "asymmetric", passphrase).send(), "Order creation");
    }
    let _ = post_order(&client, "key", None).send().expect(202);
    let _ = client.create(&json!({}));
    assert_over(&post_order(&client, "key", None).send(), "Order creation");
    assert_over(&post_secret(&client).send(), "Secret creation");

    let client = app.client_of("q", "bob", &["creator"]);
    set(&admin, "q", &json!({ "secrets": 5, "orders": 6 }));
    assert_eq!(at_once((0..20).map(|_| post_order(&client, "key", None)).collect(), 202), 5);
    set(&admin, "q", &json!({ "secrets": -1 }));
    assert_eq!(at_once((0..10).map(|_| post_order(&client, "key", None)).collect(), 202), 1);
}

fn a_repetition_at_the_limit_is_refused(database: Database) {
    let app = start(database);
    let (admin, client) = (admin(&app), app.client_of("p", "bob", &["admin"]));
    let secret = client.store("used");
    let container = client.post("/v1/containers").json(&json!({ "type": "generic" })).send().expect(201);
    let of_secret = client
        .post(&format!("{secret}/consumers"))
        .json(&json!({ "service": "s", "resource_type": "t", "resource_id": "r" }));
    let of_container = client
        .post(&format!("{}/consumers", container.string("container_ref")))
        .json(&json!({ "name": "n", "URL": "http://u" }));
    set(&admin, "p", &json!({ "consumers": 1 }));
    for request in [&of_secret, &of_container] {
        let _ = request.send().expect(200);
        let answer = request.send();
        assert_eq!(answer.status, 403, "{answer}");
    }
    set(&admin, "p", &json!({ "consumers": 2 }));
    for request in [&of_secret, &of_container] {
        let _ = request.send().expect(200);
    }
}

/// Sends all requests at once; how many were answered with `status`, the others with 403.
fn at_once(requests: Vec<Request>, status: u16) -> usize {
    let together = Barrier::new(requests.len());
    std::thread::scope(|threads| {
        let send_one = |request: &Request| {
            together.wait();
            let mut answer = request.send();
            while answer.status == 503 {
                std::thread::sleep(Duration::from_millis(10));
                answer = request.send();
            }
            assert!(answer.status == status || answer.status == 403, "{answer}");
            answer.status == status
        };
        let senders: Vec<_> = requests.iter().map(|request| threads.spawn(move || send_one(request))).collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).filter(|is_made| *is_made).count()
    })
}

/// Sends two hundred requests at once, of which there is room for fifty at `path`.
fn assert_fifty_are_made(client: &Client, path: &str, status: u16, request: impl Fn(usize) -> Request) {
    let before = total(client, path);
    assert_eq!(at_once((0..4 * LIMIT).map(request).collect(), status), LIMIT, "{path}");
    assert_eq!(total(client, path), before + LIMIT as u64, "{path}");
}

fn total(client: &Client, path: &str) -> u64 {
    client.describe(&format!("{path}?limit=1"))["total"].as_u64().unwrap()
}

fn of_two_hundred_at_once_fifty_are_made(database: Database) {
    let app = start(database);
    let (admin, client) = (admin(&app), app.client_of("p", "bob", &["admin"]));
    set(&admin, "p", &json!({ "secrets": LIMIT, "containers": LIMIT }));
    assert_fifty_are_made(&client, "/v1/secrets", 201, |_| post_secret(&client));
    assert_fifty_are_made(&client, "/v1/containers", 201, |_| {
        client.post("/v1/containers").json(&json!({ "type": "generic" }))
    });
    // What orders would make has no room either.
    assert_eq!(at_once((0..4 * LIMIT).map(|_| post_order(&client, "key", None)).collect(), 202), 0);
    set(&admin, "p", &json!({ "secrets": -1, "orders": LIMIT }));
    assert_fifty_are_made(&client, "/v1/orders", 202, |_| post_order(&client, "key", None));
    // An order takes the room of what it will make.
    set(&admin, "q", &json!({ "secrets": LIMIT }));
    let client = app.client_of("q", "bob", &["admin"]);
    assert_fifty_are_made(&client, "/v1/orders", 202, |_| post_order(&client, "key", None));
}

fn of_two_hundred_consumers_at_once_fifty_are_registered(database: Database) {
    let app = start(database);
    let (admin, client) = (admin(&app), app.client_of("p", "bob", &["admin"]));
    let secret = client.store("used");
    let container = client.post("/v1/containers").json(&json!({ "type": "generic" })).send().expect(201);
    set(&admin, "p", &json!({ "consumers": LIMIT }));
    let of_secret = format!("{secret}/consumers");
    assert_fifty_are_made(&client, &of_secret, 200, |number| {
        let body = json!({ "service": "s", "resource_type": "t", "resource_id": number.to_string() });
        client.post(&of_secret).json(&body)
    });
    let of_container = format!("{}/consumers", container.string("container_ref"));
    assert_fifty_are_made(&client, &of_container, 200, |number| {
        client.post(&of_container).json(&json!({ "name": number.to_string(), "URL": "http://u" }))
    });
}

fn a_lower_limit_holds_at_once(database: Database) {
    let app = start(database);
    let (admin, client) = (admin(&app), app.client_of("p", "bob", &["creator"]));
    for (before, after) in [(-1, 30), (60, 40)] {
        set(&admin, "p", &json!({ "secrets": before }));
        let at_most = std::thread::scope(|threads| {
            threads.spawn(|| at_once((0..80).map(|_| post_secret(&client)).collect(), 201));
            std::thread::sleep(Duration::from_millis(60));
            set(&admin, "p", &json!({ "secrets": after }));
            client.describe("/v1/secrets?limit=1")["total"].as_u64().unwrap().max(after.try_into().unwrap())
        });
        let total = client.describe("/v1/secrets?limit=1")["total"].as_u64().unwrap();
        assert!(total <= at_most, "{total} of at most {at_most}");
    }
}
