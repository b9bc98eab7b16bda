//! Every operation that the store asks of a server goes wrong in every way: no payload is another one, nothing is
//! late, memory is bounded, and when the fault is over the store works again by itself.

#[allow(dead_code, reason = "other programs use the rest")]
#[path = "../fixture/mod.rs"]
mod fixture;

mod case;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bailey_testkit::hostile_kmip::Fault;
use bailey_testkit::pykmip::PyKmip;
use libtest_mimic::{Arguments, Failed, Trial};
use nix::sys::resource::{Resource, setrlimit};

use case::{Case, Outcome};

/// What is asked whenever a store is opened and used, and which ways of it are worth their time.
const OPERATIONS: [(&str, Worth); 9] = [
    ("Get", Worth::All),
    ("Register", Worth::All),
    ("GetAttributes", Worth::Content),
    ("Locate", Worth::Content),
    ("Query", Worth::Content),
    ("DiscoverVersions", Worth::Content),
    ("Create", Worth::Some),
    ("CreateKeyPair", Worth::Some),
    ("Destroy", Worth::Some),
];

/// All operations share one connection and one reader of TTLV: one that is repeated and one that isn't have to do with
/// everything that happens on the way. Each that reads something of its own has to do with everything in the answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Worth {
    All,
    Content,
    Some,
}

/// How the answers to an operation go wrong, how often, and what may come of it.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    fault: Fault,
    times: u64,
    outcome: Outcome,
    /// Whether every operation goes wrong in this way.
    is_common: bool,
}

const ALWAYS: u64 = u64::MAX;
/// So late that nobody waits for it.
const TOO_LATE: Duration = Duration::from_millis(3_500);

/// A store may notice it by the time it takes, or by how the connection ends.
const fn on_the_way(name: &'static str, fault: Fault) -> Way {
    Way { name, fault, times: ALWAYS, outcome: Outcome::RightOrUnavailable, is_common: false }
}

/// It is in what the answer says.
const fn in_the_answer(name: &'static str, fault: Fault) -> Way {
    Way { name, fault, times: ALWAYS, outcome: Outcome::RightOrRefused, is_common: false }
}

impl Way {
    const fn once(self) -> Self {
        Self { times: 1, ..self }
    }

    const fn common(self) -> Self {
        Self { is_common: true, ..self }
    }
}

const WAYS: [Way; 36] = [
    Way { outcome: Outcome::Right, ..on_the_way("is_slow", Fault::Delay(Duration::from_millis(20))) },
    on_the_way("is_late", Fault::Delay(TOO_LATE)),
    on_the_way("is_late_once", Fault::Delay(TOO_LATE)).once(),
    on_the_way("answers_the_question_before", Fault::Late),
    on_the_way("answers_the_question_before_once", Fault::Late).once(),
    on_the_way("says_nothing", Fault::Silence).common(),
    on_the_way("trickles", Fault::Trickle(Duration::from_millis(60))),
    on_the_way("ends_before_the_answer", Fault::Cut(0)),
    on_the_way("ends_within_the_answer", Fault::Cut(50)).common(),
    on_the_way("ends_within_the_answer_once", Fault::Cut(50)).once().common(),
    on_the_way("ends_near_the_end", Fault::Cut(99)),
    on_the_way("stalls_within_the_answer", Fault::Stall(50)),
    on_the_way("announces_4_gib", Fault::Length(u32::MAX)).common(),
    on_the_way("announces_1_gib", Fault::Length(1 << 30)),
    on_the_way("announces_16_mib", Fault::Length(1 << 24)),
    on_the_way("announces_a_little_more", Fault::Length(4_096)),
    on_the_way("announces_less", Fault::Length(8)),
    on_the_way("announces_nothing", Fault::Length(0)),
    in_the_answer("is_no_ttlv", Fault::Garbage),
    in_the_answer("has_a_value_of_4_gib", Fault::InnerLength(u32::MAX)),
    in_the_answer("has_a_value_of_16_mib", Fault::InnerLength(1 << 24)),
    in_the_answer("has_a_value_of_nothing", Fault::InnerLength(0)),
    in_the_answer("is_about_another_object", Fault::OtherObject),
    in_the_answer("is_about_another_object_in_secret", Fault::OtherObjectInSecret),
    in_the_answer("names_another_object", Fault::OtherId).common(),
    in_the_answer("names_another_operation", Fault::OtherOperation).common(),
    in_the_answer("has_another_bit", Fault::Corrupt).common(),
    in_the_answer("has_an_unknown_tag_beside", Fault::MoreTags),
    in_the_answer("has_an_unknown_tag", Fault::UnknownTag),
    in_the_answer("has_an_unknown_type", Fault::UnknownType),
    in_the_answer("has_unknown_enumerations", Fault::UnknownEnumeration),
    in_the_answer("is_nested_deeply", Fault::Nested(10_000)).common(),
    in_the_answer("has_failed", Fault::Status(1)).common(),
    in_the_answer("is_pending", Fault::Status(2)).common(),
    in_the_answer("is_undone", Fault::Status(3)).common(),
    in_the_answer("is_undone_once", Fault::Status(3)).once(),
];

/// Whoever believes a length of 4 GiB dies of it.
const ADDRESSES: u64 = 3 << 30;
/// What this program may ever have had in memory, the server's double included.
const RESIDENT: u64 = 512 << 20;

/// The operation goes wrong for a store that was in use, and for one that connects meanwhile.
async fn goes_wrong(server: &Arc<PyKmip>, operation: &str, way: &Way) -> Result<()> {
    let case =
        Case::new(server, way.outcome, operation == "CreateKeyPair").await.context("before anything went wrong")?;
    case.hostile.set_times(operation, way.fault, way.times);
    let (warm, cold) = tokio::join!(case.ask(&case.warm), case.ask(&case.cold));
    let (warm, cold) = (warm.context("warm")?, cold.context("cold")?);
    ensure!(case.hostile.struck(operation) > 0, "{operation} was never asked for");
    case.hostile.lift_all();
    // Each finds what the other has stored.
    let (warm, cold) = tokio::join!(case.recovers(&case.warm, &cold), case.recovers(&case.cold, &warm));
    warm.context("warm").and(cold.context("cold"))?;
    let peak = peak_bytes()?;
    ensure!(peak < RESIDENT, "{peak} bytes of memory");
    Ok(())
}

/// The most memory that this process ever had.
fn peak_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? * 1024)
}

fn is_worth_it(operation: &str, worth: Worth, way: &Way) -> bool {
    let is_in_the_answer = way.outcome == Outcome::RightOrRefused;
    match way.fault {
        // Destroying another object is what no client can find out.
        Fault::OtherObject | Fault::OtherObjectInSecret => ["Get", "GetAttributes"].contains(&operation),
        _ => worth == Worth::All || way.is_common || (worth == Worth::Content && is_in_the_answer),
    }
}

/// Servers that nobody uses now: each does one thing at a time, and looks at all its objects for some.
type Servers = Arc<Mutex<Vec<Arc<PyKmip>>>>;

/// As many cases as there are servers, each of which has one for itself.
const AT_ONCE: usize = 4;

fn trial(servers: &Servers, operation: &'static str, way: Way) -> Trial {
    let servers = Arc::clone(servers);
    let run = move || -> Result<()> {
        let idle = || servers.lock().unwrap_or_else(PoisonError::into_inner);
        let server = idle().pop().map_or_else(|| PyKmip::start().map(Arc::new), Ok)?;
        tokio::runtime::Runtime::new()?.block_on(goes_wrong(&server, operation, &way))?;
        server.forget()?;
        idle().push(server);
        Ok(())
    };
    let told = move || run().map_err(|error| Failed::from(format!("{error:#}")));
    Trial::test(format!("{operation}::{}", way.name), told)
}

fn main() -> Result<ExitCode> {
    setrlimit(Resource::RLIMIT_AS, ADDRESSES, ADDRESSES)?;
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let servers = Servers::default();
    let worth = |(operation, worth)| {
        WAYS.into_iter().filter(move |way| is_worth_it(operation, worth, way)).map(move |way| (operation, way))
    };
    let trials = OPERATIONS.into_iter().flat_map(worth).map(|(operation, way)| trial(&servers, operation, way));
    Ok(libtest_mimic::run(&arguments, trials.collect()).exit_code())
}
