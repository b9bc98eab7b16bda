//! Certificate authorities: what each is made of, and how they come together with a worker that they need.

use std::sync::{Arc, Weak};

use anyhow::{Context as _, Result};
use bailey_core::ca::{CertificateAuthority, Challenges, Keys, Ledger};
use bailey_core::clock::Clock;
use bailey_core::ids::{CaId, StoreId};
use bailey_db::Db;
use bailey_db::ca::{CaChallenges, CaLedger, Configured, register};
use bailey_store_pkcs11::Hsm;
use bailey_worker::{Authorities, AuthorityKeys, GuardedAuthority, Worker};
use toml::Table;

use super::assembly::Token;
use super::{Databases, Obstacle};
use crate::config::{CaConfig, Complain, Config};

/// A kind of certificate authority.
#[derive(Debug)]
pub struct CaKind {
    /// Its name in the configuration.
    pub name: &'static str,
    /// Its keys in a `[[cas]]` block, with their defaults.
    pub defaults: fn() -> Table,
    /// Which of them hold a secret.
    pub secrets: &'static [&'static str],
    /// Complains about values of its keys that make no sense.
    pub check: fn(&Table, &mut Complain<'_>),
    /// Makes the CA; asks nobody anything yet.
    pub connect: fn(&CaParts<'_>) -> Result<Arc<dyn CertificateAuthority>>,
}

/// What a CA is made of.
pub struct CaParts<'a> {
    pub ca: &'a CaConfig,
    /// Its permanent id.
    pub id: CaId,
    /// The keys that it keeps for itself.
    pub keys: Arc<dyn Keys>,
    /// The token of its store, if that has one.
    pub hsm: Option<&'a Hsm>,
    pub ledger: Arc<dyn Ledger>,
    /// Where CAs look for proofs that names are Bailey's.
    pub challenges: Arc<dyn Challenges>,
    pub clock: &'a Clock,
}

/// Every configured CA with what it needs.
pub struct Cas<'a> {
    pub config: &'a Config,
    /// The permanent ids, in the order of the configuration.
    pub ids: &'a [CaId],
    /// The permanent ids of the configured stores, in their order.
    pub stores: &'a [StoreId],
    pub tokens: &'a [Token],
    pub db: &'a Db,
    pub clock: &'a Clock,
}

impl Cas<'_> {
    /// All of them, guarded, for a worker that is being made.
    pub fn connect(&self, worker: &Weak<Worker>) -> Result<Authorities> {
        let guarded = |index| {
            let parts = self.parts(index, worker)?;
            let kind = parts.ca.kind().with_context(|| format!("there is no kind of CA `{}`", parts.ca.kind))?;
            let ca = (kind.connect)(&parts).with_context(|| format!("the CA `{}`", parts.ca.name))?;
            Ok(Arc::new(GuardedAuthority::new(ca, &self.config.worker)) as Arc<dyn CertificateAuthority>)
        };
        let authorities = Authorities::new((0..self.ids.len()).map(guarded).collect::<Result<Vec<_>>>()?);
        let configured = self.ids.iter().zip(&self.config.cas);
        let set = |all: Authorities, (id, ca): (&CaId, &CaConfig)| {
            all.renewed(*id, ca.renew_before).kept_to(*id, ca.projects.iter().cloned())
        };
        Ok(configured.fold(authorities, set))
    }

    /// What the CA at `index` of the configuration is made of.
    pub fn parts(&self, index: usize, worker: &Weak<Worker>) -> Result<CaParts<'_>> {
        let (ca, id) = self.config.cas.get(index).zip(self.ids.get(index)).context("there is no such CA")?;
        let position = self.config.stores.iter().position(|store| store.name == ca.store);
        let store = position.and_then(|position| self.stores.get(position)).copied();
        let keys = AuthorityKeys { worker: Weak::clone(worker), ca: *id, store };
        let hsm = self.tokens.iter().find(|token| Some(token.store) == store).map(|token| &token.hsm);
        let ledger = Arc::new(CaLedger(self.db.clone()));
        let challenges = Arc::new(CaChallenges { db: self.db.clone(), clock: self.clock.clone() });
        Ok(CaParts { ca, id: *id, keys: Arc::new(keys), hsm, ledger, challenges, clock: self.clock })
    }
}

/// The CAs' permanent ids, in the order of the configuration; gives each one at its first start.
///
/// # Errors
/// `Refused` when name, id or kind contradict what is known of one.
pub async fn register_all(databases: &Databases, cas: &[CaConfig], clock: &Clock) -> Result<Vec<CaId>, Obstacle> {
    let mut ids = Vec::new();
    for ca in cas {
        let configured = Configured {
            id: ca.id,
            name: ca.name.clone(),
            plugin: ca.kind.clone(),
            plugin_ca_id: ca.name.clone(),
            description: Some(ca.description.clone()).filter(|text| !text.is_empty()),
        };
        let now = clock.now();
        let registered = databases.db.write(move |tx| {
            let configured = configured.clone();
            Box::pin(async move { register(tx, &configured, now).await })
        });
        ids.push(registered.await?);
    }
    Ok(ids)
}
