//! The queue over a real NATS server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test program")]

mod fixture;
mod limits;
mod secrecy;
mod trace;
mod trouble;
mod versions;
