//! `bailey hsm generate` and `bailey hsm rotate`: a key is made in the token, then the vault is told which it is.
//!
//! Before anything is made, the vault is told the id it will have. So a command that died anywhere is healed by
//! the next one: it goes on with that id, makes what is missing, and makes nothing twice.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bailey_core::ids::MasterKeyId;
use bailey_core::vault::MasterKeyState;
use bailey_vault::{Activated, MasterKeySummary};
use chrono::TimeDelta;
use tokio::time::Instant;

use super::Token;
use crate::assemble::is_unused;
use crate::commands::admin::sqlite_file;
use crate::commands::master_key::try_activate;
use crate::output;
use crate::token_keys::is_whole;

/// Between two looks whether every worker has a version.
const POLL: Duration = Duration::from_secs(1);

/// Makes the first version.
pub async fn generate(token: &Token<'_>) -> Result<()> {
    let work = locked(token, make_first(token));
    let id = token.admin.audited("hsm generate", target(token), work).await?;
    output::line(&id.to_string())?;
    eprintln!("the store `{}` can be used", token.store.name);
    Ok(())
}

/// Makes the next version, and has it used for everything new once every running worker has it.
pub async fn rotate(token: &Token<'_>, wait: Duration) -> Result<()> {
    let work = async {
        let id = locked(token, make_next(token)).await?;
        activate(token, id, wait).await?;
        Ok(id)
    };
    let id = token.admin.audited("hsm rotate", target(token), work).await?;
    output::line(&id.to_string())?;
    let store = &token.store.name;
    eprintln!(
        "running servers wrap the KEKs anew in the background: `bailey hsm --store {store} list` shows how many are left \
         under each version, `bailey hsm --store {store} retire` gives one up"
    );
    Ok(())
}

fn target(token: &Token<'_>) -> Option<String> {
    Some(format!("stores/{}", token.store.name))
}

/// Does `work` while nobody else makes keys.
async fn locked<T>(token: &Token<'_>, work: impl Future<Output = Result<T>>) -> Result<T> {
    let _file = lock_file(&token.admin.config.vault.url)?;
    let lock = token.admin.databases.lock_ceremony().await?;
    let outcome = work.await;
    lock.release().await;
    outcome
}

/// SQLite has no locks for anybody but itself; a file beside the vault takes the place of one.
fn lock_file(url: &str) -> Result<Option<File>> {
    let Some(mut path) = sqlite_file(url) else { return Ok(None) };
    path.add_extension("ceremony");
    let file = File::create(&path).with_context(|| format!("{} can't be made", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => bail!("another command makes keys: try again when it is done"),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("{} can't be locked", path.display())),
    }
}

async fn make_first(token: &Token<'_>) -> Result<MasterKeyId> {
    let (name, versions) = (&token.store.name, versions(token).await?);
    if let Some(active) = in_state(&versions, MasterKeyState::Active) {
        bail!("the store `{name}` has an MKEK already, {active}: `bailey hsm rotate` makes the next one");
    }
    let id = match in_state(&versions, MasterKeyState::Added) {
        Some(begun) => begun,
        None => {
            if versions.is_empty() && !is_unused(&token.admin.databases, token.id).await? {
                bail!(
                    "the vault doesn't know the MKEKs of the store `{name}`, but there is data that needs them: it is not \
                     the vault that belongs to this metadata database, or it was emptied; restore it from its backup"
                );
            }
            refuse_foreign(token).await?;
            announce(token).await?
        }
    };
    make(token, id).await?;
    activate_first(token, id).await?;
    Ok(id)
}

/// Nothing can be under a version that some worker doesn't see yet and needs, since none is active: those that
/// run wait for one.
async fn activate_first(token: &Token<'_>, id: MasterKeyId) -> Result<()> {
    if let Some(other) = in_state(&versions(token).await?, MasterKeyState::Active) {
        bail!("another version was activated meanwhile, {other}: see `bailey hsm list`");
    }
    // Nobody has reported anything since.
    let live_since = token.admin.clock.now() + TimeDelta::days(1);
    let activated = token.admin.databases.vault.activate_master_key(id, live_since).await?;
    ensure!(activated == Activated::Yes, "{id} can't be activated: see `bailey hsm list`");
    Ok(())
}

async fn make_next(token: &Token<'_>) -> Result<MasterKeyId> {
    let versions = versions(token).await?;
    let name = &token.store.name;
    ensure!(
        in_state(&versions, MasterKeyState::Active).is_some(),
        "the store `{name}` has no MKEK yet: `bailey hsm generate` makes the first one"
    );
    let id = match in_state(&versions, MasterKeyState::Added) {
        Some(begun) => {
            eprintln!("going on with {begun}, which was begun before");
            begun
        }
        None => announce(token).await?,
    };
    make(token, id).await?;
    Ok(id)
}

/// Keys of whoever else uses these labels are not this store's to take on, and to put one's own beside them would
/// leave nobody sure whose are whose.
async fn refuse_foreign(token: &Token<'_>) -> Result<()> {
    let objects = token.hsm.keys().await?;
    if objects.is_empty() {
        return Ok(());
    }
    let name = |version: Option<MasterKeyId>| version.map_or_else(|| "of no version".to_owned(), |id| id.to_string());
    let there: BTreeSet<String> = objects.iter().map(|object| name(object.version)).collect();
    bail!(
        "the token has keys labelled `{}` or `{}` already, which this vault knows nothing of ({}): they belong to another \
         store or installation. Give this store labels of its own, or take them away if nothing needs them",
        token.config.mkek_label,
        token.config.hmac_label,
        there.into_iter().collect::<Vec<_>>().join(", ")
    )
}

/// Tells the vault which version is about to be made.
async fn announce(token: &Token<'_>) -> Result<MasterKeyId> {
    let id = MasterKeyId::new();
    token.admin.databases.vault.announce_master_key(token.target.purpose, id, token.admin.clock.now()).await?;
    Ok(id)
}

/// Makes what is missing of an announced version, and tells the vault what it is.
async fn make(token: &Token<'_>, id: MasterKeyId) -> Result<()> {
    if !is_whole(&token.hsm.keys().await?, id) {
        token.hsm.generate_version(id, false).await?;
    }
    let check_value = token.hsm.check_value(token.id, id).await?;
    Ok(token.admin.databases.vault.prove_master_key(id, check_value).await?)
}

/// The nodes of an HSM share a new key in their own time.
async fn activate(token: &Token<'_>, id: MasterKeyId, wait: Duration) -> Result<()> {
    let (until, mut is_told) = (Instant::now() + wait, false);
    loop {
        let without = try_activate(token.admin, &token.target, id).await?;
        if without == 0 {
            return Ok(());
        }
        ensure!(
            Instant::now() < until,
            "{without} running worker(s) don't see {id} in their token yet: see to it that the token of each gets it, then \
             run `bailey hsm rotate` again; it goes on with this version"
        );
        if !is_told {
            eprintln!("{id} is in the token; waiting until every running worker sees it there");
            is_told = true;
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn versions(token: &Token<'_>) -> Result<Vec<MasterKeySummary>> {
    Ok(token.admin.databases.vault.master_keys(token.target.purpose).await?)
}

/// The newest version in a state.
fn in_state(versions: &[MasterKeySummary], state: MasterKeyState) -> Option<MasterKeyId> {
    versions.iter().filter(|version| version.key.state == state).map(|version| version.key.id).max()
}
