//! Deadlines, bounds and sizes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bailey_core::clock::Clock;
use bailey_core::failure::FailureKind;
use bailey_core::request::{GetPayload, Identify};
use bailey_queue::Handlers;
use bailey_testkit::nats::User;
use chrono::{TimeDelta, Utc};
use tokio::sync::Semaphore;

use crate::fixture::{Fixture, ask, create, create_of, payload, read};

#[tokio::test]
async fn without_a_worker_the_answer_comes_at_once() {
    let fixture = Fixture::new().await;
    let queue = fixture.api().await;
    ask(&queue, Identify {}).await.unwrap_err();
    let asked_at = Instant::now();
    let failure = ask(&queue, create()).await.unwrap_err();
    assert!(asked_at.elapsed() < Duration::from_millis(100), "{:?}", asked_at.elapsed());
    assert_eq!(failure.kind, FailureKind::Unavailable);
    assert!(failure.retry_after.is_some());
}

#[tokio::test]
async fn a_message_is_taken_until_its_deadline_and_not_long_before() {
    let fixture = Fixture::new().await;
    let _worker = fixture.worker().await;
    let mut config = fixture.config(User::Api);
    config.deadline_seconds = 1.0;
    for (hours, is_taken) in [(-1, false), (0, true), (1, false)] {
        let clock = Clock::from_fn(move || Utc::now() + TimeDelta::hours(hours));
        let queue = fixture.api_with(&config, clock).await;
        let before = fixture.done.created();
        assert_eq!(ask(&queue, create()).await.is_ok(), is_taken, "{hours} hours");
        assert_eq!(fixture.done.created() - before, usize::from(is_taken), "{hours} hours");
    }
}

#[tokio::test]
async fn a_worker_that_is_full_says_so_at_once_and_so_does_an_api() {
    let fixture = Fixture::new().await;
    let (gate, begun) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU32::new(0)));
    let (pass, count) = (Arc::clone(&gate), Arc::clone(&begun));
    let handlers = Handlers::default().on(move |_, Identify {}| {
        let (pass, count) = (Arc::clone(&pass), Arc::clone(&count));
        async move {
            count.fetch_add(1, Ordering::SeqCst);
            pass.acquire().await.unwrap().forget();
            Ok(())
        }
    });
    let mut config = fixture.config(User::Worker);
    config.in_flight = 1;
    let worker = fixture.worker_with(&config, handlers).await;
    let mut config = fixture.config(User::Api);
    config.in_flight = 2;
    let queue = fixture.api_with(&config, Clock::system()).await;

    let first = tokio::spawn({
        let queue = queue.clone();
        async move { ask(&queue, Identify {}).await }
    });
    while begun.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let asked_at = Instant::now();
    assert_eq!(ask(&queue, Identify {}).await.unwrap_err().kind, FailureKind::Unavailable);
    assert!(asked_at.elapsed() < Duration::from_millis(300), "{:?}", asked_at.elapsed());

    config.in_flight = 0;
    let narrow = fixture.api_with(&config, Clock::system()).await;
    assert_eq!(ask(&narrow, Identify {}).await.unwrap_err().kind, FailureKind::Unavailable);
    gate.add_permits(2);
    first.await.unwrap().unwrap();
    ask(&queue, Identify {}).await.unwrap();
    assert_eq!(begun.load(Ordering::SeqCst), 2, "what was refused was not begun");
    assert!(worker.stop(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn what_is_too_large_fails_and_hangs_nobody() {
    let fixture = Fixture::with("max_payload: 8192").await;
    let large = |size: usize| vec![7_u8; size];
    let handlers = Handlers::default()
        .on(move |_, _: GetPayload| async move { Ok(payload(&large(10_000))) })
        .on(|_, Identify {}| async { Ok(()) });
    let _worker = fixture.worker_with(&fixture.config(User::Worker), handlers).await;
    let queue = fixture.api().await;
    let asked_at = Instant::now();
    for failure in [ask(&queue, read()).await.map(drop), ask(&queue, create_of(&large(10_000))).await.map(drop)] {
        assert_eq!(failure.unwrap_err().kind, FailureKind::TooLarge);
    }
    assert!(asked_at.elapsed() < Duration::from_secs(1));
    ask(&queue, Identify {}).await.unwrap();
}

#[tokio::test]
async fn a_worker_s_failure_crosses_without_what_is_for_its_log() {
    use bailey_core::failure::{Failure, Violation};

    let fixture = Fixture::new().await;
    let violation = Violation { property: Some("name".to_owned()), reason: "too long".to_owned() };
    let complaint = Failure::schema("Secret", vec![violation]).with_detail("detail");
    let known = complaint.clone();
    let handlers = Handlers::default()
        .on(move |_, _: bailey_core::request::CreateSecret| {
            let complaint = complaint.clone();
            async move { Err(complaint) }
        })
        .on(|_, _: GetPayload| async { Err(Failure::internal("internals").with_detail("detail")) })
        .on(|_, Identify {}| async { panic!("internals") });
    let _worker = fixture.worker_with(&fixture.config(User::Worker), handlers).await;
    let queue = fixture.api().await;
    let failure = ask(&queue, create()).await.unwrap_err();
    assert_eq!(failure, Failure { detail: None, operation: "Secret creation", ..known });
    for failure in [ask(&queue, read()).await.map(drop), ask(&queue, Identify {}).await] {
        let failure = failure.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Internal);
        assert!(!failure.to_string().contains("internals"), "{failure}");
    }
}
