//! Every metric there is. What isn't here is not exported, and what is here is: tests hold this list against
//! a real server, `docs/metrics.md`, the dashboard and the alerts.

use metrics::Unit;

/// What a metric can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    /// The name in Prometheus' text format.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Which process exports a metric. `bailey serve` is both API and worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Any,
    Api,
    Worker,
    /// A worker whose databases are SQLite files.
    Sqlite,
    /// A worker that takes Keystone's tokens.
    Keystone,
    /// A worker for which certificate authorities are configured.
    Ca,
    /// Any process that sends traces.
    Traces,
    /// Any process that is joined to others by NATS.
    Nats,
}

impl Source {
    /// As the table in the documentation calls it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Api => "api",
            Self::Worker => "worker",
            Self::Sqlite => "worker on SQLite",
            Self::Keystone => "worker with Keystone",
            Self::Ca => "worker with a CA",
            Self::Traces => "any with traces on",
            Self::Nats => "any over NATS",
        }
    }
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub unit: Unit,
    /// Names of its labels; each has few values, and none is an id or a project.
    pub labels: &'static [&'static str],
    pub source: Source,
    pub help: &'static str,
}

/// Brief, since each line says it: name, kind, unit, labels, source, help.
const fn metric(
    name: &'static str,
    kind: Kind,
    unit: Unit,
    labels: &'static [&'static str],
    source: Source,
    help: &'static str,
) -> Metric {
    Metric { name, kind, unit, labels, source, help }
}

use Kind::{Counter, Gauge, Histogram};
use Source::{Any, Api, Ca, Keystone, Nats, Sqlite, Traces, Worker};
use Unit::{Bytes, Count, Seconds};

/// The list.
#[rustfmt::skip]
pub const METRICS: &[Metric] = &[
    metric("bailey_http_requests_total", Counter, Count, &["route", "method", "status"], Api,
        "Requests answered."),
    metric("bailey_http_request_duration_seconds", Histogram, Seconds, &["route", "method"], Api,
        "Time from a request's head to its answer."),
    metric("bailey_http_requests_in_flight", Gauge, Count, &[], Api,
        "Requests that are being answered."),

    metric("bailey_queue_in_flight", Gauge, Count, &[], Any,
        "Requests handed to a worker and not answered yet."),
    metric("bailey_queue_wait_seconds", Histogram, Seconds, &[], Any,
        "Time that a request waited for its worker to begin."),
    metric("bailey_queue_refusals_total", Counter, Count, &["reason"], Any,
        "Requests that the queue itself answered 503: no_worker, full, late, unreachable."),
    metric("bailey_queue_connected", Gauge, Count, &[], Nats,
        "Whether NATS is there: 1 or 0."),
    metric("bailey_queue_asked_again_total", Counter, Count, &[], Nats,
        "Requests sent once more because no worker gave a sign of life."),
    metric("bailey_queue_rejected_total", Counter, Count, &["reason"], Nats,
        "Messages that were dropped: malformed, unknown_key, not_authentic, too_late, too_far_ahead; answer, for what is no worker's."),

    metric("bailey_use_cases_total", Counter, Count, &["request", "outcome"], Worker,
        "Requests that a worker has done, by what came of them."),
    metric("bailey_use_case_seconds", Histogram, Seconds, &["request"], Worker,
        "Time that a worker took for a request."),
    metric("bailey_token_cache_lookups_total", Counter, Count, &["method", "outcome"], Worker,
        "Tokens looked for among those that were valid a moment ago: hit, miss; of the misses, those that went on \
         because Keystone gave no answer: stale."),
    metric("bailey_keystone_validations_total", Counter, Count, &["outcome"], Keystone,
        "Questions about tokens to Keystone, by what came of them; given_up and busy were not asked."),
    metric("bailey_keystone_validation_seconds", Histogram, Seconds, &[], Keystone,
        "Time until Keystone had answered about a token, or had not."),
    metric("bailey_keystone_usable", Gauge, Count, &[], Keystone,
        "0 while Keystone gives no answers, else 1."),

    metric("bailey_store_calls_total", Counter, Count, &["store", "operation", "outcome"], Worker,
        "Calls of a secret store, by what came of them."),
    metric("bailey_store_seconds", Histogram, Seconds, &["store", "operation"], Worker,
        "Time that calls of a secret store took."),
    metric("bailey_store_state", Gauge, Count, &["store", "state"], Worker,
        "1 for the state that a secret store is in: probing, usable or unusable."),
    metric("bailey_ca_calls_total", Counter, Count, &["ca", "operation", "outcome"], Ca,
        "Calls of a certificate authority, by what came of them; busy were not made."),
    metric("bailey_ca_seconds", Histogram, Seconds, &["ca", "operation"], Ca,
        "Time that calls of a certificate authority took."),
    metric("bailey_ca_usable", Gauge, Count, &["ca"], Ca,
        "0 while a certificate authority can't be used, so that orders for it wait, else 1."),
    metric("bailey_ciphertext_cache_lookups_total", Counter, Count, &["store", "outcome"], Worker,
        "Ciphertexts looked for in memory: hit, miss."),
    metric("bailey_ciphertext_cache_bytes", Gauge, Bytes, &["store"], Worker,
        "Ciphertexts in memory, with what it takes to find them."),
    metric("bailey_worker_key_used_ratio", Gauge, Count, &[], Worker,
        "How much of the active worker key's budget is reserved; at 1 nothing can be stored."),
    metric("bailey_mkek_used_ratio", Gauge, Count, &["store"], Worker,
        "How much of the active MKEK's budget is reserved; at 1 no project gets another KEK."),

    metric("bailey_database_seconds", Histogram, Seconds, &["database", "operation"], Worker,
        "Time that a read or a transaction took, with its wait for a connection."),
    metric("bailey_database_failures_total", Counter, Count, &["database", "operation"], Worker,
        "Reads and transactions that the database refused or didn't answer."),
    metric("bailey_database_connections", Gauge, Count, &["database", "state"], Worker,
        "Connections: idle, used."),
    metric("bailey_database_connections_limit", Gauge, Count, &["database"], Worker,
        "Most connections at a time."),
    metric("bailey_database_waiting", Gauge, Count, &["database"], Worker,
        "Reads and transactions that wait for a connection or for SQLite's writer."),
    metric("bailey_database_batch_size", Histogram, Count, &["database"], Sqlite,
        "Transactions that were committed together."),

    metric("bailey_orders_pending", Gauge, Count, &[], Worker,
        "Orders that have not ended, of all processes."),
    metric("bailey_orders_stuck", Gauge, Count, &[], Worker,
        "Orders that nobody works on and nobody will. Always 0; anything else is a fault in Bailey."),
    metric("bailey_orders_oldest_due_seconds", Gauge, Seconds, &[], Worker,
        "For how long the oldest order that could be worked on waits for somebody to do it."),
    metric("bailey_order_attempts_total", Counter, Count, &["type", "outcome"], Worker,
        "Attempts at orders, by what came of them."),
    metric("bailey_order_seconds", Histogram, Seconds, &["type"], Worker,
        "Time from an order to its being active."),
    metric("bailey_renewals", Gauge, Count, &[], Worker,
        "Certificates that are renewed before they end, of all processes."),
    metric("bailey_renewals_overdue", Gauge, Count, &[], Worker,
        "Certificates that are being renewed, or should be."),
    metric("bailey_renewals_failing", Gauge, Count, &[], Worker,
        "Certificates whose renewal has failed since they were issued; it is tried again."),
    metric("bailey_renewals_failing_end_seconds", Gauge, Seconds, &[], Worker,
        "Time until the first of those ends; infinite if there is none."),
    metric("bailey_notices_waiting", Gauge, Count, &[], Worker,
        "Renewals that the webhook has not heard of yet, of all processes."),
    metric("bailey_notices_oldest_seconds", Gauge, Seconds, &[], Worker,
        "Since when the first of those waits; 0 if there is none."),
    metric("bailey_notices_total", Counter, Count, &["outcome"], Worker,
        "Attempts to tell the webhook, by what came of them: delivered, failed, given_up."),
    metric("bailey_key_pair_seconds", Histogram, Seconds, &["algorithm"], Worker,
        "Time that it took to make a key pair, with its wait for a thread."),

    metric("bailey_audit_waiting", Gauge, Count, &[], Worker,
        "Audit events that are not written yet."),
    metric("bailey_audit_failures_total", Counter, Count, &[], Worker,
        "Tries to write audit events that failed."),
    metric("bailey_audit_refusals_total", Counter, Count, &[], Worker,
        "Requests answered 503 because audit events were not being written."),

    metric("bailey_background_objects_total", Counter, Count, &["task"], Worker,
        "What background work has destroyed, purged, resealed, rewrapped or re-encrypted."),
    metric("bailey_background_failures_total", Counter, Count, &["task"], Worker,
        "Passes of background work that failed and are tried again."),
    metric("bailey_destruction_held", Gauge, Count, &[], Worker,
        "1 while a backup keeps deleted payloads from being destroyed."),

    metric("bailey_trace_spans_total", Counter, Count, &["outcome"], Traces,
        "Spans of traces: exported; dropped, because too many waited; failed, because the collector didn't take them."),

    metric("bailey_build_info", Gauge, Count, &["version"], Any,
        "Always 1; the label tells the version."),
    metric("process_start_time_seconds", Gauge, Seconds, &[], Any,
        "When the process started, in seconds since 1970."),
    metric("process_cpu_seconds_total", Counter, Seconds, &[], Any,
        "Processor time used."),
    metric("process_resident_memory_bytes", Gauge, Bytes, &[], Any,
        "Memory in use."),
    metric("process_open_fds", Gauge, Count, &[], Any,
        "Open file descriptors."),
    metric("process_max_fds", Gauge, Count, &[], Any,
        "Most file descriptors that may be open."),
];

/// Tells the recorder what each metric means.
pub fn describe() {
    for Metric { name, kind, unit, help, .. } in METRICS.iter().copied() {
        match kind {
            Counter => metrics::describe_counter!(name, unit, help),
            Gauge => metrics::describe_gauge!(name, unit, help),
            Histogram => metrics::describe_histogram!(name, unit, help),
        }
    }
}

#[cfg(test)]
mod tests;
