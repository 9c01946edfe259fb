//! Exchange of one request and its answer, as far as the connection has to know of it.

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

use super::{activity::Activity, pool::Place};

/// Large bodies are handed over in pieces of this size, so that each one that is asked for shows
/// that the client took the one before.
const PIECE_BYTES: usize = 32 << 10;

/// Answers one request. It counts from the call, not from the first poll of the future.
pub(super) fn answer(
    router: Router,
    place: &Arc<Place>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Pieces>, Infallible>> + use<> {
    let exchange = Exchange::begin(Arc::clone(place.activity()), request.version() == Version::HTTP_2);
    let mut request = request.map(Body::new);
    // Work on a request may outlast its connection, and must not keep the connection's place.
    request.extensions_mut().insert(Arc::downgrade(place));
    async move {
        let response = router.oneshot(request).await?;
        Ok(response.map(|body| Pieces::new(body, exchange)))
    }
}

/// Counted in the activity of its connection until it is dropped.
struct Exchange {
    activity: Arc<Activity>,
    begun: bool,
}

impl Exchange {
    fn begin(activity: Arc<Activity>, shared: bool) -> Self {
        activity.asked(shared);
        Self { activity, begun: false }
    }

    /// Whether the client has to take the answer, or the server to go on with it.
    fn set_begun(&mut self, begun: bool) {
        match (mem::replace(&mut self.begun, begun), begun) {
            (false, true) => self.activity.answers(),
            (true, false) => self.activity.waits(),
            _ => {}
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.activity.done(self.begun);
    }
}

/// The body of an answer.
pub(super) struct Pieces {
    body: Body,
    rest: Bytes,
    exchange: Exchange,
}

impl Pieces {
    fn new(body: Body, mut exchange: Exchange) -> Self {
        exchange.set_begun(true);
        Self { body, rest: Bytes::new(), exchange }
    }
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        this.exchange.activity.moved();
        if this.rest.is_empty() {
            let polled = Pin::new(&mut this.body).poll_frame(cx);
            this.exchange.set_begun(polled.is_ready());
            match ready!(polled).transpose()?.map(Frame::into_data) {
                None => return Poll::Ready(None),
                Some(Err(trailers)) => return Poll::Ready(Some(Ok(trailers))),
                Some(Ok(data)) => this.rest = data,
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE_BYTES));
        Poll::Ready(Some(Ok(Frame::data(piece))))
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

    fn pieces(body: Body) -> (Pieces, Arc<Activity>) {
        let activity = Arc::new(Activity::new(Instant::now()));
        (Pieces::new(body, Exchange::begin(Arc::clone(&activity), false)), activity)
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_body(lengths in prop::collection::vec(0_usize..100_000, 0..5)) {
            let chunks: Vec<Bytes> = lengths.iter().map(|n| (0..*n).map(|i| i as u8).collect::<Vec<_>>().into()).collect();
            let whole: Bytes = chunks.concat().into();
            let stream = futures_util::stream::iter(chunks.into_iter().map(Ok::<_, std::io::Error>));
            let (in_many, activity) = pieces(Body::from_stream(stream));
            let (mut in_one, _) = pieces(Body::from(whole.clone()));
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            prop_assert_eq!(runtime.block_on(in_many.collect()).unwrap().to_bytes(), whole.clone());
            prop_assert!(activity.idle().is_some());
            let mut left = whole.len() as u64;
            while let Some(frame) = runtime.block_on(in_one.frame()) {
                let piece = frame.unwrap().into_data().unwrap();
                prop_assert!(!piece.is_empty() && piece.len() <= PIECE_BYTES);
                left -= piece.len() as u64;
                prop_assert_eq!(in_one.size_hint().exact(), Some(left));
                prop_assert_eq!(in_one.is_end_stream(), left == 0);
            }
            prop_assert_eq!(left, 0);
        }
    }

    #[test]
    fn a_connection_is_busy_until_the_last_piece_is_gone() {
        let (body, activity) = pieces(Body::from("short"));
        assert!(activity.idle().is_none());
        drop(body);
        assert!(activity.idle().is_some());
        let unanswered = Exchange::begin(Arc::clone(&activity), true);
        assert!(activity.idle().is_none());
        drop(unanswered);
        assert!(activity.idle().is_some());
    }
}
