//! The least a program could do for Bailey's answers: actix-web, hand-written SQL, one AES-256-GCM
//! a request. No authentication, no policy, no validation, no audit: what Bailey costs beyond it is
//! what those cost.
//!
//! `bare ADDRESS METADATA_URL VAULT_URL`; the URLs are both of PostgreSQL or both of SQLite.

mod cipher;
mod database;

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path, get, post};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, ResponseError};
use anyhow::Context;
use base64::prelude::{BASE64_STANDARD, Engine};
use clap::Parser;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use cipher::Cipher;
use database::{Database, OnPostgres, OnSqlite, Secret};

#[derive(Parser)]
struct Options {
    address: SocketAddr,
    metadata: String,
    vault: String,
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if options.metadata.starts_with("postgres") {
        serve(options.address, OnPostgres::open(&options.metadata, &options.vault).await?).await
    } else {
        serve(options.address, OnSqlite::open(&options.metadata, &options.vault).await?).await
    }
}

struct State<D> {
    database: D,
    cipher: Cipher,
}

async fn serve<D: Database>(address: SocketAddr, database: D) -> anyhow::Result<()> {
    let state = Data::from(Arc::new(State { database, cipher: Cipher::generate() }));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .route("/", get().to(HttpResponse::Ok))
            .route("/v1/secrets", post().to(store::<D>))
            .route("/v1/secrets", get().to(list::<D>))
            .route("/v1/secrets/{id}", get().to(metadata::<D>))
            .route("/v1/secrets/{id}/payload", get().to(payload::<D>))
    });
    Ok(server.bind(address)?.run().await?)
}

#[derive(Deserialize)]
struct NewSecret {
    name: Option<String>,
    secret_type: String,
    algorithm: Option<String>,
    bit_length: Option<i32>,
    mode: Option<String>,
    payload: String,
    payload_content_type: String,
}

async fn store<D: Database>(state: Data<State<D>>, request: HttpRequest, new: Json<NewSecret>) -> Answer {
    let new = new.into_inner();
    let payload = BASE64_STANDARD.decode(new.payload).context("payload")?;
    let write = Uuid::new_v4();
    state.database.insert_ciphertext(write, state.cipher.encrypt(write, &payload)?).await?;
    let secret = Secret {
        id: Uuid::new_v4(),
        write,
        name: new.name,
        secret_type: new.secret_type,
        algorithm: new.algorithm,
        bit_length: new.bit_length,
        mode: new.mode,
        content_type: new.payload_content_type,
        created_at: chrono::Utc::now().timestamp_micros(),
    };
    state.database.insert_secret(project(&request)?, &secret).await?;
    Ok(HttpResponse::Created().json(json!({ "secret_ref": reference(&request, secret.id) })))
}

async fn payload<D: Database>(state: Data<State<D>>, request: HttpRequest, id: Path<Uuid>) -> Answer {
    let secret = state.database.secret(project(&request)?, *id).await?;
    let ciphertext = state.database.ciphertext(secret.write).await?;
    let payload = state.cipher.decrypt(secret.write, &ciphertext)?;
    Ok(HttpResponse::Ok().content_type("application/octet-stream").body(payload))
}

async fn metadata<D: Database>(state: Data<State<D>>, request: HttpRequest, id: Path<Uuid>) -> Answer {
    let secret = state.database.secret(project(&request)?, *id).await?;
    Ok(HttpResponse::Ok().json(representation(&request, &secret)))
}

async fn list<D: Database>(state: Data<State<D>>, request: HttpRequest) -> Answer {
    let secrets = state.database.list(project(&request)?).await?;
    let secrets: Vec<_> = secrets.iter().map(|secret| representation(&request, secret)).collect();
    Ok(HttpResponse::Ok().json(json!({ "secrets": secrets })))
}

fn representation(request: &HttpRequest, secret: &Secret) -> serde_json::Value {
    let created = chrono::DateTime::from_timestamp_micros(secret.created_at).unwrap_or_default();
    let created = created.format("%Y-%m-%dT%H:%M:%S%.6f").to_string();
    json!({
        "created": created,
        "updated": created,
        "status": "ACTIVE",
        "name": secret.name,
        "secret_type": secret.secret_type,
        "expiration": null,
        "algorithm": secret.algorithm,
        "bit_length": secret.bit_length,
        "mode": secret.mode,
        "creator_id": "bench",
        "content_types": { "default": secret.content_type },
        "secret_ref": reference(request, secret.id),
    })
}

fn reference(request: &HttpRequest, id: Uuid) -> String {
    format!("http://{}/v1/secrets/{id}", request.connection_info().host())
}

/// The token is the project.
fn project(request: &HttpRequest) -> anyhow::Result<&str> {
    let token = request.headers().get("X-Auth-Token").context("no X-Auth-Token")?;
    Ok(token.to_str()?)
}

type Answer = Result<HttpResponse, Failed>;

#[derive(Debug)]
struct Failed(anyhow::Error);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl ResponseError for Failed {
    fn status_code(&self) -> StatusCode {
        StatusCode::INTERNAL_SERVER_ERROR
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Failed(error.into())
    }
}
