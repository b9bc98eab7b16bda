//! `kind = "acme"`: a CA elsewhere that speaks ACME.

use std::sync::Arc;

use anyhow::Result;
use bailey_ca_plugin::acme::{AcmeCa, Config as PluginConfig};
use bailey_core::ca::CertificateAuthority;
use toml::Table;

use super::{CaKind, CaParts};
use crate::config::{Complain, keys, secret};

pub const KIND: CaKind = CaKind { name: "acme", defaults, secrets: SECRETS, check, connect };

const SECRETS: &[&str] = &["external_account_key", "dns_key", "webhook_token"];

fn defaults() -> Table {
    Table::try_from(PluginConfig::default()).unwrap_or_default()
}

fn check(settings: &Table, complain: &mut Complain<'_>) {
    let mut settings = settings.clone();
    secret::resolve_here(&mut settings, SECRETS, &mut *complain);
    let tell = |path: &[String], complaint: &str| complain(&path.join("."), complaint.to_owned());
    let Some(config) = keys::read::<PluginConfig>(settings, &defaults(), tell) else { return };
    for (key, complaint) in config.problems() {
        complain(key, complaint);
    }
}

fn connect(parts: &CaParts<'_>) -> Result<Arc<dyn CertificateAuthority>> {
    let mut settings = parts.ca.settings.clone();
    let mut complaints = Vec::new();
    secret::resolve_here(&mut settings, SECRETS, |key, complaint| complaints.push(format!("{key}: {complaint}")));
    anyhow::ensure!(complaints.is_empty(), "{}", complaints.join("; "));
    let (keys, challenges) = (Arc::clone(&parts.keys), Arc::clone(&parts.challenges));
    Ok(Arc::new(AcmeCa::new(parts.id, &parts.ca.name, settings.try_into()?, keys, challenges, parts.clock.clone())?))
}
