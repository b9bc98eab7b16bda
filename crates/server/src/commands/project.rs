//! `bailey project`

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bailey_core::ids::ProjectId;
use bailey_core::vault::{KekState, Vault as _};
use bailey_db::project;
use bailey_worker::Worker;
use serde_json::{Map, Value};

use super::admin::Admin;
use super::store::require_served;
use crate::assemble::Assembly;
use crate::cli::ProjectCommand;
use crate::output;

/// How often keys are looked for, and with which pause: a request that was under way when the project was
/// closed may make one more, and takes back what it encrypted under it.
const ROUNDS: u32 = 30;
const PAUSE: Duration = Duration::from_millis(500);

pub async fn run(admin: &Admin, command: ProjectCommand) -> Result<()> {
    let ProjectCommand::Purge { id, dry_run, yes, format } = command;
    ensure!(!id.is_own(), "{id} has what belongs to Bailey itself, such as the keys of its CAs");
    if dry_run {
        return report(&contents(admin, &id).await?, format.json);
    }
    if !yes {
        confirm(&id)?;
    }
    require_served(admin).await?;
    let assembly = Assembly::new(&admin.config, &admin.databases, admin.audit.clone(), &admin.clock).await?;
    let target = Some(format!("projects/{id}"));
    let close = async { Ok(assembly.worker.close_project(&id).await?) };
    admin.audited("project close", target.clone(), close).await?;
    let there_was = contents(admin, &id).await?;
    admin.audited("project purge", target, purge(admin, &assembly.worker, &id)).await.with_context(|| {
        format!("the purge of project {id} is not complete, and the project is closed until it is: run it again")
    })?;
    report(&there_was, format.json)?;
    eprintln!("nothing is left of project {id}");
    Ok(())
}

/// Asks whoever sits there to type what they are about to destroy.
fn confirm(id: &ProjectId) -> Result<()> {
    ensure!(io::stdin().is_terminal(), "everything of project {id} would be destroyed: say --yes if that is meant");
    eprintln!("Everything of project {id} will be destroyed. Type its id to confirm:");
    let mut typed = String::new();
    io::stdin().read_line(&mut typed)?;
    ensure!(typed.trim_end_matches(['\r', '\n']) == id.as_str(), "that is not its id: nothing was done");
    Ok(())
}

/// What there is of a project in both databases.
async fn contents(admin: &Admin, id: &ProjectId) -> Result<Vec<(&'static str, u64)>> {
    let mut contents = project::contents(admin.databases.db.reader(), id).await?.named().to_vec();
    let keks = admin.databases.vault.keks_of(id).await?;
    contents.push(("ciphertexts", keks.iter().map(|summary| summary.objects).sum()));
    contents.push(("keys", keks.len() as u64));
    Ok(contents)
}

async fn purge(admin: &Admin, worker: &Worker, id: &ProjectId) -> Result<()> {
    worker.remove_authorities(id).await?;
    worker.remove_rows(id).await?;
    let payloads = worker.destroy_payloads(id).await?;
    if let Some((write, why)) = payloads.left.first() {
        bail!("{} payload(s) could not be destroyed, among them write {write}: {why}", payloads.left.len());
    }
    // What isn't encrypted under a key of the project's is found by its name.
    for store in worker.stores.iter().filter(|store| store.key_rotation().is_none()) {
        let (_, left) = worker.destroy_unreferred(store, id, None).await?;
        ensure!(left == 0, "{left} payload(s) in store {} can't be destroyed now", store.descriptor().name);
    }
    destroy_keys(admin, worker, id).await?;
    Ok(worker.forget_project(id).await?)
}

/// Destroys what is encrypted under a project's keys without a row, then the keys.
async fn destroy_keys(admin: &Admin, worker: &Worker, id: &ProjectId) -> Result<()> {
    let vault = &admin.databases.vault;
    let mut left = Vec::new();
    for round in 0..ROUNDS {
        if round > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        let keks = vault.keks_of(id).await?;
        for summary in keks.iter().filter(|summary| summary.kek.state == KekState::Active) {
            vault.demote_kek(summary.kek.id, false).await?;
        }
        left.clear();
        for summary in keks {
            let kek = summary.kek.id;
            let store = worker.stores.get(summary.kek.store);
            let store = store.with_context(|| format!("key {kek} belongs to a store that is not configured"))?;
            let (_, kept) = worker.destroy_unreferred(store, id, Some(kek)).await?;
            if kept > 0 {
                left.push(format!("{kek} encrypts {kept} payload(s) that can't be destroyed now"));
            }
        }
        vault.forget_keks(id).await?;
        if vault.keks_of(id).await?.is_empty() {
            return Ok(());
        }
    }
    bail!("some of its keys are still there: {}", left.join("; "))
}

fn report(contents: &[(&'static str, u64)], as_json: bool) -> Result<()> {
    if as_json {
        let object = contents.iter().map(|(what, number)| (what.replace(' ', "_"), Value::from(*number)));
        return Ok(output::json(&object.collect::<Map<_, _>>())?);
    }
    let rows: Vec<_> = contents.iter().map(|(what, number)| [(*what).to_owned(), number.to_string()]).collect();
    Ok(output::table(["WHAT", "NUMBER"], &rows)?)
}
