//! The KMIP secret store: an enterprise key server keeps the payloads, Bailey keeps their references.
//!
//! It is no place for retries, metrics or audit: those wrap a store from outside.

pub mod ttlv;
