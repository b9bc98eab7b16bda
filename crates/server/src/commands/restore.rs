//! `bailey restore`: what must change once databases were restored from a backup.

use anyhow::Result;
use bailey_db::installation;

use super::admin::Admin;

/// Begins a new epoch, in which no orphan is destroyed until an operator accepts the restore, and
/// lets no KEK encrypt any more: the backup may have forgotten some of its encryptions.
pub async fn run(admin: &Admin) -> Result<()> {
    let demoted = admin.audited("restore", None, begin(admin)).await?;
    eprintln!("a new epoch begins: {demoted} project key(s) encrypt nothing any more, and no orphan is destroyed");
    eprintln!("next: `bailey mkek add` and `worker-key add`, activate both; then look at `bailey store audit`");
    eprintln!("and, if it is as it should be, `bailey store audit --accept-restore`");
    Ok(())
}

async fn begin(admin: &Admin) -> Result<u64> {
    // First the epoch: a death in between leaves orphans safe.
    admin.databases.db.write(|tx| Box::pin(installation::advance_epoch(tx))).await?;
    Ok(admin.databases.vault.demote_all_keks().await?)
}
