//! A worker and what it is made of.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bailey_auth::Chain;
use bailey_core::access::StaticTokens;
use bailey_core::audit::AuditSink;
use bailey_core::budget::{Budget, MasterKeyBudget};
use bailey_core::clock::Clock;
use bailey_core::ids::{CaId, DeploymentId, ProjectId, StoreId};
use bailey_core::store::SecretStore;
use bailey_core::vault::{MasterKeyPurpose, Vault as _};
use bailey_db::admin::StoreUse;
use bailey_db::installation::Installation;
use bailey_db::store::Store;
use bailey_db::token::Tokens;
use bailey_db::{admin, installation, store};
use bailey_store_pkcs11::Hsm;
use bailey_worker::{Authorities, Generator, Guarded, Limits, Orders, Policy, Sealer, Stores, Webhook, Worker};

use super::authority::{self, Cas};
use super::{Databases, Obstacle, StoreKind, StoreParts};
use crate::config::{Config, ProjectConfig, StoreConfig};
use crate::master_keys::{MasterKeys, key_file};

/// How long a worker believes which worker key is active.
const TRUSTED: Duration = Duration::from_secs(5);
/// Seals per version of the worker key, and how many are reserved at a time: NIST SP 800-38D allows
/// 2^32 random nonces under one key.
const SEALS: Budget = Budget { limit: 1 << 30, block: 1 << 16 };

/// A worker, ready to be asked, with the master keys it holds.
pub struct Assembly {
    pub worker: Arc<Worker>,
    pub keys: Vec<MasterKeys>,
    /// What holds the other MKEKs.
    pub tokens: Vec<Token>,
    pub installation: Installation,
    /// The permanent ids of the configured CAs, in the order of the configuration.
    pub cas: Vec<CaId>,
    /// The permanent ids of the configured stores, in their order.
    pub stores: Vec<StoreId>,
}

/// A token that holds the MKEKs of a store.
pub struct Token {
    pub store: StoreId,
    pub name: String,
    pub hsm: Hsm,
    /// How many KEKs one of them wraps.
    pub budget: Option<u64>,
}

impl Assembly {
    /// Makes a worker over databases whose schemas are up to date. Makes key files if there is nothing
    /// yet that they could be missing for.
    ///
    /// # Errors
    /// What has to be put right first.
    pub async fn new(
        config: &Config,
        databases: &Databases,
        audit: Arc<dyn AuditSink>,
        clock: &Clock,
    ) -> Result<Self, Obstacle> {
        let Databases { db, vault } = databases;
        let installation = installation(databases, clock).await?;
        let is_fresh = admin::is_empty(db.reader()).await?;
        let file = key_file(&config.keys_dir, None);
        let mut keys = vec![MasterKeys::open(vault, MasterKeyPurpose::Worker, file, is_fresh, clock).await?];
        let (mut stores, mut ids, mut tokens) = (Vec::new(), HashMap::new(), Vec::new());
        for store in &config.stores {
            let id = register(databases, store, clock).await?;
            ids.insert(store.name.as_str(), id);
            let connected = connect(config, databases, store, id, installation.deployment, clock).await?;
            let guarded = Guarded::new(connected.store, &config.worker);
            let guarded: Arc<dyn SecretStore> = Arc::new(guarded);
            stores.push((store.default, guarded));
            keys.extend(connected.keys);
            tokens.extend(connected.token);
        }
        let store_ids: Vec<StoreId> =
            config.stores.iter().filter_map(|store| ids.get(store.name.as_str()).copied()).collect();
        let cas = authority::register_all(databases, &config.cas, clock).await?;
        let (default, others): (Vec<_>, Vec<_>) = stores.into_iter().partition(|(is_default, _)| *is_default);
        let default = default.into_iter().next().ok_or_else(|| Obstacle::refused("there is no default store"))?;

        let mut stores = Stores::new(default.1, others.into_iter().map(|(_, store)| store));
        let assigned = |(project, decided): (&ProjectId, &ProjectConfig)| {
            Some((project.clone(), *ids.get(decided.store.as_str())?))
        };
        stores.assign(config.projects.iter().filter_map(assigned)).map_err(anyhow::Error::from)?;
        refuse_lost_stores(databases, &stores).await?;

        let static_tokens: Arc<dyn StaticTokens> = Arc::new(Tokens(db.clone()));
        let seals = MasterKeyBudget::new(Arc::clone(vault) as _, MasterKeyPurpose::Worker, SEALS, TRUSTED);
        let policy = Policy::new(&config.policy, config.compat).map_err(anyhow::Error::from)?;
        let chain = Chain::new(&config.auth, &static_tokens, clock).map_err(anyhow::Error::from)?;
        let connected = Cas { config, ids: &cas, stores: &store_ids, tokens: &tokens, db, clock };
        let webhook = config.renewal.is_used().then(|| Webhook::new(&config.renewal, &config.host_href)).transpose();
        let webhook = webhook.map_err(|(key, complaint)| Obstacle::refused(format!("renewal.{key}: {complaint}")))?;
        let mut failed = None;
        // The CAs' keys are in the worker's stores, so the CAs know the worker before it is whole.
        let worker = Arc::new_cyclic(|worker| Worker {
            db: db.clone(),
            vault: Arc::clone(vault) as _,
            stores,
            sealer: Sealer::new(Arc::clone(keys[0].ring()), seals),
            authorities: connected.connect(worker).unwrap_or_else(|error| {
                failed = Some(error);
                Authorities::default()
            }),
            generator: Generator::new(&config.generation, config.compat),
            limits: Limits::new(config.quotas),
            authenticator: Arc::new(chain),
            policy: Arc::new(policy),
            audit,
            orders: Orders::new(config.orders.clone()),
            webhook,
            clock: clock.clone(),
            api: config.api.clone(),
            config: config.worker.clone(),
        });
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(Self { worker, keys, tokens, installation, cas, stores: store_ids }),
        }
    }
}

/// The installation, made if this is its first start.
async fn installation(databases: &Databases, clock: &Clock) -> Result<Installation, Obstacle> {
    let Databases { db, vault } = databases;
    if let Some(installation) = installation::find(db.reader()).await? {
        return Ok(installation);
    }
    // New metadata beside a vault in use: to the sweeper, everything in there would look abandoned.
    let is_lost = !vault.is_empty().await?;
    if is_lost {
        tracing::warn!(
            "the metadata database is empty and the vault is not: nothing in the vault is destroyed before \
             `bailey store audit --accept-restore`"
        );
    }
    let now = clock.now();
    let create = db.write(move |tx| {
        Box::pin(async move {
            installation::get_or_create(tx, now).await?;
            if is_lost {
                installation::advance_epoch(tx).await?;
            }
            installation::get_or_create(tx, now).await
        })
    });
    Ok(create.await?)
}

/// A store with nothing around it.
pub struct Connected {
    pub store: Arc<dyn SecretStore>,
    pub keys: Option<MasterKeys>,
    pub token: Option<Token>,
}

/// Connects one store. Makes its key file if there is nothing yet that it could be missing for.
///
/// # Errors
/// What has to be put right first.
pub async fn connect(
    config: &Config,
    databases: &Databases,
    store: &StoreConfig,
    id: StoreId,
    deployment: DeploymentId,
    clock: &Clock,
) -> Result<Connected, Obstacle> {
    let vault = &databases.vault;
    let kind = store.kind().ok_or_else(|| Obstacle::refused(format!("there is no kind of store `{}`", store.kind)))?;
    let keys = if kind.has_key_file {
        let is_fresh = is_unused(databases, id).await?;
        let file = key_file(&config.keys_dir, Some(&store.name));
        let keys = MasterKeys::open(vault, MasterKeyPurpose::Mkek(id), file, is_fresh, clock).await?;
        Some(match (kind.budget)(&store.settings) {
            Some(limit) => keys.measured(&store.name, limit),
            None => keys,
        })
    } else {
        None
    };
    let ring = keys.as_ref().map(MasterKeys::ring);
    let token = token(kind, store, id)?;
    let hsm = token.as_ref().map(|token| &token.hsm);
    let store = (kind.connect)(&StoreParts { config, store, id, deployment, vault, ring, hsm, clock })?;
    Ok(Connected { store, keys, token })
}

/// The token with a store's MKEKs, if they are in one.
fn token(kind: &StoreKind, store: &StoreConfig, id: StoreId) -> Result<Option<Token>, Obstacle> {
    let Some(read) = kind.token else { return Ok(None) };
    let hsm = Hsm::connect(&read(&store.settings)?);
    Ok(Some(Token { store: id, name: store.name.clone(), hsm, budget: (kind.budget)(&store.settings) }))
}

/// Whether nothing was ever stored in a store, so that its first MKEK may be made.
///
/// # Errors
/// `OutOfReach`.
pub async fn is_unused(databases: &Databases, store: StoreId) -> Result<bool, Obstacle> {
    let Databases { db, vault } = databases;
    Ok(admin::live_placements(db.reader(), store, None, None, 1).await?.is_empty()
        && vault.list_ciphertexts(store, None, None, 1).await?.is_empty())
}

/// The store's permanent id; gives it one at its first start.
///
/// # Errors
/// `Refused` when name, id or kind contradict what is known of it.
pub async fn register(databases: &Databases, store: &StoreConfig, clock: &Clock) -> Result<StoreId, Obstacle> {
    let (id, store, now) = (store.id, Arc::new(store.clone()), clock.now());
    let registered = databases.db.write(move |tx| {
        let store = Arc::clone(&store);
        Box::pin(async move { store::register(tx, &store.name, &store.kind, id, now).await })
    });
    Ok(registered.await?)
}

/// What is in a store that isn't configured can't be read, and what would go there has nowhere to go.
async fn refuse_lost_stores(databases: &Databases, stores: &Stores) -> Result<(), Obstacle> {
    let reader = databases.db.reader();
    for known in store::list(reader).await?.iter().filter(|known| stores.get(known.id).is_err()) {
        let needed = needed_for(&admin::store_use(reader, known.id).await?);
        if !needed.is_empty() {
            let (Store { id, name, .. }, needed) = (known, needed.join(", "));
            return Err(Obstacle::refused(format!(
                "the store `{name}` is not configured any more, but {needed}: put its block back with id = \"{id}\", and \
                 have nothing need it before you take it out again: `bailey store migrate` moves what is in it"
            )));
        }
    }
    Ok(())
}

/// Why a store can't be done without.
fn needed_for(used: &StoreUse) -> Vec<String> {
    let StoreUse { secrets, inputs, deletions, projects } = *used;
    let reasons = [
        (secrets, "secret(s) have their payload in it"),
        (inputs, "order(s) have a passphrase in it"),
        (deletions, "payload(s) in it are yet to be destroyed"),
        (projects, "project(s) prefer it"),
    ];
    reasons.iter().filter(|(count, _)| *count > 0).map(|(count, reason)| format!("{count} {reason}")).collect()
}
