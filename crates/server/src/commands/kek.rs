//! `bailey kek`: the project keys of a store.

use anyhow::{Result, bail};
use bailey_core::ids::{KekId, ProjectId, StoreId};
use bailey_core::vault::{KekState, Vault as _};
use bailey_vault::{KekSummary, Retired};
use chrono::SecondsFormat;
use serde_json::json;

use super::admin::Admin;
use crate::cli::KekCommand;
use crate::output;

pub async fn run(admin: &Admin, store: Option<&str>, command: KekCommand) -> Result<()> {
    let store = admin.store_id(admin.store(store)?).await?;
    match command {
        KekCommand::List { project, format } => list(admin, store, project.as_ref(), format.json).await,
        KekCommand::Rotate { project, reencrypt } => {
            let target = Some(format!("projects/{project}"));
            admin.audited("kek rotate", target, rotate(admin, store, &project, reencrypt)).await?;
            if reencrypt {
                eprintln!("payloads are moved to another key in the background: see `bailey kek list`");
            }
            Ok(())
        }
        KekCommand::Retire { id } => {
            admin.audited("kek retire", Some(format!("keks/{id}")), retire(admin, store, id)).await?;
            eprintln!("{id} is retired and its wrapping destroyed");
            Ok(())
        }
    }
}

async fn rotate(admin: &Admin, store: StoreId, project: &ProjectId, reencrypt: bool) -> Result<()> {
    let vault = &admin.databases.vault;
    match vault.active_kek(store, project).await? {
        Some(kek) => {
            vault.demote_kek(kek.id, reencrypt).await?;
            eprintln!("{} encrypts nothing any more; the project's next store makes another key", kek.id);
        }
        None if reencrypt => match keks_of(admin, store, Some(project)).await?.last() {
            Some(last) if last.kek.state == KekState::DecryptOnly => vault.demote_kek(last.kek.id, true).await?,
            _ => bail!("project {project} has no key"),
        },
        None => bail!("project {project} has no active key; its next store makes one"),
    }
    Ok(())
}

async fn retire(admin: &Admin, store: StoreId, id: KekId) -> Result<()> {
    let vault = &admin.databases.vault;
    if vault.find_kek(store, id).await?.is_none() {
        bail!("there is no key {id} in this store");
    }
    match vault.retire_kek(id).await? {
        Retired::Yes => Ok(()),
        Retired::InUse(count) => {
            bail!("{id} still encrypts {count} payload(s): move them with `bailey kek rotate --reencrypt` first")
        }
        Retired::Active => bail!("{id} is active: `bailey kek rotate` first"),
        Retired::Unknown => bail!("there is no key {id}"),
    }
}

async fn keks_of(admin: &Admin, store: StoreId, project: Option<&ProjectId>) -> Result<Vec<KekSummary>> {
    let mut keks = admin.databases.vault.keks(store).await?;
    keks.retain(|summary| project.is_none_or(|project| summary.kek.project == *project));
    Ok(keks)
}

async fn list(admin: &Admin, store: StoreId, project: Option<&ProjectId>, as_json: bool) -> Result<()> {
    let (mut rows, mut objects) = (Vec::new(), Vec::new());
    for KekSummary { kek, objects: count, reencrypt } in keks_of(admin, store, project).await? {
        let state = match kek.state {
            KekState::Active => "active",
            KekState::DecryptOnly if reencrypt && count > 0 => "decrypt-only, re-encrypting",
            KekState::DecryptOnly => "decrypt-only",
            KekState::Retired => "retired",
        };
        let created_at = kek.created_at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let (id, mkek) = (kek.id.to_string(), kek.wrapped.mkek.to_string());
        rows.push([
            kek.project.to_string(),
            id,
            state.to_owned(),
            count.to_string(),
            kek.reserved.to_string(),
            mkek,
            created_at,
        ]);
        objects.push(json!({
            "project": kek.project, "id": kek.id, "state": state, "objects": count, "reserved": kek.reserved,
            "mkek": kek.wrapped.mkek, "created_at": kek.created_at,
        }));
    }
    if as_json {
        return Ok(output::json(&objects)?);
    }
    Ok(output::table(["PROJECT", "ID", "STATE", "PAYLOADS", "RESERVED", "MKEK", "CREATED"], &rows)?)
}
