//! Queue of one destination, and its health: whether it responds.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use ocellus_core::{JobId, ObjectId};

use super::super::wait::{backoff, until};

/// Greatest number of posts in flight to one destination that responds.
pub(super) const MAX_IN_FLIGHT: usize = 4;
/// Greatest pause of a destination that does not respond.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// Attempts without a response after which a destination is down: a single one is often a broken
/// connection.
const DOWN_AFTER: u32 = 2;
/// Time for which an idle destination counts as responding after its last response.
const HEALTH_TTL: Duration = Duration::from_secs(600);

/// Scheme, host and port of a router.
pub(crate) type Destination = Arc<str>;

/// Signal of an attempt about the health of its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HealthSignal {
    /// None: no request was sent.
    NotSent,
    NoResponse,
    Responded,
    /// It requests a pause until this time.
    Busy(Timestamp),
}

/// Queue of a destination.
#[derive(Default)]
pub(super) struct DestinationQueue {
    pub(super) due: BTreeMap<(Timestamp, JobId, u32), ObjectId>,
    pub(super) in_flight: usize,
    pub(super) health: Health,
    /// When it last responded.
    pub(super) last_response: Option<Timestamp>,
    pub(super) paused_until: Option<Timestamp>,
    /// Number of its last attempt: the destination with the smallest is the next to be tried.
    pub(super) last_attempt: u64,
}

/// Whether a destination responds.
#[derive(Clone, Copy, Default)]
pub(super) enum Health {
    #[default]
    Unknown,
    Responding,
    Unresponsive {
        since: Timestamp,
        /// Attempts without a response since the last response.
        attempts: u32,
    },
}

/// Change of a destination's health that is logged.
pub(super) enum HealthChange {
    Down,
    Recovered { downtime: Duration },
}

impl DestinationQueue {
    /// When the next attempt may begin; `None` if nothing waits, or the limit of attempts in flight
    /// is reached.
    pub(super) fn next_start(&self) -> Option<Timestamp> {
        let max_in_flight = if matches!(self.health, Health::Responding) { MAX_IN_FLIGHT } else { 1 };
        let (&(due, ..), _) = self.due.first_key_value().filter(|_| self.in_flight < max_in_flight)?;
        Some(self.paused_until.map_or(due, |pause| pause.max(due)))
    }

    /// Updates the health by the signal of an attempt that began at `begun`.
    pub(super) fn record(&mut self, signal: HealthSignal, begun: Timestamp, now: Timestamp) -> Option<HealthChange> {
        let before = self.health;
        match signal {
            HealthSignal::NotSent => return None,
            // It responded to another attempt meanwhile: only this request takes long.
            HealthSignal::NoResponse if self.last_response.is_some_and(|last| last > begun) => return None,
            HealthSignal::NoResponse => {
                let (since, attempts) = match before {
                    Health::Unresponsive { since, attempts } => (since, attempts.saturating_add(1)),
                    Health::Unknown | Health::Responding => (now, 1),
                };
                self.health = Health::Unresponsive { since, attempts };
                self.pause(backoff(now, attempts, MAX_PAUSE));
                return (attempts == DOWN_AFTER).then_some(HealthChange::Down);
            }
            // A pause that the destination requested stays.
            HealthSignal::Responded if matches!(before, Health::Unresponsive { .. }) => self.paused_until = None,
            HealthSignal::Responded => {}
            HealthSignal::Busy(until) => self.pause(until),
        }
        (self.health, self.last_response) = (Health::Responding, Some(now));
        match before {
            Health::Unresponsive { since, attempts } if attempts >= DOWN_AFTER => {
                Some(HealthChange::Recovered { downtime: until(since, now) })
            }
            _ => None,
        }
    }

    pub(super) fn pause(&mut self, until: Timestamp) {
        self.paused_until = self.paused_until.max(Some(until));
    }

    pub(super) fn can_be_forgotten(&self, now: Timestamp) -> bool {
        let responding = matches!(self.health, Health::Responding)
            && self.last_response.is_some_and(|last| until(last, now) < HEALTH_TTL);
        self.due.is_empty() && self.in_flight == 0 && self.paused_until.is_none_or(|pause| pause <= now) && !responding
    }
}
