//! The plugin for EJBCA is held to the contract, and to one certificate for one order whatever goes wrong; both with
//! a stand-in that testkit made from EJBCA's published description.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod faults;
mod rules;
mod steps;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use bailey_ca_plugin::Secret;
use bailey_ca_plugin::ejbca::{Config, EjbcaCa, ProfileConfig};
use bailey_core::ca::CertificateAuthority;
use bailey_core::clock::Clock;
use bailey_core::ids::CaId;
use bailey_testkit::conformance::certificate_authority::{self, CaFixture};
use bailey_testkit::conformance::open;
use bailey_testkit::ejbca::{AUTHORITY, CERTIFICATE_PROFILE, END_ENTITY_PROFILE, EjbcaStandIn, HEADER};
use bailey_testkit::memory::names;
use libtest_mimic::Arguments;

/// What enrolment codes come from.
const SECRET: &str = "canary that enrolment codes come from";

/// A stand-in and a CA that is configured for it.
struct EjbcaFixture {
    stand_in: EjbcaStandIn,
    id: CaId,
}

impl EjbcaFixture {
    async fn new(needs_approval: bool) -> Result<Self> {
        let stand_in = EjbcaStandIn::start().await?;
        stand_in.require_approval(needs_approval);
        Ok(Self { stand_in, id: CaId::new() })
    }

    /// A configuration that waits no longer than a test likes to.
    fn config(&self) -> Config {
        let [certificate_file, private_key_file] = self.stand_in.identity_files();
        Config {
            url: self.stand_in.url(),
            certificate_authority: AUTHORITY.into(),
            ca_file: self.stand_in.authority_file(),
            certificate_file,
            private_key_file,
            headers: [(HEADER.to_owned(), Secret::new(self.stand_in.header().to_owned()))].into(),
            enrolment_secret: Secret::new(SECRET.to_owned()),
            settle_seconds: 1.0,
            approval_seconds: 0.05,
            profiles: vec![ProfileConfig {
                certificate_profile: CERTIFICATE_PROFILE.into(),
                end_entity_profile: END_ENTITY_PROFILE.into(),
                ..ProfileConfig::default()
            }],
            ..Config::default()
        }
    }

    fn open(&self, config: &Config, clock: Clock) -> Result<EjbcaCa> {
        Ok(EjbcaCa::new(self.id, "ejbca", config, clock)?)
    }
}

#[async_trait]
impl CaFixture for EjbcaFixture {
    async fn instance(&self) -> Result<Arc<dyn CertificateAuthority>> {
        Ok(Arc::new(self.open(&self.config(), Clock::system())?))
    }

    fn name(&self) -> String {
        names()
    }

    async fn root(&self) -> Result<Vec<u8>> {
        Ok(self.stand_in.root())
    }

    async fn issued(&self) -> Result<u64> {
        Ok(self.stand_in.issued())
    }

    async fn approve(&self) -> Result<()> {
        self.stand_in.approve();
        Ok(())
    }
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let runtime = tokio::runtime::Runtime::new()?;
    let mut trials = Vec::new();
    for (label, needs_approval) in [("ejbca", false), ("ejbca_with_approval", true)] {
        let suite = certificate_authority::suite(open(move || async move {
            Ok(Arc::new(EjbcaFixture::new(needs_approval).await?) as _)
        }));
        trials.extend(runtime.block_on(suite)?.trials(label, runtime.handle()));
    }
    trials.extend(faults::trials(runtime.handle()));
    trials.extend(rules::trials(runtime.handle()));
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}
