//! The local CA is held to the contract: as a root, below one, with EC keys and with RSA.

#![allow(clippy::unwrap_used, reason = "a test program")]

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use bailey_ca_plugin::local::{Config, LocalCa, Parts, ProfileConfig, SoftwareKeys};
use bailey_core::ca::{
    CaDescriptor, CaError, CaKeyType, CertificateAuthority, Issuance, IssuanceRequest, IssuanceState, Keys,
    NewSubAuthority, Revocation, RevocationLists,
};
use bailey_core::clock::Clock;
use bailey_core::ids::CaId;
use bailey_testkit::conformance::certificate_authority::{self, CaFixture};
use bailey_testkit::conformance::{Open, open};
use bailey_testkit::memory::{MemoryKeys, MemoryLedger, names};
use chrono::{TimeDelta, Utc};
use libtest_mimic::Arguments;
use tokio::sync::OnceCell;

/// What all instances share.
#[derive(Clone)]
struct LocalFixture {
    id: CaId,
    root: Arc<LocalCa>,
    /// The root, or what is below it.
    config: Config,
    parts: Parts,
    is_root: bool,
    /// Everything that was handed out as issued, by what is signed of it.
    issued: Arc<Mutex<BTreeSet<Vec<u8>>>>,
}

/// Counts what a CA issues: it keeps no book itself.
struct Counting {
    inner: Arc<dyn CertificateAuthority>,
    issued: Arc<Mutex<BTreeSet<Vec<u8>>>>,
}

#[async_trait]
impl CertificateAuthority for Counting {
    fn descriptor(&self) -> &CaDescriptor {
        self.inner.descriptor()
    }

    async fn issue(&self, request: &IssuanceRequest) -> Result<Issuance, CaError> {
        let outcome = self.inner.issue(request).await?;
        if let Issuance::Issued(issued) = &outcome {
            let (_, parsed) = x509_parser::parse_x509_certificate(&issued.certificate).unwrap();
            self.issued.lock().unwrap().insert(parsed.tbs_certificate.as_ref().to_vec());
        }
        Ok(outcome)
    }

    async fn poll(&self, request: &IssuanceRequest, state: &IssuanceState) -> Result<Issuance, CaError> {
        self.inner.poll(request, state).await
    }

    async fn revoke(&self, revocation: &Revocation) -> Result<bool, CaError> {
        self.inner.revoke(revocation).await
    }

    async fn chain(&self) -> Result<Vec<Vec<u8>>, CaError> {
        self.inner.chain().await
    }

    async fn health(&self) -> Result<(), CaError> {
        self.inner.health().await
    }

    fn revocation_lists(&self) -> Option<&dyn RevocationLists> {
        self.inner.revocation_lists()
    }
}

impl LocalFixture {
    async fn new(key_type: CaKeyType, is_root: bool) -> Result<Self> {
        let profile = ProfileConfig {
            dns: vec!["*.example.test".into()],
            subject: ["CN", "O", "OU", "L"].map(str::to_owned).to_vec(),
            ..ProfileConfig::default()
        };
        let (subject, profiles) = ("CN=Root,O=Bailey's tests".to_owned(), vec![profile]);
        let config = Config { subject, key_type, profiles, ..Config::default() };
        let keys: Arc<dyn Keys> = Arc::new(MemoryKeys::default());
        let signing = Arc::new(SoftwareKeys(Arc::clone(&keys)));
        let parts = Parts { keys, signing, ledger: Arc::new(MemoryLedger::default()), clock: Clock::system() };
        let id = CaId::new();
        let root = Arc::new(LocalCa::new(id, "root", &config, parts.clone()).map_err(anyhow::Error::msg)?);
        let begins_at = Utc::now() - TimeDelta::minutes(5);
        root.init(&config.authority(begins_at).map_err(anyhow::Error::msg)?, None).await?;
        let id = if is_root { id } else { CaId::new() };
        if !is_root {
            let (name, subject) = ("below".to_owned(), "CN=Below,O=Bailey's tests".to_owned());
            let above = root.sub_authorities().context("it has none below it")?;
            above.create(&NewSubAuthority { id, name, subject, requested_at: begins_at }).await?;
        }
        Ok(Self { id, root, config, parts, is_root, issued: Arc::default() })
    }
}

#[async_trait]
impl CaFixture for LocalFixture {
    async fn instance(&self) -> Result<Arc<dyn CertificateAuthority>> {
        let root = LocalCa::new(self.root.descriptor().id, "root", &self.config, self.parts.clone());
        let root = Arc::new(root.map_err(anyhow::Error::msg)?);
        let inner = match root.sub_authorities().filter(|_| !self.is_root) {
            Some(above) => above.open(self.id, "below"),
            None => root,
        };
        Ok(Arc::new(Counting { inner, issued: Arc::clone(&self.issued) }))
    }

    fn name(&self) -> String {
        names()
    }

    async fn root(&self) -> Result<Vec<u8>> {
        self.root.chain().await?.pop().context("a chain without a root")
    }

    async fn issued(&self) -> Result<u64> {
        Ok(self.issued.lock().unwrap().len() as u64)
    }
}

/// One CA for all cases of a suite, whose key takes seconds to make; each case counts for itself.
fn shared(key_type: CaKeyType, is_root: bool) -> Open<dyn CaFixture> {
    let made = Arc::new(OnceCell::new());
    open(move || {
        let made = Arc::clone(&made);
        async move {
            let made = made.get_or_try_init(|| LocalFixture::new(key_type, is_root)).await?;
            Ok(Arc::new(LocalFixture { issued: Arc::default(), ..made.clone() }) as _)
        }
    })
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let runtime = tokio::runtime::Runtime::new()?;
    let mut trials = Vec::new();
    for (label, key_type, is_root) in [
        ("local_root", CaKeyType::EcP256, true),
        ("local_intermediate", CaKeyType::EcP384, false),
        ("local_rsa", CaKeyType::Rsa3072, false),
    ] {
        let suite = certificate_authority::suite(shared(key_type, is_root));
        trials.extend(runtime.block_on(suite)?.trials(label, runtime.handle()));
    }
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}
