//! Activity of one connection, and how long each state of it may last.
//!
//! Reported by those who see it: requests and bodies (`answer`), the socket (`socket`). Progress is
//! that the client takes something, not how fast: a download may take any time as long as a piece
//! of it moves within [`ConnectionLimits::send`].

use std::fmt;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use super::limits::ConnectionLimits;

/// Why a connection is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// It never sent a request.
    Silent,
    /// It sent no further request.
    Idle,
    /// It takes nothing of its answers.
    Stalled,
}

impl fmt::Display for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "no request",
            Self::Idle => "no further request",
            Self::Stalled => "its answers are not taken",
        })
    }
}

/// State of one connection. Ends with it.
pub(super) struct Activity(Mutex<State>);

impl Activity {
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(State::new(now)))
    }

    /// A request has come. `shared`: its answer shares the connection with others (HTTP/2).
    pub(super) fn asked(&self, shared: bool) {
        self.0.lock().asked(shared);
    }

    /// An answer has begun, or goes on after it had to wait for the server.
    pub(super) fn answers(&self) {
        self.0.lock().answers(Instant::now());
    }

    /// An answer that has begun has to wait for the server.
    pub(super) fn waits(&self) {
        self.0.lock().waits();
    }

    /// There is room for a further piece of an answer.
    pub(super) fn moved(&self) {
        self.0.lock().moved = Instant::now();
    }

    /// A request is done with; `begun` where its answer had begun and did not wait for the server.
    pub(super) fn done(&self, begun: bool) {
        self.0.lock().done(begun, Instant::now());
    }

    pub(super) fn socket_blocks(&self) {
        self.0.lock().socket_blocks(Instant::now());
    }

    pub(super) fn socket_takes(&self) {
        self.0.lock().socket_takes(Instant::now());
    }

    /// From here on the connection has as long as one that just came to rest.
    pub(super) fn asked_to_close(&self) {
        self.0.lock().rested = Instant::now();
    }

    /// Since when no request of it has been under way; `None` while one is.
    pub(super) fn idle(&self) -> Option<Instant> {
        self.0.lock().idle()
    }

    /// Ready when a state of the connection has lasted longer than it may.
    pub(super) async fn overdue(&self, limits: &ConnectionLimits) -> Overdue {
        loop {
            let verdict = self.0.lock().judge(limits, Instant::now());
            match verdict {
                Verdict::Overdue(overdue) => return overdue,
                Verdict::LookAgain(then) => sleep_until(then).await,
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// Requests whose answer waits for the server.
    answering: usize,
    /// Answers that wait for the client.
    sending: usize,
    /// There has been a request.
    asked: bool,
    /// Answers share the connection: what the socket takes may be anything, and is no progress of
    /// an answer.
    shared: bool,
    /// The last time that an answer moved.
    moved: Instant,
    /// The last time that there was something to do.
    rested: Instant,
    /// Since when the socket has been taking nothing of what it was given.
    blocked: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Overdue(Overdue),
    LookAgain(Instant),
}

impl State {
    fn new(now: Instant) -> Self {
        Self { answering: 0, sending: 0, asked: false, shared: false, moved: now, rested: now, blocked: None }
    }

    fn asked(&mut self, shared: bool) {
        self.answering += 1;
        self.asked = true;
        self.shared = shared;
    }

    fn answers(&mut self, now: Instant) {
        self.answering = self.answering.saturating_sub(1);
        self.sending += 1;
        self.moved = now;
    }

    fn waits(&mut self) {
        self.sending = self.sending.saturating_sub(1);
        self.answering += 1;
    }

    fn done(&mut self, begun: bool, now: Instant) {
        let open = if begun { &mut self.sending } else { &mut self.answering };
        *open = open.saturating_sub(1);
        (self.moved, self.rested) = (now, now);
    }

    fn socket_blocks(&mut self, now: Instant) {
        self.blocked.get_or_insert(now);
    }

    fn socket_takes(&mut self, now: Instant) {
        if self.blocked.take().is_some() {
            self.rested = now;
        }
        if !self.shared {
            self.moved = now;
        }
    }

    fn idle(&self) -> Option<Instant> {
        (self.answering == 0 && self.sending == 0 && self.blocked.is_none()).then_some(self.rested)
    }

    /// What begins after `now` is over no sooner than the shortest limit from `now`: to look again
    /// by then is soon enough.
    fn judge(&self, limits: &ConnectionLimits, now: Instant) -> Verdict {
        let look_again = now + limits.first_request.min(limits.idle).min(limits.send);
        let (end, overdue) = match (self.blocked, self.idle()) {
            (Some(since), _) => (since + limits.send, Overdue::Stalled),
            (None, Some(since)) if self.asked => (since + limits.idle, Overdue::Idle),
            (None, Some(since)) => (since + limits.first_request, Overdue::Silent),
            (None, None) if self.answering > 0 => return Verdict::LookAgain(look_again),
            (None, None) => (self.moved + limits.send, Overdue::Stalled),
        };
        if end <= now { Verdict::Overdue(overdue) } else { Verdict::LookAgain(end.min(look_again)) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: ConnectionLimits = ConnectionLimits {
        connections: 2,
        first_request: Duration::from_secs(30),
        idle: Duration::from_secs(75),
        send: Duration::from_secs(60),
    };

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn overdue(state: &State, now: Instant) -> Option<Overdue> {
        match state.judge(&LIMITS, now) {
            Verdict::Overdue(overdue) => Some(overdue),
            Verdict::LookAgain(then) => {
                assert!(then > now);
                None
            }
        }
    }

    /// That it is not yet overdue a second before `end`, and is then.
    #[track_caller]
    fn assert_ends(state: &State, end: Instant, why: Overdue) {
        assert_eq!(overdue(state, end - seconds(1)), None);
        assert_eq!(overdue(state, end), Some(why));
    }

    #[test]
    fn a_first_request_has_its_time_and_a_further_one_its_own() {
        let begun = Instant::now();
        let mut state = State::new(begun);
        assert_ends(&state, begun + seconds(30), Overdue::Silent);
        state.asked(false);
        assert_eq!(overdue(&state, begun + seconds(1000)), None, "an answer takes as long as it takes");
        state.answers(begun + seconds(1000));
        state.done(true, begun + seconds(1001));
        assert_ends(&state, begun + seconds(1076), Overdue::Idle);
    }

    #[test]
    fn an_answer_that_moves_is_never_overdue() {
        for shared in [false, true] {
            let mut now = Instant::now();
            let mut state = State::new(now);
            state.asked(shared);
            state.answers(now);
            for _ in 0..100 {
                now += seconds(59);
                assert_eq!(overdue(&state, now), None);
                state.moved = now;
            }
            assert_ends(&state, now + seconds(60), Overdue::Stalled);
        }
    }

    #[test]
    fn what_the_socket_takes_moves_the_only_answer_but_none_of_several() {
        let begun = Instant::now();
        let later = begun + seconds(59);
        for (shared, end) in [(false, later + seconds(60)), (true, begun + seconds(60))] {
            let mut state = State::new(begun);
            state.asked(shared);
            state.answers(begun);
            // Of HTTP/2 it may be the answer to a ping.
            state.socket_takes(later);
            assert_ends(&state, end, Overdue::Stalled);
        }
    }

    #[test]
    fn a_socket_that_takes_nothing_is_overdue_whatever_else_happens() {
        let begun = Instant::now();
        let mut state = State::new(begun);
        state.asked(false);
        state.answers(begun);
        state.done(true, begun);
        state.socket_blocks(begun + seconds(1));
        state.socket_blocks(begun + seconds(40));
        state.asked(false);
        assert_ends(&state, begun + seconds(61), Overdue::Stalled);
        state.done(false, begun + seconds(50));
        state.socket_takes(begun + seconds(60));
        assert_ends(&state, begun + seconds(60 + 75), Overdue::Idle);
    }

    #[test]
    fn while_one_answer_waits_for_us_the_client_is_not_blamed_for_the_others() {
        let begun = Instant::now();
        let mut state = State::new(begun);
        state.asked(true);
        state.asked(true);
        state.answers(begun);
        assert_eq!(overdue(&state, begun + seconds(1000)), None);
        state.done(false, begun + seconds(1000));
        assert_ends(&state, begun + seconds(1060), Overdue::Stalled);
        state.waits();
        assert_eq!(overdue(&state, begun + seconds(9000)), None, "its body has nothing to give yet");
    }
}
