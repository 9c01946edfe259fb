//! Pool of the connections that are open.
//!
//! Guarantees: there are never more than [`ConnectionLimits`] allows; a connection leaves by
//! dropping its [`Place`]. Which one is closed for another is decided in [`room`](super::room).

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, timeout, timeout_at},
};

use super::{
    activity::Activity,
    limits::ConnectionLimits,
    room::{self, GRACE, OpenConnection, Peer, Room},
};

/// How often the log says that connections are closed to make room.
const SAY_AGAIN: Duration = Duration::from_secs(60);

pub(super) struct Pool {
    total: usize,
    max_unauthenticated: usize,
    open: Mutex<Open>,
    /// Notified when a connection closes or shows the token.
    changed: Notify,
}

#[derive(Default)]
struct Open {
    next: u64,
    authenticated: usize,
    connections: HashMap<u64, Connection>,
    made_room: u64,
    said: Option<Instant>,
}

struct Connection {
    peer: Peer,
    accepted: Instant,
    authenticated: bool,
    activity: Arc<Activity>,
    closed: Arc<Notify>,
}

/// What a connection holds while it is open.
pub(crate) struct Place {
    pool: Arc<Pool>,
    id: u64,
    activity: Arc<Activity>,
    closed: Arc<Notify>,
}

impl Pool {
    pub(super) fn new(limits: &ConnectionLimits) -> Arc<Self> {
        Arc::new(Self {
            total: limits.connections,
            max_unauthenticated: limits.max_unauthenticated(),
            open: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// A place for a connection from this address, as soon as there is one. For one caller at a
    /// time.
    pub(super) async fn place(self: &Arc<Self>, address: IpAddr) -> Place {
        loop {
            match self.try_place(address.into(), Instant::now()) {
                Ok(place) => return place,
                Err(Some(then)) => drop(timeout_at(then, self.changed.notified()).await),
                // It is not notified when a connection falls idle.
                Err(None) => drop(timeout(GRACE, self.changed.notified()).await),
            }
        }
    }

    /// A place, or when to ask again at the latest.
    fn try_place(self: &Arc<Self>, peer: Peer, now: Instant) -> Result<Place, Option<Instant>> {
        let mut open = self.open.lock();
        match open.find(self, peer, now) {
            Room::Free => {}
            Room::InsteadOf(id) => {
                if let Some(connection) = open.remove(id) {
                    connection.closed.notify_one();
                }
                open.say(now);
            }
            Room::After(then) => return Err(Some(then)),
            Room::Later => return Err(None),
        }
        let id = open.next;
        open.next += 1;
        let (activity, closed) = (Arc::new(Activity::new(now)), Arc::new(Notify::new()));
        let connection = Connection {
            peer,
            accepted: now,
            authenticated: false,
            activity: Arc::clone(&activity),
            closed: Arc::clone(&closed),
        };
        open.connections.insert(id, connection);
        drop(open);
        Ok(Place { pool: Arc::clone(self), id, activity, closed })
    }
}

impl Open {
    fn find(&self, pool: &Pool, peer: Peer, now: Instant) -> Room {
        // The usual case, without a look at each connection.
        if self.connections.len() < pool.total && self.connections.len() - self.authenticated < pool.max_unauthenticated
        {
            return Room::Free;
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
        room::find(&open, peer, pool.total, pool.max_unauthenticated, now)
    }

    fn remove(&mut self, id: u64) -> Option<Connection> {
        let connection = self.connections.remove(&id)?;
        self.authenticated -= usize::from(connection.authenticated);
        Some(connection)
    }

    fn say(&mut self, now: Instant) {
        self.made_room += 1;
        if self.said.is_none_or(|said| now.duration_since(said) >= SAY_AGAIN) {
            let (closed, open) = (self.made_room, self.connections.len() + 1);
            tracing::warn!(
                closed,
                open,
                "{closed} connections were closed to make room for others: --max-connections is reached"
            );
            (self.made_room, self.said) = (0, Some(now));
        }
    }
}

impl Place {
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// One of its requests had the token: from here on it counts among those who have it.
    pub(crate) fn authenticated(&self) {
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

    /// Ready when the connection has to go, for another to come.
    pub(super) async fn taken(&self) {
        self.closed.notified().await;
    }
}

impl Drop for Place {
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

    fn from(n: u8) -> Peer {
        IpAddr::from([10, 0, 0, n]).into()
    }

    fn is_taken(place: &Place) -> bool {
        place.taken().now_or_never().is_some()
    }

    #[test]
    fn a_new_connection_takes_the_place_of_one_that_has_had_its_grace() {
        let (pool, now) = (pool(4), Instant::now());
        let first = pool.try_place(from(1), now).ok().unwrap();
        let second = pool.try_place(from(1), now).ok().unwrap();
        assert_eq!(pool.try_place(from(1), now).err(), Some(Some(now + GRACE)));
        let third = pool.try_place(from(1), now + GRACE).ok().unwrap();
        assert!(is_taken(&first) && !is_taken(&second) && !is_taken(&third));
        drop(first);
        assert_eq!(pool.open.lock().connections.len(), 2);
    }

    #[tokio::test]
    async fn one_that_shows_the_token_lets_the_next_one_in() {
        let pool = pool(4);
        let (known, other) = (pool.place([10, 0, 0, 1].into()).await, pool.place([10, 0, 0, 1].into()).await);
        let mut next = std::pin::pin!(pool.place([10, 0, 0, 1].into()));
        assert!(next.as_mut().now_or_never().is_none());
        known.authenticated();
        known.authenticated();
        let next = next.await;
        assert!(!is_taken(&known) && !is_taken(&other) && !is_taken(&next));
        let open = pool.open.lock();
        assert_eq!((open.connections.len(), open.authenticated), (3, 1));
    }

    #[tokio::test]
    async fn one_that_closes_lets_the_next_one_in() {
        let pool = pool(2);
        let first = pool.place([10, 0, 0, 1].into()).await;
        let mut next = std::pin::pin!(pool.place([10, 0, 0, 1].into()));
        assert!(next.as_mut().now_or_never().is_none());
        drop(first);
        assert!(!is_taken(&next.await));
    }

    #[test]
    fn any_number_without_the_token_leaves_those_with_it_alone() {
        let (pool, mut now) = (pool(8), Instant::now());
        let known: Vec<_> = (0..4).map(|_| pool.try_place(from(1), now).ok().unwrap()).collect();
        for place in &known {
            place.authenticated();
        }
        let mut unauthenticated = Vec::new();
        for n in 0..40 {
            now += GRACE;
            unauthenticated.push(pool.try_place(from(n % 3), now).ok().unwrap());
            let open = pool.open.lock();
            assert!(open.connections.len() <= 8 && open.authenticated == 4);
        }
        for place in &known {
            assert!(!is_taken(place));
        }
        let last = unauthenticated.last().unwrap();
        last.authenticated();
        assert_eq!(pool.open.lock().authenticated, 5);
        unauthenticated[0].authenticated();
        assert_eq!(pool.open.lock().authenticated, 5, "it has left");
        drop((known, unauthenticated));
        let open = pool.open.lock();
        assert_eq!((open.connections.len(), open.authenticated), (0, 0));
    }
}
