//! `kind = "local"`: a CA of Bailey's own.

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, ensure};
use bailey_ca_plugin::local::{Config as PluginConfig, LocalCa, Parts, SoftwareKeys};
use bailey_core::ca::{CertificateAuthority, SigningKeys};
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
    let signing: Arc<dyn SigningKeys> = if config.in_token {
        let hsm = parts.hsm.with_context(|| format!("the store `{}` has no token", parts.ca.store))?;
        hsm.signing_keys(format!("bailey-ca {} ", parts.id))
    } else {
        Arc::new(SoftwareKeys(Arc::clone(&keys)))
    };
    let (ledger, clock) = (Arc::clone(&parts.ledger), parts.clock.clone());
    let made = LocalCa::new(parts.id, &parts.ca.name, &config, Parts { keys, signing, ledger, clock });
    Ok((made.map_err(|complaint| anyhow!(complaint))?, config))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bailey_ca_plugin::local::ProfileConfig;
    use toml::Value;

    use super::*;
    use crate::config::CaConfig;

    fn example() -> Table {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/examples/ca.toml");
        let mut file: Table = std::fs::read_to_string(file).unwrap().parse().unwrap();
        file.remove("cas").unwrap().as_array().unwrap()[0].as_table().unwrap().clone()
    }

    fn complaints(entry: Table) -> Vec<String> {
        let mut complaints = Vec::new();
        CaConfig::read(entry, |key, _| complaints.push(key.to_owned()));
        complaints
    }

    #[test]
    fn the_example_has_every_key_with_its_default() {
        let mut example = example();
        assert_eq!(complaints(example.clone()), Vec::<String>::new());
        for key in ["id", "name", "kind", "description", "store", "renew_before", "projects"] {
            example.remove(key).unwrap();
        }
        let profile = example.insert("profiles".to_owned(), Value::Array(Vec::new())).unwrap();
        let mut profile = profile.as_array().unwrap()[0].as_table().unwrap().clone();
        example.insert("subject".to_owned(), Value::String(String::new()));
        assert_eq!(example, defaults());
        profile.insert("dns".to_owned(), Value::Array(Vec::new()));
        assert_eq!(profile, Table::try_from(ProfileConfig::default()).unwrap());
    }

    #[test]
    fn everything_wrong_is_told_by_its_key() {
        let mut entry = example();
        let wrong = "name = \"a b\"\nsubject = \"nothing\"\nvalid_days = 0\ncrl_days = 366\nkinds = 1\nrenew_before = 87841\n\
                     public_url = \"https://keys.example.org\"\nprojects = [\"\"]\nprofiles = [{ name = \"a\", ip = [\"x\"] }]";
        let wrong: Table = wrong.parse().unwrap();
        entry.extend(wrong.clone());
        let (mut told, mut expected) = (complaints(entry), wrong.keys().cloned().collect::<Vec<_>>());
        told.sort();
        expected.sort();
        assert_eq!(told, expected);
    }
}
