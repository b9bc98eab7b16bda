//! What is done unasked, and by operators: each function does its work once, is idempotent and can
//! be stopped at any line.

pub mod audit;
mod deletions;
mod expired;
pub mod migrate;
mod moving;
pub(crate) mod purge;
pub mod reencrypt;
mod reseal;
mod sweep;
mod transport;
