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
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

use super::{
    activity::Overdue,
    exchange::respond,
    limits::ConnectionLimits,
    pool::Permit,
    socket::{self, Reporting},
    tls::Tls,
};

/// Interval of HTTP/2 pings, which the client has to answer. HTTP/1.1 has no ping: its connections
/// end by their limits.
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
    tls: Option<Tls>,
    router: Router,
    builder: Builder,
    limits: ConnectionLimits,
    permit: Permit,
    stopping: CancellationToken,
) {
    socket::set_up(&stream);
    let permit = Arc::new(permit);
    let stream = Reporting::new(stream, Arc::clone(permit.activity()));
    let Some(tls) = tls else { return exchange(stream, router, builder, limits, permit, stopping).await };
    let accepted = tokio::select! {
        accepted = tls.accept(stream) => accepted,
        () = permit.evicted() => return tracing::debug!("connection closed to make room for another"),
        overdue = permit.activity().overdue(&limits) => return tracing::debug!("connection closed: {overdue}"),
        () = stopping.cancelled() => return,
    };
    match accepted {
        Ok(stream) => exchange(stream, router, builder, limits, permit, stopping).await,
        Err(e) => tracing::debug!("TLS handshake failed: {e}"),
    }
}

/// Requests and responses, once the connection carries HTTP.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    builder: Builder,
    limits: ConnectionLimits,
    permit: Arc<Permit>,
    stopping: CancellationToken,
) {
    let activity = permit.activity();
    let service = service_fn(|request| respond(router.clone(), &permit, request));
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));

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
