//! Lock-out of addresses that guess tokens.
//!
//! Counts the different wrong credentials of an address: a client that repeats one wrong token is
//! misconfigured and guesses nothing. An address that is locked out is refused before its
//! credentials are checked, right or wrong, so it learns nothing meanwhile. Constant memory: at
//! most [`MAX_ADDRESSES`].

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use ocellus_core::Timestamp;
use parking_lot::Mutex;

use super::address::ClientAddress;
use crate::serve::Peer;

/// Different wrong credentials within [`PERIOD`] that lock an address out.
const MAX_GUESSES: usize = 10;
/// Window in which wrong credentials count, from the first ones on; also how long a lock-out lasts.
const PERIOD: Duration = Duration::from_secs(600);
const MAX_ADDRESSES: usize = 4096;

#[derive(Default)]
pub(crate) struct Guesses {
    /// Hashes credentials, which are not stored themselves.
    hasher: RandomState,
    addresses: Mutex<HashMap<Peer, Guesser>>,
}

struct Guesser {
    wrong: HashSet<u64>,
    /// When this is forgotten: the end of the period, or of the lock-out.
    until: Timestamp,
}

impl Guesser {
    fn is_locked(&self) -> bool {
        self.wrong.len() >= MAX_GUESSES
    }
}

impl Guesses {
    /// For how many seconds an address is locked out; `None` where it is not.
    pub(crate) fn locked_for(&self, address: ClientAddress, now: Timestamp) -> Option<u64> {
        let addresses = self.addresses.lock();
        let guesser = addresses.get(&Peer::from(address.0)).filter(|guesser| guesser.is_locked())?;
        let left = Duration::try_from(guesser.until.duration_since(now)).ok().filter(|left| !left.is_zero())?;
        Some(left.as_secs().max(1))
    }

    /// Counts wrong credentials.
    pub(crate) fn count(&self, address: ClientAddress, credentials: &[u8], now: Timestamp) {
        let hash = self.hasher.hash_one(credentials);
        let until = now.checked_add(PERIOD).unwrap_or(Timestamp::MAX);
        let mut addresses = self.addresses.lock();
        let peer = Peer::from(address.0);
        if addresses.get(&peer).is_some_and(|guesser| guesser.until <= now) {
            addresses.remove(&peer);
        }
        if addresses.len() >= MAX_ADDRESSES && !addresses.contains_key(&peer) {
            addresses.retain(|_, guesser| guesser.until > now);
            // An attacker with more addresses than this can push entries out.
            let first = addresses.iter().min_by_key(|(_, guesser)| guesser.until).map(|(peer, _)| *peer);
            if addresses.len() >= MAX_ADDRESSES
                && let Some(first) = first
            {
                addresses.remove(&first);
            }
        }
        let guesser = addresses.entry(peer).or_insert_with(|| Guesser { wrong: HashSet::new(), until });
        if guesser.is_locked() {
            return;
        }
        guesser.wrong.insert(hash);
        if guesser.is_locked() {
            guesser.until = until;
            drop(addresses);
            let (address, minutes) = (address.0, PERIOD.as_secs() / 60);
            tracing::warn!(%address, "{address} sent {MAX_GUESSES} wrong tokens and is locked out for {minutes} minutes");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> ClientAddress {
        ClientAddress([10, 0, 0, n].into())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn different_wrong_credentials_lock_their_address_out_for_a_while() {
        let guesses = Guesses::default();
        for n in 0..9_u8 {
            guesses.count(address(1), &[n], at(0));
            assert_eq!(guesses.locked_for(address(1), at(0)), None);
        }
        guesses.count(address(1), b"tenth", at(500));
        assert_eq!(guesses.locked_for(address(1), at(500)), Some(600));
        assert_eq!(guesses.locked_for(address(2), at(500)), None);
        guesses.count(address(1), b"eleventh", at(800));
        assert_eq!(guesses.locked_for(address(1), at(1099)), Some(1), "more guesses do not prolong it");
        assert_eq!(guesses.locked_for(address(1), at(1100)), None);
        guesses.count(address(1), b"tenth", at(1100));
        assert_eq!(guesses.locked_for(address(1), at(1100)), None, "counting starts over");
    }

    #[test]
    fn the_same_wrong_token_is_no_guess_and_old_ones_are_forgotten() {
        let guesses = Guesses::default();
        for n in 0..1000 {
            guesses.count(address(1), b"nope", at(n));
        }
        for n in 0..20_u8 {
            guesses.count(address(2), &[n], at(i64::from(n) * 100));
        }
        assert_eq!(guesses.locked_for(address(1), at(1000)), None);
        assert_eq!(guesses.locked_for(address(2), at(1900)), None);
    }

    #[test]
    fn memory_is_bounded() {
        let guesses = Guesses::default();
        for n in 0..2 * MAX_ADDRESSES as u32 {
            guesses.count(ClientAddress(std::net::Ipv4Addr::from_bits(n).into()), b"nope", at(0));
        }
        assert_eq!(guesses.addresses.lock().len(), MAX_ADDRESSES);
    }
}
