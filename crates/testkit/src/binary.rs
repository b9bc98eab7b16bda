//! The built binary `bailey`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// The binary that was built with the running test program: `target/debug/bailey` beside
/// `target/debug/deps/<test>`.
///
/// # Errors
/// When it isn't there: cargo makes it for `--workspace` and for the server crate's own tests only.
pub fn bailey() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.parent().and_then(|deps| deps.parent()).context("the test program has no folder")?;
    let binary = folder.join("bailey");
    if !binary.is_file() {
        bail!("{} is missing: run `cargo test --workspace`, or `cargo build` first", binary.display());
    }
    Ok(binary)
}
