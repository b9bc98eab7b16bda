//! Tokens beside the vault's register of the MKEKs in them: which versions this process could use.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bailey_core::ids::MasterKeyId;
use bailey_core::told::Complaint;
use bailey_core::vault::{MasterKey, MasterKeyPurpose, MasterKeyRegister as _, MasterKeyState};
use bailey_store_pkcs11::{KeyObject, KeyRole};
use bailey_vault::VaultDb;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::assemble::Token;

/// Between two looks. The nodes of an HSM share a new key within seconds, and whoever rotates waits for it.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How long a start waits for the first one.
const PATIENCE: Duration = Duration::from_secs(1);

/// The versions of a store's MKEK that its token holds. The token is asked in the background: one that hangs must
/// keep nobody else waiting.
pub struct TokenKeys {
    held: watch::Receiver<Option<Vec<MasterKeyId>>>,
    /// Ends with this.
    _look: JoinSet<()>,
}

impl TokenKeys {
    /// Looks now and every few seconds.
    #[must_use]
    pub fn watch(token: Token, vault: &Arc<VaultDb>) -> Self {
        let (found, held) = watch::channel(None);
        let mut look = JoinSet::new();
        look.spawn(look_after(token, Arc::clone(vault), found));
        Self { held, _look: look }
    }

    /// Waits for the first look, but not for long: a process starts without its token, too.
    pub async fn were_seen(&self) {
        let mut held = self.held.clone();
        let _is_seen = tokio::time::timeout(PATIENCE, held.wait_for(Option::is_some)).await.is_ok();
    }

    /// Versions that were there when the token last answered, and are what the vault knows under their ids.
    #[must_use]
    pub fn held(&self) -> Vec<MasterKeyId> {
        self.held.borrow().clone().unwrap_or_default()
    }
}

async fn look_after(token: Token, vault: Arc<VaultDb>, held: watch::Sender<Option<Vec<MasterKeyId>>>) {
    let (mut complaint, mut missing) = (Complaint::default(), BTreeSet::new());
    loop {
        match look(&token, &vault).await {
            Ok((found, lacking)) => {
                complaint.is_over();
                held.send_replace(Some(found));
                if !lacking.is_empty() && lacking != missing {
                    let keys: Vec<_> = lacking.iter().map(ToString::to_string).collect();
                    let keys = keys.join(", ");
                    tracing::error!(
                        store = token.name,
                        keys,
                        "the token lacks MKEKs that are in use: see `bailey hsm check`"
                    );
                }
                missing = lacking;
            }
            Err(error) if complaint.is_news(&error) => {
                tracing::warn!(
                    store = token.name,
                    error = format!("{error:#}"),
                    "the token can't be asked for its keys"
                );
            }
            Err(_) => {}
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// The versions that the token holds, and those in use that it doesn't.
async fn look(token: &Token, vault: &VaultDb) -> Result<(Vec<MasterKeyId>, BTreeSet<MasterKeyId>)> {
    let registered = vault.list(MasterKeyPurpose::Mkek(token.store)).await?;
    measure(token, &registered);
    let objects = token.hsm.keys().await?;
    let (mut held, mut lacking) = (Vec::new(), BTreeSet::new());
    for key in registered.iter().filter(|key| key.state != MasterKeyState::Retired) {
        let is_held = is_whole(&objects, key.id)
            && token.hsm.check_value(token.store, key.id).await.is_ok_and(|value| value == key.check_value);
        if is_held {
            held.push(key.id);
        } else if key.state != MasterKeyState::Added {
            lacking.insert(key.id);
        }
    }
    Ok((held, lacking))
}

/// Whether both keys of a version are there.
pub fn is_whole(objects: &[KeyObject], version: MasterKeyId) -> bool {
    KeyRole::ALL.iter().all(|role| objects.iter().any(|object| object.version == Some(version) && object.role == *role))
}

fn measure(token: &Token, registered: &[MasterKey]) {
    let active = registered.iter().find(|key| key.state == MasterKeyState::Active);
    if let (Some(limit), Some(active)) = (token.budget, active) {
        let used = metrics::gauge!("bailey_mkek_used_ratio", "store" => token.name.clone());
        used.set(active.reserved as f64 / limit.max(1) as f64);
    }
}
