//! What a certificate order's `meta` says.

use std::collections::BTreeMap;

use bailey_core::certificate::{
    CertificateOrder, DistinguishedName, KeySource, LONGEST_RENEW_BEFORE, RequestType, Subject,
};
use bailey_core::failure::Failure;
use bailey_core::ids::{CaId, ContainerId};
use bailey_core::order::OrderChange;
use bailey_core::spec::Spec;
use serde_json::Value;
use utoipa::ToSchema;

use super::{ALIAS, Labels, Meta, complain, read_passphrase, text};
use crate::dto::fields::Fields;
use crate::dto::new_container::id_in;
use crate::dto::{base64, new_secret};
use crate::extract::body::{Body, too_large};
use crate::json::Json;

const SCHEMA: &str = "Certificate Order";
const META: &str = "Certificate' within 'Order";
/// Most alternative names of one certificate.
const MOST_NAMES: usize = 100;

/// What is said of a certificate that an order has issued, and of its key.
#[derive(ToSchema)]
#[schema(as = CertificateMeta, example = json!({
    "name": "www", "subject_dn": "CN=www.example.org", "subject_alt_names": ["DNS:www.example.org"], "renew_before": 720,
}))]
#[expect(dead_code, reason = "describes the body in the OpenAPI document; it is read by hand, strictly")]
pub struct CertificateMetaBody {
    /// Label.
    #[schema(max_length = 255)]
    name: Option<String>,
    /// How it is ordered: with a key that is made for it, with a PKCS#10 request, or for a key in a container; custom,
    /// if absent.
    #[schema(required = false, schema_with = request_types)]
    request_type: String,
    /// The CA's id or href; the preferred one, if absent.
    #[schema(max_length = 255)]
    ca_id: Option<String>,
    /// The CA's profile, with ca_id only; its first, if absent.
    #[schema(max_length = 255)]
    profile: Option<String>,
    /// How many hours before it ends it is renewed, again and again; 0 for never. As the CA is configured, if absent.
    #[schema(minimum = 0, maximum = 87840)]
    renew_before: Option<i32>,
    /// For simple-cmc: the base64 of a PKCS#10 certification request in PEM.
    #[schema(required = false)]
    request_data: String,
    /// For stored-key: the container with the private key.
    #[schema(required = false)]
    container_ref: String,
    /// For custom and stored-key: its subject (RFC 4514).
    #[schema(required = false)]
    subject_dn: String,
    /// For custom and stored-key: alternative names, such as DNS:a.example.org, IP:192.0.2.1, email: and URI: ones.
    #[schema(max_items = 100)]
    subject_alt_names: Option<Vec<String>>,
    /// For custom: which sort of key is made; ec, if absent.
    #[schema(min_length = 1, max_length = 255)]
    algorithm: Option<String>,
    /// For custom: its size in bits.
    #[schema(minimum = 8, maximum = 32767)]
    bit_length: Option<i32>,
    /// When the secrets cease to be, in ISO 8601; empty for never.
    #[schema(required = false, max_length = 255, example = "2039-01-01T00:00:00")]
    expiration: String,
    /// For custom: what the private key is encrypted under. It becomes a secret of its own and is told nowhere else.
    passphrase: Option<String>,
}

/// Reads the body of `PUT /v1/orders/{order}`.
///
/// # Errors
/// `UnsupportedMedia`, then `Invalid` with every bad field, then `TooLarge`.
pub fn read_change(body: Body) -> Result<OrderChange, Failure> {
    let limit = body.limits.payload;
    let mut fields = Fields::open(SCHEMA, body.json()?)?;
    let is_certificate = fields.required_label("type").map(|given| given == "certificate");
    if is_certificate == Some(false) {
        fields.complain("type", "must be certificate, as the order's is");
    }
    let meta = match fields.take("meta") {
        Some(Json::Object(meta)) => Some(meta),
        _ => complain(&mut fields, "meta", "must be an object"),
    };
    if meta.as_ref().is_some_and(|meta| meta.contains_key("passphrase") || meta.contains_key(ALIAS)) {
        fields.complain("meta", "must be without a passphrase, which stays as it is");
    }
    fields.close()?;
    let (meta, certificate) = read_meta(meta.unwrap_or_default(), limit)?;
    Ok(OrderChange { meta: meta.text, certificate })
}

/// Reads `meta`.
///
/// # Errors
/// `Invalid` with every bad field, then `TooLarge`.
pub(super) fn read_meta(mut meta: BTreeMap<String, Json>, limit: usize) -> Result<(Meta, CertificateOrder), Failure> {
    // Out of it before it is copied into a text that everybody may see.
    let (passphrase, alias) = (meta.remove("passphrase"), meta.remove(ALIAS));
    meta.remove("creator_id");
    let meta = Json::Object(meta);
    let told = meta.disclose();
    let mut fields = Fields::open(META, meta)?;
    for absent in ["payload", "extensions"] {
        if fields.take(absent).is_some() {
            fields.complain(absent, "must be absent");
        }
    }
    let labels = Labels::take(&mut fields);
    let request_type = request_type(&mut fields);
    let (ca, profile) = (ca(&mut fields), fields.nullable_label("profile"));
    if profile.is_some() && ca.is_none() {
        fields.complain("profile", "needs ca_id");
    }
    let renew_before_hours = renew_before(&mut fields);
    let key = request_type.and_then(|kind| key(&mut fields, kind, &labels.spec));
    let given = read_passphrase(&mut fields, passphrase.or(alias));
    let passphrase = given.filter(|_| request_type == Some(RequestType::Custom));
    fields.close()?;
    if passphrase.as_ref().is_some_and(|passphrase| passphrase.len() > limit) {
        return Err(too_large());
    }
    // Every reason why there is none has been complained of.
    let key = key.ok_or_else(|| Failure::invalid("The certificate order can't be read"))?;
    let meta = Meta { text: told_again(told, &labels), expires_at: labels.expires_at, passphrase };
    Ok((meta, CertificateOrder { ca, profile, key, renew_before_hours, renews: None }))
}

/// What a CA is asked is told again as it was said; no size where none was given.
fn told_again(told: Value, labels: &Labels) -> String {
    let had_size = told.get("bit_length").is_some();
    let text = text(told, labels);
    if had_size { text } else { text.replace("\"bit_length\":null,", "") }
}

fn request_type(fields: &mut Fields) -> Option<RequestType> {
    if !fields.has("request_type") {
        return Some(RequestType::Custom);
    }
    let given = fields.label("request_type")?;
    match given.parse() {
        Ok(known) => Some(known),
        Err(_) if given == "full-cmc" => complain(fields, "request_type", "full-cmc is not supported"),
        Err(_) => {
            let names = RequestType::ALL.map(RequestType::as_str).join(", ");
            complain(fields, "request_type", &format!("must be one of {names}"))
        }
    }
}

/// Hours before the end, 0 for never; null is as good as nothing.
fn renew_before(fields: &mut Fields) -> Option<u32> {
    match fields.take("renew_before")? {
        Json::Null => None,
        given => {
            fields.integer_of("renew_before", &given, 0..=LONGEST_RENEW_BEFORE.cast_signed()).map(i32::unsigned_abs)
        }
    }
}

/// A CA by its id or its href.
fn ca(fields: &mut Fields) -> Option<CaId> {
    let given = fields.nullable_label("ca_id")?;
    match id_in(&given).parse() {
        Ok(id) => Some(id),
        Err(_) => complain(fields, "ca_id", "must be the id of a CA"),
    }
}

fn key(fields: &mut Fields, kind: RequestType, spec: &Spec) -> Option<KeySource> {
    if kind == RequestType::SimpleCmc {
        return request(fields).map(KeySource::Request);
    }
    let (container, subject) = match kind {
        RequestType::StoredKey => (Some(container(fields)), subject(fields)),
        _ => (None, subject(fields)),
    };
    match container {
        Some(container) => Some(KeySource::Stored { container: container?, subject: subject?, key: None }),
        None => Some(KeySource::Made { spec: made(spec), subject: subject? }),
    }
}

/// P-256, unless something else is wanted.
fn made(given: &Spec) -> Spec {
    let algorithm = given.algorithm.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| "ec".to_owned());
    let usual = if algorithm.eq_ignore_ascii_case("rsa") { 2048 } else { 256 };
    Spec { bit_length: Some(given.bit_length.unwrap_or(usual)), algorithm: Some(algorithm), mode: None }
}

/// A PKCS#10 request: PEM in base64, as the historical clients send it, or PEM.
fn request(fields: &mut Fields) -> Option<Vec<u8>> {
    if !fields.has("request_data") {
        return complain(fields, "request_data", "is required");
    }
    let given = fields.secret_text("request_data")?;
    let given = given.expose().as_bytes();
    let decoded = if given.starts_with(b"-----") { None } else { base64::decode(given) };
    let pem = decoded.as_ref().map_or(given, |decoded| decoded.expose());
    match der(pem) {
        Some(der) => Some(der),
        None => complain(fields, "request_data", "must be the base64 of a PKCS#10 certification request in PEM"),
    }
}

/// What is between the first lines of dashes, if they say that it is a certification request.
fn der(pem: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(pem).ok()?.trim();
    ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"].into_iter().find_map(|label| {
        let body = text.strip_prefix(&format!("-----BEGIN {label}-----"))?;
        let body = body.strip_suffix(&format!("-----END {label}-----"))?;
        base64::decode(body.as_bytes()).map(|der| der.expose().to_vec())
    })
}

fn container(fields: &mut Fields) -> Option<ContainerId> {
    let href = fields.required_label("container_ref")?;
    match id_in(&href).parse() {
        Ok(id) => Some(id),
        Err(_) => complain(fields, "container_ref", "must be the href of a container"),
    }
}

/// Either a name or alternative names must be there.
fn subject(fields: &mut Fields) -> Option<Subject> {
    let name = fields.secret_text("subject_dn").map(|text| text.expose().parse::<DistinguishedName>());
    let name = match name {
        None => Some(DistinguishedName::default()),
        Some(Ok(name)) => Some(name),
        Some(Err(wrong)) => complain(fields, "subject_dn", &wrong.to_string()),
    };
    let alt_names = match fields.take("subject_alt_names") {
        None | Some(Json::Null) => Some(Vec::new()),
        Some(Json::List(items)) if items.len() <= MOST_NAMES => {
            let names = items.iter().map(|item| match item {
                Json::Text(text) => text.expose().parse().ok(),
                _ => None,
            });
            match names.collect::<Option<Vec<_>>>() {
                Some(names) => Some(names),
                None => complain(fields, "subject_alt_names", "must be of DNS:, IP:, email: and URI: names"),
            }
        }
        Some(_) => complain(fields, "subject_alt_names", &format!("must be an array of at most {MOST_NAMES} names")),
    };
    let subject = Subject { name: name?, alt_names: alt_names? };
    if subject.name.0.is_empty() && subject.alt_names.is_empty() {
        return complain(fields, "subject_dn", "is required");
    }
    Some(subject)
}

/// The types in the OpenAPI document.
pub(crate) fn request_types() -> utoipa::openapi::Object {
    new_secret::one_of(&RequestType::ALL.map(RequestType::as_str))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bailey_core::certificate::AltName;
    use serde_json::json;

    use super::*;

    fn read(meta: &Value) -> Result<(Meta, CertificateOrder), Failure> {
        match Json::read(meta.to_string().as_bytes()).unwrap() {
            Json::Object(meta) => read_meta(meta, 100),
            _ => Err(Failure::invalid("")),
        }
    }

    fn bad(meta: &Value) -> Vec<String> {
        let failure = read(meta).map(drop).unwrap_err();
        failure.violations.into_iter().map(|bad| bad.property.unwrap_or_default()).collect()
    }

    #[test]
    fn a_key_is_made_where_nothing_else_is_said() {
        let meta = json!({"subject_dn": "CN=a.example", "subject_alt_names": ["DNS:a.example"], "passphrase": "p",
            "renew_before": 720});
        let (meta, order) = read(&meta).unwrap();
        let KeySource::Made { spec, subject } = order.key else { unreachable!() };
        assert_eq!((spec.algorithm.as_deref(), spec.bit_length), (Some("ec"), Some(256)));
        assert_eq!(subject.alt_names, [AltName::Dns("a.example".into())]);
        assert_eq!((order.renew_before_hours, order.renews), (Some(720), None));
        assert!(meta.passphrase.is_some() && !meta.text.contains("passphrase"), "{}", meta.text);
    }

    #[test]
    fn renewal_is_as_the_ca_has_it_unless_the_order_says() {
        for (given, expected) in [(json!(null), None), (json!(0), Some(0)), (json!(87_840), Some(87_840))] {
            let (_, order) = read(&json!({"subject_dn": "CN=a", "renew_before": given})).unwrap();
            assert_eq!(order.renew_before_hours, expected);
        }
    }

    #[test]
    fn a_request_is_read_from_base64_of_pem_and_from_pem() {
        let pem = "-----BEGIN CERTIFICATE REQUEST-----\nMAMCAQA=\n-----END CERTIFICATE REQUEST-----\n";
        use ::base64::Engine as _;
        let encoded = ::base64::engine::general_purpose::STANDARD.encode(pem);
        for data in [pem, &encoded] {
            let (_, order) = read(&json!({"request_type": "simple-cmc", "request_data": data})).unwrap();
            assert_eq!(order.key, KeySource::Request(vec![0x30, 3, 2, 1, 0]));
        }
    }

    #[test]
    fn every_bad_field_is_named() {
        let cases = [
            (json!({}), &["subject_dn"][..]),
            (json!({"request_type": "full-cmc"}), &["request_type"]),
            (json!({"request_type": "simple-cmc"}), &["request_data"]),
            (json!({"request_type": "simple-cmc", "request_data": "AAAA"}), &["request_data"]),
            (json!({"request_type": "stored-key"}), &["container_ref", "subject_dn"]),
            (
                json!({"request_type": "stored-key", "subject_dn": "CN=a", "container_ref": "x", "extensions": ""}),
                &["extensions", "container_ref"],
            ),
            (
                json!({"subject_dn": "CN", "subject_alt_names": [1], "payload": "", "ca_id": "x"}),
                &["payload", "ca_id", "subject_dn", "subject_alt_names"],
            ),
            (json!({"subject_dn": "CN=a", "profile": "server"}), &["profile"]),
            (json!({"subject_dn": "CN=a", "renew_before": -1}), &["renew_before"]),
            (json!({"subject_dn": "CN=a", "renew_before": 87_841}), &["renew_before"]),
            (json!({"subject_dn": "CN=a", "renew_before": "soon"}), &["renew_before"]),
        ];
        for (meta, expected) in cases {
            assert_eq!(bad(&meta), expected, "{meta}");
        }
    }
}
