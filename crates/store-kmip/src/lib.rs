//! The KMIP secret store: an enterprise key server keeps the payloads, Bailey keeps their references.
//!
//! Start reading at [`KmipStore`] and `placing.rs`, which has how an object comes to be the only one of its write;
//! `message.rs` is the protocol as far as it is needed, [`ttlv`] its encoding.
//!
//! It is no place for retries, metrics or audit: those wrap a store from outside. What it repeats itself is what a
//! connection needs that broke while nobody used it.

mod backend;
mod client;
mod config;
mod connection;
mod error;
mod inventory;
mod marks;
mod message;
mod object;
mod pair;
mod placing;
mod pool;
mod reference;
mod seal;
mod tls;
pub mod ttlv;

pub use backend::KmipStore;
pub use config::{Config, Generation, KmipVersion};
pub use marks::Marks;
pub use object::{Kind, Object, Outer, Shape};
