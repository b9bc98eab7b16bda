//! What the configuration decides of single projects.

use std::collections::BTreeMap;

use bailey_core::ids::ProjectId;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::keys::{nearest, overlay, read, take_unknown};

/// A `[projects.P]` entry.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectConfig {
    /// Name of the store where its new payloads go, whatever it prefers. Blank: not decided here.
    pub store: String,
}

/// All entries, by project.
pub type Projects = BTreeMap<ProjectId, ProjectConfig>;

/// Reads every entry; everything wrong with them goes to `complain`, with the path concerned.
pub fn read_all(entries: Option<Value>, mut complain: impl FnMut(&[String], String)) -> Projects {
    let root = || "projects".to_owned();
    let Some(Value::Table(entries)) = entries else {
        complain(&[root()], "not a table: write each project as [projects.ID]".to_owned());
        return Projects::new();
    };
    let defaults = Table::try_from(ProjectConfig::default()).unwrap_or_default();
    let mut projects = Projects::new();
    for (name, entry) in entries {
        let path = [root(), name.clone()];
        let (id, mut entry) = match (ProjectId::new(name), entry) {
            (Ok(id), Value::Table(entry)) => (id, entry),
            (Err(error), _) => {
                complain(&path, error.to_string());
                continue;
            }
            (Ok(_), _) => {
                complain(&path, "not a table: write it as [projects.ID]".to_owned());
                continue;
            }
        };
        let mut complain = |below: &[String], complaint: String| complain(&[&path[..], below].concat(), complaint);
        for unknown in take_unknown(&mut entry, &defaults) {
            complain(&unknown, format!("no such key, did you mean `{}`?", nearest(&unknown, &defaults)));
        }
        let mut all = defaults.clone();
        overlay(&mut all, &entry);
        let read = read(all, &defaults, |below, complaint| complain(below, complaint.to_owned()));
        projects.extend(read.map(|read| (id, read)));
    }
    projects
}
