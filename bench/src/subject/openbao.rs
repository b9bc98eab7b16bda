//! OpenBao with raft storage: one node, initialised and unsealed here, KV version 2.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

use super::{FILLING, Server, Subject, text, wait};
use crate::exchange::{Body, Exchange, request};
use crate::figure::Operation;
use crate::http::Connection;
use crate::load;
use crate::process::{Process, free_address};
use crate::random::payload;

/// Starts it and stores so many secrets.
pub async fn start(binary: &Path, folder: &Path, secrets: usize) -> Result<Subject> {
    let folder = folder.join("openbao");
    fs::create_dir_all(folder.join("raft"))?;
    let (address, cluster) = (free_address()?, free_address()?);
    let configuration = folder.join("openbao.json");
    let settings = json!({
        "storage": { "raft": { "path": folder.join("raft"), "node_id": "one" } },
        "listener": { "tcp": { "address": address.to_string(), "tls_disable": true } },
        "api_addr": format!("http://{address}"),
        "cluster_addr": format!("http://{cluster}"),
        "log_level": "warn",
    });
    fs::write(&configuration, settings.to_string())?;
    let mut process = Process::start(binary, &folder.join("log"), |command| {
        command.arg("server").arg("-config").arg(&configuration);
    })?;
    wait(&mut process, address, "/v1/sys/seal-status", 200, Instant::now()).await?;
    let client = Client { address, token: unseal(address).await? };
    wait(&mut process, address, "/v1/sys/health", 200, Instant::now()).await?;
    client.mount().await?;
    client.fill(secrets).await?;
    Ok(Subject { server: Server::OpenBao, address, process, exchanges: client.exchanges(secrets) })
}

/// Initialises and unseals it with one key; gives the root token.
async fn unseal(address: SocketAddr) -> Result<String> {
    let nobody = Client { address, token: String::new() };
    let keys = nobody.call("PUT", "/v1/sys/init", &json!({ "secret_shares": 1, "secret_threshold": 1 })).await?;
    let Some(key) = keys["keys_base64"][0].as_str() else { bail!("no unseal key") };
    let state = nobody.call("PUT", "/v1/sys/unseal", &json!({ "key": key })).await?;
    ensure!(state["sealed"] == false, "still sealed");
    Ok(text(&keys, "root_token")?.to_owned())
}

struct Client {
    address: SocketAddr,
    token: String,
}

impl Client {
    async fn mount(&self) -> Result<()> {
        self.call("POST", "/v1/sys/mounts/secret", &json!({ "type": "kv", "options": { "version": "2" } })).await?;
        // The mount turns itself into version 2 in the background.
        for _ in 0..50 {
            if self.call("POST", "/v1/secret/data/probe", &json!({ "data": {} })).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("the KV mount doesn't become usable");
    }

    async fn call(&self, method: &str, target: &str, body: &Value) -> Result<Value> {
        let mut connection = Connection::open(self.address).await?;
        let answer = connection.exchange(&self.request(method, target, &body.to_string())).await?;
        ensure!(answer.status < 300, "{method} {target}: {}", answer.status);
        Ok(if answer.body.is_empty() { Value::Null } else { serde_json::from_slice(answer.body)? })
    }

    async fn fill(&self, secrets: usize) -> Result<()> {
        let store = |number| self.store(&format!("read-{number}"), number);
        let stored = |status, _: &[u8]| {
            ensure!(status == 200, "not stored");
            Ok(())
        };
        load::collect(self.address, FILLING, secrets, store, stored).await.map(drop)
    }

    fn exchanges(&self, secrets: usize) -> BTreeMap<Operation, std::rc::Rc<[Exchange]>> {
        let payloads = (0..secrets).map(|number| {
            let bytes = self.request("GET", &format!("/v1/secret/data/read-{number}"), "");
            let value = format!("\"payload\":\"{}\"", BASE64_STANDARD.encode(payload(number)));
            Exchange::new(bytes, 200, Body::Containing(value.into_bytes()))
        });
        let metadata = (0..secrets).map(|number| {
            let bytes = self.request("GET", &format!("/v1/secret/metadata/read-{number}"), "");
            Exchange::new(bytes, 200, Body::Containing(b"\"current_version\":1".to_vec()))
        });
        let name = format!("store-{}", Exchange::NUMBER);
        let store = Exchange::new(self.store(&name, secrets), 200, Body::Containing(b"\"version\":1".to_vec()));
        BTreeMap::from([
            (Operation::Payload, payloads.collect()),
            (Operation::Metadata, metadata.collect()),
            (Operation::Store, [store].into()),
        ])
    }

    fn store(&self, name: &str, number: usize) -> Vec<u8> {
        let body = json!({ "data": { "payload": BASE64_STANDARD.encode(payload(number)) } });
        self.request("POST", &format!("/v1/secret/data/{name}"), &body.to_string())
    }

    fn request(&self, method: &str, target: &str, body: &str) -> Vec<u8> {
        request(self.address, method, target, &[("X-Vault-Token", &self.token)], body)
    }
}
