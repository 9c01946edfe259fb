//! Admission policy: who is let in, and who makes room for whom. No I/O, no clock: the pool asks
//! for each new connection.
//!
//! Before its first request nothing tells a connection of a client with the token from one of an
//! attacker, and the address does not either: everybody may come from one, that of a reverse proxy
//! or of this machine. So a newcomer is never refused for its address, and none waits for another
//! to leave of itself:
//!
//! * Connections that have shown the token are not counted with those that have not. Newcomers may
//!   take half of the room; the other half is out of their reach, however many they are.
//! * Where newcomers have no room left, the one that has been idle longest makes room, then the one
//!   that came first. A client with the token shows it in its first packets and is among the
//!   newest; whoever is silent grows old.
//! * The address that crowds most makes room first (of IPv6 the network of 64 bits, which one host
//!   has all of). An attacker at one address so takes room from nobody at another.
//! * A newcomer has [`GRACE`] to send its first request, in which others from its own address wait
//!   rather than drive it out: many clients may come at once. They wait in the kernel's queue,
//!   without a thread.
//!
//! What an attacker can still do: send so many new connections that all room is taken anew within
//! [`GRACE`]. Then newcomers wait for their turn, and clients that keep their connection notice
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

/// A connection that is open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guest {
    pub id: u64,
    pub peer: Peer,
    pub accepted: Instant,
    /// One of its requests had the token.
    pub authenticated: bool,
    /// Since when it has been asking for nothing; `None` while a request of it is answered.
    pub idle: Option<Instant>,
}

impl Guest {
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

/// For one more from `peer`, where there is room for `total` connections and for `newcomers`
/// without the token.
pub(super) fn find(guests: &[Guest], peer: Peer, total: usize, newcomers: usize, now: Instant) -> Room {
    let strangers = || guests.iter().filter(|g| !g.authenticated);
    if strangers().count() < newcomers {
        if guests.len() < total {
            return Room::Free;
        }
        let idle = guests.iter().filter(|g| g.authenticated && g.idle.is_some()).min_by_key(|g| g.order());
        if let Some(guest) = idle {
            return Room::InsteadOf(guest.id);
        }
    }
    let mut by_peer = HashMap::from([(peer, 1_usize)]);
    for guest in strangers() {
        *by_peer.entry(guest.peer).or_default() += 1;
    }
    // Among equals the one that wants more room gives it.
    let Some(crowd) = by_peer.into_iter().max_by_key(|&(p, n)| (n, p == peer)).map(|(p, _)| p) else {
        return Room::Later;
    };
    // Where those with the token have nearly everything, one who has nothing yet may find only
    // strangers from elsewhere.
    let has_some = strangers().any(|g| g.peer == crowd);
    let crowding = || strangers().filter(|g| g.peer == crowd || !has_some);
    let settled = crowding().filter(|g| now.duration_since(g.accepted) >= GRACE).min_by_key(|g| g.order());
    let first = crowding().min_by_key(|g| (g.accepted, g.id));
    match (settled, first) {
        (Some(guest), _) => Room::InsteadOf(guest.id),
        (None, Some(guest)) if crowd != peer => Room::InsteadOf(guest.id),
        (None, Some(guest)) => Room::After(guest.accepted + GRACE),
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
    fn silent(id: u64, from: u8, now: Instant, age: u64) -> Guest {
        let accepted = now - seconds(age);
        Guest { id, peer: peer(from), accepted, authenticated: false, idle: Some(accepted) }
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
        let mut guests = [silent(1, 1, now, 50), silent(2, 1, now, 90), silent(3, 1, now, 70)];
        assert_eq!(find(&guests, peer(1), 6, 4, now), Room::Free);
        assert_eq!(find(&guests, peer(1), 6, 3, now), Room::InsteadOf(2));
        guests[1].idle = None;
        assert_eq!(find(&guests, peer(1), 6, 3, now), Room::InsteadOf(3));
        for guest in &mut guests {
            guest.idle = None;
        }
        assert_eq!(find(&guests, peer(1), 6, 3, now), Room::InsteadOf(2));
    }

    #[test]
    fn whoever_has_the_token_gives_way_to_no_stranger_that_has_none() {
        let now = now();
        let mut guests = [silent(1, 1, now, 90), silent(2, 1, now, 60), silent(3, 1, now, 50)];
        guests[0].authenticated = true;
        assert_eq!(find(&guests, peer(1), 4, 2, now), Room::InsteadOf(2));
        // Only where those with the token have everything does an idle one of them leave; a busy
        // one never does.
        guests.iter_mut().for_each(|g| g.authenticated = true);
        assert_eq!(find(&guests, peer(1), 3, 2, now), Room::InsteadOf(1));
        guests.iter_mut().for_each(|g| g.idle = None);
        assert_eq!(find(&guests, peer(1), 3, 2, now), Room::Later);
    }

    #[test]
    fn newcomers_from_one_address_wait_for_each_other_to_speak() {
        let now = now();
        let fresh = now - Duration::from_millis(300);
        let guests = [1, 2].map(|id| Guest { accepted: fresh, idle: Some(fresh), ..silent(id, 1, now, 0) });
        assert_eq!(find(&guests, peer(1), 4, 2, now), Room::After(fresh + GRACE));
        assert_eq!(find(&guests, peer(1), 4, 2, fresh + GRACE), Room::InsteadOf(1));
    }

    #[test]
    fn the_address_that_crowds_makes_room_for_others_at_once() {
        let now = now();
        let guests = [silent(1, 1, now, 0), silent(2, 1, now, 0), silent(3, 2, now, 90)];
        assert_eq!(find(&guests, peer(3), 6, 3, now), Room::InsteadOf(1));
        assert_eq!(find(&guests, peer(2), 6, 3, now), Room::InsteadOf(3));
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
        fn there_is_room_for_the_token_whatever_strangers_do(steps in prop::collection::vec(step(), 1..200)) {
            const TOTAL: usize = 6;
            const NEWCOMERS: usize = 3;
            let (mut guests, mut now) = (Vec::<Guest>::new(), now());
            for (id, step) in steps.into_iter().enumerate() {
                let one = |n: usize, guests: &mut Vec<Guest>, change: &dyn Fn(&mut Guest)| {
                    let count = guests.len().max(1);
                    guests.get_mut(n % count).into_iter().for_each(change);
                };
                match step {
                    Step::ShowToken(n) => one(n, &mut guests, &|g| g.authenticated = true),
                    Step::Ask(n) => one(n, &mut guests, &|g| g.idle = None),
                    Step::Rest(n) => one(n, &mut guests, &|g| g.idle = Some(now)),
                    Step::Leave(n) if !guests.is_empty() => drop(guests.swap_remove(n % guests.len())),
                    Step::Leave(_) => {}
                    Step::Wait(ms) => now += Duration::from_millis(ms.into()),
                    Step::Come(from) => {
                        match find(&guests, peer(from), TOTAL, NEWCOMERS, now) {
                            Room::Free => {}
                            Room::InsteadOf(left) => {
                                let at = guests.iter().position(|g| g.id == left).unwrap();
                                let left = guests.swap_remove(at);
                                if left.authenticated {
                                    let longest = guests.iter().filter(|g| g.authenticated).filter_map(|g| g.idle).all(|i| i >= left.idle.unwrap());
                                    prop_assert!(longest && guests.len() + 1 == TOTAL);
                                } else if left.peer == peer(from) {
                                    prop_assert!(now.duration_since(left.accepted) >= GRACE);
                                } else {
                                    let alone = newcomers(&guests, peer(from)) == 0 && now.duration_since(left.accepted) >= GRACE;
                                    prop_assert!(alone || newcomers(&guests, left.peer) > newcomers(&guests, peer(from)));
                                }
                            }
                            Room::After(then) => {
                                prop_assert!(then > now && then <= now + GRACE);
                                prop_assert!(newcomers(&guests, peer(from)) > 0 || guests.len() == TOTAL);
                                continue;
                            }
                            Room::Later => {
                                prop_assert!(guests.len() == TOTAL && guests.iter().all(|g| g.authenticated && g.idle.is_none()));
                                continue;
                            }
                        }
                        guests.push(Guest { id: id as u64, peer: peer(from), accepted: now, authenticated: false, idle: Some(now) });
                        prop_assert!(guests.len() <= TOTAL);
                        prop_assert!(guests.iter().filter(|g| !g.authenticated).count() <= NEWCOMERS);
                    }
                }
            }
        }
    }

    fn newcomers(guests: &[Guest], of: Peer) -> usize {
        guests.iter().filter(|g| !g.authenticated && g.peer == of).count()
    }
}
