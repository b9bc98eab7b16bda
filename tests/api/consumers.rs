//! `/v1/secrets/{id}/consumers` and `/v1/containers/{id}/consumers`.

use std::thread;

use bailey_tests::suite::SharedCase;
use bailey_tests::{Client, TestApp, cases};
use serde_json::{Value, json};

pub const CASES: &[SharedCase] = cases![
    a_registration_answers_with_what_is_used,
    a_repeated_registration_changes_nothing,
    a_removal_answers_with_what_remains,
    secrets_list_their_consumers_by_creation,
    containers_list_their_consumers_by_name,
    the_old_address_lists_them_too,
    secrets_show_them_from_1_1_on,
    bad_consumers_are_refused,
    one_consumer_is_never_found,
    whose_a_registration_is,
    consumers_go_with_what_they_use,
    from_1_2_on_they_spare_a_secret,
    a_registration_or_the_deletion_it_forbids,
    order_of_complaints,
];

/// Something that has consumers, and a way to name one.
struct Used {
    href: String,
    consumers: String,
    /// The consumer called so, as its service says it and as it is shown.
    named: fn(&str) -> Value,
}

/// A new secret and a new container.
fn both(client: &Client) -> [Used; 2] {
    let container = client.post("/v1/containers").json(&json!({ "type": "generic" })).send().expect(201);
    let (secret, container) = (client.create(&json!({})), container.string("container_ref"));
    [
        Used { consumers: format!("{secret}/consumers"), href: secret, named: of_secret },
        Used { consumers: format!("{container}/consumers"), href: container, named: of_container },
    ]
}

fn of_secret(name: &str) -> Value {
    json!({ "service": name, "resource_type": "volume", "resource_id": "1" })
}

fn of_container(name: &str) -> Value {
    json!({ "name": name, "URL": "http://lb/1" })
}

fn add(client: &Client, used: &Used, consumer: &Value) -> Value {
    let answer = client.post(&used.consumers).json(consumer).send().expect(200);
    assert_eq!(answer.header("Location"), Some(used.consumers.as_str()));
    answer.json()
}

fn remove(client: &Client, used: &Used, consumer: &Value) -> Value {
    client.delete(&used.consumers).json(consumer).send().expect(200).json()
}

/// What a secret or container says of itself where its consumers are shown.
fn shown(client: &Client, used: &Used) -> Value {
    client.with_microversion("1.1").describe(&used.href)
}

fn a_registration_answers_with_what_is_used(app: &TestApp) {
    let client = app.client();
    for used in both(&client) {
        assert_eq!(client.describe(&used.consumers), json!({ "consumers": [], "total": 0 }));
        let before = shown(&client, &used);
        assert_eq!(before["consumers"], json!([]));
        let (first, second) = ((used.named)("a"), (used.named)("b"));
        let answer = add(&client, &used, &first);
        assert_eq!(answer["consumers"], json!([first]));
        assert_eq!(answer, shown(&client, &used));
        assert_ne!(answer["updated"], before["updated"]);
        let mut with_more = second.clone();
        with_more["ignored"] = json!(true);
        assert_eq!(add(&client, &used, &with_more)["consumers"], json!([first, second]));
    }
}

fn a_repeated_registration_changes_nothing(app: &TestApp) {
    let client = app.client();
    for used in both(&client) {
        let answer = add(&client, &used, &(used.named)("a"));
        assert_eq!(add(&client, &used, &(used.named)(" a ")), answer);
        assert_eq!(client.describe(&used.consumers)["total"], 1);
        let _ = remove(&client, &used, &(used.named)("a"));
        assert_eq!(add(&client, &used, &(used.named)("a"))["consumers"], json!([(used.named)("a")]));
    }
}

fn a_removal_answers_with_what_remains(app: &TestApp) {
    let client = app.client();
    for used in both(&client) {
        let [first, second] = ["a", "b"].map(used.named);
        let _ = add(&client, &used, &first);
        let before = add(&client, &used, &second);
        let answer = remove(&client, &used, &first);
        assert_eq!(answer["consumers"], json!([second]));
        assert_eq!(answer["updated"], before["updated"]);
        assert_eq!(answer, shown(&client, &used));
        let again = client.delete(&used.consumers).json(&first).send().expect(404);
        assert_eq!(again.string("title"), "Not Found");
        let _ = client.delete(&used.consumers).json(&(used.named)("c")).send().expect(404);
    }
}

/// The names of a page's consumers, in their order.
fn names(page: &Value, key: &str) -> Vec<String> {
    let consumers = page["consumers"].as_array().expect("a list of consumers");
    consumers.iter().map(|consumer| consumer[key].as_str().expect("a name").to_owned()).collect()
}

/// Follows the links of a list in pages of two.
fn walk(client: &Client, path: &str, href: &str, key: &str, expected: &[&str]) {
    let mut walked = Vec::new();
    let mut next = Some(format!("{path}?limit=2&ignored=1"));
    let mut offset = 0;
    while let Some(page) = next.take() {
        let page = client.describe(&page);
        assert_eq!(page["total"], json!(expected.len()));
        let previous = (offset > 0).then(|| format!("{href}?limit=2&offset={}", offset - 2));
        assert_eq!(page["previous"].as_str(), previous.as_deref());
        walked.extend(names(&page, key));
        offset += 2;
        next = page["next"].as_str().map(str::to_owned);
        assert_eq!(next, (offset < expected.len()).then(|| format!("{href}?limit=2&offset={offset}")));
    }
    assert_eq!(walked, expected);
    let beyond = client.describe(&format!("{path}?offset={}", expected.len()));
    assert_eq!(beyond, json!({ "consumers": [], "total": expected.len() }));
    let odd = client.describe(&format!("{path}?limit=0&offset=-1"));
    assert_eq!(names(&odd, key), expected[..1]);
    let _ = client.get(&format!("{path}?limit=1&limit=2")).send().expect(400);
}

fn secrets_list_their_consumers_by_creation(app: &TestApp) {
    let client = app.client();
    let [used, _] = both(&client);
    for name in ["c", "a", "e", "b", "d"] {
        let _ = add(&client, &used, &of_secret(name));
    }
    walk(&client, &used.consumers, &used.consumers, "service", &["c", "a", "e", "b", "d"]);
    let page = client.describe(&format!("{}?limit=1", used.consumers));
    let mut first = page["consumers"][0].clone();
    let times = ["created", "updated"].map(|name| first.as_object_mut().and_then(|item| item.remove(name)));
    assert!(times[0].as_ref().is_some_and(Value::is_string) && times[0] == times[1], "{page}");
    let mut expected = of_secret("c");
    expected["status"] = json!("ACTIVE");
    assert_eq!(first, expected);
}

fn containers_list_their_consumers_by_name(app: &TestApp) {
    let client = app.client();
    let [_, used] = both(&client);
    for name in ["c", "a", "e", "b", "d"] {
        let _ = add(&client, &used, &of_container(name));
    }
    walk(&client, &used.consumers, &used.consumers, "name", &["a", "b", "c", "d", "e"]);
    let second = json!({ "name": "a", "URL": "http://lb/0" });
    let _ = add(&client, &used, &second);
    let page = client.describe(&format!("{}?limit=2", used.consumers));
    assert_eq!(names(&page, "URL"), ["http://lb/0", "http://lb/1"]);
    assert_eq!(page["consumers"][0]["status"], "ACTIVE");
    assert_eq!(names(&shown(&client, &used), "name"), ["a", "a", "b", "c", "d", "e"]);
}

fn the_old_address_lists_them_too(app: &TestApp) {
    let client = app.client();
    for used in both(&client) {
        for name in ["a", "b", "c"] {
            let _ = add(&client, &used, &(used.named)(name));
        }
        let id = used.href.rsplit('/').next().expect("an id");
        let old = format!("{}/v1/consumers/{id}/consumers", client.base());
        assert_eq!(client.describe(&old), client.describe(&used.consumers));
        let key = if used.href.contains("secrets") { "service" } else { "name" };
        walk(&client, &old, &used.consumers, key, &["a", "b", "c"]);
        for method in ["POST", "DELETE", "PUT"] {
            let _ = client.request(method, &old).json(&(used.named)("a")).send().expect(405);
        }
        let _ = client.with_roles("nobody").get(&old).send().expect(403);
        let _ = client.get(&old).header("Accept", "text/plain").send().expect(406);
        let _ = client.delete(&used.href).send().expect(204);
        let _ = client.get(&old).send().expect(404);
    }
    let _ = client.get("/v1/consumers/junk/consumers").send().expect(404);
}

fn secrets_show_them_from_1_1_on(app: &TestApp) {
    let client = app.client();
    let [used, container] = both(&client);
    let _ = add(&client, &used, &of_secret("a"));
    let _ = add(&client, &container, &of_container("a"));
    assert_eq!(client.describe(&used.href).get("consumers"), None);
    assert_eq!(client.describe("/v1/secrets")["secrets"][0].get("consumers"), None);
    for version in ["1.1", "1.2"] {
        let newer = client.with_microversion(version);
        assert_eq!(newer.describe(&used.href)["consumers"], json!([of_secret("a")]));
        assert_eq!(newer.describe("/v1/secrets")["secrets"][0]["consumers"], json!([of_secret("a")]));
    }
    assert_eq!(client.describe(&container.href)["consumers"], json!([of_container("a")]));
}

fn bad_consumers_are_refused(app: &TestApp) {
    let client = app.client();
    let [secret, container] = both(&client);
    let long = "x".repeat(256);
    let bad_of_secret = [
        (json!([]), "Invalid property: 'None'"),
        (json!({ "resource_type": "t", "resource_id": "r" }), "Invalid property: 'service'"),
        (json!({ "service": "", "resource_type": "t", "resource_id": "r" }), "Invalid property: 'service'"),
        (json!({ "service": "s", "resource_type": 1, "resource_id": "r" }), "Invalid property: 'resource_type'"),
        (json!({ "service": "s", "resource_type": long, "resource_id": "r" }), "Invalid property: 'resource_type'"),
        (json!({ "service": "s", "resource_type": "t", "resource_id": null }), "Invalid property: 'resource_id'"),
        (json!({ "service": "s", "resource_type": "t", "resource_id": long }), "Invalid property: 'resource_id'"),
    ];
    let bad_of_container = [
        (json!("x"), "Invalid property: 'None'"),
        (json!({ "URL": "u" }), "Invalid property: 'name'"),
        (json!({ "name": "x".repeat(37), "URL": "u" }), "Invalid property: 'name'"),
        (json!({ "name": "n", "url": "u" }), "Invalid property: 'URL'"),
        (json!({ "name": "n", "URL": "" }), "Invalid property: 'URL'"),
        (json!({ "name": "n", "URL": long }), "Invalid property: 'URL'"),
    ];
    for (used, schema, cases) in
        [(&secret, "Secret Consumer", bad_of_secret.as_slice()), (&container, "Consumer", &bad_of_container)]
    {
        for (body, named) in cases {
            for method in ["POST", "DELETE"] {
                let answer = client.request(method, &used.consumers).json(body).send().expect(400);
                let description = answer.string("description");
                let begin = format!("Provided object does not match schema '{schema}': ");
                assert!(description.starts_with(&begin) && description.ends_with(named), "{description}");
            }
        }
        assert_eq!(client.describe(&used.consumers)["total"], 0);
    }
    let most = json!({ "service": "ä".repeat(255), "resource_type": "𝄞".repeat(255), "resource_id": "r".repeat(255) });
    let _ = add(&client, &secret, &most);
    let _ = add(&client, &container, &json!({ "name": "𝄞".repeat(36), "URL": "𝄞".repeat(255) }));
}

fn one_consumer_is_never_found(app: &TestApp) {
    let client = app.client();
    for used in both(&client) {
        let _ = add(&client, &used, &(used.named)("a"));
        let id = used.href.rsplit('/').next().expect("an id");
        for id in [id, "00000000-0000-4000-8000-000000000000", "junk"] {
            let path = format!("{}/{id}", used.consumers);
            let answer = client.get(&path).send().expect(404);
            assert_eq!(answer.string("title"), "Not Found");
            for method in ["PUT", "POST", "DELETE"] {
                let _ = client.request(method, &path).json(&json!({})).send().expect(405);
            }
        }
        let path = format!("{}/{id}", used.consumers);
        let denied = client.with_roles("nobody").get(&path).send().expect(403);
        let kind = if used.href.contains("secrets") { "Secret" } else { "Container" };
        assert!(denied.string("description").starts_with(&format!("{kind}Consumer retrieval attempt")), "{denied}");
        let _ = client.with_roles("nobody").get(&format!("{}/junk", used.consumers)).send().expect(404);
    }
}

fn whose_a_registration_is(app: &TestApp) {
    let here = format!("consumers-{}", app.database());
    let owner = app.client_of(&here, "own", &["creator"]);
    let [guest, another] = ["guest", "another"].map(|user| app.client_of(&format!("of-{user}"), user, &["observer"]));
    for used in both(&owner) {
        let consumer = (used.named)("a");
        let _ = guest.post(&used.consumers).json(&consumer).send().expect(403);
        let readers = json!({ "read": { "users": ["guest", "another"] } });
        let _ = owner.put(&format!("{}/acl", used.href)).json(&readers).send().expect(200);

        // What a project registered another one can't end, nor take over by registering it again.
        let _ = add(&guest, &used, &consumer);
        let _ = add(&another, &used, &consumer);
        let _ = another.delete(&used.consumers).json(&consumer).send().expect(403);
        assert_eq!(owner.describe(&used.consumers)["total"], 1);
        let _ = remove(&guest, &used, &consumer);
        // Once it is gone, whoever comes next has it.
        let _ = add(&another, &used, &consumer);
        let _ = guest.delete(&used.consumers).json(&consumer).send().expect(403);
        // The owner of what is used ends any.
        assert_eq!(remove(&owner, &used, &consumer)["consumers"], json!([]));
        let _ = another.delete(&used.consumers).json(&consumer).send().expect(404);
        let _ = add(&owner, &used, &consumer);
        let _ = guest.delete(&used.consumers).json(&consumer).send().expect(403);

        let denied = guest.with_roles("admin").get(&format!("{}/acl", used.href)).send();
        assert_eq!(denied.status, 403, "{denied}");
    }
}

fn consumers_go_with_what_they_use(app: &TestApp) {
    let client = app.client();
    for used in both(&client) {
        let _ = add(&client, &used, &(used.named)("a"));
        let _ = client.delete(&used.href).send().expect(204);
        for request in [client.get(&used.consumers), client.post(&used.consumers).json(&(used.named)("a"))] {
            let _ = request.send().expect(404);
        }
    }
}

fn from_1_2_on_they_spare_a_secret(app: &TestApp) {
    let client = app.client();
    let late = client.with_microversion("1.2");
    for (query, status) in [("", 400), ("?force=false", 400), ("?force=true", 204), ("?force=on", 204)] {
        let [used, _] = both(&client);
        let _ = add(&client, &used, &of_secret("a"));
        let answer = late.delete(&format!("{}{query}", used.href)).send().expect(status);
        if status == 400 {
            assert!(answer.string("description").starts_with("Secret deletion issue seen - "), "{answer}");
            let _ = remove(&client, &used, &of_secret("a"));
            let _ = late.delete(&used.href).send().expect(204);
        }
        let _ = client.get(&used.href).send().expect(404);
    }
    for version in ["1.0", "1.1"] {
        let [used, container] = both(&client);
        let _ = add(&client, &used, &of_secret("a"));
        let _ = add(&client, &container, &of_container("a"));
        let _ = client.with_microversion(version).delete(&used.href).send().expect(204);
        let _ = late.delete(&container.href).send().expect(204);
    }
}

fn a_registration_or_the_deletion_it_forbids(app: &TestApp) {
    let client = app.client();
    let late = client.with_microversion("1.2");
    for _ in 0..20 {
        let [used, _] = both(&client);
        let (added, deleted) = thread::scope(|scope| {
            let registration = scope.spawn(|| client.post(&used.consumers).json(&of_secret("a")).send().status);
            let deletion = scope.spawn(|| late.delete(&used.href).send().status);
            (registration.join().expect("an answer"), deletion.join().expect("an answer"))
        });
        let is_there = client.get(&used.href).send().status;
        assert!(
            [(200, 400, 200), (404, 204, 404)].contains(&(added, deleted, is_there)),
            "{added} {deleted} {is_there}"
        );
    }
}

fn order_of_complaints(app: &TestApp) {
    let client = app.client();
    for used in both(&client) {
        for method in ["PUT", "PATCH"] {
            let answer = client.request(method, &used.consumers).json(&json!({})).send().expect(405);
            assert_eq!(answer.header("Allow"), Some("DELETE, GET, POST"));
        }
        let kind = if used.href.contains("secrets") { "Secret" } else { "Container" };
        for (method, operation) in
            [("GET", "Consumers(s) retrieval"), ("POST", "Consumer creation"), ("DELETE", "Consumer deletion")]
        {
            let request = client.with_roles("nobody").request(method, &used.consumers);
            let denied = request.payload("text/plain", "x").send().expect(403);
            let begin = format!("{kind}{operation} attempt not allowed");
            assert!(denied.string("description").starts_with(&begin), "{denied}");
            let request = client.request(method, &used.consumers).header("Accept", "text/plain");
            let _ = request.json(&(used.named)("a")).send().expect(406);
        }
        for method in ["POST", "DELETE"] {
            let _ = client.request(method, &used.consumers).payload("text/plain", "{}").send().expect(415);
            let _ = client.request(method, &used.consumers).send().expect(415);
            let _ = client.request(method, &used.consumers).payload("application/json", "").send().expect(400);
        }
    }
    for kind in ["secrets", "containers"] {
        for id in ["00000000-0000-4000-8000-000000000000", "junk"] {
            for method in ["GET", "POST", "DELETE", "PUT"] {
                let path = format!("/v1/{kind}/{id}/consumers");
                let _ = client.with_roles("nobody").request(method, &path).body("x").send().expect(404);
            }
        }
    }
}
