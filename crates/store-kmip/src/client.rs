//! Single operations on single objects.

use bailey_core::sensitive::SecretBytes;
use bailey_core::store::{StoreError, StoreErrorKind};

use crate::config::Config;
use crate::error::{Fault, error};
use crate::marks::{APPLICATION, Marks};
use crate::message::{
    AfterFailure, Fields, Message, Operation, Outcome, Refusal, Request, about, enumeration, structure, tag, text,
};
use crate::object::{self, Shape};
use crate::pool::{Pool, Unanswered};
use crate::ttlv::{Item, Limits};

pub(crate) use crate::pool::Over;

/// Why nothing came of an operation.
pub(crate) enum Failed {
    /// The server refused.
    Refused(Refusal),
    /// It couldn't be asked, or made no sense.
    Error(StoreError),
}

impl From<Failed> for StoreError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Refused(refusal) => refusal.into(),
            Failed::Error(error) => error,
        }
    }
}

/// What Bailey needs of a server.
const NEEDED: [Operation; 5] =
    [Operation::Register, Operation::Locate, Operation::Get, Operation::GetAttributes, Operation::Destroy];

/// A server, asked in its version of the protocol.
pub(crate) struct Client {
    pool: Pool,
    limits: Limits,
}

impl Client {
    pub(crate) fn new(config: Config) -> Self {
        let limits = Limits::for_payloads(config.max_payload);
        Self { pool: Pool::new(config), limits }
    }

    pub(crate) const fn config(&self) -> &Config {
        self.pool.config()
    }

    /// What is accepted as an answer about a payload.
    pub(crate) const fn limits(&self) -> Limits {
        self.limits
    }

    /// Operations in one message.
    pub(crate) async fn message(
        &self,
        requests: Vec<Request>,
        after: AfterFailure,
        limits: Limits,
    ) -> Result<Message, StoreError> {
        let version = self.pool.version().await.map_err(|fault| fault.into_error("discover versions"))?;
        Ok(Message::new(version, requests, after, limits))
    }

    /// Asks what may be asked twice.
    pub(crate) async fn ask(&self, operation: Operation, message: &Message) -> Result<Vec<Outcome>, StoreError> {
        self.pool.ask(message).await.map_err(|fault| fault.into_error(operation.as_str()))
    }

    /// Asks what may not.
    pub(crate) async fn ask_once(&self, message: &Message, over: Over) -> Result<Vec<Outcome>, Unanswered> {
        self.pool.ask_once(message, over).await
    }

    /// One operation that may be asked twice.
    async fn one(&self, request: Request) -> Result<Fields, Failed> {
        let operation = request.operation;
        let message = self.message(vec![request], AfterFailure::Stop, self.limits).await.map_err(Failed::Error)?;
        let outcomes = self.ask(operation, &message).await.map_err(Failed::Error)?;
        single(outcomes, operation)
    }

    /// An object's bytes and marks.
    pub(crate) async fn get(&self, id: &str, shape: Shape) -> Result<(SecretBytes, Option<Marks>), StoreError> {
        let requests = vec![about(Operation::Get, id), marks_request(id)];
        let message = self.message(requests, AfterFailure::Stop, self.limits).await?;
        let mut outcomes = self.ask(Operation::Get, &message).await?.into_iter();
        let mut object = outcomes.next().ok_or_else(|| nothing(Operation::Get))??;
        let mut attributes = outcomes.next().ok_or_else(|| nothing(Operation::GetAttributes))??;
        let mut read = || {
            object.take_id(Some(id))?;
            let value = object::read(&mut object, shape)?;
            attributes.take_id(Some(id))?;
            Ok::<_, Fault>((value, Marks::read(&mut attributes)?))
        };
        read().map_err(|fault: Fault| fault.into_error("get object"))
    }

    /// The objects with an attribute.
    pub(crate) async fn locate(&self, attribute: Item, limits: Limits) -> Result<Vec<String>, StoreError> {
        let message = self.message(vec![locate_request(attribute)], AfterFailure::Stop, limits).await?;
        let outcomes = self.ask(Operation::Locate, &message).await?;
        let mut fields = single(outcomes, Operation::Locate)?;
        fields.take_ids().map_err(|fault| fault.into_error("locate objects"))
    }

    /// The marks of objects, in their order; `None` of those that aren't there.
    pub(crate) async fn marks(&self, ids: &[String]) -> Result<Vec<Option<Found>>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let requests = ids.iter().map(|id| marks_request(id)).collect();
        let message = self.message(requests, AfterFailure::Continue, self.limits).await?;
        let outcomes = self.ask(Operation::GetAttributes, &message).await?;
        if outcomes.len() != ids.len() {
            return Err(outcomes
                .into_iter()
                .find_map(Result::err)
                .map_or_else(|| nothing(Operation::GetAttributes), StoreError::from));
        }
        outcomes.into_iter().zip(ids).map(|(outcome, id)| found(outcome, id)).collect()
    }

    /// Destroys an object; one that isn't there is destroyed already. An active one is revoked first.
    pub(crate) async fn destroy(&self, id: &str) -> Result<(), StoreError> {
        match self.one(about(Operation::Destroy, id)).await {
            Ok(mut fields) => check_id(&mut fields, id, Operation::Destroy),
            Err(Failed::Refused(refusal)) if refusal.is_missing() => Ok(()),
            // Servers give various reasons for not destroying an active object.
            Err(Failed::Refused(refusal)) => match self.one(revocation(id)).await {
                Ok(_) => match self.one(about(Operation::Destroy, id)).await {
                    Ok(mut fields) => check_id(&mut fields, id, Operation::Destroy),
                    Err(Failed::Refused(refusal)) if refusal.is_missing() => Ok(()),
                    Err(failed) => Err(failed.into()),
                },
                Err(Failed::Refused(_)) => Err(refusal.into()),
                Err(failed) => Err(failed.into()),
            },
            Err(failed) => Err(failed.into()),
        }
    }

    /// Activates an object.
    pub(crate) async fn activate(&self, id: &str) -> Result<(), StoreError> {
        let mut fields = self.one(about(Operation::Activate, id)).await?;
        check_id(&mut fields, id, Operation::Activate)
    }

    /// Whether the server answers and can what is needed.
    pub(crate) async fn check(&self) -> Result<(), StoreError> {
        /// Query operations (KMIP 1.4, section 9.1.3.2.24).
        const OPERATIONS: u32 = 0x01;
        let payload = vec![enumeration(tag::QUERY_FUNCTION, OPERATIONS)];
        let mut fields = self.one(Request { operation: Operation::Query, payload }).await?;
        let mut offered = Vec::new();
        let mut next = || fields.take_enumeration(tag::OPERATION);
        while let Some(operation) = next().map_err(|fault| fault.into_error("query server"))? {
            offered.push(operation);
        }
        match NEEDED.into_iter().find(|needed| !offered.contains(&(*needed as u32))) {
            None => Ok(()),
            Some(missing) => {
                let context = format!("the server doesn't offer what is needed to {}", missing.as_str());
                Err(error(StoreErrorKind::Unavailable, "query server", context))
            }
        }
    }
}

/// An object that is there, with its marks, if they are Bailey's.
pub(crate) struct Found(pub(crate) Option<Marks>);

fn found(outcome: Outcome, id: &str) -> Result<Option<Found>, StoreError> {
    let mut fields = match outcome {
        Ok(fields) => fields,
        Err(refusal) if refusal.is_missing() => return Ok(None),
        Err(refusal) => return Err(refusal.into()),
    };
    check_id(&mut fields, id, Operation::GetAttributes)?;
    let marks = Marks::read(&mut fields).map_err(|fault| fault.into_error("get attributes"))?;
    Ok(Some(Found(marks)))
}

fn check_id(fields: &mut Fields, id: &str, operation: Operation) -> Result<(), StoreError> {
    fields.take_id(Some(id)).map(drop).map_err(|fault| fault.into_error(operation.as_str()))
}

/// The only outcome there is.
pub(crate) fn single(outcomes: Vec<Outcome>, operation: Operation) -> Result<Fields, Failed> {
    match outcomes.into_iter().next() {
        Some(outcome) => outcome.map_err(Failed::Refused),
        None => Err(Failed::Error(nothing(operation))),
    }
}

fn nothing(operation: Operation) -> StoreError {
    Fault::Protocol("an answer is missing").into_error(operation.as_str())
}

pub(crate) fn marks_request(id: &str) -> Request {
    let payload = vec![text(tag::UNIQUE_IDENTIFIER, id), text(tag::ATTRIBUTE_NAME, APPLICATION)];
    Request { operation: Operation::GetAttributes, payload }
}

pub(crate) fn locate_request(attribute: Item) -> Request {
    Request { operation: Operation::Locate, payload: vec![attribute] }
}

fn revocation(id: &str) -> Request {
    /// Cessation of operation (KMIP 1.4, section 9.1.3.2.19).
    const CESSATION: u32 = 0x06;
    let reason = structure(tag::REVOCATION_REASON, vec![enumeration(tag::REVOCATION_REASON_CODE, CESSATION)]);
    Request { operation: Operation::Revoke, payload: vec![text(tag::UNIQUE_IDENTIFIER, id), reason] }
}
