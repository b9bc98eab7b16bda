//! The backend is held to the contracts on real tokens: by itself, and in an envelope over a vault in memory.

mod fixture;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use bailey_store_pkcs11::{PayloadMechanism, WrapMechanism};
use bailey_testkit::conformance::{crypto_backend, open, secret_store};
use bailey_testkit::envelope::{EnvelopeFixture, MemoryVaultFixture};
use bailey_testkit::process;
use bailey_testkit::softhsm::SoftHsm;
use libtest_mimic::{Arguments, Trial};
use tokio::runtime::Handle;

use fixture::{Change, Target, TokenFixture};

/// The ways to use SoftHSM.
const WAYS: [(&str, Change); 3] = [
    ("softhsm", |_| {}),
    ("softhsm_cbc_hmac", |config| config.payload_mechanism = PayloadMechanism::AesCbcHmac),
    ("softhsm_key_wrap_pad", |config| config.wrap_mechanism = Some(WrapMechanism::AesKeyWrapPad)),
];

async fn fixtures(target: Target) -> Result<(Arc<TokenFixture>, Arc<MemoryVaultFixture>)> {
    let vault = Arc::new(MemoryVaultFixture::default());
    let backend = TokenFixture::new(&target, vault.clone()).await?;
    Ok((Arc::new(backend), vault))
}

/// Both suites for one token and one way to use it.
fn trials(name: &str, target: &Target, runtime: &Handle) -> Result<Vec<Trial>> {
    let (for_backends, for_envelopes) = (target.clone(), target.clone());
    let backends = crypto_backend::suite(open(move || {
        let target = for_backends.clone();
        async move { Ok(fixtures(target).await?.0 as _) }
    }));
    let envelopes = secret_store::suite(open(move || {
        let target = for_envelopes.clone();
        async move {
            let (backend, vault) = fixtures(target).await?;
            Ok(Arc::new(EnvelopeFixture::new(backend, vault)) as _)
        }
    }));
    let mut trials = backends.trials(name, runtime);
    trials.extend(runtime.block_on(envelopes)?.trials(&format!("{name}_envelope"), runtime));
    Ok(trials)
}

fn softhsm(softhsm: &SoftHsm, change: Change) -> Target {
    let (module, label) = (softhsm.module().to_owned(), softhsm.token_label().to_owned());
    Target { module, label, pin: softhsm.pin().to_owned(), change }
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let Some(tokens) = SoftHsm::inherited() else {
        let tokens = SoftHsm::start()?;
        return process::again(tokens.environment());
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let mut all = Vec::new();
    for (name, change) in WAYS {
        all.extend(trials(name, &softhsm(&tokens, change), runtime.handle())?);
    }
    Ok(libtest_mimic::run(&arguments, all).exit_code())
}
