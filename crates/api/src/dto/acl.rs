//! Access control lists.

use bailey_core::acl::{Acl, AclChange};
use bailey_core::failure::Failure;
use bailey_core::ids::UserId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::dto::fields::Fields;
use crate::dto::time;
use crate::extract::body::Body;
use crate::json::Json;

/// Who may do what. Reading is all there is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Acl, example = json!({"read": {
    "project-access": false, "users": ["5ecb18f341894e94baca9e8c7b6a824a"],
    "created": "2030-02-28T19:14:44.180394", "updated": "2030-02-28T19:14:45",
}}))]
pub struct AclBody {
    /// Who may read.
    read: ReadBody,
}

/// Who may read.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AclRead)]
#[serde(rename_all = "kebab-case")]
pub struct ReadBody {
    /// Whether those may whom the policy lets in by role.
    project_access: bool,
    /// Users who may beside them; absent where no ACL was stored, as the times are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    users: Option<Vec<String>>,
    /// When the ACL was first stored, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    created: Option<String>,
    /// When it last changed, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    updated: Option<String>,
}

impl From<Option<Acl>> for AclBody {
    fn from(stored: Option<Acl>) -> Self {
        let read = match stored {
            None => ReadBody { project_access: true, users: None, created: None, updated: None },
            Some(acl) => ReadBody {
                project_access: acl.project_access,
                users: Some(acl.users.into_iter().map(String::from).collect()),
                created: Some(time::format(acl.created_at)),
                updated: Some(time::format(acl.updated_at)),
            },
        };
        Self { read }
    }
}

/// Where an ACL is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AclRef)]
pub struct AclRefBody {
    /// Its href.
    pub acl_ref: String,
}

/// What an ACL is to say.
#[derive(ToSchema)]
#[schema(as = NewAcl, example = json!({"read": {
    "project-access": false, "users": ["5ecb18f341894e94baca9e8c7b6a824a"],
}}))]
#[expect(dead_code, reason = "describes the body in the OpenAPI document; it is read by hand")]
pub struct NewAclBody {
    /// Who may read.
    #[schema(nullable = false)]
    read: Option<NewReadBody>,
}

/// Who may read; what isn't said is as it was, or as by default.
#[derive(ToSchema)]
#[schema(as = NewAclRead)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document; it is read by hand")]
struct NewReadBody {
    /// Whether those may whom the policy lets in by role; true by default.
    #[schema(rename = "project-access", nullable = false)]
    project_access: Option<bool>,
    /// Users who may beside them, at most 255 bytes each; none by default.
    #[schema(nullable = false)]
    users: Option<Vec<String>>,
}

/// Reads what an ACL is to say, and nothing else beside it.
///
/// # Errors
/// `UnsupportedMedia`, `TooLarge`, `Invalid` with every bad field.
pub fn read(body: Body) -> Result<AclChange, Failure> {
    let mut fields = Fields::open("ACL", body.json()?)?;
    let change = fields.take("read").and_then(|read| {
        fields.within("read", read, |fields| {
            let change = AclChange { project_access: fields.flag("project-access"), users: users(fields) };
            fields.refuse_others();
            change
        })
    });
    fields.refuse_others();
    fields.close().map(|()| change.unwrap_or_default())
}

fn users(fields: &mut Fields) -> Option<Vec<UserId>> {
    let Json::List(items) = fields.take("users")? else {
        fields.complain("users", "must be a list");
        return None;
    };
    let mut users = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        match (item, index) {
            // Nobody has no name.
            (Json::Text(name), _) if name.expose().is_empty() => {}
            (Json::Text(name), _) => match UserId::new(name.expose()) {
                Ok(user) => users.push(user),
                Err(_) => fields.complain("users", "must have at most 255 bytes each"),
            },
            // Barbican looks at the first one only, and stores numbers that follow it as text.
            (Json::Number { text, .. }, 1..) if is_whole(text) => users.extend(UserId::new(&**text)),
            _ => fields.complain("users", "must be strings"),
        }
    }
    Some(users)
}

fn is_whole(number: &str) -> bool {
    number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn change(project_access: Option<bool>, users: Option<&[&str]>) -> AclChange {
        let users = users.map(|users| users.iter().map(|name| UserId::new(*name).unwrap()).collect());
        AclChange { project_access, users }
    }

    #[test]
    fn what_is_said_is_read() {
        let long = "x".repeat(255);
        let longest = format!(r#"{{"read":{{"users":["{long}"]}}}}"#);
        let cases = [
            ("{}", change(None, None)),
            (r#"{"read":{}}"#, change(None, None)),
            (r#"{"read":{"users":[]}}"#, change(None, Some(&[]))),
            (r#"{"read":{"project-access":false}}"#, change(Some(false), None)),
            (r#"{"read":{"users":[" a ","b"],"project-access":true}}"#, change(Some(true), Some(&["a", "b"]))),
            (r#"{"read":{"users":["a",1,-20]}}"#, change(None, Some(&["a", "1", "-20"]))),
            (r#"{"read":{"users":["", "a", " "]}}"#, change(None, Some(&["a"]))),
            (&longest, change(None, Some(&[&long]))),
        ];
        for (text, expected) in cases {
            assert_eq!(read(Body::of_json(text)).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn every_bad_field_is_named() {
        let long = format!(r#"{{"read":{{"users":["a","{}"]}}}}"#, "x".repeat(256));
        let cases = [
            ("[]", vec![""]),
            (r#"{"read":null}"#, vec!["read"]),
            (r#"{"read":[]}"#, vec!["read"]),
            (r#"{"read":{"users":null}}"#, vec!["read.users"]),
            (r#"{"read":{"users":"a"}}"#, vec!["read.users"]),
            (r#"{"read":{"users":[1,"a"]}}"#, vec!["read.users"]),
            (r#"{"read":{"users":["a",1.5]}}"#, vec!["read.users"]),
            (r#"{"read":{"users":["a",null]}}"#, vec!["read.users"]),
            (r#"{"read":{"users":["a",true]}}"#, vec!["read.users"]),
            (r#"{"read":{"users":["a",["b"]]}}"#, vec!["read.users"]),
            (&long, vec!["read.users"]),
            (r#"{"read":{"project-access":null}}"#, vec!["read.project-access"]),
            (r#"{"read":{"project-access":"true"}}"#, vec!["read.project-access"]),
            (r#"{"read":{"project-access":1,"users":{}}}"#, vec!["read.project-access", "read.users"]),
            (r#"{"read":{"creator-only":true}}"#, vec!["read.creator-only"]),
            (r#"{"write":{},"list":1,"read":{"x":1}}"#, vec!["read.x", "list", "write"]),
        ];
        for (text, expected) in cases {
            let violations = read(Body::of_json(text)).unwrap_err().violations;
            let named: Vec<_> = violations.into_iter().map(|bad| bad.property.unwrap_or_default()).collect();
            assert_eq!(named, expected, "{text}");
        }
    }
}
