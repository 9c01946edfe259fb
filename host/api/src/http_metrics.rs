//! Counters of requests.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, core::Collector, proto::MetricFamily};

/// Upper bounds in seconds: lists take a millisecond, uploads minutes.
const BUCKETS: [f64; 10] = [0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 300.0, 1800.0];

/// Requests since the server's start. Cheap to clone; clones count together.
#[derive(Clone)]
pub(crate) struct HttpMetrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
}

impl HttpMetrics {
    /// # Errors
    /// Never, with these names.
    pub(crate) fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new("ocellus_http_requests_total", "Requests that were answered."),
            &["method", "route", "status"],
        )?;
        let seconds = HistogramVec::new(
            HistogramOpts::new(
                "ocellus_http_request_duration_seconds",
                "Time from a request's head to its response's.",
            )
            .buckets(BUCKETS.to_vec()),
            &["method", "route"],
        )?;
        let all: [Box<dyn Collector>; 2] = [Box::new(requests.clone()), Box::new(seconds.clone())];
        all.into_iter().try_for_each(|collector| registry.register(collector))?;
        Ok(Self { registry, requests, seconds })
    }

    pub(crate) fn count(&self, method: &Method, route: &str, status: StatusCode, duration: Duration) {
        // Clients may send any method; a label must have few values.
        let method = match method.as_str() {
            known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known,
            _ => "other",
        };
        self.requests.with_label_values(&[method, route, status.as_str()]).inc();
        self.seconds.with_label_values(&[method, route]).observe(duration.as_secs_f64());
    }

    pub(crate) fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}
