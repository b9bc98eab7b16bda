//! The API over HTTP, on SQLite and on PostgreSQL.

use std::process::ExitCode;

use bailey_tests::suite::Suite;

mod abuse;
mod acl;
mod authentication;
mod consumers;
mod container_secrets;
mod containers;
mod create;
mod crowd;
mod delete;
mod errors;
mod expiration;
mod hrefs;
mod idempotency;
mod lists;
mod metadata;
mod metrics;
mod one_step;
mod order_commands;
mod order_products;
mod orders;
mod payload;
mod policy;
mod quotas;
mod second_step;
mod secret_stores;
mod service;
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
        .shared("create", create::CASES)
        .shared("one_step", one_step::CASES)
        .shared("second_step", second_step::CASES)
        .shared("payload", payload::CASES)
        .shared("expiration", expiration::CASES)
        .shared("metadata", metadata::CASES)
        .shared("orders", orders::CASES)
        .shared("order_products", order_products::CASES)
        .shared("lists", lists::CASES)
        .shared("delete", delete::CASES)
        .shared("containers", containers::CASES)
        .shared("container_secrets", container_secrets::CASES)
        .shared("acl", acl::CASES)
        .shared("consumers", consumers::CASES)
        .shared("errors", errors::CASES)
        .shared("abuse", abuse::CASES)
        .own("authentication", authentication::CASES)
        .own("hrefs", hrefs::CASES)
        .own("order_commands", order_commands::CASES)
        .own("metrics", metrics::CASES)
        .own("traces", traces::CASES)
        .own("crowd", crowd::CASES)
        .own("quotas", quotas::CASES)
        .own("idempotency", idempotency::CASES)
        .own("secret_stores", secret_stores::CASES)
        .own("transport_keys", transport_keys::CASES)
        .own("policy", policy::CASES)
        .once("tls", tls::CASES)
        .run()
}
