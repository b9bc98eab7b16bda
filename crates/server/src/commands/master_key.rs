//! `bailey mkek` and `bailey worker-key`: versions of a master key, and what `bailey hsm` has in common with them.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow, bail};
use bailey_core::idempotency::KEPT;
use bailey_core::ids::{MasterKeyId, StoreId};
use bailey_core::vault::{MasterKeyPurpose, MasterKeyState};
use bailey_db::admin::count_by_reference_key;
use bailey_db::{ErrorKind, idempotency, reference_key};
use bailey_store_simple::key_check_value;
use bailey_vault::{Activated, MasterKeySummary, Retired};
use chrono::{SecondsFormat, TimeDelta};
use serde_json::json;

use super::admin::Admin;
use crate::assemble::Databases;
use crate::cli::MasterKeyCommand;
use crate::keyfile::{self, KeyFile};
use crate::master_keys::key_file;
use crate::output;

/// Workers report every ten seconds; one that missed two reports is gone.
pub(super) const LIVE: TimeDelta = TimeDelta::seconds(30);

/// Which master key a command is about.
pub struct Target {
    /// As on the command line.
    name: &'static str,
    /// The store, if it is one's.
    store: Option<String>,
    pub purpose: MasterKeyPurpose,
    home: Home,
}

/// Where the versions are.
enum Home {
    File(KeyFile),
    Token,
}

impl Target {
    pub fn worker(admin: &Admin) -> Self {
        let file = key_file(&admin.config.keys_dir, None);
        Self { name: "worker-key", store: None, purpose: MasterKeyPurpose::Worker, home: Home::File(file) }
    }

    pub async fn mkek(admin: &Admin, store: Option<&str>) -> Result<Self> {
        let store = admin.store(store)?;
        if !store.kind().is_some_and(|kind| kind.has_key_file) {
            bail!("the MKEKs of store `{0}` are not in a key file: see `bailey hsm --store {0} list`", store.name);
        }
        let purpose = MasterKeyPurpose::Mkek(admin.store_id(store).await?);
        let file = key_file(&admin.config.keys_dir, Some(&store.name));
        Ok(Self { name: "mkek", store: Some(store.name.clone()), purpose, home: Home::File(file) })
    }

    /// The MKEKs of a store that has them in a token.
    pub fn token(store: &str, id: StoreId) -> Self {
        let (store, purpose) = (Some(store.to_owned()), MasterKeyPurpose::Mkek(id));
        Self { name: "hsm", store, purpose, home: Home::Token }
    }

    /// The key file, if they are in one.
    pub fn file(&self) -> Result<&KeyFile> {
        match &self.home {
            Home::File(file) => Ok(file),
            Home::Token => bail!("these MKEKs are in a token"),
        }
    }

    /// The command that does something with a version.
    pub fn command(&self, verb: &str, id: MasterKeyId) -> String {
        match &self.store {
            Some(store) => format!("bailey {} --store {store} {verb} {id}", self.name),
            None => format!("bailey {} {verb} {id}", self.name),
        }
    }

    /// The command that makes another version.
    fn maker(&self) -> String {
        let verb = if matches!(self.home, Home::File(_)) { "add" } else { "rotate" };
        format!("bailey {} {verb}", self.name)
    }

    /// What has to be done for every worker to have a version.
    fn remedy(&self) -> String {
        match &self.home {
            Home::File(file) => format!("copy {} to every machine", file.path().display()),
            Home::Token => "see to it that the token of each has it".to_owned(),
        }
    }

    /// What is left to do with the key of a version that was given up.
    fn leftover(&self, id: MasterKeyId) -> String {
        match &self.home {
            Home::File(file) => format!("its line in {} can go", file.path().display()),
            Home::Token => format!("the keys in the token with the CKA_ID {} can be destroyed", id.uuid().simple()),
        }
    }

    async fn audited(
        &self,
        admin: &Admin,
        verb: &str,
        id: MasterKeyId,
        work: impl Future<Output = Result<()>>,
    ) -> Result<()> {
        admin.audited(&format!("{} {verb}", self.name), Some(format!("master-keys/{id}")), work).await
    }
}

pub async fn run(admin: &Admin, target: &Target, command: MasterKeyCommand) -> Result<()> {
    match command {
        MasterKeyCommand::List { format } => list(admin, target, format.json).await,
        MasterKeyCommand::Add => {
            let id = add(admin, target).await?;
            output::line(&id.to_string())?;
            eprintln!(
                "added to {}; copy the file to every other machine, then `{}`",
                target.file()?.path().display(),
                target.command("activate", id)
            );
            Ok(())
        }
        MasterKeyCommand::Activate { id } => {
            activate(admin, target, id).await?;
            eprintln!("{id} is used for everything new, within seconds");
            Ok(())
        }
        MasterKeyCommand::Retire { id } => give_up(admin, target, id).await,
    }
}

/// Retires a version, and says what is left to do.
pub async fn give_up(admin: &Admin, target: &Target, id: MasterKeyId) -> Result<()> {
    target.audited(admin, "retire", id, retire(admin, target, id)).await?;
    let leftover = target.leftover(id);
    eprintln!("{id} is retired: backups of the databases from before may still need it, otherwise {leftover}");
    Ok(())
}

/// Makes another version, in the key file first.
pub async fn add(admin: &Admin, target: &Target) -> Result<MasterKeyId> {
    let (id, key) = keyfile::generate()?;
    let check_value = key_check_value(target.purpose, id, &key);
    let add = async {
        let file = target.file()?;
        if !file.exists() {
            bail!("the key file {} is missing: put it back first", file.path().display());
        }
        file.add(id, &key)?;
        admin.databases.vault.add_master_key(target.purpose, id, check_value, admin.clock.now()).await?;
        Ok(())
    };
    target.audited(admin, "add", id, add).await?;
    Ok(id)
}

/// Has a version used for everything new.
pub async fn activate(admin: &Admin, target: &Target, id: MasterKeyId) -> Result<()> {
    let activate = async {
        find(admin, target, id).await?;
        match try_activate(admin, target, id).await? {
            0 => Ok(()),
            without => bail!(
                "{without} running worker(s) don't have {id} yet: {} and try again in some seconds; without it they could \
                 not read what the others write",
                target.remedy()
            ),
        }
    };
    target.audited(admin, "activate", id, activate).await
}

/// Has a version used for everything new, unless a running worker lacks it; how many do.
pub async fn try_activate(admin: &Admin, target: &Target, id: MasterKeyId) -> Result<usize> {
    match admin.databases.vault.activate_master_key(id, admin.clock.now() - LIVE).await? {
        Activated::Yes => Ok(0),
        Activated::NotReported(workers) => Ok(workers.len()),
        Activated::Past => bail!("{id} was active before: make another one with `{}`", target.maker()),
        Activated::Unproven => bail!("{id} was begun and not finished"),
        Activated::Unknown => bail!("there is no version {id}"),
    }
}

async fn retire(admin: &Admin, target: &Target, id: MasterKeyId) -> Result<()> {
    find(admin, target, id).await?;
    let references = match target.purpose {
        MasterKeyPurpose::Mkek(_) => 0,
        MasterKeyPurpose::Worker => references_left(admin, id).await?,
    };
    match admin.databases.vault.retire_master_key(id, references).await? {
        Retired::Yes => Ok(()),
        Retired::InUse(count) => bail!("{id} is in use: {count} {} under it", noun(target.purpose, count)),
        Retired::Active => bail!(is_active(id)),
        Retired::Unknown => bail!("there is no version {id}"),
    }
}

/// How many references are sealed under a version of the worker key. If there are none, there will never be
/// one: what a writer has sealed under it and not committed by now is refused.
async fn references_left(admin: &Admin, id: MasterKeyId) -> Result<u64> {
    let Databases { db, vault } = &admin.databases;
    // With no server running, nobody else forgets them.
    let until = admin.clock.now() - KEPT;
    db.write(move |tx| Box::pin(idempotency::purge(tx, until, u64::MAX))).await?;
    // Under a tombstone, the active version could store nothing.
    if !vault.bar_master_key(id).await? {
        bail!(is_active(id));
    }
    let retired = db.write(move |tx| Box::pin(reference_key::retire(tx, id))).await;
    retired.map_err(|error: bailey_db::Error| match error.kind {
        ErrorKind::Unavailable => anyhow!("nothing is changed, because writers are busy: try again ({error})"),
        _ => error.into(),
    })?;
    Ok(db.write(move |tx| Box::pin(reference_key::settle(tx, id))).await?)
}

fn is_active(id: MasterKeyId) -> String {
    format!("{id} is the active version: activate another one first")
}

/// The version, if it is one of this master key's.
async fn find(admin: &Admin, target: &Target, id: MasterKeyId) -> Result<MasterKeySummary> {
    let versions = admin.databases.vault.master_keys(target.purpose).await?;
    let version = versions.into_iter().find(|version| version.key.id == id);
    version.with_context(|| format!("there is no version {id}: see `bailey {} list`", target.name))
}

async fn counts(admin: &Admin) -> Result<BTreeMap<MasterKeyId, u64>> {
    Ok(count_by_reference_key(admin.databases.db.reader()).await?.into_iter().collect())
}

async fn list(admin: &Admin, target: &Target, as_json: bool) -> Result<()> {
    let (mut rows, mut objects) = (Vec::new(), Vec::new());
    let references = counts(admin).await?;
    for MasterKeySummary { key, keks } in admin.databases.vault.master_keys(target.purpose).await? {
        let count = match target.purpose {
            MasterKeyPurpose::Mkek(_) => keks,
            MasterKeyPurpose::Worker => references.get(&key.id).copied().unwrap_or_default(),
        };
        let state = state(key.state);
        let created_at = key.created_at.to_rfc3339_opts(SecondsFormat::Secs, true);
        rows.push([key.id.to_string(), state.to_owned(), count.to_string(), key.reserved.to_string(), created_at]);
        objects.push(json!({
            "id": key.id, "state": state, "objects": count, "reserved": key.reserved, "created_at": key.created_at,
        }));
    }
    if as_json {
        return Ok(output::json(&objects)?);
    }
    let objects = noun(target.purpose, 2).to_uppercase();
    Ok(output::table(["ID", "STATE", &objects, "RESERVED", "CREATED"], &rows)?)
}

const fn noun(purpose: MasterKeyPurpose, count: u64) -> &'static str {
    match (purpose, count) {
        (MasterKeyPurpose::Mkek(_), 1) => "KEK",
        (MasterKeyPurpose::Mkek(_), _) => "KEKs",
        (MasterKeyPurpose::Worker, 1) => "reference",
        (MasterKeyPurpose::Worker, _) => "references",
    }
}

pub const fn state(state: MasterKeyState) -> &'static str {
    match state {
        MasterKeyState::Added => "added",
        MasterKeyState::Active => "active",
        MasterKeyState::DecryptOnly => "decrypt-only",
        MasterKeyState::Retired => "retired",
    }
}
