//! HTTP connections: how they are accepted, limited and closed.
//!
//! | module | owns |
//! |---|---|
//! | `limits` | the numbers |
//! | `admission` | policy: which new ones are accepted, which open ones are evicted for them |
//! | `pool` | the open connections |
//! | `activity` | the state of one connection, and how long each state may last |
//! | `connection` | one connection from its first byte to its last |
//! | `tls` | certificates, and the handshake |
//! | `exchange`, `socket` | report to `activity`: requests and bodies; blocked writes |
//!
//! Guarantees: clients without the token, however many and whatever they send, keep out no client
//! that has it. A connection that is idle for too long is closed; one that transfers, however
//! slowly, is not. Bodies of requests have their own limit (see `body`). After `shutdown`
//! no connection is accepted and open ones finish their requests in progress, for at most
//! [`SHUTDOWN_GRACE`].

mod activity;
mod admission;
mod connection;
mod exchange;
mod limits;
mod pool;
mod socket;
mod tls;

use std::{io, net::SocketAddr, pin::pin, time::Duration};

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use admission::Peer;
pub use limits::ConnectionLimits;
pub(crate) use pool::Permit;
use pool::Pool;
pub use tls::{Tls, TlsError};

/// Time for open connections to finish once the server stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// Part of it that passes before the log says what is waited for.
const SILENT_GRACE: Duration = Duration::from_millis(500);

/// Serves until `shutdown` is ready; encrypted where there is a `tls`.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    limits: ConnectionLimits,
    shutdown: impl Future<Output = ()>,
) {
    let (builder, pool) = (connection::builder(), Pool::new(&limits));
    let (connections, stopping, aborting) = (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
    let mut shutdown = pin!(shutdown);

    loop {
        let next = async {
            let (stream, address) = accept(&listener).await;
            (stream, pool.acquire(address.ip()).await)
        };
        let (stream, permit) = tokio::select! {
            () = &mut shutdown => break,
            next = next => next,
        };
        let connection =
            connection::run(stream, tls.clone(), router.clone(), builder.clone(), limits, permit, stopping.clone());
        connections.spawn(aborting.clone().run_until_cancelled_owned(connection));
    }

    drop(listener);
    stopping.cancel();
    connections.close();
    if tokio::time::timeout(SILENT_GRACE, connections.wait()).await.is_err() {
        let (open, seconds) = (connections.len(), SHUTDOWN_GRACE.as_secs());
        tracing::info!(open, "waiting for requests on {open} connections, such as uploads, for at most {seconds} s");
    }
    if tokio::time::timeout(SHUTDOWN_GRACE - SILENT_GRACE, connections.wait()).await.is_err() {
        let open = connections.len();
        tracing::warn!(open, "{open} connections still open after {} s are dropped", SHUTDOWN_GRACE.as_secs());
        aborting.cancel();
        connections.wait().await;
    }
}

/// The next connection.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // This one failed; the next may not.
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::ConnectionReset
                        | io::ErrorKind::ConnectionRefused
                ) => {}
            Err(e) => {
                // Most likely out of file descriptors, for a while: a pause instead of a busy loop.
                tracing::error!("cannot accept a connection: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
