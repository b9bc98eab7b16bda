//! Numbers about the queue and about what is done with its requests.

use std::sync::OnceLock;
use std::time::Instant;

use bailey_core::failure::Failure;
use bailey_core::request::Request;
use metrics::{Counter, Gauge, Histogram};

/// Why the queue itself answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no worker.
    NoWorker,
    /// Too much is in flight.
    Full,
    /// The deadline passed.
    Late,
    /// NATS is not there.
    Unreachable,
}

impl Refusal {
    const ALL: [Self; 4] = [Self::NoWorker, Self::Full, Self::Late, Self::Unreachable];

    const fn label(self) -> &'static str {
        match self {
            Self::NoWorker => "no_worker",
            Self::Full => "full",
            Self::Late => "late",
            Self::Unreachable => "unreachable",
        }
    }

    fn failure(self) -> Failure {
        Failure::unavailable(match self {
            Self::NoWorker => "No worker is running yet",
            Self::Full => "Too many requests are in flight",
            Self::Late => "The request took too long",
            Self::Unreachable => "The queue is out of reach",
        })
    }

    fn counter(self) -> Counter {
        metrics::counter!("bailey_queue_refusals_total", "reason" => self.label())
    }
}

/// The numbers of a queue.
pub(crate) struct Measure {
    in_flight: Gauge,
    wait: Histogram,
}

impl Measure {
    pub(crate) fn new() -> Self {
        for refusal in Refusal::ALL {
            // Shown from the beginning: what appears only when it happens first can't be told to have risen.
            refusal.counter().increment(0);
        }
        Self {
            in_flight: metrics::gauge!("bailey_queue_in_flight"),
            wait: metrics::histogram!("bailey_queue_wait_seconds"),
        }
    }

    /// Counts a refusal and makes its answer.
    pub(crate) fn refuse(&self, refusal: Refusal) -> Failure {
        refusal.counter().increment(1);
        refusal.failure()
    }

    /// Counts a request as in flight until the result is dropped.
    pub(crate) fn begin(&self) -> Waiting {
        self.in_flight.increment(1);
        Waiting { since: Instant::now(), in_flight: InFlight(self.in_flight.clone()), wait: self.wait.clone() }
    }
}

/// A request that nobody works on yet.
pub(crate) struct Waiting {
    since: Instant,
    in_flight: InFlight,
    wait: Histogram,
}

impl Waiting {
    /// From here on somebody does.
    pub(crate) fn over(self) -> InFlight {
        self.wait.record(self.since.elapsed().as_secs_f64());
        self.in_flight
    }
}

/// A request in flight.
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

/// The numbers of one use case, which appear when it is first asked for: there are many.
pub(crate) struct UseCase {
    name: &'static str,
    numbers: OnceLock<(Histogram, Counter)>,
}

impl UseCase {
    pub(crate) const fn of<R: Request>() -> Self {
        Self { name: R::NAME, numbers: OnceLock::new() }
    }

    pub(crate) fn begin(&self) -> Begun<'_> {
        Begun { use_case: self, at: Instant::now() }
    }

    fn numbers(&self) -> &(Histogram, Counter) {
        let seconds = || metrics::histogram!("bailey_use_case_seconds", "request" => self.name);
        self.numbers.get_or_init(|| (seconds(), outcome(self.name, "ok")))
    }
}

fn outcome(request: &'static str, outcome: &'static str) -> Counter {
    metrics::counter!("bailey_use_cases_total", "request" => request, "outcome" => outcome)
}

/// A use case under way.
pub(crate) struct Begun<'u> {
    use_case: &'u UseCase,
    at: Instant,
}

impl Begun<'_> {
    /// Counts how it ended.
    pub(crate) fn end(self, failure: Option<&Failure>) {
        let (seconds, done) = self.use_case.numbers();
        seconds.record(self.at.elapsed().as_secs_f64());
        match failure {
            None => done.increment(1),
            Some(failure) => outcome(self.use_case.name, failure.kind.as_str()).increment(1),
        }
    }
}
