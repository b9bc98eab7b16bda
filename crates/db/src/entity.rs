//! One entity for each table, private to this crate.

pub mod acl_users;
#[allow(dead_code, reason = "statements of their own read and write it; the schema is compared with it")]
pub mod acls;
pub mod deletions;
pub mod installation;
#[allow(dead_code, reason = "statements of their own read and write it; the schema is compared with it")]
pub mod project_counters;
pub mod secret_consumers;
pub mod secret_metadata;
#[allow(dead_code, reason = "statements of their own read and write it; the schema is compared with it")]
pub mod secrets;
pub mod static_tokens;
pub mod stores;
pub mod writes;
