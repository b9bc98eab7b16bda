//! A worker over SQLite or PostgreSQL, with doubles for everything else, and a clock that tests move.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bailey_core::access::{Authenticator, Call, Caller, Claims, Credentials, Method};
use bailey_core::audit::{AuditEvent, AuditSink};
use bailey_core::budget::{Budget, MasterKeyBudget};
use bailey_core::ca::CaDescriptor;
use bailey_core::clock::Clock;
use bailey_core::failure::{Failure, Parsed};
use bailey_core::idempotency::IdempotencyKey;
use bailey_core::ids::{MasterKeyId, ProjectId, RequestId, SecretId, UserId};
use bailey_core::keyring::KeyRing;
use bailey_core::quota::Quotas;
use bailey_core::request::{CreateSecret, DeleteSecret, GetPayload, PayloadForm, PutPayload};
use bailey_core::secret::{NewSecret, Payload};
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::{ContentType, SecretType, Spec};
use bailey_core::store::SecretStore;
use bailey_core::vault::MasterKeyPurpose;
use bailey_db::{Db, ca, installation, store};
use bailey_migrations::Schema;
use bailey_testkit::memory::MemoryVault;
use bailey_testkit::postgres::Postgres;
use bailey_testkit::process;
use bailey_worker::generate::GenerationConfig;
use bailey_worker::policy::{Compat, PolicyConfig};
use bailey_worker::usecase::{payload, secret};
use bailey_worker::{
    ApiConfig, Authorities, CertificateOffer, Config, Generator, Limits, Offer, Orders, OrdersConfig, Policy, Sealer,
    Stores, Worker,
};
use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;

/// Believes the identity headers.
struct Believe;

#[async_trait]
impl Authenticator for Believe {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Option<Caller>, Failure> {
        let Some(project) = &credentials.claims.project else { return Ok(None) };
        let (project, user) = (ProjectId::new(project.as_str()).unwrap(), UserId::new("user").unwrap());
        let roles = credentials.claims.roles.as_deref().unwrap_or("admin").split(',');
        Ok(Some(Caller::new(Some(user), project, roles, Method::NoAuth)))
    }
}

/// Keeps audit events.
#[derive(Default)]
pub struct Events(pub Mutex<Vec<AuditEvent>>);

impl AuditSink for Events {
    fn write(&self, event: &AuditEvent) -> std::io::Result<()> {
        self.0.lock().unwrap().push(event.clone());
        Ok(())
    }
}

enum Home {
    Folder { folder: TempDir },
    Server { server: Arc<Postgres>, url: String },
}

/// A worker and what tests need to reach behind it.
pub struct Harness {
    pub worker: Arc<Worker>,
    pub events: Arc<Events>,
    pub vault: Arc<MemoryVault>,
    hours: Arc<AtomicI64>,
    home: Home,
}

impl Harness {
    /// A worker over the store that `store` makes; it is given the store's id, the vault with an
    /// active MKEK's register, and the clock.
    pub async fn new<F>(store: F) -> Self
    where
        F: FnOnce(bailey_core::ids::StoreId, &Arc<MemoryVault>, Clock) -> Arc<dyn SecretStore>,
    {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("metadata.db").display());
        Self::over(url, Home::Folder { folder }, store).await
    }

    /// The same on PostgreSQL.
    pub async fn on_postgres<F>(store: F) -> Self
    where
        F: FnOnce(bailey_core::ids::StoreId, &Arc<MemoryVault>, Clock) -> Arc<dyn SecretStore>,
    {
        let made = tokio::task::spawn_blocking(|| {
            let server = Postgres::shared().unwrap();
            (server.create_database().unwrap(), server)
        });
        let (url, server) = made.await.unwrap();
        Self::over(url.clone(), Home::Server { server, url }, store).await
    }

    /// With other settings of order processing; to be called before anything else has the worker.
    pub fn with_orders(mut self, config: OrdersConfig) -> Self {
        Arc::get_mut(&mut self.worker).unwrap().orders = Orders::new(config);
        self
    }

    /// With these CAs, registered; to be called before anything else has the worker.
    pub async fn with_authorities(mut self, authorities: Authorities) -> Self {
        for authority in authorities.iter() {
            let CaDescriptor { id, name, kind, .. } = authority.descriptor().clone();
            let (plugin, plugin_ca_id) = (kind.into_owned(), name.clone());
            let ca = ca::Configured { id: Some(id), name, plugin, plugin_ca_id, description: None };
            let register = self.worker.db.write(move |tx| {
                let ca = ca.clone();
                Box::pin(async move { ca::register(tx, &ca, Utc::now()).await })
            });
            register.await.unwrap();
        }
        Arc::get_mut(&mut self.worker).unwrap().authorities = authorities;
        self
    }

    /// Offers no certificates, whatever CAs there are; to be called before anything else has the worker.
    pub fn without_certificates(mut self) -> Self {
        Arc::get_mut(&mut self.worker).unwrap().api.certificates = CertificateOffer::Off;
        self
    }

    /// Looks for what is due to be renewed or rewrapped all the time; to be called before anything else has the worker.
    pub fn with_quick_rotation(mut self) -> Self {
        Arc::get_mut(&mut self.worker).unwrap().config.rotation_interval_seconds = 0.05;
        self
    }

    /// Serves `/v1/secret-stores`; to be called before anything else has the worker.
    pub fn with_stores(mut self) -> Self {
        Arc::get_mut(&mut self.worker).unwrap().api.secret_stores = Offer::On;
        self
    }

    /// Everything in the metadata database, as SQL.
    pub fn dump(&self) -> String {
        let dump = match &self.home {
            Home::Server { server, url } => server.dump(url),
            Home::Folder { folder } => {
                process::run(process::command("sqlite3").arg(folder.path().join("metadata.db")).arg(".dump"))
            }
        };
        String::from_utf8(dump.unwrap()).unwrap()
    }

    /// Runs a statement on the metadata database.
    pub fn execute(&self, statement: &str) {
        match &self.home {
            Home::Server { server, url } => drop(server.psql(url, statement).unwrap()),
            Home::Folder { folder } => {
                let mut command = process::command("sqlite3");
                command.args(["-cmd", ".timeout 5000"]).arg(folder.path().join("metadata.db")).arg(statement);
                process::run(&mut command).unwrap();
            }
        }
    }

    async fn over<F>(url: String, home: Home, store: F) -> Self
    where
        F: FnOnce(bailey_core::ids::StoreId, &Arc<MemoryVault>, Clock) -> Arc<dyn SecretStore>,
    {
        let db = Db::connect(&bailey_db::Config::new(url)).await.unwrap();
        bailey_migrations::migrate(Schema::Metadata, db.schema_connection()).await.unwrap();
        let id = db
            .write(|tx| {
                Box::pin(async move {
                    installation::get_or_create(tx, Utc::now()).await?;
                    store::register(tx, "memory", "memory", None, Utc::now()).await
                })
            })
            .await
            .unwrap();

        let vault = Arc::new(MemoryVault::default());
        let key = MasterKeyId::new();
        vault.add_master_key(MasterKeyPurpose::Worker, key, vec![1]);
        vault.activate_master_key(key);
        let ring = KeyRing::new(move || Ok([(key, SecretBytes::new(vec![7; 32]))].into())).unwrap();
        let budget = Budget { limit: 1 << 30, block: 1 << 16 };
        let purpose = MasterKeyPurpose::Worker;
        let budget = MasterKeyBudget::new(Arc::clone(&vault) as _, purpose, budget, std::time::Duration::ZERO);

        let hours = Arc::new(AtomicI64::new(0));
        let moved = Arc::clone(&hours);
        let clock = Clock::from_fn(move || Utc::now() + TimeDelta::hours(moved.load(Ordering::Relaxed)));
        let events = Arc::new(Events::default());
        let worker = Worker {
            db,
            vault: Arc::clone(&vault) as _,
            stores: Stores::new(store(id, &vault, clock.clone()), []),
            sealer: Sealer::new(Arc::new(ring), budget),
            authorities: Authorities::default(),
            generator: Generator::new(&GenerationConfig::default(), Compat::default()),
            limits: Limits::new(Quotas::default()),
            authenticator: Arc::new(Believe),
            policy: Arc::new(Policy::new(&PolicyConfig::default(), Compat::default()).unwrap()),
            audit: Arc::clone(&events) as _,
            orders: Orders::new(OrdersConfig::default()),
            webhook: None,
            clock,
            api: ApiConfig::default(),
            config: Config { reencrypt_per_second: 10_000.0, ..Config::default() },
        };
        Self { worker: Arc::new(worker), events, vault, hours, home }
    }

    /// Moves the clock.
    pub fn pass_hours(&self, hours: i64) {
        self.hours.fetch_add(hours, Ordering::Relaxed);
    }

    pub fn store(&self) -> &Arc<dyn SecretStore> {
        self.worker.stores.default()
    }

    pub async fn create(&self, payload: Option<&str>) -> Result<SecretId, Failure> {
        self.create_until(None, payload).await
    }

    pub async fn create_until(
        &self,
        expires_at: Option<DateTime<Utc>>,
        payload: Option<&str>,
    ) -> Result<SecretId, Failure> {
        self.ask_for_secret(expires_at, payload, None).await
    }

    /// Asks for a secret under an idempotency key; `body` stands for what the client sent.
    pub async fn create_once(&self, key: &str, body: &str, payload: Option<&str>) -> Result<SecretId, Failure> {
        let key = IdempotencyKey { key: key.to_owned(), body: body.as_bytes().to_vec().into() };
        self.ask_for_secret(None, payload, Some(key)).await
    }

    async fn ask_for_secret(
        &self,
        expires_at: Option<DateTime<Utc>>,
        payload: Option<&str>,
        key: Option<IdempotencyKey>,
    ) -> Result<SecretId, Failure> {
        let secret = NewSecret {
            name: None,
            secret_type: SecretType::Opaque,
            spec: Spec::default(),
            expires_at,
            payload: payload.map(|payload| text(payload).into()),
            transport_key_needed: false,
        };
        let request = CreateSecret { secret: Parsed::Valid(secret), idempotency: Parsed::Valid(key) };
        secret::create(&self.worker, call(), request).await.map(|made| made.id)
    }

    pub async fn put(&self, id: SecretId, payload: &str) -> Result<(), Failure> {
        let request = PutPayload { id: Parsed::Valid(id), payload: Parsed::Valid(Parsed::Valid(text(payload).into())) };
        payload::put(&self.worker, call(), request).await
    }

    pub async fn read(&self, id: SecretId) -> Result<String, Failure> {
        Ok(String::from_utf8(self.read_bytes(id).await?).unwrap())
    }

    pub async fn read_bytes(&self, id: SecretId) -> Result<Vec<u8>, Failure> {
        let request = GetPayload { id: Parsed::Valid(id), form: Parsed::Valid(PayloadForm::AsStored) };
        let payload = payload::get(&self.worker, call(), request).await?;
        Ok(payload.bytes.expose().to_vec())
    }

    pub async fn delete(&self, id: SecretId) -> Result<(), Failure> {
        let request = DeleteSecret { id: Parsed::Valid(id), spare_consumed: Parsed::Valid(false) };
        secret::delete(&self.worker, call(), request).await
    }
}

pub fn call() -> Call {
    let claims = Claims { project: Some("project".into()), ..Claims::default() };
    Call::new(Credentials { token: None, claims }, RequestId::new())
}

pub fn text(payload: &str) -> Payload {
    Payload { content_type: ContentType::TextPlain, bytes: payload.as_bytes().to_vec().into() }
}
