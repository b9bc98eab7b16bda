//! `bailey ca`

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use bailey_ca_plugin::local::{Config as LocalConfig, LocalCa, NewAuthority};
use bailey_core::ca::RevocationLists as _;
use bailey_worker::pem;
use chrono::SecondsFormat;
use serde_json::{Value, json};

use super::admin::Admin;
use super::diagnosis::{self, Diagnosis};
use super::store::require_served;
use crate::assemble::{Assembly, Cas, open_local_ca};
use crate::cli::CaCommand;
use crate::output;

pub async fn run(admin: &Admin, command: CaCommand) -> Result<()> {
    require_served(admin).await?;
    let assembly = Assembly::new(&admin.config, &admin.databases, admin.audit.clone(), &admin.clock).await?;
    let cas = Configured { admin, assembly: &assembly };
    match command {
        CaCommand::Init { name } => {
            let target = Some(format!("cas/{name}"));
            let number = admin.audited("ca init", target, cas.init(&name)).await?;
            eprintln!("the CA `{name}` has its certificate, number {number}: `bailey ca export {name}` writes it");
            Ok(())
        }
        CaCommand::Rotate { name } => {
            let target = Some(format!("cas/{name}"));
            let number = admin.audited("ca rotate", target, cas.rotate(&name)).await?;
            eprintln!(
                "the CA `{name}` has another key and certificate, number {number}, for what is ordered from now on"
            );
            Ok(())
        }
        CaCommand::List { format } => cas.list(format.json).await,
        CaCommand::Check { name, format } => cas.check(name.as_deref(), format.json).await,
        CaCommand::Export { name, generation, root, out } => {
            let chain = cas.chain(&name, generation).await?;
            let wanted = if root { chain.last().cloned().into_iter().collect() } else { chain };
            write(out.as_deref(), &pem::certificates(&wanted))
        }
        CaCommand::Crl { name, generation, out } => {
            let ca = cas.open(&name)?.0;
            let list = ca.revocation_list(generation).await?;
            write(out.as_deref(), &pem::block("X509 CRL", &list.der))
        }
    }
}

/// The configured CAs, as commands see them.
struct Configured<'a> {
    admin: &'a Admin,
    assembly: &'a Assembly,
}

impl Configured<'_> {
    /// A local CA by its name.
    fn open(&self, name: &str) -> Result<(LocalCa, LocalConfig)> {
        let Self { admin: Admin { config, databases, clock, .. }, assembly } = self;
        let index = config.cas.iter().position(|ca| ca.name == name);
        let index = index.with_context(|| format!("no CA `{name}` is configured"))?;
        let Assembly { worker, cas, stores, tokens, .. } = assembly;
        let all = Cas { config, ids: cas, stores, tokens, db: &databases.db, clock };
        open_local_ca(&all.parts(index, &Arc::downgrade(worker))?)
    }

    /// Makes what isn't there yet, and tells the number of the last generation.
    async fn init(&self, name: &str) -> Result<u32> {
        let (ca, config) = self.open(name)?;
        let above = self.above(&config)?;
        ca.init(&self.ordered(&config)?, above.as_ref()).await?;
        let certificates = ca.certificates().await?;
        Ok(certificates.last().map(|last| last.number).unwrap_or_default())
    }

    async fn rotate(&self, name: &str) -> Result<u32> {
        let (ca, config) = self.open(name)?;
        let above = self.above(&config)?;
        Ok(ca.rotate(&self.ordered(&config)?, above.as_ref()).await?)
    }

    fn above(&self, config: &LocalConfig) -> Result<Option<LocalCa>> {
        let parent = Some(config.parent.as_str()).filter(|parent| !parent.is_empty());
        parent.map(|parent| Ok(self.open(parent)?.0)).transpose()
    }

    fn ordered(&self, config: &LocalConfig) -> Result<NewAuthority> {
        config.authority(self.admin.clock.now()).map_err(anyhow::Error::msg)
    }

    async fn chain(&self, name: &str, generation: Option<u32>) -> Result<Vec<Vec<u8>>> {
        let certificates = self.open(name)?.0.certificates().await?;
        let found = match generation {
            None => certificates.into_iter().next_back(),
            Some(wanted) => certificates.into_iter().find(|found| found.number == wanted),
        };
        Ok(found.context("it has no such certificate yet: `bailey ca init`")?.chain)
    }

    /// Asks each one in a process that knows nothing of it yet: a local CA looks for its keys.
    async fn check(&self, name: Option<&str>, as_json: bool) -> Result<()> {
        let all = self.admin.config.cas.iter().zip(self.assembly.worker.authorities.iter());
        let wanted: Vec<_> = all.filter(|(ca, _)| name.is_none_or(|name| ca.name == name)).collect();
        if let Some(name) = name {
            ensure!(!wanted.is_empty(), "no CA `{name}` is configured");
        }
        let mut found = Vec::new();
        for (ca, authority) in wanted {
            found.push(Diagnosis::new(&ca.name, &ca.kind, authority.health().await.map_err(Into::into)));
        }
        diagnosis::print("CA", &found, as_json)
    }

    async fn list(&self, as_json: bool) -> Result<()> {
        let mut entries = Vec::new();
        for (ca, id) in self.admin.config.cas.iter().zip(&self.assembly.cas) {
            let certificates = match self.open(&ca.name) {
                Ok((local, _)) => local.certificates().await?,
                // What isn't local has its certificates elsewhere.
                Err(_) => Vec::new(),
            };
            let last = certificates.last();
            entries.push(json!({
                "name": ca.name, "id": id, "kind": ca.kind, "generations": certificates.len(),
                "subject": last.map(|last| &last.subject),
                "ends_at": last.map(|last| last.ends_at.to_rfc3339_opts(SecondsFormat::Secs, true)),
            }));
        }
        if as_json {
            return Ok(output::json(&entries)?);
        }
        let cell = |entry: &Value, key: &str| match &entry[key] {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let row =
            |entry: &Value| ["name", "id", "kind", "generations", "ends_at", "subject"].map(|key| cell(entry, key));
        let rows: Vec<_> = entries.iter().map(row).collect();
        Ok(output::table(["NAME", "ID", "KIND", "GENERATIONS", "ENDS AT", "SUBJECT"], &rows)?)
    }
}

fn write(file: Option<&Path>, text: &str) -> Result<()> {
    match file {
        Some(file) => fs::write(file, text).with_context(|| format!("write {}", file.display())),
        None => Ok(output::line(text.trim_end())?),
    }
}
