//! Pool of open connections.
//!
//! Guarantees: there are never more than [`ConnectionLimits`] allows; a connection leaves the pool
//! by dropping its [`Permit`]. Which one is evicted for another is decided in
//! [`admission`](super::admission).

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, timeout, timeout_at},
};

use super::{
    activity::Activity,
    admission::{self, Admission, FIRST_REQUEST_GRACE, OpenConnection, Peer},
    limits::ConnectionLimits,
};

/// At most one warning about evicted connections in this time.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

pub(super) struct Pool {
    max_connections: usize,
    max_unauthenticated: usize,
    open: Mutex<Open>,
    /// Notified when a connection closes or becomes authenticated.
    changed: Notify,
}

#[derive(Default)]
struct Open {
    next_id: u64,
    authenticated: usize,
    connections: HashMap<u64, Connection>,
    /// Since the last warning.
    evicted: u64,
    last_warning: Option<Instant>,
}

struct Connection {
    peer: Peer,
    accepted: Instant,
    authenticated: bool,
    activity: Arc<Activity>,
    evicted: Arc<Notify>,
}

/// Membership of one connection in the pool, which ends when it is dropped.
pub(crate) struct Permit {
    pool: Arc<Pool>,
    id: u64,
    address: IpAddr,
    activity: Arc<Activity>,
    evicted: Arc<Notify>,
}

impl Pool {
    pub(super) fn new(limits: &ConnectionLimits) -> Arc<Self> {
        Arc::new(Self {
            max_connections: limits.connections,
            max_unauthenticated: limits.max_unauthenticated(),
            open: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// Waits until a connection from this address may be accepted. Only one caller at a time may
    /// wait.
    pub(super) async fn acquire(self: &Arc<Self>, address: IpAddr) -> Permit {
        loop {
            match self.try_acquire(address, Instant::now()) {
                Ok(permit) => return permit,
                Err(Some(then)) => drop(timeout_at(then, self.changed.notified()).await),
                // Nothing notifies `changed` when a connection becomes idle.
                Err(None) => drop(timeout(FIRST_REQUEST_GRACE, self.changed.notified()).await),
            }
        }
    }

    /// A permit, or when to try again at the latest; `Err(None)` where that is not known.
    fn try_acquire(self: &Arc<Self>, address: IpAddr, now: Instant) -> Result<Permit, Option<Instant>> {
        let peer = Peer::from(address);
        let mut open = self.open.lock();
        match open.decide(self, peer, now) {
            Admission::Accept => {}
            Admission::Evict(id) => {
                if let Some(connection) = open.remove(id) {
                    connection.evicted.notify_one();
                }
                open.warn(now);
            }
            Admission::WaitUntil(then) => return Err(Some(then)),
            Admission::Wait => return Err(None),
        }
        let id = open.next_id;
        open.next_id += 1;
        let (activity, evicted) = (Arc::new(Activity::new(now)), Arc::new(Notify::new()));
        let connection = Connection {
            peer,
            accepted: now,
            authenticated: false,
            activity: Arc::clone(&activity),
            evicted: Arc::clone(&evicted),
        };
        open.connections.insert(id, connection);
        drop(open);
        Ok(Permit { pool: Arc::clone(self), id, address, activity, evicted })
    }
}

impl Open {
    fn decide(&self, pool: &Pool, peer: Peer, now: Instant) -> Admission {
        // The usual case, without iterating over the connections.
        if self.connections.len() < pool.max_connections
            && self.connections.len() - self.authenticated < pool.max_unauthenticated
        {
            return Admission::Accept;
        }
        let open: Vec<_> = self
            .connections
            .iter()
            .map(|(id, c)| OpenConnection {
                id: *id,
                peer: c.peer,
                accepted: c.accepted,
                authenticated: c.authenticated,
                idle: c.activity.idle(),
            })
            .collect();
        admission::decide(&open, peer, pool.max_connections, pool.max_unauthenticated, now)
    }

    fn remove(&mut self, id: u64) -> Option<Connection> {
        let connection = self.connections.remove(&id)?;
        self.authenticated -= usize::from(connection.authenticated);
        Some(connection)
    }

    fn warn(&mut self, now: Instant) {
        self.evicted += 1;
        if self.last_warning.is_none_or(|last| now.duration_since(last) >= WARNING_INTERVAL) {
            let (closed, open) = (self.evicted, self.connections.len() + 1);
            tracing::warn!(
                closed,
                open,
                "{closed} connections were closed to make room for others: --max-connections is reached"
            );
            (self.evicted, self.last_warning) = (0, Some(now));
        }
    }
}

impl Permit {
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Address of the client.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// Counts the connection as authenticated from now on: one of its requests had the token.
    pub(crate) fn set_authenticated(&self) {
        let mut open = self.pool.open.lock();
        if let Some(connection) = open.connections.get_mut(&self.id)
            && !connection.authenticated
        {
            connection.authenticated = true;
            open.authenticated += 1;
            drop(open);
            self.pool.changed.notify_one();
        }
    }

    /// Completes when the connection has to close, to make room for another.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.pool.open.lock().remove(self.id);
        self.pool.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn pool(connections: usize) -> Arc<Pool> {
        Pool::new(&ConnectionLimits { connections, ..ConnectionLimits::default() })
    }

    fn from(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    fn is_evicted(permit: &Permit) -> bool {
        permit.evicted().now_or_never().is_some()
    }

    #[test]
    fn a_connection_past_its_grace_is_evicted_for_a_new_one() {
        let (pool, now) = (pool(4), Instant::now());
        let first = pool.try_acquire(from(1), now).ok().unwrap();
        let second = pool.try_acquire(from(1), now).ok().unwrap();
        assert_eq!(pool.try_acquire(from(1), now).err(), Some(Some(now + FIRST_REQUEST_GRACE)));
        let third = pool.try_acquire(from(1), now + FIRST_REQUEST_GRACE).ok().unwrap();
        assert!(is_evicted(&first) && !is_evicted(&second) && !is_evicted(&third));
        drop(first);
        assert_eq!(pool.open.lock().connections.len(), 2);
    }

    #[tokio::test]
    async fn authenticating_a_connection_admits_the_next_one() {
        let pool = pool(4);
        let (authenticated, other) =
            (pool.acquire([10, 0, 0, 1].into()).await, pool.acquire([10, 0, 0, 1].into()).await);
        let mut next = std::pin::pin!(pool.acquire([10, 0, 0, 1].into()));
        assert!(next.as_mut().now_or_never().is_none());
        authenticated.set_authenticated();
        authenticated.set_authenticated();
        let next = next.await;
        assert!(!is_evicted(&authenticated) && !is_evicted(&other) && !is_evicted(&next));
        let open = pool.open.lock();
        assert_eq!((open.connections.len(), open.authenticated), (3, 1));
    }

    #[tokio::test]
    async fn closing_a_connection_admits_the_next_one() {
        let pool = pool(2);
        let first = pool.acquire([10, 0, 0, 1].into()).await;
        let mut next = std::pin::pin!(pool.acquire([10, 0, 0, 1].into()));
        assert!(next.as_mut().now_or_never().is_none());
        drop(first);
        assert!(!is_evicted(&next.await));
    }

    #[test]
    fn unauthenticated_connections_evict_no_authenticated_one() {
        let (pool, mut now) = (pool(8), Instant::now());
        let authenticated: Vec<_> = (0..4).map(|_| pool.try_acquire(from(1), now).ok().unwrap()).collect();
        for permit in &authenticated {
            permit.set_authenticated();
        }
        let mut unauthenticated = Vec::new();
        for n in 0..40 {
            now += FIRST_REQUEST_GRACE;
            unauthenticated.push(pool.try_acquire(from(n % 3), now).ok().unwrap());
            let open = pool.open.lock();
            assert!(open.connections.len() <= 8 && open.authenticated == 4);
        }
        for permit in &authenticated {
            assert!(!is_evicted(permit));
        }
        let last = unauthenticated.last().unwrap();
        last.set_authenticated();
        assert_eq!(pool.open.lock().authenticated, 5);
        unauthenticated[0].set_authenticated();
        assert_eq!(pool.open.lock().authenticated, 5, "it was evicted");
        drop((authenticated, unauthenticated));
        let open = pool.open.lock();
        assert_eq!((open.connections.len(), open.authenticated), (0, 0));
    }
}
