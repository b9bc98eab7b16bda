//! `kind = "local"`: a CA of Bailey's own.

use std::sync::Arc;

use anyhow::{Result, anyhow, ensure};
use bailey_ca_plugin::local::{Config as PluginConfig, LocalCa, Parts, SoftwareKeys};
use bailey_core::ca::CertificateAuthority;
use toml::Table;

use super::{CaKind, CaParts};
use crate::config::{Complain, keys};

pub const KIND: CaKind = CaKind { name: "local", defaults, secrets: &[], check, connect };

fn defaults() -> Table {
    Table::try_from(PluginConfig::default()).unwrap_or_default()
}

fn check(settings: &Table, complain: &mut Complain<'_>) {
    let tell = |path: &[String], complaint: &str| complain(&path.join("."), complaint.to_owned());
    let Some(config) = keys::read::<PluginConfig>(settings.clone(), &defaults(), tell) else { return };
    for (key, complaint) in config.complaints() {
        complain(key, complaint);
    }
}

fn connect(parts: &CaParts<'_>) -> Result<Arc<dyn CertificateAuthority>> {
    Ok(Arc::new(open(parts)?.0))
}

/// The CA itself, for commands that make it and its next generation, with its settings.
///
/// # Errors
/// When it isn't local, or its settings make no sense.
pub fn open(parts: &CaParts<'_>) -> Result<(LocalCa, PluginConfig)> {
    ensure!(parts.ca.kind == KIND.name, "the CA `{}` is of kind {}, not local", parts.ca.name, parts.ca.kind);
    let config: PluginConfig = parts.ca.settings.clone().try_into()?;
    let keys = Arc::clone(&parts.keys);
    let signing = Arc::new(SoftwareKeys(Arc::clone(&keys)));
    let (ledger, clock) = (Arc::clone(&parts.ledger), parts.clock.clone());
    let made = LocalCa::new(parts.id, &parts.ca.name, &config, Parts { keys, signing, ledger, clock });
    Ok((made.map_err(|complaint| anyhow!(complaint))?, config))
}
