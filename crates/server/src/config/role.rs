//! Which process reads which keys. What it doesn't read it must not have: an API process that holds a
//! password is worth a burglary.

use clap::ValueEnum;
use toml::{Table, Value};

use super::layer::find;

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Both of the others at once.
    Serve,
    /// Serves the API, and asks workers for everything.
    Api,
    /// Does what API processes ask for.
    Worker,
}

use Role::{Api, Serve, Worker};

const ALL: &[Role] = &[Serve, Api, Worker];
const SERVES_API: &[Role] = &[Serve, Api];
const WORKS: &[Role] = &[Serve, Worker];
const APART: &[Role] = &[Api, Worker];

/// Who reads a key, or all keys below it; what stands deeper goes before.
const READERS: &[(&str, &[Role])] = &[
    // Where the configuration file is, if nothing else.
    ("data_dir", ALL),
    ("log", ALL),
    ("metrics", ALL),
    ("queue", ALL),
    ("traces", ALL),
    // What workers tell of renewals has hrefs, too.
    ("host_href", ALL),
    // A worker answers supervisors, too.
    ("http.health_seconds", ALL),
    ("queue.key_file", APART),
    ("queue.nats", APART),
    ("cors", SERVES_API),
    ("http", SERVES_API),
    ("limits", SERVES_API),
    ("listen", SERVES_API),
    ("tls", SERVES_API),
    ("api", WORKS),
    ("audit", WORKS),
    ("auth", WORKS),
    ("cache", WORKS),
    ("compat", WORKS),
    ("database", WORKS),
    ("generation", WORKS),
    ("keys_dir", WORKS),
    ("orders", WORKS),
    ("policy", WORKS),
    ("projects", WORKS),
    ("quotas", WORKS),
    ("renewal", WORKS),
    ("stores", WORKS),
    ("cas", WORKS),
    ("vault", WORKS),
    ("worker", WORKS),
];

impl Role {
    /// Whether it serves the API.
    #[must_use]
    pub fn serves_api(self) -> bool {
        SERVES_API.contains(&self)
    }

    /// Whether it works, with databases and keys.
    #[must_use]
    pub fn works(self) -> bool {
        WORKS.contains(&self)
    }

    /// The keys of `table` that it doesn't read, unless they are as they are by default.
    pub fn unread(self, table: &Table, defaults: &Table) -> Vec<Vec<String>> {
        let mut unread = leaves(table);
        unread.retain(|path| !reads(self, path) && find(table, path) != find(defaults, path));
        unread
    }

    /// What is said of such a key.
    pub const fn refusal(self) -> &'static str {
        match self {
            Api => "an API process must not hold it: it is the workers'",
            Worker => "a worker doesn't read it: it is the API's",
            Serve => "only `bailey api` and `bailey worker` read it",
        }
    }
}

fn reads(role: Role, path: &[String]) -> bool {
    let fits = |key: &str| key.split('.').enumerate().all(|(depth, part)| path.get(depth).is_some_and(|p| p == part));
    let deepest = READERS.iter().filter(|(key, _)| fits(key)).max_by_key(|(key, _)| key.len());
    deepest.is_none_or(|(_, roles)| roles.contains(&role))
}

fn leaves(table: &Table) -> Vec<Vec<String>> {
    let below = |(key, value): (&String, &Value)| match value {
        Value::Table(inner) => leaves(inner).into_iter().map(|path| [vec![key.clone()], path].concat()).collect(),
        _ => vec![vec![key.clone()]],
    };
    table.iter().flat_map(below).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::config::Config;

    #[test]
    fn it_is_decided_of_every_key_who_reads_it() {
        let defaults = Table::try_from(Config::default()).unwrap();
        let decided = |key: &String| READERS.iter().any(|(known, _)| known == key);
        let undecided: Vec<&String> = defaults.keys().filter(|key| !decided(key)).collect();
        assert!(undecided.is_empty(), "{undecided:?}");
        for (key, _) in READERS {
            let path: Vec<String> = key.split('.').map(str::to_owned).collect();
            assert!(find(&defaults, &path).is_some(), "there is no key {key}");
        }
    }
}
