//! Exchange of one request and its response, and its reports to the activity of its connection.

use std::{
    convert::Infallible,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{
    Router,
    body::Body,
    http::{Request, Response, Version},
};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tower::ServiceExt;

use super::{activity::Activity, pool::Permit};

/// Large bodies are handed over in chunks of this size: a further one is polled for only once the
/// client has read the one before, which is the progress that the activity sees.
const CHUNK_BYTES: usize = 32 << 10;

/// Responds to one request. The exchange counts from the call, not from the first poll.
pub(super) fn respond(
    router: Router,
    permit: &Arc<Permit>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<ResponseBody>, Infallible>> + use<> {
    let exchange = Exchange::begin(Arc::clone(permit.activity()), request.version() == Version::HTTP_2);
    let mut request = request.map(Body::new);
    // Work on a request may outlast its connection, and must not keep the connection in the pool.
    request.extensions_mut().insert(Arc::downgrade(permit));
    async move {
        let response = router.oneshot(request).await?;
        Ok(response.map(|body| ResponseBody::new(body, exchange)))
    }
}

/// Counted in the activity of its connection until it is dropped.
struct Exchange {
    activity: Arc<Activity>,
    sending: bool,
}

impl Exchange {
    fn begin(activity: Arc<Activity>, shared: bool) -> Self {
        activity.request_arrived(shared);
        Self { activity, sending: false }
    }

    /// Whether the response waits for the client to read it, or for the server to produce more.
    fn set_sending(&mut self, sending: bool) {
        match (mem::replace(&mut self.sending, sending), sending) {
            (false, true) => self.activity.waits_for_client(),
            (true, false) => self.activity.waits_for_server(),
            _ => {}
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.activity.done(self.sending);
    }
}

/// Body of a response.
pub(super) struct ResponseBody {
    body: Body,
    rest: Bytes,
    exchange: Exchange,
}

impl ResponseBody {
    fn new(body: Body, mut exchange: Exchange) -> Self {
        exchange.set_sending(true);
        Self { body, rest: Bytes::new(), exchange }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        this.exchange.activity.progressed();
        if this.rest.is_empty() {
            let polled = Pin::new(&mut this.body).poll_frame(cx);
            this.exchange.set_sending(polled.is_ready());
            match ready!(polled).transpose()?.map(Frame::into_data) {
                None => return Poll::Ready(None),
                Some(Err(trailers)) => return Poll::Ready(Some(Ok(trailers))),
                Some(Ok(data)) => this.rest = data,
            }
        }
        let chunk = this.rest.split_to(this.rest.len().min(CHUNK_BYTES));
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::*;

    fn response_body(body: Body) -> (ResponseBody, Arc<Activity>) {
        let activity = Arc::new(Activity::new(Instant::now()));
        (ResponseBody::new(body, Exchange::begin(Arc::clone(&activity), false)), activity)
    }

    proptest! {
        #[test]
        fn the_chunks_are_the_body(lengths in prop::collection::vec(0_usize..100_000, 0..5)) {
            let chunks: Vec<Bytes> = lengths.iter().map(|n| (0..*n).map(|i| i as u8).collect::<Vec<_>>().into()).collect();
            let whole: Bytes = chunks.concat().into();
            let stream = futures_util::stream::iter(chunks.into_iter().map(Ok::<_, std::io::Error>));
            let (streamed, activity) = response_body(Body::from_stream(stream));
            let (mut buffered, _) = response_body(Body::from(whole.clone()));
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            prop_assert_eq!(runtime.block_on(streamed.collect()).unwrap().to_bytes(), whole.clone());
            prop_assert!(activity.idle().is_some());
            let mut left = whole.len() as u64;
            while let Some(frame) = runtime.block_on(buffered.frame()) {
                let chunk = frame.unwrap().into_data().unwrap();
                prop_assert!(!chunk.is_empty() && chunk.len() <= CHUNK_BYTES);
                left -= chunk.len() as u64;
                prop_assert_eq!(buffered.size_hint().exact(), Some(left));
                prop_assert_eq!(buffered.is_end_stream(), left == 0);
            }
            prop_assert_eq!(left, 0);
        }
    }

    #[test]
    fn a_connection_is_busy_until_its_response_body_is_dropped() {
        let (body, activity) = response_body(Body::from("short"));
        assert!(activity.idle().is_none());
        drop(body);
        assert!(activity.idle().is_some());
        let without_response = Exchange::begin(Arc::clone(&activity), true);
        assert!(activity.idle().is_none());
        drop(without_response);
        assert!(activity.idle().is_some());
    }
}
