//! Key files beside the vault's register of them: what is made, taken on, and refused.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bailey_core::clock::Clock;
use bailey_core::ids::MasterKeyId;
use bailey_core::keyring::{KeyRing, KeySourceError};
use bailey_core::vault::{MasterKey, MasterKeyPurpose, MasterKeyRegister as _, MasterKeyState};
use bailey_db::ErrorKind;
use bailey_store_simple::key_check_value;
use bailey_vault::VaultDb;

use crate::assemble::Obstacle;
use crate::keyfile::{self, KeyFile};

type CheckValues = BTreeMap<MasterKeyId, Vec<u8>>;

/// The versions of one master key: the file, what of it is in memory, and what the vault knows.
pub struct MasterKeys {
    purpose: MasterKeyPurpose,
    file: KeyFile,
    ring: Arc<KeyRing>,
    known: Arc<Mutex<CheckValues>>,
    seen: Mutex<Option<Stamp>>,
}

/// Changes whenever a file is replaced or written to.
type Stamp = (u64, i64, i64, u64);

/// The file of the worker key, or of a store's MKEKs.
#[must_use]
pub fn key_file(folder: &Path, store: Option<&str>) -> KeyFile {
    match store {
        Some(store) => KeyFile::new(folder, &format!("mkek-{store}.key")),
        None => KeyFile::new(folder, "worker.key"),
    }
}

impl MasterKeys {
    /// Reads the file and holds it against the vault. If the vault knows no version yet, the file is
    /// taken on, and made first if it is missing too; `is_fresh` says whether that can be right.
    ///
    /// # Errors
    /// `Refused` when the file is missing, can't be read or isn't the one that belongs to the vault.
    pub async fn open(
        vault: &VaultDb,
        purpose: MasterKeyPurpose,
        file: KeyFile,
        is_fresh: bool,
        clock: &Clock,
    ) -> Result<Self, Obstacle> {
        let path = file.path().display().to_string();
        let mut registered = vault.list(purpose).await?;
        if registered.is_empty() {
            if !is_fresh {
                return Err(Obstacle::refused(format!(
                    "the vault doesn't know the keys of {path}, but there is data that needs them: it is not the vault \
                     that belongs to this metadata database, or it was emptied; restore it from its backup"
                )));
            }
            take_on(vault, purpose, &file, clock).await?;
            registered = vault.list(purpose).await?;
        }
        if !file.exists() {
            return Err(Obstacle::refused(format!(
                "the key file {path} is missing: put it back from its backup or from another machine; without it nothing \
                 that was stored can be read, and a new one would not help"
            )));
        }
        let known = Arc::new(Mutex::new(check_values(&registered)));
        let ring = ring(purpose, &file, &known).map_err(|error| Obstacle::refused(error.to_string()))?;
        require(&registered, &ring, &path)?;
        let seen = Mutex::new(stamp(&file));
        Ok(Self { purpose, file, ring: Arc::new(ring), known, seen })
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

    /// Reads the file again if it has changed, and learns what the vault knows by now.
    pub async fn look_after(&self, vault: &VaultDb) {
        if let Ok(registered) = vault.list(self.purpose).await {
            *self.known.lock().unwrap_or_else(PoisonError::into_inner) = check_values(&registered);
        }
        let now = stamp(&self.file);
        let changed = *self.seen.lock().unwrap_or_else(PoisonError::into_inner) != now;
        if changed {
            self.reload();
        }
    }

    /// Reads the file again. If it is no good, the keys held so far stay.
    pub fn reload(&self) {
        let now = stamp(&self.file);
        match self.ring.reload() {
            Ok(()) => tracing::info!(file = %self.file.path().display(), "key file read again"),
            Err(error) => tracing::error!(%error, "the keys held so far stay"),
        }
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

/// Registers what is in the file, its newest key as the active one; makes the file if it is missing.
async fn take_on(vault: &VaultDb, purpose: MasterKeyPurpose, file: &KeyFile, clock: &Clock) -> Result<(), Obstacle> {
    if !file.exists() {
        let (id, key) = keyfile::generate()?;
        file.add(id, &key)?;
        tracing::info!(file = %file.path().display(), "key file made: back it up, apart from the databases");
    }
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
    let is_first = |newest: MasterKeyId| {
        registered
            .iter()
            .all(|key| key.state == MasterKeyState::Added && (keys.contains_key(&key.id) || key.id > newest))
    };
    if let Some(newest) = keys.keys().next_back().copied().filter(|newest| is_first(*newest)) {
        // No worker can have reported it, and none has used another one.
        vault.activate_master_key(newest, clock.now()).await?;
    }
    Ok(())
}

/// Reads the file now and whenever a version is unknown, and believes no key that isn't the one the
/// vault knows under its id.
fn ring(purpose: MasterKeyPurpose, file: &KeyFile, known: &Arc<Mutex<CheckValues>>) -> Result<KeyRing, KeySourceError> {
    let (file, known) = (file.clone(), Arc::clone(known));
    KeyRing::new(move || {
        let keys = file.read()?;
        let known = known.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, key) in &keys {
            if known.get(id).is_some_and(|expected| *expected != key_check_value(purpose, *id, key)) {
                return Err(KeySourceError(format!(
                    "the key file {} has another key under the id {id} than the vault knows: put the right file back \
                     from its backup or from another machine",
                    file.path().display()
                )));
            }
        }
        Ok(keys)
    })
}

/// A version that is only added may be missing: another machine may just have made it.
fn require(registered: &[MasterKey], ring: &KeyRing, path: &str) -> Result<(), Obstacle> {
    let held = ring.ids();
    for key in registered.iter().filter(|key| !held.contains(&key.id)) {
        match key.state {
            MasterKeyState::Active | MasterKeyState::DecryptOnly => {
                return Err(Obstacle::refused(format!(
                    "the key file {path} lacks the key {}, which the vault says is in use: put the right file back from its \
                     backup or from another machine",
                    key.id
                )));
            }
            MasterKeyState::Added => {
                tracing::warn!(file = path, key = %key.id, "the key file lacks a key that is to be activated");
            }
            MasterKeyState::Retired => {}
        }
    }
    Ok(())
}

fn check_values(registered: &[MasterKey]) -> CheckValues {
    registered.iter().map(|key| (key.id, key.check_value.clone())).collect()
}

fn stamp(file: &KeyFile) -> Option<Stamp> {
    let metadata = fs::metadata(file.path()).ok()?;
    Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.len()))
}
