//! What EJBCA refuses, how it knows Bailey, and what must not be seen.

use std::time::Duration;

use anyhow::{Result, ensure};
use bailey_ca_plugin::ejbca::Config;
use bailey_core::ca::{CaErrorKind, CertificateAuthority as _, Issuance, Revocation, RevocationReason};
use bailey_core::clock::Clock;
use bailey_testkit::conformance::certificate_authority::CaFixture as _;
use bailey_testkit::ejbca::{Fault, HEADER, Operation};
use libtest_mimic::Trial;
use rcgen::KeyPair;
use tokio::runtime::Handle;

use crate::faults::trial;
use crate::steps::{End, Order};
use crate::{EjbcaFixture, SECRET};

/// Files are looked at again after a second.
const REREAD: Duration = Duration::from_millis(1_100);

pub(crate) fn trials(handle: &Handle) -> Vec<Trial> {
    macro_rules! trials {
        ($($name:ident),* $(,)?) => {
            vec![$(trial(handle, concat!("rules::", stringify!($name)).to_owned(), $name)),*]
        };
    }
    trials![
        what_the_end_entity_profile_does_not_grant_is_rejected,
        a_key_of_another_end_entitys_is_rejected,
        a_rejected_enrolment_is_rejected,
        an_expired_enrolment_is_rejected,
        an_approval_that_nobody_waited_for_makes_no_second_certificate,
        what_is_not_configured_there_is_a_fault_of_the_configuration,
        a_new_certificate_is_shown_without_a_restart,
        a_request_without_the_gateways_header_is_no_answer_of_ejbcas,
        the_first_reason_stands,
        a_revocation_whose_answer_is_lost_is_found,
        no_secret_is_kept_or_told,
    ]
}

async fn worked(fixture: &EjbcaFixture, config: &Config) -> Result<(Order, End)> {
    let mut order = Order::new(fixture)?;
    let end = order.work(fixture, config, |_| false).await?;
    Ok((order, end))
}

async fn what_the_end_entity_profile_does_not_grant_is_rejected() -> Result<()> {
    let fixture = EjbcaFixture::new(false).await?;
    let mut order = Order::with_key("www.example.org", &KeyPair::generate()?)?;
    let end = order.work(&fixture, &fixture.config(), |_| false).await?;
    ensure!(matches!(&end, End::Rejected(reason) if reason.contains("does not grant")), "{end:?}");
    ensure!(fixture.issued().await? == 0, "rejected and issued");
    Ok(())
}

async fn a_key_of_another_end_entitys_is_rejected() -> Result<()> {
    let fixture = EjbcaFixture::new(false).await?;
    let (name, key) = (fixture.name(), KeyPair::generate()?);
    let end = Order::with_key(&name, &key)?.work(&fixture, &fixture.config(), |_| false).await?;
    ensure!(matches!(end, End::Issued(_)), "{end:?}");
    let end = Order::with_key(&name, &key)?.work(&fixture, &fixture.config(), |_| false).await?;
    ensure!(matches!(&end, End::Rejected(reason) if reason.contains("same key")), "{end:?}");
    ensure!(fixture.issued().await? == 1, "rejected and issued");
    Ok(())
}

/// Goes on until approval is waited for, has `decide` decide, and polls once more.
async fn decided(fixture: &EjbcaFixture, decide: impl FnOnce()) -> Result<Issuance> {
    let (ca, order) = (fixture.instance().await?, Order::new(fixture)?);
    let mut outcome = ca.issue(&order.request).await?;
    for _ in 0..2 {
        let Issuance::Pending(pending) = &outcome else { break };
        outcome = ca.poll(&order.request, &pending.state).await?;
    }
    let Issuance::Pending(pending) = &outcome else { anyhow::bail!("{outcome:?} without approval") };
    ensure!(pending.waits_for.contains("approve"), "it waits for {}", pending.waits_for);
    decide();
    Ok(ca.poll(&order.request, &pending.state).await?)
}

async fn a_rejected_enrolment_is_rejected() -> Result<()> {
    let fixture = EjbcaFixture::new(true).await?;
    let outcome = decided(&fixture, || fixture.stand_in.reject()).await?;
    ensure!(matches!(&outcome, Issuance::Rejected(why) if why.reason.contains("rejected")), "{outcome:?}");
    Ok(())
}

async fn an_expired_enrolment_is_rejected() -> Result<()> {
    let fixture = EjbcaFixture::new(true).await?;
    let outcome = decided(&fixture, || fixture.stand_in.expire()).await?;
    ensure!(matches!(&outcome, Issuance::Rejected(why) if why.reason.contains("expired")), "{outcome:?}");
    Ok(())
}

async fn an_approval_that_nobody_waited_for_makes_no_second_certificate() -> Result<()> {
    let fixture = EjbcaFixture::new(true).await?;
    fixture.stand_in.fail(Operation::Enrol, Fault::CutAfter);
    let mut order = Order::new(&fixture)?;
    order.is_approved_early = true;
    let end = order.work(&fixture, &fixture.config(), |_| false).await?;
    ensure!(matches!(end, End::Issued(_)) && fixture.issued().await? == 1, "{end:?}");
    Ok(())
}

async fn what_is_not_configured_there_is_a_fault_of_the_configuration() -> Result<()> {
    let fixture = EjbcaFixture::new(false).await?;
    let mut other_profile = fixture.config();
    other_profile.profiles[0].certificate_profile = "ENDUSER".into();
    let (_, end) = worked(&fixture, &other_profile).await?;
    ensure!(matches!(end, End::Failed(CaErrorKind::Internal)), "another profile: {end:?}");
    let other_ca = Config { certificate_authority: "OtherCA".into(), ..fixture.config() };
    let health = fixture.open(&other_ca, Clock::system())?.health().await;
    ensure!(health.is_err_and(|error| error.kind == CaErrorKind::Internal), "another CA is healthy");
    ensure!(fixture.issued().await? == 0, "something was issued");
    Ok(())
}

async fn a_new_certificate_is_shown_without_a_restart() -> Result<()> {
    let fixture = EjbcaFixture::new(false).await?;
    let ca = fixture.instance().await?;
    ca.health().await?;
    fixture.stand_in.replace_identity(false)?;
    tokio::time::sleep(REREAD).await;
    let health = ca.health().await;
    ensure!(health.is_err_and(|error| error.kind == CaErrorKind::Internal), "somebody else is let in");
    fixture.stand_in.replace_identity(true)?;
    tokio::time::sleep(REREAD).await;
    ca.health().await?;
    // Half a key is none, and the one before is still good.
    let [_, key] = fixture.stand_in.identity_files();
    std::fs::write(key, "-----BEGIN PRIVATE KEY-----\n")?;
    tokio::time::sleep(REREAD).await;
    Ok(ca.health().await?)
}

async fn a_request_without_the_gateways_header_is_no_answer_of_ejbcas() -> Result<()> {
    let fixture = EjbcaFixture::new(false).await?;
    let bare = Config { headers: Default::default(), ..fixture.config() };
    let health = fixture.open(&bare, Clock::system())?.health().await;
    ensure!(health.is_err_and(|error| error.kind == CaErrorKind::Unavailable), "healthy without {HEADER}");
    Ok(())
}

fn revocation(certificate: &[u8], reason: RevocationReason) -> Revocation {
    Revocation { certificate: certificate.to_vec(), reason }
}

async fn the_first_reason_stands() -> Result<()> {
    let fixture = EjbcaFixture::new(false).await?;
    let ca = fixture.instance().await?;
    for reason in RevocationReason::ALL {
        let (_, end) = worked(&fixture, &fixture.config()).await?;
        let End::Issued(issued) = end else { anyhow::bail!("{end:?}") };
        for reason in [reason, RevocationReason::KeyCompromise] {
            ca.revoke(&revocation(&issued.certificate, reason)).await?;
        }
        let told = fixture.stand_in.revoked(&issued.certificate).unwrap_or_default();
        let same = told.replace('_', "").trim_end_matches("SWITHDRAWN").to_lowercase();
        ensure!(reason.as_str().to_lowercase().starts_with(&same), "{told} instead of {reason}");
    }
    Ok(())
}

async fn a_revocation_whose_answer_is_lost_is_found() -> Result<()> {
    let fixture = EjbcaFixture::new(false).await?;
    let (_, end) = worked(&fixture, &fixture.config()).await?;
    let End::Issued(issued) = end else { anyhow::bail!("{end:?}") };
    let (ca, revocation) = (fixture.instance().await?, revocation(&issued.certificate, RevocationReason::Superseded));
    fixture.stand_in.fail(Operation::Revoke, Fault::CutAfter);
    let revoked = ca.revoke(&revocation).await;
    ensure!(revoked.is_err_and(|error| error.is_retryable()), "it succeeds without an answer");
    ca.revoke(&revocation).await?;
    ensure!(fixture.stand_in.asked(Operation::Revoke) == 1, "it is revoked twice");
    Ok(())
}

async fn no_secret_is_kept_or_told() -> Result<()> {
    let fixture = EjbcaFixture::new(true).await?;
    let config = fixture.config();
    fixture.stand_in.fail(Operation::Enrol, Fault::Refused(503));
    fixture.stand_in.fail(Operation::Enrol, Fault::CutAfter);
    fixture.stand_in.fail(Operation::Request, Fault::Gateway(502));
    let (order, end) = worked(&fixture, &config).await?;
    ensure!(matches!(end, End::Issued(_)), "{end:?}");
    let codes = fixture.stand_in.codes();
    ensure!(!codes.is_empty() && codes.iter().all(|code| code.len() == 32), "{} codes", codes.len());
    let said = format!("{:?} {:?} {config:?} {}", order.states, order.reasons, serde_json::to_string(&config)?);
    for secret in codes.iter().map(String::as_str).chain([SECRET, fixture.stand_in.header()]) {
        ensure!(!said.contains(secret), "a secret in {}", said.replace(secret, "[here]"));
    }
    Ok(())
}
