//! A vault and a register of master keys, each operation one step under one lock.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use bailey_core::crypto::WrappedKek;
use bailey_core::ids::{KekId, MasterKeyId, ProjectId, StoreId, WorkerId, WriteId};
use bailey_core::store::{Place, StoreError, StoreErrorKind};
use bailey_core::vault::{
    Ciphertext, Inserted, KekState, MasterKey, MasterKeyPurpose, MasterKeyRegister, MasterKeyState, ProjectKek, Vault,
};
use chrono::{DateTime, Utc};

/// Keeps ciphertexts, project KEKs and master key versions.
#[derive(Default)]
pub struct MemoryVault(Mutex<State>);

#[derive(Default)]
struct State {
    ciphertexts: BTreeMap<WriteId, (StoreId, Ciphertext)>,
    keks: BTreeMap<KekId, (ProjectKek, bool)>,
    master_keys: BTreeMap<MasterKeyId, MasterKey>,
    reports: BTreeMap<WorkerId, (Vec<MasterKeyId>, DateTime<Utc>)>,
    is_down: bool,
    questions: u64,
}

impl State {
    fn is_active(&self, mkek: MasterKeyId, store: StoreId) -> bool {
        let key = self.master_keys.get(&mkek);
        key.is_some_and(|key| key.state == MasterKeyState::Active && key.purpose == MasterKeyPurpose::Mkek(store))
    }
}

impl MemoryVault {
    fn state(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let mut state = self.0.lock().unwrap();
        state.questions += 1;
        if state.is_down {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "ask vault", "it is down"));
        }
        Ok(state)
    }

    /// Makes every operation fail, or work again.
    pub fn set_down(&self, is_down: bool) {
        self.0.lock().unwrap().is_down = is_down;
    }

    /// How many operations were asked for so far.
    pub fn questions(&self) -> u64 {
        self.0.lock().unwrap().questions
    }

    /// Adds a master key that no one uses yet.
    pub fn add_master_key(&self, purpose: MasterKeyPurpose, id: MasterKeyId, check_value: Vec<u8>) {
        let state = MasterKeyState::Added;
        let key = MasterKey { id, purpose, state, check_value, reserved: 0, created_at: Utc::now() };
        self.0.lock().unwrap().master_keys.insert(id, key);
    }

    /// Makes a master key the active one for its purpose; the one before becomes decrypt-only.
    pub fn activate_master_key(&self, id: MasterKeyId) {
        let mut state = self.0.lock().unwrap();
        let purpose = state.master_keys[&id].purpose;
        for key in state.master_keys.values_mut().filter(|key| key.purpose == purpose) {
            if key.id == id {
                key.state = MasterKeyState::Active;
            } else if key.state == MasterKeyState::Active {
                key.state = MasterKeyState::DecryptOnly;
            }
        }
    }

    /// Retires a KEK: its row stays, its wrapping is destroyed.
    pub fn retire_kek(&self, id: KekId) {
        if let Some((kek, _)) = self.0.lock().unwrap().keks.get_mut(&id) {
            kek.state = KekState::Retired;
            kek.wrapped.bytes.clear();
        }
    }

    /// Every KEK, by id.
    pub fn keks(&self) -> Vec<ProjectKek> {
        self.0.lock().unwrap().keks.values().map(|(kek, _)| kek.clone()).collect()
    }

    /// The wrapping of each KEK, and each ciphertext: what whoever copies the database has.
    pub fn dump(&self) -> Vec<Vec<u8>> {
        let state = self.0.lock().unwrap();
        let wrappings = state.keks.values().map(|(kek, _)| kek.wrapped.bytes.clone());
        wrappings.chain(state.ciphertexts.values().map(|(_, ciphertext)| ciphertext.bytes.to_vec())).collect()
    }

    /// The bytes of one ciphertext.
    pub fn ciphertext(&self, write: WriteId) -> Option<Vec<u8>> {
        self.0.lock().unwrap().ciphertexts.get(&write).map(|(_, ciphertext)| ciphertext.bytes.to_vec())
    }

    /// Replaces a ciphertext's bytes, as a vandal would.
    pub fn replace_ciphertext(&self, write: WriteId, bytes: Vec<u8>) {
        if let Some((_, ciphertext)) = self.0.lock().unwrap().ciphertexts.get_mut(&write) {
            ciphertext.bytes = bytes.into();
        }
    }

    /// Replaces a KEK's wrapping, as a vandal would.
    pub fn replace_wrapping(&self, kek: KekId, bytes: Vec<u8>) {
        if let Some((kek, _)) = self.0.lock().unwrap().keks.get_mut(&kek) {
            kek.wrapped.bytes = bytes;
        }
    }

    /// The worker's last report.
    pub fn report_of(&self, worker: WorkerId) -> Option<(Vec<MasterKeyId>, DateTime<Utc>)> {
        self.0.lock().unwrap().reports.get(&worker).cloned()
    }
}

#[async_trait]
impl Vault for MemoryVault {
    async fn insert_ciphertext(&self, store: StoreId, ciphertext: &Ciphertext) -> Result<Inserted, StoreError> {
        let mut state = self.state()?;
        let is_active = state.keks.get(&ciphertext.kek).is_some_and(|(kek, _)| {
            kek.state == KekState::Active && kek.store == store && kek.project == ciphertext.place.project
        });
        if !is_active {
            return Ok(Inserted::KeyNotActive);
        }
        let write = ciphertext.place.write;
        if state.ciphertexts.contains_key(&write) {
            return Err(StoreError::new(StoreErrorKind::Conflict, "insert ciphertext", format!("write {write}")));
        }
        state.ciphertexts.insert(write, (store, ciphertext.clone()));
        Ok(Inserted::Yes)
    }

    async fn find_ciphertext(&self, store: StoreId, write: WriteId) -> Result<Option<Ciphertext>, StoreError> {
        let state = self.state()?;
        let found = state.ciphertexts.get(&write).filter(|(owner, _)| *owner == store);
        Ok(found.map(|(_, ciphertext)| ciphertext.clone()))
    }

    async fn delete_ciphertext(&self, store: StoreId, place: &Place) -> Result<(), StoreError> {
        self.state()?.ciphertexts.retain(|_, (owner, ciphertext)| *owner != store || ciphertext.place != *place);
        Ok(())
    }

    async fn list_ciphertexts(
        &self,
        store: StoreId,
        kek: Option<KekId>,
        after: Option<WriteId>,
        limit: u64,
    ) -> Result<Vec<Ciphertext>, StoreError> {
        let state = self.state()?;
        let listed = state
            .ciphertexts
            .values()
            .filter(|(owner, _)| *owner == store)
            .map(|(_, ciphertext)| ciphertext)
            .filter(|ciphertext| kek.is_none_or(|kek| ciphertext.kek == kek))
            .filter(|ciphertext| after.is_none_or(|after| ciphertext.place.write > after))
            .map(|ciphertext| Ciphertext { bytes: [].into(), ..ciphertext.clone() });
        Ok(listed.take(limit as usize).collect())
    }

    async fn active_kek(&self, store: StoreId, project: &ProjectId) -> Result<Option<ProjectKek>, StoreError> {
        let state = self.state()?;
        let mut keks = state.keks.values().map(|(kek, _)| kek);
        Ok(keks.find(|kek| kek.state == KekState::Active && kek.store == store && kek.project == *project).cloned())
    }

    async fn find_kek(&self, store: StoreId, kek: KekId) -> Result<Option<ProjectKek>, StoreError> {
        let state = self.state()?;
        Ok(state.keks.get(&kek).map(|(kek, _)| kek.clone()).filter(|kek| kek.store == store))
    }

    async fn insert_kek(&self, kek: &ProjectKek) -> Result<bool, StoreError> {
        let mut state = self.state()?;
        let has_active = state.keks.values().any(|(other, _)| {
            other.state == KekState::Active && other.store == kek.store && other.project == kek.project
        });
        if has_active || !state.is_active(kek.wrapped.mkek, kek.store) {
            return Ok(false);
        }
        state.keks.insert(kek.id, (kek.clone(), false));
        Ok(true)
    }

    async fn list_keks_not_under(
        &self,
        store: StoreId,
        mkek: MasterKeyId,
        after: Option<KekId>,
        limit: u64,
    ) -> Result<Vec<ProjectKek>, StoreError> {
        let state = self.state()?;
        let keks = state.keks.values().map(|(kek, _)| kek).filter(|kek| after.is_none_or(|after| kek.id > after));
        let listed =
            keks.filter(|kek| kek.store == store && kek.state != KekState::Retired && kek.wrapped.mkek != mkek);
        Ok(listed.take(limit as usize).cloned().collect())
    }

    async fn rewrap_kek(&self, kek: KekId, old: &WrappedKek, new: &WrappedKek) -> Result<bool, StoreError> {
        let mut state = self.state()?;
        let Some((row, _)) = state.keks.get(&kek) else { return Ok(false) };
        if row.wrapped != *old || row.state == KekState::Retired || !state.is_active(new.mkek, row.store) {
            return Ok(false);
        }
        if let Some((row, _)) = state.keks.get_mut(&kek) {
            row.wrapped = new.clone();
        }
        Ok(true)
    }

    async fn reserve(&self, kek: KekId, seen: u64, block: u64) -> Result<bool, StoreError> {
        let mut state = self.state()?;
        let row = state.keks.get_mut(&kek).map(|(row, _)| row);
        let row = row.filter(|row| row.state == KekState::Active && row.reserved == seen);
        Ok(row.map(|row| row.reserved += block).is_some())
    }

    async fn demote_kek(&self, kek: KekId, reencrypt: bool) -> Result<(), StoreError> {
        let mut state = self.state()?;
        let Some((row, _)) = state.keks.get_mut(&kek) else { return Ok(()) };
        if row.state == KekState::Active {
            row.state = KekState::DecryptOnly;
        }
        let (store, project) = (row.store, row.project.clone());
        for (row, marked) in state.keks.values_mut() {
            *marked |= reencrypt && row.state == KekState::DecryptOnly && row.store == store && row.project == project;
        }
        Ok(())
    }

    async fn list_keks_to_reencrypt(&self, store: StoreId) -> Result<Vec<KekId>, StoreError> {
        let state = self.state()?;
        let in_use = |kek: KekId| state.ciphertexts.values().any(|(_, ciphertext)| ciphertext.kek == kek);
        let mut listed: Vec<_> = state
            .keks
            .values()
            .filter(|(kek, marked)| *marked && kek.state == KekState::DecryptOnly && kek.store == store)
            .map(|(kek, _)| kek)
            .filter(|kek| in_use(kek.id))
            .collect();
        listed.sort_by_key(|kek| (kek.created_at, kek.id));
        Ok(listed.into_iter().map(|kek| kek.id).collect())
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.state().map(|_| ())
    }
}

#[async_trait]
impl MasterKeyRegister for MemoryVault {
    async fn list(&self, purpose: MasterKeyPurpose) -> Result<Vec<MasterKey>, StoreError> {
        let state = self.state()?;
        let mut listed: Vec<_> = state.master_keys.values().filter(|key| key.purpose == purpose).cloned().collect();
        listed.sort_by_key(|key| (key.created_at, key.id));
        Ok(listed)
    }

    async fn reserve(&self, key: MasterKeyId, seen: u64, block: u64) -> Result<bool, StoreError> {
        let mut state = self.state()?;
        let row = state.master_keys.get_mut(&key).filter(|row| row.reserved == seen);
        Ok(row.map(|row| row.reserved += block).is_some())
    }

    async fn report(&self, worker: WorkerId, keys: &[MasterKeyId], now: DateTime<Utc>) -> Result<(), StoreError> {
        self.state()?.reports.insert(worker, (keys.to_vec(), now));
        Ok(())
    }
}
