//! Workers that end, and a server that comes and goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bailey_core::clock::Clock;
use bailey_core::failure::FailureKind;
use bailey_core::request::Identify;
use bailey_queue::{Handlers, Queue, Server};
use bailey_testkit::nats::{Seen, User};

use crate::fixture::{Fixture, api_keys, ask, connected, read, worker_keys};

/// Handlers that take their time and count how often they began.
fn slow(time: Duration) -> (Handlers, Arc<AtomicU32>) {
    let begun = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&begun);
    let handlers = Handlers::default().on(move |_, Identify {}| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            tokio::time::sleep(time).await;
            Ok(())
        }
    });
    (handlers, begun)
}

#[tokio::test]
async fn a_worker_that_is_at_it_is_not_asked_twice() {
    let fixture = Fixture::new().await;
    let (handlers, begun) = slow(Duration::from_millis(2_500));
    let (other_handlers, other_begun) = slow(Duration::ZERO);
    let _worker = fixture.worker_with(&fixture.config(User::Worker), handlers).await;
    let queue = fixture.api().await;
    let asking = tokio::spawn({
        let queue = queue.clone();
        async move { ask(&queue, Identify {}).await }
    });
    while begun.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let _other = fixture.worker_with(&fixture.config(User::Worker), other_handlers).await;
    asking.await.unwrap().unwrap();
    assert_eq!((begun.load(Ordering::SeqCst), other_begun.load(Ordering::SeqCst)), (1, 0));
}

#[tokio::test]
async fn a_message_that_comes_again_while_it_is_worked_on_is_not_begun_again() {
    let fixture = Fixture::new().await;
    let (handlers, begun) = slow(Duration::from_millis(500));
    let _worker = fixture.worker_with(&fixture.config(User::Worker), handlers).await;
    let queue = fixture.api().await;
    let spy = fixture.nats.spy().await.unwrap();
    let asking = tokio::spawn({
        let queue = queue.clone();
        async move { ask(&queue, Identify {}).await }
    });
    while begun.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let sent = Seen::only(&spy.seen().await.unwrap(), "bailey.requests").unwrap();
    for _ in 0..3 {
        spy.send(&sent).await.unwrap();
    }
    asking.await.unwrap().unwrap();
    assert_eq!(begun.load(Ordering::SeqCst), 1);
    ask(&queue, Identify {}).await.unwrap();
    assert_eq!(begun.load(Ordering::SeqCst), 2, "the worker goes on");
}

#[tokio::test]
async fn a_worker_that_is_gone_is_not_waited_for() {
    let fixture = Fixture::new().await;
    // A runtime of its own, so that it can end as a process does: at once.
    let doomed = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (handlers, begun) = slow(Duration::from_secs(3600));
    let config = fixture.config(User::Worker);
    let keys = worker_keys(&fixture.keys);
    let worker = doomed.spawn(async move {
        let server = Server::start(&config, keys, handlers, Clock::system()).await.unwrap();
        std::future::pending::<()>().await;
        drop(server);
    });
    let queue = fixture.api().await;
    let asking = tokio::spawn({
        let queue = queue.clone();
        async move {
            loop {
                match ask(&queue, Identify {}).await {
                    Err(failure) if failure.kind == FailureKind::Unavailable => {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    other => return other,
                }
            }
        }
    });
    while begun.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (handlers, other_begun) = slow(Duration::ZERO);
    let _other = fixture.worker_with(&fixture.config(User::Worker), handlers).await;
    let gone_at = Instant::now();
    doomed.shutdown_background();
    asking.await.unwrap().unwrap();
    assert!(gone_at.elapsed() < Duration::from_secs(5), "{:?}", gone_at.elapsed());
    assert_eq!(other_begun.load(Ordering::SeqCst), 1);
    drop(worker);
}

#[tokio::test]
async fn a_worker_that_stops_finishes_what_it_has_and_leaves_the_rest_to_others() {
    let fixture = Fixture::new().await;
    let (handlers, begun) = slow(Duration::from_millis(300));
    let (other_handlers, other_begun) = slow(Duration::ZERO);
    let worker = fixture.worker_with(&fixture.config(User::Worker), handlers).await;
    let queue = fixture.api().await;
    let asking: Vec<_> = (0..20)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move { ask(&queue, Identify {}).await })
        })
        .collect();
    while begun.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let _other = fixture.worker_with(&fixture.config(User::Worker), other_handlers).await;
    let load = tokio::spawn({
        let queue = queue.clone();
        async move {
            for _ in 0..200 {
                ask(&queue, Identify {}).await?;
            }
            Ok::<_, bailey_core::failure::Failure>(())
        }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(worker.stop(Duration::from_secs(10)).await, "all of it is finished");
    for asking in asking {
        asking.await.unwrap().unwrap();
    }
    load.await.unwrap().unwrap();
    assert!(other_begun.load(Ordering::SeqCst) > 0);
}

#[tokio::test]
async fn a_server_that_was_away_is_found_again() {
    let fixture = Fixture::new().await;
    let (worker, queue) = (fixture.worker().await, fixture.api().await);
    ask(&queue, read()).await.unwrap();
    for _ in 0..2 {
        fixture.nats.kill();
        connected(|| !queue.is_connected() && !worker.connectivity()()).await;
        let asked_at = Instant::now();
        let failure = ask(&queue, read()).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unavailable);
        assert!(asked_at.elapsed() < Duration::from_millis(100), "{:?}", asked_at.elapsed());
        fixture.nats.restart().unwrap();
        connected(|| queue.is_connected() && worker.connectivity()()).await;
        ask(&queue, read()).await.unwrap();
    }
}

#[tokio::test]
async fn requests_under_way_end_with_the_server() {
    let fixture = Fixture::new().await;
    let (handlers, begun) = slow(Duration::from_secs(3600));
    let _worker = fixture.worker_with(&fixture.config(User::Worker), handlers).await;
    let queue = fixture.api().await;
    let asking = tokio::spawn(async move { ask(&queue, Identify {}).await });
    while begun.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let gone_at = Instant::now();
    fixture.nats.kill();
    assert_eq!(asking.await.unwrap().unwrap_err().kind, FailureKind::Unavailable);
    assert!(gone_at.elapsed() < Duration::from_secs(2), "{:?}", gone_at.elapsed());
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_waited_for() {
    let fixture = Fixture::new().await;
    fixture.nats.stop().unwrap();
    let clock = Clock::system;
    let (api, worker) = (fixture.config(User::Api), fixture.config(User::Worker));
    let queue = Queue::connect(&api, api_keys(&fixture.keys), clock()).await.unwrap();
    let worker = Server::start(&worker, worker_keys(&fixture.keys), fixture.handlers(), clock()).await.unwrap();
    assert_eq!(ask(&queue, read()).await.unwrap_err().kind, FailureKind::Unavailable);
    fixture.nats.restart().unwrap();
    connected(|| queue.is_connected() && worker.connectivity()()).await;
    ask(&queue, read()).await.unwrap();
}
