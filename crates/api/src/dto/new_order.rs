//! An order to be taken, from the body of `POST /v1/orders`.

mod certificate;

use std::borrow::Cow;
use std::collections::BTreeMap;

use bailey_core::failure::Failure;
use bailey_core::order::{NewOrder, OrderType};
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::SecretType;
use chrono::{DateTime, Utc};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::Ref;
use utoipa::openapi::schema::{AnyOfBuilder, Schema};

use crate::dto::fields::Fields;
use crate::dto::new_secret::{self, Labels};
use crate::dto::time;
use crate::extract::body::{Body, too_large};
use crate::json::Json;

pub use certificate::{CertificateMetaBody, read_change};

const SCHEMA: &str = "Order";
/// The quotation marks are as Barbican sets them.
const META: &str = "Secret' within 'Order";

/// An order to be taken.
#[derive(ToSchema)]
#[schema(as = NewOrder, example = json!({
    "type": "key", "meta": {"name": "disk", "algorithm": "aes", "bit_length": 256, "mode": "cbc"},
}))]
#[expect(dead_code, reason = "describes the body in the OpenAPI document; it is read by hand, strictly")]
pub struct NewOrderBody {
    /// What is to be made: a symmetric key, a key pair, or, where there is a CA, a certificate.
    #[schema(schema_with = order_type)]
    r#type: String,
    /// What is said of the secrets that are made; fields that are not known are kept and told again.
    #[schema(schema_with = meta)]
    meta: OrderMetaBody,
}

/// What is said of the keys that an order makes.
#[derive(ToSchema)]
#[schema(as = OrderMeta)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document; it is read by hand, strictly")]
pub struct OrderMetaBody {
    /// Label.
    #[schema(max_length = 255)]
    name: Option<String>,
    /// aes, 3des, hmacsha256 and others for keys; rsa, ec, ed25519, dsa for key pairs.
    #[schema(required, min_length = 1, max_length = 255)]
    algorithm: String,
    /// Size in bits: a multiple of eight, or 521 for ec.
    #[schema(required, minimum = 8, maximum = 32767)]
    bit_length: i32,
    /// Label: the key's mode; xts doubles the sizes of a key.
    #[schema(required = false, max_length = 255)]
    mode: String,
    /// When the secrets cease to be, in ISO 8601; empty for never.
    #[schema(required = false, max_length = 255, example = "2039-01-01T00:00:00")]
    expiration: String,
    /// Content type of what is made; application/octet-stream, if absent.
    #[schema(max_length = 255, example = "application/octet-stream")]
    payload_content_type: Option<String>,
    /// What the private key of a pair is encrypted under. It becomes a secret of its own and is told
    /// nowhere else.
    passphrase: Option<String>,
}

/// Which of them it is the order's type says, so they need not shut one another out.
fn meta() -> Schema {
    let one = |name: Cow<'_, str>| Ref::from_schema_name(name);
    AnyOfBuilder::new().item(one(OrderMetaBody::name())).item(one(CertificateMetaBody::name())).build().into()
}

pub(crate) fn order_type() -> utoipa::openapi::Object {
    new_secret::one_of(&OrderType::ALL.map(OrderType::as_str))
}

/// Reads the body.
///
/// # Errors
/// `UnsupportedMedia`, then `Invalid` with every bad field, then `TooLarge`.
pub fn read(body: Body) -> Result<NewOrder, Failure> {
    let limit = body.limits.payload;
    parse(body.json()?, limit)
}

fn parse(json: Json, limit: usize) -> Result<NewOrder, Failure> {
    let mut fields = Fields::open(SCHEMA, json)?;
    let order_type = fields.required_choice("type", &OrderType::ALL.map(OrderType::as_str));
    let meta = match fields.take("meta") {
        Some(Json::Object(meta)) if order_type == Some(OrderType::Certificate) => {
            Some(certificate::read_meta(meta, limit).map(|(meta, certificate)| (meta, Some(certificate))))
        }
        Some(Json::Object(meta)) => Some(read_meta(order_type, meta, limit).map(|meta| (meta, None))),
        Some(_) => complain(&mut fields, "meta", "must be an object"),
        None => complain(&mut fields, "meta", "is required"),
    };
    match (fields.close(), meta, order_type) {
        (Ok(()), Some(Ok((meta, certificate))), Some(order_type)) => {
            let Meta { text, expires_at, passphrase } = meta;
            Ok(NewOrder { order_type, meta: text, expires_at, passphrase, certificate })
        }
        (Ok(()), Some(Err(failure)), _) => Err(failure),
        (outside, inside, _) => {
            let mut violations = outside.err().map(|failure| failure.violations.into_vec()).unwrap_or_default();
            violations.extend(inside.and_then(Result::err).into_iter().flat_map(|failure| failure.violations));
            Err(Failure::schema(SCHEMA, violations))
        }
    }
}

/// `meta`, read.
struct Meta {
    /// What is told of it again.
    text: String,
    expires_at: Option<DateTime<Utc>>,
    passphrase: Option<SecretBytes>,
}

/// What python-barbicanclient calls a passphrase. Barbican passes over it, and keeps and tells it as it came.
const ALIAS: &str = "pass_phrase";

fn read_meta(order_type: Option<OrderType>, mut meta: BTreeMap<String, Json>, limit: usize) -> Result<Meta, Failure> {
    // Out of it before it is copied into a text that everybody may see.
    let (passphrase, alias, payload) = (meta.remove("passphrase"), meta.remove(ALIAS), meta.remove("payload"));
    // The order's creator is who gave it, whatever the body says.
    meta.remove("creator_id");
    let meta = Json::Object(meta);
    let told = meta.disclose();
    let mut fields = Fields::open(META, meta)?;
    if payload.is_some() {
        fields.complain("payload", "must be absent: the payload is made");
    }
    let labels = Labels::take(&mut fields);
    check_spec(&mut fields, order_type, &labels);
    check_rest(&mut fields);
    let passphrase =
        read_passphrase(&mut fields, passphrase.or(alias)).filter(|_| order_type == Some(OrderType::Asymmetric));
    fields.close()?;
    if passphrase.as_ref().is_some_and(|passphrase| passphrase.len() > limit) {
        return Err(too_large());
    }
    Ok(Meta { text: text(told, &labels), expires_at: labels.expires_at, passphrase })
}

/// Whether anybody can make a key of this algorithm and size is found out by whoever is to make it.
fn check_spec(fields: &mut Fields, order_type: Option<OrderType>, labels: &Labels) {
    let algorithm = labels.spec.algorithm.as_deref();
    if algorithm.is_none_or(str::is_empty) {
        fields.complain("algorithm", "is required");
    }
    // P-521 has no size in whole bytes.
    let is_curve = order_type == Some(OrderType::Asymmetric)
        && algorithm.is_some_and(|algorithm| algorithm.eq_ignore_ascii_case("ec"));
    match labels.spec.bit_length {
        None => fields.complain("bit_length", "is required"),
        Some(521) if is_curve => {}
        Some(bits) if bits % 8 != 0 => fields.complain("bit_length", "must be a multiple of 8"),
        Some(_) => {}
    }
}

/// What else a secret's body may say, and what an order's must then say well.
fn check_rest(fields: &mut Fields) {
    fields.choice::<SecretType>("secret_type", &new_secret::TYPES);
    fields.choice::<bool>("transport_key_needed", &["true", "false"]);
    fields.label("transport_key_id");
    new_secret::take_encoding(fields);
    if let Some(given) = fields.nullable_label("payload_content_type").filter(|given| !given.is_empty()) {
        new_secret::known_type(fields, &given);
    }
}

/// An empty passphrase is none.
fn read_passphrase(fields: &mut Fields, given: Option<Json>) -> Option<SecretBytes> {
    match given? {
        Json::Null => None,
        Json::Text(text) if text.expose().is_empty() => None,
        Json::Text(text) => Some(SecretBytes::new(text.expose().as_bytes().to_vec())),
        _ => complain(fields, "passphrase", "must be a string"),
    }
}

/// What is told of `meta` again: name and expiration in any case, sizes as integers, times in UTC.
fn text(told: Value, labels: &Labels) -> String {
    let Value::Object(mut told) = told else { return told.to_string() };
    told.insert("name".to_owned(), labels.name.as_deref().into());
    told.insert("bit_length".to_owned(), labels.spec.bit_length.into());
    told.insert("expiration".to_owned(), labels.expires_at.map(time::format_full).into());
    Value::Object(told).to_string()
}

fn complain<T>(fields: &mut Fields, name: &str, reason: &str) -> Option<T> {
    fields.complain(name, reason);
    None
}

#[cfg(test)]
mod tests;
