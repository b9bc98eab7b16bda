//! The backend is held to the contracts on real tokens: by itself, and in an envelope over a vault in memory.

mod fixture;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use bailey_store_pkcs11::{CHILD, GcmIv, Isolation, PayloadMechanism, WrapMechanism, serve};
use bailey_testkit::conformance::{crypto_backend, open, secret_store};
use bailey_testkit::envelope::{EnvelopeFixture, MemoryVaultFixture};
use bailey_testkit::faulty::{Fault, Faulty};
use bailey_testkit::process;
use libtest_mimic::{Arguments, Trial};
use tokio::runtime::Handle;

use fixture::{Change, Target, TokenFixture, Tokens, slot};

/// Ways to use a token beside the default one, on those that can. The library in a process of its own is Kryoptic's
/// only: in many processes at once, SoftHSM loses sight of its token now and then.
const SOFTHSM: [(&str, Change); 2] = [
    ("softhsm_cbc_hmac", |config| config.payload_mechanism = PayloadMechanism::AesCbcHmac),
    ("softhsm_key_wrap_pad", |config| config.wrap_mechanism = Some(WrapMechanism::AesKeyWrapPad)),
];
const KRYOPTIC: [(&str, Change); 4] = [
    ("kryoptic_cbc_hmac", |config| config.payload_mechanism = PayloadMechanism::AesCbcHmac),
    ("kryoptic_cbc_pad", |config| config.wrap_mechanism = Some(WrapMechanism::AesCbcPad)),
    ("kryoptic_own_iv", |config| config.gcm_iv = GcmIv::Token),
    ("kryoptic_process", |config| config.isolation = Isolation::Process),
];

/// Makes IVs as some tokens do that know nothing of the message functions: over the one that they are given.
const OWN_IV: &str = "softhsm_own_iv";

async fn fixtures(target: Target) -> Result<(Arc<TokenFixture>, Arc<MemoryVaultFixture>)> {
    let vault = Arc::new(MemoryVaultFixture::default());
    let backend = TokenFixture::new(&target, vault.clone()).await?;
    Ok((Arc::new(backend), vault))
}

fn backends(name: &str, target: &Target, runtime: &Handle) -> Vec<Trial> {
    let target = target.clone();
    let suite = crypto_backend::suite(open(move || {
        let target = target.clone();
        async move { Ok(fixtures(target).await?.0 as _) }
    }));
    suite.trials(name, runtime)
}

fn envelopes(name: &str, target: &Target, runtime: &Handle) -> Result<Vec<Trial>> {
    let target = target.clone();
    let suite = secret_store::suite(open(move || {
        let target = target.clone();
        async move {
            let (backend, vault) = fixtures(target).await?;
            Ok(Arc::new(EnvelopeFixture::new(backend, vault)) as _)
        }
    }));
    Ok(runtime.block_on(suite)?.trials(&format!("{name}_envelope"), runtime))
}

fn main() -> Result<ExitCode> {
    if std::env::args().nth(1).as_deref() == Some(CHILD) {
        process::leave(serve().is_err().into());
    }
    let mut arguments = Arguments::from_args();
    // While one thread makes keys in it, SoftHSM hides those of another now and then.
    arguments.test_threads.get_or_insert(1);
    let tokens = match Tokens::inherit(&[OWN_IV])? {
        Ok(tokens) => tokens,
        Err(ended) => return Ok(ended),
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let handle = runtime.handle();
    let mut trials = Vec::new();
    // One of its own each for what is done beside the backends, which may initialise theirs again, and seen before
    // anybody logs in.
    let admins = [Faulty::before(&tokens.softhsm().module)?, Faulty::before(&tokens.kryoptic().module)?];
    let [softhsm, kryoptic] = [(tokens.softhsm(), &admins[0]), (tokens.kryoptic(), &admins[1])]
        .map(|(target, admin)| Target { admin: admin.module(), ..target });
    for target in [&softhsm, &kryoptic] {
        slot(&target.admin, &target.label)?.context("no such token")?;
    }
    for (name, target, ways) in
        [("softhsm", &softhsm, SOFTHSM.as_slice()), ("kryoptic", &kryoptic, KRYOPTIC.as_slice())]
    {
        trials.extend(backends(name, target, handle));
        trials.extend(envelopes(name, target, handle)?);
        for (way, change) in ways {
            trials.extend(backends(way, &Target { change: *change, ..target.clone() }, handle));
        }
    }
    let library = Faulty::before(&tokens.softhsm().module)?;
    library.set("C_EncryptInit", Fault::OwnIv);
    let target = Target { module: library.module(), label: OWN_IV.to_owned(), ..softhsm };
    trials.extend(backends(OWN_IV, &Target { change: |config| config.gcm_iv = GcmIv::Token, ..target }, handle));
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop((library, admins));
    // Two libraries that each brought an OpenSSL don't always survive each other's end.
    process::leave(conclusion.has_failed().into())
}
