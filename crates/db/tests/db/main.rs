//! Everything the metadata database promises, on both engines.
#![allow(clippy::unwrap_used, clippy::panic)]

mod access;
mod challenges;
mod consumers;
mod containers;
mod fixture;
mod housekeeping;
mod labels;
mod lists;
mod order_inputs;
mod orders;
mod projects;
mod quotas;
mod races;
mod renewals;
mod retirement;
mod schema;
mod secrets;
