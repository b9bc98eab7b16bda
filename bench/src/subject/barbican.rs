//! What Bailey and the bare program are asked: the key manager's API, `/v1/secrets`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use base64::prelude::{BASE64_STANDARD, Engine};

use super::{FILLING, text};
use crate::exchange::{Body, Exchange, request};
use crate::figure::Operation;
use crate::load;
use crate::random::payload;

/// Who asks: an address, and a token for each project.
pub struct Client {
    /// Where the server listens.
    pub address: SocketAddr,
    /// The tokens, each of another project.
    pub tokens: Vec<String>,
}

impl Client {
    /// Stores `count` secrets, in turns for each project, and gives their ids.
    pub async fn fill(&self, count: usize) -> Result<Vec<String>> {
        let store = |number| self.store(number, number);
        load::collect(self.address, FILLING, count, store, |status, body| {
            ensure!(status == 201, "not stored");
            let answer: serde_json::Value = serde_json::from_slice(body)?;
            let (_, id) = text(&answer, "secret_ref")?.rsplit_once('/').context("not a reference")?;
            Ok(id.to_owned())
        })
        .await
    }

    /// What to ask a server that keeps the secrets `ids`, stored by [`Client::fill`].
    pub fn exchanges(&self, ids: &[String]) -> BTreeMap<Operation, Rc<[Exchange]>> {
        let number = |(number, id): (usize, &String)| self.read_payload(number, id);
        let payloads = ids.iter().enumerate().map(number);
        let metadata = ids.iter().enumerate().map(|(number, id)| {
            let bytes = self.request("GET", &format!("/v1/secrets/{id}"), number, &[], "");
            Exchange::new(bytes, 200, Body::Containing(format!("/v1/secrets/{id}\"").into_bytes()))
        });
        let stores = (0..self.tokens.len()).map(|project| {
            Exchange::new(self.store(project, ids.len() + project), 201, Body::Containing(b"\"secret_ref\"".to_vec()))
        });
        let lists = (0..self.tokens.len()).map(|project| self.list(project, 0));
        BTreeMap::from([
            (Operation::Payload, payloads.collect()),
            (Operation::Metadata, metadata.collect()),
            (Operation::Store, stores.collect()),
            (Operation::List, lists.collect()),
        ])
    }

    /// Reads the payload of the secret that was stored as `number`.
    pub fn read_payload(&self, number: usize, id: &str) -> Exchange {
        let accept = [("Accept", "application/octet-stream")];
        let bytes = self.request("GET", &format!("/v1/secrets/{id}/payload"), number, &accept, "");
        Exchange::new(bytes, 200, Body::Exactly(payload(number).to_vec()))
    }

    /// Lists 10 secrets of a project from `offset` on.
    pub fn list(&self, project: usize, offset: usize) -> Exchange {
        let target = match offset {
            0 => "/v1/secrets?limit=10".to_owned(),
            offset => format!("/v1/secrets?limit=10&offset={offset}"),
        };
        Exchange::new(self.request("GET", &target, project, &[], ""), 200, Body::Secrets(10))
    }

    fn store(&self, project: usize, number: usize) -> Vec<u8> {
        let body = serde_json::json!({
            "name": format!("key {number}"),
            "secret_type": "symmetric",
            "algorithm": "aes",
            "bit_length": 256,
            "mode": "gcm",
            "payload": BASE64_STANDARD.encode(payload(number)),
            "payload_content_type": "application/octet-stream",
            "payload_content_encoding": "base64",
        });
        self.request("POST", "/v1/secrets", project, &[], &body.to_string())
    }

    /// A request for one of the client's projects.
    pub fn request(&self, method: &str, target: &str, project: usize, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
        let mut all = vec![("X-Auth-Token", self.tokens[project % self.tokens.len()].as_str())];
        all.extend_from_slice(headers);
        request(self.address, method, target, &all, body)
    }
}
