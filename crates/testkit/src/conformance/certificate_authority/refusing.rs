//! What is refused.

use anyhow::Result;

use super::{CaCase, Fixture, Needs, ask, case, expect_rejected, request};

pub(super) fn cases() -> Vec<CaCase> {
    vec![
        case!(Needs::Nothing, a_request_with_a_bad_signature_is_rejected),
        case!(Needs::Nothing, what_is_no_request_is_rejected),
        case!(Needs::Nothing, a_request_with_bytes_behind_it_is_rejected),
        case!(Needs::Nothing, an_unknown_profile_is_rejected),
    ]
}

async fn a_request_with_a_bad_signature_is_rejected(fixture: Fixture) -> Result<()> {
    let mut asked = ask(&*fixture)?;
    // The signature is the last thing in a request.
    if let Some(last) = asked.request.csr.last_mut() {
        *last ^= 1;
    }
    expect_rejected(&*fixture, &asked.request, "a request that its key didn't sign").await
}

async fn what_is_no_request_is_rejected(fixture: Fixture) -> Result<()> {
    for (bytes, what) in
        [(vec![], "nothing"), (vec![0x30, 0x03, 0x02, 0x01, 0x00], "a number"), (vec![0x5a; 300], "dirt")]
    {
        expect_rejected(&*fixture, &request(bytes), what).await?;
    }
    Ok(())
}

async fn a_request_with_bytes_behind_it_is_rejected(fixture: Fixture) -> Result<()> {
    let mut asked = ask(&*fixture)?;
    asked.request.csr.push(0);
    expect_rejected(&*fixture, &asked.request, "a request with a byte too many").await
}

async fn an_unknown_profile_is_rejected(fixture: Fixture) -> Result<()> {
    let mut asked = ask(&*fixture)?;
    asked.request.profile = Some("päron of no CA".to_owned());
    expect_rejected(&*fixture, &asked.request, "an unknown profile").await
}
