#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};

use bailey_core::access::Claims;
use bailey_core::failure::{Challenge, FailureKind};
use bailey_core::ids::{ProjectId, UserId};
use bailey_core::sensitive::SecretText;

use super::*;
use crate::{Chain, Config, MethodName};

/// A table of tokens that counts how often it is asked, and a clock that is set by hand.
#[derive(Default)]
struct World {
    tokens: Mutex<HashMap<TokenId, StaticToken>>,
    is_down: Mutex<bool>,
    questions: AtomicUsize,
    milliseconds: AtomicI64,
}

#[async_trait]
impl StaticTokens for World {
    async fn find(&self, id: TokenId) -> Result<Option<StaticToken>, Failure> {
        self.questions.fetch_add(1, Ordering::Relaxed);
        if *self.is_down.lock().unwrap() {
            return Err(Failure::unavailable("The database is unavailable"));
        }
        Ok(self.tokens.lock().unwrap().get(&id).cloned())
    }
}

impl World {
    fn new() -> (Arc<Self>, StaticTokenAuthenticator) {
        let world = Arc::new(Self::default());
        let clock = Clock::from_fn({
            let world = Arc::clone(&world);
            move || world.now()
        });
        (Arc::clone(&world), StaticTokenAuthenticator::new(world, clock))
    }

    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
            + TimeDelta::days(20_000)
            + TimeDelta::milliseconds(self.milliseconds.load(Ordering::Relaxed))
    }

    fn pass(&self, milliseconds: i64) {
        self.milliseconds.fetch_add(milliseconds, Ordering::Relaxed);
    }

    fn questions(&self) -> usize {
        self.questions.load(Ordering::Relaxed)
    }

    /// Makes a token that lives for `life` milliseconds, or for ever, and keeps it.
    fn make(&self, user: &str, life: Option<i64>) -> String {
        let (user, project) = (UserId::new(user).unwrap(), ProjectId::new("p").unwrap());
        let expires_at = life.map(|life| self.now() + TimeDelta::milliseconds(life));
        let (token, text) = token::generate(user, project, vec!["Creator".into()], self.now(), expires_at).unwrap();
        self.tokens.lock().unwrap().insert(token.id, token);
        text.expose().to_owned()
    }
}

fn credentials(token: &str) -> Credentials {
    Credentials { token: Some(SecretText::new(token.to_owned())), claims: Claims::default() }
}

/// The user's name; why not, otherwise.
async fn ask(authenticator: &dyn Authenticator, token: &str) -> Result<Option<String>, Failure> {
    let caller = authenticator.authenticate(&credentials(token)).await?;
    Ok(caller.and_then(|caller| caller.user).map(String::from))
}

fn known(user: &str) -> Result<Option<String>, Failure> {
    Ok(Some(user.to_owned()))
}

#[tokio::test]
async fn a_good_token_tells_who_asks() {
    let (world, authenticator) = World::new();
    let token = world.make("alice", None);
    let caller = authenticator.authenticate(&credentials(&token)).await.unwrap().unwrap();
    let expected = Caller::new(
        Some(UserId::new("alice").unwrap()),
        ProjectId::new("p").unwrap(),
        ["creator"],
        Method::StaticToken,
    );
    assert_eq!(caller, expected);
}

#[tokio::test]
async fn a_wrong_half_gets_the_same_answer_whichever_it_is() {
    let (world, authenticator) = World::new();
    let (alice, bob) = (world.make("alice", None), world.make("bob", None));
    let (alice_id, alice_secret) = alice.split_once('.').unwrap();
    let bob_secret = bob.split_once('.').unwrap().1;
    let wrong_secret = ask(&authenticator, &format!("{alice_id}.{bob_secret}")).await.unwrap_err();
    let wrong_id = ask(&authenticator, &format!("{}.{alice_secret}", TokenId::new())).await.unwrap_err();
    assert_eq!(wrong_secret.kind, FailureKind::Unauthenticated);
    assert_eq!(wrong_secret, wrong_id);
    assert_eq!(ask(&authenticator, &alice).await, known("alice"));
}

#[tokio::test]
async fn what_has_not_the_shape_of_a_token_is_left_to_others() {
    let (world, authenticator) = World::new();
    for text in ["", "a", "gAAAAABkeystone", "a.b", &"x".repeat(1 << 20), &".".repeat(1 << 20)] {
        assert_eq!(ask(&authenticator, text).await, Ok(None));
    }
    assert_eq!(authenticator.authenticate(&Credentials::default()).await, Ok(None));
    assert_eq!(world.questions(), 0);
}

#[tokio::test]
async fn a_look_up_is_remembered_for_a_second() {
    let (world, authenticator) = World::new();
    let token = world.make("alice", None);
    for (milliseconds, questions) in [(0, 1), (999, 1), (1, 2), (500, 2)] {
        world.pass(milliseconds);
        assert_eq!(ask(&authenticator, &token).await, known("alice"));
        assert_eq!(world.questions(), questions);
    }
}

#[tokio::test]
async fn a_clock_set_back_makes_nothing_live_longer() {
    let (world, authenticator) = World::new();
    let token = world.make("alice", None);
    ask(&authenticator, &token).await.unwrap();
    world.pass(-3_600_000);
    world.tokens.lock().unwrap().clear();
    assert!(ask(&authenticator, &token).await.is_err());
}

#[tokio::test]
async fn a_revoked_token_stops_within_a_second() {
    let (world, authenticator) = World::new();
    let token = world.make("alice", None);
    ask(&authenticator, &token).await.unwrap();
    world.tokens.lock().unwrap().clear();
    world.pass(1_000);
    assert_eq!(ask(&authenticator, &token).await.unwrap_err().kind, FailureKind::Unauthenticated);
}

#[tokio::test]
async fn a_token_expires_within_the_remembered_second_too() {
    let (world, authenticator) = World::new();
    let token = world.make("alice", Some(300));
    world.pass(299);
    assert_eq!(ask(&authenticator, &token).await, known("alice"));
    world.pass(1);
    assert_eq!(ask(&authenticator, &token).await.unwrap_err().kind, FailureKind::Unauthenticated);
    assert_eq!(world.questions(), 1);
}

#[tokio::test]
async fn an_unknown_token_works_as_soon_as_it_is_there() {
    let (world, authenticator) = World::new();
    let token = world.make("alice", None);
    let tokens = std::mem::take(&mut *world.tokens.lock().unwrap());
    for _ in 0..2 {
        assert!(ask(&authenticator, &token).await.is_err());
    }
    *world.tokens.lock().unwrap() = tokens;
    assert_eq!(ask(&authenticator, &token).await, known("alice"));
    assert_eq!(world.questions(), 3);
}

#[tokio::test]
async fn a_database_that_is_down_is_no_wrong_token() {
    let (world, authenticator) = World::new();
    let token = world.make("alice", None);
    ask(&authenticator, &token).await.unwrap();
    *world.is_down.lock().unwrap() = true;
    assert_eq!(ask(&authenticator, &token).await, known("alice"), "still remembered");
    world.pass(1_000);
    assert_eq!(ask(&authenticator, &token).await.unwrap_err().kind, FailureKind::Unavailable);
}

#[test]
fn many_at_once_are_told_apart() {
    let (world, authenticator) = World::new();
    let tokens: Vec<_> = (0..8).map(|user| (user.to_string(), world.make(&user.to_string(), None))).collect();
    let start = Barrier::new(tokens.len());
    std::thread::scope(|scope| {
        for (user, token) in &tokens {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                start.wait();
                for _ in 0..200 {
                    assert_eq!(runtime.block_on(ask(&authenticator, token)), known(user));
                }
            });
        }
    });
    assert!(world.questions() <= tokens.len(), "the clock stood still");
}

#[tokio::test]
async fn a_chain_asks_in_order_and_ends_with_a_refusal() {
    let (world, _) = World::new();
    let (token, clock) = (world.make("alice", None), Clock::system());
    let tokens: Arc<dyn StaticTokens> = world;
    let chain = |methods: &[MethodName]| {
        Chain::new(&Config { methods: methods.to_vec(), ..Config::default() }, &tokens, &clock).unwrap()
    };
    let claims = Claims { project: Some("q".into()), user: Some("bob".into()), roles: None };
    let both = |token: &str| Credentials { claims: claims.clone(), ..credentials(token) };

    let strict = chain(&[MethodName::StaticToken]);
    assert_eq!(ask(&strict, &token).await, known("alice"));
    for token in ["", "nonsense"] {
        let failure = strict.authenticate(&both(token)).await.unwrap_err();
        let challenge = Some(Box::new(Challenge("Bearer realm=\"bailey\"".to_owned())));
        assert_eq!(failure, Failure { challenge, ..unauthenticated() }, "headers are no proof");
    }
    let lax = chain(&[MethodName::StaticToken, MethodName::NoneForDevelopment]);
    for (token, user) in [(token.as_str(), "alice"), ("nonsense", "bob")] {
        let caller = lax.authenticate(&both(token)).await.unwrap().unwrap();
        assert_eq!(caller.user.unwrap().as_str(), user);
    }
    assert_eq!(chain(&[]).authenticate(&both(&token)).await.unwrap_err(), unauthenticated());
}
