//! Which certificate authorities a project has chosen, and which ones are preferred.

use bailey_core::access::Call;
use bailey_core::failure::{Failure, FailureKind};
use bailey_core::ids::{CaId, ProjectId};
use bailey_core::request::{
    CaPath, ChooseCa, DismissCa, GetGlobalPreferredCa, GetPreferredCa, PreferCa, PreferCaGlobally, PreferNoCaGlobally,
};
use bailey_db::{Tx, ca};

use super::ca::{known, name, not_found, session, visible};
use crate::Worker;
use crate::policy::Rule;
use crate::session::Session;

/// The CA that the caller's project prefers, else the one that all do.
///
/// # Errors
/// `NotFound` when there is none; `Forbidden`, `Unavailable`.
pub async fn get_preferred(worker: &Worker, call: Call, _: GetPreferredCa) -> Result<CaId, Failure> {
    let session = session(worker, call).await?;
    session.authorise(Rule::CasGetPreferred)?;
    let choice = ca::choice(worker.db.reader(), &session.caller.project).await?;
    shown(&session, choice.preferred.or(choice.preferred_by_all)).await
}

/// The CA that all prefer that prefer none themselves.
///
/// # Errors
/// As [`get_preferred`].
pub async fn get_global_preferred(worker: &Worker, call: Call, _: GetGlobalPreferredCa) -> Result<CaId, Failure> {
    let session = session(worker, call).await?;
    session.authorise(Rule::CasGetGlobalPreferred)?;
    let preferred = ca::preferred(worker.db.reader(), None).await?;
    shown(&session, preferred).await
}

/// What is preferred, if it is there: a CA may have left the configuration since.
async fn shown(session: &Session<'_>, preferred: Option<CaId>) -> Result<CaId, Failure> {
    let found = match preferred {
        Some(id) => visible(session, id).await?,
        None => None,
    };
    found.map(|ca| ca.id).ok_or_else(|| Failure::not_found("No certificate authority is preferred"))
}

/// The CA in a path, if it issues to the caller's project: others a service admin sees, and nobody chooses.
async fn serving(session: &Session<'_>, id: CaPath) -> Result<CaId, Failure> {
    let id = known(session, id).await?.id;
    let serving = session.worker.serving(&session.caller.project, id).await?;
    serving.map(|_| id).ok_or_else(not_found)
}

/// Has the caller's project choose a CA. From the first choice on, its orders go to chosen CAs only.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Unavailable`.
pub async fn choose(worker: &Worker, call: Call, request: ChooseCa) -> Result<(), Failure> {
    let session = session(worker, call).await?;
    let id = serving(&session, request.id).await?;
    session.authorise(Rule::CaAddToProject)?;
    let (project, now) = (session.caller.project.clone(), worker.clock.now());
    let chosen = session.write(move |tx| {
        let project = project.clone();
        Box::pin(async move {
            ca::lock(tx, &project).await?;
            if ca::find(tx, &project, id).await?.is_none() {
                return Err(not_found());
            }
            Ok(ca::choose(tx, &project, id, now).await?)
        })
    });
    session.audited(Rule::CaAddToProject, name(id), chosen.await)
}

/// Takes a choice of the caller's project back, also of a CA that isn't configured any more.
///
/// # Errors
/// `NotFound` when there is no such CA or the project hasn't chosen it; `Conflict` for the preferred one of several;
/// `Forbidden`, `Unavailable`.
pub async fn dismiss(worker: &Worker, call: Call, request: DismissCa) -> Result<(), Failure> {
    let session = session(worker, call).await?;
    let (id, project) = (request.id.accept()?, session.caller.project.clone());
    let found = ca::find(worker.db.reader(), &project, id).await?.ok_or_else(not_found)?;
    let is_kept_from = found.project().is_none() && !worker.authorities.serves(id, &project);
    if is_kept_from && !ca::has_chosen(worker.db.reader(), &project, id).await? {
        return Err(not_found());
    }
    session.authorise(Rule::CaRemoveFromProject)?;
    let dismissed = session.write(move |tx| {
        let project = project.clone();
        Box::pin(async move {
            ca::lock(tx, &project).await?;
            if let Dismissed::NotChosen = take_back(tx, &project, id).await? {
                return Err(Failure::not_found("The certificate authority is none of the project's"));
            }
            Ok(())
        })
    });
    session.audited(Rule::CaRemoveFromProject, name(id), dismissed.await)
}

/// What there was to take back.
pub(super) enum Dismissed {
    /// The project had chosen the CA.
    Chosen,
    /// It hadn't.
    NotChosen,
}

/// Takes a choice back under the project's lock; with the last one goes the preference.
///
/// # Errors
/// `Conflict` for the preferred one of several; `Unavailable`.
pub(super) async fn take_back(tx: &Tx, project: &ProjectId, id: CaId) -> Result<Dismissed, Failure> {
    if !ca::dismiss(tx, project, id).await? {
        return Ok(Dismissed::NotChosen);
    }
    if !ca::has_chosen_any(tx, project).await? {
        ca::prefer_none(tx, Some(project)).await?;
    } else if ca::preferred(tx, Some(project)).await? == Some(id) {
        let sentence = "The project prefers this certificate authority: let it prefer another one first";
        return Err(Failure::new(FailureKind::Conflict, sentence));
    }
    Ok(Dismissed::Chosen)
}

/// Makes a CA that the caller's project has chosen its preferred one.
///
/// # Errors
/// `NotFound`, `Forbidden`; `Invalid` for a CA that the project hasn't chosen; `Unavailable`.
pub async fn prefer(worker: &Worker, call: Call, request: PreferCa) -> Result<(), Failure> {
    let session = session(worker, call).await?;
    let id = serving(&session, request.id).await?;
    session.authorise(Rule::CaSetPreferred)?;
    let (project, now) = (session.caller.project.clone(), worker.clock.now());
    let preferred = session.write(move |tx| {
        let project = project.clone();
        Box::pin(async move {
            ca::lock(tx, &project).await?;
            if !ca::has_chosen(tx, &project, id).await? {
                let sentence = "Only a certificate authority that was added to the project can be its preferred one";
                return Err(Failure::invalid(sentence));
            }
            Ok(ca::prefer(tx, Some(&project), id, now).await?)
        })
    });
    session.audited(Rule::CaSetPreferred, name(id), preferred.await)
}

/// Makes a CA the preferred one of all projects that prefer none themselves.
///
/// # Errors
/// `NotFound`, `Forbidden`; `Invalid` for a CA that others than its project can't see; `Unavailable`.
pub async fn prefer_globally(worker: &Worker, call: Call, request: PreferCaGlobally) -> Result<(), Failure> {
    let session = session(worker, call).await?;
    let ca = known(&session, request.id).await?;
    session.authorise(Rule::CaSetGlobalPreferred)?;
    if ca.project().is_some() {
        let sentence = "A certificate authority of a single project can't be the preferred one of all";
        return Err(Failure::invalid(sentence));
    }
    let (id, now) = (ca.id, worker.clock.now());
    let preferred = session.write(move |tx| Box::pin(async move { Ok(ca::prefer(tx, None, id, now).await?) }));
    session.audited(Rule::CaSetGlobalPreferred, name(id), preferred.await)
}

/// Has all prefer no CA that prefer none themselves; also when they didn't.
///
/// # Errors
/// `NotFound` when CAs are not offered; `Forbidden`, `Unavailable`.
pub async fn prefer_none_globally(worker: &Worker, call: Call, _: PreferNoCaGlobally) -> Result<(), Failure> {
    let session = session(worker, call).await?;
    session.authorise(Rule::CasUnsetGlobalPreferred)?;
    let unset = session.write(move |tx| {
        Box::pin(async move {
            ca::prefer_none(tx, None).await?;
            Ok(())
        })
    });
    session.audited(Rule::CasUnsetGlobalPreferred, None, unset.await)
}
