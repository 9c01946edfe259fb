//! Connections: accepting them, and ending them in good order.
//!
//! Guarantees: a client that sends nothing, or a byte a minute, is dropped after [`PATIENCE`]; bodies have their own limit
//! (see `body`). After `shutdown` no connection is accepted and those that are open finish what they are at, for at most
//! [`GRACE`].

use std::{convert::Infallible, io, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore},
};
use tower::ServiceExt;

/// For the head of a request, from its first byte or from the end of the one before.
const PATIENCE: Duration = Duration::from_secs(30);
/// For open connections, once the server is told to stop.
const GRACE: Duration = Duration::from_secs(10);
/// Each costs a file descriptor; systems give a process 1024 where nobody asks for more, and the archive needs some.
const MAX_CONNECTIONS: usize = 512;
const MAX_STREAMS_PER_CONNECTION: u32 = 64;

/// Serves until `shutdown` is ready. Errs only where the listener does.
pub async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(PATIENCE).max_concurrent_streams(MAX_STREAMS_PER_CONNECTION);
    let builder = Arc::new(builder);
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut shutdown = pin!(shutdown);

    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &slots) => accepted?,
        };
        let Some((stream, slot)) = accepted else { continue };
        let (router, builder, watcher) = (router.clone(), Arc::clone(&builder), graceful.watcher());
        tokio::spawn(async move {
            let seen = Arc::new(Notify::new());
            let service = service_fn({
                let seen = Arc::clone(&seen);
                move |request| {
                    seen.notify_one();
                    answer(router.clone(), request)
                }
            });
            let connection = watcher.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned());
            // hyper's own timer starts only once it knows the protocol, which a silent client never tells.
            let silent = async {
                if tokio::time::timeout(PATIENCE, seen.notified()).await.is_ok() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                outcome = connection => if let Err(e) = outcome {
                    tracing::debug!("connection ended: {e}");
                },
                () = silent => tracing::debug!("connection dropped: no request within {} s", PATIENCE.as_secs()),
            }
            drop(slot);
        });
    }

    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections still open after {} s are dropped", GRACE.as_secs());
    }
    Ok(())
}

async fn answer(router: Router, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    router.oneshot(request.map(Body::new)).await
}

/// The next connection, once there is room for it. `None` where this one failed and the next may not.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> io::Result<Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)>> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    match listener.accept().await {
        Ok((stream, _)) => {
            if let Err(e) = stream.set_nodelay(true) {
                tracing::debug!("set_nodelay: {e}");
            }
            Ok(Some((stream, slot)))
        }
        Err(e)
            if matches!(e.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused) =>
        {
            Ok(None)
        }
        Err(e) => {
            // Out of file descriptors, most likely: that passes, and spinning until then helps nobody.
            tracing::error!("accepting connections: {e}");
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok(None)
        }
    }
}
