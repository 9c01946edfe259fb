//! Activity of one connection, and how long each state of it may last.
//!
//! Fed by `exchange` (requests and bodies) and `socket` (writes). Progress is that the client reads
//! something, not how fast: a download may take any time as long as a chunk of it is sent within
//! [`ConnectionLimits::send`].

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
    /// It reads nothing of its responses.
    Stalled,
}

impl fmt::Display for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "no request",
            Self::Idle => "no further request",
            Self::Stalled => "the client does not read its responses",
        })
    }
}

/// State of one connection. Ends with it.
pub(super) struct Activity(Mutex<State>);

impl Activity {
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(State::new(now)))
    }

    /// A request has arrived. `shared`: its response shares the connection with others (HTTP/2).
    pub(super) fn request_arrived(&self, shared: bool) {
        self.0.lock().request_arrived(shared);
    }

    /// A response waits for the client now: it has begun, or the server has produced more of it.
    pub(super) fn waits_for_client(&self) {
        self.0.lock().waits_for_client(Instant::now());
    }

    /// A response that has begun waits for the server to produce more of it.
    pub(super) fn waits_for_server(&self) {
        self.0.lock().waits_for_server();
    }

    /// The client has read enough of a response for a further chunk to be sent.
    pub(super) fn progressed(&self) {
        self.0.lock().last_progress = Instant::now();
    }

    /// A request has ended; `sending` where its response was waiting for the client.
    pub(super) fn done(&self, sending: bool) {
        self.0.lock().done(sending, Instant::now());
    }

    pub(super) fn socket_blocked(&self) {
        self.0.lock().socket_blocked(Instant::now());
    }

    pub(super) fn socket_writable(&self) {
        self.0.lock().socket_writable(Instant::now());
    }

    /// The idle time counts from now on.
    pub(super) fn asked_to_close(&self) {
        self.0.lock().last_active = Instant::now();
    }

    /// Since when the connection has had no request in progress; `None` while it has one.
    pub(super) fn idle(&self) -> Option<Instant> {
        self.0.lock().idle()
    }

    /// Completes when a state of the connection has lasted longer than its limit.
    pub(super) async fn overdue(&self, limits: &ConnectionLimits) -> Overdue {
        loop {
            let verdict = self.0.lock().judge(limits, Instant::now());
            match verdict {
                Verdict::Overdue(overdue) => return overdue,
                Verdict::CheckAgain(then) => sleep_until(then).await,
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// Requests whose response waits for the server.
    processing: usize,
    /// Responses that wait for the client.
    sending: usize,
    /// Whether there has been a request.
    had_request: bool,
    /// Whether responses share the connection: then bytes that the socket accepts may belong to
    /// anything, and are not the progress of a certain response.
    shared: bool,
    /// When the client last read something of a response.
    last_progress: Instant,
    /// When the connection last had something to do.
    last_active: Instant,
    /// Since when writes to the socket have blocked.
    blocked: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Overdue(Overdue),
    CheckAgain(Instant),
}

impl State {
    fn new(now: Instant) -> Self {
        Self {
            processing: 0,
            sending: 0,
            had_request: false,
            shared: false,
            last_progress: now,
            last_active: now,
            blocked: None,
        }
    }

    fn request_arrived(&mut self, shared: bool) {
        self.processing += 1;
        self.had_request = true;
        self.shared = shared;
    }

    fn waits_for_client(&mut self, now: Instant) {
        self.processing = self.processing.saturating_sub(1);
        self.sending += 1;
        self.last_progress = now;
    }

    fn waits_for_server(&mut self) {
        self.sending = self.sending.saturating_sub(1);
        self.processing += 1;
    }

    fn done(&mut self, sending: bool, now: Instant) {
        let open = if sending { &mut self.sending } else { &mut self.processing };
        *open = open.saturating_sub(1);
        (self.last_progress, self.last_active) = (now, now);
    }

    fn socket_blocked(&mut self, now: Instant) {
        self.blocked.get_or_insert(now);
    }

    fn socket_writable(&mut self, now: Instant) {
        if self.blocked.take().is_some() {
            self.last_active = now;
        }
        if !self.shared {
            self.last_progress = now;
        }
    }

    fn idle(&self) -> Option<Instant> {
        (self.processing == 0 && self.sending == 0 && self.blocked.is_none()).then_some(self.last_active)
    }

    /// A state that begins after `now` lasts at least the shortest limit, so checking again after
    /// that time misses none.
    fn judge(&self, limits: &ConnectionLimits, now: Instant) -> Verdict {
        let check_again = now + limits.first_request.min(limits.idle).min(limits.send);
        let (end, overdue) = match (self.blocked, self.idle()) {
            (Some(since), _) => (since + limits.send, Overdue::Stalled),
            (None, Some(since)) if self.had_request => (since + limits.idle, Overdue::Idle),
            (None, Some(since)) => (since + limits.first_request, Overdue::Silent),
            (None, None) if self.processing > 0 => return Verdict::CheckAgain(check_again),
            (None, None) => (self.last_progress + limits.send, Overdue::Stalled),
        };
        if end <= now { Verdict::Overdue(overdue) } else { Verdict::CheckAgain(end.min(check_again)) }
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
            Verdict::CheckAgain(then) => {
                assert!(then > now);
                None
            }
        }
    }

    /// Asserts that the connection is overdue at `end`, and not a second before.
    #[track_caller]
    fn assert_ends(state: &State, end: Instant, why: Overdue) {
        assert_eq!(overdue(state, end - seconds(1)), None);
        assert_eq!(overdue(state, end), Some(why));
    }

    #[test]
    fn the_first_request_and_further_ones_have_limits_of_their_own() {
        let begun = Instant::now();
        let mut state = State::new(begun);
        assert_ends(&state, begun + seconds(30), Overdue::Silent);
        state.request_arrived(false);
        assert_eq!(overdue(&state, begun + seconds(1000)), None, "the time of processing is not limited");
        state.waits_for_client(begun + seconds(1000));
        state.done(true, begun + seconds(1001));
        assert_ends(&state, begun + seconds(1076), Overdue::Idle);
    }

    #[test]
    fn a_response_that_makes_progress_is_never_overdue() {
        for shared in [false, true] {
            let mut now = Instant::now();
            let mut state = State::new(now);
            state.request_arrived(shared);
            state.waits_for_client(now);
            for _ in 0..100 {
                now += seconds(59);
                assert_eq!(overdue(&state, now), None);
                state.last_progress = now;
            }
            assert_ends(&state, now + seconds(60), Overdue::Stalled);
        }
    }

    #[test]
    fn socket_writes_are_progress_over_http_1_only() {
        let begun = Instant::now();
        let later = begun + seconds(59);
        for (shared, end) in [(false, later + seconds(60)), (true, begun + seconds(60))] {
            let mut state = State::new(begun);
            state.request_arrived(shared);
            state.waits_for_client(begun);
            // Over HTTP/2 it may be the reply to a ping.
            state.socket_writable(later);
            assert_ends(&state, end, Overdue::Stalled);
        }
    }

    #[test]
    fn a_blocked_socket_is_overdue_whatever_else_happens() {
        let begun = Instant::now();
        let mut state = State::new(begun);
        state.request_arrived(false);
        state.waits_for_client(begun);
        state.done(true, begun);
        state.socket_blocked(begun + seconds(1));
        state.socket_blocked(begun + seconds(40));
        state.request_arrived(false);
        assert_ends(&state, begun + seconds(61), Overdue::Stalled);
        state.done(false, begun + seconds(50));
        state.socket_writable(begun + seconds(60));
        assert_ends(&state, begun + seconds(60 + 75), Overdue::Idle);
    }

    #[test]
    fn while_one_response_waits_for_the_server_the_others_do_not_stall() {
        let begun = Instant::now();
        let mut state = State::new(begun);
        state.request_arrived(true);
        state.request_arrived(true);
        state.waits_for_client(begun);
        assert_eq!(overdue(&state, begun + seconds(1000)), None);
        state.done(false, begun + seconds(1000));
        assert_ends(&state, begun + seconds(1060), Overdue::Stalled);
        state.waits_for_server();
        assert_eq!(overdue(&state, begun + seconds(9000)), None, "the server has not produced its body yet");
    }
}
