//! What an order's `meta` says of its product.

use bailey_core::failure::Failure;
use bailey_core::ids::SecretId;
use bailey_core::order::Order;
use bailey_core::secret::Secret;
use bailey_core::spec::{ContentType, SecretType, Spec};
use chrono::{DateTime, NaiveDateTime, Utc};
use serde::Deserialize;

/// What all secrets of an order's product have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) name: Option<String>,
    pub(crate) spec: Spec,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    /// Blank if the order says so.
    pub(crate) content_type: Option<ContentType>,
}

/// The fields of `meta` that mean something here, as the API normalised them.
#[derive(Deserialize)]
struct Meta {
    name: Option<String>,
    algorithm: Option<String>,
    bit_length: Option<i32>,
    mode: Option<String>,
    expiration: Option<NaiveDateTime>,
    payload_content_type: Option<String>,
}

impl Template {
    /// Reads the text of `meta`.
    ///
    /// # Errors
    /// `Internal` when it is nothing that the API lets in.
    pub(crate) fn read(meta: &str) -> Result<Self, Failure> {
        let unreadable = |_| Failure::internal("the meta of an order can't be read");
        let Meta { name, algorithm, bit_length, mode, expiration, payload_content_type } =
            serde_json::from_str(meta).map_err(unreadable)?;
        let content_type = match payload_content_type.as_deref() {
            None => Some(ContentType::OctetStream),
            Some(given) => ContentType::normalise(given),
        };
        Ok(Self {
            name,
            spec: Spec { algorithm, bit_length, mode },
            expires_at: expiration.map(|time| time.and_utc()),
            content_type,
        })
    }

    /// A secret of the order's product, the order's creator's.
    pub(crate) fn secret(&self, order: &Order, id: SecretId, secret_type: SecretType, now: DateTime<Utc>) -> Secret {
        Secret {
            id,
            project: order.project.clone(),
            creator: order.creator.clone(),
            name: self.name.clone(),
            secret_type,
            spec: self.spec.clone(),
            content_type: self.content_type,
            expires_at: self.expires_at,
            created_at: now,
            updated_at: now,
            consumers: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn meta_is_read_as_the_api_writes_it() {
        let meta = r#"{"algorithm":"AES","bit_length":256,"expiration":"2039-12-31T22:00:00.000000","mode":"cbc",
            "name":"k","payload_content_type":"TEXT/plain;charset=utf-8","unknown":[1]}"#;
        let template = Template::read(meta).unwrap();
        assert_eq!(template.name.as_deref(), Some("k"));
        let spec = Spec { algorithm: Some("AES".into()), bit_length: Some(256), mode: Some("cbc".into()) };
        assert_eq!(template.spec, spec);
        assert_eq!(template.expires_at.unwrap().to_rfc3339(), "2039-12-31T22:00:00+00:00");
        assert_eq!(template.content_type, Some(ContentType::TextPlain));

        let bare = r#"{"algorithm":"aes","bit_length":8,"expiration":null,"name":null,"payload_content_type":""}"#;
        let template = Template::read(bare).unwrap();
        assert_eq!((template.name, template.expires_at), (None, None));
        assert_eq!(template.content_type, None);
        for unsaid in [r#"{"payload_content_type":null}"#, "{}"] {
            assert_eq!(Template::read(unsaid).unwrap().content_type, Some(ContentType::OctetStream));
        }
        assert!(Template::read("null").is_err());
    }
}
