//! Admission policy: which new connections are accepted, and which open ones are closed for them.
//! No I/O, no clock: the pool asks for each new connection.
//!
//! Before its first request a connection of a client with the token looks like one of an attacker,
//! and its address does not help: behind a reverse proxy all clients have the same one. So no
//! connection is refused for its address, and none waits for another to close by itself:
//!
//! * Authenticated connections (those that have sent a request with the token) are counted apart.
//!   Unauthenticated ones may use half of the capacity; the other half is out of their reach,
//!   however many they are.
//! * When that half is full, the unauthenticated connection that has been idle longest is closed;
//!   if none is idle, the oldest. A client with the token sends it in its first packets and is
//!   among the newest; one that sends nothing grows old.
//! * The address with the most unauthenticated connections loses one first (for IPv6 the /64
//!   network, all of which one host may have). So an attacker at one address evicts no other
//!   address.
//! * A new connection has [`FIRST_REQUEST_GRACE`] to send its first request. During it, further
//!   connections from the same address wait instead of evicting it: many clients may connect at
//!   once. They wait in the kernel's accept queue, without a thread.
//!
//! What an attacker can still do: open so many connections that the capacity is used up again
//! within [`FIRST_REQUEST_GRACE`]. Then new connections are delayed, and open ones of other clients
//! are not affected.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use tokio::time::Instant;

/// How long after it was accepted a connection is not evicted for another from its own address.
pub(super) const FIRST_REQUEST_GRACE: Duration = Duration::from_secs(1);

/// Remote address of a connection, without the part that one host can choose: the IPv4 address, or
/// the IPv6 /64 prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Peer(IpAddr);

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
            v4 => v4,
        })
    }
}

/// What the policy needs to know of an open connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenConnection {
    pub id: u64,
    pub peer: Peer,
    pub accepted: Instant,
    /// Whether one of its requests had the token.
    pub authenticated: bool,
    /// Since when it has had no request in progress; `None` while it has one.
    pub idle: Option<Instant>,
}

impl OpenConnection {
    /// Sort key, smallest for the first to be evicted: idle ones by how long they have been idle,
    /// then busy ones by age.
    fn eviction_order(&self) -> (bool, Instant, u64) {
        (self.idle.is_none(), self.idle.unwrap_or(self.accepted), self.id)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Accept,
    /// Accept after closing the connection with this id.
    Evict(u64),
    /// Decide again at this time, or when a connection closes.
    WaitUntil(Instant),
    /// Decide again when a connection closes or becomes idle.
    Wait,
}

/// Decides on a new connection from `peer`, with limits of `max_connections` in all and
/// `max_unauthenticated` without the token.
pub(super) fn decide(
    open: &[OpenConnection],
    peer: Peer,
    max_connections: usize,
    max_unauthenticated: usize,
    now: Instant,
) -> Admission {
    let unauthenticated = || open.iter().filter(|c| !c.authenticated);
    if unauthenticated().count() < max_unauthenticated {
        if open.len() < max_connections {
            return Admission::Accept;
        }
        let idle = open.iter().filter(|c| c.authenticated && c.idle.is_some()).min_by_key(|c| c.eviction_order());
        if let Some(connection) = idle {
            return Admission::Evict(connection.id);
        }
    }
    let mut by_peer = HashMap::from([(peer, 1_usize)]);
    for connection in unauthenticated() {
        *by_peer.entry(connection.peer).or_default() += 1;
    }
    // Of addresses with equally many, the one of the new connection.
    let Some(largest) = by_peer.into_iter().max_by_key(|&(p, n)| (n, p == peer)).map(|(p, _)| p) else {
        return Admission::Wait;
    };
    // It has none where the new connection is its only one and authenticated connections use nearly
    // all of the capacity: then any unauthenticated connection may be evicted.
    let has_some = unauthenticated().any(|c| c.peer == largest);
    let of_largest = || unauthenticated().filter(|c| c.peer == largest || !has_some);
    let past_grace = of_largest()
        .filter(|c| now.duration_since(c.accepted) >= FIRST_REQUEST_GRACE)
        .min_by_key(|c| c.eviction_order());
    let first = of_largest().min_by_key(|c| (c.accepted, c.id));
    match (past_grace, first) {
        (Some(connection), _) => Admission::Evict(connection.id),
        (None, Some(connection)) if largest != peer => Admission::Evict(connection.id),
        (None, Some(connection)) => Admission::WaitUntil(connection.accepted + FIRST_REQUEST_GRACE),
        (None, None) => Admission::Wait,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn peer(n: u8) -> Peer {
        IpAddr::from([10, 0, 0, n]).into()
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// An unauthenticated connection accepted `age` seconds ago that has sent nothing.
    fn idle_since_accepted(id: u64, from: u8, now: Instant, age: u64) -> OpenConnection {
        let accepted = now - seconds(age);
        OpenConnection { id, peer: peer(from), accepted, authenticated: false, idle: Some(accepted) }
    }

    fn now() -> Instant {
        Instant::now() + seconds(1000)
    }

    #[test]
    fn a_peer_is_an_ipv4_address_or_an_ipv6_64_prefix() {
        let of = |text: &str| Peer::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }

    #[test]
    fn the_longest_idle_is_evicted_first_then_the_oldest_busy_one() {
        let now = now();
        let mut open = [
            idle_since_accepted(1, 1, now, 50),
            idle_since_accepted(2, 1, now, 90),
            idle_since_accepted(3, 1, now, 70),
        ];
        assert_eq!(decide(&open, peer(1), 6, 4, now), Admission::Accept);
        assert_eq!(decide(&open, peer(1), 6, 3, now), Admission::Evict(2));
        open[1].idle = None;
        assert_eq!(decide(&open, peer(1), 6, 3, now), Admission::Evict(3));
        for connection in &mut open {
            connection.idle = None;
        }
        assert_eq!(decide(&open, peer(1), 6, 3, now), Admission::Evict(2));
    }

    #[test]
    fn a_connection_with_the_token_is_not_closed_for_one_without() {
        let now = now();
        let mut open = [
            idle_since_accepted(1, 1, now, 90),
            idle_since_accepted(2, 1, now, 60),
            idle_since_accepted(3, 1, now, 50),
        ];
        open[0].authenticated = true;
        assert_eq!(decide(&open, peer(1), 4, 2, now), Admission::Evict(2));
        // An idle authenticated connection is closed only where authenticated ones use all of the
        // capacity; a busy one never.
        open.iter_mut().for_each(|c| c.authenticated = true);
        assert_eq!(decide(&open, peer(1), 3, 2, now), Admission::Evict(1));
        open.iter_mut().for_each(|c| c.idle = None);
        assert_eq!(decide(&open, peer(1), 3, 2, now), Admission::Wait);
    }

    #[test]
    fn new_connections_of_one_address_wait_for_each_other() {
        let now = now();
        let fresh = now - Duration::from_millis(300);
        let open = [1, 2].map(|id| OpenConnection {
            accepted: fresh,
            idle: Some(fresh),
            ..idle_since_accepted(id, 1, now, 0)
        });
        assert_eq!(decide(&open, peer(1), 4, 2, now), Admission::WaitUntil(fresh + FIRST_REQUEST_GRACE));
        assert_eq!(decide(&open, peer(1), 4, 2, fresh + FIRST_REQUEST_GRACE), Admission::Evict(1));
    }

    #[test]
    fn the_address_with_most_loses_one_to_others_without_grace() {
        let now = now();
        let open =
            [idle_since_accepted(1, 1, now, 0), idle_since_accepted(2, 1, now, 0), idle_since_accepted(3, 2, now, 90)];
        assert_eq!(decide(&open, peer(3), 6, 3, now), Admission::Evict(1));
        assert_eq!(decide(&open, peer(2), 6, 3, now), Admission::Evict(3));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Connect(u8),
        Authenticate(usize),
        BecomeBusy(usize),
        BecomeIdle(usize),
        Close(usize),
        Advance(u16),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0_u8..3).prop_map(Step::Connect),
            1 => any::<usize>().prop_map(Step::Authenticate),
            1 => any::<usize>().prop_map(Step::BecomeBusy),
            1 => any::<usize>().prop_map(Step::BecomeIdle),
            1 => any::<usize>().prop_map(Step::Close),
            2 => (0_u16..1500).prop_map(Step::Advance),
        ]
    }

    proptest! {
        #[test]
        fn the_guarantees_hold_in_any_sequence_of_steps(steps in prop::collection::vec(step(), 1..200)) {
            const MAX_CONNECTIONS: usize = 6;
            const MAX_UNAUTHENTICATED: usize = 3;
            let (mut open, mut now) = (Vec::<OpenConnection>::new(), now());
            for (id, step) in steps.into_iter().enumerate() {
                let one = |n: usize, open: &mut Vec<OpenConnection>, change: &dyn Fn(&mut OpenConnection)| {
                    let count = open.len().max(1);
                    open.get_mut(n % count).into_iter().for_each(change);
                };
                match step {
                    Step::Authenticate(n) => one(n, &mut open, &|c| c.authenticated = true),
                    Step::BecomeBusy(n) => one(n, &mut open, &|c| c.idle = None),
                    Step::BecomeIdle(n) => one(n, &mut open, &|c| c.idle = Some(now)),
                    Step::Close(n) if !open.is_empty() => drop(open.swap_remove(n % open.len())),
                    Step::Close(_) => {}
                    Step::Advance(ms) => now += Duration::from_millis(ms.into()),
                    Step::Connect(from) => {
                        match decide(&open, peer(from), MAX_CONNECTIONS, MAX_UNAUTHENTICATED, now) {
                            Admission::Accept => {}
                            Admission::Evict(id) => {
                                let at = open.iter().position(|c| c.id == id).unwrap();
                                let evicted = open.swap_remove(at);
                                if evicted.authenticated {
                                    let longest = open.iter().filter(|c| c.authenticated).filter_map(|c| c.idle).all(|i| i >= evicted.idle.unwrap());
                                    prop_assert!(longest && open.len() + 1 == MAX_CONNECTIONS);
                                } else if evicted.peer == peer(from) {
                                    prop_assert!(now.duration_since(evicted.accepted) >= FIRST_REQUEST_GRACE);
                                } else {
                                    let alone = unauthenticated_of(&open, peer(from)) == 0 && now.duration_since(evicted.accepted) >= FIRST_REQUEST_GRACE;
                                    prop_assert!(alone || unauthenticated_of(&open, evicted.peer) > unauthenticated_of(&open, peer(from)));
                                }
                            }
                            Admission::WaitUntil(then) => {
                                prop_assert!(then > now && then <= now + FIRST_REQUEST_GRACE);
                                prop_assert!(unauthenticated_of(&open, peer(from)) > 0 || open.len() == MAX_CONNECTIONS);
                                continue;
                            }
                            Admission::Wait => {
                                prop_assert!(open.len() == MAX_CONNECTIONS && open.iter().all(|c| c.authenticated && c.idle.is_none()));
                                continue;
                            }
                        }
                        open.push(OpenConnection { id: id as u64, peer: peer(from), accepted: now, authenticated: false, idle: Some(now) });
                        prop_assert!(open.len() <= MAX_CONNECTIONS);
                        prop_assert!(open.iter().filter(|c| !c.authenticated).count() <= MAX_UNAUTHENTICATED);
                    }
                }
            }
        }
    }

    fn unauthenticated_of(open: &[OpenConnection], of: Peer) -> usize {
        open.iter().filter(|c| !c.authenticated && c.peer == of).count()
    }
}
