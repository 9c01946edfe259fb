//! Queue of one destination, and whether it answers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use ocellus_core::{JobId, ObjectId};

use super::super::wait::{backoff, until};

/// The most posts in flight to one destination that answers.
pub(super) const AT_ONCE: usize = 4;
/// The longest pause of a destination without an answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Attempts without an answer after which a destination is down: a single one is often a broken
/// connection.
const DOWN_AFTER: u32 = 2;
/// Time for which an idle destination counts as answering after its last answer.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Scheme, host and port of a router.
pub(crate) type Destination = Arc<str>;

/// What an attempt shows of its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contact {
    /// The request never left.
    None,
    Unanswered,
    Answered,
    /// It asks to be paused until then.
    Busy(Timestamp),
}

/// Queue of a destination.
#[derive(Default)]
pub(super) struct DestinationQueue {
    pub(super) due: BTreeMap<(Timestamp, JobId, u32), ObjectId>,
    pub(super) in_flight: usize,
    pub(super) standing: Standing,
    /// When it answered last.
    pub(super) answered: Option<Timestamp>,
    pub(super) paused_until: Option<Timestamp>,
    /// The number of its last attempt.
    pub(super) turn: u64,
}

/// Whether a destination answers.
#[derive(Clone, Copy, Default)]
pub(super) enum Standing {
    #[default]
    Unknown,
    Answering,
    Silent {
        since: Timestamp,
        /// Attempts without an answer since the last answer.
        attempts: u32,
    },
}

/// Change of a destination's standing.
pub(super) enum News {
    Down,
    Back { away: Duration },
}

impl DestinationQueue {
    /// When the next attempt may begin; `None` if nothing waits, or the most attempts are in
    /// flight.
    pub(super) fn next_start(&self) -> Option<Timestamp> {
        let at_once = if matches!(self.standing, Standing::Answering) { AT_ONCE } else { 1 };
        let (&(due, ..), _) = self.due.first_key_value().filter(|_| self.in_flight < at_once)?;
        Some(self.paused_until.map_or(due, |pause| pause.max(due)))
    }

    /// Updates the standing by a contact of an attempt that began at `begun`.
    pub(super) fn hear(&mut self, contact: Contact, begun: Timestamp, now: Timestamp) -> Option<News> {
        let before = self.standing;
        match contact {
            Contact::None => return None,
            // It answered another attempt meanwhile: only this one request takes long.
            Contact::Unanswered if self.answered.is_some_and(|answered| answered > begun) => return None,
            Contact::Unanswered => {
                let (since, attempts) = match before {
                    Standing::Silent { since, attempts } => (since, attempts.saturating_add(1)),
                    Standing::Unknown | Standing::Answering => (now, 1),
                };
                self.standing = Standing::Silent { since, attempts };
                self.pause(backoff(now, attempts, LONGEST_PAUSE));
                return (attempts == DOWN_AFTER).then_some(News::Down);
            }
            // A pause that it asked for itself stays.
            Contact::Answered if matches!(before, Standing::Silent { .. }) => self.paused_until = None,
            Contact::Answered => {}
            Contact::Busy(until) => self.pause(until),
        }
        (self.standing, self.answered) = (Standing::Answering, Some(now));
        match before {
            Standing::Silent { since, attempts } if attempts >= DOWN_AFTER => {
                Some(News::Back { away: until(since, now) })
            }
            _ => None,
        }
    }

    pub(super) fn pause(&mut self, until: Timestamp) {
        self.paused_until = self.paused_until.max(Some(until));
    }

    pub(super) fn can_be_forgotten(&self, now: Timestamp) -> bool {
        let known = matches!(self.standing, Standing::Answering)
            && self.answered.is_some_and(|answered| until(answered, now) < REMEMBERED);
        self.due.is_empty() && self.in_flight == 0 && self.paused_until.is_none_or(|pause| pause <= now) && !known
    }
}
