//! A Bailey where it stands in an OpenStack cloud: beside a Keystone, and in its catalog.

use std::process::Command;
use std::sync::Arc;

use anyhow::Result;
use bailey_testkit::clients;
use bailey_testkit::keystone::{Keystone, Scope, User};

use crate::app::{Builder, TestApp};
use crate::http::Client;

/// A Bailey that takes Keystone's tokens.
#[derive(Debug)]
pub struct Cloud {
    /// The Keystone.
    pub keystone: Arc<Keystone>,
    /// The Bailey.
    pub app: TestApp,
    /// As whom it asks Keystone.
    pub service_user: User,
    /// The region in whose catalog it is.
    pub region: String,
}

impl Cloud {
    /// Starts a Bailey that takes the tokens of `keystone`, which it asks as a service user of its own, and puts it
    /// into the catalog.
    ///
    /// # Errors
    /// When it doesn't start, or Keystone doesn't do what it is told.
    pub fn start(keystone: Arc<Keystone>, builder: Builder) -> Result<Self> {
        let service_user = keystone.create_service_user()?;
        let builder = asking(builder, &keystone)
            .set("BAILEY_AUTH__KEYSTONE__USERNAME", &service_user.name)
            .set("BAILEY_AUTH__KEYSTONE__PASSWORD", "env:PASSWORD_OF_THE_SERVICE_USER")
            .set("PASSWORD_OF_THE_SERVICE_USER", &service_user.password);
        let app = builder.start()?;
        let region = keystone.create_key_manager(&app.anonymous().base())?;
        Ok(Self { keystone, app, service_user, region })
    }

    /// A new user with these roles in a project.
    ///
    /// # Errors
    /// When Keystone doesn't make it.
    pub fn member(&self, project: &str, roles: &[&str]) -> Result<Member<'_>> {
        let user = self.keystone.create_user(project, roles)?;
        Ok(Member { cloud: self, project: project.to_owned(), user })
    }

    /// A client that shows this token.
    #[must_use]
    pub fn showing(&self, token: &str) -> Client {
        self.app.anonymous().with("X-Auth-Token", token)
    }
}

/// Has a Bailey take Keystone's tokens too; who asks Keystone is left to say.
#[must_use]
pub fn asking(builder: Builder, keystone: &Keystone) -> Builder {
    let builder = builder.with_tokens().set("BAILEY_AUTH__METHODS", "static-token,keystone");
    builder.set("BAILEY_AUTH__KEYSTONE__URL", &keystone.url())
}

/// A user and a project it acts in.
#[derive(Debug)]
pub struct Member<'a> {
    cloud: &'a Cloud,
    /// The project's id.
    pub project: String,
    /// The user.
    pub user: User,
}

impl Member<'_> {
    /// A new token.
    ///
    /// # Errors
    /// When Keystone doesn't issue one.
    pub fn token(&self) -> Result<String> {
        self.cloud.keystone.token(&self.user, Scope::Project(&self.project))
    }

    /// A client with a new token.
    ///
    /// # Panics
    /// When Keystone doesn't issue one.
    #[must_use]
    pub fn client(&self) -> Client {
        self.cloud.showing(&self.token().expect("a token"))
    }

    /// A real client that knows the user's password and where Keystone is, and nothing of Bailey.
    ///
    /// # Errors
    /// As [`clients::command`].
    pub fn command(&self, program: &str) -> Result<Command> {
        let mut command = clients::command(program)?;
        command.env("OS_AUTH_URL", self.cloud.keystone.url()).env("OS_REGION_NAME", &self.cloud.region);
        command.env("OS_USERNAME", &self.user.name).env("OS_PASSWORD", &self.user.password);
        command.env("OS_USER_DOMAIN_ID", "default").env("OS_PROJECT_ID", &self.project);
        command.env("OS_IDENTITY_API_VERSION", "3").env("PYTHONDONTWRITEBYTECODE", "1");
        Ok(command)
    }
}
