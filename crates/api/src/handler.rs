//! One function for each route: extract, convert, ask once, convert.

pub mod acl;
pub mod ca;
pub mod ca_choice;
pub mod challenge;
pub mod consumer;
pub mod container;
pub mod fallback;
pub mod health;
pub mod metadata;
pub mod order;
pub mod payload;
pub mod quota;
pub mod revocation;
pub mod secret;
pub mod secret_store;
pub mod transport_key;
pub mod version;
