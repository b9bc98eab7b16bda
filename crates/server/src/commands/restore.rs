//! `bailey restore`: what must change once databases were restored from a backup.

use anyhow::{Context as _, Result, bail};
use bailey_core::ids::MasterKeyId;
use bailey_core::vault::MasterKeyState;
use bailey_db::installation;
use chrono::{DateTime, Utc};

use super::admin::Admin;
use super::master_key::{self, Target};
use crate::output;

/// Begins a new epoch, in which no orphan is destroyed until an operator accepts the restore, and ends the
/// use of every key: the backup may have forgotten some of its encryptions. Run again, it goes on.
pub async fn run(admin: &Admin) -> Result<()> {
    let (restored_at, demoted) = admin.audited("restore", None, begin(admin)).await?;
    eprintln!("a new epoch begins: {demoted} project key(s) encrypt nothing any more, and no orphan is destroyed");
    let mut left = Vec::new();
    for target in targets(admin).await? {
        left.extend(renew(admin, &target, restored_at).await?);
    }
    if !left.is_empty() {
        eprintln!("left to do once every machine has the key files:");
        output::line(&left.join("\n"))?;
    }
    eprintln!("then look at `bailey store audit` and, if it is as it should be, `bailey store audit --accept-restore`");
    Ok(())
}

async fn begin(admin: &Admin) -> Result<(DateTime<Utc>, u64)> {
    let (db, now) = (&admin.databases.db, admin.clock.now());
    // First the epoch: a death in between leaves orphans safe.
    db.write(move |tx| Box::pin(installation::begin_restore(tx, now))).await?;
    let installation = installation::find(db.reader()).await?;
    let restored_at = installation.and_then(|installation| installation.restored_at).context(
        "nothing was ever kept here, so nothing can have been restored: look at database.url, or run `bailey serve` first",
    )?;
    Ok((restored_at, admin.databases.vault.demote_all_keks().await?))
}

/// The worker key, and the MKEK of each store with a key file that was ever started.
async fn targets(admin: &Admin) -> Result<Vec<Target>> {
    let mut targets = vec![Target::worker(admin)];
    for store in admin.config.stores.iter().filter(|store| store.kind().is_some_and(|kind| kind.has_key_file)) {
        if admin.find_store_id(store).await?.is_some() {
            targets.push(Target::mkek(admin, Some(&store.name)).await?);
        }
    }
    Ok(targets)
}

/// What a master key is since a restore.
enum Renewal {
    /// It was never used, or what is active was made since.
    Done,
    /// A version made since waits for its activation.
    Added(MasterKeyId),
    /// What is active was in the backup already.
    Due,
}

async fn renewal(admin: &Admin, target: &Target, restored_at: DateTime<Utc>) -> Result<Renewal> {
    let versions = admin.databases.vault.master_keys(target.purpose).await?;
    let newest = |state| {
        let versions = versions.iter().map(|version| &version.key).filter(|key| key.state == state);
        versions.max_by_key(|key| (key.created_at, key.id))
    };
    Ok(match (newest(MasterKeyState::Active), newest(MasterKeyState::Added)) {
        (None, _) => Renewal::Done,
        (Some(active), _) if active.created_at >= restored_at => Renewal::Done,
        (Some(_), Some(added)) if added.created_at >= restored_at => Renewal::Added(added.id),
        (Some(_), _) => Renewal::Due,
    })
}

/// Gives a master key a version that no backup knows, and has it used if every running worker has it. Returns
/// the command that is left otherwise.
async fn renew(admin: &Admin, target: &Target, restored_at: DateTime<Utc>) -> Result<Option<String>> {
    let id = match renewal(admin, target, restored_at).await? {
        Renewal::Done => return Ok(None),
        Renewal::Added(id) => id,
        Renewal::Due => master_key::add(admin, target).await?,
    };
    let file = target.file()?.path().display();
    match master_key::activate(admin, target, id).await {
        Ok(()) => {
            eprintln!("{id} in {file} is used from now on: back the file up, and copy it to every other machine");
            Ok(None)
        }
        Err(error) => {
            eprintln!("{id} in {file} is not used yet: {error:#}");
            Ok(Some(target.command("activate", id)))
        }
    }
}

/// Complains while a master key that was in the backup is still used.
pub async fn require_renewed(admin: &Admin) -> Result<()> {
    let installation = installation::find(admin.databases.db.reader()).await?;
    let Some(restored_at) = installation.and_then(|installation| installation.restored_at) else { return Ok(()) };
    let mut left = Vec::new();
    for target in targets(admin).await? {
        match renewal(admin, &target, restored_at).await? {
            Renewal::Done => {}
            Renewal::Added(id) => left.push(target.command("activate", id)),
            Renewal::Due => left.push("bailey restore".to_owned()),
        }
    }
    left.dedup();
    if !left.is_empty() {
        bail!("keys from before the restore are still used; end that first:\n{}", left.join("\n"));
    }
    Ok(())
}
