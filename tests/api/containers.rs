//! `/v1/containers`: what is created, refused, listed and deleted.

use bailey_tests::suite::SharedCase;
use bailey_tests::{Client, TestApp, cases};
use serde_json::{Value, json};

pub const CASES: &[SharedCase] = cases![
    a_container_is_what_was_created,
    names_of_references_are_kept_apart,
    each_type_has_its_names,
    bad_bodies_are_refused,
    references_begin_as_hrefs_of_this_service,
    secrets_must_be_there,
    many_references_fit,
    a_deleted_container_leaves_its_secrets,
    methods_and_media_types,
    roles_and_projects,
    pages_and_links,
    filters_select,
    totals_follow_changes,
];

const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

fn reference(href: &str, name: &str) -> Value {
    json!({ "secret_ref": href, "name": name })
}

fn a_container_is_what_was_created(app: &TestApp) {
    let client = app.client();
    let hrefs = [(); 2].map(|()| client.store("text"));
    let references = json!([reference(&hrefs[1], "first"), reference(&hrefs[0], "second")]);
    let body = json!({ "name": " n ", "type": "generic", "secret_refs": references, "creator_id": "x", "other": 1 });
    let href = client.contain(&body);
    let id = href.strip_prefix(&format!("{}/v1/containers/", client.base())).unwrap();
    assert_eq!(id.len(), 36, "{href}");

    let mut found = client.describe(&href);
    let created = found["created"].take();
    assert!(created.as_str().is_some_and(|time| time.starts_with("20") && !time.ends_with('Z')), "{created}");
    assert_eq!(found["updated"].take(), created);
    let expected = json!({
        "created": null, "updated": null, "status": "ACTIVE", "name": "n", "type": "generic", "creator_id": "tester",
        "secret_refs": references, "consumers": [], "container_ref": href,
    });
    assert_eq!(found, expected);
    let listed = client.describe("/v1/containers");
    assert_eq!(listed, json!({ "containers": [client.describe(&href)], "total": 1 }));
    for path in [format!("{href}/"), format!("{href}.json")] {
        assert_eq!(client.describe(&path)["container_ref"], json!(href));
    }

    for (body, name) in [
        (json!({ "type": "generic" }), Value::Null),
        (json!({ "type": " rsa ", "name": null }), Value::Null),
        (json!({ "type": "certificate", "name": "", "secret_refs": [] }), json!("")),
        (json!({ "type": "generic", "name": "ä".repeat(255) }), json!("ä".repeat(255))),
    ] {
        let found = client.describe(&client.contain(&body));
        assert_eq!((&found["name"], &found["secret_refs"]), (&name, &json!([])), "{body}");
    }
}

fn names_of_references_are_kept_apart(app: &TestApp) {
    let client = app.client();
    let hrefs = [(); 2].map(|()| client.store("text"));
    let absent = || json!({ "secret_ref": hrefs[0] });
    let nameless = |href: &str| json!({ "secret_ref": href, "name": null });
    for (references, names) in [
        (json!([absent()]), json!([null])),
        (json!([absent(), nameless(&hrefs[1])]), json!([null, null])),
        (json!([absent(), reference(&hrefs[1], "a")]), json!([null, "a"])),
        (json!([nameless(&hrefs[0]), reference(&hrefs[1], " ")]), json!([null, ""])),
        (json!([reference(&hrefs[1], " a "), reference(&hrefs[0], "A")]), json!(["a", "A"])),
    ] {
        let href = client.contain(&json!({ "type": "generic", "secret_refs": references }));
        let found = client.describe(&href)["secret_refs"].take();
        let shown: Vec<&Value> = found.as_array().unwrap().iter().map(|reference| &reference["name"]).collect();
        assert_eq!(json!(shown), names, "{references}");
    }
    for second in [json!({ "secret_ref": hrefs[1] }), reference(&hrefs[1], "")] {
        refused(&client, &json!({ "type": "generic", "secret_refs": [absent(), second] }), "secret_refs");
    }
    refused(
        &client,
        &json!({ "type": "generic", "secret_refs": [nameless(&hrefs[0]), nameless(&hrefs[1])] }),
        "secret_refs",
    );
}

/// That a body is refused with 400, naming this field.
#[track_caller]
fn refused(client: &Client, body: &Value, field: &str) {
    let answer = client.post("/v1/containers").json(body).send().expect(400);
    let description = answer.string("description");
    let begins = "Provided object does not match schema 'Container': ";
    assert!(description.starts_with(begins) && description.contains(&format!("'{field}")), "{answer}");
    assert_eq!(answer.string("title"), "Bad Request");
}

fn each_type_has_its_names(app: &TestApp) {
    let client = app.client();
    let hrefs: Vec<String> = (0..4).map(|_| client.store("text")).collect();
    let of = |kind: &str, names: &[&str]| {
        let references: Vec<Value> = hrefs.iter().zip(names).map(|(href, name)| reference(href, name)).collect();
        json!({ "type": kind, "secret_refs": references })
    };
    for (kind, names) in [
        ("rsa", vec!["public_key", "private_key"]),
        ("rsa", vec!["private_key", "private_key_passphrase", "public_key"]),
        ("certificate", vec!["certificate"]),
        ("certificate", vec!["private_key", "certificate"]),
        ("certificate", vec!["intermediates", "certificate", "private_key_passphrase", "private_key"]),
        ("generic", vec!["a", "b", "c", ""]),
    ] {
        let found = client.describe(&client.contain(&of(kind, &names)));
        assert_eq!(found["type"], json!(kind));
        assert_eq!(found["secret_refs"].as_array().unwrap().len(), names.len());
    }
    for (kind, names) in [
        ("rsa", vec!["public_key"]),
        ("rsa", vec!["private_key", "private_key_passphrase"]),
        ("rsa", vec!["public_key", "private_key", "other"]),
        ("rsa", vec!["public_key", "private_key", ""]),
        ("rsa", vec!["Public_key", "private_key"]),
        ("certificate", vec!["private_key"]),
        ("certificate", vec!["certificate", "public_key"]),
        ("certificate", vec![""]),
    ] {
        refused(&client, &of(kind, &names), "secret_refs");
    }
    for kind in ["rsa", "certificate"] {
        let unnamed = json!({ "type": kind, "secret_refs": [{ "secret_ref": hrefs[0] }] });
        refused(&client, &unnamed, "secret_refs");
    }
}

fn bad_bodies_are_refused(app: &TestApp) {
    let client = app.client();
    let href = client.store("text");
    let long = "x".repeat(256);
    for (body, field) in [
        (json!([]), ""),
        (json!({}), ""),
        (json!({ "type": null }), "type"),
        (json!({ "type": 5 }), "type"),
        (json!({ "type": "Generic" }), "type"),
        (json!({ "type": "dsa" }), "type"),
        (json!({ "type": "generic", "name": 5 }), "name"),
        (json!({ "type": "generic", "name": long }), "name"),
        (json!({ "type": "generic", "secret_refs": null }), "secret_refs"),
        (json!({ "type": "generic", "secret_refs": {} }), "secret_refs"),
        (json!({ "type": "generic", "secret_refs": [href] }), "secret_refs"),
        (json!({ "type": "generic", "secret_refs": [{}] }), "secret_refs"),
        (json!({ "type": "generic", "secret_refs": [{ "secret_ref": null }] }), "secret_refs"),
        (json!({ "type": "generic", "secret_refs": [{ "secret_ref": " " }] }), "secret_refs"),
        (json!({ "type": "generic", "secret_refs": [reference(&href, &long)] }), "secret_refs"),
        (json!({ "type": "generic", "secret_refs": [{ "secret_ref": href, "name": 5 }] }), "secret_refs"),
        (
            json!({ "type": "generic", "secret_refs": [reference(&href, "a"), reference(&format!("{href}/"), "b")] }),
            "secret_refs",
        ),
    ] {
        refused(&client, &body, field);
    }
    for body in ["", "{", "\u{feff}{}"] {
        let _ = client.post("/v1/containers").payload("application/json", body).send().expect(400);
    }
    let both = client.post("/v1/containers").json(&json!({ "type": "x", "name": 1 })).send().expect(400);
    let description = both.string("description");
    assert!(description.contains("'name'") && description.contains("'type'"), "{both}");
    assert_eq!(client.describe("/v1/containers")["total"], json!(0));
}

fn references_begin_as_hrefs_of_this_service(app: &TestApp) {
    let client = app.client();
    let href = client.store("text");
    let id = href.rsplit_once('/').unwrap().1;
    let create = |href: &str| {
        let body = json!({ "type": "generic", "secret_refs": [{ "secret_ref": href }] });
        client.post("/v1/containers").json(&body).send()
    };
    for good in [href.clone(), format!("{href}/"), format!(" {href} "), format!("{}/anything/{id}", client.base())] {
        let container = create(&good).expect(201).string("container_ref");
        assert_eq!(client.describe(&container)["secret_refs"], json!([{ "name": null, "secret_ref": href }]));
    }
    for bad in [format!("http://evil.example/v1/secrets/{id}"), format!("/v1/secrets/{id}"), id.to_owned()] {
        let _ = create(&bad).expect(400);
    }
    for absent in [
        format!("{href}/payload"),
        format!("{href}?x=1"),
        format!("{href}//"),
        client.base(),
        format!("{}/v1/secrets/junk", client.base()),
        format!("{}/v1/secrets/{UNKNOWN}", client.base()),
        href.replace(id, &id.to_uppercase()).replace("HTTP", "http"),
        format!("{}/v1/secrets/{}", client.base(), "x".repeat(300)),
    ] {
        if absent != href {
            assert_eq!(create(&absent).expect(404).string("title"), "Not Found");
        }
    }
}

fn secrets_must_be_there(app: &TestApp) {
    let (client, other) = (app.client(), app.client());
    let (good, deleted, foreign) = (client.store("text"), client.store("text"), other.store("text"));
    let _ = client.delete(&deleted).send().expect(204);
    for absent in [deleted, foreign] {
        let body = json!({ "type": "generic", "secret_refs": [reference(&good, "a"), reference(&absent, "b")] });
        let _ = client.post("/v1/containers").json(&body).send().expect(404);
    }
    assert_eq!(client.describe("/v1/containers"), json!({ "containers": [], "total": 0 }));
}

fn many_references_fit(app: &TestApp) {
    let client = app.client();
    let references: Vec<Value> =
        (0..60).map(|number| reference(&client.create(&json!({})), &format!("secret {number}"))).collect();
    let body = json!({ "type": "generic", "secret_refs": references });
    let href = client.contain(&body);
    assert_eq!(client.describe(&href)["secret_refs"], json!(references));
    let _ = client.contain(&body);
    let listed = client.describe("/v1/containers")["containers"].take();
    assert!(listed.as_array().unwrap().iter().all(|container| container["secret_refs"] == json!(references)));
}

fn a_deleted_container_leaves_its_secrets(app: &TestApp) {
    let client = app.client();
    let secret = client.store("text");
    let href = client.contain(&json!({ "type": "generic", "secret_refs": [reference(&secret, "a")] }));
    let answer = client.delete(&href).header("Accept", "text/plain").send().expect(204);
    assert!(answer.body.is_empty());
    for answer in [
        client.get(&href).send(),
        client.delete(&href).send(),
        client.put(&href).json(&json!({})).send(),
        client.post(&format!("{href}/secrets")).json(&reference(&secret, "b")).send(),
        client.delete(&format!("{href}/secrets")).json(&reference(&secret, "a")).send(),
    ] {
        assert_eq!(answer.status, 404, "{answer}");
    }
    assert_eq!(client.payload(&secret), b"text");
    assert_eq!(client.describe("/v1/containers"), json!({ "containers": [], "total": 0 }));
}

fn methods_and_media_types(app: &TestApp) {
    let client = app.client();
    let href = client.contain(&json!({ "type": "generic" }));
    for accept in [None, Some("*/*"), Some("application/json")] {
        let send = |method: &str, path: &str| {
            let request = client.request(method, path);
            accept.map_or(request.clone(), |accept| request.header("Accept", accept)).send()
        };
        for (method, allowed) in [("PUT", "DELETE, GET"), ("POST", "DELETE, GET"), ("PATCH", "DELETE, GET")] {
            assert_eq!(send(method, &href).expect(405).header("Allow"), Some(allowed));
        }
        for method in ["PUT", "DELETE", "PATCH"] {
            assert_eq!(send(method, "/v1/containers").expect(405).header("Allow"), Some("GET, POST"));
        }
        for id in [UNKNOWN, "junk"] {
            let _ = send("PUT", &format!("/v1/containers/{id}")).expect(404);
            let _ = send("GET", &format!("/v1/containers/{id}/secrets")).expect(404);
        }
    }
    let _ = client.with_roles("nobody").put(&href).send().expect(405);
    for method in ["GET", "PUT", "PATCH"] {
        assert_eq!(
            client.request(method, &format!("{href}/secrets")).send().expect(405).string("title"),
            "Method Not Allowed"
        );
    }
    for path in [&href, "/v1/containers"] {
        let _ = client.get(path).header("Accept", "text/plain").send().expect(406);
    }
    let create = client.post("/v1/containers");
    let _ = create.clone().header("Accept", "text/html").json(&json!({ "type": "generic" })).send().expect(406);
    let _ = create.clone().payload("text/plain", r#"{"type":"generic"}"#).send().expect(415);
    let _ = create.payload("application/json; charset=utf-8", r#"{"type":"generic"}"#).send().expect(201);
}

fn roles_and_projects(app: &TestApp) {
    let client = app.client();
    let href = client.contain(&json!({ "type": "generic" }));
    let as_user = |roles: &str, user: &str| client.with_roles(roles).with("X-User-Id", user);
    for (roles, user, create, list, get, delete) in [
        ("creator", "other", 201, 200, 200, 403),
        ("observer", "tester", 403, 200, 200, 403),
        ("audit", "tester", 403, 403, 200, 403),
        ("key-manager:service-admin", "tester", 403, 403, 200, 403),
        ("member", "tester", 403, 403, 403, 403),
        ("creator", "tester", 201, 200, 200, 204),
    ] {
        let client = as_user(roles, user);
        let junk = if create == 403 { 403 } else { 400 };
        let _ = client.post("/v1/containers").payload("application/json", "{").send().expect(junk);
        let _ = client.post("/v1/containers").json(&json!({ "type": "generic" })).send().expect(create);
        let _ = client.get("/v1/containers").send().expect(list);
        let _ = client.get(&href).send().expect(get);
        let denied = client.delete(&href).send().expect(delete);
        if delete == 403 {
            assert!(denied.string("description").starts_with("Container deletion attempt not allowed"), "{denied}");
        }
    }
    let (mine, stranger) = (app.client(), app.client());
    let href = mine.contain(&json!({ "type": "generic" }));
    let _ = stranger.get(&href).send().expect(403);
    let _ = stranger.delete(&href).send().expect(403);
    let _ = stranger.with_roles("nobody").get(&format!("/v1/containers/{UNKNOWN}")).send().expect(404);
    assert_eq!(stranger.describe("/v1/containers")["total"], json!(0));
    let _ = mine.get(&href).send().expect(200);
}

/// Names of the containers a query finds, in order, and their total.
fn names(client: &Client, query: &str) -> (Vec<String>, Value) {
    let mut listed = client.describe(&format!("/v1/containers?{query}"));
    let containers = listed["containers"].as_array().unwrap();
    let names = containers.iter().map(|container| container["name"].as_str().unwrap_or("-").to_owned()).collect();
    (names, listed["total"].take())
}

fn pages_and_links(app: &TestApp) {
    let client = app.client();
    assert_eq!(client.describe("/v1/containers?offset=3"), json!({ "containers": [], "total": 0 }));
    for number in 0..12 {
        let _ = client.contain(&json!({ "type": "generic", "name": format!("n{number:02}") }));
    }
    let link =
        |limit: usize, offset: usize| json!(format!("{}/v1/containers?limit={limit}&offset={offset}", client.base()));
    let none = Value::Null;
    for (query, first, count, next, previous) in [
        ("", 0, 10, link(10, 10), none.clone()),
        ("limit=5&offset=5", 5, 5, link(5, 10), link(5, 0)),
        ("limit=5&offset=10&name=n%25", 10, 2, none.clone(), link(5, 5)),
        ("limit=2&name=n%25&type=generic", 0, 2, link(2, 2), none.clone()),
        ("limit=1000", 0, 12, none.clone(), none.clone()),
        ("limit=1000&offset=1", 1, 11, none.clone(), link(100, 0)),
        ("limit=0", 0, 1, link(1, 1), none.clone()),
        ("limit=junk&offset=-1", 0, 10, link(10, 10), none.clone()),
    ] {
        let page = client.describe(&format!("/v1/containers?{query}"));
        let expected: Vec<String> = (first..first + count).map(|number| format!("n{number:02}")).collect();
        assert_eq!(names(&client, query), (expected, json!(12)), "{query}");
        assert_eq!((&page["next"], &page["previous"]), (&next, &previous), "{query}");
        assert_eq!(page.get("next").is_some(), next != none, "{query}");
        assert_eq!(page.get("previous").is_some(), previous != none, "{query}");
    }
    assert_eq!(client.describe("/v1/containers?offset=12"), json!({ "containers": [], "total": 12 }));
}

fn filters_select(app: &TestApp) {
    let client = app.client();
    for (name, kind) in [
        (json!("alpha"), "generic"),
        (json!("Alpha"), "generic"),
        (json!("a_c"), "rsa"),
        (json!("abc"), "certificate"),
        (json!("50%"), "generic"),
        (json!(null), "rsa"),
    ] {
        let _ = client.contain(&json!({ "name": name, "type": kind }));
    }
    for (query, expected) in [
        ("name=alpha", vec!["alpha"]),
        ("name=ALPHA", vec![]),
        ("name=a_c", vec!["a_c", "abc"]),
        ("name=a%25", vec!["alpha", "a_c", "abc"]),
        ("name=50%2525", vec![]),
        ("name=%25", vec!["alpha", "Alpha", "a_c", "abc", "50%"]),
        ("type=rsa", vec!["a_c", "-"]),
        ("type=rsa&name=a%25", vec!["a_c"]),
        ("name=&type=&sort=name:desc&other=1&other=2", vec!["alpha", "Alpha", "a_c", "abc", "50%", "-"]),
        ("type=RSA", vec![]),
        ("type=bogus", vec![]),
        ("type=r%25", vec![]),
    ] {
        let total = json!(expected.len());
        let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(names(&client, query), (expected, total), "{query}");
    }
    for query in ["name=a&name=b", "type=rsa&type=rsa", "limit=1&limit=2", "offset=1&offset=1"] {
        let _ = client.get(&format!("/v1/containers?{query}")).send().expect(400);
    }
}

fn totals_follow_changes(app: &TestApp) {
    let client = app.client();
    let hrefs: Vec<String> = (0..20).map(|_| client.contain(&json!({ "type": "generic" }))).collect();
    for href in &hrefs[..7] {
        let _ = client.delete(href).send().expect(204);
    }
    for query in ["limit=1", "limit=1&type=generic"] {
        assert_eq!(names(&client, query).1, json!(13), "{query}");
    }
}
