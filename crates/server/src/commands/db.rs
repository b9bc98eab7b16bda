//! `bailey db`

use anyhow::{Context as _, Result, bail};
use bailey_core::clock::Clock;
use bailey_db::Db;
use bailey_migrations::{Schema, Status, migrate, status};
use tokio::runtime::Builder;

use super::admin::{sqlite_file, with_audit_trouble};
use crate::audit_sink::{self, operator_event};
use crate::cli::{DbCommand, Place};
use crate::config::{Sources, load};
use crate::{folder, output};

pub fn run(place: &Place, command: DbCommand) -> Result<()> {
    let config = load(&Sources::new(place))?.config;
    let databases = [(Schema::Metadata, config.database), (Schema::Vault, config.vault)];
    let runtime = Builder::new_current_thread().enable_all().build()?;
    match command {
        DbCommand::Migrate => {
            folder::prepare(&config.data_dir)?;
            let audit = audit_sink::open_for_command(&config.audit)?;
            let done = runtime.block_on(show(&databases, bring_up_to_date));
            let trouble = done.as_ref().err().map(|error| format!("{error:#}"));
            let event = operator_event(Clock::system().now(), "db migrate", None, trouble);
            with_audit_trouble(done.map(drop), audit.write(&event).err())
        }
        DbCommand::Status => {
            if !runtime.block_on(show(&databases, look_at))? {
                bail!("not both databases are up to date: `bailey serve` and `bailey db migrate` can change that");
            }
            Ok(())
        }
    }
}

/// Prints what `work` finds in each database; whether both are as this binary needs them.
async fn show(
    databases: &[(Schema, bailey_db::Config); 2],
    work: impl AsyncFn(Schema, &bailey_db::Config) -> Result<Option<Status>>,
) -> Result<bool> {
    let (mut rows, mut all_good) = (Vec::new(), true);
    for (schema, database) in databases {
        let status = work(*schema, database).await?;
        all_good &= status.is_some_and(|status| status.is_current() && status.is_readable());
        rows.push(row(*schema, database, status));
    }
    output::table(["DATABASE", "VERSION", "KNOWN", "STATE", "URL"], &rows)?;
    Ok(all_good)
}

async fn bring_up_to_date(schema: Schema, database: &bailey_db::Config) -> Result<Option<Status>> {
    let db = connect(schema, database).await?;
    let status = migrate(schema, db.schema_connection()).await;
    db.close().await;
    Ok(Some(status?))
}

/// `None` when there is no file yet: looking must not make one.
async fn look_at(schema: Schema, database: &bailey_db::Config) -> Result<Option<Status>> {
    if sqlite_file(&database.url).is_some_and(|file| !file.exists()) {
        return Ok(None);
    }
    let db = connect(schema, database).await?;
    let status = status(schema, db.schema_connection()).await;
    db.close().await;
    Ok(Some(status?))
}

async fn connect(schema: Schema, database: &bailey_db::Config) -> Result<Db> {
    Db::connect(database).await.with_context(|| format!("the {} database can't be asked", schema.as_str()))
}

fn row(schema: Schema, database: &bailey_db::Config, status: Option<Status>) -> [String; 5] {
    let state = match &status {
        Some(status) if !status.is_readable() => "newer than this binary can read",
        Some(status) if status.is_current() => "up to date",
        Some(Status { found: Some(_), .. }) => "to be migrated",
        _ => "empty",
    };
    let found = status.and_then(|status| status.found);
    let version = found.map_or_else(|| "-".to_owned(), |found| found.version.to_string());
    let known = schema.version().version.to_string();
    [schema.as_str().to_owned(), version, known, state.to_owned(), database.redacted_url()]
}
