//! The promise about orders that every test ends with: none is left that nobody works on, and nobody will.

use bailey_db::order::{Backlog, Leases, backlog};
use bailey_db::{Config, Db};
use chrono::{TimeDelta, Utc};
use tokio::runtime::Builder;

use crate::app::TestApp;

/// What holds unless a test says otherwise: the defaults of `[orders]`.
const LEASES: Leases = Leases { longest: TimeDelta::seconds(30), longest_wait: TimeDelta::seconds(60) };
/// How long the database may take to answer.
const PATIENCE_SECONDS: f64 = 2.0;

impl TestApp {
    /// What is still to be done for its clients; `None` when its database is not there, or not any more.
    fn backlog(&self) -> Option<Backlog> {
        let config = Config { timeout_seconds: PATIENCE_SECONDS, ..Config::new(self.database_url()) };
        // A test may be within a runtime of its own.
        let asked = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(async {
                let db = Db::connect(&config).await.ok()?;
                let found = backlog(db.reader(), LEASES, Utc::now()).await.ok();
                db.close().await;
                found
            })
        });
        asked.join().ok().flatten()
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if let Some(backlog) = self.backlog().filter(|_| !std::thread::panicking()) {
            assert_eq!(backlog.stuck, 0, "{backlog:?}");
        }
    }
}
