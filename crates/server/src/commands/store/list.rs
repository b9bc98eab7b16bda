//! `bailey store list` and `bailey store show`

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use bailey_core::ids::{ProjectId, StoreId};
use bailey_db::admin::{self, StoreUse};
use bailey_db::store::{self, Store};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::commands::admin::Admin;
use crate::output;

/// A store that is configured, or was.
struct Entry {
    name: String,
    /// `None` before its first start.
    id: Option<StoreId>,
    kind: String,
    is_default: bool,
    state: &'static str,
    used: StoreUse,
    /// Whose new payloads go there, because the project or the configuration says so.
    projects: BTreeSet<ProjectId>,
    created_at: Option<DateTime<Utc>>,
    updated_at: Option<DateTime<Utc>>,
}

pub async fn list(admin: &Admin, as_json: bool) -> Result<()> {
    let entries = entries(admin).await?;
    if as_json {
        return Ok(output::json(&entries.iter().map(as_object).collect::<Vec<_>>())?);
    }
    let rows: Vec<_> = entries
        .iter()
        .map(|entry| {
            let id = entry.id.map_or_else(|| "-".to_owned(), |id| id.to_string());
            let default = if entry.is_default { "yes" } else { "no" }.to_owned();
            let (secrets, projects) = (entry.used.secrets.to_string(), entry.projects.len().to_string());
            [entry.name.clone(), id, entry.kind.clone(), default, entry.state.to_owned(), secrets, projects]
        })
        .collect();
    Ok(output::table(["NAME", "ID", "KIND", "DEFAULT", "STATE", "SECRETS", "PROJECTS"], &rows)?)
}

pub async fn show(admin: &Admin, name: &str, as_json: bool) -> Result<()> {
    let entries = entries(admin).await?;
    let entry =
        entries.iter().find(|entry| entry.name == name).with_context(|| format!("there is no store `{name}`"))?;
    if as_json {
        return Ok(output::json(&as_object(entry))?);
    }
    Ok(output::fields(&as_object(entry))?)
}

/// The configured stores in their order, then those that aren't configured any more.
async fn entries(admin: &Admin) -> Result<Vec<Entry>> {
    let mut known = store::list(admin.databases.db.reader()).await?;
    let mut entries = Vec::new();
    for configured in &admin.config.stores {
        let id = admin.find_store_id(configured).await?;
        let row = known.iter().position(|row| Some(row.id) == id).map(|index| known.remove(index));
        let state = if row.is_some() { "configured" } else { "never started" };
        let label = (configured.name.as_str(), configured.kind.as_str(), state);
        entries.push(Entry { is_default: configured.default, ..entry(admin, label, row.as_ref()).await? });
    }
    for row in &known {
        entries.push(entry(admin, (&row.name, &row.kind, "not configured"), Some(row)).await?);
    }
    Ok(entries)
}

async fn entry(admin: &Admin, (name, kind, state): (&str, &str, &'static str), row: Option<&Store>) -> Result<Entry> {
    let reader = admin.databases.db.reader();
    let assigned = |project: &ProjectId| admin.config.projects.get(project).map(|decided| decided.store.as_str());
    let (mut used, mut projects) = (StoreUse::default(), BTreeSet::new());
    if let Some(row) = row {
        used = admin::store_use(reader, row.id).await?;
        projects.extend(admin::projects_preferring(reader, row.id).await?);
        projects.retain(|project| assigned(project).is_none_or(|store| store.is_empty() || store == name));
    }
    let here = |project: &&ProjectId| assigned(project) == Some(name);
    projects.extend(admin.config.projects.keys().filter(here).cloned());
    Ok(Entry {
        name: name.to_owned(),
        id: row.map(|row| row.id),
        kind: kind.to_owned(),
        is_default: false,
        state,
        used,
        projects,
        created_at: row.map(|row| row.created_at),
        updated_at: row.map(|row| row.updated_at),
    })
}

fn as_object(entry: &Entry) -> Value {
    let time = |time: Option<DateTime<Utc>>| time.map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true));
    let StoreUse { secrets, inputs, deletions, .. } = entry.used;
    json!({
        "name": entry.name, "id": entry.id, "kind": entry.kind, "default": entry.is_default, "state": entry.state,
        "secrets": secrets, "order_inputs": inputs, "payloads_to_destroy": deletions, "projects": entry.projects,
        "created_at": time(entry.created_at), "updated_at": time(entry.updated_at),
    })
}
