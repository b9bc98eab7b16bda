//! Deliberately broken doubles. Each breaks one promise in a way that a real back-end could, and
//! the conformance suites must notice every one: `tests/broken.rs` says by which case. [`OutageStore`] breaks
//! none: it is only down, when a test says so.

mod authority;
mod backend;
mod outage;
mod store;

pub use authority::{BrokenCaFixture, CaFault};
pub use backend::{BackendFault, BrokenBackendFixture};
pub use outage::{Fails, Outage, OutageStore};
pub use store::{BrokenStoreFixture, StoreFault};
