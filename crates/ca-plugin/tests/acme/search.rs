//! An order was asked for, and whoever did so died before that was kept: it is looked for among all of the account's.

use anyhow::{Result, ensure};
use bailey_core::ca::{CertificateAuthority as _, IssuanceRequest, Pending};
use bailey_testkit::pebble::{Gate, Settings, Wrong};
use libtest_mimic::{Failed, Trial};
use tokio::runtime::Handle;

use crate::orders::trial;
use crate::world::{Proof, World, pending, request};

/// How many orders the account has already.
const OTHERS: usize = 70;
/// Where Pebble lists them.
const LIST: &str = "/list-orderz/";
/// More than one step asks for: orders and pages, and what else a process asks that has just been started.
const MOST_AT_ONCE: usize = 24;

pub fn trials(runtime: &Handle) -> Vec<Trial> {
    vec![
        trial!(runtime, an_order_is_found_among_many_however_often_the_search_is_broken_off),
        trial!(runtime, what_is_not_among_many_is_asked_for_once),
    ]
}

/// An account with many orders, and an order whose beginning is all that was kept of it.
async fn begun(wrong: Wrong) -> Result<(World, Gate, IssuanceRequest, Pending)> {
    let settings = Settings { bad_nonces: 0, orders_per_page: 7, ..Settings::default() };
    let mut world = World::start(Proof::Http, settings).await?;
    let gate = world.gate()?;
    let ca = world.ca()?;
    for number in 0..OTHERS {
        let (other, _) = request(&[&format!("other-{number}.example.test")])?;
        ca.poll(&other, &pending(ca.issue(&other).await)?.state).await?;
    }
    ensure!(world.pebble.orders() == OTHERS as u64, "{} orders", world.pebble.orders());
    let (asked, _) = request(&["lost.example.test"])?;
    let beginning = pending(ca.issue(&asked).await)?;
    gate.wrong("/order-plz", wrong, 1);
    ensure!(ca.poll(&asked, &beginning.state).await.is_err(), "nothing went wrong");
    Ok((world, gate, asked, beginning))
}

async fn an_order_is_found_among_many_however_often_the_search_is_broken_off() -> Result<()> {
    let (world, gate, asked, mut next) = begun(Wrong::Answer).await?;
    let mut steps = 0;
    while next.state.0.contains("\"step\":\"order\"") {
        ensure!(steps < 10, "the search begins again and again: {}", next.state.0);
        let seen = gate.seen("/");
        // Each step by another process.
        next = pending(world.ca()?.poll(&asked, &next.state).await)?;
        let asked_for = gate.seen("/") - seen;
        ensure!(asked_for <= MOST_AT_ONCE, "{asked_for} requests in one step");
        steps += 1;
    }
    ensure!(steps > 3, "all at once: {steps} steps");
    // A page is read again where a step ended in its midst.
    let pages = OTHERS / 7 + 1;
    ensure!((pages..pages + steps).contains(&gate.seen(LIST)), "{} looks at {pages} pages", gate.seen(LIST));
    // Each order once, and the one that was found when it is gone on with.
    ensure!(gate.seen("/my-order/") <= OTHERS + 2, "{} looks at orders", gate.seen("/my-order/"));
    world.issued_from(next.state, &asked).await?;
    ensure!(world.pebble.orders() == OTHERS as u64 + 1, "another order was asked for");
    Ok(())
}

async fn what_is_not_among_many_is_asked_for_once() -> Result<()> {
    let (world, gate, asked, mut next) = begun(Wrong::Request).await?;
    let ca = world.ca()?;
    while next.state.0.contains("\"step\":\"order\"") {
        // The list was looked through: what is kept before it is asked for is a beginning, so whoever died then looks
        // at all of it.
        if gate.seen("/my-order/") == OTHERS {
            ensure!(!next.state.0.contains("search"), "{}", next.state.0);
            ensure!(gate.seen("/order-plz") == OTHERS, "it was asked for already");
        }
        next = pending(ca.poll(&asked, &next.state).await)?;
    }
    ensure!(gate.seen("/my-order/") == OTHERS, "{} looks at orders", gate.seen("/my-order/"));
    world.issued_from(next.state, &asked).await?;
    ensure!(world.pebble.orders() == OTHERS as u64 + 1, "{} orders", world.pebble.orders());
    Ok(())
}
