//! Being told by PostgreSQL that something was committed.

use std::time::Duration;

use sea_orm::sqlx::Error as SqlxError;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};

/// Between two tries to connect: doubled up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Listens on a channel, over a connection of its own.
///
/// What is told while it isn't connected is lost, so whoever listens has to look by itself now and then.
pub struct Listener {
    options: PgConnectOptions,
    timeout: Duration,
    channel: &'static str,
    listening: Option<PgListener>,
    pause: Duration,
}

impl Listener {
    pub(crate) fn new(options: PgConnectOptions, timeout: Duration, channel: &'static str) -> Self {
        Self { options, timeout, channel, listening: None, pause: SHORTEST_PAUSE }
    }

    /// Waits until something was told, or may have been: each time it is connected anew it says so. A
    /// server that is gone is tried again until it is back.
    pub async fn wait(&mut self) {
        loop {
            if let Some(listening) = &mut self.listening {
                match listening.try_recv().await {
                    Ok(Some(_)) => return,
                    // It connects anew by itself, but nobody would know that something was missed.
                    Ok(None) | Err(_) => self.listening = None,
                }
            }
            match self.connect().await {
                Ok(listening) => {
                    self.listening = Some(listening);
                    self.pause = SHORTEST_PAUSE;
                    return;
                }
                Err(_) => {
                    tokio::time::sleep(self.pause).await;
                    self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    async fn connect(&self) -> Result<PgListener, SqlxError> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(self.timeout)
            .connect_lazy_with(self.options.clone());
        let mut listening = PgListener::connect_with(&pool).await?;
        listening.ignore_pool_close_event(true);
        listening.eager_reconnect(false);
        listening.listen(self.channel).await?;
        Ok(listening)
    }
}
