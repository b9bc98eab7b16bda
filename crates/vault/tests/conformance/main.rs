//! The vault on SQLite and PostgreSQL: held to the contracts, by itself and under an envelope, and
//! asked what only commands ask.

mod administration;
mod budget;
mod fixture;
mod formats;
mod retirement;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use bailey_sql::Engine;
use bailey_testkit::conformance::{Pending, open, secret_store, vault};
use bailey_testkit::envelope::EnvelopeFixture;
use bailey_testkit::postgres::Postgres;
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;

use fixture::{Databases, SqlVault};

/// A case of this crate's own, named like its function.
type Case = (&'static str, fn(Arc<SqlVault>) -> Pending<()>);

macro_rules! cases {
    ($($module:ident :: $case:ident),* $(,)?) => {
        [$((stringify!($case), |vault| Box::pin($module::$case(vault)))),*]
    };
}

const OWN: [Case; 14] = cases![
    administration::a_vault_is_empty_until_something_was_kept,
    administration::a_version_is_activated_once_every_live_worker_has_it,
    administration::an_announced_version_is_not_activated_before_it_is_proven,
    administration::a_report_replaces_the_one_before,
    administration::a_master_key_in_use_is_not_retired,
    administration::master_keys_are_listed_with_the_number_of_their_keks,
    administration::after_a_restore_no_kek_is_active,
    administration::a_closed_database_is_unavailable,
    retirement::a_kek_in_use_is_not_retired,
    retirement::a_kek_retired_under_concurrent_inserts_has_no_ciphertexts,
    retirement::a_forgotten_project_has_no_keys,
    budget::a_tiny_budget_rotates_under_concurrency,
    budget::a_restarted_process_never_reuses_a_block,
    formats::a_reader_of_the_document_decrypts_a_payload,
];

fn trials(databases: &Arc<Databases>, engine: Engine, runtime: &Runtime) -> Result<Vec<Trial>> {
    let label = format!("{engine:?}").to_lowercase();
    let at = Arc::clone(databases);
    let vaults = vault::suite(open(move || {
        let databases = Arc::clone(&at);
        async move { Ok(Arc::new(databases.vault(engine).await?) as _) }
    }));
    let at = Arc::clone(databases);
    let envelopes = secret_store::suite(open(move || {
        let databases = Arc::clone(&at);
        async move {
            let vault = Arc::new(databases.vault(engine).await?);
            Ok(Arc::new(EnvelopeFixture::new(Arc::new(fixture::simple(vault.clone()).await?), vault)) as _)
        }
    }));
    let mut trials = vaults.trials(&format!("{label}_vault"), runtime.handle());
    trials.extend(runtime.block_on(envelopes)?.trials(&format!("{label}_envelope"), runtime.handle()));
    trials.extend(OWN.map(|(name, case)| {
        let (databases, runtime) = (Arc::clone(databases), runtime.handle().clone());
        let run = move || {
            let outcome = runtime.block_on(async { case(Arc::new(databases.vault(engine).await?)).await });
            outcome.map_err(|error| Failed::from(format!("{error:#}")))
        };
        Trial::test(format!("{label}::{name}"), run)
    }));
    Ok(trials)
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let runtime = Runtime::new()?;
    let databases = Arc::new(runtime.block_on(Databases::start(Postgres::shared()?))?);
    let mut all = trials(&databases, Engine::Sqlite, &runtime)?;
    all.extend(trials(&databases, Engine::Postgres, &runtime)?);
    Ok(libtest_mimic::run(&arguments, all).exit_code())
}
