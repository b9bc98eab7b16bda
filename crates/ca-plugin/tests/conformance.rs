//! The local CA is held to the contract: as a root, below one, with EC keys and with RSA.

#![allow(clippy::unwrap_used, reason = "a test program")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use bailey_ca_plugin::local::{Authority, Config, KeyType, LocalCa, NewAuthority, ProfileConfig};
use bailey_core::ca::{
    CaDescriptor, CaError, CertificateAuthority, Issuance, IssuanceRequest, IssuanceState, Ledger, Revocation,
    RevocationLists, Revoked,
};
use bailey_core::clock::Clock;
use bailey_core::ids::CaId;
use bailey_core::sensitive::SecretBytes;
use bailey_testkit::conformance::certificate_authority::{self, CaFixture};
use bailey_testkit::conformance::open;
use bailey_testkit::memory::names;
use chrono::{DateTime, TimeDelta, Utc};
use libtest_mimic::Arguments;
use rcgen::KeyPair;

/// What all instances share.
struct LocalFixture {
    id: CaId,
    authority: Authority,
    ledger: Arc<MemoryLedger>,
    /// Everything that was handed out as issued, by what is signed of it.
    issued: Arc<Mutex<BTreeSet<Vec<u8>>>>,
}

#[derive(Default)]
struct MemoryLedger(Mutex<(u64, BTreeMap<Vec<u8>, Revoked>)>);

#[async_trait]
impl Ledger for MemoryLedger {
    async fn revoke(&self, _: CaId, revoked: &Revoked) -> Result<(), CaError> {
        self.0.lock().unwrap().1.entry(revoked.serial.clone()).or_insert_with(|| revoked.clone());
        Ok(())
    }

    async fn next_list(&self, _: CaId, now: DateTime<Utc>) -> Result<(u64, Vec<Revoked>), CaError> {
        let mut kept = self.0.lock().unwrap();
        kept.0 += 1;
        Ok((kept.0, kept.1.values().filter(|revoked| revoked.expires_at > now).cloned().collect()))
    }
}

/// Counts what a CA issues: it keeps no book itself.
struct Counting {
    inner: LocalCa<KeyPair>,
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

    async fn revoke(&self, revocation: &Revocation) -> Result<(), CaError> {
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

fn new(subject: &str) -> NewAuthority {
    NewAuthority {
        subject: subject.parse().unwrap(),
        path_length: None,
        valid_days: 365,
        begins_at: Utc::now() - TimeDelta::minutes(5),
    }
}

impl LocalFixture {
    fn new(key_type: KeyType, is_root: bool) -> Result<Self> {
        let root = new("CN=Root,O=Bailey's tests").root(key_type)?;
        let authority = if is_root {
            root
        } else {
            let key = KeyPair::try_from(root.private_key.expose())?;
            new("CN=Intermediate,O=Bailey's tests").below(&root.chain, key, key_type)?
        };
        Ok(Self { id: CaId::new(), authority, ledger: Arc::default(), issued: Arc::default() })
    }
}

#[async_trait]
impl CaFixture for LocalFixture {
    async fn instance(&self) -> Result<Arc<dyn CertificateAuthority>> {
        let profile = ProfileConfig { dns: vec!["*.example.test".into()], ..ProfileConfig::default() };
        let config = Config { profiles: vec![profile], ..Config::default() };
        let key = KeyPair::try_from(self.authority.private_key.expose())?;
        let serial_key = SecretBytes::new(self.authority.private_key.expose().to_vec());
        let ledger = Arc::clone(&self.ledger) as _;
        let chain = self.authority.chain.clone();
        let inner = LocalCa::new(self.id, &config, chain, key, &serial_key, ledger, Clock::system())?;
        Ok(Arc::new(Counting { inner, issued: Arc::clone(&self.issued) }))
    }

    fn name(&self) -> String {
        names()
    }

    async fn root(&self) -> Result<Vec<u8>> {
        self.authority.chain.last().cloned().context("a chain without a root")
    }

    async fn issued(&self) -> Result<u64> {
        Ok(self.issued.lock().unwrap().len() as u64)
    }
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let runtime = tokio::runtime::Runtime::new()?;
    let mut trials = Vec::new();
    for (label, key_type, is_root) in [
        ("local_root", KeyType::EcP256, true),
        ("local_intermediate", KeyType::EcP384, false),
        ("local_rsa", KeyType::Rsa3072, false),
    ] {
        let suite = certificate_authority::suite(open(move || async move {
            Ok(Arc::new(LocalFixture::new(key_type, is_root)?) as _)
        }));
        trials.extend(runtime.block_on(suite)?.trials(label, runtime.handle()));
    }
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}
