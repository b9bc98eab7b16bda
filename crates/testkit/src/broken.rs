//! Deliberately broken doubles. Each breaks one promise in a way that a real back-end could, and
//! the conformance suites must notice every one: `tests/broken.rs` says by which case.

mod backend;
mod store;

pub use backend::{BackendFault, BrokenBackendFixture};
pub use store::{BrokenStoreFixture, StoreFault};
