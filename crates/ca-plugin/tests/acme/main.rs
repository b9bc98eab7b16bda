//! The ACME CA against Pebble: held to the contract with each sort of proof, and in trouble.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod world;

mod faults;
mod limits;
mod orders;
mod search;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use bailey_testkit::conformance::certificate_authority;
use bailey_testkit::conformance::open;
use bailey_testkit::pebble::Settings;
use libtest_mimic::Arguments;

use world::{Proof, World};

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let runtime = tokio::runtime::Runtime::new()?;
    let mut trials = Vec::new();
    for (label, proof) in
        [("acme_http", Proof::Http), ("acme_webhook", Proof::Webhook), ("acme_rfc2136", Proof::Rfc2136)]
    {
        let suite = certificate_authority::suite(open(move || async move {
            Ok(Arc::new(World::start(proof, Settings::default()).await?) as _)
        }));
        trials.extend(runtime.block_on(suite)?.trials(label, runtime.handle()));
    }
    trials.extend(orders::trials(runtime.handle()));
    trials.extend(faults::trials(runtime.handle()));
    trials.extend(limits::trials(runtime.handle()));
    trials.extend(search::trials(runtime.handle()));
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}
