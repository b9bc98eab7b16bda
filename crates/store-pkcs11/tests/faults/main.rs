//! Every function of PKCS#11 that the backend uses goes wrong in every way: no answer is wrong, none is late, and
//! when the fault is over the backend works again by itself.

#[allow(dead_code, reason = "other programs use the rest")]
#[path = "../fixture/mod.rs"]
mod fixture;

mod case;
mod stories;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bailey_store_pkcs11::Isolation;
use bailey_testkit::faulty::Fault;
use bailey_testkit::process;
use bailey_testkit::softhsm::SoftHsm;
use libtest_mimic::{Arguments, Failed, Trial};

use case::{Case, Made, Outcome};

/// How long what happens on another thread may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is called whenever a token is opened or used.
const FUNCTIONS: [&str; 23] = [
    "C_CloseSession",
    "C_Decrypt",
    "C_DecryptInit",
    "C_DestroyObject",
    "C_Encrypt",
    "C_EncryptInit",
    "C_FindObjects",
    "C_FindObjectsFinal",
    "C_FindObjectsInit",
    "C_GenerateKey",
    "C_GenerateRandom",
    "C_GetAttributeValue",
    "C_GetMechanismInfo",
    "C_GetSlotList",
    "C_GetTokenInfo",
    "C_Login",
    "C_OpenSession",
    "C_Sign",
    "C_SignInit",
    "C_UnwrapKey",
    "C_Verify",
    "C_VerifyInit",
    "C_WrapKey",
];

/// How a function goes wrong, how often, and what may come of it.
struct Way {
    name: &'static str,
    fault: Fault,
    times: u64,
    outcome: Outcome,
}

const ALWAYS: u64 = u64::MAX;

const fn way(name: &'static str, fault: Fault, times: u64, outcome: Outcome) -> Way {
    Way { name, fault, times, outcome }
}

/// Codes are those of PKCS#11 3.1, section 5.1.
const WAYS: [Way; 14] = [
    way("hangs", Fault::Hang, ALWAYS, Outcome::RightOrUnavailable),
    way("is_slow", Fault::Slow(Duration::from_millis(10)), ALWAYS, Outcome::Right),
    way("general_error", Fault::Code(0x05), ALWAYS, Outcome::RightOrUnavailable),
    way("device_error", Fault::Code(0x30), ALWAYS, Outcome::RightOrUnavailable),
    way("device_error_once", Fault::Code(0x30), 1, Outcome::RightOrUnavailable),
    way("device_error_after_the_deed", Fault::CodeAfter(0x30), ALWAYS, Outcome::RightOrUnavailable),
    way("device_removed", Fault::Code(0x32), ALWAYS, Outcome::RightOrUnavailable),
    way("device_removed_once", Fault::Code(0x32), 1, Outcome::RightOrUnavailable),
    way("handle_invalid", Fault::Code(0x82), ALWAYS, Outcome::RightOrUnavailable),
    way("session_invalid", Fault::Code(0xB3), ALWAYS, Outcome::RightOrUnavailable),
    way("not_initialized", Fault::Code(0x190), ALWAYS, Outcome::RightOrUnavailable),
    way("loses_sessions", Fault::LoseSessions, ALWAYS, Outcome::RightOrUnavailable),
    way("loses_sessions_once", Fault::LoseSessions, 1, Outcome::Right),
    way("changes_what_it_returns", Fault::Corrupt, ALWAYS, Outcome::RightOrCorrupt),
];

/// What is called when a token's library is initialised anew.
const REBUILDING: [&str; 2] = ["C_Finalize", "C_Initialize"];

/// What is tried when the library is in a process of its own: one function of each kind, and the ways that end the
/// process beside the others.
const IN_PROCESS: [&str; 5] = ["C_Decrypt", "C_FindObjects", "C_Login", "C_OpenSession", "C_WrapKey"];
const CRASHES: [Way; 2] = [
    way("crashes", Fault::Crash, ALWAYS, Outcome::RightOrUnavailable),
    way("crashes_once", Fault::Crash, 1, Outcome::RightOrUnavailable),
];

/// The function goes wrong for a backend that was in use, and for one that opens the token meanwhile.
async fn goes_wrong(softhsm: &SoftHsm, function: &str, way: &Way, isolation: Isolation) -> Result<()> {
    let case = Case::new(softhsm, way.outcome, isolation).await?;
    let (warm, cold, closed) = (case.backend(), case.backend(), case.backend());
    let mut made = Made::default();
    case.works(&*closed, &made).await.context("before anything went wrong")?;
    case.works(&*warm, &made).await.context("before anything went wrong")?;
    case.faulty.set_times(function, way.fault, way.times);
    drop(closed);
    case.ask(&*warm, &mut made).await.context("warm")?;
    case.ask(&*cold, &mut made).await.context("cold")?;
    process::until(PATIENCE, || {
        ensure!(case.faulty.struck(function) > 0, "{function} was never called");
        Ok(())
    })?;
    case.faulty.lift_all();
    case.recovers(&*warm, &made).await.context("warm")?;
    case.recovers(&*cold, &made).await.context("cold")
}

/// The function goes wrong while a token comes back that was taken away.
async fn comes_back(softhsm: &SoftHsm, function: &str, way: &Way) -> Result<()> {
    let case = Case::new(softhsm, Outcome::RightOrUnavailable, Isolation::Thread).await?;
    let backend = case.backend();
    let mut made = Made::default();
    case.works(&*backend, &made).await.context("before anything went wrong")?;
    case.faulty.set_times(function, way.fault, way.times);
    softhsm.remove(softhsm.token_label())?;
    case.ask(&*backend, &mut made).await.context("without a token")?;
    ensure!(case.faulty.struck(function) > 0, "{function} was never called");
    softhsm.put_back(softhsm.token_label())?;
    case.ask(&*backend, &mut made).await.context("with the token")?;
    case.faulty.lift_all();
    case.recovers(&*backend, &made).await
}

/// Does one case, in this process.
async fn run(softhsm: &SoftHsm, name: &str) -> Result<()> {
    let parts: Vec<_> = name.split("::").collect();
    let find = |name: &str| WAYS.iter().chain(&CRASHES).find(|way| way.name == name).context("no such way");
    match parts.as_slice() {
        ["story", story] => stories::run(softhsm, story).await,
        ["process", function, way] => goes_wrong(softhsm, function, find(way)?, Isolation::Process).await,
        [function, way] if REBUILDING.contains(function) => comes_back(softhsm, function, find(way)?).await,
        [function, way] => goes_wrong(softhsm, function, find(way)?, Isolation::Thread).await,
        _ => anyhow::bail!("no such case"),
    }
}

fn names() -> Vec<String> {
    let table = |functions: &[&str], ways: &[Way], prefix: &str| {
        let pairs = functions.iter().flat_map(|function| ways.iter().map(move |way| (function, way.name)));
        pairs.map(|(function, way)| format!("{prefix}{function}::{way}")).collect::<Vec<_>>()
    };
    [
        table(&FUNCTIONS, &WAYS, ""),
        table(&REBUILDING, &WAYS, ""),
        table(&IN_PROCESS, &WAYS, "process::"),
        table(&IN_PROCESS, &CRASHES, "process::"),
        stories::NAMES.map(|story| format!("story::{story}")).to_vec(),
    ]
    .concat()
}

/// A case in a process and with tokens of its own: a library's state is its process's.
fn trial(name: String) -> Trial {
    let run = move |name: &str| -> Result<()> {
        let softhsm = SoftHsm::start()?;
        process::run(process::this_program(softhsm.environment())?.arg(name)).map(drop)
    };
    Trial::test(name.clone(), move || run(&name).map_err(|error| Failed::from(format!("{error:#}"))))
}

fn main() -> Result<ExitCode> {
    let first = std::env::args().nth(1);
    if first.as_deref() == Some(bailey_store_pkcs11::CHILD) {
        process::leave(bailey_store_pkcs11::serve().is_err().into());
    }
    if let Some(softhsm) = SoftHsm::inherited() {
        let runtime = tokio::runtime::Runtime::new()?;
        let outcome = runtime.block_on(run(&softhsm, &first.context("no case")?));
        if let Err(error) = &outcome {
            eprintln!("{error:#}");
        }
        process::leave(outcome.is_err().into());
    }
    let mut arguments = Arguments::from_args();
    // Most of the time they wait for a deadline.
    arguments.test_threads.get_or_insert(8);
    Ok(libtest_mimic::run(&arguments, names().into_iter().map(trial).collect()).exit_code())
}
