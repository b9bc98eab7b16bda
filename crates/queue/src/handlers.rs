//! Which function answers which request.

use std::any::Any;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use bailey_core::access::{Call, Message};
use bailey_core::failure::Failure;
use bailey_core::ids::RequestId;
use bailey_core::request::Request;
use tracing::Instrument as _;

use crate::codec::{Encoded, Heard, Told, decode, encode};
use crate::measure::UseCase;
use crate::trace;

type Reply<T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send>>;
type Handler<R> = dyn Fn(Call, R) -> Reply<<R as Request>::Reply> + Send + Sync;
type Opened = dyn Fn(&[u8], Message) -> Result<Begun, rmp_serde::decode::Error> + Send + Sync;

/// The worker's handlers, one for each request type.
#[derive(Default)]
pub struct Handlers(HashMap<&'static str, Entry>);

struct Entry {
    /// An `Arc<Handler<R>>`.
    handler: Box<dyn Any + Send + Sync>,
    /// The same for a request that came as bytes.
    opened: Box<Opened>,
    mutates: bool,
}

/// A request that came as bytes, about to be worked on.
pub(crate) struct Begun {
    /// Names the HTTP request.
    pub(crate) request_id: RequestId,
    /// The work, and its reply as a [`Told`].
    pub(crate) work: Reply<Encoded>,
}

impl Handlers {
    /// Adds the handler for `R`, counted and traced; a later one replaces it.
    #[must_use]
    pub fn on<R, F, A>(mut self, handle: F) -> Self
    where
        R: Request,
        F: Fn(Call, R) -> A + Send + Sync + 'static,
        A: Future<Output = Result<R::Reply, Failure>> + Send + 'static,
    {
        let (handle, use_case) = (Arc::new(handle), Arc::new(UseCase::of::<R>()));
        let handler: Arc<Handler<R>> = Arc::new(move |call, request| {
            let (handle, use_case) = (Arc::clone(&handle), Arc::clone(&use_case));
            // Nothing is done before it is polled, so that the span is within that of whoever polls.
            Box::pin(async move {
                let (span, begun) = (trace::working(R::NAME, call.trace), use_case.begin());
                let reply = span.in_scope(|| handle(call, request)).instrument(span.clone()).await;
                begun.end(reply.as_ref().err());
                reply.inspect_err(|failure| trace::failed(&span, failure))
            })
        });
        let entry = Entry { opened: opened(Arc::clone(&handler)), handler: Box::new(handler), mutates: R::MUTATES };
        self.0.insert(R::NAME, entry);
        self
    }

    /// The wire name of each request that is answered, and whether it changes something.
    pub fn requests(&self) -> impl Iterator<Item = (&'static str, bool)> {
        self.0.iter().map(|(name, entry)| (*name, entry.mutates))
    }

    pub(crate) fn find<R: Request>(&self) -> Option<&Handler<R>> {
        self.0.get(R::NAME)?.handler.downcast_ref::<Arc<Handler<R>>>().map(AsRef::as_ref)
    }

    /// Begins with a request that came as bytes; `None` if nobody answers requests of this name.
    ///
    /// # Errors
    /// When the bytes are no such request.
    pub(crate) fn begin(
        &self,
        name: &str,
        bytes: &[u8],
        message: Message,
    ) -> Option<Result<Begun, rmp_serde::decode::Error>> {
        Some((self.0.get(name)?.opened)(bytes, message))
    }
}

fn opened<R: Request>(handler: Arc<Handler<R>>) -> Box<Opened> {
    Box::new(move |bytes, message| {
        let Heard { mut call, request } = decode::<Heard<R>>(bytes)?;
        call.message = Some(message);
        let request_id = call.request_id.clone();
        let work = handler(call, request);
        let encoded = async move {
            let told = Told::Done(work.await?);
            encode(&told).map_err(|error| Failure::internal(format!("a reply can't be encoded: {error}")))
        };
        Ok(Begun { request_id, work: Box::pin(encoded) })
    })
}
