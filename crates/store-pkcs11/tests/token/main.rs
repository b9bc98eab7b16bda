//! What the backend promises beyond the contract, on real tokens: it uses no key that isn't what it must be,
//! leaves nothing behind in the token, and tells operators what is missing.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod bench;
#[path = "../fixture/mod.rs"]
mod fixture;
mod formats;
mod hsm;
mod keks;
mod keys;
mod name;
mod pin;
mod signing;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, ensure};
use bailey_core::store::{StoreError, StoreErrorKind};
use bailey_testkit::envelope::MemoryVaultFixture;
use bailey_testkit::faulty::Faulty;
use bailey_testkit::process;
use libtest_mimic::{Arguments, Failed, Trial};

use fixture::{Change, Target, TokenFixture, Tokens};

/// A token, behind a library that nobody else uses: one that finds its token gone initialises its library again,
/// and would take that of others from under them.
pub struct Case {
    target: Target,
    library: Faulty,
    /// The library that it is in front of.
    inner: PathBuf,
}

type Run = fn(Case) -> Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// `case!(function)`: a case named like its function.
macro_rules! case {
    ($module:ident::$run:ident) => {
        (stringify!($run), |case| Box::pin($module::$run(case)))
    };
}

/// The label of two tokens.
const TWINS: &str = "twins";

/// Those that hold on any token.
const EVERYWHERE: [(&str, Run); 16] = [
    case!(keys::an_extractable_mkek_is_refused),
    case!(keys::two_mkeks_of_one_version_are_refused),
    case!(keys::other_keys_under_a_registered_id_are_to_blame),
    case!(keys::another_mkek_under_a_registered_id_is_to_blame),
    case!(keys::a_version_that_is_nowhere_says_what_to_do),
    case!(keks::no_kek_stays_extractable),
    case!(keks::no_more_keks_live_than_configured),
    case!(keks::a_kek_that_nobody_uses_is_destroyed),
    case!(keks::a_kek_that_vanished_is_unwrapped_again),
    case!(hsm::a_sound_token_has_nothing_to_be_found),
    case!(hsm::half_a_version_is_found),
    case!(signing::a_cas_key_signs_and_never_leaves),
    case!(formats::the_page_on_formats_is_enough_to_decrypt),
    case!(formats::it_is_enough_where_there_is_no_gcm),
    case!(name::a_token_is_found_by_its_serial_number),
    case!(formats::the_key_check_value_is_as_described),
];

/// Those that depend on what SoftHSM is like, or need a library of one's own in front of it.
const SOFTHSM: [(&str, Run); 8] = [
    case!(keks::a_changed_wrapping_never_reaches_the_mkek),
    case!(keks::an_iv_that_nobody_made_is_never_used),
    case!(hsm::what_the_token_cannot_do_is_found),
    case!(hsm::a_token_is_made_of_a_free_slot),
    case!(hsm::the_first_version_is_made_once),
    case!(name::a_label_that_two_tokens_have_names_neither),
    case!(pin::a_wrong_pin_is_presented_once),
    case!(pin::a_pin_that_is_put_right_is_found),
];

/// The label of the token that a case has for itself: as much of its name as a label holds. SoftHSM writes each
/// login down, and a library that looks for the token meanwhile doesn't see it.
fn label(name: &'static str) -> &'static str {
    name.get(..32).unwrap_or(name)
}

impl Case {
    fn new(target: Target) -> Result<Self> {
        let library = Faulty::before(&target.module)?;
        let module = library.module();
        let inner = target.module.clone();
        Ok(Self { target: Target { admin: module.clone(), module, ..target }, library, inner })
    }
}

/// A fixture in `target`, with something configured beside.
async fn fixture(target: &Target, change: Change) -> Result<TokenFixture> {
    let target = Target { change, ..target.clone() };
    TokenFixture::new(&target, Arc::new(MemoryVaultFixture::default())).await
}

/// That it failed this way, with these words for the operator.
fn expect_failure<T>(outcome: Result<T, StoreError>, kind: StoreErrorKind, words: &str) -> Result<()> {
    let Err(error) = outcome else { anyhow::bail!("it succeeded instead of: {words}") };
    ensure!(error.kind == kind && error.to_string().contains(words), "{error} instead of {kind:?}: {words}");
    Ok(())
}

fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    // While one thread makes keys in it, SoftHSM hides those of another now and then.
    arguments.test_threads.get_or_insert(1);
    let own = EVERYWHERE.iter().chain(&SOFTHSM).map(|(name, _)| label(name));
    let labels: Vec<_> = own.chain([TWINS, TWINS]).collect();
    let tokens = match Tokens::inherit(&labels)? {
        Ok(tokens) => tokens,
        Err(ended) => return Ok(ended),
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let trial = |token: &str, target: Target, (name, run): (&str, Run)| {
        let handle = runtime.handle().clone();
        Trial::test(format!("{token}::{name}"), move || {
            let outcome = Case::new(target).and_then(|case| handle.block_on(run(case)));
            outcome.map_err(|error| Failed::from(format!("{error:#}")))
        })
    };
    let softhsm = EVERYWHERE.into_iter().chain(SOFTHSM).map(|case| {
        let target = Target { label: label(case.0).to_owned(), ..tokens.softhsm() };
        trial("softhsm", target, case)
    });
    let kryoptic = EVERYWHERE.into_iter().map(|case| trial("kryoptic", tokens.kryoptic(), case));
    let conclusion = libtest_mimic::run(&arguments, softhsm.chain(kryoptic).collect());
    // Two libraries that each brought an OpenSSL don't always survive each other's end.
    process::leave(conclusion.has_failed().into())
}
