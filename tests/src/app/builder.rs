//! How a Bailey is to be started.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use anyhow::Result;
use bailey_testkit::postgres::Postgres;

use crate::app::split::{Split, free_address};
use crate::app::store::Token;
use crate::app::{Role, Store, TestApp};

const DATA_DIR: &str = "BAILEY_DATA_DIR";
pub(super) const DATABASE_URL: &str = "BAILEY_DATABASE__URL";
pub(super) const VAULT_URL: &str = "BAILEY_VAULT__URL";

/// Which database Bailey keeps its metadata and its vault in, and in how many processes it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// Files in the data folder.
    Sqlite,
    /// Two databases of the test program's server.
    Postgres,
    /// The same, behind a worker that an API process asks over NATS.
    Split,
}

impl Database {
    /// Both kinds, for tests that run on each.
    pub const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];

    /// Every way there is, for tests of what the queue has to carry.
    pub const APART_TOO: [Self; 3] = [Self::Sqlite, Self::Postgres, Self::Split];
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Split => "split",
        })
    }
}

/// How a [`TestApp`] is to be started.
#[derive(Debug)]
pub struct Builder {
    database: Database,
    tokens: bool,
    settings: Vec<(String, String)>,
    file: Option<String>,
    store: Store,
    /// Keys of the store's block beside those that name its token.
    store_settings: String,
    postgres: Option<Arc<Postgres>>,
    token: Option<Arc<Token>>,
}

impl Builder {
    pub(super) fn new(database: Database) -> Self {
        Self {
            database,
            tokens: false,
            settings: Vec::new(),
            file: None,
            store: Store::chosen(),
            store_settings: String::new(),
            postgres: None,
            token: None,
        }
    }

    pub(super) fn beside(app: &TestApp) -> Self {
        let shared = app.settings.iter().filter(|(name, _)| name != DATA_DIR).cloned().collect();
        let shared =
            Self { settings: shared, tokens: app.tokens, postgres: app.postgres.clone(), ..Self::new(app.database) };
        // Its file, too, is shared.
        Self { token: app.token.clone(), store: Store::Simple, ..shared }
            .set(DATABASE_URL, &app.database_url())
            .set(VAULT_URL, &app.vault_url())
            .set("BAILEY_KEYS_DIR", &app.data_dir().join("keys").display().to_string())
    }

    /// Authenticates by static tokens instead of believing identity headers.
    #[must_use]
    pub fn with_tokens(mut self) -> Self {
        self.tokens = true;
        self
    }

    /// Sets an environment variable, such as `BAILEY_LIMITS__BODY`.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Configures what only a file can say, such as several stores.
    #[must_use]
    pub fn file(mut self, text: &str) -> Self {
        self.file = Some(text.to_owned());
        self
    }

    /// Has payloads go to a store of this kind, unless a configuration file says where they go.
    #[must_use]
    pub fn store(mut self, store: Store) -> Self {
        self.store = store;
        self
    }

    /// Sets keys of the store's block, where its keys are in a token.
    #[must_use]
    pub fn store_settings(mut self, lines: &str) -> Self {
        self.store_settings.push_str(lines);
        self
    }

    /// Uses this server instead of the test program's: it may be killed.
    #[must_use]
    pub fn on_postgres(mut self, postgres: Arc<Postgres>) -> Self {
        self.postgres = Some(postgres);
        self
    }

    /// Makes data folder and databases, without starting anything.
    ///
    /// # Errors
    /// When the database server is missing.
    pub fn prepare(self) -> Result<TestApp> {
        let folder = tempfile::Builder::new().prefix("bailey-test-").tempdir()?;
        let mut settings = vec![(DATA_DIR.to_owned(), folder.path().join("data").display().to_string())];
        let has_own_stores = self.file.as_ref().is_some_and(|text| text.contains("[[stores]]"));
        let token = match self.token {
            Some(token) => Some(token),
            None if has_own_stores => None,
            None => Token::start(self.store)?.map(Arc::new),
        };
        let block = token.as_ref().filter(|_| self.store != Store::Simple).map(|token| {
            settings.extend(token.settings());
            token.block(&self.store_settings)
        });
        let block = block.transpose()?;
        if self.file.is_some() || block.is_some() {
            let text = self.file.unwrap_or_default() + &block.unwrap_or_default();
            let file = folder.path().join("bailey.toml");
            std::fs::write(&file, text)?;
            settings.push(("BAILEY_CONFIG".to_owned(), file.display().to_string()));
        }
        let postgres = match self.database {
            Database::Sqlite => None,
            Database::Postgres | Database::Split => Some(self.postgres.map_or_else(Postgres::shared, Ok)?),
        };
        let is_set = self.settings.iter().any(|(name, _)| name == DATABASE_URL);
        if let Some(server) = postgres.as_ref().filter(|_| !is_set) {
            settings.push((DATABASE_URL.to_owned(), server.create_database()?));
            settings.push((VAULT_URL.to_owned(), server.create_database()?));
        }
        let split = match self.database {
            Database::Sqlite | Database::Postgres => None,
            Database::Split => Some(Split::prepare(&folder)?),
        };
        settings.extend(self.settings);
        let mut app = TestApp {
            nodes: Vec::new(),
            address: free_address(),
            tokens: self.tokens,
            database: self.database,
            settings,
            projects: AtomicU32::new(0),
            postgres,
            split,
            token,
            folder,
        };
        app.nodes = match self.database {
            Database::Sqlite | Database::Postgres => vec![app.node(Role::Serve, app.address)],
            Database::Split => vec![app.node(Role::Worker, free_address()), app.node(Role::Api, app.address)],
        };
        Ok(app)
    }

    /// Starts Bailey and waits until its health is good.
    ///
    /// # Errors
    /// When it isn't in time; the error carries its log.
    pub fn start(self) -> Result<TestApp> {
        let needs_keys = self.token.is_none();
        let app = self.prepare()?;
        if needs_keys && app.token.as_ref().is_some_and(|token| token.holds_keys()) {
            app.make_token_keys()?;
        }
        app.restart()?;
        Ok(app)
    }
}
