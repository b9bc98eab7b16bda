//! What the API, end-to-end and fault tests share: a Bailey to ask ([`app`]), a client that sends
//! exactly what it is told ([`http`]) and how a test program runs its cases ([`suite`]).
//!
//! The test programs are `api/`, `e2e/` and `faults/` beside this folder.

pub mod app;
pub mod balancer;
pub mod cas;
pub mod cloud;
pub mod collector;
pub mod hook;
pub mod hsm;
pub mod http;
mod orders;
pub mod scrape;
pub mod search;
pub mod secrets;
pub mod sql;
pub mod suite;
pub mod vault;

pub use app::{Database, Store, TestApp};
pub use http::{Answer, Client, Request};
pub use suite::scale;
