//! `bailey hsm check`: whether a token can do what its store will ask of it.

use anyhow::{Result, bail};
use bailey_core::vault::{MasterKeyPurpose, MasterKeyState};
use bailey_store_pkcs11::{Finding, Hsm};
use serde_json::json;
use tokio::runtime::Builder;

use super::Found;
use crate::cli::Place;
use crate::commands::admin::Admin;
use crate::config::StoreConfig;
use crate::output;

/// The token is asked before anything is installed, too: whether it is fit is known best before.
pub fn run(place: &Place, (store, token): &Found, as_json: bool) -> Result<()> {
    let hsm = Hsm::connect(token);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut found = runtime.block_on(hsm.check())?;
    drop(runtime);
    let mut more = Vec::new();
    let registered = Admin::run(place, async |admin| {
        more = about_register(admin, store, &Hsm::connect(token)).await?;
        Ok(())
    });
    found.append(&mut more);
    if let Err(error) = registered {
        let sentence = format!("what the vault knows of these keys was not looked at: {error:#}");
        found.push(Finding { is_fatal: false, sentence });
    }
    report(&found, as_json)?;
    match found.iter().filter(|finding| finding.is_fatal).count() {
        0 => {
            eprintln!("the token can do all that the store `{}` will ask of it", store.name);
            Ok(())
        }
        count => bail!("{count} finding(s) keep the store `{}` from being used", store.name),
    }
}

/// Everything that there is to say about a store's token, for `bailey store check`.
pub async fn findings(admin: &Admin, store: &StoreConfig, hsm: &Hsm) -> Result<Vec<Finding>> {
    let mut found = hsm.check().await?;
    found.extend(about_register(admin, store, hsm).await?);
    Ok(found)
}

/// Where the token and the vault disagree.
async fn about_register(admin: &Admin, store: &StoreConfig, hsm: &Hsm) -> Result<Vec<Finding>> {
    let Some(id) = admin.find_store_id(store).await? else { return Ok(Vec::new()) };
    let versions = admin.databases.vault.master_keys(MasterKeyPurpose::Mkek(id)).await?;
    let mut found = Vec::new();
    for version in versions.iter().map(|version| &version.key) {
        let state = match version.state {
            MasterKeyState::Active => "wraps everything new",
            MasterKeyState::DecryptOnly => "may still be needed",
            MasterKeyState::Added | MasterKeyState::Retired => continue,
        };
        let sentence = match hsm.check_value(id, version.id).await {
            Ok(value) if value == version.check_value => continue,
            Ok(_) => {
                format!("version {}, which {state}, has other keys in this token than the vault knows", version.id)
            }
            Err(error) => format!("version {}, which {state}, can't be used: {error}", version.id),
        };
        found.push(Finding { is_fatal: true, sentence });
    }
    for object in hsm.keys().await? {
        if let Some(there) = object.version
            && !versions.iter().any(|version| version.key.id == there)
        {
            let sentence = format!("the vault knows nothing of the {} of version {there}", object.role.as_str());
            found.push(Finding { is_fatal: false, sentence });
        }
    }
    Ok(found)
}

fn report(found: &[Finding], as_json: bool) -> Result<()> {
    if as_json {
        let object = |finding: &Finding| json!({"fatal": finding.is_fatal, "finding": finding.sentence});
        return Ok(output::json(&found.iter().map(object).collect::<Vec<_>>())?);
    }
    for finding in found {
        let weight = if finding.is_fatal { "wrong" } else { "note" };
        output::line(&format!("{weight}: {}", finding.sentence))?;
    }
    Ok(())
}
