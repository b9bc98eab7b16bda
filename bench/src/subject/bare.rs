//! The bare program, the other binary of this crate.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use super::barbican::Client;
use super::{PROJECTS, Server, Subject, wait};
use crate::postgres::Postgres;
use crate::process::{Process, free_address};

/// Starts it and stores so many secrets, on SQLite or on two databases of `postgres`.
pub async fn start(binary: &Path, folder: &Path, postgres: Option<&Postgres>, secrets: usize) -> Result<Subject> {
    let url = |name: &str| match postgres {
        Some(postgres) => postgres.create(&format!("bare_{name}")),
        None => Ok(format!("sqlite://{}", folder.join(format!("bare-{name}.db")).display())),
    };
    let (metadata, vault) = (url("metadata")?, url("vault")?);
    let address = free_address()?;
    let mut process = Process::start(binary, &folder.join("bare.log"), |command| {
        command.args([&address.to_string(), &metadata, &vault]);
    })?;
    wait(&mut process, address, "/", 200, Instant::now()).await?;
    let tokens = (0..PROJECTS).map(|project| format!("project-{project}")).collect();
    let client = Client { address, tokens };
    let ids = client.fill(secrets).await?;
    Ok(Subject { server: Server::Bare, address, process, exchanges: client.exchanges(&ids) })
}
