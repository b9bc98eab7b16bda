//! Numbers about requests. Labels are route templates, methods and status codes: never an id.

use std::time::Instant;

use actix_web::http::{Method, StatusCode};

const REQUESTS: &str = "bailey_http_requests_total";
const DURATION: &str = "bailey_http_request_duration_seconds";
const IN_FLIGHT: &str = "bailey_http_requests_in_flight";

/// Measures one request. Dropped early, when the client hangs up, it only leaves the gauge right.
pub struct Measure {
    started: Instant,
    method: &'static str,
}

impl Measure {
    /// Starts the clock.
    #[must_use]
    pub fn start(method: &Method) -> Self {
        metrics::gauge!(IN_FLIGHT).increment(1);
        Self { started: Instant::now(), method: label(method) }
    }

    /// Records the answer. `route` is its template; `None` when nothing was routed.
    pub fn finish(self, route: Option<String>, status: StatusCode) {
        let route = route.filter(|route| !route.is_empty()).unwrap_or_else(|| "none".to_owned());
        let elapsed = self.started.elapsed().as_secs_f64();
        metrics::histogram!(DURATION, "route" => route.clone(), "method" => self.method).record(elapsed);
        let status = status.as_str().to_owned();
        metrics::counter!(REQUESTS, "route" => route, "method" => self.method, "status" => status).increment(1);
    }
}

impl Drop for Measure {
    fn drop(&mut self) {
        metrics::gauge!(IN_FLIGHT).decrement(1);
    }
}

/// Clients may invent methods, but not labels.
pub fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
