//! What tests do to a Keystone, as its admin or as one of its users.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::exchange::{self, Answer};
use super::{ADMIN_PASSWORD, Keystone, lock};

/// Where everybody is.
const DOMAIN: &str = "default";

/// A user of the default domain.
#[derive(Debug, Clone)]
pub struct User {
    /// The id that others know it by.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its password.
    pub password: String,
}

/// An application credential.
#[derive(Debug, Clone)]
pub struct ApplicationCredential {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: String,
}

/// What a token is to be good for.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// The project with this id.
    Project(&'a str),
    /// The default domain.
    Domain,
    /// All of the installation.
    System,
    /// Nothing in particular.
    Nothing,
}

impl Scope<'_> {
    fn json(self) -> Value {
        match self {
            Self::Project(id) => json!({"project": {"id": id}}),
            Self::Domain => json!({"domain": {"id": DOMAIN}}),
            Self::System => json!({"system": {"all": true}}),
            Self::Nothing => json!("unscoped"),
        }
    }
}

impl Keystone {
    /// Makes a project and returns its id.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn create_project(&self) -> Result<String> {
        self.create_project_named(&self.name("project"))
    }

    pub(super) fn create_project_named(&self, name: &str) -> Result<String> {
        let project = json!({"project": {"name": name, "domain_id": DOMAIN}});
        id_of(&self.admin("POST", "/v3/projects", Some(&project), 201)?, "project")
    }

    /// Deletes a project.
    ///
    /// # Errors
    /// When it isn't there.
    pub fn delete_project(&self, project: &str) -> Result<()> {
        self.admin("DELETE", &format!("/v3/projects/{project}"), None, 204).map(drop)
    }

    /// Makes a user with these roles in a project; roles that aren't there yet are made.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn create_user(&self, project: &str, roles: &[&str]) -> Result<User> {
        let name = self.name("user");
        let password = format!("password of {name}");
        let user = json!({"user": {"name": name, "password": password, "domain_id": DOMAIN}});
        let id = id_of(&self.admin("POST", "/v3/users", Some(&user), 201)?, "user")?;
        for role in roles {
            let role = self.role(role)?;
            self.admin("PUT", &format!("/v3/projects/{project}/users/{id}/roles/{role}"), None, 204)?;
        }
        Ok(User { id, name, password })
    }

    /// Gives a user a role for the default domain and for all of the installation.
    ///
    /// # Errors
    /// When it can't be given.
    pub fn grant_beyond_projects(&self, user: &User, role: &str) -> Result<()> {
        let role = self.role(role)?;
        for place in [format!("domains/{DOMAIN}"), "system".to_owned()] {
            self.admin("PUT", &format!("/v3/{place}/users/{}/roles/{role}", user.id), None, 204)?;
        }
        Ok(())
    }

    /// Makes a service user in the project `service`, as operators do.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn create_service_user(&self) -> Result<User> {
        let found = self.admin("GET", "/v3/projects?name=service", None, 200)?.json()?;
        let project = found["projects"][0]["id"].as_str().context("no project of services")?;
        self.create_user(project, &["service"])
    }

    /// A token of a user's.
    ///
    /// # Errors
    /// When it isn't issued.
    pub fn token(&self, user: &User, scope: Scope<'_>) -> Result<String> {
        let user = json!({"id": user.id, "password": user.password});
        self.issue(json!({"methods": ["password"], "password": {"user": user}}), scope.json())
    }

    /// A token that an application credential gives.
    ///
    /// # Errors
    /// When it isn't issued.
    pub fn token_of(&self, credential: &ApplicationCredential) -> Result<String> {
        let credential = json!({"id": credential.id, "secret": credential.secret});
        self.issue(json!({"methods": ["application_credential"], "application_credential": credential}), Value::Null)
    }

    /// Makes an application credential of a user's for a project, with access rules if there are any.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn create_application_credential(
        &self,
        user: &User,
        project: &str,
        access_rules: Option<Value>,
    ) -> Result<ApplicationCredential> {
        let token = self.token(user, Scope::Project(project))?;
        let mut credential = json!({"name": self.name("credential")});
        if let Some(rules) = access_rules {
            credential["access_rules"] = rules;
        }
        let path = format!("/v3/users/{}/application_credentials", user.id);
        let body = json!({ "application_credential": credential });
        let made = expect(self.ask("POST", &path, &token, Some(&body))?, 201)?.json()?;
        let text = |key: &str| made["application_credential"][key].as_str().map(str::to_owned).context("no credential");
        Ok(ApplicationCredential { id: text("id")?, secret: text("secret")? })
    }

    /// Makes a token worthless, as its owner may.
    ///
    /// # Errors
    /// When it is already.
    pub fn revoke(&self, token: &str) -> Result<()> {
        let headers = [("X-Auth-Token", token), ("X-Subject-Token", token)];
        expect(exchange::ask(self.port, "DELETE", "/v3/auth/tokens", &headers, None)?, 204).map(drop)
    }

    /// Makes a region whose key manager is at `url`, and returns its name.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn create_key_manager(&self, url: &str) -> Result<String> {
        let region = self.name("region");
        self.admin("POST", "/v3/regions", Some(&json!({"region": {"id": region}})), 201)?;
        let service = json!({"service": {"type": "key-manager", "name": self.name("bailey")}});
        let service = id_of(&self.admin("POST", "/v3/services", Some(&service), 201)?, "service")?;
        for interface in ["public", "internal", "admin"] {
            let endpoint = json!({"endpoint": {
                "interface": interface, "region_id": region, "service_id": service, "url": url,
            }});
            self.admin("POST", "/v3/endpoints", Some(&endpoint), 201)?;
        }
        Ok(region)
    }

    fn role(&self, name: &str) -> Result<String> {
        let mut roles = lock(&self.roles);
        if let Some(id) = roles.get(name) {
            return Ok(id.clone());
        }
        let found = self.admin("GET", &format!("/v3/roles?name={name}"), None, 200)?.json()?;
        let id = match found["roles"][0]["id"].as_str() {
            Some(id) => id.to_owned(),
            None => id_of(&self.admin("POST", "/v3/roles", Some(&json!({"role": {"name": name}})), 201)?, "role")?,
        };
        roles.insert(name.to_owned(), id.clone());
        Ok(id)
    }

    fn issue(&self, identity: Value, scope: Value) -> Result<String> {
        let mut auth = json!({ "identity": identity });
        if !scope.is_null() {
            auth["scope"] = scope;
        }
        let body = json!({ "auth": auth });
        let answer = expect(exchange::ask(self.port, "POST", "/v3/auth/tokens", &[], Some(&body))?, 201)?;
        Ok(answer.header("x-subject-token").context("no token")?.to_owned())
    }

    fn ask(&self, method: &str, target: &str, token: &str, body: Option<&Value>) -> Result<Answer> {
        exchange::ask(self.port, method, target, &[("X-Auth-Token", token)], body)
    }

    /// Asks as the admin, with a token that may have come to its end.
    fn admin(&self, method: &str, target: &str, body: Option<&Value>, status: u16) -> Result<Answer> {
        let known = lock(&self.admin).clone();
        if let Some(token) = known {
            let answer = self.ask(method, target, &token, body)?;
            if answer.status != 401 {
                return expect(answer, status);
            }
        }
        let user = json!({"name": "admin", "domain": {"id": DOMAIN}, "password": ADMIN_PASSWORD});
        let scope = json!({"project": {"name": "admin", "domain": {"id": DOMAIN}}});
        let token = self.issue(json!({"methods": ["password"], "password": {"user": user}}), scope)?;
        *lock(&self.admin) = Some(token.clone());
        expect(self.ask(method, target, &token, body)?, status)
    }
}

fn expect(answer: Answer, status: u16) -> Result<Answer> {
    ensure!(answer.status == status, "{} instead of {status}: {}", answer.status, answer.body);
    Ok(answer)
}

fn id_of(answer: &Answer, what: &str) -> Result<String> {
    Ok(answer.json()?[what]["id"].as_str().context("no id")?.to_owned())
}
