//! Challenges of CAs.

use bailey_core::access::Call;
use bailey_core::failure::Failure;
use bailey_core::request::FindChallenge;
use bailey_db::ca::find_challenge;

use crate::Worker;

/// What a token is answered with. Whoever has the token may know: the CA made it up for this. Nothing where
/// certificates are not offered.
///
/// # Errors
/// `Unavailable`.
pub async fn find(worker: &Worker, _: Call, request: FindChallenge) -> Result<Option<String>, Failure> {
    if !worker.offers_certificates() {
        return Ok(None);
    }
    Ok(find_challenge(worker.db.reader(), &request.token, worker.clock.now()).await?)
}
