//! What Bailey does with a request: authenticate, authorise, orchestrate stores and database; and
//! what it does unasked: destroy, sweep, rewrap, re-encrypt.
//!
//! It is not the place for HTTP, SQL or cryptography on payloads. Start reading at
//! [`usecase`], one module per resource, and [`Worker::handlers`], the list of all of them.

mod audit;
mod authorities;
mod authority_keys;
mod config;
mod error;
pub mod generate;
mod guarded;
mod guarded_authority;
mod idempotency;
mod limits;
mod maintenance;
mod notices;
mod orders;
pub mod pem;
pub mod policy;
mod published;
mod schedule;
mod seal;
mod session;
mod stores;
mod transport;
pub mod usecase;

use std::sync::Arc;

use bailey_core::access::Authenticator;
use bailey_core::audit::AuditSink;
use bailey_core::clock::Clock;
use bailey_core::vault::Vault;
use bailey_db::Db;
use bailey_queue::Handlers;

pub use authorities::Authorities;
pub use authority_keys::AuthorityKeys;
pub use config::{ApiConfig, CertificateOffer, Config, Offer};
pub use generate::Generator;
pub use guarded::Guarded;
pub use guarded_authority::GuardedAuthority;
pub use limits::Limits;
pub use maintenance::audit::StoreAudit;
pub use maintenance::migrate::{Migrated, Migration};
pub use maintenance::purge::PurgedPayloads;
pub use notices::{RenewalConfig, Webhook};
pub use orders::{Config as OrdersConfig, Orders};
pub use policy::Policy;
pub use schedule::Schedules;
pub use seal::Sealer;
pub use stores::Stores;

use usecase::{
    acl, ca, ca_choice, challenge, consumer, container, container_secret, health, metadata, order, payload, quota,
    revocation, secret, secret_store, sub_authority, transport_key,
};

/// Everything a use case works with. Made by `server`, once per process.
pub struct Worker {
    /// The metadata database.
    pub db: Db,
    /// The ciphertext database; asked for its health only, stores hold it otherwise.
    pub vault: Arc<dyn Vault>,
    /// Where payloads are kept.
    pub stores: Stores,
    /// Seals store references.
    pub sealer: Sealer,
    /// How much projects may have.
    pub limits: Limits,
    /// Who is asking.
    pub authenticator: Arc<dyn Authenticator>,
    /// Who issues certificates for orders.
    pub authorities: Authorities,
    /// Makes keys for orders.
    pub generator: Generator,
    /// Who may do what.
    pub policy: Arc<Policy>,
    /// Where audit events go.
    pub audit: Arc<dyn AuditSink>,
    /// Working on orders.
    pub orders: Orders,
    /// Who is told of renewed certificates, if anybody is.
    pub webhook: Option<Webhook>,
    /// The time.
    pub clock: Clock,
    /// What the API offers.
    pub api: ApiConfig,
    /// Intervals and limits.
    pub config: Config,
}

impl Worker {
    /// Every operation, each with its use case. None is answered before its audit events are written.
    #[must_use]
    pub fn handlers(self: &Arc<Self>) -> Handlers {
        macro_rules! to {
            ($usecase:path) => {{
                let worker = Arc::clone(self);
                move |call, request| {
                    let worker = Arc::clone(&worker);
                    async move { worker.audited($usecase(&worker, call, request).await).await }
                }
            }};
        }
        Handlers::default()
            .on(to!(usecase::identify))
            .on(to!(usecase::find_secret))
            .on(to!(usecase::find_container))
            .on(to!(usecase::find_order))
            .on(to!(health::check))
            .on(to!(challenge::find))
            .on(to!(secret::create))
            .on(to!(secret::get))
            .on(to!(secret::list))
            .on(to!(secret::delete))
            .on(to!(payload::put))
            .on(to!(payload::get))
            .on(to!(metadata::get))
            .on(to!(metadata::put))
            .on(to!(metadata::add_item))
            .on(to!(metadata::get_item))
            .on(to!(metadata::put_item))
            .on(to!(metadata::delete_item))
            .on(to!(acl::get))
            .on(to!(acl::put))
            .on(to!(acl::patch))
            .on(to!(acl::delete))
            .on(to!(consumer::list_of_secret))
            .on(to!(consumer::add_to_secret))
            .on(to!(consumer::remove_from_secret))
            .on(to!(consumer::list_of_container))
            .on(to!(consumer::add_to_container))
            .on(to!(consumer::remove_from_container))
            .on(to!(consumer::get))
            .on(to!(container::create))
            .on(to!(container::get))
            .on(to!(container::list))
            .on(to!(container::delete))
            .on(to!(container_secret::add))
            .on(to!(container_secret::remove))
            .on(to!(secret_store::find))
            .on(to!(secret_store::list))
            .on(to!(secret_store::get))
            .on(to!(secret_store::get_default))
            .on(to!(secret_store::get_preferred))
            .on(to!(secret_store::prefer))
            .on(to!(secret_store::prefer_none))
            .on(to!(order::create))
            .on(to!(order::get))
            .on(to!(order::list))
            .on(to!(order::delete))
            .on(to!(order::update))
            .on(to!(order::change))
            .on(to!(revocation::revoke))
            .on(to!(revocation::list))
            .on(to!(revocation::status))
            .on(to!(quota::get))
            .on(to!(quota::list))
            .on(to!(quota::get_own))
            .on(to!(quota::put_own))
            .on(to!(quota::delete_own))
            .on(to!(transport_key::find))
            .on(to!(transport_key::list))
            .on(to!(transport_key::create))
            .on(to!(transport_key::get))
            .on(to!(transport_key::delete))
            .on(to!(ca::find_any))
            .on(to!(ca::find))
            .on(to!(ca::list))
            .on(to!(ca::list_all))
            .on(to!(ca::get))
            .on(to!(ca::get_chain))
            .on(to!(ca::get_certificate))
            .on(to!(ca::list_projects))
            .on(to!(ca_choice::get_preferred))
            .on(to!(ca_choice::get_global_preferred))
            .on(to!(ca_choice::choose))
            .on(to!(ca_choice::dismiss))
            .on(to!(ca_choice::prefer))
            .on(to!(ca_choice::prefer_globally))
            .on(to!(ca_choice::prefer_none_globally))
            .on(to!(sub_authority::create))
            .on(to!(sub_authority::delete))
    }
}
