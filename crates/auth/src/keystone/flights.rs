//! Many who want to know the same thing at once: one asks, all get the answer.

use std::collections::HashMap;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::Shared;

type Flight<T> = Shared<Pin<Box<dyn Future<Output = T> + Send>>>;

/// Questions that are under way.
pub(super) struct Flights<K, T: Clone>(Mutex<HashMap<K, Flight<T>>>);

impl<K, T: Clone> Default for Flights<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Copy + Eq + Hash, T: Clone> Flights<K, T> {
    /// The answer to the question that is under way, or to the one that is put now.
    pub(super) async fn join<F>(&self, key: K, ask: impl FnOnce() -> F) -> T
    where
        F: Future<Output = T> + Send + 'static,
    {
        let flight = {
            let mut flights = self.lock();
            let make = || -> Flight<T> { (Box::pin(ask()) as Pin<Box<dyn Future<Output = T> + Send>>).shared() };
            flights.entry(key).or_insert_with(make).clone()
        };
        // Whoever goes takes it off the list, even one who stops waiting: at worst the same is asked again.
        let seat = Seat { flights: self, key, flight };
        seat.flight.clone().await
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Flight<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Seat<'a, K: Copy + Eq + Hash, T: Clone> {
    flights: &'a Flights<K, T>,
    key: K,
    flight: Flight<T>,
}

impl<K: Copy + Eq + Hash, T: Clone> Drop for Seat<'_, K, T> {
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        if flights.get(&self.key).is_some_and(|flight| flight.ptr_eq(&self.flight)) {
            flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn one_asks_and_all_are_answered() {
        let (flights, asked) = (Arc::new(Flights::<u8, usize>::default()), Arc::new(AtomicUsize::new(0)));
        let gate = Arc::new(Notify::new());
        let join = |key| {
            let (flights, asked, gate) = (Arc::clone(&flights), Arc::clone(&asked), Arc::clone(&gate));
            tokio::spawn(async move {
                let ask = || async move {
                    let number = asked.fetch_add(1, Ordering::Relaxed);
                    gate.notified().await;
                    number
                };
                flights.join(key, ask).await
            })
        };
        let first = [join(1), join(1), join(1)];
        tokio::task::yield_now().await;
        gate.notify_one();
        for joined in first {
            assert!(matches!(joined.await, Ok(0)));
        }
        let again = join(1);
        tokio::task::yield_now().await;
        gate.notify_one();
        assert!(matches!(again.await, Ok(1)), "answers are not kept");
        assert!(flights.lock().is_empty());
    }

    #[tokio::test]
    async fn one_who_stops_waiting_leaves_nothing_behind() {
        let flights = Flights::<u8, usize>::default();
        let never = flights.join(1, std::future::pending);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(1), never).await.is_err());
        assert!(flights.lock().is_empty());
        assert_eq!(flights.join(1, || async { 7 }).await, 7);
    }
}
