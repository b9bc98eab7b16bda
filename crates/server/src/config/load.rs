//! From the sources to the configuration in effect.

use std::ffi::OsString;
use std::path::PathBuf;

use toml::{Table, Value};

use super::keys::{nearest, overlay, read, take_unknown};
use super::layer::{Layer, find};
use super::problem::{Problem, Problems};
use super::role::Role;
use super::{CaConfig, Complain, Config, StoreConfig, check, project, secret};
use crate::cli::Place;

/// What a configuration is made of.
pub struct Sources {
    place: Place,
    role: Option<Role>,
    variables: Vec<(String, String)>,
    flags: Vec<(&'static str, Value)>,
}

/// A configuration and the file it comes from, if any.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    pub file: Option<PathBuf>,
}

impl Sources {
    /// The process's environment, and where the command line says to look.
    pub fn new(place: &Place) -> Self {
        let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        Self::with_variables(place, std::env::vars_os().filter_map(text).collect())
    }

    /// These variables instead of the process's environment.
    pub(super) fn with_variables(place: &Place, variables: Vec<(String, String)>) -> Self {
        let mut sources = Self { place: place.clone(), role: None, variables, flags: vec![] };
        if let Some(folder) = &place.data_dir {
            sources.flags.push(("data_dir", Value::String(folder.display().to_string())));
        }
        sources
    }

    /// What the process is that is to run with it. Commands are none, and read what any process reads.
    #[must_use]
    pub fn of(mut self, role: Role) -> Self {
        self.role = Some(role);
        self
    }

    /// Adds a flag that sets a key.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: Option<Value>) -> Self {
        self.flags.extend(value.map(|value| (key, value)));
        self
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }

    /// The file to read: named, or in the data folder if it is there.
    fn file(&self) -> Option<PathBuf> {
        let named = |name| self.variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(file) = self.place.config.clone().or_else(|| named("BAILEY_CONFIG")) {
            return Some(file);
        }
        let folder = self.place.data_dir.clone().or_else(|| named("BAILEY_DATA_DIR"));
        let file = Config::default_file(&folder.unwrap_or_else(crate::folder::default_data_dir));
        file.exists().then_some(file)
    }
}

/// Reads, merges and checks everything.
///
/// # Errors
/// All that is wrong, not just the first.
pub fn load(sources: &Sources) -> Result<Loaded, Problems> {
    let mut problems = Problems::default();
    let defaults = Table::try_from(Config::default()).unwrap_or_default();
    let file = sources.file();

    let mut layers: Vec<Layer> = file.iter().map(|file| Layer::file(file, &mut problems)).collect();
    layers.push(Layer::environment(sources.variables.clone(), &defaults));
    layers.push(Layer::command_line(sources.flags.clone()));
    let mut merged = defaults.clone();
    for layer in &mut layers {
        for path in take_unknown(&mut layer.table, &defaults) {
            let meant: Vec<String> = nearest(&path, &defaults).split('.').map(str::to_owned).collect();
            let key = layer.origin.key(&path);
            let complaint = format!("no such key, did you mean `{}`?", layer.origin.key(&meant));
            problems.add(Problem::of(format_args!("{}: {key}", layer.origin), complaint));
        }
        if let Some(role) = sources.role {
            for path in role.unread(&layer.table, &defaults) {
                let place = format_args!("{}: {}", layer.origin, layer.origin.key(&path));
                problems.add(Problem::of(place, role.refusal()));
            }
        }
        overlay(&mut merged, &layer.table);
    }

    let place = |path: &[String]| match layers.iter().rev().find(|layer| find(&layer.table, path).is_some()) {
        Some(layer) => format!("{}: {}", layer.origin, layer.origin.key(path)),
        None => path.join("."),
    };
    secret::resolve(
        &mut merged,
        |name| sources.variable(name),
        |path, complaint| problems.add(Problem::of(place(path), complaint)),
    );
    let (entries, cas, projects) = (merged.remove("stores"), merged.remove("cas"), merged.remove("projects"));
    let config = read(merged, &defaults, |path, complaint| problems.add(Problem::of(place(path), complaint)));
    let stores =
        read_entries("stores", entries, place, &mut problems, |entry, complain| StoreConfig::read(entry, complain));
    let cas = read_entries("cas", cas, place, &mut problems, |entry, complain| CaConfig::read(entry, complain));
    let projects = project::read_all(projects, |path, complaint| problems.add(Problem::of(place(path), complaint)));

    let Some(mut config): Option<Config> = config else { return Err(problems) };
    config.stores = stores;
    config.cas = cas;
    config.projects = projects;
    config.fill_in();
    check::check(&config, sources.role, &mut problems);
    if problems.is_empty() { Ok(Loaded { config, file }) } else { Err(problems) }
}

/// Reads a list of tables that each have keys of their kind.
fn read_entries<T>(
    list: &str,
    entries: Option<Value>,
    place: impl Fn(&[String]) -> String,
    problems: &mut Problems,
    read: fn(Table, &mut Complain<'_>) -> Option<T>,
) -> Vec<T> {
    let place = place(&[list.to_owned()]);
    let Some(Value::Array(entries)) = entries else {
        problems.add(Problem::of(place, format!("not a list of tables: write each as [[{list}]]")));
        return Vec::new();
    };
    let mut all = Vec::new();
    for (index, entry) in entries.into_iter().enumerate() {
        let Value::Table(entry) = entry else {
            let complaint = format!("not a table: write it as [[{list}]]");
            problems.add(Problem::of(format_args!("{place}[{index}]"), complaint));
            continue;
        };
        all.extend(read(entry, &mut |key, complaint| {
            problems.add(Problem::of(format_args!("{place}[{index}].{key}"), complaint));
        }));
    }
    all
}
