//! Containers of [`REFERENCES`] secrets each.

use std::rc::Rc;

use anyhow::{Context, Result, ensure};

use super::barbican::Client;
use super::{FILLING, text};
use crate::exchange::{Body, Exchange};
use crate::load;

/// Secrets that a container refers to.
pub const REFERENCES: usize = 50;
/// Containers that are read.
const CONTAINERS: usize = 200;
/// Containers on a page of a list.
const PAGE: usize = 10;

/// What to ask a server that keeps containers.
pub struct Containers {
    /// Reads any of them.
    pub get: Rc<[Exchange]>,
    /// Lists ten of them.
    pub list: Rc<[Exchange]>,
}

impl Containers {
    /// Fills the client's first project with containers that all refer to the same secrets.
    pub async fn fill(client: &Client) -> Result<Self> {
        let secrets = client.fill(REFERENCES).await?;
        let refs = secrets.iter().enumerate().map(|(number, id)| {
            let secret_ref = format!("http://{}/v1/secrets/{id}", client.address);
            serde_json::json!({ "name": format!("part {number}"), "secret_ref": secret_ref })
        });
        let refs: Vec<_> = refs.collect();
        let create = |number| {
            let body = serde_json::json!({ "name": format!("box {number}"), "type": "generic", "secret_refs": refs });
            client.request("POST", "/v1/containers", 0, &[], &body.to_string())
        };
        let ids = load::collect(client.address, FILLING, CONTAINERS, create, |status, body| {
            ensure!(status == 201, "not created");
            let answer: serde_json::Value = serde_json::from_slice(body)?;
            let (_, id) = text(&answer, "container_ref")?.rsplit_once('/').context("not a reference")?;
            Ok(id.to_owned())
        })
        .await?;
        let ask = |target: &str, secrets| {
            Exchange::new(client.request("GET", target, 0, &[], ""), 200, Body::Secrets(secrets))
        };
        let get = ids.iter().map(|id| ask(&format!("/v1/containers/{id}"), REFERENCES)).collect();
        let list = Rc::from([ask(&format!("/v1/containers?limit={PAGE}"), PAGE * REFERENCES)]);
        Ok(Self { get, list })
    }
}
