//! Running a closure in a transaction: what both engines share.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

use crate::connection::Tx;
use crate::error::{Error, ErrorKind, describe};

/// A boxed future that may be sent between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs the closure once. A panic becomes an `Internal` error, and a closure that went on after a
/// statement had failed has failed.
pub(crate) async fn run<F, T, E>(closure: &mut F, tx: &Tx) -> Result<T, E>
where
    F: for<'t> FnMut(&'t Tx) -> BoxFuture<'t, Result<T, E>>,
    E: From<Error>,
{
    let panicked = || Err(E::from(Error::new(ErrorKind::Internal, "run transaction", "the closure panicked")));
    let Ok(mut future) = catch_unwind(AssertUnwindSafe(|| closure(tx))) else { return panicked() };
    let polled =
        std::future::poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(result)) => Poll::Ready(Some(result)),
            Err(_) => Poll::Ready(None),
        });
    match (polled.await, tx.failure()) {
        (None, _) => panicked(),
        (Some(Ok(_)), Some(error)) => Err(describe(error, "run transaction").into()),
        (Some(result), _) => result,
    }
}
