//! The API over HTTP, on SQLite and on PostgreSQL.

use std::process::ExitCode;

use bailey_tests::suite::Suite;

mod create;
mod delete;
mod errors;
mod expiration;
mod hrefs;
mod lists;
mod metadata;
mod payload;
mod policy;
mod second_step;
mod service;
mod versions;

fn main() -> ExitCode {
    Suite::default()
        .shared("versions", versions::CASES)
        .shared("service", service::CASES)
        .shared("create", create::CASES)
        .shared("second_step", second_step::CASES)
        .shared("payload", payload::CASES)
        .shared("expiration", expiration::CASES)
        .shared("metadata", metadata::CASES)
        .shared("lists", lists::CASES)
        .shared("delete", delete::CASES)
        .shared("errors", errors::CASES)
        .own("hrefs", hrefs::CASES)
        .own("policy", policy::CASES)
        .run()
}
