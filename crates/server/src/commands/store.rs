//! `bailey store`

mod audit;

use anyhow::{Result, bail};
use bailey_core::vault::{MasterKeyPurpose, MasterKeyState};

use super::admin::Admin;
use crate::cli::StoreCommand;

pub async fn run(admin: &Admin, command: StoreCommand) -> Result<()> {
    match command {
        StoreCommand::Audit(options) => audit::run(admin, options).await,
    }
}

/// What is missing at a first start is made by [`Assembly::new`], which is for `bailey serve` to do: a
/// command may run as another user, or on another machine than the key files belong to.
pub(super) async fn require_served(admin: &Admin) -> Result<()> {
    let vault = &admin.databases.vault;
    let mut masters = vec![("the worker".to_owned(), MasterKeyPurpose::Worker)];
    for store in admin.config.stores.iter().filter(|store| store.kind().is_some_and(|kind| kind.has_key_file)) {
        masters.push((format!("the store `{}`", store.name), MasterKeyPurpose::Mkek(admin.store_id(store).await?)));
    }
    for (whose, purpose) in masters {
        if !vault.master_keys(purpose).await?.iter().any(|master| master.key.state == MasterKeyState::Active) {
            bail!("{whose} has no key yet: run `bailey serve` first");
        }
    }
    Ok(())
}
