//! Certificate authorities: which there are, and what they tell of themselves.

use bailey_core::access::Call;
use bailey_core::ca::{ConfiguredCa, DescribedCa};
use bailey_core::failure::Failure;
use bailey_core::ids::{CaId, ProjectId};
use bailey_core::request::{
    CaPath, FindCa, FindCas, GetCa, GetCaCertificate, GetCaChain, ListAllCas, ListCaProjects, ListCas,
};
use bailey_core::secret::Page;
use bailey_db::ca::{self, Scope};
use chrono::{DateTime, Utc};
use x509_parser::parse_x509_certificate;

use crate::Worker;
use crate::error::ca_failure;
use crate::pem;
use crate::policy::{Rule, Target};
use crate::session::Session;

/// Whether CAs are offered.
///
/// # Errors
/// `NotFound`.
pub async fn find_any(worker: &Worker, call: Call, _: FindCas) -> Result<(), Failure> {
    session(worker, call).await.map(drop)
}

/// Whether there is a CA.
///
/// # Errors
/// `NotFound`, also for other projects' CAs and when CAs are not offered; `Unavailable`.
pub async fn find(worker: &Worker, call: Call, request: FindCa) -> Result<(), Failure> {
    let session = session(worker, call).await?;
    known(&session, request.id).await.map(drop)
}

/// Lists the CAs that the project's orders may name.
///
/// # Errors
/// `NotFound` when CAs are not offered; `Forbidden`; `Invalid` for a malformed filter; `Unavailable`.
pub async fn list(worker: &Worker, call: Call, request: ListCas) -> Result<Page<CaId>, Failure> {
    let session = session(worker, call).await?;
    session.authorise(Rule::CasGetLimited)?;
    let query = request.query.accept()?;
    let has_chosen = ca::has_chosen_any(worker.db.reader(), &session.caller.project).await?;
    let scope = if has_chosen { Scope::Chosen } else { Scope::All };
    let serving = configured(&session, false);
    Ok(ca::list(worker.db.reader(), &session.caller.project, &query, scope, &serving).await?)
}

/// Lists the CAs that the project may choose from, and its own; to whoever may be told of all, all.
///
/// # Errors
/// As [`list`].
pub async fn list_all(worker: &Worker, call: Call, request: ListAllCas) -> Result<Page<CaId>, Failure> {
    let session = session(worker, call).await?;
    session.authorise(Rule::CasGetAll)?;
    let query = request.query.accept()?;
    let seen = configured(&session, sees_all(&session));
    Ok(ca::list(worker.db.reader(), &session.caller.project, &query, Scope::All, &seen).await?)
}

/// The configured CAs that serve the caller's project, or every one.
fn configured(session: &Session<'_>, is_all: bool) -> Vec<CaId> {
    let authorities = &session.worker.authorities;
    let ids = authorities.iter().map(|authority| authority.descriptor().id);
    ids.filter(|id| is_all || authorities.serves(*id, &session.caller.project)).collect()
}

/// Whether the caller may be told of CAs that don't serve their project: whoever may be told which projects chose one.
fn sees_all(session: &Session<'_>) -> bool {
    session.worker.policy.authorise(Rule::CaGetProjects, &session.caller, &Target::none()).is_ok()
}

/// One CA. Its certificates are left out while it is out of reach.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Unavailable`.
pub async fn get(worker: &Worker, call: Call, request: GetCa) -> Result<DescribedCa, Failure> {
    let session = session(worker, call).await?;
    let ca = known(&session, request.id).await?;
    session.authorise(Rule::CaGet)?;
    let authority = worker.authority(&session.caller.project, ca.id).await?.ok_or_else(not_found)?;
    let chain = authority.chain().await.unwrap_or_default();
    let expires_at = chain.first().and_then(|certificate| end(certificate));
    let told = |certificates: &[Vec<u8>]| Some(pem::certificates(certificates)).filter(|text| !text.is_empty());
    let (certificate, chain) = (told(chain.get(..1).unwrap_or_default()), told(&chain));
    Ok(DescribedCa { ca, profiles: authority.descriptor().profiles.clone(), certificate, chain, expires_at })
}

/// When a certificate ends.
fn end(certificate: &[u8]) -> Option<DateTime<Utc>> {
    let (_, parsed) = parse_x509_certificate(certificate).ok()?;
    DateTime::from_timestamp(parsed.validity().not_after.timestamp(), 0)
}

/// A CA's certificate, then its issuer's, up to the root.
///
/// # Errors
/// `NotFound`, also when the CA doesn't tell; `Forbidden`, `Unavailable`.
pub async fn get_chain(worker: &Worker, call: Call, request: GetCaChain) -> Result<String, Failure> {
    Ok(pem::certificates(&certificates(worker, call, request.id, Rule::CaGetChain).await?))
}

/// The certificate that a CA signs with.
///
/// # Errors
/// As [`get_chain`].
pub async fn get_certificate(worker: &Worker, call: Call, request: GetCaCertificate) -> Result<String, Failure> {
    let chain = certificates(worker, call, request.id, Rule::CaGetCertificate).await?;
    Ok(pem::certificates(chain.get(..1).unwrap_or_default()))
}

async fn certificates(worker: &Worker, call: Call, id: CaPath, rule: Rule) -> Result<Vec<Vec<u8>>, Failure> {
    let session = session(worker, call).await?;
    let id = known(&session, id).await?.id;
    session.authorise(rule)?;
    let authority = worker.authority(&session.caller.project, id).await?.ok_or_else(not_found)?;
    let chain = authority.chain().await.map_err(|error| ca_failure(&error))?;
    if chain.is_empty() { Err(untold()) } else { Ok(chain) }
}

/// The projects that have chosen a CA.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Unavailable`.
pub async fn list_projects(worker: &Worker, call: Call, request: ListCaProjects) -> Result<Vec<ProjectId>, Failure> {
    let session = session(worker, call).await?;
    let id = known(&session, request.id).await?.id;
    session.authorise(Rule::CaGetProjects)?;
    Ok(ca::projects(worker.db.reader(), id).await?)
}

/// A caller who may be told of CAs, because they are offered.
///
/// # Errors
/// `Unauthenticated`; `NotFound`.
pub(crate) async fn session(worker: &Worker, call: Call) -> Result<Session<'_>, Failure> {
    let session = worker.session(call).await?;
    if worker.offers_certificates() { Ok(session) } else { Err(Failure::not_found("")) }
}

/// The CA in a path, if the caller can see it: a configured one that serves the project, or one of the project's own.
///
/// # Errors
/// `NotFound`, `Unavailable`.
pub(crate) async fn known(session: &Session<'_>, id: CaPath) -> Result<ConfiguredCa, Failure> {
    visible(session, id.accept()?).await?.ok_or_else(not_found)
}

/// The same, of any id.
///
/// # Errors
/// `Unavailable`.
pub(crate) async fn visible(session: &Session<'_>, id: CaId) -> Result<Option<ConfiguredCa>, Failure> {
    let found = ca::find(session.worker.db.reader(), &session.caller.project, id).await?;
    let authorities = &session.worker.authorities;
    let is_seen = |ca: &ConfiguredCa| {
        let serves = ca.project().is_some() || authorities.serves(ca.id, &session.caller.project);
        serves || (authorities.find(ca.id).is_some() && sees_all(session))
    };
    Ok(found.filter(is_seen))
}

/// The answer for a CA that isn't there.
pub(crate) fn not_found() -> Failure {
    Failure::not_found("The certificate authority was not found")
}

fn untold() -> Failure {
    Failure::not_found("The certificate authority tells no certificate of its own")
}

/// How audit events name a CA.
pub(crate) fn name(id: CaId) -> String {
    format!("cas/{id}")
}
