//! One request of an authenticated caller: every use case begins with it.

mod entity;
mod sight;

use bailey_core::access::{Call, Caller, Message};
use bailey_core::failure::{Failure, FailureKind};
use bailey_core::ids::{ProjectId, RequestId, UserId};
use bailey_core::request::{ContainerPath, SecretPath};
use bailey_db::target::{self, Access, ContainerTarget, SecretTarget};
use bailey_db::{BoxFuture, Tx, message};

use crate::Worker;
use crate::policy::{Rule, Target};

pub(crate) use entity::{EntityRule, EntityTarget, entity_failure};

/// An authenticated caller and what it may do.
pub(crate) struct Session<'w> {
    pub(crate) worker: &'w Worker,
    pub(crate) request: RequestId,
    pub(crate) caller: Caller,
    message: Option<Message>,
}

impl Worker {
    /// Authenticates a call. A failure is audited.
    pub(crate) async fn session(&self, call: Call) -> Result<Session<'_>, Failure> {
        self.require_audit()?;
        let Call { credentials, request_id: request, message, .. } = call;
        let result = match self.authenticator.authenticate(&credentials).await {
            Ok(Some(caller)) if !caller.project.is_own() => {
                return Ok(Session { worker: self, request, message, caller });
            }
            // Nobody acts in the project that is Bailey's own, whoever vouches for it.
            Ok(_) => Failure::new(FailureKind::Unauthenticated, "Authentication required"),
            Err(failure) => failure,
        };
        if result.kind == FailureKind::Unauthenticated {
            self.audit(&request, None, "authenticate", None, Some(&result));
        }
        Err(result)
    }
}

impl Session<'_> {
    /// Allows what needs no target: lists and creations. A denial is audited.
    pub(crate) fn authorise(&self, rule: Rule) -> Result<(), Failure> {
        self.check(rule, &Target::none(), None)
    }

    /// Finds a secret and allows the caller to do `rule` with it. A denial is audited.
    ///
    /// An unknown id is told before a missing right is: the contract's section 1.2.
    pub(crate) async fn secret(&self, rule: Rule, id: SecretPath) -> Result<SecretTarget, Failure> {
        let now = self.worker.clock.now();
        self.secret_if(rule, id, |target| target.secret.expires_at.is_none_or(|expires_at| expires_at > now)).await
    }

    /// As [`secret`](Self::secret), but an expired secret is found too.
    pub(crate) async fn secret_even_expired(&self, rule: Rule, id: SecretPath) -> Result<SecretTarget, Failure> {
        self.secret_if(rule, id, |_| true).await
    }

    /// Finds a secret for a caller who learns no more than that it is there, and needs no right for it.
    pub(crate) async fn find(&self, id: SecretPath) -> Result<(), Failure> {
        let now = self.worker.clock.now();
        let found = target::find_secret(self.worker.db.reader(), id.accept()?).await?.filter(|found| {
            let is_expired = found.secret.expires_at.is_some_and(|expires_at| expires_at <= now);
            !is_expired && !self.worker.policy.hides(&self.caller, &secret_target(found))
        });
        found.map(drop).ok_or_else(secret_not_found)
    }

    /// Runs what the request changes in a transaction, with the message that brought it: whoever comes second
    /// with that message changes nothing. Use cases write through this and never past it, but for what is
    /// no harm to do twice.
    ///
    /// # Errors
    /// The closure's own; `Repeated` for a message that was worked on before; `Unavailable`.
    pub(crate) async fn write<F, T, E>(&self, mut closure: F) -> Result<T, E>
    where
        F: for<'t> FnMut(&'t Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<bailey_db::Error> + Send + 'static,
    {
        let Some(message) = self.message else { return self.worker.db.write(closure).await };
        let clock = self.worker.clock.clone();
        let write = self.worker.db.write(move |tx| {
            let (work, now) = (closure(tx), clock.now());
            Box::pin(async move {
                message::claim(tx, &message, now).await?;
                work.await
            })
        });
        write.await
    }

    /// Whether the request came in a message, so that [`write`](Self::write) has to have its part.
    pub(crate) const fn has_message(&self) -> bool {
        self.message.is_some()
    }

    async fn secret_if(
        &self,
        rule: Rule,
        id: SecretPath,
        is_there: impl FnOnce(&SecretTarget) -> bool,
    ) -> Result<SecretTarget, Failure> {
        let id = id.accept()?;
        let found = target::find_secret(self.worker.db.reader(), id).await?;
        let found = found.filter(|found| !found.secret.project.is_own() && is_there(found));
        let found = found.ok_or_else(secret_not_found)?;
        self.allow(rule, &secret_target(&found), &secret_name(&found), secret_not_found)?;
        Ok(found)
    }

    /// Finds a container and allows the caller to do `rule` with it. A denial is audited.
    pub(crate) async fn container(&self, rule: Rule, id: ContainerPath) -> Result<ContainerTarget, Failure> {
        let found = target::find_container(self.worker.db.reader(), id.accept()?).await?;
        let found = found.ok_or_else(container_not_found)?;
        self.allow(rule, &container_target(&found), &container_name(&found), container_not_found)?;
        Ok(found)
    }

    /// Finds a container for a caller who learns no more than that it is there, and needs no right for it.
    pub(crate) async fn find_container(&self, id: ContainerPath) -> Result<(), Failure> {
        let found = target::find_container(self.worker.db.reader(), id.accept()?).await?;
        let shown = found.filter(|found| !self.worker.policy.hides(&self.caller, &container_target(found)));
        shown.map(drop).ok_or_else(container_not_found)
    }

    fn allow(&self, rule: Rule, target: &Target<'_>, name: &str, hidden: fn() -> Failure) -> Result<(), Failure> {
        self.check(rule, target, Some(name)).map_err(|failure| match failure.kind {
            FailureKind::Forbidden if self.worker.policy.hides(&self.caller, target) => hidden(),
            _ => failure,
        })
    }

    /// Audits how a change or a payload read ended, and passes the result on.
    pub(crate) fn audited<T>(
        &self,
        rule: Rule,
        target: impl Into<Option<String>>,
        result: Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.worker.audit(&self.request, Some(&self.caller), rule.as_str(), target.into(), result.as_ref().err());
        result
    }

    pub(crate) fn check(&self, rule: Rule, target: &Target<'_>, name: Option<&str>) -> Result<(), Failure> {
        self.worker.policy.authorise(rule, &self.caller, target).inspect_err(|failure| {
            let name = name.map(ToOwned::to_owned);
            self.worker.audit(&self.request, Some(&self.caller), rule.as_str(), name, Some(failure));
        })
    }
}

fn secret_target(found: &SecretTarget) -> Target<'_> {
    target_of(&found.secret.project, found.secret.creator.as_ref(), found.access.as_ref())
}

fn container_target(found: &ContainerTarget) -> Target<'_> {
    target_of(&found.container.project, found.container.creator.as_ref(), found.access.as_ref())
}

fn target_of<'a>(project: &'a ProjectId, creator: Option<&'a UserId>, access: Option<&'a Access>) -> Target<'a> {
    Target {
        project: Some(project),
        creator,
        is_private: access.is_some_and(|access| !access.project_access),
        readers: access.map_or(&[], |access| &access.readers),
    }
}

/// How audit events name a secret.
pub(crate) fn secret_name(target: &SecretTarget) -> String {
    format!("secrets/{}", target.secret.id)
}

/// The answer for a secret that isn't there.
pub(crate) fn secret_not_found() -> Failure {
    Failure::not_found("The secret was not found")
}

/// How audit events name a container.
pub(crate) fn container_name(target: &ContainerTarget) -> String {
    format!("containers/{}", target.container.id)
}

/// The answer for a container that isn't there.
pub(crate) fn container_not_found() -> Failure {
    Failure::not_found("The container was not found")
}
