//! A migrated database of each engine, and things to put in it.

use std::sync::Arc;

use bailey_core::container::{Container, ContainerType};
use bailey_core::ids::{ContainerId, MasterKeyId, ProjectId, SecretId, StoreId, UserId, WriteId};
use bailey_core::secret::Secret;
use bailey_core::spec::{ContentType, SecretType, Spec};
use bailey_db::{BoxFuture, Config, Db, Error, Placement, Tx, container, secret, store};
use bailey_migrations::{Schema, migrate};
use bailey_testkit::postgres::Postgres;
use chrono::{DateTime, TimeDelta, Utc};

/// A migrated, empty database.
pub struct Fixture {
    pub db: Db,
    pub store: StoreId,
    _home: Home,
}

enum Home {
    Folder { _folder: tempfile::TempDir },
    Server { _server: Arc<Postgres> },
}

impl Fixture {
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/metadata.db", folder.path().display());
        Self::at(url, Home::Folder { _folder: folder }).await
    }

    pub async fn postgres() -> Self {
        let (server, url) = tokio::task::spawn_blocking(|| {
            let server = Postgres::shared().unwrap();
            let url = server.create_database().unwrap();
            (server, url)
        })
        .await
        .unwrap();
        Self::at(url, Home::Server { _server: server }).await
    }

    async fn at(url: String, home: Home) -> Self {
        let db = Db::connect(&Config::new(url)).await.unwrap();
        migrate(Schema::Metadata, db.schema_connection()).await.unwrap();
        let store = db.write(|tx| Box::pin(store::register(tx, "main", "simple", None, at(0)))).await.unwrap();
        Self { db, store, _home: home }
    }

    /// A transaction that is expected to succeed.
    pub async fn write<F, T>(&self, closure: F) -> T
    where
        F: for<'t> FnMut(&'t Tx) -> BoxFuture<'t, Result<T, Error>> + Send + 'static,
        T: Send + 'static,
    {
        self.db.write(closure).await.unwrap()
    }

    pub async fn insert(&self, secret: &Secret, placement: Option<&Placement>) {
        let (secret, placement) = (secret.clone(), placement.cloned());
        self.write(move |tx| {
            let (secret, placement) = (secret.clone(), placement.clone());
            Box::pin(async move { secret::insert(tx, &secret, placement.as_ref()).await })
        })
        .await;
    }

    /// A new secret with a payload.
    pub async fn placed(&self, project: &str) -> (Secret, Placement) {
        let placement = self.placement();
        let secret = Secret { content_type: placement.content_type, ..empty(project) };
        self.insert(&secret, Some(&placement)).await;
        (secret, placement)
    }

    /// A new container with nothing in it.
    pub async fn container(&self, owner: &str) -> Container {
        let container = Container {
            id: ContainerId::new(),
            project: project(owner),
            creator: Some(user("ann")),
            name: None,
            container_type: ContainerType::Generic,
            created_at: at(0),
            updated_at: at(0),
            secrets: Vec::new(),
            consumers: Vec::new(),
        };
        let inserted = container.clone();
        self.write(move |tx| {
            let inserted = inserted.clone();
            Box::pin(async move { container::insert(tx, &inserted).await })
        })
        .await;
        container
    }

    pub fn placement(&self) -> Placement {
        Placement {
            store: self.store,
            write: WriteId::new(),
            reference: vec![1, 0, 255],
            key: MasterKeyId::new(),
            content_type: Some(ContentType::OctetStream),
        }
    }
}

/// A time, `seconds` after some other.
pub fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 123_456_000).unwrap() + TimeDelta::seconds(seconds)
}

pub fn project(id: &str) -> ProjectId {
    ProjectId::new(id).unwrap()
}

pub fn user(id: &str) -> UserId {
    UserId::new(id).unwrap()
}

/// A secret without a payload, not yet inserted.
pub fn empty(owner: &str) -> Secret {
    Secret {
        id: SecretId::new(),
        project: project(owner),
        creator: Some(user("ann")),
        name: None,
        secret_type: SecretType::Opaque,
        spec: Spec::default(),
        content_type: None,
        expires_at: None,
        created_at: at(0),
        updated_at: at(0),
        consumers: Vec::new(),
    }
}

/// Makes a test of each engine of each function.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::fixture::Fixture::sqlite().await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::fixture::Fixture::postgres().await).await;
            })+
        }
    };
}
pub(crate) use on_both;
