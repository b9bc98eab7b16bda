//! `bailey store migrate`

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bailey_core::store::SecretStore;
use bailey_core::vault::{MasterKeyPurpose, MasterKeyState};
use bailey_vault::VaultDb;
use bailey_worker::{Migrated, Migration, Worker};
use serde_json::json;
use tokio::sync::watch;

use super::require_served;
use crate::assemble::Assembly;
use crate::cli::StoreMigrate as Options;
use crate::commands::admin::Admin;
use crate::commands::master_key::LIVE;
use crate::config::StoreConfig;
use crate::master_keys::MasterKeys;
use crate::output;

/// Between two looks at the key files, as servers do.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(10);

pub async fn run(admin: &Admin, options: Options) -> Result<()> {
    let (from, to) = (admin.store(Some(&options.from))?, admin.store(Some(&options.to))?);
    ensure!(from.name != to.name, "`{}` is both where the payloads are and where they are to be", from.name);
    require_served(admin).await?;
    if !options.dry_run {
        require_known(admin, to).await?;
    }
    let Assembly { worker, keys, .. } =
        Assembly::new(&admin.config, &admin.databases, admin.audit.clone(), &admin.clock).await?;
    let migration = Migration {
        from: store(&worker, admin, from).await?,
        to: store(&worker, admin, to).await?,
        project: options.project.clone(),
        per_second: options.rate.unwrap_or(worker.config.reencrypt_per_second),
        dry_run: options.dry_run,
    };
    let work = async {
        let migrated = migrate(&worker, &migration, &keys, &admin.databases.vault).await;
        tell(&options, &migrated, worker.receives(&migration).await?)?;
        verdict(&migrated)
    };
    let action = if options.dry_run { "store migrate --dry-run" } else { "store migrate" };
    let whose = options.project.as_ref().map(|project| format!("/projects/{project}")).unwrap_or_default();
    let target = format!("stores/{}/to/{}{whose}", from.name, to.name);
    admin.audited(action, Some(target), work).await
}

async fn store(worker: &Worker, admin: &Admin, store: &StoreConfig) -> Result<Arc<dyn SecretStore>> {
    Ok(Arc::clone(worker.stores.get(admin.store_id(store).await?)?))
}

/// Whoever reads what was moved needs the store it was moved to, with its key.
async fn require_known(admin: &Admin, to: &StoreConfig) -> Result<()> {
    if !to.kind().is_some_and(|kind| kind.has_key_file || kind.token.is_some()) {
        return Ok(());
    }
    let vault = &admin.databases.vault;
    let versions = vault.master_keys(MasterKeyPurpose::Mkek(admin.store_id(to).await?)).await?;
    let active = versions.iter().find(|version| version.key.state == MasterKeyState::Active);
    let active = active.with_context(|| format!("the store `{}` has no active key", to.name))?.key.id;
    let reports = vault.workers_reporting(admin.clock.now() - LIVE).await?;
    let without = reports.iter().filter(|report| !report.keys.contains(&active)).count();
    if without > 0 {
        bail!(
            "{without} running worker(s) don't have the store `{}` with its key {active} yet, and could not read what \
             is moved there: have it in the configuration of each, restart them, and try again in some seconds",
            to.name
        );
    }
    Ok(())
}

/// Does it, beside what a server would do all the time, until it is done or somebody has had enough.
async fn migrate(worker: &Worker, migration: &Migration, keys: &[MasterKeys], vault: &VaultDb) -> Migrated {
    let (stop, stopped) = watch::channel(false);
    let mut progress = Progress::new();
    let mut told = |migrated: &Migrated| progress.tell(migrated);
    let upkeep = async {
        loop {
            tokio::time::sleep(UPKEEP_INTERVAL).await;
            for keys in keys {
                keys.look_after(vault).await;
            }
        }
    };
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_ok() {
            eprintln!("what is under way is finished first");
            let _ = stop.send(true);
        }
        std::future::pending().await
    };
    let migrated = tokio::select! {
        migrated = worker.migrate(migration, &stopped, &mut told) => migrated,
        never = upkeep => never,
        never = interrupted => never,
    };
    progress.end();
    migrated
}

/// Lines on stderr, on a terminal one that changes.
struct Progress {
    is_terminal: bool,
    interval: Duration,
    told_at: Instant,
    is_line_open: bool,
}

impl Progress {
    fn new() -> Self {
        let is_terminal = io::stderr().is_terminal();
        let interval = Duration::from_secs(if is_terminal { 1 } else { 10 });
        Self { is_terminal, interval, told_at: Instant::now(), is_line_open: false }
    }

    fn tell(&mut self, migrated: &Migrated) {
        if self.told_at.elapsed() < self.interval {
            return;
        }
        self.told_at = Instant::now();
        let Migrated { found, moved, gone, skipped, .. } = migrated;
        let line = format!("{moved} of {found} moved, {} skipped, {gone} gone", skipped.len());
        if self.is_terminal {
            eprint!("\r{line} ");
            self.is_line_open = true;
        } else {
            eprintln!("{line}");
        }
    }

    fn end(self) {
        if self.is_line_open {
            eprintln!();
        }
    }
}

fn tell(options: &Options, migrated: &Migrated, still_receives: bool) -> Result<()> {
    let Migrated { found, moved, gone, skipped, left, doomed, trouble } = migrated;
    if options.format.json {
        let skipped = skipped.iter().map(|(place, why)| {
            json!({"project": place.project, "secret": place.secret, "write": place.write, "reason": why})
        });
        output::json(&json!({
            "from": options.from, "to": options.to, "project": options.project, "dry_run": options.dry_run,
            "found": found, "moved": moved, "gone": gone, "skipped": skipped.collect::<Vec<_>>(), "left": left,
            "payloads_to_destroy": doomed, "still_receives": still_receives,
            "trouble": trouble.as_ref().map(ToString::to_string),
        }))?;
    } else {
        let numbers = [*found, *moved, skipped.len() as u64, *gone, *left, *doomed].map(|number| number.to_string());
        let moved = if options.dry_run { "MOVABLE" } else { "MOVED" };
        output::table(["FOUND", moved, "SKIPPED", "GONE", "LEFT", "TO DESTROY"], &[numbers])?;
        for (place, why) in skipped {
            output::line(&format!("skipped secret {} of project {}: {why}", place.secret, place.project))?;
        }
    }
    if still_receives {
        eprintln!("new payloads still go to `{}`: see `bailey store list`", options.from);
    }
    Ok(())
}

fn verdict(migrated: &Migrated) -> Result<()> {
    if let Some(trouble) = &migrated.trouble {
        bail!("{} payload(s) are left where they are, run it again once this is over: {trouble}", migrated.left);
    }
    ensure!(migrated.skipped.is_empty(), "{} payload(s) can't be moved", migrated.skipped.len());
    Ok(())
}
