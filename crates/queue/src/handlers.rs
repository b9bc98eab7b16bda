//! Which function answers which request.

use std::any::Any;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use bailey_core::access::Call;
use bailey_core::failure::Failure;
use bailey_core::request::Request;
use tracing::Instrument as _;

use crate::measure::UseCase;
use crate::trace;

type Reply<R> = Pin<Box<dyn Future<Output = Result<<R as Request>::Reply, Failure>> + Send>>;
type Handler<R> = dyn Fn(Call, R) -> Reply<R> + Send + Sync;

/// The worker's handlers, one for each request type.
#[derive(Default)]
pub struct Handlers(HashMap<&'static str, Box<dyn Any + Send + Sync>>);

impl Handlers {
    /// Adds the handler for `R`, counted and traced; a later one replaces it.
    #[must_use]
    pub fn on<R, F, A>(mut self, handle: F) -> Self
    where
        R: Request,
        F: Fn(Call, R) -> A + Send + Sync + 'static,
        A: Future<Output = Result<R::Reply, Failure>> + Send + 'static,
    {
        let use_case = Arc::new(UseCase::of::<R>());
        let handler: Box<Handler<R>> = Box::new(move |call, request| {
            let (use_case, span) = (Arc::clone(&use_case), trace::working(R::NAME, call.trace));
            // Made inside the span, so that what the use case does before it first waits is in it too.
            let work = span.in_scope(|| handle(call, request)).instrument(span.clone());
            Box::pin(async move {
                let begun = use_case.begin();
                let reply = work.await;
                begun.end(reply.as_ref().err());
                reply.inspect_err(|failure| trace::failed(&span, failure))
            })
        });
        self.0.insert(R::NAME, Box::new(handler));
        self
    }

    pub(crate) fn find<R: Request>(&self) -> Option<&Handler<R>> {
        self.0.get(R::NAME)?.downcast_ref::<Box<Handler<R>>>().map(AsRef::as_ref)
    }
}
