//! A worker with doubles around it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cas;
mod certificates;
mod expired;
mod gate;
mod generate;
mod guarded;
mod harness;
mod idempotency;
mod messages;
mod migrate;
mod moody;
mod notices;
mod order_of_effects;
mod orders;
mod over_nats;
mod renewals;
mod renewing;
mod rotation;
mod stored_keys;
mod switched_off;
