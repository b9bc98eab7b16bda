//! The no-auth mode: whoever asks is whom the headers name (the contract's section 4.2).

use std::fmt::Display;

use async_trait::async_trait;
use bailey_core::access::{Authenticator, Caller, Credentials, Method};
use bailey_core::failure::{Failure, FailureKind};
use bailey_core::ids::{ProjectId, UserId};

/// Believes the identity headers. For development only.
#[derive(Debug, Clone, Copy)]
pub struct NoAuth;

#[async_trait]
impl Authenticator for NoAuth {
    /// Never `None`: no credentials are beneath it. Without roles the caller is an `admin`.
    async fn authenticate(&self, credentials: &Credentials) -> Result<Option<Caller>, Failure> {
        let claims = &credentials.claims;
        let present = |header: &Option<String>| header.clone().filter(|text| !text.is_empty());
        let project = present(&claims.project).ok_or_else(|| unidentified("The X-Project-Id header is missing"))?;
        let project = ProjectId::new(project).map_err(|_| unusable("X-Project-Id"))?;
        let user = present(&claims.user).map(UserId::new).transpose().map_err(|_| unusable("X-User-Id"))?;
        let roles = present(&claims.roles).unwrap_or_else(|| "admin".to_owned());
        Ok(Some(Caller::new(user, project, roles.split(','), Method::NoAuth)))
    }
}

fn unusable(header: impl Display) -> Failure {
    unidentified(format!("The {header} header is longer than 255 bytes or contains a NUL character"))
}

fn unidentified(reason: impl Into<std::borrow::Cow<'static, str>>) -> Failure {
    Failure::new(FailureKind::Unidentified, reason)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bailey_core::access::Claims;

    use super::*;

    async fn ask(project: Option<&str>, user: Option<&str>, roles: Option<&str>) -> Result<Caller, Failure> {
        let [project, user, roles] = [project, user, roles].map(|header| header.map(str::to_owned));
        let credentials = Credentials { token: None, claims: Claims { project, user, roles } };
        NoAuth.authenticate(&credentials).await.map(Option::unwrap)
    }

    #[tokio::test]
    async fn the_headers_are_believed() {
        let caller = ask(Some("p"), Some("u"), Some(" Creator, AUDIT ,,creator")).await.unwrap();
        assert_eq!((caller.project.as_str(), caller.user.unwrap().as_str()), ("p", "u"));
        assert_eq!(caller.roles, ["audit", "creator"]);
        assert_eq!(caller.method, Method::NoAuth);
    }

    #[tokio::test]
    async fn a_caller_without_roles_is_an_admin_and_may_have_no_name() {
        for roles in [None, Some("")] {
            let caller = ask(Some("p"), None, roles).await.unwrap();
            assert_eq!((caller.user, caller.roles), (None, vec!["admin".to_owned()]));
        }
        assert_eq!(ask(Some("p"), Some(""), None).await.unwrap().user, None);
        assert_eq!(ask(Some("p"), None, Some(" , ")).await.unwrap().roles, Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_missing_project_and_unusable_ids_are_complained_about_by_name() {
        let long = "x".repeat(256);
        for (project, user, header) in [
            (None, None, "X-Project-Id"),
            (Some(""), Some("u"), "X-Project-Id"),
            (Some(long.as_str()), None, "X-Project-Id"),
            (Some("a\0b"), None, "X-Project-Id"),
            (Some("p"), Some(long.as_str()), "X-User-Id"),
            (Some("p"), Some("\0"), "X-User-Id"),
        ] {
            let failure = ask(project, user, None).await.unwrap_err();
            assert_eq!(failure.kind, FailureKind::Unidentified);
            assert!(failure.reason.contains(header) && !failure.reason.contains(&long), "{failure}");
        }
        assert!(ask(Some(&long[1..]), Some(&long[1..]), None).await.is_ok());
    }
}
