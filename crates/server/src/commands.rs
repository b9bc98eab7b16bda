//! One module per subcommand.

mod admin;
mod api;
mod backup;
mod ca;
mod config;
mod db;
mod diagnosis;
mod greeting;
mod hsm;
mod kek;
mod master_key;
mod order;
mod pkcs11_child;
mod project;
mod queue;
mod restore;
mod serve;
mod store;
mod token;
mod worker;

use anyhow::Result;

use crate::cli::{Cli, Command};
use admin::Admin;

/// Does what the command line asks for.
///
/// # Errors
/// What went wrong, as one sentence for the operator.
pub fn run(cli: Cli) -> Result<()> {
    let Cli { place, command } = cli;
    match command {
        Command::Pkcs11Child => pkcs11_child::run(),
        Command::Serve(options) => serve::run(&place, &options),
        Command::Api(options) => api::run(&place, &options),
        Command::Worker(options) => worker::run(&place, &options),
        Command::Queue { files, command } => queue::run(&place, files, command),
        Command::Config(command) => config::run(&place, command),
        Command::Db(command) => db::run(&place, command),
        Command::Token(command) => Admin::run(&place, async |admin| token::run(admin, command).await),
        Command::Mkek { store, command } => Admin::run(&place, async |admin| {
            let keys = master_key::Target::mkek(admin, store.as_deref()).await?;
            master_key::run(admin, &keys, command).await
        }),
        Command::Hsm { store, command } => hsm::run(&place, store.as_deref(), command),
        Command::WorkerKey(command) => {
            Admin::run(&place, async |admin| master_key::run(admin, &master_key::Target::worker(admin), command).await)
        }
        Command::Kek { store, command } => {
            Admin::run(&place, async |admin| kek::run(admin, store.as_deref(), command).await)
        }
        Command::Backup(command) => Admin::run(&place, async |admin| backup::run(admin, command).await),
        Command::Restore => Admin::run(&place, async |admin| restore::run(admin).await),
        Command::Project(command) => Admin::run(&place, async |admin| project::run(admin, command).await),
        Command::Order(command) => Admin::run(&place, async |admin| order::run(admin, command).await),
        Command::Ca(command) => Admin::run(&place, async |admin| ca::run(admin, command).await),
        Command::Store(command) => Admin::run(&place, async |admin| store::run(admin, command).await),
    }
}
