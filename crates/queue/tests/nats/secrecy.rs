//! Whoever sees, alters, repeats or makes up messages.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bailey_core::clock::Clock;
use bailey_core::failure::FailureKind;
use bailey_core::request::GetPayload;
use bailey_queue::keys::WorkerKeys;
use bailey_queue::{Config, Handlers, Queue, Server};
use bailey_testkit::nats::{NKEY_SEED, Nats, Seen, User};

use crate::fixture::{Fixture, NAME, PAYLOAD, TOKEN, api_keys, ask, connected, create, payload, read, worker_keys};

const REQUESTS: &str = "bailey.requests";
const REPLIES: &str = "bailey.replies.";

/// Whether some message shows `text` in clear, in hexadecimal digits or in base64.
fn shows(seen: &[Seen], text: &str) -> bool {
    use base64::Engine as _;
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let base64 = base64::engine::general_purpose::STANDARD_NO_PAD.encode(text);
    // The last digit depends on what comes after.
    let base64 = &base64[..base64.len() - 1];
    let has = |bytes: &[u8], part: &str| bytes.windows(part.len()).any(|window| window == part.as_bytes());
    seen.iter().any(|seen| {
        let Seen { subject, reply, payload } = seen;
        let texts = [subject.as_bytes(), reply.as_deref().unwrap_or_default().as_bytes(), payload];
        texts.iter().any(|bytes| [text, &hex, base64].iter().any(|part| has(bytes, part)))
    })
}

#[tokio::test]
async fn what_goes_over_the_server_shows_nothing() {
    let fixture = Fixture::new().await;
    let (_worker, queue) = (fixture.worker().await, fixture.api().await);
    let spy = fixture.nats.spy().await.unwrap();
    let planted = Seen { subject: "planted".to_owned(), reply: None, payload: PAYLOAD.as_bytes().to_vec() };
    spy.send(&planted).await.unwrap();
    assert!(shows(&spy.seen().await.unwrap(), PAYLOAD), "the search finds what is there");
    spy.forget();

    let made = ask(&queue, create()).await.unwrap();
    assert_eq!(ask(&queue, read()).await.unwrap().bytes.expose(), PAYLOAD.as_bytes());
    let seen = spy.seen().await.unwrap();
    assert_eq!(seen.len(), 4, "two requests, two answers: {seen:?}");
    for canary in [TOKEN, PAYLOAD, NAME, &made.id.to_string(), "project", "opaque"] {
        assert!(!shows(&seen, canary), "{canary}");
    }
}

#[tokio::test]
async fn an_altered_message_is_refused() {
    let fixture = Fixture::new().await;
    let (_worker, queue) = (fixture.worker().await, fixture.api().await);
    let spy = fixture.nats.spy().await.unwrap();
    ask(&queue, create()).await.unwrap();
    let sent = Seen::only(&spy.seen().await.unwrap(), REQUESTS).unwrap();
    spy.forget();
    // Version, key, encapsulated key, id, deadline, name, nonce, ciphertext, tag.
    let length = sent.payload.len();
    for index in [0, 5, 20, 50, 70, 73, 80, 95, length - 20, length - 1] {
        let mut altered = sent.clone();
        altered.payload[index] ^= 1;
        spy.send(&altered).await.unwrap();
    }
    for payload in [&sent.payload[..30], &sent.payload[..length - 1], b"", b"\x02garbage"] {
        spy.send(&Seen { payload: payload.to_vec(), ..sent.clone() }).await.unwrap();
    }
    spy.send(&Seen { reply: None, ..sent.clone() }).await.unwrap();
    let elsewhere = Some("bailey.replies.mine".to_owned());
    spy.send(&Seen { reply: elsewhere, ..sent }).await.unwrap();
    // Another request, served after all those.
    ask(&queue, read()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(fixture.done.created(), 1);
    let answers = spy.seen().await.unwrap();
    let answers = answers.iter().filter(|seen| seen.subject.starts_with(REPLIES)).count();
    assert_eq!(answers, 1, "none of them is answered");
}

#[tokio::test]
async fn a_repeated_message_comes_with_the_id_it_had() {
    let fixture = Fixture::new().await;
    let (_worker, queue) = (fixture.worker().await, fixture.api().await);
    let spy = fixture.nats.spy().await.unwrap();
    ask(&queue, create()).await.unwrap();
    let sent = Seen::only(&spy.seen().await.unwrap(), REQUESTS).unwrap();
    spy.send(&sent).await.unwrap();
    while fixture.done.created() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let created = fixture.done.created.lock().unwrap().clone();
    assert!(created[0].is_some());
    assert_eq!(created[0], created[1], "so that the database can tell");
}

#[tokio::test]
async fn a_repeated_read_is_answered_to_its_first_asker_alone() {
    let fixture = Fixture::new().await;
    let (_worker, queue) = (fixture.worker().await, fixture.api().await);
    let spy = fixture.nats.spy().await.unwrap();
    ask(&queue, read()).await.unwrap();
    let sent = Seen::only(&spy.seen().await.unwrap(), REQUESTS).unwrap();
    let first = Seen::only(&spy.seen().await.unwrap(), REPLIES).unwrap();
    spy.forget();
    spy.send(&sent).await.unwrap();
    while fixture.done.read.load(Ordering::SeqCst) < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let again = Seen::only(&spy.seen().await.unwrap(), REPLIES).unwrap();
    assert_eq!(Some(&again.subject), sent.reply.as_ref(), "it goes where the first asker listens");
    assert!(!shows(std::slice::from_ref(&again), PAYLOAD));
    assert_ne!(again.payload, first.payload, "not even that the answer is the same can be told");
    // Nor is it taken for the answer to another request.
    let other = ask(&queue, read());
    let (other, ()) = tokio::join!(other, async {
        spy.send(&again).await.unwrap();
    });
    assert_eq!(other.unwrap().bytes.expose(), PAYLOAD.as_bytes());
}

#[tokio::test]
async fn a_forged_answer_is_not_heard() {
    let fixture = Fixture::new().await;
    let queue = fixture.api().await;
    let spy = fixture.nats.spy().await.unwrap();
    let (released, gate) = tokio::sync::oneshot::channel::<()>();
    let gate = Arc::new(tokio::sync::Mutex::new(Some(gate)));
    let handlers = Handlers::default().on(move |_, _: GetPayload| {
        let gate = Arc::clone(&gate);
        async move {
            let gate = gate.lock().await.take();
            if let Some(gate) = gate {
                let _ = gate.await;
            }
            Ok(payload(PAYLOAD.as_bytes()))
        }
    });
    let _worker = fixture.worker_with(&fixture.config(User::Worker), handlers).await;
    let forge = async {
        let reply_to = loop {
            if let Ok(sent) = Seen::only(&spy.seen().await.unwrap(), REQUESTS) {
                break sent.reply.unwrap();
            }
        };
        for payload in [vec![], vec![1; 17], vec![1; 80], b"junk".to_vec()] {
            spy.send(&Seen { subject: reply_to.clone(), reply: None, payload }).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let _ = released.send(());
    };
    let (reply, ()) = tokio::join!(ask(&queue, read()), forge);
    assert_eq!(reply.unwrap().bytes.expose(), PAYLOAD.as_bytes());
}

#[tokio::test]
async fn whoever_lacks_the_keys_gets_nothing() {
    let fixture = Fixture::new().await;
    let _worker = fixture.worker().await;
    let others = WorkerKeys::generate().unwrap();
    let mut config = fixture.config(User::Api);
    config.deadline_seconds = 1.5;
    let stranger = Queue::connect(&config, api_keys(&others), Clock::system());
    let stranger = stranger.await.unwrap();
    connected(|| stranger.is_connected()).await;
    let spy = fixture.nats.spy().await.unwrap();
    ask(&stranger, create()).await.unwrap_err();
    assert_eq!(fixture.done.created(), 0);
    let seen = spy.seen().await.unwrap();
    assert!(seen.iter().all(|seen| seen.subject == REQUESTS), "nobody answers: {seen:?}");
}

#[tokio::test]
async fn each_user_may_do_its_part_only() {
    let fixture = Fixture::new().await;
    // An API's login can't hear requests, so it can't pretend to be a worker.
    let config = fixture.config(User::Api);
    let keys = worker_keys(&fixture.keys);
    let clock = Clock::system();
    let pretender = Server::start(&config, keys, fixture.handlers(), clock).await.unwrap();
    connected(|| pretender.connectivity()()).await;
    let queue = fixture.api().await;
    let failure = ask(&queue, create()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable);
    assert_eq!(fixture.done.created(), 0);
}

#[tokio::test]
async fn an_nkey_is_as_good_as_a_password_and_a_certificate_is_needed() {
    let fixture = Fixture::new().await;
    let _worker = fixture.worker().await;
    let mut config = fixture.config(User::Api);
    (config.nats.user, config.nats.password) = (String::new(), String::new());
    config.nats.nkey_seed = NKEY_SEED.to_owned();
    let queue = fixture.api_with(&config, Clock::system()).await;
    ask(&queue, read()).await.unwrap();

    for spoil in [
        |config: &mut Config, _: &Nats| config.nats.password = "wrong".to_owned(),
        |config: &mut Config, _: &Nats| {
            config.nats.certificate_file = std::path::PathBuf::new();
            config.nats.private_key_file = std::path::PathBuf::new();
        },
        |config: &mut Config, nats: &Nats| config.nats.ca_file = nats.certificate_file(),
    ] {
        let mut config = fixture.config(User::Api);
        spoil(&mut config, &fixture.nats);
        let clock = Clock::system();
        let queue = Queue::connect(&config, api_keys(&fixture.keys), clock).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(!queue.is_connected());
        ask(&queue, read()).await.unwrap_err();
    }
}
