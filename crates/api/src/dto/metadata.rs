//! User metadata of secrets.

use std::collections::BTreeMap;

use bailey_core::failure::Failure;
use bailey_core::secret::{Metadatum, UserMetadata};
use serde::Serialize;
use utoipa::ToSchema;

use crate::dto::fields::{Fields, LABEL};
use crate::extract::body::Body;
use crate::json::Json;

/// A secret's user metadata.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Metadata, example = json!({"metadata": {"owner": "billing"}}))]
pub struct MetadataBody {
    /// Keys of letters, digits, `_` and `-`, kept in lower case, with their values.
    pub metadata: BTreeMap<String, String>,
}

/// Where a secret's user metadata is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MetadataRef)]
pub struct MetadataRefBody {
    /// Its href.
    pub metadata_ref: String,
}

/// One key of user metadata.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Metadatum, example = json!({"key": "owner", "value": "billing"}))]
pub struct MetadatumBody {
    /// Letters, digits, `_` and `-`; kept in lower case.
    #[schema(max_length = 255, pattern = "^[A-Za-z0-9_-]*$")]
    key: String,
    /// Anything.
    #[schema(max_length = 255)]
    value: String,
}

impl From<Metadatum> for MetadatumBody {
    fn from(Metadatum { key, value }: Metadatum) -> Self {
        Self { key, value }
    }
}

const URL_SAFE: &str = "keys are made of letters, digits, '_' and '-'";

fn is_url_safe(key: &str) -> bool {
    key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Reads `{"metadata": {...}}`. Of keys that differ in case only, the first in byte order counts.
///
/// # Errors
/// `UnsupportedMedia`, `TooLarge`, `Invalid` with every bad key.
pub fn read_all(body: Body) -> Result<UserMetadata, Failure> {
    let mut fields = Fields::open("SecretMetadata", body.json()?)?;
    let mut metadata = UserMetadata::new();
    match fields.take("metadata") {
        None => fields.complain("metadata", "is required"),
        Some(Json::Object(given)) => {
            for (key, value) in given {
                match entry(&key, value) {
                    Ok(value) => drop(metadata.entry(key.to_lowercase()).or_insert(value)),
                    Err(reason) => fields.complain(&key, reason),
                }
            }
        }
        Some(_) => fields.complain("metadata", "must be an object"),
    }
    fields.close().map(|()| metadata)
}

fn entry(key: &str, value: Json) -> Result<String, String> {
    let Json::Text(value) = value else { return Err("must be a string".into()) };
    if !is_url_safe(key) {
        return Err(URL_SAFE.into());
    }
    if key.len() > LABEL || value.expose().chars().count() > LABEL {
        return Err(format!("key and value must have at most {LABEL} characters"));
    }
    Ok(value.expose().to_owned())
}

/// Reads `{"key": ..., "value": ...}`, and nothing else beside them.
///
/// # Errors
/// `UnsupportedMedia`, `TooLarge`, `Invalid` with every bad field.
pub fn read_one(body: Body) -> Result<Metadatum, Failure> {
    let mut fields = Fields::open("SecretMetadatum", body.json()?)?;
    let (key, value) = (fields.required_label("key"), fields.required_label("value"));
    fields.refuse_others();
    if key.as_deref().is_some_and(|key| !is_url_safe(key)) {
        fields.complain("key", URL_SAFE);
    }
    fields.close()?;
    Ok(Metadatum { key: key.unwrap_or_default().to_lowercase(), value: value.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn bad<T>(result: Result<T, Failure>) -> Vec<String> {
        result.map(drop).unwrap_err().violations.into_iter().map(|bad| bad.property.unwrap_or_default()).collect()
    }

    #[test]
    fn all_metadata_is_read_in_lower_case() {
        let metadata =
            read_all(Body::of_json(r#"{"metadata":{"A":" x ","a":"y","b-1":"","":"e","1_":"z"},"other":1}"#)).unwrap();
        let expected = [("", "e"), ("1_", "z"), ("a", "x"), ("b-1", "")];
        assert!(metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())).eq(expected));
    }

    #[test]
    fn bad_metadata_is_named() {
        let long = format!(r#"{{"metadata":{{"a":"{}","{}":"v"}}}}"#, "x".repeat(256), "k".repeat(256));
        let cases = [
            ("[]", vec![""]),
            ("{}", vec!["metadata"]),
            (r#"{"metadata":[]}"#, vec!["metadata"]),
            (r#"{"metadata":null}"#, vec!["metadata"]),
            (r#"{"metadata":{"a b":"x","c":5,"d":null,"ok":"v","ä":"x"}}"#, vec!["a b", "c", "d", "ä"]),
        ];
        for (text, expected) in cases {
            assert_eq!(bad(read_all(Body::of_json(text))), expected, "{text}");
        }
        assert_eq!(bad(read_all(Body::of_json(&long))).len(), 2);
    }

    #[test]
    fn of_very_many_complaints_the_first_few_are_told() {
        let many: Vec<String> = (0..5_000).map(|number| format!("\"{number:04}\":1")).collect();
        let named = bad(read_all(Body::of_json(format!(r#"{{"metadata":{{{}}}}}"#, many.join(",")))));
        assert_eq!((named.len(), named.last().unwrap().as_str()), (20, "0019"));
        assert_eq!(bad(read_one(Body::of_json(format!("{{{}}}", many.join(","))))).len(), 20);
    }

    #[test]
    fn one_metadatum_is_read_or_its_bad_fields_named() {
        let good = read_one(Body::of_json(r#"{"key":"K-1","value":" v "}"#)).unwrap();
        assert_eq!(good, Metadatum { key: "k-1".into(), value: "v".into() });
        assert!(read_one(Body::of_json(r#"{"key":"","value":""}"#)).is_ok());
        let long = format!(r#"{{"key":"{}","value":"v"}}"#, "k".repeat(256));
        let cases = [
            ("{}", vec!["key", "value"]),
            (r#"{"key":"k"}"#, vec!["value"]),
            (r#"{"key":"k","value":5}"#, vec!["value"]),
            (r#"{"key":null,"value":"v"}"#, vec!["key"]),
            (r#"{"key":"k k","value":"v"}"#, vec!["key"]),
            (r#"{"key":"k","value":"v","x":1}"#, vec!["x"]),
            (&long, vec!["key"]),
        ];
        for (text, expected) in cases {
            assert_eq!(bad(read_one(Body::of_json(text))), expected, "{text}");
        }
    }
}
