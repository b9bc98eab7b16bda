//! `bailey backup`: keeps payloads from being destroyed while both databases are dumped.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bailey_db::{deletion, installation};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::json;

use super::admin::Admin;
use crate::cli::BackupCommand;
use crate::output;

pub async fn run(admin: &Admin, command: BackupCommand) -> Result<()> {
    match command {
        BackupCommand::Begin { hold } => {
            let until = admin.audited("backup begin", None, begin(admin, hold)).await?;
            eprintln!("until {} no payload is destroyed: dump the metadata, then the vault, then", time(until));
            eprintln!("`bailey backup end`");
            Ok(())
        }
        BackupCommand::End => {
            admin.audited("backup end", None, end(admin)).await?;
            eprintln!("what was deleted meanwhile is destroyed from now on");
            Ok(())
        }
        BackupCommand::Status { format } => status(admin, format.json).await,
    }
}

async fn begin(admin: &Admin, hold: Duration) -> Result<DateTime<Utc>> {
    let (db, now) = (&admin.databases.db, admin.clock.now());
    let until = TimeDelta::from_std(hold).ok().and_then(|hold| now.checked_add_signed(hold));
    let until = until.context("that is too long")?;
    if db.write(move |tx| Box::pin(installation::hold_destruction(tx, now, until))).await? {
        return Ok(until);
    }
    match installation::find(db.reader()).await? {
        None => bail!("nothing was ever kept here: look at database.url, or run `bailey serve` first"),
        // A key made since that restore would be taken for one that no backup knows.
        Some(found) if !found.is_accepted() => {
            bail!("a restore has not been accepted: `bailey store audit --accept-restore` first")
        }
        Some(found) => {
            let until = found.destruction_held_until.map(time).unwrap_or_default();
            bail!(
                "another backup is being made, until {until} at most: if nobody makes it any more, `bailey backup end`"
            )
        }
    }
}

/// Complains when the backup can't be trusted: payloads of its metadata may be missing in its vault.
async fn end(admin: &Admin) -> Result<()> {
    let until = admin.databases.db.write(|tx| Box::pin(installation::release_destruction(tx))).await?;
    match until {
        None => bail!("no backup was being made, or somebody else ended it: what was dumped may not fit together"),
        Some(until) if until <= admin.clock.now() => bail!(
            "payloads were kept until {} only: what was dumped may not fit together; begin anew, with a longer --for",
            time(until)
        ),
        Some(_) => Ok(()),
    }
}

async fn status(admin: &Admin, as_json: bool) -> Result<()> {
    let reader = admin.databases.db.reader();
    let now = admin.clock.now();
    let installation = installation::find(reader).await?.filter(|found| found.holds_destruction(now));
    let until = installation.and_then(|found| found.destruction_held_until);
    let waiting = deletion::count(reader).await?;
    if as_json {
        return Ok(output::json(&json!({ "held_until": until, "waiting": waiting }))?);
    }
    let held = until.map_or_else(|| "-".to_owned(), time);
    Ok(output::table(["HELD UNTIL", "PAYLOADS TO DESTROY"], &[[held, waiting.to_string()]])?)
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
