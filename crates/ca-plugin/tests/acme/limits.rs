//! The server has had enough for now: it isn't asked again before it wants to be, and only about that.

use std::time::Duration;

use anyhow::{Result, ensure};
use bailey_ca_plugin::acme::AcmeCa;
use bailey_core::ca::{
    CaError, CaErrorKind, CertificateAuthority as _, IssuanceRequest, Pending, Revocation, RevocationReason,
};
use bailey_testkit::pebble::{Gate, Settings, Wrong};
use libtest_mimic::{Failed, Trial};
use tokio::runtime::Handle;

use crate::orders::trial;
use crate::world::{Proof, World, pending, request};

const LIMIT: &str = r#"{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many lately"}"#;
const REASON: &str = "too many lately (rateLimited)";

pub fn trials(runtime: &Handle) -> Vec<Trial> {
    vec![
        trial!(runtime, a_limit_is_respected_for_as_long_as_the_server_says),
        trial!(runtime, a_limit_counts_for_what_met_it_alone),
        trial!(runtime, a_limit_on_accounts_counts_for_every_order),
        trial!(runtime, a_limit_at_any_step_is_waited_for),
        trial!(runtime, a_limit_without_an_end_is_no_more_than_trouble),
        trial!(runtime, a_limit_on_revocation_is_respected),
    ]
}

/// A limit that ends after 77 seconds.
fn limit(gate: &Gate, path: &str, status: u16) {
    gate.wrong(path, Wrong::Forged(status, "Retry-After: 77".into(), LIMIT.into()), 1);
}

async fn begun(ca: &AcmeCa, request: &IssuanceRequest) -> Result<Pending> {
    pending(ca.poll(request, &pending(ca.issue(request).await)?.state).await)
}

fn ensure_limited(pending: &Pending, seconds: u64) -> Result<()> {
    let told = format!("the end of its limit: {REASON}");
    // Nobody says more than the status to a `HEAD`.
    let is_told = pending.waits_for == told || pending.waits_for.ends_with("the server answers 429 Too Many Requests");
    ensure!(is_told, "it waits for {}", pending.waits_for);
    let (most, waits) = (Duration::from_secs(seconds), pending.retry_after);
    ensure!(waits <= most && waits > most - Duration::from_secs(10), "it waits for {waits:?}, not {most:?}");
    Ok(())
}

async fn a_limit_is_respected_for_as_long_as_the_server_says() -> Result<()> {
    let mut world = World::start(Proof::Http, Settings::default()).await?;
    let gate = world.gate()?;
    limit(&gate, "/order-plz", 429);
    let (asked, _) = request(&["a.example.test"])?;
    let ca = world.ca()?;
    let mut limited = begun(&ca, &asked).await?;
    ensure_limited(&limited, 77)?;

    // The same process, one that knows nothing but the state, and all that earlier than they should.
    let seen = gate.seen("/");
    for passed in [0, 30, 60] {
        world.pass(if passed == 0 { 0 } else { 30 });
        for ca in [&ca, &world.ca()?] {
            limited = pending(ca.poll(&asked, &limited.state).await)?;
            ensure_limited(&limited, 77 - passed)?;
        }
    }
    ensure!(gate.seen("/") == seen, "the server was asked before its time");
    world.pass(18);
    world.issued_from(limited.state, &asked).await?;
    ensure!(world.pebble.orders() == 1, "{} orders", world.pebble.orders());
    Ok(())
}

async fn a_limit_counts_for_what_met_it_alone() -> Result<()> {
    let mut world = World::start(Proof::Http, Settings::default()).await?;
    let gate = world.gate()?;
    limit(&gate, "/order-plz", 429);
    let ca = world.ca()?;
    begun(&ca, &request(&["a.example.test"])?.0).await?;
    let seen = gate.seen("/");
    // Another order asks for the very same, by the same process.
    let (same, _) = request(&["a.example.test"])?;
    let limited = begun(&ca, &same).await?;
    ensure_limited(&limited, 77)?;
    ensure!(gate.seen("/") == seen, "the server was asked before its time");
    let others = begun(&ca, &request(&["b.example.test"])?.0).await?;
    ensure!(others.state.0.contains("\"step\":\"prove\"") && world.pebble.orders() == 1, "{}", others.state.0);
    world.pass(78);
    let next = pending(ca.poll(&same, &limited.state).await)?;
    ensure!(next.state.0.contains("\"step\":\"prove\"") && world.pebble.orders() == 2, "{}", next.state.0);
    ensure!(gate.seen("/list-orderz/") == 0, "what was refused was looked for");
    Ok(())
}

async fn a_limit_on_accounts_counts_for_every_order() -> Result<()> {
    let mut world = World::start(Proof::Http, Settings::default()).await?;
    let gate = world.gate()?;
    limit(&gate, "/sign-me-up", 429);
    let ca = world.ca()?;
    for name in ["a.example.test", "b.example.test"] {
        ensure_limited(&begun(&ca, &request(&[name])?.0).await?, 77)?;
    }
    ensure!(gate.seen("/sign-me-up") == 0, "the server was asked before its time");
    world.pass(78);
    begun(&ca, &request(&["c.example.test"])?.0).await?;
    ensure!(world.pebble.accounts() == 1, "{} accounts", world.pebble.accounts());
    Ok(())
}

async fn a_limit_at_any_step_is_waited_for() -> Result<()> {
    for path in ["/dir", "/nonce-plz", "/my-order/", "/authZ/", "/chalZ/", "/finalize-order/", "/certZ/"] {
        let mut world = World::start(Proof::Http, Settings::default()).await?;
        let gate = world.gate()?;
        // What stands before a server says 503 there.
        limit(&gate, path, if path == "/dir" { 503 } else { 429 });
        let (asked, _) = request(&["a.example.test"])?;
        let mut next = pending(world.ca()?.issue(&asked).await)?;
        while !next.waits_for.contains("limit") {
            tokio::time::sleep(next.retry_after.min(Duration::from_secs(1))).await;
            next = pending(world.ca()?.poll(&asked, &next.state).await)?;
        }
        let seen = gate.seen("/");
        next = pending(world.ca()?.poll(&asked, &next.state).await)?;
        ensure_limited(&next, 77)?;
        ensure!(gate.seen("/") == seen, "the server was asked before its time, after a limit at {path}");
        world.pass(78);
        world.issued_from(next.state, &asked).await?;
        ensure!(world.pebble.orders() == 1, "{} orders after a limit at {path}", world.pebble.orders());
    }
    Ok(())
}

async fn a_limit_without_an_end_is_no_more_than_trouble() -> Result<()> {
    let mut world = World::start(Proof::Http, Settings::default()).await?;
    let gate = world.gate()?;
    let (asked, _) = request(&["a.example.test"])?;
    for headers in ["X: y", "Retry-After: 0", "Retry-After: Sun, 22 Nov 2015 12:00:00 GMT"] {
        gate.wrong("/order-plz", Wrong::Forged(429, headers.into(), LIMIT.into()), 1);
        let ca = world.ca()?;
        let error = ca.poll(&asked, &pending(ca.issue(&asked).await)?.state).await.unwrap_err();
        ensure!(error.kind == CaErrorKind::Unavailable && error.context == REASON, "{error}");
        begun(&ca, &asked).await?;
    }
    Ok(())
}

async fn a_limit_on_revocation_is_respected() -> Result<()> {
    let mut world = World::start(Proof::Http, Settings::default()).await?;
    let gate = world.gate()?;
    let certificate = world.issued_for(&request(&["a.example.test"])?.0, 1).await?.certificate;
    let revocation = Revocation { certificate, reason: RevocationReason::Superseded };
    limit(&gate, "/revoke-cert", 429);
    let ca = world.ca()?;
    for _ in 0..2 {
        let CaError { kind, context, retry_after, .. } = ca.revoke(&revocation).await.unwrap_err();
        ensure!(kind == CaErrorKind::Unavailable && context == REASON, "{context}");
        ensure!(retry_after.is_some_and(|wait| wait > Duration::from_secs(67)), "it waits for {retry_after:?}");
    }
    ensure!(gate.seen("/revoke-cert") == 0, "the server was asked before its time");
    world.pass(78);
    Ok(ca.revoke(&revocation).await.map(drop)?)
}
