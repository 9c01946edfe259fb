//! One attempt to deliver an object: what is sent, and what the answer means.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use ocellus_core::{Error, ObjectId};
use ocellus_runtime::{Body, Outcome as Verdict, PictureInfo, Post, Request};
use ocellus_store::{Delivery, DeliveryState};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, RETRY_AFTER};

use super::{Desk, Inner, LONGEST_SILENCE, LONGEST_WAIT, backoff, body::multipart, schedule::Contact};
use crate::pictures;

/// What a router plugin sees of a response's body.
const BODY_PREFIX: usize = 4096;
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// `router_timeout_ms` of 0.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);
/// Too Many Requests and Service Unavailable: with a time, they speak of the server, not of the one request.
const BUSY: [u16; 2] = [429, 503];

/// What came of an attempt.
pub(super) enum Outcome {
    /// There is nothing to deliver any more, or nobody to do it.
    Gone,
    /// The archive could not be read.
    Unread(Error),
    Tried {
        desk: Arc<Desk>,
        before: Delivery,
        answer: Answer,
    },
}

pub(super) enum Answer {
    /// There is no request that could be sent, or the policy of the network forbids it.
    Unfit(String),
    Silence(String),
    Response {
        status: u16,
        verdict: Verdict,
        /// What `Retry-After` says.
        wait: Option<Duration>,
    },
}

/// What every attempt sends.
struct Prepared {
    request: Request,
    /// Where it is ours to name.
    content_type: Option<String>,
    body: Bytes,
}

pub(super) async fn attempt(outbox: &Arc<Inner>, id: &ObjectId) -> Outcome {
    let read = {
        let (outbox, id) = (Arc::clone(outbox), id.clone());
        tokio::task::spawn_blocking(move || {
            let Some(desk) = outbox.desk(id.job)? else { return Ok(None) };
            let Some(before) = outbox.archive.delivery(&id)?.filter(|d| !d.state.is_final()) else { return Ok(None) };
            let prepared = prepare(&outbox, &desk, &id)?;
            Ok(Some((desk, before, prepared)))
        })
    };
    let (desk, before, prepared) = match read.await {
        Ok(Ok(Some(read))) => read,
        Ok(Ok(None)) => return Outcome::Gone,
        Ok(Err(error)) => return Outcome::Unread(error),
        Err(error) => return Outcome::Unread(Error::internal(error)),
    };
    let answer = match prepared {
        Ok(prepared) => send(outbox, &desk, id, prepared).await,
        Err(reason) => Answer::Unfit(reason),
    };
    Outcome::Tried { desk, before, answer }
}

/// Reads what is to be posted and has the router encode it; or why that gives no request.
fn prepare(outbox: &Inner, desk: &Desk, id: &ObjectId) -> ocellus_core::Result<Result<Prepared, String>> {
    let Some(object) = outbox.archive.object(id)? else { return Ok(Err("the object is gone".into())) };
    let Some(log) = desk.job.detections()? else { return Ok(Err("the job has no log".into())) };
    let (frame, settings) = (log.header().frame_size, &desk.plan.stream_settings);
    let Some(detector) = settings.detector(&id.object_type) else { return Ok(Err("its detector is off".into())) };
    let (mut infos, mut files) = (Vec::new(), Vec::new());
    for (part, kept) in pictures::posted(&object, detector) {
        for picture in kept {
            if let Some(file) = outbox.archive.picture(id, *picture)? {
                let (region, size) = pictures::shows(*picture, &object, settings, detector, frame);
                infos.push(PictureInfo { picture: part, content_type: file.content_type.into(), size, region });
                files.push(std::fs::read(file.path).map_err(Error::internal)?);
                break;
            }
        }
    }
    let (camera, camera_group) = (desk.plan.camera, Some(desk.plan.camera_group));
    let post = Post { object: &object, url: &desk.url, camera, camera_group, pictures: &infos };
    let request = match outbox.with_router(&desk.plan, |router| router.encode(&post)) {
        Ok(request) => request,
        Err(error) => return Ok(Err(error.to_string())),
    };
    Ok(match &request.body {
        Body::Bytes(bytes) => Ok((None, bytes.clone())),
        Body::Multipart(parts) => {
            let pictures: Vec<_> = infos.into_iter().zip(files).collect();
            multipart(id, parts, &pictures).map(|(content_type, body)| (Some(content_type), body))
        }
    }
    .map(|(content_type, body)| Prepared { request, content_type, body: body.into() }))
}

async fn send(outbox: &Inner, desk: &Desk, id: &ObjectId, prepared: Prepared) -> Answer {
    let Prepared { request, content_type, body } = prepared;
    // What the client resolves it checks itself, without knowing of ports; addresses in the URL it does not see.
    if let Err(refused) = ocellus_media::check_target(&outbox.network, &request.url).await {
        return Answer::Unfit(refused.to_string());
    }
    let method = match reqwest::Method::from_bytes(request.method.as_bytes()) {
        Ok(method) => method,
        Err(error) => return Answer::Unfit(error.to_string()),
    };
    let settings = &desk.plan.stream_settings;
    let timeout = if settings.router_timeout_ms == 0 { DEFAULT_TIMEOUT } else { Duration::from_millis(settings.router_timeout_ms) };
    let client = if settings.router_verify_ssl { &outbox.clients.verifying } else { &outbox.clients.trusting };
    let mut builder = client.request(method, &request.url).timeout(timeout);
    if let Some(authorization) = &outbox.authorization {
        builder = builder.header(AUTHORIZATION, authorization);
    }
    if !request.headers.iter().any(|(name, _)| name == IDEMPOTENCY_KEY) {
        builder = builder.header(IDEMPOTENCY_KEY, id.to_string());
    }
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    if let Some(content_type) = content_type {
        builder = builder.header(CONTENT_TYPE, content_type);
    }
    if let Some(secret) = &outbox.config.signing_secret {
        builder = secret.headers(id, Timestamp::now(), &body).into_iter().fold(builder, |b, (name, value)| b.header(name, value));
    }
    let mut response = match builder.body(body).send().await {
        Ok(response) => response,
        Err(error) if error.is_builder() => return Answer::Unfit(with_causes(&error)),
        Err(error) if error.is_timeout() => return Answer::Silence("no response in time".into()),
        Err(error) => return Answer::Silence(with_causes(&error)),
    };
    let status = response.status().as_u16();
    let wait = retry_after(response.headers(), Timestamp::now());
    let headers = response.headers().iter().filter_map(|(k, v)| Some((k.to_string(), v.to_str().ok()?.to_owned()))).collect::<Vec<_>>();
    let mut seen = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        seen.extend(chunk.iter().take(BODY_PREFIX - seen.len()));
        if seen.len() >= BODY_PREFIX {
            break;
        }
    }
    match outbox.with_router(&desk.plan, |router| router.judge(status, &headers, &seen)) {
        Ok(verdict) => Answer::Response { status, verdict, wait },
        Err(error) => Answer::Unfit(error.to_string()),
    }
}

/// In seconds or as a date, RFC 9110 section 10.2.3.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok()?;
    Some(super::until(now, then))
}

/// How a delivery stands after an answer, and what the answer says of the destination.
pub(super) fn judge(before: Delivery, answer: Answer, now: Timestamp, give_up_after: Duration) -> (Delivery, Contact) {
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
    let again = |last_status, reason: String, at: Timestamp| {
        if super::until(since, now) < give_up_after {
            Delivery { next_try: Some(at), ..ended(DeliveryState::Retrying, last_status, Some(reason)) }
        } else {
            ended(DeliveryState::Failed, last_status, Some(format!("{reason}; given up after {attempts} attempts")))
        }
    };
    match answer {
        Answer::Unfit(reason) => (ended(DeliveryState::Failed, None, Some(reason)), Contact::None),
        Answer::Silence(reason) => (again(None, reason, backoff(now, attempts, LONGEST_SILENCE)), Contact::Unanswered),
        Answer::Response { status, verdict: Verdict::Accepted, .. } => {
            (ended(DeliveryState::Posted, Some(status), None), Contact::Answered)
        }
        Answer::Response { status, verdict: Verdict::Refused { reason }, .. } => {
            (ended(DeliveryState::Failed, Some(status), Some(reason)), Contact::Answered)
        }
        Answer::Response { status, verdict: Verdict::Retry { after_ms }, wait } => {
            let asked = after_ms.map(Duration::from_millis).or(wait).map(|w| w.min(LONGEST_WAIT));
            let asked = asked.and_then(|w| now.checked_add(w).ok());
            let contact = asked.filter(|_| BUSY.contains(&status)).map_or(Contact::Answered, Contact::Busy);
            let at = asked.unwrap_or_else(|| backoff(now, attempts, LONGEST_WAIT));
            (again(Some(status), format!("status {status}"), at), contact)
        }
    }
}

/// An error with its causes: reqwest's own sentence stops before the interesting one.
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

    fn response(status: u16, verdict: Verdict, wait: Option<u64>) -> Answer {
        Answer::Response { status, verdict, wait: wait.map(Duration::from_secs) }
    }

    #[test]
    fn waits_grow_up_to_their_cap() {
        let mut delivery = fresh();
        let mut longest = Duration::ZERO;
        for n in 1..=12 {
            let (next, contact) = judge(delivery, response(500, Verdict::Retry { after_ms: None }, None), at(0), DAY);
            let wait = super::super::until(at(0), next.next_try.unwrap());
            let full = Duration::from_millis(500 << (n - 1)).min(LONGEST_WAIT);
            assert!(full / 2 <= wait && wait <= full, "{n}: {wait:?}");
            assert_eq!((next.state, next.attempts, contact), (DeliveryState::Retrying, n, Contact::Answered));
            longest = longest.max(wait);
            delivery = next;
        }
        assert!(longest > Duration::from_secs(500));
        let (silent, contact) = judge(delivery, Answer::Silence("x".into()), at(0), DAY);
        assert!(silent.next_try.unwrap() <= at(60));
        assert_eq!((silent.last_status, contact), (None, Contact::Unanswered));
    }

    #[test]
    fn retry_after_is_honoured_up_to_an_hour() {
        let (asked, contact) = judge(fresh(), response(429, Verdict::Retry { after_ms: None }, Some(90)), at(0), DAY);
        assert_eq!((asked.next_try, contact), (Some(at(90)), Contact::Busy(at(90))));
        let (capped, contact) = judge(fresh(), response(500, Verdict::Retry { after_ms: Some(1 << 40) }, None), at(0), DAY);
        assert_eq!((capped.next_try, contact), (Some(at(3600)), Contact::Answered));
        let header = |text: &str| HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
        assert_eq!(retry_after(&header("7"), at(0)), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(&header("Thu, 01 Jan 1970 00:02:00 GMT"), at(30)), Some(Duration::from_secs(90)));
        assert_eq!(retry_after(&header("Thu, 01 Jan 1970 00:02:00 GMT"), at(300)), Some(Duration::ZERO));
        assert_eq!(retry_after(&header("soon"), at(0)), None);
    }

    #[test]
    fn a_delivery_is_given_up_after_its_time_and_not_before() {
        let (first, _) = judge(fresh(), Answer::Silence("refused".into()), at(100), DAY);
        assert_eq!((first.state, first.since), (DeliveryState::Retrying, Some(at(100))));
        let (still, _) = judge(first.clone(), Answer::Silence("refused".into()), at(86_499), DAY);
        assert_eq!(still.state, DeliveryState::Retrying);
        let (last, _) = judge(first, Answer::Silence("refused".into()), at(86_500), DAY);
        assert_eq!((last.state, last.next_try), (DeliveryState::Failed, None));
        assert!(last.reason.unwrap().contains("given up after 2 attempts"));
    }

    #[test]
    fn what_is_refused_or_accepted_is_not_tried_again() {
        let (refused, _) = judge(fresh(), response(415, Verdict::Refused { reason: "no".into() }, None), at(0), DAY);
        assert_eq!((refused.state, refused.last_status, refused.reason.as_deref()), (DeliveryState::Failed, Some(415), Some("no")));
        let (accepted, _) = judge(fresh(), response(202, Verdict::Accepted, None), at(0), DAY);
        assert_eq!((accepted.state, accepted.reason, accepted.next_try), (DeliveryState::Posted, None, None));
    }
}
