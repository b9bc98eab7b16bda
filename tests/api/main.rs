//! The API over HTTP, on SQLite and on PostgreSQL, and over NATS whatever asks a worker for something of its own; on
//! each kind of store whatever touches payloads.

use std::process::ExitCode;

use bailey_tests::suite::Suite;

mod abuse;
mod acl;
mod acme;
mod authentication;
mod certificates;
mod consumers;
mod container_secrets;
mod containers;
mod create;
mod crowd;
mod delete;
mod errors;
mod expiration;
mod hrefs;
mod hsm_commands;
mod idempotency;
mod kmip_commands;
mod lists;
mod metadata;
mod metrics;
mod notices;
mod one_step;
mod order_commands;
mod order_products;
mod orders;
mod payload;
mod policy;
mod published;
mod quotas;
mod renewals;
mod revocation;
mod second_step;
mod secret_stores;
mod service;
mod store_commands;
mod store_migrate;
mod stored_keys;
mod tls;
mod traces;
mod transport_keys;
mod versions;

fn main() -> ExitCode {
    if let Some(code) = crowd::crowd() {
        return code;
    }
    Suite::default()
        .shared("versions", versions::CASES)
        .shared("service", service::CASES)
        .shared_apart_too("create", create::CASES)
        .shared_apart_too("one_step", one_step::CASES)
        .shared_apart_too("second_step", second_step::CASES)
        .shared_apart_too("payload", payload::CASES)
        .shared_apart_too("expiration", expiration::CASES)
        .shared_apart_too("metadata", metadata::CASES)
        .shared_apart_too("orders", orders::CASES)
        .shared("order_products", order_products::CASES)
        .shared_apart_too("lists", lists::CASES)
        .shared_apart_too("delete", delete::CASES)
        .shared_apart_too("containers", containers::CASES)
        .shared_apart_too("container_secrets", container_secrets::CASES)
        .shared_apart_too("acl", acl::CASES)
        .shared_apart_too("consumers", consumers::CASES)
        .shared_apart_too("errors", errors::CASES)
        .shared("abuse", abuse::CASES)
        .own_apart_too("authentication", authentication::CASES)
        .own("hrefs", hrefs::CASES)
        .own("order_commands", order_commands::CASES)
        .own("metrics", metrics::CASES)
        .own("store_commands", store_commands::CASES)
        .own("hsm_commands", hsm_commands::CASES)
        .own("kmip_commands", kmip_commands::CASES)
        .own("traces", traces::CASES)
        .own("crowd", crowd::CASES)
        .own_apart_too("quotas", quotas::CASES)
        .own_apart_too("idempotency", idempotency::CASES)
        .own_apart_too("secret_stores", secret_stores::CASES)
        .own("store_migrate", store_migrate::CASES)
        .once("store_migrate", store_migrate::ONCE)
        .own_apart_too("transport_keys", transport_keys::CASES)
        .own_apart_too("certificates", certificates::CASES)
        .own_apart_too("published", published::CASES)
        .own_apart_too("revocation", revocation::CASES)
        .own("acme", acme::CASES)
        .own("renewals", renewals::CASES)
        .own_apart_too("stored_keys", stored_keys::CASES)
        .own("notices", notices::CASES)
        .own("policy", policy::CASES)
        .once("tls", tls::CASES)
        .shared_on_others_too("create", create::CASES)
        .shared_on_others_too("one_step", one_step::CASES)
        .shared_on_others_too("second_step", second_step::CASES)
        .shared_on_others_too("payload", payload::CASES)
        .shared_on_others_too("expiration", expiration::CASES)
        .shared_on_others_too("delete", delete::CASES)
        .shared_on_others_too("orders", orders::CASES)
        .shared_on_others_too("order_products", order_products::CASES)
        .own_on_others_too("transport_keys", transport_keys::CASES)
        .run()
}
