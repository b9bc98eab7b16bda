//! Processes of different versions, and keys of different versions.

use std::sync::{Arc, Mutex};

use bailey_core::clock::Clock;
use bailey_core::failure::FailureKind;
use bailey_core::request::Identify;
use bailey_queue::keys::{KeyRing, WorkerKeys};
use bailey_queue::{Handlers, Queue, Server};
use bailey_testkit::nats::User;

use crate::fixture::{Fixture, ask, connected, create, read};

#[tokio::test]
async fn an_operation_that_the_worker_does_not_know_is_not_supported() {
    let fixture = Fixture::new().await;
    let handlers = Handlers::default().on(|_, Identify {}| async { Ok(()) });
    let _worker = fixture.worker_with(&fixture.config(User::Worker), handlers).await;
    let queue = fixture.api().await;
    ask(&queue, Identify {}).await.unwrap();
    assert_eq!(ask(&queue, create()).await.unwrap_err().kind, FailureKind::NotSupported);
}

#[tokio::test]
async fn keys_are_replaced_while_requests_go_on() {
    let fixture = Fixture::new().await;
    let files = Arc::new(Mutex::new(fixture.keys.clone()));
    let change = |how: &mut dyn FnMut(&mut WorkerKeys)| how(&mut files.lock().unwrap());
    let of_worker = KeyRing::new({
        let files = Arc::clone(&files);
        move || Ok(files.lock().unwrap().clone())
    })
    .unwrap();
    let of_api = KeyRing::new({
        let files = Arc::clone(&files);
        move || files.lock().unwrap().for_api()
    })
    .unwrap();
    let clock = Clock::system;
    let (api, worker) = (fixture.config(User::Api), fixture.config(User::Worker));
    let worker = Server::start(&worker, of_worker.clone(), fixture.handlers(), clock()).await.unwrap();
    let queue = Queue::connect(&api, of_api.clone(), clock()).await.unwrap();
    connected(|| queue.is_connected() && worker.connectivity()()).await;
    ask(&queue, read()).await.unwrap();

    let old = files.lock().unwrap().versions().next().unwrap().0;
    let mut new = None;
    change(&mut |keys| new = Some(keys.add().unwrap()));
    let new = new.unwrap();
    ask(&queue, read()).await.unwrap();
    // The worker wasn't told of it: it reads its file again when it meets the version.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    change(&mut |keys| keys.activate(new).unwrap());
    ask(&queue, read()).await.unwrap();
    of_api.reload().unwrap();
    ask(&queue, read()).await.unwrap();

    // An API that still has the old one is heard until that is removed.
    let stale = Queue::connect(&api, crate::fixture::api_keys(&fixture.keys), clock()).await.unwrap();
    connected(|| stale.is_connected()).await;
    ask(&stale, read()).await.unwrap();
    change(&mut |keys| keys.remove(old).unwrap());
    of_worker.reload().unwrap();
    ask(&queue, read()).await.unwrap();
    let mut impatient = api.clone();
    impatient.deadline_seconds = 1.0;
    let stale = Queue::connect(&impatient, crate::fixture::api_keys(&fixture.keys), clock()).await.unwrap();
    connected(|| stale.is_connected()).await;
    assert_eq!(ask(&stale, read()).await.unwrap_err().kind, FailureKind::Unavailable);
}
