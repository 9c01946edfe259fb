//! Posting a job's objects to its router.
//!
//! Owns: the attempts of each object, and the record of how they ended (`deliveries.log`). An object is posted only
//! once it is in the archive, always under the same `Idempotency-Key` (its id), and not again once its outcome is
//! written down. A router that answers slowly or not at all never holds up the job. Ends when the job has handed over
//! its last object and every object has an outcome, or with its [`CancellationToken`].

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt;
use ocellus_core::{NetworkPolicy, ObjectId, Result, Timestamp, VideoRecord};
use ocellus_runtime::{Body, Outcome, PictureInfo, PluginError, Plugins, Post, Request, Router};
use ocellus_store::{Archive, DeliveryOutcome, DeliveryRecord, Job};
use parking_lot::Mutex;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{
    EngineConfig,
    live::Live,
    outbox::{SigningSecret, multipart},
    pictures,
};

/// The router that ships.
const ROUTER: &str = "http";
/// Posts under way at once, for one job.
const AT_ONCE: usize = 4;
/// How often one object is tried before it counts as failed.
const ATTEMPTS: u32 = 3;
/// Wait before the second attempt; doubled for each further one.
const BACKOFF: Duration = Duration::from_millis(300);
/// The most that a router's `Retry-After` is honoured.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// What a router plugin sees of a response's body.
const BODY_PREFIX: usize = 4096;
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// `router_timeout_ms` of 0.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);

/// Where a job puts the objects that it made.
pub(crate) struct Outgoing(UnboundedSender<ObjectId>);

impl Outgoing {
    pub(crate) fn send(&self, object: ObjectId) {
        // The receiver only goes away when the job was cancelled; what is undelivered is in the archive.
        let _ = self.0.send(object);
    }
}

pub(crate) struct Delivery {
    archive: Archive,
    job: Job,
    video: VideoRecord,
    url: String,
    plugins: Plugins,
    live: Arc<Live>,
    client: reqwest::Client,
    network: NetworkPolicy,
    authorization: Option<HeaderValue>,
    signing_secret: Option<SigningSecret>,
    router: Mutex<Option<Router>>,
    cancelled: CancellationToken,
}

impl Delivery {
    /// Prepares to post the objects of `job`; `None` where the video has no router. What an earlier run of the job left
    /// without an outcome is put at the head of the queue.
    pub(crate) fn open(
        archive: &Archive,
        job: &Job,
        video: &VideoRecord,
        plugins: &Plugins,
        live: &Arc<Live>,
        config: &EngineConfig,
        cancelled: CancellationToken,
    ) -> Result<Option<(Self, Outgoing, UnboundedReceiver<ObjectId>)>> {
        let Some(url) = video.router_url.clone() else { return Ok(None) };
        let settings = &video.stream_settings;
        let timeout = if settings.router_timeout_ms == 0 { DEFAULT_TIMEOUT } else { Duration::from_millis(settings.router_timeout_ms) };
        let client = reqwest::Client::builder().timeout(timeout).danger_accept_invalid_certs(!settings.router_verify_ssl);
        let client = ocellus_media::guard_client(client, &config.network).build().map_err(ocellus_core::Error::internal)?;
        let authorization = config.router_token.as_deref().and_then(|t| HeaderValue::from_str(&format!("Token {t}")).ok());

        let (sender, receiver) = unbounded_channel();
        let outgoing = Outgoing(sender);
        let done = job.deliveries()?;
        for object in job.objects()? {
            match done.get(&object.id) {
                Some(delivery) => live.update(|s| s.count(&object.id.object_type, |c| book(c, delivery.outcome))),
                None => outgoing.send(object.id),
            }
        }
        let delivery = Self {
            archive: archive.clone(),
            job: job.clone(),
            video: video.clone(),
            url,
            plugins: plugins.clone(),
            live: Arc::clone(live),
            client,
            network: config.network.clone(),
            authorization,
            signing_secret: config.signing_secret.clone(),
            router: Mutex::new(None),
            cancelled,
        };
        Ok(Some((delivery, outgoing, receiver)))
    }

    /// Posts what comes until no more can come. Cancelled, it leaves what has no outcome yet as it is.
    pub(crate) async fn run(self, objects: UnboundedReceiver<ObjectId>) {
        let delivery = Arc::new(self);
        let stream = futures_util::stream::unfold(objects, async |mut o| Some((o.recv().await?, o)));
        stream
            .take_until(delivery.cancelled.clone().cancelled_owned())
            .for_each_concurrent(AT_ONCE, async |id| {
                let delivery = Arc::clone(&delivery);
                let ended = tokio::select! {
                    record = delivery.clone().deliver(&id) => Some(record),
                    () = delivery.cancelled.cancelled() => None,
                };
                if let Some(record) = ended {
                    delivery.book(record).await;
                }
            })
            .await;
    }

    async fn book(self: Arc<Self>, record: DeliveryRecord) {
        let (live, job) = (Arc::clone(&self.live), self.job.clone());
        let booked = tokio::task::spawn_blocking(move || {
            if let Err(error) = job.append_delivery(&record) {
                warn!(object = %record.object, %error, "the outcome of the delivery of {} could not be written down", record.object);
            }
            live.update(|s| s.count(&record.object.object_type, |c| book(c, record.outcome)));
        });
        let _ = booked.await;
    }

    async fn deliver(self: Arc<Self>, id: &ObjectId) -> DeliveryRecord {
        let ended = |outcome, status, attempts, reason| DeliveryRecord { object: id.clone(), outcome, status, attempts, reason };
        let prepared = {
            let (this, id) = (Arc::clone(&self), id.clone());
            tokio::task::spawn_blocking(move || this.prepare(&id)).await
        };
        let prepared = match prepared {
            Ok(Ok(prepared)) => prepared,
            Ok(Err(reason)) => {
                warn!(object = %id, reason, "object {id} cannot be posted: {reason}");
                return ended(DeliveryOutcome::NotPosted, None, 0, Some(reason));
            }
            Err(_) => return ended(DeliveryOutcome::NotPosted, None, 0, Some("encoding failed".into())),
        };
        let mut wait = BACKOFF;
        for attempt in 1.. {
            let (status, outcome, retry_after) = self.attempt(id, &prepared).await;
            let reason = match outcome {
                Ok(Outcome::Accepted) => return ended(DeliveryOutcome::Posted, status, attempt, None),
                Ok(Outcome::Refused { reason }) => return ended(DeliveryOutcome::Failed, status, attempt, Some(reason)),
                Ok(Outcome::Retry { after_ms }) => {
                    wait = after_ms.map(Duration::from_millis).or(retry_after).unwrap_or(wait).min(LONGEST_WAIT);
                    status.map_or_else(|| "no response".into(), |s| format!("status {s}"))
                }
                Err(reason) => reason,
            };
            if attempt >= ATTEMPTS {
                warn!(object = %id, attempts = attempt, "object {id} could not be posted: {reason}");
                return ended(DeliveryOutcome::Failed, status, attempt, Some(reason));
            }
            debug!(object = %id, attempt, wait_ms = wait.as_millis() as u64, "posting {id} failed ({reason}), trying again");
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        ended(DeliveryOutcome::Failed, None, ATTEMPTS, None)
    }

    async fn attempt(&self, id: &ObjectId, prepared: &Prepared) -> (Option<u16>, Result<Outcome, String>, Option<Duration>) {
        // What the client resolves it checks itself, without knowing of ports; addresses in the URL it does not see.
        if let Err(refused) = ocellus_media::check_target(&self.network, &prepared.request.url).await {
            return (None, Ok(Outcome::Refused { reason: refused.to_string() }), None);
        }
        let response = match self.request(id, prepared) {
            Ok(request) => request.send().await,
            Err(reason) => return (None, Ok(Outcome::Refused { reason }), None),
        };
        let mut response = match response {
            Ok(response) => response,
            Err(error) => {
                let reason = if error.is_timeout() { "no response in time".to_owned() } else { with_causes(&error) };
                return (None, Err(reason), None);
            }
        };
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok()).map(Duration::from_secs);
        let headers = response.headers().iter().filter_map(|(k, v)| Some((k.to_string(), v.to_str().ok()?.to_owned()))).collect::<Vec<_>>();
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend(chunk.iter().take(BODY_PREFIX - body.len()));
            if body.len() >= BODY_PREFIX {
                break;
            }
        }
        let outcome = self.with_router(|router| router.judge(status, &headers, &body)).map_err(|e| e.to_string());
        (Some(status), outcome, retry_after)
    }

    fn request(&self, id: &ObjectId, prepared: &Prepared) -> Result<reqwest::RequestBuilder, String> {
        let Prepared { request, content } = prepared;
        let (content_type, body) = content.clone()?;
        let method = reqwest::Method::from_bytes(request.method.as_bytes()).map_err(|e| e.to_string())?;
        let mut builder = self.client.request(method, &request.url);
        if let Some(authorization) = &self.authorization {
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
        if let Some(secret) = &self.signing_secret {
            builder = secret.headers(id, Timestamp::now(), &body).into_iter().fold(builder, |b, (name, value)| b.header(name, value));
        }
        Ok(builder.body(body))
    }

    /// Reads what is to be posted and has the router encode it.
    fn prepare(&self, id: &ObjectId) -> Result<Prepared, String> {
        let object = self.archive.object(id).map_err(|e| e.to_string())?.ok_or("the object is gone")?;
        let log = self.job.detections().map_err(|e| e.to_string())?.ok_or("the job has no log")?;
        let frame = log.header().frame_size;
        let settings = &self.video.stream_settings;
        let detector = settings.detector(&id.object_type).ok_or("its detector is off")?;
        let (mut infos, mut files) = (Vec::new(), Vec::new());
        for (part, kept) in pictures::posted(&object, detector) {
            for picture in kept {
                if let Some(file) = self.archive.picture(id, *picture).map_err(|e| e.to_string())? {
                    let (region, size) = pictures::shows(*picture, &object, settings, detector, frame);
                    infos.push(PictureInfo { picture: part, content_type: file.content_type.into(), size, region });
                    files.push(std::fs::read(file.path).map_err(|e| e.to_string())?);
                    break;
                }
            }
        }
        let (camera, camera_group) = (self.video.camera, Some(self.video.camera_group));
        let post = Post { object: &object, url: &self.url, camera, camera_group, pictures: &infos };
        let request = self.with_router(|router| router.encode(&post)).map_err(|e| e.to_string())?;
        let content = match &request.body {
            Body::Bytes(bytes) => Ok((None, bytes.clone().into())),
            Body::Multipart(parts) => {
                let pictures: Vec<_> = infos.into_iter().zip(files).collect();
                multipart(id, parts, &pictures).map(|(content_type, body)| (Some(content_type), body.into()))
            }
        };
        Ok(Prepared { request, content })
    }

    /// One session serves all objects; one that failed is not used again.
    fn with_router<R>(&self, f: impl FnOnce(&mut Router) -> Result<R, PluginError>) -> Result<R, PluginError> {
        let mut slot = self.router.lock();
        let mut router = match slot.take() {
            Some(router) => router,
            None => self.plugins.router(ROUTER, &serde_json::json!({}))?,
        };
        let result = f(&mut router)?;
        *slot = Some(router);
        Ok(result)
    }
}

/// What every attempt sends.
struct Prepared {
    request: Request,
    /// The body with its content type, where that is ours to name; or why there is none.
    content: Result<(Option<String>, Bytes), String>,
}

fn book(counts: &mut ocellus_core::Counts, outcome: DeliveryOutcome) {
    match outcome {
        DeliveryOutcome::Posted => counts.posted += 1,
        DeliveryOutcome::Failed => counts.failed += 1,
        DeliveryOutcome::NotPosted => counts.not_posted += 1,
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
