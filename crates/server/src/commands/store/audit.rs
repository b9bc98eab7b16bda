//! `bailey store audit`

use std::time::Duration;

use anyhow::{Result, bail};
use bailey_core::failure::Failure;
use bailey_worker::{StoreAudit, Worker};
use serde_json::{Value, json};

use super::require_served;
use crate::assemble::Assembly;
use crate::cli::StoreAudit as Options;
use crate::commands::admin::Admin;
use crate::commands::restore;
use crate::output;

pub async fn run(admin: &Admin, options: Options) -> Result<()> {
    let Options { store, repair, older_than, accept_restore, format } = options;
    require_served(admin).await?;
    let assembly = Assembly::new(&admin.config, &admin.databases, admin.audit.clone(), &admin.clock).await?;
    if accept_restore {
        let accept = async {
            restore::require_renewed(admin).await?;
            Ok(assembly.worker.accept_restore().await?)
        };
        admin.audited("store audit --accept-restore", None, accept).await?;
        eprintln!("accepted: payloads without a row may be destroyed again");
        return Ok(());
    }
    if let Some(store) = &store {
        admin.store(Some(store))?;
    }
    let action = if repair { "store audit --repair" } else { "store audit" };
    let target = store.as_ref().map(|store| format!("stores/{store}"));
    let age = older_than.unwrap_or_else(|| assembly.worker.config.orphan_age());
    let audits = admin.audited(action, target, audit(&assembly.worker, store.as_deref(), age, repair)).await?;
    if format.json {
        output::json(&audits.iter().map(|(name, audit)| as_json(name, audit)).collect::<Vec<_>>())?;
    } else {
        report(&audits)?;
    }
    let unreadable: usize = audits.iter().map(|(_, audit)| audit.unreadable.len()).sum();
    if unreadable > 0 {
        bail!("{unreadable} payload(s) can't be read");
    }
    Ok(())
}

async fn audit(worker: &Worker, only: Option<&str>, age: Duration, repair: bool) -> Result<Vec<(String, StoreAudit)>> {
    let mut audits = Vec::new();
    for store in worker.stores.iter() {
        let name = &store.descriptor().name;
        if only.is_none_or(|only| only == name) {
            let audit = worker.audit_store(store, age, repair).await;
            audits.push((name.clone(), audit.map_err(|failure: Failure| anyhow::anyhow!("store {name}: {failure}"))?));
        }
    }
    audits.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(audits)
}

fn report(audits: &[(String, StoreAudit)]) -> Result<()> {
    let rows: Vec<_> = audits
        .iter()
        .map(|(name, audit)| {
            let (orphans, unreadable) = (audit.orphans.len() as u64, audit.unreadable.len() as u64);
            let counts =
                [audit.referred, audit.stored, orphans, audit.repaired, unreadable].map(|count| count.to_string());
            let [referred, stored, orphans, repaired, unreadable] = counts;
            [name.clone(), referred, stored, orphans, repaired, unreadable]
        })
        .collect();
    output::table(["STORE", "ROWS", "JUDGED", "ORPHANS", "DESTROYED", "UNREADABLE"], &rows)?;
    for (name, audit) in audits {
        for orphan in &audit.orphans {
            output::line(&format!("{name}: orphan {}, stored {}", orphan.place.write, orphan.created_at))?;
        }
        for (place, reason) in &audit.unreadable {
            output::line(&format!(
                "{name}: unreadable secret {} of project {}: {reason}",
                place.secret, place.project
            ))?;
        }
    }
    Ok(())
}

fn as_json(name: &str, audit: &StoreAudit) -> Value {
    let orphans =
        audit.orphans.iter().map(|orphan| json!({"write": orphan.place.write, "stored_at": orphan.created_at}));
    let unreadable = audit.unreadable.iter().map(|(place, reason)| {
        json!({"secret": place.secret, "project": place.project, "write": place.write, "reason": reason})
    });
    json!({
        "store": name, "rows": audit.referred, "judged": audit.stored, "destroyed": audit.repaired,
        "orphans": orphans.collect::<Vec<_>>(), "unreadable": unreadable.collect::<Vec<_>>(),
    })
}
