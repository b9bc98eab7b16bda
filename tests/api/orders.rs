//! Orders: what is taken and refused, how they are told, and who may do what with them.

use std::time::Duration;

use bailey_testkit::process;
use bailey_tests::suite::SharedCase;
use bailey_tests::{Client, TestApp, cases};
use serde_json::{Value, json};

pub const CASES: &[SharedCase] = cases![
    meta_is_told_again_without_what_is_secret,
    nobody_else_becomes_the_owner,
    bad_orders_are_refused,
    an_order_is_deleted_without_its_product,
    a_deleted_product_leaves_its_order,
    orders_of_others_are_not_there,
    roles_decide,
    methods_and_media_types,
    lists_are_pages_by_creation,
    lists_are_filtered_by_parts_of_meta,
    many_orders_at_once_are_all_done,
];

pub const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

pub fn order(kind: &str, meta: Value) -> Value {
    json!({ "type": kind, "meta": meta })
}

pub fn aes() -> Value {
    json!({ "name": "k", "algorithm": "aes", "bit_length": 256, "mode": "cbc" })
}

/// Gives an order and returns its href.
pub fn give(client: &Client, kind: &str, meta: Value) -> String {
    let answer = client.post("/v1/orders/").json(&order(kind, meta)).send().expect(202);
    let href = answer.string("order_ref");
    assert_eq!(answer.header("Location"), Some(href.as_str()), "{answer}");
    assert_eq!(answer.json(), json!({ "order_ref": href }));
    href
}

/// The order once it has ended.
pub fn ended(client: &Client, href: &str) -> Value {
    let ended = process::until(Duration::from_secs(60), || {
        let order = client.describe(href);
        anyhow::ensure!(order["status"] != "PENDING", "{order}");
        Ok(order)
    });
    ended.unwrap()
}

/// Gives an order and returns it once it is done.
pub fn done(client: &Client, kind: &str, meta: Value) -> Value {
    let order = ended(client, &give(client, kind, meta));
    assert_eq!(order["status"], "ACTIVE", "{order}");
    order
}

pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no string `{key}` in {value}"))
}

fn meta_is_told_again_without_what_is_secret(app: &TestApp) {
    let client = app.client();
    let meta = json!({
        "name": " k ", "algorithm": "aes", "bit_length": 128.0, "unknown": {"a": [1, " x "]}, "passphrase": "canary",
        "creator_id": "mallory",
    });
    let order = done(&client, "key", meta);
    let expected = json!({
        "name": "k", "algorithm": "aes", "bit_length": 128, "expiration": null, "unknown": {"a": [1, "x"]},
    });
    assert_eq!(order["meta"], expected);
    assert_eq!(client.describe("/v1/secrets")["total"], 1);
}

fn nobody_else_becomes_the_owner(app: &TestApp) {
    let client = app.client();
    let mut meta = aes();
    meta["creator_id"] = json!("mallory");
    let order = done(&client, "key", meta);
    assert_eq!(text(&order, "creator_id"), "tester");
    assert_eq!(client.describe(text(&order, "secret_ref"))["creator_id"], "tester");
}

fn bad_orders_are_refused(app: &TestApp) {
    let client = app.client();
    for body in [json!({}), json!([]), json!({ "type": "certificate", "meta": aes() }), json!({ "type": "key" })] {
        let answer = client.post("/v1/orders").json(&body).send().expect(400);
        assert_eq!(answer.string("title"), "Bad Request");
        assert!(answer.string("description").contains("does not match schema 'Order'"), "{answer}");
    }
    for meta in [
        json!({}),
        json!({ "algorithm": "aes" }),
        json!({ "bit_length": 256 }),
        json!({ "algorithm": "", "bit_length": 256 }),
        json!({ "algorithm": "aes", "bit_length": 0 }),
        json!({ "algorithm": "aes", "bit_length": 129 }),
        json!({ "algorithm": "aes", "bit_length": "256" }),
        json!({ "algorithm": "aes", "bit_length": 256, "payload": "" }),
        json!({ "algorithm": "aes", "bit_length": 256, "payload_content_type": "image/png" }),
        json!({ "algorithm": "aes", "bit_length": 256, "expiration": "2000-01-01" }),
    ] {
        let answer = client.post("/v1/orders").json(&order("key", meta)).send().expect(400);
        assert!(answer.string("description").contains("does not match schema 'Secret' within 'Order'"), "{answer}");
    }
    let _ = client.post("/v1/orders").body("{}").send().expect(415);
    assert_eq!(client.describe("/v1/orders"), json!({ "orders": [], "total": 0 }));
}

fn an_order_is_deleted_without_its_product(app: &TestApp) {
    let client = app.client();
    let order = done(&client, "key", aes());
    let href = text(&order, "order_ref");
    let _ = client.delete(href).send().expect(204);
    let _ = client.delete(href).send().expect(404);
    let _ = client.get(href).send().expect(404);
    assert_eq!(client.payload(text(&order, "secret_ref")).len(), 32);
    assert_eq!(client.describe("/v1/orders")["total"], 0);
}

fn a_deleted_product_leaves_its_order(app: &TestApp) {
    let client = app.client();
    let order = done(&client, "key", aes());
    let _ = client.delete(text(&order, "secret_ref")).send().expect(204);
    assert_eq!(client.describe(text(&order, "order_ref")), order);
}

fn orders_of_others_are_not_there(app: &TestApp) {
    let (client, other) = (app.client(), app.client());
    let href = give(&client, "key", aes());
    for request in [other.get(&href), other.delete(&href)] {
        let answer = request.send().expect(404);
        assert_eq!(answer.string("title"), "Not Found");
    }
    assert_eq!(other.describe("/v1/orders")["total"], 0);
    ended(&client, &href);
}

fn roles_decide(app: &TestApp) {
    let client = app.client();
    let href = text(&done(&client, "key", aes()), "order_ref").to_owned();
    let new = || order("key", aes());
    for (role, post, list, get, delete) in [
        ("creator", 202, 200, 200, 403),
        ("observer", 403, 200, 200, 403),
        ("audit", 403, 403, 200, 403),
        ("key-manager:service-admin", 403, 403, 200, 403),
        ("member", 403, 403, 403, 403),
    ] {
        let client = client.with_roles(role);
        let _ = client.post("/v1/orders").json(&new()).send().expect(post);
        let _ = client.get("/v1/orders").send().expect(list);
        let _ = client.get(&href).send().expect(get);
        let _ = client.delete(&href).send().expect(delete);
        let _ = client.get(&format!("/v1/orders/{UNKNOWN}")).send().expect(404);
        let _ = client.put("/v1/orders").json(&json!({})).send().expect(if post == 202 { 405 } else { 403 });
    }
    let denied = client.with_roles("member").post("/v1/orders").json(&new()).send().expect(403);
    let expected = "Order creation attempt not allowed - please review your user/project privileges";
    assert_eq!(denied.string("description"), expected);
    let denied = client.with_roles("member").put("/v1/orders").send().expect(403);
    assert!(denied.string("description").starts_with("Order update attempt"), "{denied}");
    let _ = client.delete(&href).send().expect(204);
}

fn methods_and_media_types(app: &TestApp) {
    let client = app.client();
    let href = text(&done(&client, "key", aes()), "order_ref").to_owned();
    for accept in ["application/json", "*/*"] {
        let answer = client.put("/v1/orders").header("Accept", accept).json(&json!({})).send().expect(405);
        assert_eq!(answer.header("Allow"), Some("GET, POST"));
        let answer = client.put(&href).header("Accept", accept).json(&json!({})).send().expect(405);
        assert_eq!(answer.header("Allow"), Some("DELETE, GET"));
    }
    let _ = client.request("PATCH", "/v1/orders").send().expect(405);
    let _ = client.put(&format!("/v1/orders/{UNKNOWN}")).send().expect(404);
    let _ = client.get(&href).header("Accept", "text/plain").send().expect(406);
    let _ = client.get("/v1/orders").header("Accept", "text/html").send().expect(406);
    for id in [UNKNOWN, "junk", "%00"] {
        let _ = client.get(&format!("/v1/orders/{id}")).send().expect(404);
        let _ = client.delete(&format!("/v1/orders/{id}")).send().expect(404);
    }
    let _ = client.get(&format!("{href}/")).send().expect(200);
    let _ = client.delete(&href).header("Accept", "text/plain").send().expect(204);
}

fn lists_are_pages_by_creation(app: &TestApp) {
    let client = app.client();
    let hrefs: Vec<String> = (0..5).map(|_| give(&client, "key", aes())).collect();
    for href in &hrefs {
        ended(&client, href);
    }
    let page = |query: &str| client.describe(&format!("/v1/orders?{query}"));
    let listed = page("");
    let refs: Vec<&str> = listed["orders"].as_array().unwrap().iter().map(|order| text(order, "order_ref")).collect();
    assert_eq!((refs, &listed["total"]), (hrefs.iter().map(String::as_str).collect(), &json!(5)));
    assert_eq!(listed["orders"][2], client.describe(&hrefs[2]));
    let link =
        |limit: usize, offset: usize| json!(format!("{}/v1/orders?limit={limit}&offset={offset}", client.base()));
    let middle = page("limit=2&offset=2&meta=aes");
    assert_eq!((&middle["previous"], &middle["next"], &middle["total"]), (&link(2, 0), &link(2, 4), &json!(5)));
    assert_eq!(middle["orders"][0]["order_ref"], json!(hrefs[2]));
    assert_eq!(page("offset=9"), json!({ "orders": [], "total": 5 }));
    assert_eq!(page("limit=0")["orders"].as_array().unwrap().len(), 1);
    let _ = client.get("/v1/orders?limit=1&limit=2").send().expect(400);
    let _ = client.get("/v1/orders?meta=a&meta=b").send().expect(400);
}

fn lists_are_filtered_by_parts_of_meta(app: &TestApp) {
    let client = app.client();
    for (name, bits) in [("alpha", 128), ("beta_x", 256), ("100%", 256)] {
        done(&client, "key", json!({ "name": name, "algorithm": "aes", "bit_length": bits }));
    }
    let count = |part: &str| {
        let listed = client.describe(&format!("/v1/orders?meta={part}"));
        assert_eq!(listed["orders"].as_array().unwrap().len() as u64, listed["total"].as_u64().unwrap(), "{part}");
        listed["total"].as_u64().unwrap()
    };
    for (part, expected) in [
        ("aes", 3),
        ("AES", 0),
        ("alpha", 1),
        ("256", 2),
        ("beta_x", 1),
        ("b_ta", 1),
        ("256%25beta", 1),
        ("%25", 3),
        ("nothing", 0),
        ("", 3),
    ] {
        assert_eq!(count(part), expected, "{part}");
    }
    assert_eq!(count(&"x".repeat(20_000)), 0);
    assert_eq!(count(&"%25".repeat(5_000)), 3);
}

fn many_orders_at_once_are_all_done(app: &TestApp) {
    let client = app.client();
    let hrefs: Vec<String> = std::thread::scope(|threads| {
        let givers: Vec<_> =
            (0..8).map(|_| threads.spawn(|| (0..5).map(|_| give(&client, "key", aes())).collect::<Vec<_>>())).collect();
        givers.into_iter().flat_map(|giver| giver.join().unwrap()).collect()
    });
    let mut secrets: Vec<String> =
        hrefs.iter().map(|href| text(&ended(&client, href), "secret_ref").to_owned()).collect();
    secrets.sort_unstable();
    secrets.dedup();
    assert_eq!(secrets.len(), 40);
    assert_eq!(client.describe("/v1/secrets")["total"], 40);
}
