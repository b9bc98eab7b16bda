//! The memory doubles are held to the contracts that they spell out.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use bailey_testkit::conformance::{certificate_authority, crypto_backend, open, secret_store, vault};
use bailey_testkit::envelope::{EnvelopeFixture, MemoryBackendFixture, MemoryStoreFixture, MemoryVaultFixture};
use bailey_testkit::memory::MemoryCaFixture;
use libtest_mimic::Arguments;

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let runtime = tokio::runtime::Runtime::new()?;
    let vaults = vault::suite(open(|| async { Ok(Arc::new(MemoryVaultFixture::default()) as _) }));
    let backends = crypto_backend::suite(open(|| async {
        Ok(Arc::new(MemoryBackendFixture::new(Arc::new(MemoryVaultFixture::default())).await?) as _)
    }));
    let stores = secret_store::suite(open(|| async { Ok(Arc::new(MemoryStoreFixture::default()) as _) }));
    let envelopes = secret_store::suite(open(|| async {
        let vault = Arc::new(MemoryVaultFixture::default());
        let backend = Arc::new(MemoryBackendFixture::new(vault.clone()).await?);
        Ok(Arc::new(EnvelopeFixture::new(backend, vault)) as _)
    }));
    let (stores, envelopes) = runtime.block_on(async { anyhow::Ok((stores.await?, envelopes.await?)) })?;

    let mut trials = vaults.trials("memory_vault", runtime.handle());
    trials.extend(backends.trials("memory_backend", runtime.handle()));
    trials.extend(stores.trials("memory_store", runtime.handle()));
    trials.extend(envelopes.trials("memory_envelope", runtime.handle()));
    for (steps, label) in [(0, "memory_ca"), (3, "memory_ca_in_steps")] {
        let suite =
            certificate_authority::suite(open(move || async move { Ok(Arc::new(MemoryCaFixture::new(steps)?) as _) }));
        trials.extend(runtime.block_on(suite)?.trials(label, runtime.handle()));
    }
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}
