//! `bailey store`

mod audit;
mod check;
mod list;
mod migrate;
mod prefer;

use anyhow::{Result, bail};
use bailey_core::vault::{MasterKeyPurpose, MasterKeyState};

use super::admin::Admin;
use crate::cli::StoreCommand;
use crate::config::StoreConfig;

pub async fn run(admin: &Admin, command: StoreCommand) -> Result<()> {
    match command {
        StoreCommand::List { format } => list::list(admin, format.json).await,
        StoreCommand::Show { name, format } => list::show(admin, &name, format.json).await,
        StoreCommand::Check { name, format } => check::run(admin, name.as_deref(), format.json).await,
        StoreCommand::Prefer { project, name, .. } => prefer::run(admin, &project, name.as_deref()).await,
        StoreCommand::Audit(options) => audit::run(admin, options).await,
        StoreCommand::Migrate(options) => migrate::run(admin, options).await,
    }
}

/// What is missing at a first start is made by [`Assembly::new`](crate::assemble::Assembly::new), which is for
/// `bailey serve` to do: a command may run as another user, or on another machine than the key files belong to.
pub(super) async fn require_served(admin: &Admin) -> Result<()> {
    require_active(admin, "the worker", MasterKeyPurpose::Worker).await?;
    for store in &admin.config.stores {
        require_key(admin, store).await?;
    }
    Ok(())
}

/// The same of one store.
async fn require_key(admin: &Admin, store: &StoreConfig) -> Result<()> {
    if !store.kind().is_some_and(|kind| kind.has_key_file) {
        return Ok(());
    }
    let purpose = MasterKeyPurpose::Mkek(admin.store_id(store).await?);
    require_active(admin, &format!("the store `{}`", store.name), purpose).await
}

async fn require_active(admin: &Admin, whose: &str, purpose: MasterKeyPurpose) -> Result<()> {
    let versions = admin.databases.vault.master_keys(purpose).await?;
    if !versions.iter().any(|version| version.key.state == MasterKeyState::Active) {
        bail!("{whose} has no key yet: run `bailey serve` first");
    }
    Ok(())
}
