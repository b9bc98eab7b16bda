//! Numbers about a database: its calls, its connections, and who waits for one.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use bailey_core::trace;
use metrics::{Counter, Histogram};
use sea_orm::sqlx::{PgPool, SqlitePool};
use tracing::Span;

/// What is asked of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// One statement that returns rows, outside a transaction.
    Read,
    /// A closure given to [`Db::write`](crate::Db::write), or one statement that changes rows, until it is durable.
    Write,
}

impl Call {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// The numbers of one database, under its name.
pub(crate) struct Measure {
    name: &'static str,
    system: &'static str,
    reads: Asked,
    writes: Asked,
}

/// Calls of one kind.
struct Asked {
    under_way: AtomicU32,
    seconds: Histogram,
    failures: Counter,
}

impl Asked {
    fn new(name: &'static str, call: Call) -> Self {
        let operation = call.as_str();
        Self {
            under_way: AtomicU32::new(0),
            seconds: metrics::histogram!("bailey_database_seconds", "database" => name, "operation" => operation),
            failures: metrics::counter!("bailey_database_failures_total", "database" => name, "operation" => operation),
        }
    }
}

impl Measure {
    /// `system` as OpenTelemetry's semantic conventions name it.
    pub(crate) fn new(name: &'static str, system: &'static str) -> Self {
        Self { name, system, reads: Asked::new(name, Call::Read), writes: Asked::new(name, Call::Write) }
    }

    /// Counts a call as under way until the result is dropped.
    pub(crate) fn begin(&self, call: Call) -> Begun<'_> {
        let asked = self.asked(call);
        asked.under_way.fetch_add(1, Ordering::Relaxed);
        Begun { asked, at: Instant::now() }
    }

    /// To be counted up when the database says no, or nothing.
    pub(crate) const fn failures(&self, call: Call) -> &Counter {
        &self.asked(call).failures
    }

    /// How many closures are committed together.
    pub(crate) fn batch_sizes(&self) -> Histogram {
        metrics::histogram!("bailey_database_batch_size", "database" => self.name)
    }

    /// What a call is in a trace: never its statement.
    pub(crate) fn span(&self, call: Call) -> Span {
        tracing::debug_span!(
            target: trace::TARGET,
            "database",
            otel.name = format_args!("{} {}", call.as_str(), self.name),
            otel.kind = "client",
            otel.status_code = tracing::field::Empty,
            db.system.name = self.system,
            db.namespace = self.name,
            db.operation.name = call.as_str(),
        )
    }

    const fn asked(&self, call: Call) -> &Asked {
        match call {
            Call::Read => &self.reads,
            Call::Write => &self.writes,
        }
    }

    fn under_way(&self, call: Call) -> u32 {
        self.asked(call).under_way.load(Ordering::Relaxed)
    }
}

/// A call under way.
pub(crate) struct Begun<'m> {
    asked: &'m Asked,
    at: Instant,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.asked.under_way.fetch_sub(1, Ordering::Relaxed);
        self.asked.seconds.record(self.at.elapsed().as_secs_f64());
    }
}

/// The pools of a database, as their driver knows them.
pub(crate) enum Pools {
    Postgres(PgPool),
    Sqlite { reader: SqlitePool, writer: SqlitePool },
}

impl Pools {
    /// Sets the gauges of connections and of calls that wait for one; `queued` wait for SQLite's writer.
    pub(crate) fn export(&self, measure: &Measure, queued: usize) {
        let (reads, writes) = (measure.under_way(Call::Read), measure.under_way(Call::Write));
        // Each call needs one connection for as long as it is under way.
        let beyond = |calls: u32, most: u32| f64::from(calls.saturating_sub(most));
        let (connections, idle, most, waiting) = match self {
            Self::Postgres(pool) => {
                let most = pool.options().get_max_connections();
                (pool.size(), pool.num_idle(), most, beyond(reads + writes, most))
            }
            Self::Sqlite { reader, writer } => {
                let readers = reader.options().get_max_connections();
                let queued = u32::try_from(queued).unwrap_or(u32::MAX);
                let waiting = beyond(reads, readers) + f64::from(queued);
                (reader.size() + writer.size(), reader.num_idle() + writer.num_idle(), readers + 1, waiting)
            }
        };
        let (name, idle) = (measure.name, u32::try_from(idle).unwrap_or(u32::MAX));
        for (state, count) in [("idle", idle), ("used", connections.saturating_sub(idle))] {
            metrics::gauge!("bailey_database_connections", "database" => name, "state" => state).set(f64::from(count));
        }
        metrics::gauge!("bailey_database_connections_limit", "database" => name).set(f64::from(most));
        metrics::gauge!("bailey_database_waiting", "database" => name).set(waiting);
    }
}
