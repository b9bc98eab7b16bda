//! Whole requests, through everything that the API does before a worker is asked and after it answered.

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode, Uri};
use actix_web::rt::System;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::web;
use bailey_api::{Config, State};
use bailey_core::access::Call;
use bailey_core::failure::{Failure, FailureKind};
use bailey_core::request::{
    AddContainerConsumer, AddContainerSecret, AddMetadatum, AddSecretConsumer, CreateContainer, CreateOrder,
    CreateSecret, CreateTransportKey, GetPayload, ListContainers, ListOrders, ListSecrets, ListTransportKeys, PatchAcl,
    PutAcl, PutMetadata, PutPayload, PutProjectQuotas, RemoveContainerSecret, Request,
};
use bailey_queue::codec::{Asked, Heard, decode, encode};
use bailey_queue::{Handlers, Queue};
use serde_json::{Value, json};

use crate::fixture::{runtime, texts};

/// A worker who takes whatever is no complaint, and has nothing to answer.
fn handlers() -> Handlers {
    let handlers = Handlers::default();
    let handlers = on(handlers, |it: CreateSecret| it.secret.accept().and(it.idempotency.accept().map(drop)));
    let handlers = on(handlers, |it: PutPayload| it.payload.accept()?.accept().map(drop));
    let handlers = on(handlers, |it: GetPayload| it.form.accept().map(drop));
    let handlers = on(handlers, |it: ListSecrets| it.query.accept().map(drop));
    let handlers = on(handlers, |it: PutMetadata| it.metadata.accept().map(drop));
    let handlers = on(handlers, |it: AddMetadatum| it.metadatum.accept().map(drop));
    let handlers = on(handlers, |it: CreateContainer| it.container.accept().map(drop));
    let handlers = on(handlers, |it: ListContainers| it.query.accept().map(drop));
    let handlers = on(handlers, |it: AddContainerSecret| it.reference.accept().map(drop));
    let handlers = on(handlers, |it: RemoveContainerSecret| it.reference.accept().map(drop));
    let handlers = on(handlers, |it: CreateOrder| it.order.accept().map(drop));
    let handlers = on(handlers, |it: ListOrders| it.query.accept().map(drop));
    let handlers = on(handlers, |it: PutAcl| it.acl.accept().map(drop));
    let handlers = on(handlers, |it: PatchAcl| it.change.accept().map(drop));
    let handlers = on(handlers, |it: AddSecretConsumer| it.usage.accept().map(drop));
    let handlers = on(handlers, |it: AddContainerConsumer| it.usage.accept().map(drop));
    let handlers = on(handlers, |it: PutProjectQuotas| it.quotas.accept().map(drop));
    let handlers = on(handlers, |it: CreateTransportKey| it.key.accept().map(drop));
    on(handlers, |it: ListTransportKeys| it.query.accept().map(drop))
}

fn on<R: Request>(handlers: Handlers, accept: fn(R) -> Result<(), Failure>) -> Handlers {
    handlers.on(move |call: Call, request: R| async move {
        let asked = Asked { call: &call, request: &request };
        let sent = encode(&asked).expect("what the API asks can be sent");
        let heard: Heard<R> = decode(&sent).expect("what the API sends is heard");
        accept(heard.request)?;
        Err(Failure::new(FailureKind::Conflict, "taken"))
    })
}

/// A request's parts: `METHOD PATH`, a line for each header, an empty one, the body.
fn parts(bytes: &[u8]) -> Option<TestRequest> {
    let at = bytes.windows(2).position(|two| two == b"\n\n")?;
    let (head, body) = (std::str::from_utf8(&bytes[..at]).ok()?, &bytes[at + 2..]);
    let mut lines = head.lines();
    let (method, path) = lines.next()?.split_once(' ')?;
    Uri::try_from(path).ok().filter(|uri| uri.path().starts_with('/'))?;
    let mut request = TestRequest::with_uri(path).method(Method::from_bytes(method.as_bytes()).ok()?);
    for line in lines {
        let (name, value) = line.split_once(": ")?;
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        request = request.append_header((name, HeaderValue::from_str(value).ok()?));
    }
    Some(request.set_payload(body.to_vec()))
}

/// Serves requests in this thread.
fn api() -> impl Fn(TestRequest) -> (StatusCode, Vec<u8>) {
    let system = System::new();
    let queue = Queue::new(&bailey_queue::Config::default(), runtime().handle().clone());
    queue.attach(handlers());
    let state = web::Data::new(State::new(Config::default(), queue));
    let service = system.block_on(init_service(bailey_api::app(state)));
    move |request| {
        system.block_on(async {
            let response = call_service(&service, request.to_request()).await;
            (response.status(), read_body(response).await.to_vec())
        })
    }
}

thread_local! {
    /// Never dropped: what actix keeps for the thread may be gone by then.
    static API: &'static dyn Fn(TestRequest) -> (StatusCode, Vec<u8>) = Box::leak(Box::new(api()));
}

/// A request: it is answered, in the form of the contract, and what the worker is asked crosses the queue.
pub fn request(bytes: &[u8]) -> bool {
    let Some(request) = parts(bytes) else { return false };
    let is_head = bytes.starts_with(b"HEAD ");
    let (status, body) = API.with(|api| api(request));
    let text = String::from_utf8_lossy(&body);
    // The worker of this target knows only those requests that say something.
    let is_unknown = text.contains("failure seen - please contact site administrator");
    assert!(!status.is_server_error() || is_unknown, "{status}: {text}");
    if status.is_client_error() && !is_head && text.starts_with('{') {
        let told: Value = serde_json::from_slice(&body).expect("JSON");
        let code = told["code"].as_u64().or_else(|| told["code"].as_str()?.split(' ').next()?.parse().ok());
        assert_eq!(code, Some(u64::from(status.as_u16())), "{text}");
    }
    status == StatusCode::CONFLICT
}

/// What a corpus of requests begins with: each body and each query once, and what is wrong with some.
pub fn request_seeds() -> Vec<Vec<u8>> {
    let mut seeds = texts(&[
        "GET /v1/secrets?limit=5&offset=-1&name=a%2Bb&sort=name:asc,created:desc&bits=128\n\n",
        "GET /v1/secrets?created=gt:2020-01-01,lt:2030-01-01&expiration=gte:2039\n\n",
        "GET /v1/secrets/0193a5c0-0000-7000-8000-000000000001/payload\nAccept: text/plain\n\n",
        "PUT /v1/secrets/0193a5c0-0000-7000-8000-000000000001\nContent-Type: text/plain\n\npäyload",
        "GET /v1/orders?limit=1\nOpenStack-API-Version: key-manager 1.1\n\n",
        "OPTIONS /v1/secrets\nOrigin: https://a\nAccess-Control-Request-Method: POST\n\n",
        "HEAD /\n\n",
    ]);
    let base64 = "Content-Type: application/octet-stream\nContent-Encoding: base64";
    seeds.push(format!("PUT {SECRET}\n{base64}\n\nAAAA").into_bytes());
    seeds.extend(bodies().map(|(line, body)| {
        let head = "Host: localhost\nX-Auth-Token: t\nIdempotency-Key: k\nContent-Type: application/json";
        format!("{line}\n{head}\n\n{body}").into_bytes()
    }));
    seeds
}

const SECRET: &str = "/v1/secrets/0193a5c0-0000-7000-8000-000000000001";
const CONTAINER: &str = "/v1/containers/0193a5c0-0000-7000-8000-000000000002";

/// Where bodies of JSON go, and one that is taken there.
fn bodies() -> [(String, String); 11] {
    let secret = json!({
        "name": "n", "algorithm": "aes", "bit_length": 24, "mode": "cbc", "expiration": "2039-01-01T00:00:00",
        "secret_type": "symmetric", "payload": "AAAA", "payload_content_type": "application/octet-stream",
        "payload_content_encoding": "base64",
    });
    let text = json!({"payload": " text ", "payload_content_type": "text/plain;charset=utf-8"});
    let wrong = json!({"payload": "", "payload_content_type": 7, "bit_length": "x", "name": ["n"]});
    let reference = json!({"name": "private_key", "secret_ref": format!("http://localhost{SECRET}")});
    let other = json!({"name": "public_key", "secret_ref": format!("http://localhost{}3", &SECRET[..47])});
    let order = json!({"type": "asymmetric", "meta": {
        "name": "k", "algorithm": "rsa", "bit_length": 2048, "passphrase": "p",
        "payload_content_type": "application/octet-stream",
    }});
    [
        ("POST /v1/secrets".to_owned(), secret),
        ("POST /v1/secrets".to_owned(), text),
        ("POST /v1/secrets".to_owned(), wrong),
        (format!("PUT {SECRET}/metadata"), json!({"metadata": {"Key": "v"}})),
        (format!("POST {SECRET}/metadata"), json!({"key": "k", "value": "v"})),
        ("POST /v1/containers".to_owned(), json!({"type": "rsa", "name": null, "secret_refs": [reference, other]})),
        ("POST /v1/orders".to_owned(), order),
        (format!("PATCH {SECRET}/acl"), json!({"read": {"users": ["u"], "project-access": false}})),
        (format!("POST {SECRET}/consumers"), json!({"service": "s", "resource_type": "t", "resource_id": "i"})),
        (format!("POST {CONTAINER}/consumers"), json!({"name": "n", "URL": "http://u"})),
        ("PUT /v1/project-quotas/p".to_owned(), json!({"project_quotas": {"secrets": 10, "orders": -1}})),
    ]
    .map(|(line, body)| (line, body.to_string()))
}
