//! The store is held to the contract on PyKMIP, in each version of the protocol that matters and each way to use it.

#![allow(clippy::expect_used, reason = "a test program")]

mod fixture;
mod own;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use bailey_store_kmip::{Generation, KmipVersion};
use bailey_testkit::conformance::{open, secret_store};
use bailey_testkit::pykmip::PyKmip;
use libtest_mimic::{Arguments, Trial};
use tokio::runtime::Handle;

use fixture::{Change, KmipFixture};

const WAYS: [(&str, Change); 3] = [
    ("kmip_1_4", |_| ()),
    ("kmip_1_2_activated", |config| {
        config.max_version = KmipVersion::V1_2;
        config.activate = true;
    }),
    ("kmip_1_0_local", |config| {
        config.max_version = KmipVersion::V1_0;
        config.generation = Generation::Local;
    }),
];

fn suite(name: &str, server: &Arc<PyKmip>, change: Change, runtime: &Handle) -> Result<Vec<Trial>> {
    let server = Arc::clone(server);
    let suite = secret_store::suite(open(move || {
        let server = Arc::clone(&server);
        async move { Ok(Arc::new(KmipFixture::new(server, change)?) as _) }
    }));
    Ok(runtime.block_on(suite)?.trials(name, runtime))
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let runtime = tokio::runtime::Runtime::new()?;
    let shared = Arc::new(PyKmip::start()?);
    let mut trials = own::trials(&shared, runtime.handle());
    let mut servers = vec![shared];
    for (name, change) in WAYS {
        // One for each: to locate an object, PyKMIP looks at all that it has.
        let server = Arc::new(PyKmip::start()?);
        trials.extend(suite(name, &server, change, runtime.handle())?);
        servers.push(server);
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Connections end with the runtime, and servers wait for them.
    drop(runtime);
    drop(servers);
    Ok(conclusion.exit_code())
}
