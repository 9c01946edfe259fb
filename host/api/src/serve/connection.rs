//! Service of one connection, from its first byte to its last.
//!
//! Ends when the client closes it, when it is overdue ([`Activity`](super::activity::Activity)),
//! when its place is taken, or when the server stops. An idle one is asked to close first, and so
//! is each one when the server stops: it finishes the requests under way.

use std::{pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::{
    activity::Overdue,
    answer::answer,
    limits::ConnectionLimits,
    pool::Place,
    socket::{self, Reporting},
};

/// How often an HTTP/2 client has to show that it is still there. HTTP/1.1 has no such thing:
/// limits do.
const PING: Duration = Duration::from_secs(30);
const MAX_STREAMS_PER_CONNECTION: u32 = 64;
/// Limit of a request's head, all of which is in memory.
const MAX_HEAD_BYTES: usize = 64 << 10;

pub(super) type Builder = auto::Builder<TokioExecutor>;

pub(super) fn builder() -> Builder {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // hyper's own limit starts once it knows the protocol, and a silent client never shows that.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .max_concurrent_streams(MAX_STREAMS_PER_CONNECTION);
    builder
}

pub(super) async fn run(
    stream: TcpStream,
    router: Router,
    builder: Builder,
    limits: ConnectionLimits,
    place: Place,
    stopping: CancellationToken,
) {
    socket::set_up(&stream);
    let place = Arc::new(place);
    let activity = place.activity();
    let service = service_fn(|request| answer(router.clone(), &place, request));
    let io = TokioIo::new(Reporting::new(stream, Arc::clone(activity)));
    let mut connection = pin!(builder.serve_connection(io, service));

    let (mut limits, mut leaving) = (limits, false);
    loop {
        tokio::select! {
            outcome = connection.as_mut() => {
                if let Err(e) = outcome {
                    tracing::debug!("connection ended: {e}");
                }
                return;
            }
            () = place.taken() => {
                tracing::debug!("connection closed to make room for another");
                return;
            }
            overdue = activity.overdue(&limits) => {
                tracing::debug!("connection closed: {overdue}");
                if leaving || overdue == Overdue::Stalled {
                    return;
                }
            }
            () = stopping.cancelled(), if !leaving => {}
        }
        connection.as_mut().graceful_shutdown();
        activity.asked_to_close();
        (limits, leaving) = (limits.leaving(), true);
    }
}
