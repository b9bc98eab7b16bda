//! The backend is held to the contracts: by itself, and in an envelope over a vault in memory.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use bailey_store_simple::{Config, SimpleBackend, key_check_value};
use bailey_testkit::conformance::{crypto_backend, open, secret_store};
use bailey_testkit::envelope::{EnvelopeFixture, KeyRingFixture, MemoryVaultFixture};
use libtest_mimic::Arguments;

async fn fixtures() -> Result<(Arc<KeyRingFixture>, Arc<MemoryVaultFixture>)> {
    let vault = Arc::new(MemoryVaultFixture::default());
    let backend = KeyRingFixture::new(
        vault.clone(),
        |store, ring, register| Arc::new(SimpleBackend::new(store, &Config::default(), ring, register)),
        key_check_value,
    );
    Ok((Arc::new(backend.await?), vault))
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let runtime = tokio::runtime::Runtime::new()?;
    let backends = crypto_backend::suite(open(|| async { Ok(fixtures().await?.0 as _) }));
    let envelopes = secret_store::suite(open(|| async {
        let (backend, vault) = fixtures().await?;
        Ok(Arc::new(EnvelopeFixture::new(backend, vault)) as _)
    }));
    let mut trials = backends.trials("simple", runtime.handle());
    trials.extend(runtime.block_on(envelopes)?.trials("simple_envelope", runtime.handle()));
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}
