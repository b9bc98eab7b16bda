//! `GET /v1/secrets`: pages, links, filters and orders.

use bailey_tests::suite::SharedCase;
use bailey_tests::{Client, TestApp, cases};
use serde_json::{Value, json};

pub const CASES: &[SharedCase] = cases![
    an_empty_list_has_no_links,
    pages_are_clamped_and_linked,
    links_keep_the_other_parameters,
    the_default_order_is_that_of_creation,
    filters_select,
    times_select,
    bad_times_are_refused,
    orders_sort,
    bad_orders_are_refused,
    items_are_what_get_shows,
    totals_follow_changes,
    other_projects_are_invisible,
    strange_parameters_do_no_harm,
];

fn list(client: &Client, query: &str) -> Value {
    client.describe(&format!("/v1/secrets?{query}"))
}

/// Names of the secrets a query finds, in order.
fn names(client: &Client, query: &str) -> Vec<String> {
    let listed = list(client, query);
    let secrets = listed["secrets"].as_array().unwrap();
    secrets.iter().map(|secret| secret["name"].as_str().unwrap_or("-").to_owned()).collect()
}

fn an_empty_list_has_no_links(app: &TestApp) {
    let client = app.client();
    for query in ["", "limit=5", "offset=7", "name=x"] {
        assert_eq!(list(&client, query), json!({ "secrets": [], "total": 0 }), "{query}");
    }
    let _ = client.store("text");
    assert_eq!(list(&client, "offset=7"), json!({ "secrets": [], "total": 1 }));
}

fn pages_are_clamped_and_linked(app: &TestApp) {
    let client = app.client();
    for number in 0..25 {
        let _ = client.create(&json!({ "name": format!("n{number:02}") }));
    }
    let link =
        |limit: usize, offset: usize| json!(format!("{}/v1/secrets?limit={limit}&offset={offset}", client.base()));
    let none = Value::Null;
    for (query, first, count, next, previous) in [
        ("", 0, 10, link(10, 10), none.clone()),
        ("limit=10", 0, 10, link(10, 10), none.clone()),
        ("offset=10", 10, 10, link(10, 20), link(10, 0)),
        ("offset=20", 20, 5, none.clone(), link(10, 10)),
        ("limit=5&offset=3", 3, 5, link(5, 8), link(5, 0)),
        ("limit=25", 0, 25, none.clone(), none.clone()),
        ("limit=24", 0, 24, link(24, 24), none.clone()),
        ("limit=100", 0, 25, none.clone(), none.clone()),
        ("limit=1000", 0, 25, none.clone(), none.clone()),
        ("limit=1000&offset=1", 1, 24, none.clone(), link(100, 0)),
        ("limit=0", 0, 1, link(1, 1), none.clone()),
        ("limit=-3", 0, 1, link(1, 1), none.clone()),
        ("limit=junk", 0, 10, link(10, 10), none.clone()),
        ("limit=", 0, 10, link(10, 10), none.clone()),
        ("offset=-1", 0, 10, link(10, 10), none.clone()),
        ("offset=junk", 0, 10, link(10, 10), none.clone()),
        ("offset=9223372036854775808", 0, 10, link(10, 10), none.clone()),
        ("offset=99999999999999999999999", 0, 10, link(10, 10), none.clone()),
    ] {
        let page = list(&client, query);
        let expected: Vec<String> = (first..first + count).map(|number| format!("n{number:02}")).collect();
        let found: Vec<&str> =
            page["secrets"].as_array().unwrap().iter().map(|secret| secret["name"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{query}");
        assert_eq!(page["total"], json!(25), "{query}");
        assert_eq!((&page["next"], &page["previous"]), (&next, &previous), "{query}");
        assert_eq!(page.get("next").is_some(), next != none, "{query}");
        assert_eq!(page.get("previous").is_some(), previous != none, "{query}");
    }
    for query in ["offset=25", "offset=9223372036854775807", "limit=3&offset=1000"] {
        assert_eq!(list(&client, query), json!({ "secrets": [], "total": 25 }), "{query}");
    }
}

fn links_keep_the_other_parameters(app: &TestApp) {
    let client = app.client();
    for number in 0..4 {
        let _ = client.create(&json!({ "name": "a b", "bit_length": 128, "mode": format!("m{number}") }));
    }
    let mut seen = Vec::new();
    let mut next = Some("/v1/secrets?name=a%20b&limit=1&bits=128&sort=mode:desc".to_owned());
    while let Some(href) = next {
        let page = client.describe(&href);
        seen.extend(page["secrets"].as_array().unwrap().iter().map(|secret| secret["mode"].clone()));
        next = page["next"].as_str().map(str::to_owned);
        for link in ["next", "previous"].iter().filter_map(|link| page[*link].as_str()) {
            assert!(link.starts_with(&format!("{}/v1/secrets?limit=1&offset=", client.base())), "{link}");
            let parameters = link.split_once('?').unwrap().1;
            assert!(parameters.contains("&bits=128"), "{link}");
            assert!(parameters.contains("&name=a+b") || parameters.contains("&name=a%20b"), "{link}");
            assert_eq!(parameters.matches("limit=").count(), 1, "{link}");
        }
    }
    assert_eq!(seen, ["m3", "m2", "m1", "m0"]);
}

fn the_default_order_is_that_of_creation(app: &TestApp) {
    let client = app.client();
    let hrefs: Vec<Value> = (0..15).map(|_| json!(client.store("text"))).collect();
    let listed = list(&client, "limit=100");
    let found: Vec<Value> =
        listed["secrets"].as_array().unwrap().iter().map(|secret| secret["secret_ref"].clone()).collect();
    assert_eq!(found, hrefs);
}

/// Secrets that differ in everything one can select by.
fn assorted(client: &Client) {
    for (name, algorithm, bits, mode, kind) in [
        ("alpha", "aes", 128, "cbc", "symmetric"),
        ("Alpha", "AES", 256, "gcm", "symmetric"),
        ("beta", "rsa", 2048, "", "private"),
        ("50%", "rsa", 4096, "none", "public"),
        ("a_c", "hmac", 512, "x", "opaque"),
        ("abc", "hmac", 512, "x", "passphrase"),
        ("back\\slash", "des", 64, "ecb", "opaque"),
        ("sp ace+plus", "des", 64, "ecb", "certificate"),
    ] {
        let body =
            json!({ "name": name, "algorithm": algorithm, "bit_length": bits, "mode": mode, "secret_type": kind });
        let _ = client.create(&body);
    }
    let _ = client.create(&json!({}));
}

fn filters_select(app: &TestApp) {
    let client = app.client();
    assorted(&client);
    for (query, expected) in [
        ("name=alpha", vec!["alpha"]),
        ("name=alph", vec![]),
        ("name=%25eta", vec!["beta"]),
        ("name=a%25", vec!["alpha", "a_c", "abc"]),
        ("name=a_c", vec!["a_c", "abc"]),
        ("name=sp%20ace%2Bplus", vec![]),
        ("name=sp%20ace%252Bplus", vec!["sp ace+plus"]),
        ("alg=aes", vec!["alpha"]),
        ("alg=%25s", vec!["alpha", "back\\slash", "sp ace+plus"]),
        ("mode=cbc", vec!["alpha"]),
        ("mode=__b", vec!["back\\slash", "sp ace+plus"]),
        ("name=back%5C%25", vec!["back\\slash"]),
        ("mode=_b_", vec!["alpha"]),
        ("bits=512", vec!["a_c", "abc"]),
        ("bits=7", vec![]),
        ("secret_type=public", vec!["50%"]),
        ("secret_type=opaque", vec!["a_c", "back\\slash", "-"]),
        ("secret_type=Opaque", vec![]),
        ("secret_type=bogus", vec![]),
        ("alg=rsa&secret_type=private", vec!["beta"]),
        ("bits=64&mode=ecb&name=b%25", vec!["back\\slash"]),
    ] {
        assert_eq!(names(&client, &format!("{query}&limit=100")), expected, "{query}");
        assert_eq!(list(&client, &format!("{query}&limit=1"))["total"], json!(expected.len()), "{query}");
    }
    for query in ["bits=junk", "bits=0", "bits=-1", "bits=", "acl_only=false", "unknown=x"] {
        assert_eq!(list(&client, query)["total"], json!(9), "{query}");
    }
    assert_eq!(list(&client, "acl_only=True")["total"], json!(0));
}

fn times_select(app: &TestApp) {
    let client = app.client();
    for (name, expiration) in [("early", "2040-01-01T00:00:00"), ("late", "2050-06-01T12:00:00.5"), ("never", "")] {
        let _ = client.create(&json!({ "name": name, "expiration": expiration }));
    }
    let created = list(&client, "name=late")["secrets"][0]["created"].as_str().unwrap().to_owned();
    for (query, expected) in [
        ("expiration=gt:2045-01-01", vec!["late"]),
        ("expiration=lt:2045-01-01", vec!["early"]),
        ("expiration=2040-01-01T00:00:00", vec!["early"]),
        ("expiration=gte:2040-01-01,lte:2040-01-01", vec!["early"]),
        ("expiration=gt:2040-01-01,lt:2050-06-01T12:00:00.5", vec![]),
        ("expiration=gt:2040-01-01,lte:2050-06-01T12:00:00.5", vec!["late"]),
        ("expiration=gte:2040-01-01T02:00:00%2B02:00,lt:2041-01-01", vec!["early"]),
        ("created=gt:2001-01-01", vec!["early", "late", "never"]),
        ("created=lt:2001-01-01", vec![]),
        ("updated=gte:2001-01-01T00:00:00", vec!["early", "late", "never"]),
        ("created=lt:2001-01-01&updated=gt:2001-01-01", vec![]),
        (&format!("created={created}"), vec!["late"]),
        (&format!("created=gt:{created}"), vec!["never"]),
        (&format!("created=lte:{created}"), vec!["early", "late"]),
    ] {
        assert_eq!(names(&client, query), expected, "{query}");
    }
}

fn bad_times_are_refused(app: &TestApp) {
    let client = app.client();
    for parameter in ["created", "updated", "expiration"] {
        for value in [
            "junk",
            "gt:junk",
            "bad:2040-01-01",
            "gt:2040-01-01,gte:2040-01-01",
            "lt:2040-01-01,lte:2040-01-01",
            "lt:2040-01-01,lt:2041-01-01",
            "gt:2040-01-01,gt:2041-01-01",
            "gte:2040-01-01,2041-01-01",
            "2040-01-01,2041-01-01",
            "gt:2040-01-01T00:00:00+02:00",
        ] {
            let answer = client.get(&format!("/v1/secrets?{parameter}={value}")).send();
            assert_eq!(answer.status, 400, "{answer}");
        }
    }
}

fn orders_sort(app: &TestApp) {
    let client = app.client();
    for (name, algorithm, bits) in
        [("b", "x", Some(2)), ("a", "x", Some(10)), ("B", "y", None), ("ä", "x", Some(1)), ("c", "y", Some(2))]
    {
        let mut body = json!({ "name": name, "algorithm": algorithm });
        if let Some(bits) = bits {
            body["bit_length"] = json!(bits);
        }
        let _ = client.create(&body);
    }
    for (sort, expected) in [
        ("created", ["b", "a", "B", "ä", "c"]),
        ("created:desc", ["c", "ä", "B", "a", "b"]),
        ("name", ["B", "a", "b", "c", "ä"]),
        ("name:asc", ["B", "a", "b", "c", "ä"]),
        ("name:desc", ["ä", "c", "b", "a", "B"]),
        ("bit_length", ["ä", "b", "c", "a", "B"]),
        ("bit_length:desc", ["B", "a", "b", "c", "ä"]),
        ("algorithm,name:desc", ["ä", "b", "a", "c", "B"]),
        ("algorithm:desc,bit_length:asc", ["c", "B", "ä", "b", "a"]),
        ("status,created:desc", ["c", "ä", "B", "a", "b"]),
        ("secret_type,mode,expiration,updated", ["b", "a", "B", "ä", "c"]),
    ] {
        assert_eq!(names(&client, &format!("sort={sort}")), expected, "{sort}");
        // The same order, in pages.
        let paged: Vec<String> =
            (0..5).flat_map(|offset| names(&client, &format!("sort={sort}&limit=1&offset={offset}"))).collect();
        assert_eq!(paged, expected, "{sort}");
    }
}

fn bad_orders_are_refused(app: &TestApp) {
    let client = app.client();
    for sort in ["bogus", "name:up", "name,name", "name:asc,name:desc", "name:asc:desc", "id", "name:"] {
        let answer = client.get(&format!("/v1/secrets?sort={sort}")).send();
        assert_eq!(answer.status, 400, "{sort}: {answer}");
    }
}

fn items_are_what_get_shows(app: &TestApp) {
    let client = app.client();
    let href = client.create(&json!({
        "name": "shown", "secret_type": "passphrase", "payload": "text", "payload_content_type": "text/plain",
    }));
    let _ = client.put(&format!("{href}/metadata")).json(&json!({ "metadata": { "a": "b" } })).send().expect(201);
    for client in [client.clone(), client.with_microversion("1.1")] {
        assert_eq!(list(&client, "")["secrets"], json!([client.describe(&href)]));
    }
}

fn totals_follow_changes(app: &TestApp) {
    let client = app.client();
    let hrefs: Vec<String> = (0..30).map(|_| client.store("text")).collect();
    assert_eq!(list(&client, "limit=1")["total"], json!(30));
    for href in &hrefs[..12] {
        let _ = client.delete(href).send().expect(204);
    }
    for query in ["limit=1", "limit=1&secret_type=opaque"] {
        assert_eq!(list(&client, query)["total"], json!(18), "{query}");
    }
}

fn other_projects_are_invisible(app: &TestApp) {
    let (mine, theirs) = (app.client(), app.client());
    let href = mine.create(&json!({ "name": "mine" }));
    let _ = theirs.create(&json!({ "name": "theirs" }));
    assert_eq!(names(&mine, ""), ["mine"]);
    assert_eq!(names(&theirs, "limit=100&sort=name"), ["theirs"]);
    assert_eq!(list(&mine, "")["secrets"][0]["secret_ref"], json!(href));
}

fn strange_parameters_do_no_harm(app: &TestApp) {
    let client = app.client();
    let _ = client.create(&json!({ "name": "Robert'); DROP TABLE secrets;--" }));
    for query in [
        "name=%27%20OR%201%3D1--",
        "alg=%27%3B%20DROP%20TABLE%20secrets%3B--",
        "secret_type=%27",
        "name=%5C",
        "name=%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25x",
        "mode=%F0%9F%98%80",
    ] {
        assert_eq!(list(&client, query)["total"], json!(0), "{query}");
    }
    for query in ["name=%ff", "name=%00", "alg=%00", "secret_type=%00", "sort=%00", "created=%00", "limit=%ff"] {
        let status = client.get(&format!("/v1/secrets?{query}")).send().status;
        assert!(status == 200 || status == 400, "{query}: {status}");
    }
    assert_eq!(list(&client, "name=Robert%25")["total"], json!(1));
}
