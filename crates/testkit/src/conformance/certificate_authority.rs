//! What every [`CertificateAuthority`] must do.

mod issuing;
mod pending;
mod refusing;
mod revoking;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use async_trait::async_trait;
use bailey_core::ca::{CaErrorKind, CertificateAuthority, Issuance, IssuanceRequest, IssuanceState, Issued};
use bailey_core::ids::IssuanceId;
use chrono::{SubsecRound as _, Utc};
use rcgen::{CertificateParams, DnType, KeyPair};
use x509_parser::certificate::X509Certificate;

use super::{Case, Open, Suite, case, fresh_project};

/// What the suite needs of whoever runs a CA.
#[async_trait]
pub trait CaFixture: Send + Sync {
    /// Another instance over the same CA, as another process has it.
    async fn instance(&self) -> Result<Arc<dyn CertificateAuthority>>;

    /// A DNS name that the first profile grants; another one with each call, if the CA insists.
    fn name(&self) -> String;

    /// The root that the CA's certificates lead to, from elsewhere than the CA's own answers; DER.
    async fn root(&self) -> Result<Vec<u8>>;

    /// How many certificates were issued, as counted where nobody forgets one.
    async fn issued(&self) -> Result<u64>;

    /// Does what people do while a request is pending: approves all.
    async fn approve(&self) -> Result<()> {
        Ok(())
    }
}

/// What a case needs the implementation to declare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    NoTraces,
    Chain,
    Revocation,
    RevocationLists,
}

/// The suite over fixtures that `open` opens; asks one of them what is declared.
///
/// # Errors
/// When no fixture can be opened.
pub async fn suite(open: Open<dyn CaFixture>) -> Result<Suite<dyn CaFixture>> {
    let fixture = open().await.context("open a fixture")?;
    let ca = fixture.instance().await?;
    let applies = |needs: &Needs| match needs {
        Needs::Nothing => true,
        Needs::NoTraces => !ca.descriptor().leaves_traces,
        Needs::Chain => ca.descriptor().tells_chain,
        Needs::Revocation => ca.descriptor().revokes,
        Needs::RevocationLists => ca.descriptor().revokes && ca.revocation_lists().is_some(),
    };
    let cases = [issuing::cases(), refusing::cases(), pending::cases(), revoking::cases()];
    Ok(Suite::choose(cases.into_iter().flatten().collect(), open, applies))
}

type Fixture = Arc<dyn CaFixture>;
type CaCase = Case<dyn CaFixture, Needs>;

/// Most polls before a request counts as one that never ends.
const POLLS: usize = 200;
/// How many steps a process lives for: enough to tell a step, to take it, and to hear what came of it.
const LIFE: usize = 3;
/// How often a CA is asked that can't be reached, and how long it is left alone in between.
const TRIES: usize = 3;
const AFTER_TROUBLE: Duration = Duration::from_millis(100);
/// Longest wait between two of them, whatever the CA would like.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A request with the key that signed it.
struct Asked {
    request: IssuanceRequest,
    key: KeyPair,
}

/// A request for a name that the CA grants.
fn ask(fixture: &dyn CaFixture) -> Result<Asked> {
    ask_with(fixture, |_| {})
}

/// The same, changed.
fn ask_with(fixture: &dyn CaFixture, change: impl FnOnce(&mut CertificateParams)) -> Result<Asked> {
    let name = fixture.name();
    let mut params = CertificateParams::new(vec![name.clone()])?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    change(&mut params);
    let key = KeyPair::generate()?;
    let csr = params.serialize_request(&key)?.der().to_vec();
    Ok(Asked { request: request(csr), key })
}

fn request(csr: Vec<u8>) -> IssuanceRequest {
    let requested_at = Utc::now().trunc_subsecs(6);
    IssuanceRequest {
        id: IssuanceId::new(),
        project: fresh_project(),
        profile: None,
        csr,
        requested_at,
        replaces: None,
    }
}

/// One step, by an instance that knows nothing of the ones before. Who can't be reached is asked again, as the worker
/// does: Pebble has no answer for the slower one of two that open one account at once.
async fn step(
    ca: &dyn CertificateAuthority,
    request: &IssuanceRequest,
    state: Option<&IssuanceState>,
) -> Result<Issuance> {
    let mut again = 1..TRIES;
    loop {
        let taken = match state {
            None => ca.issue(request).await,
            Some(state) => ca.poll(request, state).await,
        };
        match taken {
            Err(error) if error.kind == CaErrorKind::Unavailable && again.next().is_some() => {
                tokio::time::sleep(AFTER_TROUBLE).await;
            }
            taken => return Ok(taken?),
        }
    }
}

/// Goes on until the CA has issued or rejected. Each step is taken `times` times over: first by processes that die
/// before they can tell what came of it, then by one that lives for `life` steps.
async fn outcome(fixture: &dyn CaFixture, request: &IssuanceRequest, times: usize, life: usize) -> Result<Issuance> {
    let mut state: Option<IssuanceState> = None;
    let mut ca = fixture.instance().await?;
    for poll in 1..=POLLS {
        for _ in 1..times {
            step(&*fixture.instance().await?, request, state.as_ref()).await?;
        }
        let issuance = step(&*ca, request, state.as_ref()).await?;
        let Issuance::Pending(pending) = issuance else { return Ok(issuance) };
        if poll % life == 0 {
            ca = fixture.instance().await?;
        }
        ensure!(pending.state.0.len() <= IssuanceState::LONGEST, "a state of {} bytes", pending.state.0.len());
        tokio::time::sleep(pending.retry_after.min(LONGEST_WAIT)).await;
        fixture.approve().await?;
        state = Some(pending.state);
    }
    bail!("it is pending after {POLLS} polls")
}

/// The certificate that a request must get.
async fn follow(fixture: &dyn CaFixture, request: &IssuanceRequest, times: usize) -> Result<Issued> {
    may_follow(fixture, request, times).await?.context("the CA rejects what it should grant")
}

/// The certificate of a request that the CA may as well reject: then it has issued none, and says why.
async fn may_follow(fixture: &dyn CaFixture, request: &IssuanceRequest, times: usize) -> Result<Option<Issued>> {
    ended(fixture, request, times, LIFE).await
}

/// What a request that was followed before gets when it is asked for from the beginning, by processes of which none
/// knows what another one has told.
async fn follow_again(fixture: &dyn CaFixture, request: &IssuanceRequest) -> Result<Option<Issued>> {
    ended(fixture, request, 1, 1).await
}

async fn ended(
    fixture: &dyn CaFixture,
    request: &IssuanceRequest,
    times: usize,
    life: usize,
) -> Result<Option<Issued>> {
    let before = fixture.issued().await?;
    match outcome(fixture, request, times, life).await? {
        Issuance::Issued(issued) => Ok(Some(issued)),
        Issuance::Rejected(rejection) => {
            ensure!(!rejection.reason.is_empty(), "it rejects without a reason");
            ensure!(fixture.issued().await? == before, "it rejects ({}), and issues", rejection.reason);
            Ok(None)
        }
        Issuance::Pending(_) => bail!("an end that is none"),
    }
}

/// A certificate that was granted.
async fn granted(fixture: &dyn CaFixture) -> Result<(Asked, Issued)> {
    let asked = ask(fixture)?;
    let issued = follow(fixture, &asked.request, 1).await?;
    Ok((asked, issued))
}

/// That the CA rejects a request, at once or later, and issues nothing.
async fn expect_rejected(fixture: &dyn CaFixture, request: &IssuanceRequest, what: &str) -> Result<()> {
    let issued = may_follow(fixture, request, 1).await.with_context(|| what.to_owned())?;
    ensure!(issued.is_none(), "{what} gets a certificate");
    Ok(())
}

fn parsed(der: &[u8]) -> Result<X509Certificate<'_>> {
    let (rest, certificate) = x509_parser::parse_x509_certificate(der).context("read a certificate")?;
    ensure!(rest.is_empty(), "{} bytes after a certificate", rest.len());
    Ok(certificate)
}
