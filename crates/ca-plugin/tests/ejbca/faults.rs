//! Whatever goes wrong at whichever request: one certificate for one order, counted where it is signed.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use bailey_core::ca::{CaErrorKind, Issuance};
use bailey_testkit::conformance::certificate_authority::CaFixture as _;
use bailey_testkit::ejbca::{Fault, Operation};
use libtest_mimic::Trial;
use tokio::runtime::Handle;

use crate::EjbcaFixture;
use crate::steps::{End, Order};

/// Longer than the plugin waits in these tests, and shorter than it takes an enrolment to be done with.
const SLOW: Duration = Duration::from_millis(700);
const TIMEOUT: f64 = 0.35;

/// What may go wrong with any request.
const FAULTS: [(&str, Fault); 9] = [
    ("cut_before", Fault::CutBefore),
    ("cut_after", Fault::CutAfter),
    ("cut_within", Fault::CutWithin),
    ("slow", Fault::Late(SLOW)),
    ("gateway", Fault::Gateway(502)),
    ("gateway_after", Fault::GatewayAfter(504)),
    ("off_line", Fault::Refused(503)),
    ("general_failure", Fault::Refused(500)),
    ("garbage", Fault::Garbage),
];

/// The requests of an enrolment: without approval, with it, and with it where EJBCA's number of it was lost.
const REQUESTS: [(&str, Operation, bool); 7] = [
    ("search", Operation::Search, false),
    ("enrol", Operation::Enrol, false),
    ("authorities", Operation::Authorities, false),
    ("chain", Operation::Chain, false),
    ("enrol_for_approval", Operation::Enrol, true),
    ("finalize", Operation::Finalize, true),
    ("request", Operation::Request, true),
];

pub(crate) fn trials(handle: &Handle) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (request, operation, needs_approval) in REQUESTS {
        for (name, fault) in FAULTS {
            let faults = [fault];
            trials.push(trial(handle, format!("faults::{request}::{name}"), move || {
                one_certificate(operation, needs_approval, faults.to_vec(), false)
            }));
        }
        trials.push(trial(handle, format!("faults::{request}::twice_slow_then_cut"), move || {
            let faults = vec![Fault::Late(SLOW), Fault::Late(SLOW), Fault::CutAfter];
            one_certificate(operation, needs_approval, faults, false)
        }));
        for (name, fault) in [("before", Fault::Late(SLOW)), ("after", Fault::CutAfter)] {
            trials.push(trial(handle, format!("faults::{request}::killed_{name}"), move || {
                one_certificate(operation, needs_approval, vec![fault], true)
            }));
        }
    }
    trials.push(trial(handle, "faults::another_keys_certificate_is_not_taken".to_owned(), another_keys));
    trials.push(trial(handle, "faults::nobody_listens".to_owned(), nobody_listens));
    trials.push(trial(handle, "faults::given_up_and_polled_at_once".to_owned(), given_up));
    trials
}

pub(crate) fn trial<F>(handle: &Handle, name: String, test: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = Result<()>> + Send,
{
    let handle = handle.clone();
    Trial::test(name, move || handle.block_on(test()).map_err(|error| format!("{error:?}").into()))
}

/// Has requests for an operation go wrong, one after the other, and perhaps the worker killed at each step that lasts.
async fn one_certificate(
    operation: Operation,
    needs_approval: bool,
    faults: Vec<Fault>,
    is_killed: bool,
) -> Result<()> {
    let fixture = EjbcaFixture::new(needs_approval).await?;
    // A worker that is killed doesn't live to see a time-out.
    let timeout_seconds = if is_killed { 5.0 } else { TIMEOUT };
    let config = bailey_ca_plugin::ejbca::Config { timeout_seconds, ..fixture.config() };
    if operation == Operation::Request {
        fixture.stand_in.fail(Operation::Enrol, Fault::CutAfter);
    }
    let times = faults.len();
    for fault in faults {
        fixture.stand_in.fail(operation, fault);
    }
    let mut order = Order::new(&fixture)?;
    let end = order.work(&fixture, &config, |_| is_killed).await?;
    ensure!(matches!(end, End::Issued(_)), "{end:?} after {:?}", order.reasons);
    let asked = fixture.stand_in.asked(operation);
    ensure!(asked > times || operation == Operation::Enrol, "it was asked {asked} times: nothing went wrong");
    // What is late is done later still.
    tokio::time::sleep(SLOW).await;
    let issued = fixture.stand_in.issued();
    ensure!(issued == 1, "{issued} certificates for one order: {:?}", order.reasons);
    Ok(())
}

async fn another_keys() -> Result<()> {
    let fixture = EjbcaFixture::new(false).await?;
    fixture.stand_in.fail(Operation::Enrol, Fault::OtherKey);
    let mut order = Order::new(&fixture)?;
    let end = order.work(&fixture, &fixture.config(), |_| false).await?;
    ensure!(matches!(end, End::Failed(CaErrorKind::Corrupt)), "{end:?}");
    ensure!(fixture.stand_in.asked(Operation::Enrol) == 1, "it enrols once more");
    Ok(())
}

/// As by a deadline in the same process, which the plugin doesn't know of.
async fn given_up() -> Result<()> {
    let fixture = EjbcaFixture::new(false).await?;
    let (ca, order) = (fixture.instance().await?, Order::new(&fixture)?);
    fixture.stand_in.fail(Operation::Enrol, Fault::Late(SLOW));
    let mut outcome = ca.issue(&order.request).await?;
    let Issuance::Pending(begun) = &outcome else { bail!("{outcome:?} at once") };
    let polled = tokio::time::timeout(SLOW / 2, ca.poll(&order.request, &begun.state)).await;
    ensure!(polled.is_err(), "{polled:?} in time");
    while let Issuance::Pending(pending) = &outcome {
        tokio::time::sleep(pending.retry_after).await;
        outcome = ca.poll(&order.request, &pending.state).await?;
    }
    tokio::time::sleep(SLOW).await;
    ensure!(matches!(outcome, Issuance::Issued(_)) && fixture.issued().await? == 1, "{outcome:?}");
    ensure!(fixture.stand_in.asked(Operation::Enrol) == 1, "it enrols twice");
    Ok(())
}

async fn nobody_listens() -> Result<()> {
    let fixture = EjbcaFixture::new(false).await?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let url = format!("https://localhost:{port}/ejbca/ejbca-rest-api");
    let away = bailey_ca_plugin::ejbca::Config { url, ..fixture.config() };
    let mut order = Order::new(&fixture)?;
    ensure!(order.work(&fixture, &away, |_| false).await.is_err(), "an order ends although nobody listens");
    ensure!(order.states.is_empty(), "it was begun: {:?}", order.states);
    // It is back.
    let end = order.work(&fixture, &fixture.config(), |_| false).await?;
    ensure!(matches!(end, End::Issued(_)) && fixture.issued().await? == 1, "{end:?}");
    Ok(())
}
