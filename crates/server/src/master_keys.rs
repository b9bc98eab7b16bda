//! Key files beside the vault's register of them: what is made, taken on, and refused.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bailey_core::clock::Clock;
use bailey_core::ids::MasterKeyId;
use bailey_core::keyring::{KeyRing, KeySourceError};
use bailey_core::told::Complaint;
use bailey_core::vault::{MasterKey, MasterKeyPurpose, MasterKeyRegister as _, MasterKeyState};
use bailey_db::ErrorKind;
use bailey_store_simple::key_check_value;
use bailey_vault::VaultDb;
use metrics::Gauge;

use crate::assemble::Obstacle;
use crate::keyfile::{self, KeyFile};
use crate::private_file::{Stamp, stamp};

#[cfg(test)]
mod tests;

type Known = BTreeMap<MasterKeyId, Version>;

/// What the vault knows about a version.
#[derive(Debug, PartialEq, Eq)]
struct Version {
    check_value: Vec<u8>,
    state: MasterKeyState,
}

impl Version {
    /// Whether something can't be read or written without it.
    const fn is_in_use(&self) -> bool {
        matches!(self.state, MasterKeyState::Active | MasterKeyState::DecryptOnly)
    }
}

/// The versions of one master key: the file, what of it is in memory, and what the vault knows.
pub struct MasterKeys {
    purpose: MasterKeyPurpose,
    file: KeyFile,
    ring: Arc<KeyRing>,
    known: Arc<Mutex<Known>>,
    seen: Mutex<Option<Stamp>>,
    budget: Option<Budget>,
    complaint: Mutex<Complaint>,
}

/// How often one version may encrypt, and where to tell how much of that is reserved.
struct Budget {
    limit: u64,
    used: Gauge,
}

/// The file of the worker key, or of a store's MKEKs.
#[must_use]
pub fn key_file(folder: &Path, store: Option<&str>) -> KeyFile {
    match store {
        Some(store) => KeyFile::new(folder, &format!("mkek-{store}.key")),
        None => KeyFile::new(folder, "worker.key"),
    }
}

impl MasterKeys {
    /// Reads the file and holds it against the vault. If the vault has no active version yet, the file
    /// is taken on; if it knows none at all, the file is made first, should it be missing too.
    /// `is_fresh` says whether that can be right.
    ///
    /// # Errors
    /// `Refused` when the file is missing, can't be read or isn't the one that belongs to the vault;
    /// `OutOfReach` while another machine's first key is about to become the active one.
    pub async fn open(
        vault: &VaultDb,
        purpose: MasterKeyPurpose,
        file: KeyFile,
        is_fresh: bool,
        clock: &Clock,
    ) -> Result<Self, Obstacle> {
        let path = file.path().display().to_string();
        let mut registered = vault.list(purpose).await?;
        if registered.is_empty() && !is_fresh {
            return Err(Obstacle::refused(format!(
                "the vault doesn't know the keys of {path}, but there is data that needs them: it is not the vault \
                 that belongs to this metadata database, or it was emptied; restore it from its backup"
            )));
        }
        if registered.is_empty() && !file.exists() {
            make(&file)?;
        }
        if !file.exists() {
            return Err(Obstacle::refused(format!(
                "the key file {path} is missing: put it back from its backup or from another machine; without it nothing \
                 that was stored can be read, and a new one would not help"
            )));
        }
        if !has_active(&registered) {
            take_on(vault, purpose, &file, clock).await?;
            registered = vault.list(purpose).await?;
        }
        let known = Arc::new(Mutex::new(known(&registered)));
        let ring = ring(purpose, &file, &known).map_err(|error| Obstacle::refused(error.to_string()))?;
        warn_of_missing(&registered, &ring, &path);
        if !has_active(&registered) {
            return Err(Obstacle::OutOfReach(anyhow::anyhow!(
                "the vault knows an older key than those of {path}, and it is not active yet: another machine is being \
                 started for the first time; copy its key file to this one, or finish its start"
            )));
        }
        ring.require(in_use(&lock(&known)));
        let seen = Mutex::new(stamp(file.path()));
        Ok(Self { purpose, file, ring: Arc::new(ring), known, seen, budget: None, complaint: Mutex::default() })
    }

    /// Has them tell how much of the active MKEK's budget is used.
    #[must_use]
    pub fn measured(self, store: &str, limit: u64) -> Self {
        let used = metrics::gauge!("bailey_mkek_used_ratio", "store" => store.to_owned());
        Self { budget: Some(Budget { limit, used }), ..self }
    }

    /// Versions of what it is.
    #[must_use]
    pub const fn purpose(&self) -> MasterKeyPurpose {
        self.purpose
    }

    /// What is in memory.
    #[must_use]
    pub const fn ring(&self) -> &Arc<KeyRing> {
        &self.ring
    }

    /// Learns what the vault knows by now, and reads the file again if either has changed.
    pub async fn look_after(&self, vault: &VaultDb) {
        let has_learned = self.learn(vault).await;
        if has_learned || *self.seen.lock().unwrap_or_else(PoisonError::into_inner) != stamp(self.file.path()) {
            self.read_again();
        }
    }

    /// Learns what the vault knows by now, and reads the file again. If it is no good, the keys held so
    /// far stay.
    pub async fn reload(&self, vault: &VaultDb) {
        self.learn(vault).await;
        self.read_again();
    }

    /// Returns whether there is news.
    async fn learn(&self, vault: &VaultDb) -> bool {
        match vault.list(self.purpose).await {
            Ok(registered) => {
                self.complaint().is_over();
                self.measure(&registered);
                let (mut known, news) = (lock(&self.known), known(&registered));
                self.ring.require(in_use(&news));
                std::mem::replace(&mut *known, news) != *known
            }
            Err(error) => {
                if self.complaint().is_news(&error) {
                    tracing::warn!(%error, file = %self.file.path().display(), "the vault can't be asked for its keys");
                }
                false
            }
        }
    }

    fn complaint(&self) -> MutexGuard<'_, Complaint> {
        self.complaint.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn measure(&self, registered: &[MasterKey]) {
        let active = registered.iter().find(|key| key.state == MasterKeyState::Active);
        if let (Some(budget), Some(active)) = (&self.budget, active) {
            budget.used.set(active.reserved as f64 / budget.limit.max(1) as f64);
        }
    }

    fn read_again(&self) {
        let now = stamp(self.file.path());
        match self.ring.reload() {
            Ok(()) => tracing::info!(file = %self.file.path().display(), "key file read again"),
            Err(error) => tracing::error!(%error, "the keys held so far stay"),
        }
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

/// Makes the file, with a first key.
fn make(file: &KeyFile) -> Result<(), Obstacle> {
    let (id, key) = keyfile::generate()?;
    file.add(id, &key)?;
    tracing::info!(file = %file.path().display(), "key file made: back it up, apart from the databases");
    Ok(())
}

/// Registers what is in the file, its newest key as the active one. To be repeated when the process
/// died in the middle of it.
async fn take_on(vault: &VaultDb, purpose: MasterKeyPurpose, file: &KeyFile, clock: &Clock) -> Result<(), Obstacle> {
    let keys = file.read().map_err(|error| Obstacle::refused(error.to_string()))?;
    for (id, key) in &keys {
        let added = vault.add_master_key(purpose, *id, key_check_value(purpose, *id, key), clock.now()).await;
        added.map_err(|error| match error.kind {
            ErrorKind::Conflict => Obstacle::refused(format!(
                "the vault knows the key {id} of {} as another store's: the metadata database is not the one that belongs \
                 to this vault, or it was emptied; restore it from its backup",
                file.path().display()
            )),
            _ => Obstacle::from(error),
        })?;
    }
    let registered = vault.list(purpose).await?;
    // Two machines may start at the same time, each with a file of its own: the older key wins, and
    // the other machine is refused until it has it.
    let is_ours = |key: &MasterKey| key.state == MasterKeyState::Added && keys.contains_key(&key.id);
    let newest = registered.iter().filter(|key| is_ours(key)).map(|key| key.id).max();
    let is_first = |newest| {
        registered.iter().all(|key| match key.state {
            MasterKeyState::Added => is_ours(key) || key.id > newest,
            MasterKeyState::Active | MasterKeyState::DecryptOnly => false,
            MasterKeyState::Retired => true,
        })
    };
    if let Some(newest) = newest.filter(|newest| is_first(*newest)) {
        // No worker can have reported it, and none has used another one.
        vault.activate_master_key(newest, clock.now()).await?;
    }
    Ok(())
}

/// Reads the file now and whenever a version is unknown. Believes no key that isn't the one the vault
/// knows under its id, and no file without a key that is in use.
fn ring(purpose: MasterKeyPurpose, file: &KeyFile, known: &Arc<Mutex<Known>>) -> Result<KeyRing, KeySourceError> {
    let (file, known) = (file.clone(), Arc::clone(known));
    KeyRing::new(move || {
        let mut keys = file.read()?;
        let known = lock(&known);
        let refused = |what: String| {
            let path = file.path().display();
            KeySourceError(format!(
                "the key file {path} {what}: put the right file back from its backup or from another machine"
            ))
        };
        for (id, version) in known.iter() {
            match keys.get(id) {
                Some(key) if key_check_value(purpose, *id, key) != version.check_value => {
                    return Err(refused(format!("has another key under the id {id} than the vault knows")));
                }
                None if version.is_in_use() => {
                    return Err(refused(format!("lacks the key {id}, which the vault says is in use")));
                }
                Some(_) | None => {}
            }
        }
        // Nothing tells yet whether the others are the right bytes.
        keys.retain(|id, _| known.contains_key(id));
        Ok(keys)
    })
}

/// A version that is only added may be missing: another machine may just have made it.
fn warn_of_missing(registered: &[MasterKey], ring: &KeyRing, path: &str) {
    let held = ring.ids();
    for key in registered.iter().filter(|key| key.state == MasterKeyState::Added && !held.contains(&key.id)) {
        tracing::warn!(file = path, key = %key.id, "the key file lacks a key that is to be activated");
    }
}

/// Once there is an active version there always is one: another one's activation alone ends it.
fn has_active(registered: &[MasterKey]) -> bool {
    registered.iter().any(|key| key.state == MasterKeyState::Active)
}

fn known(registered: &[MasterKey]) -> Known {
    let version = |key: &MasterKey| Version { check_value: key.check_value.clone(), state: key.state };
    registered.iter().map(|key| (key.id, version(key))).collect()
}

fn in_use(known: &Known) -> impl Iterator<Item = MasterKeyId> {
    known.iter().filter(|(_, version)| version.is_in_use()).map(|(id, _)| *id)
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}
