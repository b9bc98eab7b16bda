//! A secret to be created, from the body of `POST /v1/secrets`.

use bailey_core::failure::Failure;
use bailey_core::ids::TransportKeyId;
use bailey_core::secret::{NewSecret, Payload, SentPayload};
use bailey_core::sensitive::{SecretBytes, SecretText};
use bailey_core::spec::{ContentType, SecretType, Spec};
use bailey_core::transport_key::{WRAPPING, WrappedPayload};
use chrono::{DateTime, Utc};
use utoipa::ToSchema;

use crate::dto::fields::Fields;
use crate::dto::{base64, time};
use crate::extract::body::{Body, too_large};
use crate::json::Json;

const SCHEMA: &str = "Secret";
pub(super) const TYPES: [&str; 6] = ["symmetric", "passphrase", "private", "public", "certificate", "opaque"];

/// A secret to be created.
#[derive(ToSchema)]
#[schema(as = NewSecret, example = json!({
    "name": "database password", "secret_type": "passphrase",
    "payload": "correct horse", "payload_content_type": "text/plain",
}))]
#[expect(dead_code, reason = "describes the body in the OpenAPI document; it is read by hand, strictly")]
pub struct NewSecretBody {
    /// Label.
    #[schema(max_length = 255)]
    name: Option<String>,
    /// Kind of the payload.
    #[schema(schema_with = secret_type)]
    secret_type: String,
    /// Another name of `secret_type`; with it a payload is text/plain unless said otherwise.
    #[schema(schema_with = secret_type)]
    r#type: String,
    /// Label: the payload's algorithm.
    #[schema(max_length = 255)]
    algorithm: String,
    /// Label: the payload's size in bits.
    #[schema(minimum = 1, maximum = 32767)]
    bit_length: i32,
    /// Label: the payload's mode.
    #[schema(max_length = 255)]
    mode: String,
    /// When the secret ceases to be, in ISO 8601; empty for never.
    #[schema(max_length = 255, example = "2039-01-01T00:00:00")]
    expiration: String,
    /// The payload; absent if it follows by PUT.
    #[schema(min_length = 1)]
    payload: String,
    /// Content type of the payload.
    #[schema(max_length = 255, example = "text/plain")]
    payload_content_type: Option<String>,
    /// How the payload is written here; base64 for every type but text/plain.
    #[schema(schema_with = encoding)]
    payload_content_encoding: String,
    /// Whether a key is wanted that the payload to follow may be wrapped to.
    #[schema(schema_with = transport_key_needed)]
    transport_key_needed: String,
    /// The transport key that the payload is wrapped to; the payload is base64 then, whatever its type.
    transport_key_id: String,
}

pub(super) fn one_of(names: &[&str]) -> utoipa::openapi::Object {
    utoipa::openapi::ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::Type::String)
        .enum_values(Some(names.iter().copied()))
        .build()
}

pub(crate) fn secret_type() -> utoipa::openapi::Object {
    one_of(&TYPES)
}

fn encoding() -> utoipa::openapi::Object {
    one_of(&["base64"])
}

fn transport_key_needed() -> utoipa::openapi::Object {
    one_of(&["true", "false"])
}

/// Reads the body.
///
/// # Errors
/// `UnsupportedMedia`, then `Invalid` with every bad field, then `TooLarge`.
pub fn read(body: Body) -> Result<NewSecret, Failure> {
    let limit = body.limits.payload;
    parse(body.json()?, limit)
}

fn parse(json: Json, limit: usize) -> Result<NewSecret, Failure> {
    let mut fields = Fields::open(SCHEMA, json)?;
    let Labels { name, spec, expires_at } = Labels::take(&mut fields);
    let (secret_type, is_alias) = kind(&mut fields);
    let has_payload = fields.has("payload");
    let transport_key_needed = fields.choice("transport_key_needed", &["true", "false"]).unwrap_or(false);
    let wrapped_to = transport_key(&mut fields).filter(|_| has_payload);
    let payload = Written::take(&mut fields, is_alias, wrapped_to);
    let payload = payload.and_then(|written| written.decode(&mut fields, limit)).transpose();
    if payload.is_err() && expires_at.is_some_and(|time| time <= Utc::now()) {
        // What is too large never comes to the worker's clock.
        fields.complain("expiration", "'expiration' is before current time");
    }
    fields.close()?;
    Ok(NewSecret {
        name,
        secret_type,
        spec,
        expires_at,
        payload: payload?,
        transport_key_needed: transport_key_needed && !has_payload,
    })
}

/// What is said of a secret beside its type and payload.
pub(super) struct Labels {
    pub(super) name: Option<String>,
    pub(super) spec: Spec,
    pub(super) expires_at: Option<DateTime<Utc>>,
}

impl Labels {
    pub(super) fn take(fields: &mut Fields) -> Self {
        Self {
            name: fields.nullable_label("name"),
            spec: Spec {
                algorithm: fields.label("algorithm"),
                bit_length: fields.integer("bit_length", 1..=32767),
                mode: fields.label("mode"),
            },
            expires_at: expiration(fields),
        }
    }
}

/// The type, and whether it came by its other name.
fn kind(fields: &mut Fields) -> (SecretType, bool) {
    let is_alias = !fields.has("secret_type") && fields.has("type");
    let kind = fields.choice(if is_alias { "type" } else { "secret_type" }, &TYPES);
    (kind.unwrap_or_default(), is_alias)
}

/// Whether the time has passed already is the worker's to judge, by its clock, if it comes to that.
fn expiration(fields: &mut Fields) -> Option<DateTime<Utc>> {
    let text = fields.label("expiration").filter(|text| !text.is_empty())?;
    let time = time::parse(&text);
    if time.is_none() {
        fields.complain("expiration", "is not a time of ISO 8601");
    }
    time
}

/// The key that the payload is wrapped to; without a payload it means nothing.
fn transport_key(fields: &mut Fields) -> Option<TransportKeyId> {
    let has_payload = fields.has("payload");
    let id = fields.secret_text("transport_key_id").filter(|id| !id.expose().is_empty())?.expose().parse().ok();
    if id.is_none() && has_payload {
        fields.complain("transport_key_id", "there is no such transport key");
    }
    id
}

/// A payload as the body writes it.
struct Written {
    text: SecretText,
    content_type: ContentType,
    is_base64: bool,
    wrapped_to: Option<TransportKeyId>,
}

impl Written {
    /// Reads the payload's three fields; `None` without a payload, or when they don't fit together.
    fn take(fields: &mut Fields, is_text_by_default: bool, wrapped_to: Option<TransportKeyId>) -> Option<Self> {
        let (has_payload, has_type) = (fields.has("payload"), fields.has("payload_content_type"));
        let text = fields.secret_text("payload");
        let given = fields.nullable_label("payload_content_type");
        let encoding: Option<Encoding> = take_encoding(fields);
        if !has_payload {
            if has_type {
                fields.complain("payload", "is required with a payload_content_type");
            }
            return None;
        }
        let content_type = match given {
            Some(given) => known_type(fields, &given),
            None if is_text_by_default && !has_type => Some(ContentType::TextPlain),
            None => {
                fields.complain("payload_content_type", "is required with a payload");
                None
            }
        }?;
        match (content_type, encoding?) {
            _ if wrapped_to.is_some() => Some(Self { text: text?, content_type, is_base64: true, wrapped_to }),
            (ContentType::TextPlain, Encoding::Base64) => {
                fields.complain("payload_content_encoding", "must be absent with text/plain");
                None
            }
            (ContentType::OctetStream | ContentType::Pkcs8, Encoding::Plain) => {
                fields.complain("payload_content_encoding", "must be base64 with this payload_content_type");
                None
            }
            (_, encoding) => {
                Some(Self { text: text?, content_type, is_base64: encoding == Encoding::Base64, wrapped_to })
            }
        }
    }

    /// The payload, measured as it is stored; text that stands for no bytes is measured itself. What
    /// is too large is told only if nothing is wrong otherwise.
    fn decode(self, fields: &mut Fields, limit: usize) -> Option<Result<SentPayload, Failure>> {
        let limit = if self.wrapped_to.is_some() { limit.saturating_add(WRAPPING) } else { limit };
        let text = self.text.expose().as_bytes();
        let bytes = if self.is_base64 { base64::decode(text) } else { Some(SecretBytes::new(text.to_vec())) };
        if bytes.as_ref().map_or(text.len(), SecretBytes::len) > limit {
            return Some(Err(too_large()));
        }
        match bytes {
            Some(bytes) if self.wrapped_to.is_some() && bytes.len() <= WRAPPING => {
                complain(fields, "is too short to be wrapped to a transport key")
            }
            Some(bytes) if !bytes.is_empty() => Some(Ok(sent(self.content_type, bytes, self.wrapped_to))),
            Some(_) => complain(fields, "must not be empty"),
            None => complain(fields, "is not base64 of anything"),
        }
    }
}

/// A payload as it came, wrapped if it is said to be.
pub(crate) fn sent(content_type: ContentType, bytes: SecretBytes, wrapped_to: Option<TransportKeyId>) -> SentPayload {
    match wrapped_to {
        Some(key) => SentPayload::Wrapped(WrappedPayload { key, content_type, bytes }),
        None => SentPayload::Plain(Payload { content_type, bytes }),
    }
}

fn complain<T>(fields: &mut Fields, reason: &str) -> Option<T> {
    fields.complain("payload", reason);
    None
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    Base64,
}

/// `None` if the encoding is none that is known.
pub(super) fn take_encoding(fields: &mut Fields) -> Option<Encoding> {
    const NAME: &str = "payload_content_encoding";
    if !fields.has(NAME) {
        return Some(Encoding::Plain);
    }
    let is_base64 = fields.label(NAME)? == "base64";
    if !is_base64 {
        fields.complain(NAME, "must be base64");
    }
    is_base64.then_some(Encoding::Base64)
}

pub(super) fn known_type(fields: &mut Fields, given: &str) -> Option<ContentType> {
    let known = ContentType::normalise(given);
    if known.is_none() {
        // Clients' tests look for this very sentence.
        let types = "['text/plain', 'text/plain;charset=utf-8', 'text/plain; charset=utf-8', \
                     'application/octet-stream', 'application/pkcs8']";
        fields.complain("payload_content_type", format!("payload_content_type is not one of {types}"));
    }
    known
}

#[cfg(test)]
mod tests;
