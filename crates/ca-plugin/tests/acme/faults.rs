//! The server is down, slow, full or odd, and whoever asks dies at each step: one order, one certificate.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bailey_core::ca::{CaError, CaErrorKind, CertificateAuthority as _, Issuance, IssuanceState};
use bailey_testkit::pebble::{Settings, Wrong};
use libtest_mimic::{Failed, Trial};
use tokio::runtime::Handle;

use crate::orders::trial;
use crate::world::{Proof, World, request};

/// What a request for one certificate asks for, as Pebble calls it.
const PATHS: [&str; 9] = [
    "/dir",
    "/nonce-plz",
    "/sign-me-up",
    "/order-plz",
    "/my-order/",
    "/authZ/",
    "/chalZ/",
    "/finalize-order/",
    "/certZ/",
];

pub fn trials(runtime: &Handle) -> Vec<Trial> {
    vec![
        trial!(runtime, lost_answers_make_no_second_order),
        trial!(runtime, lost_requests_make_no_second_order),
        trial!(runtime, every_step_taken_again_makes_no_second_order),
        trial!(runtime, every_step_is_named_before_it_is_taken),
        trial!(runtime, odd_answers_are_waited_out),
        trial!(runtime, a_slow_server_is_given_up_in_time),
        trial!(runtime, a_server_that_is_down_is_waited_for),
        trial!(runtime, an_account_that_the_server_forgot_is_opened_anew),
        trial!(runtime, keys_stay_out_of_states_and_errors),
    ]
}

fn once(world: &World) -> Result<()> {
    let (orders, issued, accounts) = (world.pebble.orders(), world.pebble.issued(), world.pebble.accounts());
    ensure!((orders, issued, accounts) == (1, 1, 1), "{orders} orders, {issued} certificates, {accounts} accounts");
    Ok(())
}

async fn lost_answers_make_no_second_order() -> Result<()> {
    // What is asked again for its nonce would be counted, too.
    let mut world = World::start(Proof::Http, Settings { bad_nonces: 0, ..Settings::default() }).await?;
    let gate = world.gate()?;
    for path in PATHS {
        gate.wrong(path, Wrong::Answer, 2);
    }
    world.issued_for(&request(&["a.example.test"])?.0, 1).await?;
    for path in ["/order-plz", "/chalZ/", "/finalize-order/"] {
        ensure!(gate.seen(path) == 1, "{path} was asked {} times", gate.seen(path));
    }
    for path in ["/dir", "/nonce-plz", "/sign-me-up", "/my-order/", "/authZ/", "/certZ/"] {
        ensure!(gate.seen(path) > 2, "{path} was asked {} times", gate.seen(path));
    }
    once(&world)
}

async fn lost_requests_make_no_second_order() -> Result<()> {
    let mut world = World::start(Proof::Http, Settings::default()).await?;
    let gate = world.gate()?;
    for path in PATHS {
        gate.wrong(path, Wrong::Request, 2);
    }
    world.issued_for(&request(&["a.example.test"])?.0, 1).await?;
    once(&world)
}

async fn every_step_taken_again_makes_no_second_order() -> Result<()> {
    for proof in [Proof::Http, Proof::Webhook, Proof::Rfc2136] {
        let world = World::start(proof, Settings { bad_nonces: 40, ..Settings::default() }).await?;
        world.issued_for(&request(&["a.example.test", "b.example.test"])?.0, 3).await?;
        once(&world)?;
    }
    Ok(())
}

async fn every_step_is_named_before_it_is_taken() -> Result<()> {
    let mut world = World::start(Proof::Http, Settings::default()).await?;
    let gate = world.gate()?;
    let (request, _) = request(&["a.example.test"])?;
    let mut state: Option<IssuanceState> = None;
    // What arrives at the server only after the state that names it was kept.
    for (step, path) in [
        ("order", "/order-plz"),
        ("prove", "/authZ/"),
        ("announce", "/chalZ/"),
        ("validate", "/finalize-order/"),
        ("finalize", "/finalize-order/"),
        ("collect", "/certZ/"),
    ] {
        while !state.as_ref().is_some_and(|state| state.0.contains(&format!("\"step\":\"{step}\""))) {
            ensure!(gate.seen(path) == 0, "{path} was asked before the step {step} was kept");
            let ca = world.ca()?;
            let issuance = match &state {
                None => ca.issue(&request).await?,
                Some(state) => ca.poll(&request, state).await?,
            };
            let Issuance::Pending(pending) = issuance else { anyhow::bail!("{issuance:?} before the step {step}") };
            tokio::time::sleep(pending.retry_after.min(Duration::from_secs(1))).await;
            state = Some(pending.state);
        }
    }
    Ok(())
}

async fn failure(world: &World, names: &[&str]) -> Result<CaError> {
    let (request, _) = request(names)?;
    let mut state: Option<IssuanceState> = None;
    loop {
        let outcome = match &state {
            None => world.ca()?.issue(&request).await,
            Some(state) => world.ca()?.poll(&request, state).await,
        };
        match outcome {
            Err(error) => return Ok(error),
            Ok(Issuance::Pending(pending)) => {
                tokio::time::sleep(pending.retry_after.min(Duration::from_secs(1))).await;
                state = Some(pending.state);
            }
            Ok(end) => anyhow::bail!("{end:?} instead of an error"),
        }
    }
}

async fn odd_answers_are_waited_out() -> Result<()> {
    let mut world = World::start(Proof::Http, Settings::default()).await?;
    let gate = world.gate()?;
    for path in PATHS.into_iter().filter(|path| *path != "/nonce-plz") {
        gate.wrong(path, Wrong::Forged(200, "X: y".into(), "<html>dirt</html>".into()), 1);
        gate.wrong(path, Wrong::Forged(503, "Retry-After: 1".into(), "<html>maintenance</html>".into()), 1);
        gate.wrong(path, Wrong::Forged(500, "X: y".into(), "{}".into()), 1);
    }
    world.issued_for(&request(&["a.example.test"])?.0, 1).await?;
    once(&world)
}

async fn a_slow_server_is_given_up_in_time() -> Result<()> {
    let mut world = World::start(Proof::Http, Settings::default()).await?;
    let gate = world.gate()?;
    world.config.timeout_seconds = 0.5;
    gate.wrong("/order-plz", Wrong::Slow(Duration::from_secs(2)), 1);
    let begun = Instant::now();
    let error = failure(&world, &["a.example.test"]).await?;
    ensure!(error.kind == CaErrorKind::Unavailable && error.context.contains("timed out"), "{error}");
    ensure!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
    Ok(())
}

async fn a_server_that_is_down_is_waited_for() -> Result<()> {
    let world = World::start(Proof::Http, Settings::default()).await?;
    let pebble = std::sync::Arc::clone(&world.pebble);
    tokio::task::block_in_place(|| pebble.stop())?;
    let error = world.ca()?.health().await.unwrap_err();
    ensure!(error.kind == CaErrorKind::Unavailable, "{error}");
    let error = failure(&world, &["a.example.test"]).await?;
    ensure!(error.kind == CaErrorKind::Unavailable, "{error}");
    tokio::task::block_in_place(|| pebble.restart())?;
    world.ca()?.health().await?;
    world.issued_for(&request(&["a.example.test"])?.0, 1).await?;
    Ok(())
}

async fn an_account_that_the_server_forgot_is_opened_anew() -> Result<()> {
    let world = World::start(Proof::Http, Settings::default()).await?;
    let ca = world.ca()?;
    let (first, _) = request(&["a.example.test"])?;
    let Issuance::Pending(pending) = ca.issue(&first).await? else { anyhow::bail!("no first step") };
    ca.poll(&first, &pending.state).await?;
    let pebble = std::sync::Arc::clone(&world.pebble);
    tokio::task::block_in_place(|| pebble.restart())?;
    let (second, _) = request(&["b.example.test"])?;
    let Issuance::Pending(pending) = ca.issue(&second).await? else { anyhow::bail!("no first step") };
    let error = ca.poll(&second, &pending.state).await.unwrap_err();
    ensure!(error.kind == CaErrorKind::Unavailable && error.context.contains("accountDoesNotExist"), "{error}");
    ca.poll(&second, &pending.state).await?;
    ensure!(world.pebble.accounts() == 1 && world.keys.names() == ["acme-account"], "{:?}", world.keys.names());
    Ok(())
}

async fn keys_stay_out_of_states_and_errors() -> Result<()> {
    let mut world = World::start(Proof::Http, Settings::default()).await?;
    let gate = world.gate()?;
    let (request, key) = request(&["a.example.test"])?;
    let (_, states) = world.follow(&request, 1).await?;
    let mut told = states.concat();
    for path in PATHS {
        gate.wrong(path, Wrong::Forged(500, "X: y".into(), "{}".into()), 1);
        let error = failure(&world, &["b.example.test"]).await?;
        told.push_str(&format!("{error} {error:?}"));
    }
    let mut canaries = world.keys.canaries();
    canaries.push(key.serialize_der());
    ensure!(canaries.len() == 2 && told.len() > 500, "there is nothing to search: {told}");
    let planted = format!("{told}{}", hex(&canaries[0]));
    ensure!(is_told(&planted, &canaries[0]), "what is planted isn't found");
    ensure!(!canaries.iter().any(|canary| is_told(&told, canary)), "a key is told: {told}");
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether twelve bytes in a row of a key are readable in a text, in hex or in base64 of either alphabet.
fn is_told(text: &str, key: &[u8]) -> bool {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    // What stands before the key's own number is the same in every key of this sort.
    key[36..68].windows(12).any(|part| {
        let encoded = [hex(part), STANDARD_NO_PAD.encode(part), URL_SAFE_NO_PAD.encode(part)];
        encoded.iter().any(|encoded| text.contains(encoded))
    })
}
