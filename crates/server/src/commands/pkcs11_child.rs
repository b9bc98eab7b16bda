//! `bailey pkcs11-child`: started by a worker, for stores with `isolation = "process"`.

use anyhow::{Context as _, Result};

use crate::hardening;

/// Calls a token's library until the process that started this one ends.
pub fn run() -> Result<()> {
    hardening::protect_memory();
    bailey_store_pkcs11::serve().context("nobody but a worker starts this")
}
