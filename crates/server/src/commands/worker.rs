//! `bailey worker`

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bailey_core::clock::Clock;
use bailey_core::health::PartHealth;
use bailey_queue::keys::WorkerKeys;
use bailey_queue::{Handlers, Queue, Server};
use bailey_worker::usecase::health;
use tokio::runtime::Handle;

use super::greeting::greet;
use crate::assemble::Running;
use crate::audit_sink;
use crate::cli::{Auth, Place, Worker};
use crate::config::{Config, Role, Sources};
use crate::metrics::Collector;
use crate::process::{self, Back, Event, Front, Lifecycle, QueueKeys};

pub fn run(place: &Place, options: &Worker) -> Result<()> {
    let methods = options.auth.map(Auth::methods);
    let sources = Sources::new(place).of(Role::Worker).with("auth.methods", methods);
    let (config, instruments) = process::prepare(&sources)?;
    let _lock = process::take_folder(&config)?;
    process::run(instruments, |collector| work(Arc::new(config), collector))
}

async fn work(config: Arc<Config>, collector: Collector) -> Result<()> {
    let keys = QueueKeys::open(config.queue_key_file(), WorkerKeys::parse)?;
    // Whoever supervises this process asks this worker, not any.
    let probes = Queue::new(&config.queue, Handle::current());
    let mut lifecycle = Lifecycle::begin(&config, collector, &Front::state(&config, probes.clone()))?;
    let audit = audit_sink::open(&config.audit)?;
    let mut back = Back::start(&config, &audit);
    let mut server = None;

    loop {
        tokio::select! {
            running = back.came_up() => {
                let running = running?;
                let handlers = running.worker().handlers();
                let started = Server::start(&config.queue, keys.ring(), handlers, Clock::system()).await?;
                probes.attach(probed(running, started.connectivity()));
                server = Some(started);
                greet(&config, None, running)?;
            }
            event = lifecycle.next() => match event {
                Event::Look => {
                    keys.look();
                    back.look().await;
                }
                Event::HangUp => {
                    keys.reload();
                    back.reload().await;
                }
                Event::Stop => break,
            },
        }
    }

    // No request takes longer.
    let patience = Duration::from_secs_f64(config.queue.deadline_seconds);
    lifecycle
        .end(async {
            if let Some(server) = server {
                server.stop(patience).await;
            }
            back.stop().await;
        })
        .await;
    audit.tell_unwritten();
    Ok(())
}

/// What a health check asks of this process: its worker, and its way to whoever asks that one.
fn probed(running: &Running, is_connected: impl Fn() -> bool + Send + Sync + 'static) -> Handlers {
    let worker = Arc::clone(running.worker());
    Handlers::default().on(move |call, request| {
        let worker = Arc::clone(&worker);
        let trouble = (!is_connected()).then(|| "not connected".to_owned());
        async move {
            let mut report = health::check(&worker, call, request).await?;
            report.parts.push(PartHealth { part: "queue".to_owned(), is_needed: true, trouble });
            Ok(report)
        }
    })
}
