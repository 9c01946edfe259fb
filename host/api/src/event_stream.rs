//! `GET /events/stream/`: what happens in the server, as server-sent events
//! (https://html.spec.whatwg.org/multipage/server-sent-events.html).
//!
//! Owns the text of events. Which events there are, who listens and what was missed is known by the
//! engine's feed. Guarantees: an event is serialized once for all clients with the same base URL; a
//! stream ends with its client's token, and at once when the server stops.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::{
        HeaderName,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use ocellus_core::VideoId;
use ocellus_pipeline::{Batch, EngineEvent, Subscription};
use ocellus_store::{Delivery, DeliveryState};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    Api, access::Client, base_url::BaseUrl, error::Unauthorized, objects::shape::ObjectJson, videos::VideoJson,
};

/// Header with which a browser that reconnects names the last event it received.
const LAST_EVENT_ID: &str = "last-event-id";
/// Time without events after which a comment is sent: proxies close idle connections.
const SILENCE: Duration = Duration::from_secs(15);
/// Milliseconds after which browsers connect again.
const RETRY_MS: u32 = 2000;
/// Turns off nginx's buffering, which would hold events back until there are some kilobytes.
const UNBUFFERED: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");

/// Streams events as they happen.
///
/// Server-sent events, each with one line of JSON: `video` (as `/videos/{id}/` shows it; at most
/// one a second while it is processed), `video_deleted` (`id`), `object` (as the list of objects
/// has it), `delivery` (`video`, `object`, `state`, `status`), `plugin` (`name`, `state`), `health`
/// (`jobs`, `deliveries` and `disk` of `/health/`, when they change), and `reset` where events were
/// missed: then read again what is shown. Open the stream before reading lists, so that nothing
/// happens between the two.
#[utoipa::path(
    get, path = "/events/stream/", tag = "server", operation_id = "streamEvents",
    params(("Last-Event-ID" = Option<String>, Header, description = "Id of the last event received: the events since then come first.")),
    responses(
        (status = 200, description = "An endless stream of events, with comments while nothing happens.", body = ServerSentEvent, content_type = "text/event-stream"),
        Unauthorized,
    ),
)]
pub(crate) async fn stream(
    State(api): State<Arc<Api>>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Response {
    let after = request.headers().get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty());
    let subscription = api.engine.subscribe(after);
    let base = BaseUrl::of(&api.config, request.uri(), request.headers());
    // The current id, for a client that is cut off before its first event: it misses nothing
    // either.
    let first = format!("retry: {RETRY_MS}\nid: {}\n\n", subscription.last_id());
    let listener = Listener { api, client, base, subscription, first: Some(first.into()) };
    let events = stream::unfold(listener, |mut listener| async move {
        let bytes = listener.next().await?;
        Some((Ok::<_, Infallible>(bytes), listener))
    });
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store"), UNBUFFERED];
    (headers, Body::from_stream(events)).into_response()
}

/// One event, as a client of server-sent events reads it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the document: events are written as text")]
struct ServerSentEvent {
    /// For `Last-Event-ID`.
    id: String,
    /// What happened: `video`, `object`, `reset` and so on.
    event: String,
    /// A JSON object.
    data: String,
}

struct Listener {
    api: Arc<Api>,
    client: Client,
    base: BaseUrl,
    subscription: Subscription,
    first: Option<Bytes>,
}

impl Listener {
    /// The next bytes to send; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let Ok(batch) = tokio::time::timeout(SILENCE, self.subscription.next()).await else {
            return self.is_authorized().then(|| Bytes::from_static(b":\n\n"));
        };
        let batch = batch.filter(|_| self.is_authorized())?;
        let Self { base, subscription, .. } = self;
        Some(match batch {
            Batch::Missed => framed("reset", &subscription.last_id(), "{}").into(),
            Batch::Entries(entries) => {
                let view = base.join("");
                let texts = entries.iter().map(|entry| {
                    entry.text(&view, |event| written(event, &subscription.id_of(entry.number()), base).into())
                });
                texts.collect::<Vec<_>>().concat().into()
            }
        })
    }

    /// Whether the client's token is still valid.
    fn is_authorized(&self) -> bool {
        self.api.access.still_admits(&self.client, self.api.clock.now())
    }
}

/// A delivery in the stream.
#[derive(Serialize)]
struct DeliveryEvent {
    video: VideoId,
    object: String,
    state: DeliveryState,
    /// Status of the router's last response.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
}

impl From<Delivery> for DeliveryEvent {
    fn from(Delivery { object, state, last_status, .. }: Delivery) -> Self {
        Self { video: object.job.video, object: object.to_string(), state, status: last_status }
    }
}

/// The text of an event.
fn written(event: &EngineEvent, id: &str, base: &BaseUrl) -> String {
    let (name, data) = match event.clone() {
        EngineEvent::Video(video) => ("video", serde_json::to_string(&VideoJson::new(*video, base))),
        EngineEvent::VideoDeleted(id) => ("video_deleted", serde_json::to_string(&json!({ "id": id }))),
        EngineEvent::Object(object) => ("object", serde_json::to_string(&ObjectJson::new((*object, None), base))),
        EngineEvent::Delivery(delivery) => ("delivery", serde_json::to_string(&DeliveryEvent::from(*delivery))),
        EngineEvent::Plugin { name, state } => {
            ("plugin", serde_json::to_string(&json!({"name": name, "state": state})))
        }
        EngineEvent::Load(load) => ("health", serde_json::to_string(&load)),
    };
    match data {
        Ok(data) => framed(name, id, &data),
        Err(error) => {
            tracing::error!("an event cannot be serialized: {error}");
            framed("reset", id, "{}")
        }
    }
}

/// `data`: one line.
fn framed(name: &str, id: &str, data: &str) -> String {
    format!("id: {id}\nevent: {name}\ndata: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, Uri};

    use super::*;
    use crate::ApiConfig;

    #[test]
    fn an_event_is_an_id_a_name_and_a_line_of_json() {
        let base = BaseUrl::of(&ApiConfig::default(), &Uri::from_static("/"), &HeaderMap::new());
        let text = |event: &EngineEvent| written(event, "7-3", &base);
        assert_eq!(text(&EngineEvent::VideoDeleted(VideoId(9))), "id: 7-3\nevent: video_deleted\ndata: {\"id\":9}\n\n");
        let state = "refused: it\nis none".to_owned();
        let plugin = text(&EngineEvent::Plugin { name: "a".into(), state });
        assert_eq!(plugin, "id: 7-3\nevent: plugin\ndata: {\"name\":\"a\",\"state\":\"refused: it\\nis none\"}\n\n");
        let posted = Delivery { state: DeliveryState::Posted, last_status: Some(201), ..pending() };
        assert!(
            text(&EngineEvent::Delivery(Box::new(posted)))
                .ends_with("data: {\"video\":6,\"object\":\"6-1-face-3-0\",\"state\":\"posted\",\"status\":201}\n\n")
        );
        assert!(text(&EngineEvent::Delivery(Box::new(pending()))).ends_with("\"state\":\"pending\"}\n\n"));
    }

    fn pending() -> Delivery {
        Delivery::pending("6-1-face-3-0".parse().unwrap())
    }
}
