//! Tokens of a real Keystone: who they let in, to what, and for how long.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailey_testkit::keystone::{Keystone, Scope};
use bailey_testkit::{ports, process};
use bailey_tests::cloud::{Cloud, asking};
use bailey_tests::scrape::{documented, metrics as exported, scrape, value};
use bailey_tests::search::Haystack;
use bailey_tests::{Answer, Client, Database, TestApp, cases};
use serde_json::json;

pub const CASES: &[(&str, fn())] = cases![
    users_may_what_their_legacy_roles_allow,
    users_may_what_their_new_roles_allow,
    tokens_that_are_no_good_let_nobody_in,
    both_kinds_of_tokens_are_taken,
    a_revoked_token_stops_within_the_stated_time,
    application_credentials_are_taken_unless_they_have_access_rules,
    an_application_credential_asks_keystone_as_well,
    what_is_counted_is_what_happened_and_no_token_is_left,
    tokens_end_when_they_say,
    keystone_may_be_down_for_a_while,
];

fn cloud() -> Cloud {
    Cloud::start(Keystone::shared().unwrap(), TestApp::builder(Database::Sqlite)).unwrap()
}

fn is_allowed(status: u16) -> bool {
    assert!(matches!(status, 200 | 201 | 204 | 403), "{status}");
    status != 403
}

/// What a client may do: store a secret; list secrets; describe the one at `href`; read its payload; see its
/// project's quotas; see everybody's quotas.
fn may(client: &Client, href: &str) -> [bool; 6] {
    let stored =
        client.post("/v1/secrets").json(&json!({ "payload": "x", "payload_content_type": "text/plain" })).send();
    let seen = ["/v1/secrets", href, &format!("{href}/payload"), "/v1/quotas", "/v1/project-quotas"];
    let mut answers = vec![is_allowed(stored.status)];
    answers.extend(seen.map(|path| is_allowed(client.get(path).send().status)));
    answers.try_into().unwrap()
}

fn check_roles(generation: &str, expected: &[(&[&str], [bool; 6])]) {
    let builder = TestApp::builder(Database::Sqlite).set("BAILEY_POLICY__GENERATION", generation);
    let cloud = Cloud::start(Keystone::shared().unwrap(), builder).unwrap();
    let project = cloud.keystone.create_project().unwrap();
    let owner = cloud.member(&project, &["admin", "creator"]).unwrap();
    let href = owner.client().store("kept");
    for (roles, allowed) in expected {
        let member = cloud.member(&project, roles).unwrap();
        assert_eq!(may(&member.client(), &href), *allowed, "{generation}: {roles:?}");
    }
    let described = owner.client().describe(&href);
    assert_eq!(described["creator_id"], json!(owner.user.id));

    let elsewhere = cloud.keystone.create_project().unwrap();
    let stranger = cloud.member(&elsewhere, &["creator", "member"]).unwrap();
    let _ = stranger.client().get(&format!("{href}/payload")).send().expect(403);
    let acl = json!({ "read": { "users": [stranger.user.id], "project-access": true } });
    let _ = owner.client().put(&format!("{href}/acl")).json(&acl).send().expect(200);
    assert_eq!(stranger.client().payload(&href), b"kept");
}

fn users_may_what_their_legacy_roles_allow() {
    check_roles(
        "legacy",
        &[
            (&["creator"], [true, true, true, true, true, false]),
            (&["observer"], [false, true, true, true, true, false]),
            (&["audit"], [false, false, true, false, true, false]),
            (&["key-manager:service-admin"], [false, false, true, false, true, true]),
            (&["member"], [false; 6]),
            (&["admin"], [true, true, true, true, true, false]),
        ],
    );
}

fn users_may_what_their_new_roles_allow() {
    check_roles(
        "new",
        &[
            // Keystone says that a member is a reader too, and an admin both.
            (&["member"], [true, true, true, true, true, false]),
            (&["reader"], [false, false, false, false, true, false]),
            (&["creator"], [false; 6]),
            (&["admin"], [true, true, true, true, true, true]),
        ],
    );
}

/// That an answer is 401 and says where to get a token.
#[track_caller]
fn is_unauthenticated(cloud: &Cloud, answer: &Answer) {
    assert_eq!(answer.status, 401, "{answer}");
    let expected = format!("Keystone uri=\"{}\", Bearer realm=\"bailey\"", cloud.keystone.url());
    assert_eq!(answer.header("www-authenticate"), Some(expected.as_str()));
}

fn tokens_that_are_no_good_let_nobody_in() {
    let cloud = cloud();
    let project = cloud.keystone.create_project().unwrap();
    let member = cloud.member(&project, &["creator"]).unwrap();
    cloud.keystone.grant_beyond_projects(&member.user, "reader").unwrap();
    let good = member.token().unwrap();
    let _ = cloud.showing(&good).get("/v1/secrets").send().expect(200);
    let revoked = member.token().unwrap();
    cloud.keystone.revoke(&revoked).unwrap();

    let token = |scope| cloud.keystone.token(&member.user, scope).unwrap();
    let (unscoped, of_domain, of_system) = (token(Scope::Nothing), token(Scope::Domain), token(Scope::System));
    let altered = format!("{}x{}", &good[..good.len() / 2], &good[good.len() / 2 + 1..]);
    let long = "x".repeat(3_500);
    for bad in [&revoked, &unscoped, &of_domain, &of_system, &altered, &long, "nonsense", "a b", "", "gAAAAA"] {
        for path in ["/v1/secrets", "/v1", "/v1/secrets/junk", "/v1/nothing"] {
            is_unauthenticated(&cloud, &cloud.showing(bad).get(path).send());
        }
    }
    let claimed = cloud.app.anonymous().with("X-Project-Id", &project).with("X-Roles", "admin");
    is_unauthenticated(&cloud, &claimed.get("/v1/secrets").send());
    // A service's token beside it neither helps nor hinders.
    let service = cloud.app.anonymous().with("X-Service-Token", &good);
    is_unauthenticated(&cloud, &service.get("/v1/secrets").send());
    let _ = cloud.showing(&good).with("X-Service-Token", "nonsense").get("/v1/secrets").send().expect(200);
    let _ =
        cloud.app.anonymous().with("Authorization", &format!("Bearer {good}")).get("/v1/secrets").send().expect(200);
}

fn both_kinds_of_tokens_are_taken() {
    let cloud = cloud();
    let project = cloud.keystone.create_project().unwrap();
    let member = cloud.member(&project, &["creator"]).unwrap();
    let href = member.client().store("shared");
    let own = cloud.app.token(&project, "robot", &["observer"]).unwrap();
    assert_eq!(cloud.showing(&own).payload(&href), b"shared");
    let (id, secret) = own.split_once('.').unwrap();
    is_unauthenticated(&cloud, &cloud.showing(&format!("{id}.{}", "A".repeat(secret.len()))).get("/v1").send());

    // Alone, each takes only its own.
    let builder = TestApp::builder(Database::Sqlite).with_tokens();
    let alone = builder.set("BAILEY_AUTH__METHODS", "static-token").start().unwrap();
    let client = alone.anonymous().with("X-Auth-Token", &member.token().unwrap());
    let answer = client.get("/v1").send().expect(401);
    assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"bailey\""));
}

fn a_revoked_token_stops_within_the_stated_time() {
    let builder = TestApp::builder(Database::Sqlite).set("BAILEY_AUTH__KEYSTONE__CACHE_SECONDS", "3");
    let cloud = Cloud::start(Keystone::shared().unwrap(), builder).unwrap();
    let project = cloud.keystone.create_project().unwrap();
    let token = cloud.member(&project, &["creator"]).unwrap().token().unwrap();
    let client = cloud.showing(&token);
    let _ = client.get("/v1/secrets").send().expect(200);
    cloud.keystone.revoke(&token).unwrap();
    let revoked_at = Instant::now();
    let _ = client.get("/v1/secrets").send().expect(200);
    stops(&client, Duration::from_secs(3).saturating_sub(revoked_at.elapsed()));
}

/// That a token is refused after `limit`, and some time for the answer to come.
fn stops(client: &Client, limit: Duration) {
    process::until(limit + Duration::from_secs(2), || match client.get("/v1/secrets").send().status {
        401 => Ok(()),
        status => anyhow::bail!("still {status}"),
    })
    .unwrap();
}

fn application_credentials_are_taken_unless_they_have_access_rules() {
    let cloud = cloud();
    let project = cloud.keystone.create_project().unwrap();
    let member = cloud.member(&project, &["creator"]).unwrap();
    let credential = cloud.keystone.create_application_credential(&member.user, &project, None).unwrap();
    let client = cloud.showing(&cloud.keystone.token_of(&credential).unwrap());
    let href = client.store("by a robot");
    assert_eq!(client.describe(&href)["creator_id"], json!(member.user.id));
    assert_eq!(member.client().payload(&href), b"by a robot");

    let rules = json!([{ "service": "key-manager", "method": "GET", "path": "/v1/secrets" }]);
    let limited = cloud.keystone.create_application_credential(&member.user, &project, Some(rules)).unwrap();
    let client = cloud.showing(&cloud.keystone.token_of(&limited).unwrap());
    let answer = client.get("/v1/secrets").send();
    is_unauthenticated(&cloud, &answer);
    assert!(answer.text().contains("access rules"), "{answer}");
}

fn an_application_credential_asks_keystone_as_well() {
    let keystone = Keystone::shared().unwrap();
    let project = keystone.create_project().unwrap();
    let service_user = keystone.create_user(&project, &["service"]).unwrap();
    let credential = keystone.create_application_credential(&service_user, &project, None).unwrap();
    let app = asking(TestApp::builder(Database::Sqlite), &keystone)
        .set("BAILEY_AUTH__KEYSTONE__APPLICATION_CREDENTIAL_ID", &credential.id)
        .set("BAILEY_AUTH__KEYSTONE__APPLICATION_CREDENTIAL_SECRET", &credential.secret)
        .start()
        .unwrap();
    let user = keystone.create_user(&project, &["creator"]).unwrap();
    let token = keystone.token(&user, Scope::Project(&project)).unwrap();
    let _ = app.anonymous().with("X-Auth-Token", &token).get("/v1/secrets").send().expect(200);
    let _ = app.anonymous().with("X-Auth-Token", "nonsense").get("/v1/secrets").send().expect(401);
    assert!(!app.log().contains(&credential.secret));
}

fn what_is_counted_is_what_happened_and_no_token_is_left() {
    let metrics = SocketAddr::from(([127, 0, 0, 1], ports::free()));
    let builder = TestApp::builder(Database::Sqlite).set("BAILEY_METRICS__LISTEN", &metrics.to_string());
    let builder = builder.set("BAILEY_LOG__LEVEL", "debug");
    let cloud = Cloud::start(Keystone::shared().unwrap(), builder).unwrap();
    let project = cloud.keystone.create_project().unwrap();
    let member = cloud.member(&project, &["creator"]).unwrap();
    let (good, bad) = (member.token().unwrap(), "gAAAAAcanary-of-a-token".to_owned());
    for _ in 0..5 {
        let _ = cloud.showing(&good).get("/v1/secrets").send().expect(200);
        let _ = cloud.showing(&bad).get("/v1/secrets").send().expect(401);
    }
    let unscoped = cloud.keystone.token(&member.user, Scope::Nothing).unwrap();
    let _ = cloud.showing(&unscoped).get("/v1/secrets").send().expect(401);

    let text = scrape(metrics);
    let is = |series: &str, expected: f64| assert_eq!(value(&text, series), Some(expected), "{series}");
    is(r#"bailey_token_cache_lookups_total{method="keystone",outcome="hit"}"#, 8.0);
    is(r#"bailey_token_cache_lookups_total{method="keystone",outcome="miss"}"#, 3.0);
    is(r#"bailey_keystone_validations_total{outcome="valid"}"#, 1.0);
    is(r#"bailey_keystone_validations_total{outcome="unknown"}"#, 1.0);
    is(r#"bailey_keystone_validations_total{outcome="unscoped"}"#, 1.0);
    is("bailey_keystone_validation_seconds_count", 3.0);
    is("bailey_keystone_usable", 1.0);
    let exported = exported(&text);
    for (name, (metric, from)) in documented().into_iter().filter(|(_, (_, from))| from == "worker with Keystone") {
        assert_eq!(exported.get(&name), Some(&metric), "{name}, of a {from}");
    }

    let printed = cloud.app.admin(&["config", "print"]).unwrap();
    let events = fs::read(cloud.app.data_dir().join("audit.log")).unwrap();
    assert!(String::from_utf8_lossy(&events).contains("\"method\":null"), "failures of authentication are audited");
    cloud.app.stop().unwrap();
    let database = fs::read(cloud.app.data_dir().join("metadata.db")).unwrap();
    for (what, bytes) in [
        ("the log", cloud.app.log().as_bytes()),
        ("the metrics", text.as_bytes()),
        ("the configuration", printed.as_bytes()),
        ("the audit events", &events),
        ("the database", &database),
    ] {
        let haystack = Haystack::new(what, bytes);
        for needle in [&good, &bad, &unscoped, &cloud.service_user.password] {
            assert_eq!(haystack.find(needle.as_bytes()), None, "{needle} is in {what}");
        }
    }
}

/// Also the service user's own token, which has to be renewed meanwhile.
fn tokens_end_when_they_say() {
    let keystone = Arc::new(Keystone::start_with_tokens_for(Duration::from_secs(12)).unwrap());
    let cloud = Cloud::start(keystone, TestApp::builder(Database::Sqlite)).unwrap();
    let project = cloud.keystone.create_project().unwrap();
    let member = cloud.member(&project, &["creator"]).unwrap();
    let token = member.token().unwrap();
    let issued_at = Instant::now();
    let client = cloud.showing(&token);
    let _ = client.get("/v1/secrets").send().expect(200);
    stops(&client, Duration::from_secs(12).saturating_sub(issued_at.elapsed()));
    // Keystone writes whole seconds.
    assert!(issued_at.elapsed() > Duration::from_secs(10), "{:?}", issued_at.elapsed());
    let _ = member.client().get("/v1/secrets").send().expect(200);
}

fn keystone_may_be_down_for_a_while() {
    let builder = TestApp::builder(Database::Sqlite)
        .set("BAILEY_AUTH__KEYSTONE__CACHE_SECONDS", "2")
        .set("BAILEY_AUTH__KEYSTONE__OUTAGE_SECONDS", "12");
    let cloud = Cloud::start(Arc::new(Keystone::start().unwrap()), builder).unwrap();
    let project = cloud.keystone.create_project().unwrap();
    let member = cloud.member(&project, &["creator"]).unwrap();
    let known = member.client();
    let unknown = member.client();
    let href = known.store("kept");
    let known_at = Instant::now();
    cloud.keystone.stop().unwrap();

    while known_at.elapsed() < Duration::from_secs(8) {
        assert_eq!(known.payload(&href), b"kept");
        for client in [&unknown, &cloud.showing("nonsense")] {
            let answer = client.get(&href).send().expect(503);
            assert!(answer.header("retry-after").is_some(), "{answer}");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    process::until(Duration::from_secs(20), || match known.get(&href).send().status {
        503 => Ok(()),
        status => anyhow::bail!("still {status}"),
    })
    .unwrap();
    assert!(known_at.elapsed() > Duration::from_secs(13), "{:?}", known_at.elapsed());
    assert!(cloud.app.log().contains("Keystone gives no answers"), "{}", cloud.app.log());

    cloud.keystone.restart().unwrap();
    process::until(Duration::from_secs(10), || match unknown.get(&href).send().status {
        200 => Ok(()),
        status => anyhow::bail!("still {status}"),
    })
    .unwrap();
    assert_eq!(known.payload(&href), b"kept");
    let _ = cloud.showing("nonsense").get(&href).send().expect(401);
}
