//! `bailey api`

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bailey_core::clock::Clock;
use bailey_queue::Queue;
use bailey_queue::keys::ApiKeys;
use toml::Value;

use super::greeting;
use crate::cli::{Api, Place};
use crate::config::{Config, Role, Sources};
use crate::metrics::Collector;
use crate::process::{self, Event, Front, Lifecycle, QueueKeys};

pub fn run(place: &Place, options: &Api) -> Result<()> {
    let listen = options.listen.map(|address| Value::String(address.to_string()));
    let (config, instruments) = process::prepare(&Sources::new(place).of(Role::Api).with("listen", listen))?;
    process::run(instruments, |collector| serve(Arc::new(config), collector))
}

async fn serve(config: Arc<Config>, collector: Collector) -> Result<()> {
    let keys = QueueKeys::open(config.queue_key_file(), ApiKeys::parse)?;
    let queue = Queue::connect(&config.queue, keys.ring(), Clock::system()).await?;
    let state = Front::state(&config, queue.clone());
    let mut lifecycle = Lifecycle::begin(&config, collector, &state)?;
    let certificates = Front::certificates(&config)?;
    let (listener, address) = Front::listen(&config)?;
    let mut front = Front::serve(listener, &state, certificates)?;
    greeting::greet_api(&config, address)?;

    loop {
        tokio::select! {
            event = lifecycle.next() => match event {
                Event::Look => {
                    keys.look();
                    front.look();
                }
                Event::HangUp => {
                    keys.reload();
                    front.reload();
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
        })
        .await;
    Ok(())
}
