//! How many files this process may have open, and how many of them the API's connections may take:
//! accepting one more must not cost a database or a log its descriptor.

use std::num::NonZeroUsize;
use std::thread::available_parallelism;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::config::Config;
use crate::metrics;

/// Logs, locks, key files while they are read, and what no one counts.
const OTHERS: usize = 48;
/// A thread that serves connections has an event queue, its wakers and one connection more than its
/// share.
const PER_THREAD: usize = 8;
/// A SQLite connection has the database, its log and perhaps a temporary file; there are five of them.
const SQLITE: usize = 24;

/// Raises the soft limit to the hard one and returns what it is then.
pub fn raise() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return usize::MAX };
    let raised = soft >= hard || setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    usize::try_from(if raised { hard } else { soft }).unwrap_or(usize::MAX)
}

/// How many connections the API may have open, at most `http.max_connections`, under a limit of open
/// files; warns if it is fewer.
#[must_use]
pub fn connections(config: &Config, limit: usize) -> usize {
    let wanted = config.http.max_connections;
    // An HTTP/2 connection has a second descriptor, by which it is cut off.
    let each = if config.tls.is_on() { 2 } else { 1 };
    let fitting = (limit.saturating_sub(reserve(config)) / each).max(1);
    if fitting < wanted {
        tracing::warn!(
            limit,
            "http.max_connections is {wanted}, but beside the databases the limit of open files leaves room for {fitting}: \
             that many are served at once; raise the limit (LimitNOFILE, ulimit -n) or lower http.max_connections"
        );
    }
    fitting.min(wanted)
}

/// What everything but the API's connections may have open.
fn reserve(config: &Config) -> usize {
    let databases = [&config.database, &config.vault].map(|database| {
        if database.url.starts_with("sqlite:") {
            SQLITE
        } else {
            usize::try_from(database.max_connections).unwrap_or(usize::MAX)
        }
    });
    let threads = NonZeroUsize::new(config.http.workers).or(available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let metrics = if config.metrics.listen.is_some() { metrics::MAX_CONNECTIONS + PER_THREAD } else { 0 };
    let parts = [OTHERS, threads.saturating_mul(PER_THREAD), metrics].into_iter().chain(databases);
    parts.fold(0, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str, max_connections: usize) -> Config {
        let mut config = Config::default();
        config.http.max_connections = max_connections;
        config.http.workers = 4;
        for database in [&mut config.database, &mut config.vault] {
            (database.url, database.max_connections) = (url.to_owned(), 100);
        }
        config
    }

    #[test]
    fn connections_leave_room_for_everything_else() {
        let (sqlite, postgres) = (config("sqlite:///a.db", 1_000), config("postgres://db/a", 1_000));
        assert_eq!(connections(&sqlite, 100_000), 1_000);
        assert_eq!(connections(&sqlite, 1_000), 1_000 - 48 - 32 - 48);
        assert_eq!(connections(&postgres, 1_000), 1_000 - 48 - 32 - 200);
        assert_eq!(connections(&postgres, 64), 1, "one at least");
        let mut tls = sqlite;
        tls.tls.certificate = "certificate.pem".into();
        assert_eq!(connections(&tls, 1_128), 500);
    }

    #[test]
    fn a_listener_for_metrics_has_its_share() {
        let mut config = config("sqlite:///a.db", 1_000);
        let without = connections(&config, 500);
        config.metrics.listen = Some(([127, 0, 0, 1], 9312).into());
        assert!(connections(&config, 500) + metrics::MAX_CONNECTIONS <= without);
    }
}
