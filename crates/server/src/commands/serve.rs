//! `bailey serve`

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bailey_queue::Queue;
use tokio::runtime::Handle;
use toml::Value;

use super::greeting::greet;
use crate::audit_sink;
use crate::cli::{Auth, Place, Serve};
use crate::config::{Config, Role, Sources};
use crate::metrics::Collector;
use crate::process::{self, Back, Event, Front, Lifecycle};

/// How long listening is put off for databases that don't answer.
const PATIENCE: Duration = Duration::from_secs(1);

pub fn run(place: &Place, options: &Serve) -> Result<()> {
    let sources = Sources::new(place)
        .of(Role::Serve)
        .with("listen", options.listen.map(|address| Value::String(address.to_string())))
        .with("auth.methods", options.auth.map(Auth::methods));
    let (config, instruments) = process::prepare(&sources)?;
    let _lock = process::take_folder(&config)?;
    process::run(instruments, |collector| serve(Arc::new(config), collector))
}

async fn serve(config: Arc<Config>, collector: Collector) -> Result<()> {
    let queue = Queue::new(&config.queue, Handle::current());
    let state = Front::state(&config, queue.clone());
    let mut lifecycle = Lifecycle::begin(&config, collector, &state)?;
    // Before anything is made: a port in use must not cost the one sight of the first token.
    let certificates = Front::certificates(&config)?;
    let (listener, address) = Front::listen(&config)?;
    let audit = audit_sink::open(&config.audit)?;
    let mut back = Back::start(&config, &audit);
    let early = tokio::time::timeout(PATIENCE, back.came_up()).await.ok().transpose()?;
    if let Some(running) = early {
        queue.attach(running.worker().handlers());
    }
    let mut front = Front::serve(listener, &state, certificates)?;
    match back.running() {
        Some(running) => greet(&config, Some(address), running)?,
        None => tracing::warn!(%address, "listening, but every request is answered 503 until the databases work"),
    }

    loop {
        tokio::select! {
            running = back.came_up() => {
                let running = running?;
                queue.attach(running.worker().handlers());
                greet(&config, Some(address), running)?;
            }
            event = lifecycle.next() => match event {
                Event::Look => {
                    front.look();
                    back.look().await;
                }
                Event::HangUp => {
                    front.reload();
                    back.reload().await;
                }
                Event::Stop => break,
            },
            ended = front.ended() => return ended,
        }
    }

    let patience = Duration::from_secs(config.http.shutdown_seconds);
    lifecycle
        .end(async {
            front.stop().await;
            queue.drain(patience).await;
            back.stop().await;
        })
        .await;
    audit.tell_unwritten();
    Ok(())
}
