//! One configured secret store: what all kinds have in common, and the keys of its kind.

use std::fmt;

use bailey_core::ids::StoreId;
use serde::{Deserialize, Serialize, Serializer};
use toml::{Table, Value};

use super::blank;
use super::keys::{nearest, overlay, read, take_unknown};
use crate::assemble::{STORE_KINDS, StoreKind};

/// Takes a key and what is wrong with its value.
pub type Complain<'a> = dyn FnMut(&str, String) + 'a;

/// A `[[stores]]` entry.
#[derive(Clone, PartialEq)]
pub struct StoreConfig {
    /// Permanent; the name decides which store it is if there is none.
    pub id: Option<StoreId>,
    pub name: String,
    pub kind: String,
    pub default: bool,
    /// The keys of the kind, every one of them, checked.
    pub settings: Table,
}

/// As it is printed.
#[derive(Serialize)]
struct Printed<'a> {
    #[serde(with = "blank")]
    id: Option<StoreId>,
    name: &'a str,
    kind: &'a str,
    default: bool,
    #[serde(flatten)]
    settings: Table,
}

/// Secrets are hidden; where one is, is told.
impl Serialize for StoreConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut settings = self.settings.clone();
        hide(&mut settings, self.kind().map_or(&[], |kind| kind.secrets));
        let Self { id, name, kind, default, .. } = self;
        Printed { id: *id, name, kind, default: *default, settings }.serialize(serializer)
    }
}

/// Without the settings: there may be a PIN among them.
impl fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreConfig").field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What every entry has.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Common {
    #[serde(with = "blank")]
    id: Option<StoreId>,
    name: String,
    kind: String,
    default: bool,
}

impl StoreConfig {
    /// The store that is there without any configuration.
    pub fn built_in() -> Self {
        let kind = &STORE_KINDS[0];
        let (name, settings) = (kind.name.to_owned(), (kind.defaults)());
        Self { id: None, kind: name.clone(), name, default: true, settings }
    }

    /// The kind with its functions.
    pub fn kind(&self) -> Option<&'static StoreKind> {
        STORE_KINDS.iter().find(|kind| kind.name == self.kind)
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
            complain("name", "every store needs a name of letters, digits, `.`, `_` and `-`".to_owned());
        }
        let mut all = defaults.clone();
        overlay(&mut all, &entry);
        (kind.check)(&all, &mut complain);
        let common: Common =
            read(all.clone(), &defaults, |path, complaint| complain(&path.join("."), complaint.into()))?;
        all.retain(|key, _| !matches!(key, "id" | "name" | "kind" | "default"));
        Some(Self { id: common.id, name: common.name, kind: common.kind, default: common.default, settings: all })
    }
}

fn kind_of(entry: &Table, complain: &mut impl FnMut(&str, String)) -> Option<&'static StoreKind> {
    let names = || STORE_KINDS.iter().map(|kind| format!("`{}`", kind.name)).collect::<Vec<_>>().join(", ");
    let Some(name) = entry.get("kind").and_then(Value::as_str) else {
        complain("kind", format!("every store needs one of {}", names()));
        return None;
    };
    let kind = STORE_KINDS.iter().find(|kind| kind.name == name);
    if kind.is_none() {
        complain("kind", format!("no such kind of store, there is {}", names()));
    }
    kind
}

/// Hides the values of these keys, but not where they are.
pub(super) fn hide(settings: &mut Table, secrets: &[&str]) {
    for key in secrets {
        match settings.get_mut(*key) {
            Some(Value::Table(inner)) => {
                let keys: Vec<String> = inner.keys().filter(|key| *key != "kind").cloned().collect();
                hide(inner, &keys.iter().map(String::as_str).collect::<Vec<_>>());
            }
            Some(Value::String(secret))
                if !(secret.is_empty() || secret.starts_with("file:") || secret.starts_with("env:")) =>
            {
                "***".clone_into(secret);
            }
            _ => {}
        }
    }
}

/// A store's is part of its key file's name.
pub(super) fn is_name(name: &Value) -> bool {
    name.as_str().is_some_and(|name| {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        !name.is_empty() && !name.starts_with('.') && name.len() <= 64 && name.chars().all(good)
    })
}
