//! What stands in bodies: how requests are read into domain types and answers written from them.

pub mod acl;
pub mod base64;
pub mod consumer;
pub mod container;
pub mod container_query;
pub mod content_type;
pub mod error;
pub mod fields;
pub mod health;
pub mod metadata;
pub mod new_container;
pub mod new_order;
pub mod new_secret;
pub mod order;
pub mod paging;
pub mod quota;
pub mod revocation;
pub mod secret;
pub mod secret_query;
pub mod secret_store;
pub mod session_key;
pub mod time;
pub mod transport_key;
pub mod upload;
pub mod version;
