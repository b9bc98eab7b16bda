//! One entity for each table, private to this crate.

pub mod acl_users;
#[allow(dead_code, reason = "statements of their own read and write it; the schema is compared with it")]
pub mod acls;
#[allow(dead_code, reason = "statements of their own read and write it; the schema is compared with it")]
pub mod ca_certificates;
#[allow(dead_code, reason = "statements of their own read and write it; the schema is compared with it")]
pub mod ca_challenges;
#[allow(dead_code, reason = "statements of their own read and write it; the schema is compared with it")]
pub mod ca_keys;
#[allow(dead_code, reason = "statements of their own read and write it; the schema is compared with it")]
pub mod ca_lists;
#[allow(dead_code, reason = "statements of their own read and write it; the schema is compared with it")]
pub mod ca_revocations;
#[allow(dead_code, reason = "statements of their own read and write it; the schema is compared with it")]
pub mod cas;
#[allow(dead_code, reason = "statements of their own read and write it; the schema is compared with it")]
pub mod container_consumers;
pub mod container_secrets;
#[allow(dead_code, reason = "statements of their own read and write it; the schema is compared with it")]
pub mod containers;
pub mod deletions;
#[allow(dead_code, reason = "statements of their own read and write it; the schema is compared with it")]
pub mod idempotency_keys;
pub mod installation;
#[allow(dead_code, reason = "statements of their own read and write it; the schema is compared with it")]
pub mod notices;
#[allow(dead_code, reason = "statements of their own read and write it; the schema is compared with it")]
pub mod order_inputs;
#[allow(dead_code, reason = "statements of their own read and write it; the schema is compared with it")]
pub mod orders;
pub mod preferred_cas;
#[allow(dead_code, reason = "statements of their own read and write it; the schema is compared with it")]
pub mod project_cas;
#[allow(dead_code, reason = "statements of their own read and write it; the schema is compared with it")]
pub mod project_counters;
#[allow(dead_code, reason = "statements of their own read and write it; the schema is compared with it")]
pub mod project_quotas;
pub mod project_stores;
#[allow(dead_code, reason = "statements of their own read and write it; the schema is compared with it")]
pub mod queue_messages;
#[allow(dead_code, reason = "statements of their own read and write it; the schema is compared with it")]
pub mod renewals;
#[allow(dead_code, reason = "statements of their own read and write it; the schema is compared with it")]
pub mod retired_reference_keys;
pub mod secret_consumers;
pub mod secret_metadata;
#[allow(dead_code, reason = "statements of their own read and write it; the schema is compared with it")]
pub mod secrets;
pub mod static_tokens;
pub mod stores;
pub mod transport_keys;
pub mod writes;
