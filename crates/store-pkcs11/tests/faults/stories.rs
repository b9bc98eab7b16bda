//! What happens to tokens in machine rooms.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bailey_core::store::{StoreError, StoreErrorKind};
use bailey_store_pkcs11::{Isolation, Pin};
use bailey_testkit::faulty::{Fault, Faulty};
use bailey_testkit::softhsm::{self, SoftHsm};

use crate::case::{Case, Made, Outcome};

pub const NAMES: [&str; 6] = [
    "a_token_is_taken_away_beside_another_one",
    "a_changed_pin_is_presented_once",
    "callers_share_the_sessions_that_there_are",
    "calls_that_never_return_are_bounded",
    "a_process_is_replaced_without_a_restart",
    "a_hanging_library_delays_no_other",
];

/// Nothing was asked of the token.
const AT_ONCE: Duration = Duration::from_millis(100);

pub async fn run(softhsm: &SoftHsm, name: &str) -> Result<()> {
    match name {
        "a_token_is_taken_away_beside_another_one" => taken_away(softhsm).await,
        "a_changed_pin_is_presented_once" => changed_pin(softhsm).await,
        "callers_share_the_sessions_that_there_are" => few_sessions(softhsm).await,
        "calls_that_never_return_are_bounded" => bounded(softhsm).await,
        "a_process_is_replaced_without_a_restart" => replaced(softhsm).await,
        "a_hanging_library_delays_no_other" => beside_another(softhsm).await,
        _ => bail!("no such story"),
    }
}

/// That it is unavailable, and what it says.
fn unavailable(result: Result<(), StoreError>) -> Result<String> {
    match result {
        Err(error) if matches!(error.kind, StoreErrorKind::Unavailable | StoreErrorKind::Stuck) => {
            Ok(error.to_string())
        }
        other => bail!("{other:?} instead of unavailable"),
    }
}

/// Both are in the same library: the other one is asked all the while, and never answers anything but right.
async fn taken_away(softhsm: &SoftHsm) -> Result<()> {
    softhsm.add_token("second")?;
    let case = Case::new(softhsm, Outcome::RightOrUnavailable, Isolation::Thread).await?;
    let beside = Faulty::before(softhsm.module())?;
    let beside = Case::on(softhsm, "second", beside, Outcome::Right, Isolation::Thread).await?;
    let (backend, second) = (case.backend(), beside.backend_with(|config| config.module = case.faulty.module()));
    let mut made = Made::default();
    case.works(&*backend, &made).await?;
    beside.works(&*second, &made).await?;

    softhsm.remove(softhsm::LABEL)?;
    for _ in 0..5 {
        let begun_at = Instant::now();
        case.ask(&*backend, &mut made).await.context("without the token")?;
        unavailable(backend.health().await)?;
        ensure!(begun_at.elapsed() < Duration::from_secs(5), "it takes long to find that it isn't there");
        beside.read(&*second).await.context("the token beside it")?;
    }
    softhsm.put_back(softhsm::LABEL)?;
    case.recovers(&*backend, &made).await?;
    beside.read(&*second).await.context("the token beside it")
}

/// A wrong PIN, presented a few times, locks a token.
async fn changed_pin(softhsm: &SoftHsm) -> Result<()> {
    let case = Case::new(softhsm, Outcome::RightOrUnavailable, Isolation::Thread).await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("pin");
    std::fs::write(&file, softhsm::PIN)?;
    let backend = case.backend_with(|config| config.pin = Pin::new(format!("file:{}", file.display())));
    let mut made = Made::default();
    case.works(&*backend, &made).await?;

    softhsm.change_pin(softhsm::LABEL, softhsm::PIN, "another-canary")?;
    softhsm.remove(softhsm::LABEL)?;
    unavailable(backend.health().await)?;
    softhsm.put_back(softhsm::LABEL)?;
    let before = case.faulty.calls("C_Login");
    let deadline = Instant::now() + Duration::from_secs(10);
    while case.faulty.calls("C_Login") == before && Instant::now() < deadline {
        unavailable(backend.health().await)?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for _ in 0..10 {
        let told = unavailable(backend.health().await)?;
        ensure!(told.contains("refused this PIN"), "{told}");
        case.ask(&*backend, &mut made).await?;
    }
    let presented = case.faulty.calls("C_Login") - before;
    ensure!(presented == 1, "the wrong PIN was presented {presented} times");

    std::fs::write(&file, "another-canary")?;
    case.recovers(&*backend, &made).await
}

/// The token has one session for the login and one to work with: callers wait for it, and all are answered.
async fn few_sessions(softhsm: &SoftHsm) -> Result<()> {
    let case = Case::new(softhsm, Outcome::RightOrUnavailable, Isolation::Thread).await?;
    let session_count = 0xB1;
    let backend = case.backend_with(|config| config.sessions = 8);
    case.read(&*backend).await?;
    case.faulty.set("C_OpenSession", Fault::Code(session_count));
    case.faulty.set("C_Decrypt", Fault::Slow(Duration::from_millis(10)));
    let reads = (0..16).map(|_| case.read(&*backend));
    futures_util::future::try_join_all(reads).await?;
    ensure!(case.faulty.struck("C_OpenSession") > 0, "nobody asked for another session");
    let told = unavailable(case.read(&*case.backend()).await)?;
    ensure!(told.contains("SessionCount"), "{told}");
    case.faulty.lift_all();
    case.works(&*backend, &Made::default()).await
}

/// So many are risked, then nothing is asked, and once they return everything is as before.
async fn bounded(softhsm: &SoftHsm) -> Result<()> {
    let case = Case::new(softhsm, Outcome::RightOrUnavailable, Isolation::Thread).await?;
    let backend = case.backend_with(|config| {
        config.lost_calls = 3;
        config.deadline_seconds = 0.3;
    });
    case.read(&*backend).await?;
    case.faulty.set("C_DecryptInit", Fault::Hang);
    let deadline = Instant::now() + Duration::from_secs(10);
    let told = loop {
        let told = unavailable(case.read(&*backend).await)?;
        if told.contains("never returned") {
            break told;
        }
        ensure!(Instant::now() < deadline, "it goes on risking calls: {told}");
    };
    ensure!(told.contains("restart bailey") && told.contains("isolation"), "{told}");
    // Those that were under way when the bound was reached hang, too.
    let inside = case.faulty.inside("C_DecryptInit");
    ensure!((3..=4).contains(&inside), "{inside} calls hang");
    let begun_at = Instant::now();
    unavailable(case.read(&*backend).await)?;
    unavailable(backend.health().await)?;
    ensure!(begun_at.elapsed() < AT_ONCE, "refusing took {:?}", begun_at.elapsed());
    ensure!(case.faulty.inside("C_DecryptInit") == inside, "more was risked");
    case.faulty.lift_all();
    case.recovers(&*backend, &Made::default()).await
}

/// Calls hang for good, in a process of their own: it is killed, and the next one works.
async fn replaced(softhsm: &SoftHsm) -> Result<()> {
    let case = Case::new(softhsm, Outcome::RightOrUnavailable, Isolation::Process).await?;
    let backend = case.backend_with(|config| config.lost_calls = 1);
    case.works(&*backend, &Made::default()).await?;
    for _ in 0..3 {
        case.faulty.set_times("C_Decrypt", Fault::Hang, 2);
        let told = unavailable(case.read(&*backend).await)?;
        ensure!(told.contains("no answer within"), "{told}");
        case.faulty.set_times("C_Decrypt", Fault::Hang, 0);
        case.recovers(&*backend, &Made::default()).await?;
    }
    Ok(())
}

/// Two libraries in one process, one of which hangs in every function.
async fn beside_another(softhsm: &SoftHsm) -> Result<()> {
    softhsm.add_token("second")?;
    let case = Case::new(softhsm, Outcome::RightOrUnavailable, Isolation::Thread).await?;
    let beside = Faulty::before(softhsm.module())?;
    let beside = Case::on(softhsm, "second", beside, Outcome::Right, Isolation::Thread).await?;
    let (hanging, working) = (case.backend(), beside.backend());
    case.works(&*hanging, &Made::default()).await?;
    for function in bailey_testkit::faulty::FUNCTIONS {
        case.faulty.set(function, Fault::Hang);
    }
    let calls = (0..6).map(|_| hanging.health());
    let (answers, times) = tokio::join!(futures_util::future::join_all(calls), async {
        let mut times = Vec::new();
        for _ in 0..50 {
            let begun_at = Instant::now();
            beside.works(&*working, &Made::default()).await?;
            times.push(begun_at.elapsed());
        }
        anyhow::Ok(times)
    });
    for answer in answers {
        unavailable(answer)?;
    }
    let longest = times?.into_iter().max().unwrap_or_default();
    ensure!(longest < Duration::from_millis(500), "the library beside it took {longest:?}");
    case.faulty.lift_all();
    case.recovers(&*hanging, &Made::default()).await
}
