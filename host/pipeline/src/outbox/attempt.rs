//! Attempt to deliver an object: the request, and the effect of its response on the delivery.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use jiff::Timestamp;
use ocellus_core::{Error, ObjectId};
use ocellus_runtime::{Body, Fault, Outcome as Verdict, PictureInfo, PluginError, Post, Request};
use ocellus_store::{Delivery, DeliveryState};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use tokio_util::sync::CancellationToken;

use super::{
    body::{Form, multipart},
    open_jobs::JobContext,
    post_pictures::{Files, PictureFile},
    schedule::{HealthSignal, Ticket},
    state::Inner,
    wait::{FIRST_WAIT, MAX_OUTAGE_WAIT, MAX_WAIT, backoff, retry_after, until},
};
use crate::pictures;

/// Bytes of a response's body that a router plugin gets.
const BODY_PREFIX: usize = 4096;
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Timeout for a `router_timeout_ms` of 0.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);
/// Too Many Requests and Service Unavailable: with a time to wait, they concern the whole server,
/// not just the one request.
const BUSY: [u16; 2] = [429, 503];

/// Outcome of an attempt.
pub(super) enum Outcome {
    /// The object or its job was removed, or the delivery has ended.
    Gone,
    /// The attempt was cancelled.
    Interrupted,
    /// The archive could not be read or written.
    ArchiveFailed(Error),
    /// No attempt: the result of an earlier one could be recorded only now; with the time of the
    /// next.
    Recorded(Option<Timestamp>),
    Tried {
        context: Arc<JobContext>,
        before: Delivery,
        reply: Reply,
    },
}

/// Reply of a destination, before the router plugin judges it.
pub(super) enum Reply {
    /// No request was sent.
    NotSent(Unsent),
    /// With the reason.
    NoResponse(String),
    Response {
        status: u16,
        headers: Vec<(String, String)>,
        /// The first [`BODY_PREFIX`] bytes.
        body: Vec<u8>,
        /// `Retry-After`.
        wait: Option<Duration>,
    },
}

/// Why no request was sent.
pub(super) enum Unsent {
    /// There is no valid request, or the network policy forbids it: trying again does not help.
    Permanent(String),
    /// The router plugin is not installed now, or crashed.
    RouterUnavailable(String),
}

/// Reply of a destination, with the router plugin's verdict.
pub(super) enum JudgedReply {
    NotSent(Unsent),
    NoResponse(String),
    Response {
        status: u16,
        verdict: Verdict,
        /// `Retry-After`.
        wait: Option<Duration>,
    },
}

/// Request of an attempt; the same in every attempt for an object.
struct Prepared {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Encoded,
}

enum Encoded {
    /// By the plugin, which sets the type in `headers`.
    Bytes(Vec<u8>),
    Form(Form),
}

/// Body of a request. Reports to the schedule that its memory is free when the last reference to it
/// is dropped: after it was sent, or when it will not be.
struct SentBody {
    bytes: Vec<u8>,
    outbox: Arc<Inner>,
    attempt: u64,
}

impl AsRef<[u8]> for SentBody {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for SentBody {
    fn drop(&mut self) {
        self.outbox.schedule.lock().set_body(self.attempt, 0);
    }
}

pub(super) async fn attempt(outbox: &Arc<Inner>, ticket: &Ticket) -> Outcome {
    let id = &ticket.id;
    let read = {
        let (outbox, id) = (Arc::clone(outbox), id.clone());
        tokio::task::spawn_blocking(move || {
            let Some(context) = outbox.job(id.job)? else { return Ok(Err(Outcome::Gone)) };
            if let Some(delivery) = outbox.unwritten.lock().get(&id).cloned() {
                context.job.record_delivery(&delivery)?;
                outbox.unwritten.lock().remove(&id);
                return Ok(Err(Outcome::Recorded(delivery.next_try)));
            }
            let Some(before) = outbox.archive.delivery(&id)?.filter(|d| !d.state.is_final()) else {
                return Ok(Err(Outcome::Gone));
            };
            let prepared = prepare(&outbox, &context, &id)?;
            Ok(Ok((context, before, prepared)))
        })
    };
    let (context, before, prepared) = match read.await {
        Ok(Ok(Ok(read))) => read,
        Ok(Ok(Err(outcome))) => return outcome,
        Ok(Err(error)) => return Outcome::ArchiveFailed(error),
        Err(error) => return Outcome::ArchiveFailed(Error::internal(error)),
    };
    let reply = match prepared {
        Ok(prepared) => {
            let response = tokio::select! {
                response = send(outbox, &context, ticket, prepared) => response,
                () = ticket.abandoned.cancelled() => {
                    let reason = "no response yet; given up early because other deliveries were waiting";
                    Err(Reply::NoResponse(reason.into()))
                }
            };
            match response {
                Ok(response) => read_reply(response, &ticket.abandoned).await,
                Err(reply) => reply,
            }
        }
        Err(unsent) => Reply::NotSent(unsent),
    };
    Outcome::Tried { context, before, reply }
}

/// Reads an object and has the router plugin encode it, with the pictures that the plugin asks for;
/// or returns why there is no request.
fn prepare(outbox: &Inner, context: &JobContext, id: &ObjectId) -> ocellus_core::Result<Result<Prepared, Unsent>> {
    let permanent = |reason: &str| Ok(Err(Unsent::Permanent(reason.to_owned())));
    let Some(object) = outbox.archive.object(id)? else { return permanent("the object is gone") };
    let Some(log) = context.job.detections()? else { return permanent("the job has no log") };
    let (frame, settings) = (log.header().frame_size, &context.spec.stream_settings);
    let Some(detector) = settings.detector(&id.object_type) else { return permanent("its detector is off") };
    let mut files = Vec::new();
    for (part, candidates) in pictures::post_parts(&object, detector) {
        for picture in candidates {
            if let Some(file) = outbox.archive.picture(id, *picture) {
                let (region, size) = pictures::region_and_size(*picture, &object, settings, detector, frame);
                let info = PictureInfo { picture: part, content_type: file.content_type.into(), size, region };
                files.push(PictureFile::new(info, file.path));
                break;
            }
        }
    }
    let (camera, camera_group) = (context.spec.camera, Some(context.spec.camera_group));
    let infos: Vec<_> = files.iter().map(|file| file.info.clone()).collect();
    let post = Post { object: &object, url: &context.url, camera, camera_group, pictures: &infos };
    let files = Arc::new(Files::new(id.clone(), files, outbox.config.picture_urls.clone()));
    let encoded = outbox.routers.with(&context.spec, |router| router.encode(&post, Some(files.clone())));
    if let Some(error) = files.error() {
        return Err(Error::internal(error));
    }
    let Request { method, url, headers, body } = match encoded {
        Ok(request) => request,
        Err(error) => return Ok(Err(unsent(&error))),
    };
    // The digests of a form are needed for its signature only.
    let is_signed = outbox.config.signing_secret.is_some();
    let body = match body {
        Body::Bytes(bytes) => Ok(Encoded::Bytes(bytes)),
        Body::Multipart(parts) => {
            let pictures = files.read(&parts).map_err(Error::internal)?;
            multipart(id, &parts, &pictures, is_signed).map(Encoded::Form)
        }
    };
    Ok(body.map(|body| Prepared { method, url, headers, body }).map_err(Unsent::Permanent))
}

async fn send(
    outbox: &Arc<Inner>,
    context: &JobContext,
    ticket: &Ticket,
    prepared: Prepared,
) -> Result<reqwest::Response, Reply> {
    let permanent = |reason: String| Err(Reply::NotSent(Unsent::Permanent(reason)));
    let Prepared { method, url, headers, body } = prepared;
    let (body, content_type, digests) = match body {
        Encoded::Bytes(bytes) => (bytes, None, None),
        Encoded::Form(Form { content_type, body, digests }) => (body, Some(content_type), digests),
    };
    outbox.schedule.lock().set_body(ticket.attempt, body.len() as u64);
    let secret = outbox.config.signing_secret.as_ref();
    let signature = secret.map(|secret| secret.headers(&ticket.id, Timestamp::now(), &body, digests.as_deref()));
    let body = Bytes::from_owner(SentBody { bytes: body, outbox: Arc::clone(outbox), attempt: ticket.attempt });
    // The client checks the addresses that it resolves, without their ports; it does not check
    // addresses in the URL.
    if let Err(refused) = ocellus_media::check_target(&outbox.network, &url).await {
        return permanent(refused.to_string());
    }
    let method = match reqwest::Method::from_bytes(method.as_bytes()) {
        Ok(method) => method,
        Err(error) => return permanent(error.to_string()),
    };
    let settings = &context.spec.stream_settings;
    let timeout = if settings.router_timeout_ms == 0 {
        DEFAULT_TIMEOUT
    } else {
        Duration::from_millis(settings.router_timeout_ms)
    };
    let client = if settings.router_verify_ssl { &outbox.clients.verifying } else { &outbox.clients.trusting };
    let mut builder = client.request(method, &url).timeout(timeout);
    if let Some(token) = &outbox.config.token {
        builder = builder.header(AUTHORIZATION, token.0.clone());
    }
    if !headers.iter().any(|(name, _)| name == IDEMPOTENCY_KEY) {
        builder = builder.header(IDEMPOTENCY_KEY, ticket.id.to_string());
    }
    for (name, value) in &headers {
        builder = builder.header(name, value);
    }
    if let Some(content_type) = content_type {
        builder = builder.header(CONTENT_TYPE, content_type);
    }
    for (name, value) in signature.into_iter().flatten() {
        builder = builder.header(name, value);
    }
    // reqwest would keep a body of `Bytes` until the response, for redirects, which are not
    // followed here.
    match builder.body(reqwest::Body::wrap(Full::new(body))).send().await {
        Ok(response) => Ok(response),
        Err(error) if error.is_builder() => permanent(with_causes(&error.without_url())),
        Err(error) if error.is_timeout() => Err(Reply::NoResponse("no response in time".into())),
        Err(error) => Err(Reply::NoResponse(with_causes(&error.without_url()))),
    }
}

/// Reads a response with the beginning of its body. The status counts even if the body breaks off.
async fn read_reply(mut response: reqwest::Response, abandoned: &CancellationToken) -> Reply {
    let status = response.status().as_u16();
    let wait = retry_after(response.headers(), Timestamp::now());
    let headers =
        response.headers().iter().filter_map(|(k, v)| Some((k.to_string(), v.to_str().ok()?.to_owned()))).collect();
    let mut body = Vec::new();
    while body.len() < BODY_PREFIX {
        let chunk = tokio::select! {
            chunk = response.chunk() => chunk,
            () = abandoned.cancelled() => break,
        };
        let Ok(Some(chunk)) = chunk else { break };
        body.extend(chunk.iter().take(BODY_PREFIX - body.len()));
    }
    Reply::Response { status, headers, body, wait }
}

/// Has the router plugin judge a response. Runs its code, which blocks the thread.
pub(super) fn interpret(outbox: &Inner, context: &JobContext, reply: Reply) -> JudgedReply {
    let (status, headers, body, wait) = match reply {
        Reply::NotSent(unsent) => return JudgedReply::NotSent(unsent),
        Reply::NoResponse(reason) => return JudgedReply::NoResponse(reason),
        Reply::Response { status, headers, body, wait } => (status, headers, body, wait),
    };
    match outbox.routers.with(&context.spec, |router| router.judge(status, &headers, &body)) {
        Ok(verdict) => JudgedReply::Response { status, verdict, wait },
        Err(error) => JudgedReply::NotSent(unsent(&error)),
    }
}

/// An error that the plugin reports is permanent; a crash or a deadline may be temporary.
fn unsent(error: &PluginError) -> Unsent {
    match error.fault() {
        Some(Fault::Reported(_) | Fault::Contract(_)) => Unsent::Permanent(error.to_string()),
        _ => Unsent::RouterUnavailable(error.to_string()),
    }
}

/// State of a delivery after an attempt, and what the attempt shows about the destination's health.
pub(super) fn next_state(
    before: Delivery,
    reply: JudgedReply,
    now: Timestamp,
    give_up_after: Duration,
) -> (Delivery, HealthSignal) {
    let attempts = before.attempts + 1;
    let since = before.since.unwrap_or(now);
    let ended = |state, last_status, reason| Delivery {
        object: before.object.clone(),
        state,
        attempts,
        last_status,
        reason,
        next_try: None,
        since: Some(since),
    };
    let retry = |last_status, reason: String, at: Timestamp| {
        if until(since, now) < give_up_after {
            Delivery { next_try: Some(at), ..ended(DeliveryState::Retrying, last_status, Some(reason)) }
        } else {
            ended(DeliveryState::Failed, last_status, Some(format!("{reason}; given up after {attempts} attempts")))
        }
    };
    match reply {
        JudgedReply::NotSent(Unsent::Permanent(reason)) => {
            (ended(DeliveryState::Failed, None, Some(reason)), HealthSignal::NotSent)
        }
        JudgedReply::NotSent(Unsent::RouterUnavailable(reason)) => {
            (retry(None, reason, backoff(now, attempts, MAX_OUTAGE_WAIT)), HealthSignal::NotSent)
        }
        JudgedReply::NoResponse(reason) => {
            (retry(None, reason, backoff(now, attempts, MAX_OUTAGE_WAIT)), HealthSignal::NoResponse)
        }
        JudgedReply::Response { status, verdict: Verdict::Accepted, .. } => {
            (ended(DeliveryState::Posted, Some(status), None), HealthSignal::Responded)
        }
        JudgedReply::Response { status, verdict: Verdict::Refused { reason }, .. } => {
            (ended(DeliveryState::Failed, Some(status), Some(reason)), HealthSignal::Responded)
        }
        JudgedReply::Response { status, verdict: Verdict::Retry { after_ms }, wait } => {
            let asked = after_ms.map(Duration::from_millis).or(wait).map(|w| w.min(MAX_WAIT));
            // Ignored if shorter: a mistake or a wrong clock would cause retries without a pause.
            let asked = asked.filter(|w| *w >= FIRST_WAIT);
            let asked = asked.and_then(|w| now.checked_add(w).ok());
            let signal = asked.filter(|_| BUSY.contains(&status)).map_or(HealthSignal::Responded, HealthSignal::Busy);
            let at = asked.unwrap_or_else(|| backoff(now, attempts, MAX_WAIT));
            (retry(Some(status), format!("status {status}"), at), signal)
        }
    }
}

/// An error with its causes: reqwest's own message omits the root cause.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(e) = cause {
        text.push_str(&format!(": {e}"));
        cause = e.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn fresh() -> Delivery {
        Delivery::pending("7-1-face-3-0".parse().unwrap())
    }

    fn response(status: u16, verdict: Verdict, wait: Option<u64>) -> JudgedReply {
        JudgedReply::Response { status, verdict, wait: wait.map(Duration::from_secs) }
    }

    #[test]
    fn waits_double_up_to_their_maximum() {
        let mut delivery = fresh();
        let mut longest = Duration::ZERO;
        for n in 1..=12 {
            let (next, signal) =
                next_state(delivery, response(500, Verdict::Retry { after_ms: None }, None), at(0), DAY);
            let wait = until(at(0), next.next_try.unwrap());
            let full = Duration::from_millis(500 << (n - 1)).min(MAX_WAIT);
            assert!(full / 2 <= wait && wait <= full, "{n}: {wait:?}");
            assert_eq!((next.state, next.attempts, signal), (DeliveryState::Retrying, n, HealthSignal::Responded));
            longest = longest.max(wait);
            delivery = next;
        }
        assert!(longest > Duration::from_secs(500));
        let (silent, signal) = next_state(delivery, JudgedReply::NoResponse("x".into()), at(0), DAY);
        assert!(silent.next_try.unwrap() <= at(60));
        assert_eq!((silent.last_status, signal), (None, HealthSignal::NoResponse));
    }

    #[test]
    fn retry_after_is_honoured_up_to_an_hour() {
        let (asked, signal) =
            next_state(fresh(), response(429, Verdict::Retry { after_ms: None }, Some(90)), at(0), DAY);
        assert_eq!((asked.next_try, signal), (Some(at(90)), HealthSignal::Busy(at(90))));
        let (at_once, signal) =
            next_state(fresh(), response(429, Verdict::Retry { after_ms: None }, Some(0)), at(0), DAY);
        assert!(at_once.next_try > Some(at(0)), "{at_once:?}");
        assert_eq!(signal, HealthSignal::Responded);
        let (capped, signal) =
            next_state(fresh(), response(500, Verdict::Retry { after_ms: Some(1 << 40) }, None), at(0), DAY);
        assert_eq!((capped.next_try, signal), (Some(at(3600)), HealthSignal::Responded));
    }

    #[test]
    fn a_delivery_is_given_up_after_the_configured_time() {
        let (first, _) = next_state(fresh(), JudgedReply::NoResponse("refused".into()), at(100), DAY);
        assert_eq!((first.state, first.since), (DeliveryState::Retrying, Some(at(100))));
        let (still, _) = next_state(first.clone(), JudgedReply::NoResponse("refused".into()), at(86_499), DAY);
        assert_eq!(still.state, DeliveryState::Retrying);
        let (last, _) = next_state(first, JudgedReply::NoResponse("refused".into()), at(86_500), DAY);
        assert_eq!((last.state, last.next_try), (DeliveryState::Failed, None));
        assert!(last.reason.unwrap().contains("given up after 2 attempts"));
    }

    #[test]
    fn a_delivery_without_its_router_plugin_is_retried() {
        let (missing, signal) =
            next_state(fresh(), JudgedReply::NotSent(Unsent::RouterUnavailable("no router".into())), at(0), DAY);
        assert_eq!(
            (missing.state, signal, missing.next_try.is_some()),
            (DeliveryState::Retrying, HealthSignal::NotSent, true)
        );
        let (permanent, _) =
            next_state(fresh(), JudgedReply::NotSent(Unsent::Permanent("too large".into())), at(0), DAY);
        assert_eq!((permanent.state, permanent.next_try), (DeliveryState::Failed, None));
    }

    #[test]
    fn refused_and_accepted_deliveries_are_not_retried() {
        let (refused, _) =
            next_state(fresh(), response(415, Verdict::Refused { reason: "no".into() }, None), at(0), DAY);
        assert_eq!(
            (refused.state, refused.last_status, refused.reason.as_deref()),
            (DeliveryState::Failed, Some(415), Some("no"))
        );
        let (accepted, _) = next_state(fresh(), response(202, Verdict::Accepted, None), at(0), DAY);
        assert_eq!((accepted.state, accepted.reason, accepted.next_try), (DeliveryState::Posted, None, None));
    }
}
