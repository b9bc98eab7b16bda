//! Which function answers which request.

use std::any::Any;
use std::collections::HashMap;
use std::pin::Pin;

use bailey_core::access::Call;
use bailey_core::failure::Failure;
use bailey_core::request::Request;

type Reply<R> = Pin<Box<dyn Future<Output = Result<<R as Request>::Reply, Failure>> + Send>>;
type Handler<R> = dyn Fn(Call, R) -> Reply<R> + Send + Sync;

/// The worker's handlers, one for each request type.
#[derive(Default)]
pub struct Handlers(HashMap<&'static str, Box<dyn Any + Send + Sync>>);

impl Handlers {
    /// Adds the handler for `R`; a later one replaces it.
    #[must_use]
    pub fn on<R, F, A>(mut self, handle: F) -> Self
    where
        R: Request,
        F: Fn(Call, R) -> A + Send + Sync + 'static,
        A: Future<Output = Result<R::Reply, Failure>> + Send + 'static,
    {
        let handler: Box<Handler<R>> = Box::new(move |call, request| Box::pin(handle(call, request)));
        self.0.insert(R::NAME, Box::new(handler));
        self
    }

    pub(crate) fn find<R: Request>(&self) -> Option<&Handler<R>> {
        self.0.get(R::NAME)?.downcast_ref::<Box<Handler<R>>>().map(AsRef::as_ref)
    }
}
