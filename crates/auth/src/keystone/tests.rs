//! What a real Keystone can't be made to do on command; everything else is tested with a real one, end to end.

#![allow(clippy::unwrap_used)]

mod fake;

use std::sync::atomic::{AtomicI64, Ordering};

use bailey_core::failure::FailureKind;
use bailey_core::sensitive::SecretSetting;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::*;
use fake::{Fake, Manner, complaint};

/// A Keystone, an authenticator that asks it, and a clock that is set by hand.
struct Case {
    keystone: Fake,
    authenticator: Arc<KeystoneAuthenticator>,
    ahead: Arc<AtomicI64>,
}

impl Case {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let keystone = Fake::start().await;
        let mut config = Config {
            url: format!("http://{}/identity", keystone.address),
            username: "bailey".to_owned(),
            password: SecretSetting::new("pass \"word\"".to_owned()),
            timeout_seconds: 0.4,
            cache_seconds: 60.0,
            refused_seconds: 5.0,
            outage_seconds: 30.0,
            ..Config::default()
        };
        change(&mut config);
        assert!(config.problems().is_empty());
        let ahead = Arc::new(AtomicI64::new(0));
        let clock = Clock::from_fn({
            let ahead = Arc::clone(&ahead);
            move || Utc::now() + TimeDelta::milliseconds(ahead.load(Ordering::Relaxed))
        });
        let authenticator = Arc::new(KeystoneAuthenticator::new(&config, clock).unwrap());
        Self { keystone, authenticator, ahead }
    }

    fn pass(&self, seconds: i64) {
        self.ahead.fetch_add(seconds * 1_000, Ordering::Relaxed);
    }

    /// Has Keystone know a token.
    fn know(&self, token: &str, of: Value) {
        self.keystone.world().tokens.insert(token.to_owned(), of);
    }

    fn manner(&self, manner: Manner) {
        self.keystone.world().manner = manner;
    }

    fn validations(&self) -> usize {
        self.keystone.world().validations
    }

    async fn ask(&self, token: &str) -> Result<Option<Caller>, Failure> {
        let token = Some(SecretText::new(token.to_owned()));
        self.authenticator.authenticate(&Credentials { token, ..Credentials::default() }).await
    }

    async fn is_taken(&self, token: &str) -> bool {
        self.ask(token).await.is_ok_and(|caller| caller.is_some())
    }

    async fn refusal(&self, token: &str) -> FailureKind {
        self.ask(token).await.unwrap_err().kind
    }
}

fn token_of(user: &str, life: TimeDelta) -> Value {
    let ends: DateTime<Utc> = Utc::now() + life;
    json!({
        "user": {"id": user, "name": "ann", "domain": {"id": "default", "name": "Default"}},
        "project": {"id": "p", "name": "n", "domain": {"id": "default", "name": "Default"}},
        "is_domain": false, "roles": [{"id": "1", "name": "Creator"}, {"id": "2", "name": "member"}],
        "issued_at": "2026-01-01T00:00:00.000000Z", "expires_at": ends, "audit_ids": ["x"], "methods": ["password"],
    })
}

fn hour() -> TimeDelta {
    TimeDelta::hours(1)
}

#[tokio::test]
async fn a_token_tells_who_asks_and_is_asked_about_once() {
    let case = Case::new().await;
    case.know("gAAAA-one", token_of("ann", hour()));
    let caller = case.ask("gAAAA-one").await.unwrap().unwrap();
    assert_eq!((caller.user.unwrap().as_str(), caller.project.as_str()), ("ann", "p"));
    assert_eq!(caller.roles, ["creator", "member"]);
    assert_eq!(caller.method.as_str(), "keystone");
    for _ in 0..9 {
        assert!(case.is_taken("gAAAA-one").await);
    }
    let world = case.keystone.world();
    assert_eq!((world.validations, world.logins), (1, 1));
    let login = json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user": {
            "name": "bailey", "domain": {"name": "Default"}, "password": "pass \"word\"",
        }}},
        "scope": {"project": {"name": "service", "domain": {"name": "Default"}}},
    }});
    assert!(world.heard.contains(&login.to_string()), "{}", world.heard);
    assert!(world.heard.contains("x-subject-token: gAAAA-one") && world.heard.contains("x-auth-token: own-1"));
}

#[tokio::test]
async fn an_application_credential_logs_in_too() {
    let case = Case::with(|config| {
        config.username.clear();
        config.application_credential_id = "id".to_owned();
        config.application_credential_secret = SecretSetting::new("secret".to_owned());
    })
    .await;
    case.know("t", token_of("ann", hour()));
    assert!(case.is_taken("t").await);
    let login = json!({"auth": {"identity": {
        "methods": ["application_credential"], "application_credential": {"id": "id", "secret": "secret"},
    }}});
    assert!(case.keystone.world().heard.contains(&login.to_string()));
}

#[tokio::test]
async fn what_can_t_be_keystone_s_is_left_to_others() {
    let case = Case::new().await;
    let fixed = format!("{}.{}", bailey_core::ids::TokenId::new(), "A".repeat(43));
    for text in ["", "a b", "a\r\nX-Auth-Token: own-1", "tökén", &"x".repeat(LONGEST_TOKEN + 1), &fixed] {
        assert_eq!(case.ask(text).await, Ok(None), "{text}");
    }
    assert_eq!(case.authenticator.authenticate(&Credentials::default()).await, Ok(None));
    assert_eq!((case.validations(), case.keystone.world().logins), (0, 0));
    assert_eq!(case.refusal(&"x".repeat(3_500)).await, FailureKind::Unauthenticated);
}

#[tokio::test]
async fn many_who_show_one_token_are_one_question() {
    let case = Arc::new(Case::new().await);
    case.know("t", token_of("ann", hour()));
    case.manner(Manner::Late(std::time::Duration::from_millis(100)));
    let askers: Vec<_> = (0..50)
        .map(|_| {
            let case = Arc::clone(&case);
            tokio::spawn(async move { case.is_taken("t").await })
        })
        .collect();
    for asker in askers {
        assert!(asker.await.unwrap());
    }
    assert_eq!(case.validations(), 1);
}

#[tokio::test]
async fn a_revoked_token_stops_within_the_stated_time() {
    let case = Case::new().await;
    case.know("t", token_of("ann", hour()));
    assert!(case.is_taken("t").await);
    case.keystone.world().tokens.clear();
    case.pass(59);
    assert!(case.is_taken("t").await);
    case.pass(1);
    assert_eq!(case.refusal("t").await, FailureKind::Unauthenticated);
    assert_eq!(case.validations(), 2);
    case.pass(-3_600);
    assert_eq!(case.refusal("t").await, FailureKind::Unauthenticated, "a clock set back brings nothing back");
}

#[tokio::test]
async fn a_token_s_own_end_counts_at_any_moment() {
    let case = Case::new().await;
    case.know("t", token_of("ann", TimeDelta::seconds(20)));
    case.pass(15);
    assert!(case.is_taken("t").await);
    case.pass(5);
    assert_eq!(case.refusal("t").await, FailureKind::Unauthenticated);
    assert_eq!(case.validations(), 1);
    case.manner(Manner::Cut);
    case.pass(60);
    assert_eq!(case.refusal("t").await, FailureKind::Unauthenticated, "that it has ended is known without an answer");
    case.pass(30);
    assert_eq!(case.refusal("t").await, FailureKind::Unavailable, "what is forgotten is not known to have ended");
}

#[tokio::test]
async fn a_refusal_is_remembered_for_a_short_time() {
    let case = Case::new().await;
    for _ in 0..3 {
        assert_eq!(case.refusal("made-up").await, FailureKind::Unauthenticated);
    }
    assert_eq!(case.validations(), 1);
    case.know("made-up", token_of("ann", hour()));
    case.pass(5);
    assert!(case.is_taken("made-up").await);
    assert_eq!(case.validations(), 2);
}

#[tokio::test]
async fn made_up_tokens_drive_no_good_one_out() {
    let case = Case::with(|config| config.cache_tokens = 20).await;
    case.know("t", token_of("ann", hour()));
    assert!(case.is_taken("t").await);
    for number in 0..200 {
        assert_eq!(case.refusal(&format!("made-up-{number}")).await, FailureKind::Unauthenticated);
    }
    let before = case.validations();
    assert!(case.is_taken("t").await);
    assert_eq!(case.validations(), before);
}

#[tokio::test]
async fn only_what_is_scoped_to_a_project_and_for_every_request_is_taken() {
    let case = Case::new().await;
    let without_project = |more: Value| {
        let mut token = token_of("ann", hour());
        token.as_object_mut().unwrap().remove("project");
        token.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        token
    };
    let with_credential = |credential: Value| {
        let mut token = token_of("ann", hour());
        token["application_credential"] = credential;
        token
    };
    case.know("unscoped", without_project(json!({})));
    case.know("of-domain", without_project(json!({"domain": {"id": "default", "name": "Default"}})));
    case.know("of-system", without_project(json!({"system": {"all": true}})));
    case.know("no-rules", with_credential(json!({"id": "c", "name": "n", "restricted": true, "access_rules": []})));
    case.know("rules", with_credential(json!({"id": "c", "restricted": true, "access_rules": [{"path": "/v1/**"}]})));
    for (token, part) in [
        ("unscoped", "project"),
        ("of-domain", "project"),
        ("of-system", "project"),
        ("rules", "access rules"),
        ("no-rules", "access rules"),
    ] {
        let failure = case.ask(token).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unauthenticated, "{token}");
        assert!(failure.reason.contains(part), "{failure}");
    }
    case.know("credential", with_credential(json!({"id": "c", "name": "n", "restricted": true})));
    assert!(case.is_taken("credential").await);
}

#[tokio::test]
async fn nobody_is_turned_away_for_what_is_no_answer() {
    let case = Case::new().await;
    case.know("known", token_of("ann", hour()));
    assert!(case.is_taken("known").await);
    case.pass(60);
    let html = "<html>404 Not Found</html>".to_owned();
    for (number, manner) in [
        Manner::Otherwise(500, complaint(500)),
        Manner::Otherwise(502, String::new()),
        Manner::Otherwise(404, html),
        Manner::Otherwise(404, complaint(502)),
        Manner::Otherwise(403, complaint(403)),
        Manner::Otherwise(429, String::new()),
        Manner::Otherwise(302, String::new()),
        Manner::Otherwise(200, "{\"token\": {\"user\": 7, \"canary\": 1}}".to_owned()),
        Manner::Otherwise(200, "garbage".to_owned()),
        Manner::Otherwise(200, " ".repeat((1 << 20) + 1)),
        Manner::Never,
        Manner::Cut,
    ]
    .into_iter()
    .enumerate()
    {
        case.manner(manner.clone());
        let failure = case.ask(&format!("token-{number}")).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unavailable, "{manner:?}");
        assert!(failure.retry_after.is_some() && !failure.to_string().contains("token-"), "{failure}");
        assert!(case.is_taken("known").await, "{manner:?}");
    }
    case.pass(30);
    assert_eq!(case.refusal("known").await, FailureKind::Unavailable, "after the stated time");
}

#[tokio::test]
async fn a_silent_keystone_is_not_waited_for_by_everybody() {
    let case = Case::new().await;
    case.know("known", token_of("ann", hour()));
    assert!(case.is_taken("known").await);
    case.pass(60);
    case.manner(Manner::Never);
    for number in 0..4 {
        assert_eq!(case.refusal(&format!("t{number}")).await, FailureKind::Unavailable);
    }
    let (before, since) = (case.validations(), std::time::Instant::now());
    for number in 0..100 {
        assert_eq!(case.refusal(&format!("u{number}")).await, FailureKind::Unavailable);
        assert!(case.is_taken("known").await);
    }
    assert!(since.elapsed() < std::time::Duration::from_millis(400), "{:?}", since.elapsed());
    assert!(case.validations() <= before + 1);

    case.manner(Manner::Well);
    case.know("u0", token_of("bob", hour()));
    let since = std::time::Instant::now();
    while !case.is_taken("u0").await {
        assert!(since.elapsed() < std::time::Duration::from_secs(5), "it recovers by itself");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_keystone_without_a_listener_is_out_of_reach() {
    let case = Case::with(|config| config.url = "http://127.0.0.1:9/identity".to_owned()).await;
    assert_eq!(case.refusal("t").await, FailureKind::Unavailable);
}

#[tokio::test]
async fn the_service_user_s_token_is_renewed_before_it_ends_and_when_it_is_not_taken() {
    let case = Case::with(|config| config.refused_seconds = 0.0).await;
    assert_eq!(case.refusal("a").await, FailureKind::Unauthenticated);
    case.pass(3_600 - 130);
    assert_eq!(case.refusal("a").await, FailureKind::Unauthenticated);
    assert_eq!(case.keystone.world().logins, 1);
    case.pass(20);
    assert_eq!(case.refusal("a").await, FailureKind::Unauthenticated);
    assert_eq!(case.keystone.world().logins, 2, "two minutes before its end");

    case.keystone.world().own.clear();
    case.know("t", token_of("ann", TimeDelta::hours(9)));
    assert!(case.is_taken("t").await);
    assert_eq!(case.keystone.world().logins, 3);
}

#[tokio::test]
async fn a_token_that_can_t_be_renewed_serves_until_it_ends() {
    let case = Case::with(|config| config.refused_seconds = 0.0).await;
    assert_eq!(case.refusal("a").await, FailureKind::Unauthenticated);
    case.keystone.world().login = Manner::Otherwise(500, complaint(500));
    case.pass(3_600 - 60);
    assert_eq!(case.refusal("a").await, FailureKind::Unauthenticated);
    case.pass(60);
    assert_eq!(case.refusal("a").await, FailureKind::Unavailable);
}

#[tokio::test]
async fn a_service_user_that_is_refused_does_not_hammer_keystone() {
    let case = Case::new().await;
    case.keystone.world().login = Manner::Otherwise(401, complaint(401));
    for number in 0..20 {
        let failure = case.ask(&format!("t{number}")).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unavailable);
        assert!(failure.detail.unwrap().contains("service user"));
    }
    assert_eq!(case.keystone.world().logins, 1);
    assert_eq!(case.validations(), 0);
}

#[tokio::test]
async fn a_keystone_that_takes_no_token_of_the_service_user_s_is_asked_twice() {
    let case = Case::new().await;
    case.manner(Manner::Otherwise(401, complaint(401)));
    assert_eq!(case.refusal("t").await, FailureKind::Unavailable);
    assert_eq!((case.validations(), case.keystone.world().logins), (2, 2));
}

#[tokio::test]
async fn a_connection_that_is_closed_under_a_question_costs_nobody_an_answer() {
    let case = Case::new().await;
    case.know("one", token_of("ann", hour()));
    case.know("two", token_of("bob", hour()));
    assert!(case.is_taken("one").await);
    case.manner(Manner::CutOnce);
    assert!(case.is_taken("two").await);
    assert_eq!(case.validations(), 3);
}
