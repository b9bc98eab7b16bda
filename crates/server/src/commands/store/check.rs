//! `bailey store check`: asks each store itself, past what shields a running server from one that is down.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use bailey_db::installation;
use bailey_store_pkcs11::Hsm;

use super::require_key;
use crate::assemble::connect;
use crate::commands::admin::Admin;
use crate::commands::diagnosis::{self, Diagnosis};
use crate::commands::hsm::findings;
use crate::config::StoreConfig;

pub async fn run(admin: &Admin, name: Option<&str>, as_json: bool) -> Result<()> {
    let stores: Vec<&StoreConfig> = match name {
        Some(name) => vec![admin.store(Some(name))?],
        None => admin.config.stores.iter().collect(),
    };
    let mut found = Vec::new();
    for store in stores {
        found.push(Diagnosis::new(&store.name, &store.kind, check(admin, store).await));
    }
    diagnosis::print("store", &found, as_json)
}

/// What a store says of itself when it is asked whether it can be used now.
async fn check(admin: &Admin, store: &StoreConfig) -> Result<()> {
    let id = admin.store_id(store).await?;
    require_key(admin, store).await?;
    let Some(installation) = installation::find(admin.databases.db.reader()).await? else {
        bail!("nothing is installed here: run `bailey serve` first");
    };
    let deployment = installation.deployment;
    let connected = connect(&admin.config, &admin.databases, store, id, deployment, &admin.clock).await?;
    let patience = Duration::from_secs_f64(admin.config.worker.store_deadline_seconds);
    match tokio::time::timeout(patience, connected.store.health()).await {
        Ok(health) => health?,
        Err(_) => bail!("it hasn't answered for {} s, worker.store_deadline_seconds", patience.as_secs_f64()),
    }
    match connected.token {
        Some(token) => check_token(admin, store, &token.hsm).await,
        None => Ok(()),
    }
}

/// A token that answers may still lack something that is needed one day.
async fn check_token(admin: &Admin, store: &StoreConfig, hsm: &Hsm) -> Result<()> {
    let found = findings(admin, store, hsm).await?;
    let fatal: Vec<_> = found.into_iter().filter(|finding| finding.is_fatal).map(|finding| finding.sentence).collect();
    ensure!(fatal.is_empty(), "{}", fatal.join("; "));
    Ok(())
}
