//! A worker that knows one token, one secret and no database, and an application before it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::header::HeaderMap;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{Error, web};
use bailey_api::{Config, State};
use bailey_core::access::Call;
use bailey_core::ca::{CaOrigin, ConfiguredCa, DescribedCa, ProfileDescriptor};
use bailey_core::consumer::{ConsumerPage, ContainerConsumer, SecretConsumer};
use bailey_core::container::{Container, ContainerType, SecretReference};
use bailey_core::failure::{Failure, FailureKind, Parsed};
use bailey_core::health::{HealthReport, PartHealth};
use bailey_core::ids::{EntityId, ProjectId, UserId};
use bailey_core::order::{Order, OrderStatus, OrderType};
use bailey_core::request::*;
use bailey_core::secret::{CreatedSecret, Metadatum, Page, Payload, Secret, UserMetadata};
use bailey_core::spec::{ContentType, SecretType, Spec};
use bailey_queue::{Handlers, Queue};
use chrono::{DateTime, Utc};
use serde_json::Value;

/// The only secret.
pub const ID: &str = "01968a3e-8f4b-7cc3-98c4-dc0c0c07398f";
/// A well-formed id of no secret.
pub const UNKNOWN: &str = "01968a3e-8f4b-7cc3-98c4-000000000000";

/// What the worker was asked, as its `Debug` prints it. Payloads are not in it.
pub type Asked = Arc<Mutex<Vec<String>>>;

fn authenticate(call: &Call) -> Result<(), Failure> {
    match call.credentials.token.as_ref().map(bailey_core::sensitive::SecretText::expose) {
        Some("good" | "weak") => Ok(()),
        Some("slow") => Err(Failure::unavailable("the database is away")),
        Some("broken") => Err(Failure::internal("canary of the inside")),
        None if call.credentials.claims.user.is_some() => {
            Err(Failure::new(FailureKind::Unidentified, "Missing X-Project-Id"))
        }
        _ => Err(Failure::new(FailureKind::Unauthenticated, "The token is missing or no good")),
    }
}

fn find<I: ToString>(call: &Call, id: Parsed<I>) -> Result<(), Failure> {
    locate(call, id)?;
    authorise(call)
}

fn find_entity(call: &Call, id: EntityPath) -> Result<EntityId, Failure> {
    authenticate(call)?;
    let entity = id.accept()?;
    find(call, Parsed::Valid(entity.uuid())).map(|()| entity)
}

fn locate<I: ToString>(call: &Call, id: Parsed<I>) -> Result<(), Failure> {
    authenticate(call)?;
    if id.accept()?.to_string() == ID { Ok(()) } else { Err(Failure::not_found("Not found")) }
}

fn authorise(call: &Call) -> Result<(), Failure> {
    let token = call.credentials.token.as_ref().map(bailey_core::sensitive::SecretText::expose);
    if token == Some("weak") { Err(Failure::new(FailureKind::Forbidden, "no role")) } else { Ok(()) }
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub fn secret() -> Secret {
    Secret {
        id: ID.parse().unwrap(),
        project: ProjectId::new("p").unwrap(),
        creator: Some(UserId::new("u").unwrap()),
        name: Some("hé".into()),
        secret_type: SecretType::Passphrase,
        spec: Spec { algorithm: None, bit_length: Some(128), mode: None },
        content_type: Some(ContentType::TextPlain),
        expires_at: Some(time("2039-01-01T00:00:00Z")),
        created_at: time("2030-02-28T19:14:44.180394Z"),
        updated_at: time("2030-02-28T19:14:45Z"),
        consumers: vec![SecretConsumer {
            project: ProjectId::new("p").unwrap(),
            service: "nova".into(),
            resource_type: "vm".into(),
            resource_id: "r1".into(),
            created_at: time("2030-02-28T19:14:44Z"),
            updated_at: time("2030-02-28T19:14:44Z"),
        }],
    }
}

pub fn container() -> Container {
    Container {
        id: ID.parse().unwrap(),
        project: ProjectId::new("p").unwrap(),
        creator: None,
        name: Some("pair".into()),
        container_type: ContainerType::Rsa,
        created_at: time("2030-02-28T19:14:44.180394Z"),
        updated_at: time("2030-02-28T19:14:45Z"),
        secrets: vec![SecretReference { name: None, secret: UNKNOWN.parse().unwrap() }],
        consumers: vec![ContainerConsumer {
            project: ProjectId::new("p").unwrap(),
            name: "lb".into(),
            url: "http://lb".into(),
            created_at: time("2030-02-28T19:14:44Z"),
            updated_at: time("2030-02-28T19:14:44Z"),
        }],
    }
}

pub fn order() -> Order {
    Order {
        id: ID.parse().unwrap(),
        project: ProjectId::new("p").unwrap(),
        creator: Some(UserId::new("u").unwrap()),
        order_type: OrderType::Key,
        meta: r#"{"algorithm":"aes","bit_length":256,"expiration":null,"name":"k"}"#.into(),
        status: OrderStatus::Active,
        sub_status: Some("Unknown".into()),
        sub_status_message: Some("Unknown".into()),
        error: None,
        secret: Some(UNKNOWN.parse().unwrap()),
        container: None,
        created_at: time("2030-02-28T19:14:44.180394Z"),
        updated_at: time("2030-02-28T19:14:45Z"),
    }
}

fn orders(handlers: Handlers) -> Handlers {
    handlers
        .on(|call: Call, request: FindOrder| async move { locate(&call, request.id) })
        .on(|call: Call, request: CreateOrder| async move {
            authenticate(&call)?;
            authorise(&call)?;
            request.order.accept().map(|_| ID.parse().unwrap())
        })
        .on(|call: Call, request: GetOrder| async move { find(&call, request.id).map(|()| order()) })
        .on(|call: Call, request: ListOrders| async move {
            authenticate(&call)?;
            authorise(&call)?;
            request.query.accept().map(|_| Page { items: vec![order()], total: 1 })
        })
        .on(|call: Call, request: DeleteOrder| async move { find(&call, request.id) })
        .on(|call: Call, request: UpdateOrder| async move { find(&call, request.id).map(|()| false) })
        .on(|call: Call, UpdateOrders {}| async move {
            authenticate(&call)?;
            authorise(&call)
        })
}

fn containers(handlers: Handlers) -> Handlers {
    handlers
        .on(|call: Call, request: FindContainer| async move { locate(&call, request.id) })
        .on(|call: Call, request: CreateContainer| async move {
            authenticate(&call)?;
            authorise(&call)?;
            request.container.accept().map(|_| ID.parse().unwrap())
        })
        .on(|call: Call, request: GetContainer| async move { find(&call, request.id).map(|()| container()) })
        .on(|call: Call, request: ListContainers| async move {
            authenticate(&call)?;
            authorise(&call)?;
            request.query.accept().map(|_| Page { items: vec![container()], total: 30 })
        })
        .on(|call: Call, request: DeleteContainer| async move { find(&call, request.id) })
        .on(|call: Call, request: AddContainerSecret| async move {
            find(&call, request.id)?;
            request.reference.accept().map(|_| ID.parse().unwrap())
        })
        .on(|call: Call, request: RemoveContainerSecret| async move {
            find(&call, request.id)?;
            request.reference.accept().map(drop)
        })
}

fn described_ca() -> DescribedCa {
    let parent = UNKNOWN.parse().unwrap();
    let origin = CaOrigin::Project { parent, project: ProjectId::new("p").unwrap(), creator: None };
    DescribedCa {
        ca: ConfiguredCa {
            id: ID.parse().unwrap(),
            name: "billing".into(),
            plugin: "local".into(),
            plugin_ca_id: ID.into(),
            description: None,
            origin,
            created_at: time("2030-02-28T19:14:44.180394Z"),
            updated_at: time("2030-02-28T19:14:45Z"),
        },
        profiles: vec![ProfileDescriptor { name: "server".into(), description: "TLS servers".into() }],
        certificate: Some("PEM".into()),
        chain: Some("PEMPEM".into()),
        expires_at: Some(time("2040-01-01T00:00:00Z")),
    }
}

fn allow(call: &Call) -> Result<(), Failure> {
    authenticate(call)?;
    authorise(call)
}

fn cas(handlers: Handlers) -> Handlers {
    let page = || Page { items: vec![ID.parse().unwrap()], total: 30 };
    handlers
        .on(|call: Call, FindCas {}| async move { authenticate(&call) })
        .on(|call: Call, request: FindCa| async move { locate(&call, request.id) })
        .on(move |call: Call, request: ListCas| async move {
            allow(&call)?;
            request.query.accept().map(|_| page())
        })
        .on(move |call: Call, request: ListAllCas| async move {
            allow(&call)?;
            request.query.accept().map(|_| page())
        })
        .on(|call: Call, request: GetCa| async move { find(&call, request.id).map(|()| described_ca()) })
        .on(|call: Call, request: GetCaCertificate| async move { find(&call, request.id).map(|()| "PEM".to_owned()) })
        .on(|call: Call, request: GetCaChain| async move { find(&call, request.id).map(|()| "PEMPEM".to_owned()) })
        .on(|call: Call, request: ListCaProjects| async move {
            find(&call, request.id).map(|()| vec![ProjectId::new("p").unwrap()])
        })
        .on(|call: Call, GetPreferredCa {}| async move { allow(&call).map(|()| ID.parse().unwrap()) })
        .on(|call: Call, GetGlobalPreferredCa {}| async move { allow(&call).map(|()| ID.parse().unwrap()) })
        .on(|call: Call, request: ChooseCa| async move { find(&call, request.id) })
        .on(|call: Call, request: DismissCa| async move { find(&call, request.id) })
        .on(|call: Call, request: PreferCa| async move { find(&call, request.id) })
        .on(|call: Call, request: PreferCaGlobally| async move { find(&call, request.id) })
        .on(|call: Call, PreferNoCaGlobally {}| async move { allow(&call) })
        .on(|call: Call, request: CreateSubAuthority| async move {
            allow(&call)?;
            request.authority.accept().map(|_| ID.parse().unwrap())
        })
        .on(|call: Call, request: DeleteSubAuthority| async move { find(&call, request.id) })
}

fn acls(handlers: Handlers) -> Handlers {
    handlers
        .on(|call: Call, request: GetAcl| async move { find_entity(&call, request.entity).map(|_| None) })
        .on(|call: Call, request: PutAcl| async move {
            let entity = find_entity(&call, request.entity)?;
            request.acl.accept().map(|_| entity)
        })
        .on(|call: Call, request: PatchAcl| async move {
            let entity = find_entity(&call, request.entity)?;
            request.change.accept().map(|_| entity)
        })
        .on(|call: Call, request: DeleteAcl| async move { find_entity(&call, request.entity).map(drop) })
}

fn consumers(handlers: Handlers) -> Handlers {
    handlers
        .on(|call: Call, request: ListSecretConsumers| async move {
            find(&call, request.id)?;
            request
                .page
                .accept()
                .map(|_| ConsumerPage { of: secret().id.into(), page: Page { items: secret().consumers, total: 30 } })
        })
        .on(|call: Call, request: AddSecretConsumer| async move {
            find(&call, request.id)?;
            request.usage.accept().map(|_| secret())
        })
        .on(|call: Call, request: RemoveSecretConsumer| async move {
            find(&call, request.id)?;
            request.usage.accept().map(|_| secret())
        })
        .on(|call: Call, request: ListContainerConsumers| async move {
            find(&call, request.id)?;
            request.page.accept().map(|_| ConsumerPage {
                of: container().id.into(),
                page: Page { items: container().consumers, total: 30 },
            })
        })
        .on(|call: Call, request: AddContainerConsumer| async move {
            find(&call, request.id)?;
            request.usage.accept().map(|_| container())
        })
        .on(|call: Call, request: RemoveContainerConsumer| async move {
            find(&call, request.id)?;
            request.usage.accept().map(|_| container())
        })
        .on(|call: Call, request: GetConsumer| async move {
            find_entity(&call, request.entity)?;
            Err(Failure::not_found("Not found"))
        })
}

fn secrets() -> Handlers {
    Handlers::default()
        .on(|call: Call, Identify {}| async move { authenticate(&call) })
        .on(|call: Call, request: FindSecret| async move { locate(&call, request.id) })
        .on(|call: Call, request: CreateSecret| async move {
            authenticate(&call)?;
            authorise(&call)?;
            let made = CreatedSecret { id: ID.parse().unwrap(), transport_key: None };
            request.secret.accept().map(|_| made)
        })
        .on(|call: Call, request: GetSecret| async move {
            {
                find(&call, request.id)?;
                let transport_key = request.with_transport_key.accept()?.then(|| ID.parse().unwrap());
                Ok((secret(), transport_key))
            }
        })
        .on(|call: Call, request: PutPayload| async move {
            find(&call, request.id)?;
            request.payload.accept()?.accept().map(drop)
        })
        .on(|call: Call, request: GetPayload| async move {
            find(&call, request.id)?;
            let content_type = match request.form.accept()? {
                PayloadForm::AsStored | PayloadForm::Wrapped(_) => ContentType::TextPlain,
                PayloadForm::As(content_type) => content_type,
            };
            Ok(Payload { content_type, bytes: b"t\xc3\xa9xt".to_vec().into() })
        })
        .on(|call: Call, request: ListSecrets| async move {
            authenticate(&call)?;
            authorise(&call)?;
            let offset = request.query.accept()?.page.offset;
            let items = if offset < 30 { vec![secret()] } else { Vec::new() };
            Ok(Page { items, total: 30 })
        })
}

fn handlers(asked: &Asked) -> Handlers {
    let asked = Arc::clone(asked);
    cas(orders(consumers(acls(containers(secrets())))))
        .on(|_: Call, CheckHealth {}| async move {
            let part = |part: &str, trouble: Option<&str>| PartHealth {
                part: part.into(),
                is_needed: true,
                trouble: trouble.map(str::to_owned),
            };
            Ok(HealthReport { parts: vec![part("database", None), part("vault", Some("no connection"))] })
        })
        .on(move |call: Call, request: DeleteSecret| {
            asked.lock().unwrap().push(format!("{request:?}"));
            async move {
                find(&call, request.id)?;
                request.spare_consumed.accept().map(drop)
            }
        })
        .on(|call: Call, request: GetMetadata| async move {
            find(&call, request.id).map(|()| UserMetadata::from([("k".into(), "v".into())]))
        })
        .on(|call: Call, request: PutMetadata| async move {
            find(&call, request.id)?;
            request.metadata.accept().map(drop)
        })
        .on(|call: Call, request: AddMetadatum| async move {
            find(&call, request.id)?;
            request.metadatum.accept()
        })
        .on(|call: Call, request: GetMetadatum| async move {
            find(&call, request.id).map(|()| Metadatum { key: request.key, value: "v".into() })
        })
        .on(|call: Call, request: PutMetadatum| async move {
            find(&call, request.id)?;
            request.metadatum.accept()
        })
        .on(|call: Call, _: FindStore| async move { authenticate(&call) })
        .on(|call: Call, _: FindTransportKey| async move { authenticate(&call) })
        .on(|call: Call, request: DeleteMetadatum| async move { find(&call, request.id) })
}

/// An answer, read to its end.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// The application before its worker.
pub struct Api<S> {
    service: S,
    pub asked: Asked,
}

/// An application with the default settings.
pub async fn api() -> Api<impl Service<actix_http::Request, Response = ServiceResponse<impl MessageBody>, Error = Error>>
{
    api_with(Config::default()).await
}

pub async fn api_with(
    config: Config,
) -> Api<impl Service<actix_http::Request, Response = ServiceResponse<impl MessageBody>, Error = Error>> {
    let queue = Queue::new(&bailey_queue::Config::default(), tokio::runtime::Handle::current());
    let asked = Asked::default();
    queue.attach(handlers(&asked));
    Api { service: init_service(bailey_api::app(web::Data::new(State::new(config, queue)))).await, asked }
}

impl<S, B> Api<S>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    /// Sends a request as it is.
    pub async fn send(&self, request: TestRequest) -> Answer {
        let response = tokio::time::timeout(Duration::from_secs(20), call_service(&self.service, request.to_request()));
        let response = response.await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: read_body(response).await.to_vec() }
    }

    /// Sends `METHOD PATH` with the good token, some headers and a body.
    pub async fn ask(&self, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let token = [("X-Auth-Token", "good")];
        let headers: Vec<_> = if headers.iter().any(|(name, _)| *name == "X-Auth-Token") {
            headers.to_vec()
        } else {
            [&token, headers].concat()
        };
        self.send(request(line, &headers, body)).await
    }
}

/// `METHOD PATH` with headers and a body.
pub fn request(line: &str, headers: &[(&str, &str)], body: &[u8]) -> TestRequest {
    let (method, path) = line.split_once(' ').unwrap();
    let request = TestRequest::with_uri(path).method(method.parse().unwrap()).set_payload(body.to_vec());
    headers.iter().fold(request, |request, header| request.append_header(*header))
}

/// The same with `{id}` and its like and `{unknown}` replaced.
pub fn with_ids(line: &str) -> String {
    line.replace("{id}", ID)
        .replace("{container}", ID)
        .replace("{consumer}", ID)
        .replace("{order}", ID)
        .replace("{ca}", ID)
        .replace("{unknown}", UNKNOWN)
}
