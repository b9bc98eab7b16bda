//! A certificate authority to be made below another, from the body of `POST /v1/cas`.

use bailey_core::ca::GivenSubAuthority;
use bailey_core::certificate::DistinguishedName;
use bailey_core::failure::Failure;
use bailey_core::ids::CaId;
use utoipa::ToSchema;

use crate::dto::fields::Fields;
use crate::dto::new_container::id_in;
use crate::extract::body::Body;
use crate::json::Json;

const SCHEMA: &str = "CA";

/// A CA to be made below another.
#[derive(ToSchema)]
#[schema(as = NewCa, example = json!({
    "name": "billing", "description": "Certificates of the billing service",
    "subject_dn": "CN=Billing CA,O=Example",
    "parent_ca_ref": "http://localhost:9311/v1/cas/01968a3e-8f4b-7cc3-98c4-dc0c0c07398f",
}))]
#[expect(dead_code, reason = "describes the body in the OpenAPI document; it is read by hand, strictly")]
pub struct NewCaBody {
    /// Label.
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    /// The subject of its certificate (RFC 4514).
    #[schema(min_length = 1)]
    subject_dn: String,
    /// Href of the CA above it.
    #[schema(min_length = 1)]
    parent_ca_ref: String,
    /// What it is for.
    #[schema(max_length = 255)]
    description: Option<String>,
}

/// Reads the body, and nothing else beside what it may have.
///
/// # Errors
/// `UnsupportedMedia`, `TooLarge`, `Invalid` with every bad field.
pub fn read(body: Body) -> Result<GivenSubAuthority, Failure> {
    parse(body.json()?)
}

fn parse(json: Json) -> Result<GivenSubAuthority, Failure> {
    let mut fields = Fields::open(SCHEMA, json)?;
    let name = filled(&mut fields, "name");
    let subject = filled(&mut fields, "subject_dn").and_then(|text| subject(&mut fields, &text));
    let parent = filled(&mut fields, "parent_ca_ref").and_then(|href| parent(&mut fields, &href));
    let description = fields.nullable_label("description");
    fields.refuse_others();
    fields.close()?;
    // Every reason why one is missing has been complained of.
    let given = name.zip(subject).zip(parent);
    let ((name, subject), parent) = given.ok_or_else(|| Failure::invalid("The CA can't be read"))?;
    Ok(GivenSubAuthority { name, subject, parent, description })
}

/// A label that must be there and say something.
fn filled(fields: &mut Fields, name: &str) -> Option<String> {
    let text = fields.required_label(name)?;
    if text.is_empty() {
        fields.complain(name, "must not be empty");
        return None;
    }
    Some(text)
}

fn subject(fields: &mut Fields, text: &str) -> Option<DistinguishedName> {
    text.parse().map_err(|wrong| fields.complain("subject_dn", format!("{wrong}"))).ok()
}

fn parent(fields: &mut Fields, href: &str) -> Option<CaId> {
    id_in(href).parse().map_err(|_| fields.complain("parent_ca_ref", "must be the href of a CA")).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;

    const ID: &str = "01968a3e-8f4b-7cc3-98c4-dc0c0c07398f";

    fn read(body: &Value) -> Result<GivenSubAuthority, Failure> {
        super::read(Body::of_json(body))
    }

    #[test]
    fn a_ca_needs_a_name_a_subject_and_one_above_it() {
        let body = json!({"name": " n ", "subject_dn": "CN=n, O=e", "parent_ca_ref": format!("http://h/v1/cas/{ID}")});
        let given = read(&body).unwrap();
        assert_eq!((given.name.as_str(), given.parent.to_string().as_str()), ("n", ID));
        assert_eq!((given.subject.to_string().as_str(), given.description), ("CN=n,O=e", None));
    }

    #[test]
    fn every_bad_field_is_named() {
        let cases = [
            (json!([]), &[""][..]),
            (json!({}), &["name", "subject_dn", "parent_ca_ref"]),
            (
                json!({"name": "", "subject_dn": "n", "parent_ca_ref": "http://h/v1/cas/x", "description": 1, "x": 1}),
                &["name", "subject_dn", "parent_ca_ref", "description", "x"],
            ),
            (json!({"name": 1, "subject_dn": null, "parent_ca_ref": ID}), &["name", "subject_dn"]),
            (json!({"name": "n".repeat(256), "subject_dn": "CN=n", "parent_ca_ref": ID}), &["name"]),
        ];
        for (body, expected) in cases {
            let violations = read(&body).unwrap_err().violations.into_iter();
            let named: Vec<String> = violations.map(|bad| bad.property.unwrap_or_default()).collect();
            assert_eq!(named, expected, "{body}");
        }
    }
}
