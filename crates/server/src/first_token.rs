//! The first admin token. It is in a file before the database knows it and until the operator has
//! seen it, so that no death in between loses it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use bailey_auth::token;
use bailey_core::audit::AuditSink;
use bailey_core::clock::Clock;
use bailey_core::ids::{ProjectId, UserId};
use bailey_core::sensitive::SecretText;
use bailey_db::installation;

use crate::assemble::{Databases, Obstacle};
use crate::audit_sink::operator_event;

const FILE: &str = "admin.token";
const ROLES: [&str; 2] = ["admin", "key-manager:service-admin"];

/// The token that the first start makes.
#[derive(Debug)]
pub struct FirstToken {
    text: SecretText,
    path: PathBuf,
}

impl FirstToken {
    /// Makes it and leaves it in a file of the folder; `None` if some process has made one before.
    ///
    /// # Errors
    /// When the file can't be written, or the database can't be asked: then the file stays, since the
    /// database may have the token nevertheless.
    pub async fn make(
        databases: &Databases,
        audit: &dyn AuditSink,
        clock: &Clock,
        folder: &Path,
    ) -> Result<Option<Self>, Obstacle> {
        let user = UserId::new("admin").map_err(anyhow::Error::from)?;
        let project = ProjectId::new("default").map_err(anyhow::Error::from)?;
        let roles = ROLES.map(str::to_owned).to_vec();
        let now = clock.now();
        let (token, text) = token::generate(user, project, roles, now, None).map_err(anyhow::Error::from)?;
        let first = Self { text, path: folder.join(FILE) };
        first.write().with_context(|| format!("the admin token can't be written to {}", first.path.display()))?;

        let (target, token) = (format!("tokens/{}", token.id), Arc::new(token));
        let insert = databases.db.write(move |tx| {
            let token = Arc::clone(&token);
            Box::pin(async move {
                let is_first = installation::mark_admin_token_made(tx).await?;
                if is_first {
                    bailey_db::token::insert(tx, &token).await?;
                }
                Ok::<_, bailey_db::Error>(is_first)
            })
        });
        if !insert.await? {
            first.remove_file()?;
            return Ok(None);
        }
        let event = operator_event(now, "token create", Some(target), None);
        audit.write(&event).map_err(anyhow::Error::from)?;
        audit.settle().await.context("the audit event of the first token is not written")?;
        Ok(Some(first))
    }

    /// The token itself.
    #[must_use]
    pub const fn text(&self) -> &SecretText {
        &self.text
    }

    /// The file it is in.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file: the operator has seen the token, or it is worth nothing.
    ///
    /// # Errors
    /// When it can't be removed.
    pub fn remove_file(self) -> Result<()> {
        fs::remove_file(&self.path).with_context(|| format!("{} can't be removed", self.path.display()))
    }

    /// Durable when it returns. A file that is there is of a start that died; it is replaced, for its
    /// mode may be another one.
    fn write(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path)?;
        file.write_all(format!("{}\n", self.text.expose()).as_bytes())?;
        file.sync_all()?;
        self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::audit_sink::{self, AuditConfig};
    use crate::config::Config;

    struct Case {
        folder: tempfile::TempDir,
        databases: Databases,
        audit: Arc<dyn AuditSink>,
    }

    impl Case {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let url = |name| bailey_db::Config::new(format!("sqlite://{}/{name}.db", folder.path().display()));
            let config = Config { database: url("metadata"), vault: url("vault"), ..Config::default() };
            let databases = Databases::connect(&config).await.unwrap();
            databases.migrate().await.unwrap();
            let clock = Clock::system();
            let create = databases.db.write(move |tx| Box::pin(installation::get_or_create(tx, clock.now())));
            create.await.unwrap();
            let audit = AuditConfig { path: folder.path().join("audit.log"), ..AuditConfig::default() };
            Self { audit: audit_sink::open(&audit).unwrap(), folder, databases }
        }

        async fn make(&self, folder: &Path) -> Result<Option<FirstToken>, Obstacle> {
            FirstToken::make(&self.databases, self.audit.as_ref(), &Clock::system(), folder).await
        }
    }

    #[tokio::test]
    async fn it_is_made_once_and_stays_in_its_file_until_it_was_seen() {
        let (case, other) = (Case::new().await, tempfile::tempdir().unwrap());
        let first = case.make(case.folder.path()).await.unwrap().unwrap();
        let path = case.folder.path().join(FILE);
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", first.text().expose()));
        assert!(case.make(other.path()).await.unwrap().is_none());
        assert!(!other.path().join(FILE).exists(), "another machine's start leaves no token that is none");
        assert_eq!(bailey_db::token::list(case.databases.db.reader()).await.unwrap().len(), 1);
        first.remove_file().unwrap();
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn it_is_in_its_file_before_the_database_has_it() {
        let case = Case::new().await;
        case.databases.close().await;
        assert!(case.make(case.folder.path()).await.is_err());
        assert!(fs::read_to_string(case.folder.path().join(FILE)).unwrap().contains('.'));
    }

    #[tokio::test]
    async fn what_a_start_that_died_left_is_replaced_and_closed_to_others() {
        let case = Case::new().await;
        let path = case.folder.path().join(FILE);
        fs::write(&path, "a token that never was one, and longer than any").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let first = case.make(case.folder.path()).await.unwrap().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", first.text().expose()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
