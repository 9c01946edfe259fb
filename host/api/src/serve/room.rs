//! Admission policy: which new connections are accepted, and which open ones are closed for them.
//! No I/O, no clock: the pool asks for each new connection.
//!
//! Before its first request a connection of a client with the token cannot be told from one of an
//! attacker, and its address is no help: all clients may come from one, that of a reverse proxy or
//! of this machine. So no connection is refused for its address, and none waits for another to
//! close by itself:
//!
//! * Connections that have shown the token are counted apart. The unauthenticated ones may take
//!   half of the room; the other half is out of their reach, however many they are.
//! * Where they have no room left, the one that has been idle longest is closed, then the oldest. A
//!   client with the token shows it in its first packets and is among the newest; one that sends
//!   nothing grows old.
//! * The address with the most of them makes room first (of IPv6 the /64 network, which one host
//!   has all of). So an attacker at one address takes room from no other address.
//! * A new connection has [`GRACE`] to send its first request, in which others from its own address
//!   wait instead of closing it: many clients may come at once. They wait in the kernel's queue,
//!   without a thread.
//!
//! What an attacker can still do: open so many connections that all room is taken again within
//! [`GRACE`]. Then new connections wait for their turn, and clients that keep theirs notice
//! nothing.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use tokio::time::Instant;

/// For the first request of a client that is on its way.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// Where a connection comes from, as far as one host cannot choose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Peer(IpAddr);

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
            v4 => v4,
        })
    }
}

/// A connection that is open, as far as the policy has to know it.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenConnection {
    pub id: u64,
    pub peer: Peer,
    pub accepted: Instant,
    /// One of its requests had the token.
    pub authenticated: bool,
    /// Since when no request of it has been under way; `None` while one is.
    pub idle: Option<Instant>,
}

impl OpenConnection {
    /// Smallest for the one that makes room first: idle ones by how long they have been, then busy
    /// ones by age, of equals the one that came first.
    fn order(&self) -> (bool, Instant, u64) {
        (self.idle.is_none(), self.idle.unwrap_or(self.accepted), self.id)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Free,
    /// Where this one is closed.
    InsteadOf(u64),
    /// Not before then, unless a connection ends.
    After(Instant),
    /// When a connection ends.
    Later,
}

/// Room for one more from `peer`, where there may be `total` connections and `max_unauthenticated`
/// without the token.
pub(super) fn find(
    open: &[OpenConnection],
    peer: Peer,
    total: usize,
    max_unauthenticated: usize,
    now: Instant,
) -> Room {
    let unauthenticated = || open.iter().filter(|c| !c.authenticated);
    if unauthenticated().count() < max_unauthenticated {
        if open.len() < total {
            return Room::Free;
        }
        let idle = open.iter().filter(|c| c.authenticated && c.idle.is_some()).min_by_key(|c| c.order());
        if let Some(connection) = idle {
            return Room::InsteadOf(connection.id);
        }
    }
    let mut by_peer = HashMap::from([(peer, 1_usize)]);
    for connection in unauthenticated() {
        *by_peer.entry(connection.peer).or_default() += 1;
    }
    // Among equals the address that asks for room gives it.
    let Some(largest) = by_peer.into_iter().max_by_key(|&(p, n)| (n, p == peer)).map(|(p, _)| p) else {
        return Room::Later;
    };
    // Where authenticated connections have nearly all of the room, those without the token may all
    // be of other addresses.
    let has_some = unauthenticated().any(|c| c.peer == largest);
    let of_largest = || unauthenticated().filter(|c| c.peer == largest || !has_some);
    let settled = of_largest().filter(|c| now.duration_since(c.accepted) >= GRACE).min_by_key(|c| c.order());
    let first = of_largest().min_by_key(|c| (c.accepted, c.id));
    match (settled, first) {
        (Some(connection), _) => Room::InsteadOf(connection.id),
        (None, Some(connection)) if largest != peer => Room::InsteadOf(connection.id),
        (None, Some(connection)) => Room::After(connection.accepted + GRACE),
        (None, None) => Room::Later,
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

    /// Silent since it came, `age` seconds ago.
    fn silent(id: u64, from: u8, now: Instant, age: u64) -> OpenConnection {
        let accepted = now - seconds(age);
        OpenConnection { id, peer: peer(from), accepted, authenticated: false, idle: Some(accepted) }
    }

    fn now() -> Instant {
        Instant::now() + seconds(1000)
    }

    #[test]
    fn an_address_is_a_host_or_its_network() {
        let of = |text: &str| Peer::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }

    #[test]
    fn the_one_idle_longest_makes_room_then_the_oldest_busy_one() {
        let now = now();
        let mut open = [silent(1, 1, now, 50), silent(2, 1, now, 90), silent(3, 1, now, 70)];
        assert_eq!(find(&open, peer(1), 6, 4, now), Room::Free);
        assert_eq!(find(&open, peer(1), 6, 3, now), Room::InsteadOf(2));
        open[1].idle = None;
        assert_eq!(find(&open, peer(1), 6, 3, now), Room::InsteadOf(3));
        for connection in &mut open {
            connection.idle = None;
        }
        assert_eq!(find(&open, peer(1), 6, 3, now), Room::InsteadOf(2));
    }

    #[test]
    fn a_connection_with_the_token_is_not_closed_for_one_without() {
        let now = now();
        let mut open = [silent(1, 1, now, 90), silent(2, 1, now, 60), silent(3, 1, now, 50)];
        open[0].authenticated = true;
        assert_eq!(find(&open, peer(1), 4, 2, now), Room::InsteadOf(2));
        // Only where those with the token have all of the room is an idle one of them closed, and
        // never a busy one.
        open.iter_mut().for_each(|c| c.authenticated = true);
        assert_eq!(find(&open, peer(1), 3, 2, now), Room::InsteadOf(1));
        open.iter_mut().for_each(|c| c.idle = None);
        assert_eq!(find(&open, peer(1), 3, 2, now), Room::Later);
    }

    #[test]
    fn new_connections_of_one_address_wait_for_each_other() {
        let now = now();
        let fresh = now - Duration::from_millis(300);
        let open = [1, 2].map(|id| OpenConnection { accepted: fresh, idle: Some(fresh), ..silent(id, 1, now, 0) });
        assert_eq!(find(&open, peer(1), 4, 2, now), Room::After(fresh + GRACE));
        assert_eq!(find(&open, peer(1), 4, 2, fresh + GRACE), Room::InsteadOf(1));
    }

    #[test]
    fn the_address_with_most_makes_room_for_others_at_once() {
        let now = now();
        let open = [silent(1, 1, now, 0), silent(2, 1, now, 0), silent(3, 2, now, 90)];
        assert_eq!(find(&open, peer(3), 6, 3, now), Room::InsteadOf(1));
        assert_eq!(find(&open, peer(2), 6, 3, now), Room::InsteadOf(3));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Come(u8),
        ShowToken(usize),
        Ask(usize),
        Rest(usize),
        Leave(usize),
        Wait(u16),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0_u8..3).prop_map(Step::Come),
            1 => any::<usize>().prop_map(Step::ShowToken),
            1 => any::<usize>().prop_map(Step::Ask),
            1 => any::<usize>().prop_map(Step::Rest),
            1 => any::<usize>().prop_map(Step::Leave),
            2 => (0_u16..1500).prop_map(Step::Wait),
        ]
    }

    proptest! {
        #[test]
        fn there_is_room_for_the_token_whatever_others_do(steps in prop::collection::vec(step(), 1..200)) {
            const TOTAL: usize = 6;
            const MAX_UNAUTHENTICATED: usize = 3;
            let (mut open, mut now) = (Vec::<OpenConnection>::new(), now());
            for (id, step) in steps.into_iter().enumerate() {
                let one = |n: usize, open: &mut Vec<OpenConnection>, change: &dyn Fn(&mut OpenConnection)| {
                    let count = open.len().max(1);
                    open.get_mut(n % count).into_iter().for_each(change);
                };
                match step {
                    Step::ShowToken(n) => one(n, &mut open, &|c| c.authenticated = true),
                    Step::Ask(n) => one(n, &mut open, &|c| c.idle = None),
                    Step::Rest(n) => one(n, &mut open, &|c| c.idle = Some(now)),
                    Step::Leave(n) if !open.is_empty() => drop(open.swap_remove(n % open.len())),
                    Step::Leave(_) => {}
                    Step::Wait(ms) => now += Duration::from_millis(ms.into()),
                    Step::Come(from) => {
                        match find(&open, peer(from), TOTAL, MAX_UNAUTHENTICATED, now) {
                            Room::Free => {}
                            Room::InsteadOf(left) => {
                                let at = open.iter().position(|c| c.id == left).unwrap();
                                let left = open.swap_remove(at);
                                if left.authenticated {
                                    let longest = open.iter().filter(|c| c.authenticated).filter_map(|c| c.idle).all(|i| i >= left.idle.unwrap());
                                    prop_assert!(longest && open.len() + 1 == TOTAL);
                                } else if left.peer == peer(from) {
                                    prop_assert!(now.duration_since(left.accepted) >= GRACE);
                                } else {
                                    let alone = unauthenticated_of(&open, peer(from)) == 0 && now.duration_since(left.accepted) >= GRACE;
                                    prop_assert!(alone || unauthenticated_of(&open, left.peer) > unauthenticated_of(&open, peer(from)));
                                }
                            }
                            Room::After(then) => {
                                prop_assert!(then > now && then <= now + GRACE);
                                prop_assert!(unauthenticated_of(&open, peer(from)) > 0 || open.len() == TOTAL);
                                continue;
                            }
                            Room::Later => {
                                prop_assert!(open.len() == TOTAL && open.iter().all(|c| c.authenticated && c.idle.is_none()));
                                continue;
                            }
                        }
                        open.push(OpenConnection { id: id as u64, peer: peer(from), accepted: now, authenticated: false, idle: Some(now) });
                        prop_assert!(open.len() <= TOTAL);
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
