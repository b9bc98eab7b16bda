//! How an object gets its place: made, found to be the only one of its write, or taken back.

use std::time::{Duration, Instant};

use bailey_core::ids::WriteId;
use bailey_core::sensitive::SecretBytes;
use bailey_core::store::{Place, StoreError, StoreErrorKind};

use crate::backend::KmipStore;
use crate::client::{Failed, Found, Over, locate_request, marks_request, single};
use crate::error::{Fault, error};
use crate::marks::{Marks, name_attribute, template};
use crate::message::{AfterFailure, Fields, Message, Operation, Request, about, attribute, enumeration, tag};
use crate::object::{self, Kind, Object, Shape};
use crate::reference::Reference;
use crate::seal::Owner;
use crate::ttlv::{Item, Value};

/// How often those who stored under one write id at once are looked at until one is left, and how long between; no
/// longer, though, than one answer may take.
const LOOKS: u32 = 40;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Why an object has no place.
pub(crate) enum Refused {
    /// The server doesn't take it for what it is; an opaque object may do.
    Content(StoreError),
    /// Anything else.
    Error(StoreError),
}

impl Refused {
    pub(crate) fn into_error(self) -> StoreError {
        match self {
            Self::Content(error) | Self::Error(error) => error,
        }
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Error(error)
    }
}

impl From<Failed> for Refused {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Refused(refusal) if refusal.is_about_content() => Self::Content(refusal.into()),
            failed => Self::Error(failed.into()),
        }
    }
}

/// An object to be made.
pub(crate) struct Draft(Request);

impl Draft {
    /// An object with these bytes.
    pub(crate) fn registered(owner: &Owner, marks: &Marks, object: Object) -> Self {
        let kind = object.shape.kind;
        let mut attributes = marks.attributes(owner);
        attributes.extend(usage_attribute(kind));
        let payload =
            vec![enumeration(tag::OBJECT_TYPE, object::object_type(kind)), template(attributes), object::write(object)];
        Self(Request { operation: Operation::Register, payload })
    }

    /// A key that the server draws.
    pub(crate) fn created(owner: &Owner, marks: &Marks, algorithm: u32, bits: i32) -> Self {
        let kind = Shape::SYMMETRIC.kind;
        let mut attributes = marks.attributes(owner);
        attributes.extend(key_attributes(algorithm, bits));
        attributes.extend(usage_attribute(kind));
        let payload = vec![enumeration(tag::OBJECT_TYPE, object::object_type(kind)), template(attributes)];
        Self(Request { operation: Operation::Create, payload })
    }
}

/// What a key that a server draws is to be.
pub(crate) fn key_attributes(algorithm: u32, bits: i32) -> [Item; 2] {
    [
        attribute("Cryptographic Algorithm", Value::Enumeration(algorithm)),
        attribute("Cryptographic Length", Value::Integer(bits)),
    ]
}

pub(crate) fn usage_attribute(kind: Kind) -> Option<Item> {
    object::usage(kind).map(|mask| attribute("Cryptographic Usage Mask", Value::Integer(mask)))
}

/// An object in its place, as the server has it.
pub(crate) struct Placed {
    pub(crate) id: String,
    pub(crate) value: SecretBytes,
}

impl KmipStore {
    /// Makes an object and sees to it that it is the only one of its write.
    pub(crate) async fn place(&self, draft: Draft, marks: &Marks) -> Result<Placed, Refused> {
        let Draft(request) = draft;
        let operation = request.operation;
        let message = self.client.message(vec![request], AfterFailure::Stop, self.client.limits()).await?;
        let (id, was_repeated) = self.make(operation, &message, marks).await?;
        match self.settle(id, marks).await {
            // Its twin may be what the broken connection left: another write id has nothing to do with it.
            Err(error) if was_repeated && error.kind == StoreErrorKind::Conflict => {
                Err(StoreError { kind: StoreErrorKind::Unavailable, ..error }.into())
            }
            settled => Ok(settled?),
        }
    }

    /// Sends a message that makes an object; its identifier, and whether the message was sent twice.
    ///
    /// A server that ended an old connection tells nobody whether it read what was on it. So before the message is
    /// repeated, the write is looked for.
    async fn make(&self, operation: Operation, message: &Message, marks: &Marks) -> Result<(String, bool), Refused> {
        let failed = |fault: Fault| fault.into_error(operation.as_str());
        let (outcomes, was_repeated) = match self.client.ask_once(message, Over::Any).await {
            Ok(outcomes) => (outcomes, false),
            Err(unanswered) if unanswered.was_stale => {
                if let Some(id) = self.arrived(marks).await? {
                    return Ok((id, true));
                }
                let repeated = self.client.ask_once(message, Over::Fresh).await;
                (repeated.map_err(|unanswered| failed(unanswered.fault))?, true)
            }
            Err(unanswered) => return Err(failed(unanswered.fault).into()),
        };
        let mut fields = single(outcomes, operation)?;
        Ok((fields.take_id(None).map_err(failed)?, was_repeated))
    }

    /// The object with these very marks, if there is one.
    async fn arrived(&self, marks: &Marks) -> Result<Option<String>, StoreError> {
        let ids = self.located(marks.place.write).await?;
        let found = self.client.marks(&ids).await?;
        let is_it = |found: Option<Found>| found.is_some_and(|found| found.0.as_ref() == Some(marks));
        Ok(ids.into_iter().zip(found).find_map(|(id, found)| is_it(found).then_some(id)))
    }

    /// The objects of a write; several, if it was stored under more than once.
    async fn located(&self, write: WriteId) -> Result<Vec<String>, StoreError> {
        self.client.locate(name_attribute(&self.owner, write), self.client.limits()).await
    }

    /// Waits until an object is the only one of its write, reads it, and activates it where that is wanted.
    ///
    /// A server keeps objects of one name side by side. So each who made one looks for others: one that is before
    /// its own has it taken back, and with none beside it, it has won. Two can't both have been alone, for the later
    /// one saw the earlier. The first of all waits for the others to go, and goes if one of them has won.
    pub(crate) async fn settle(&self, id: String, marks: &Marks) -> Result<Placed, StoreError> {
        let begun_at = Instant::now();
        for _ in 0..LOOKS {
            let (ids, value) = self.look(&id, marks).await?;
            let is_there = ids.contains(&id);
            match ids.iter().filter(|other| **other != id).min_by_key(|other| rank(other)) {
                None if is_there => {
                    if self.client.config().activate && marks.shape != Shape::OPAQUE {
                        self.client.activate(&id).await?;
                    }
                    return Ok(Placed { id, value });
                }
                Some(first) if rank(first) < rank(&id) => break,
                _ if begun_at.elapsed() > self.client.config().answer() => break,
                // Others are to go, or the server is yet to find what it has.
                _ => tokio::time::sleep(BETWEEN_LOOKS).await,
            }
        }
        self.client.destroy(&id).await?;
        Err(error(StoreErrorKind::Conflict, "register object", format!("write {}", marks.place.write)))
    }

    /// The objects of a write, and the bytes of the one that was made with these marks. An identifier that the server
    /// gave for it and that means another object is nobody's to read or to destroy.
    async fn look(&self, id: &str, marks: &Marks) -> Result<(Vec<String>, SecretBytes), StoreError> {
        let name = name_attribute(&self.owner, marks.place.write);
        let requests = vec![locate_request(name), about(Operation::Get, id), marks_request(id)];
        let message = self.client.message(requests, AfterFailure::Stop, self.client.limits()).await?;
        let outcomes = self.client.ask(Operation::Locate, &message).await?;
        let [locating, getting, telling]: [_; 3] = outcomes.try_into().map_err(|outcomes: Vec<_>| {
            let refusal = outcomes.into_iter().find_map(Result::err);
            refusal
                .map_or_else(|| Fault::Protocol("an answer is missing").into_error("locate objects"), StoreError::from)
        })?;
        let read = |mut locating: Fields, mut getting: Fields, mut telling: Fields| {
            getting.take_id(Some(id))?;
            telling.take_id(Some(id))?;
            if Marks::read(&mut telling)?.as_ref() != Some(marks) {
                return Err(Fault::Protocol("an object with other attributes than it was made with"));
            }
            Ok((locating.take_ids()?, object::read(&mut getting, marks.shape)?))
        };
        read(locating?, getting?, telling?).map_err(|fault| fault.into_error("locate objects"))
    }

    /// Destroys a write's objects: the one that the reference names, and those that were left beside it.
    pub(crate) async fn remove(&self, place: &Place, reference: &Reference) -> Result<(), StoreError> {
        let mut ids = self.located(place.write).await?;
        ids.retain(|id| *id != reference.id);
        ids.insert(0, reference.id.clone());
        let found = self.client.marks(&ids).await?;
        let corrupt = || error(StoreErrorKind::Corrupt, "destroy object", format!("write {}", place.write));
        let mut theirs = Vec::new();
        for (id, found) in ids.into_iter().zip(found) {
            let Some(found) = found else { continue };
            let is_theirs = |marks: &Marks| marks.store == self.owner.store && marks.place == *place;
            let is_named = id == reference.id;
            match found.0.filter(is_theirs) {
                Some(marks) if is_named && marks.code.is_some_and(|code| code != reference.code) => {
                    return Err(corrupt());
                }
                Some(_) => theirs.push(id),
                None if is_named => return Err(corrupt()),
                None => {}
            }
        }
        for id in theirs {
            self.client.destroy(&id).await?;
        }
        Ok(())
    }
}

/// An order of identifiers that all agree on: numbers by their size, which is their age.
fn rank(id: &str) -> (usize, &str) {
    (id.len(), id)
}
