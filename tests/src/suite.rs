//! How a test program runs its cases: by name, in parallel, each on both databases.

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Trial};

use crate::app::{Database, Store, TestApp};

/// A named case that shares a running Bailey in no-auth mode with others. It takes a project of its
/// own by [`TestApp::client`].
pub type SharedCase = (&'static str, fn(&TestApp));

/// A named case that starts what it needs.
pub type OwnCase = (&'static str, fn(Database));

/// Pairs functions with their names: `cases![first, second]`.
#[macro_export]
macro_rules! cases {
    ($($case:ident),* $(,)?) => { &[$((stringify!($case), $case)),*] };
}

/// The cases of a test program.
#[derive(Debug, Default)]
pub struct Suite {
    trials: Vec<Trial>,
    servers: Arc<Servers>,
}

impl Suite {
    /// Adds cases that share one Bailey on each database.
    #[must_use]
    pub fn shared(self, module: &str, cases: &[SharedCase]) -> Self {
        self.share(&Database::ALL, module, cases)
    }

    fn share(mut self, databases: &[Database], module: &str, cases: &[SharedCase]) -> Self {
        for database in databases.iter().copied() {
            for (name, case) in cases.iter().copied() {
                let servers = Arc::clone(&self.servers);
                self.add(format!("{database}::{module}::{name}"), move || case(servers.get(database)));
            }
        }
        self
    }

    /// Adds cases that start a Bailey of their own on each database.
    #[must_use]
    pub fn own(self, module: &str, cases: &[OwnCase]) -> Self {
        self.give_own(&Database::ALL, module, cases)
    }

    fn give_own(mut self, databases: &[Database], module: &str, cases: &[OwnCase]) -> Self {
        for database in databases.iter().copied() {
            for (name, case) in cases.iter().copied() {
                self.add(format!("{database}::{module}::{name}"), move || case(database));
            }
        }
        self
    }

    /// Adds cases that share one Bailey in each way there is, in several processes too.
    #[must_use]
    pub fn shared_apart_too(self, module: &str, cases: &[SharedCase]) -> Self {
        self.share(&Database::APART_TOO, module, cases)
    }

    /// Adds cases that start a Bailey of their own in each way there is, in several processes too.
    #[must_use]
    pub fn own_apart_too(self, module: &str, cases: &[OwnCase]) -> Self {
        self.give_own(&Database::APART_TOO, module, cases)
    }

    /// Adds the shared cases again, on the other stores: what touches payloads is to be the same there. One
    /// database will do.
    #[must_use]
    pub fn shared_on_others_too(mut self, module: &str, cases: &[SharedCase]) -> Self {
        for store in others() {
            for (name, case) in cases.iter().copied() {
                let servers = Arc::clone(&self.servers);
                self.add(format!("{store}::{module}::{name}"), move || case(servers.on(store)));
            }
        }
        self
    }

    /// The same of cases that start a Bailey of their own.
    #[must_use]
    pub fn own_on_others_too(mut self, module: &str, cases: &[OwnCase]) -> Self {
        for store in others() {
            for (name, case) in cases.iter().copied() {
                self.add(format!("{store}::{module}::{name}"), move || store.run(|| case(Database::Sqlite)));
            }
        }
        self
    }

    /// Adds cases that need no database or choose it themselves.
    #[must_use]
    pub fn once(mut self, module: &str, cases: &[(&'static str, fn())]) -> Self {
        for (name, case) in cases.iter().copied() {
            self.add(format!("{module}::{name}"), case);
        }
        self
    }

    /// Runs what the command line asks for; every server is stopped before it returns.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let Self { trials, servers } = self;
        // From here on the cases alone keep the servers, so the last one to end stops them.
        drop(servers);
        libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
    }

    fn add(&mut self, name: String, case: impl FnOnce() + Send + 'static) {
        self.trials.push(Trial::test(name, move || {
            case();
            Ok(())
        }));
    }
}

/// None when everything is run on one store anyway.
fn others() -> impl Iterator<Item = Store> {
    Store::OTHERS.into_iter().filter(|_| Store::of_all().is_none())
}

/// The servers that cases share, started by the first that asks.
#[derive(Debug, Default)]
struct Servers {
    sqlite: OnceLock<TestApp>,
    postgres: OnceLock<TestApp>,
    split: OnceLock<TestApp>,
    softhsm: OnceLock<TestApp>,
    kryoptic: OnceLock<TestApp>,
    kmip: OnceLock<TestApp>,
}

impl Servers {
    fn get(&self, database: Database) -> &TestApp {
        let server = match database {
            Database::Sqlite => &self.sqlite,
            Database::Postgres => &self.postgres,
            Database::Split => &self.split,
        };
        server.get_or_init(|| TestApp::shared(database).unwrap_or_else(|error| panic!("{error:#}")))
    }

    fn on(&self, store: Store) -> &TestApp {
        let server = match store {
            Store::Simple => return self.get(Database::Sqlite),
            Store::SoftHsm => &self.softhsm,
            Store::Kryoptic => &self.kryoptic,
            Store::Kmip => &self.kmip,
        };
        let start = || TestApp::builder(Database::Sqlite).store(store).start();
        server.get_or_init(|| start().unwrap_or_else(|error| panic!("{error:#}")))
    }
}

/// How much larger kill loops and random runs are than what fits into every run:
/// `BAILEY_TEST_SCALE`, 1 by default.
///
/// # Panics
/// When it is no positive number.
#[must_use]
pub fn scale() -> u32 {
    let scale = std::env::var("BAILEY_TEST_SCALE").map_or(Ok(1), |scale| scale.parse());
    scale.ok().filter(|scale| *scale > 0).expect("BAILEY_TEST_SCALE is a positive number")
}
