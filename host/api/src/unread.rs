//! Draining of a request body that a refusal leaves unread.
//!
//! On an HTTP/1 connection the rest of that body follows the response, so hyper closes the
//! connection where it is not read. A client that is still sending then loses the answer, and one
//! that keeps connections sends its next request into the closing one. So a limited part is read
//! and discarded, and `Connection: close` is sent.

use std::{
    mem,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::Body,
    extract::Request,
    http::{
        HeaderValue, Version,
        header::{CONNECTION, EXPECT},
    },
    middleware::Next,
    response::Response,
};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::runtime::Handle;

/// Enough for a body somewhat over a limit of this API, so that its client gets the error; the
/// connection of a longer one is closed.
const MAX_BYTES: usize = 64 << 20;
const MAX_TIME: Duration = Duration::from_secs(5);

/// A body that reports its end, and is drained where it is dropped before that.
struct Watched {
    body: Body,
    ended: Arc<AtomicBool>,
    read_on: bool,
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.read_on
            && !self.ended.load(Ordering::Relaxed)
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(tokio::time::timeout(MAX_TIME, discard(mem::take(&mut self.body))));
        }
    }
}

async fn discard(mut body: Body) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if bytes > MAX_BYTES {
            return;
        }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if matches!(frame, None | Some(Err(_))) || self.body.is_end_stream() {
            self.ended.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pub(crate) async fn close(request: Request, next: Next) -> Response {
    let ended = Arc::new(AtomicBool::new(request.body().is_end_stream()));
    // HTTP/2 ends a stream, not a connection, and knows no such header.
    let one_at_a_time = request.version() <= Version::HTTP_11;
    // Reading would tell a client that waits for "100 Continue" to send.
    let read_on = !request.headers().contains_key(EXPECT);
    let watched = Arc::clone(&ended);
    let request = request.map(|body| Body::new(Watched { body, ended: watched, read_on }));
    let mut response = next.run(request).await;
    if one_at_a_time && !ended.load(Ordering::Relaxed) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
