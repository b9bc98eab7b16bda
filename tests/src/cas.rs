//! Baileys with a CA, and what tests do with orders for certificates.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bailey_testkit::ejbca::{AUTHORITY, CERTIFICATE_PROFILE, END_ENTITY_PROFILE, EjbcaStandIn, HEADER};
use bailey_testkit::process;
use serde_json::{Value, json};

use crate::app::{Database, TestApp};
use crate::http::Client;
use crate::sql::Which;

/// How long an order may take.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A `[[cas]]` block for a CA of Bailey's own, which is its own root.
pub const LOCAL: &str = r#"
    [[cas]]
    name = "servers"
    kind = "local"
    subject = "CN=Servers,O=Test"
    [[cas.profiles]]
    name = "server"
    dns = ["*.example.test"]
"#;

/// A `[[cas]]` block for the ACME server with this directory, which a CA vouches for; `more` are further lines of it.
#[must_use]
pub fn acme_block(name: &str, directory: &str, ca_file: &Path, more: &str) -> String {
    format!(
        "[[cas]]\nname = \"{name}\"\nkind = \"acme\"\ndirectory = \"{directory}\"\nca_file = \"{}\"\n\
         terms_agreed = true\n{more}\n",
        ca_file.display()
    )
}

/// The enrolment secret of [`ejbca_block`].
pub const ENROLMENT_SECRET: &str = "twenty-four letters, yes";

/// A `[[cas]]` block for a stand-in; `more` are further lines of it.
#[must_use]
pub fn ejbca_block(name: &str, ejbca: &EjbcaStandIn, more: &str) -> String {
    let [certificate, key] = ejbca.identity_files();
    format!(
        "[[cas]]\nname = \"{name}\"\nkind = \"ejbca\"\nurl = \"{}\"\ncertificate_authority = \"{AUTHORITY}\"\n\
         ca_file = \"{}\"\ncertificate_file = \"{}\"\nprivate_key_file = \"{}\"\n\
         headers = {{ {HEADER} = \"{}\" }}\nenrolment_secret = \"{ENROLMENT_SECRET}\"\n{more}\n\
         [[cas.profiles]]\nname = \"server\"\ncertificate_profile = \"{CERTIFICATE_PROFILE}\"\n\
         end_entity_profile = \"{END_ENTITY_PROFILE}\"\n",
        ejbca.url(),
        ejbca.authority_file().display(),
        certificate.display(),
        key.display(),
        ejbca.header()
    )
}

impl Client {
    /// Gives an order, and returns its href.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    #[track_caller]
    pub fn order(&self, kind: &str, meta: &Value) -> String {
        let order = self.post("/v1/orders").json(&json!({ "type": kind, "meta": meta }));
        order.send().expect(202).string("order_ref")
    }

    /// What has become of an order.
    ///
    /// # Errors
    /// When nothing has within [`PATIENCE`].
    pub fn ended(&self, href: &str) -> Result<Value> {
        process::until(PATIENCE, || {
            let answer = self.get(href).try_send()?;
            ensure!(answer.status == 200, "{answer}");
            let order = answer.json();
            ensure!(order["status"] != "PENDING", "{order}");
            Ok(order)
        })
    }

    /// What a secret in a container holds.
    ///
    /// # Errors
    /// When the container has none of this name.
    pub fn part(&self, container: &Value, name: &str) -> Result<Vec<u8>> {
        let parts = container["secret_refs"].as_array().context("a container with secrets")?;
        let part = parts.iter().find(|part| part["name"] == name);
        let part = part.with_context(|| format!("no {name} in {container}"))?;
        Ok(self.payload(part["secret_ref"].as_str().context("a secret_ref")?))
    }
}

impl TestApp {
    /// Has every certificate that is renewed some day renewed now.
    pub fn make_renewals_due(&self) {
        let earlier = match self.database() {
            // Compared as text, so it has to look like what Bailey wrote.
            Database::Sqlite => "'2000' || substr(due_at, 5)",
            Database::Postgres | Database::Split => "due_at - interval '20 years'",
        };
        let _ = self.sql(Which::Metadata, &format!("UPDATE renewals SET due_at = {earlier} WHERE order_id IS NULL"));
    }
}
