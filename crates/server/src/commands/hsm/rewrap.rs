//! `bailey hsm rewrap`: does at once, and shows, what running servers do in the background.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bailey_core::vault::MasterKeyState;
use bailey_db::installation;
use tokio::time::Instant;

use super::Token;
use crate::assemble::connect;

/// KEKs at once, at most.
const BATCH: u64 = 100;
/// How often it says how far it is.
const BETWEEN_TELLING: Duration = Duration::from_secs(5);

pub async fn run(token: &Token<'_>, dry_run: bool) -> Result<()> {
    if dry_run {
        eprintln!("{} KEK(s) are not under the active MKEK", left(token).await?);
        return Ok(());
    }
    let target = Some(format!("stores/{}", token.store.name));
    let rewrapped = token.admin.audited("hsm rewrap", target, rewrap(token)).await?;
    eprintln!("{rewrapped} KEK(s) wrapped anew here, {} left", left(token).await?);
    Ok(())
}

/// Beside running servers, which do the same, neither undoes what the other did.
async fn rewrap(token: &Token<'_>) -> Result<u64> {
    let Token { admin, store, id, .. } = token;
    let installation = installation::find(admin.databases.db.reader()).await?;
    let deployment = installation.context("nothing is installed here: run `bailey serve` first")?.deployment;
    let connected = connect(&admin.config, &admin.databases, store, *id, deployment, &admin.clock).await?;
    let Some(rotation) = connected.store.key_rotation() else { bail!("the store `{}` has no KEKs", store.name) };
    let rate = admin.config.worker.rewrap_per_second;
    let (mut rewrapped, mut told_at) = (0, Instant::now());
    loop {
        let some = match rotation.rewrap((rate as u64).clamp(1, BATCH)).await? {
            0 => return Ok(rewrapped),
            some => some,
        };
        rewrapped += some;
        if told_at.elapsed() >= BETWEEN_TELLING {
            told_at = Instant::now();
            eprintln!("{rewrapped} KEK(s) wrapped anew here, {} left", left(token).await?);
        }
        tokio::time::sleep(Duration::from_secs_f64(some as f64 / rate)).await;
    }
}

/// How many KEKs are not under the active version.
async fn left(token: &Token<'_>) -> Result<u64> {
    let versions = token.admin.databases.vault.master_keys(token.target.purpose).await?;
    let others = versions.iter().filter(|version| version.key.state != MasterKeyState::Active);
    Ok(others.map(|version| version.keks).sum())
}
