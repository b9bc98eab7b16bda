//! One configured certificate authority: what all kinds have in common, and the keys of its kind.

use std::fmt;

use bailey_core::certificate::LONGEST_RENEW_BEFORE;
use bailey_core::ids::{CaId, ProjectId};
use serde::{Deserialize, Serialize, Serializer};
use toml::{Table, Value};

use super::blank;
use super::keys::{nearest, overlay, read, take_unknown};
use super::store::{hide, is_name};
use crate::assemble::{CA_KINDS, CaKind};

/// A `[[cas]]` entry.
#[derive(Clone, PartialEq)]
pub struct CaConfig {
    /// Permanent; the name decides which CA it is if there is none.
    pub id: Option<CaId>,
    pub name: String,
    pub kind: String,
    pub description: String,
    /// The name of the store that has its keys; the default store, if blank.
    pub store: String,
    /// How many hours before they end its certificates are renewed whose orders don't say; 0 for never.
    pub renew_before: u32,
    /// The projects that it serves; blank for all.
    pub projects: Vec<ProjectId>,
    /// The keys of the kind, every one of them, checked.
    pub settings: Table,
}

/// What every entry has.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Common {
    #[serde(with = "blank")]
    id: Option<CaId>,
    name: String,
    kind: String,
    description: String,
    store: String,
    renew_before: u32,
    projects: Vec<ProjectId>,
}

/// As it is printed.
#[derive(Serialize)]
struct Printed {
    #[serde(flatten)]
    common: Common,
    #[serde(flatten)]
    settings: Table,
}

/// Secrets are hidden; where one is, is told.
impl Serialize for CaConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut settings = self.settings.clone();
        hide(&mut settings, self.kind().map_or(&[], |kind| kind.secrets));
        let Self { id, name, kind, description, store, renew_before, projects, .. } = self.clone();
        let common = Common { id, name, kind, description, store, renew_before, projects };
        Printed { common, settings }.serialize(serializer)
    }
}

/// Without the settings: there may be a secret among them.
impl fmt::Debug for CaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaConfig").field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl CaConfig {
    /// The kind with its functions.
    pub fn kind(&self) -> Option<&'static CaKind> {
        CA_KINDS.iter().find(|kind| kind.name == self.kind)
    }

    /// Reads an entry; everything wrong with it goes to `complain`, with the key concerned.
    pub fn read(mut entry: Table, mut complain: impl FnMut(&str, String)) -> Option<Self> {
        let kind = kind_of(&entry, &mut complain)?;
        let mut defaults = (kind.defaults)();
        overlay(&mut defaults, &Table::try_from(Common::default()).unwrap_or_default());
        for path in take_unknown(&mut entry, &defaults) {
            complain(&path.join("."), format!("no such key, did you mean `{}`?", nearest(&path, &defaults)));
        }
        if !entry.get("name").is_some_and(is_name) {
            complain("name", "every CA needs a name of letters, digits, `.`, `_` and `-`".to_owned());
        }
        let mut all = defaults;
        overlay(&mut all, &entry);
        let mut common = Table::try_from(Common::default()).unwrap_or_default();
        let defaults = common.clone();
        for key in defaults.keys() {
            common.extend(all.remove(key).map(|value| (key.clone(), value)));
        }
        (kind.check)(&all, &mut complain);
        let common: Common = read(common, &defaults, |path, complaint| complain(&path.join("."), complaint.into()))?;
        let Common { id, name, kind, description, store, renew_before, projects } = common;
        if renew_before > LONGEST_RENEW_BEFORE {
            complain("renew_before", format!("hours, must be from 0 to {LONGEST_RENEW_BEFORE}"));
        }
        Some(Self { id, name, kind, description, store, renew_before, projects, settings: all })
    }
}

fn kind_of(entry: &Table, complain: &mut impl FnMut(&str, String)) -> Option<&'static CaKind> {
    let names = || CA_KINDS.iter().map(|kind| format!("`{}`", kind.name)).collect::<Vec<_>>().join(", ");
    let Some(name) = entry.get("kind").and_then(Value::as_str) else {
        complain("kind", format!("every CA needs one of {}", names()));
        return None;
    };
    let kind = CA_KINDS.iter().find(|kind| kind.name == name);
    if kind.is_none() {
        complain("kind", format!("no such kind of CA, there is {}", names()));
    }
    kind
}
