//! Service of one connection, from its first byte to its last.
//!
//! Ends when the client closes it, when it is overdue ([`Activity`](super::activity::Activity)),
//! when it is evicted for another, or when the server stops. An idle one is asked to close first,
//! and so is each one when the server stops: it finishes its requests in progress.

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
    exchange::respond,
    limits::ConnectionLimits,
    pool::Permit,
    socket::{self, Reporting},
};

/// How often an HTTP/2 client has to show that it is still there. HTTP/1.1 has no ping: its
/// connections end by their limits.
const PING: Duration = Duration::from_secs(30);
const MAX_STREAMS_PER_CONNECTION: u32 = 64;
/// Limit of a request's head, which is buffered whole.
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
    permit: Permit,
    stopping: CancellationToken,
) {
    socket::set_up(&stream);
    let permit = Arc::new(permit);
    let activity = permit.activity();
    let service = service_fn(|request| respond(router.clone(), &permit, request));
    let io = TokioIo::new(Reporting::new(stream, Arc::clone(activity)));
    let mut connection = pin!(builder.serve_connection(io, service));

    let (mut limits, mut draining) = (limits, false);
    loop {
        tokio::select! {
            outcome = connection.as_mut() => {
                if let Err(e) = outcome {
                    tracing::debug!("connection ended: {e}");
                }
                return;
            }
            () = permit.evicted() => {
                tracing::debug!("connection closed to make room for another");
                return;
            }
            overdue = activity.overdue(&limits) => {
                tracing::debug!("connection closed: {overdue}");
                if draining || overdue == Overdue::Stalled {
                    return;
                }
            }
            () = stopping.cancelled(), if !draining => {}
        }
        connection.as_mut().graceful_shutdown();
        activity.asked_to_close();
        (limits, draining) = (limits.draining(), true);
    }
}
