//! A value that several clients write at the same time, of which some are never told whether they
//! did.

/// The values that a register may have now, by what clients were told.
///
/// A write is acknowledged, refused, or in doubt. It can no longer be the last one as soon as
/// another was acknowledged that began after it had ended. One in doubt may take effect at any
/// time, until [`settle`](Self::settle) says what there was.
#[derive(Clone, Debug)]
pub(super) struct Register<T> {
    writes: Vec<Write<T>>,
    /// Counts beginnings and ends, so that they can be ordered.
    now: u64,
}

#[derive(Clone, Debug)]
struct Write<T> {
    value: T,
    begun: u64,
    /// `None` while it is under way, or in doubt.
    ended: Option<u64>,
}

/// Names a write that began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket(u64);

impl<T: PartialEq> Register<T> {
    pub(super) fn new(value: T) -> Self {
        Self { writes: vec![Write { value, begun: 0, ended: Some(0) }], now: 0 }
    }

    pub(super) fn begin(&mut self, value: T) -> Ticket {
        self.now += 1;
        self.writes.push(Write { value, begun: self.now, ended: None });
        Ticket(self.now)
    }

    pub(super) fn acknowledge(&mut self, Ticket(begun): Ticket) {
        self.now += 1;
        // Settled meanwhile: then it is known already what came of it.
        let Some(write) = self.writes.iter_mut().find(|write| write.begun == begun) else { return };
        write.ended = Some(self.now);
        self.writes.retain(|write| write.ended.is_none_or(|ended| ended >= begun));
    }

    /// It had no effect.
    pub(super) fn refuse(&mut self, Ticket(begun): Ticket) {
        self.writes.retain(|write| write.begun != begun);
    }

    /// What there is, when nothing is under way any more.
    pub(super) fn settle(&mut self, value: T) {
        self.now += 1;
        self.writes = vec![Write { value, begun: self.now, ended: Some(self.now) }];
    }

    pub(super) fn possible(&self) -> impl Iterator<Item = &T> {
        self.writes.iter().map(|write| &write.value)
    }

    pub(super) fn may_be(&self, value: &T) -> bool {
        self.possible().any(|possible| possible == value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn possible(register: &Register<u8>) -> Vec<u8> {
        let mut values: Vec<u8> = register.possible().copied().collect();
        values.sort_unstable();
        values
    }

    #[test]
    fn a_write_that_was_acknowledged_supersedes_what_ended_before_it_began() {
        let mut register = Register::new(0);
        let one = register.begin(1);
        assert_eq!(possible(&register), [0, 1], "under way");
        register.acknowledge(one);
        assert_eq!(possible(&register), [1]);
    }

    #[test]
    fn of_two_at_the_same_time_either_may_be_the_last() {
        let mut register = Register::new(0);
        let (one, two) = (register.begin(1), register.begin(2));
        register.acknowledge(two);
        register.acknowledge(one);
        assert_eq!(possible(&register), [1, 2]);
        let three = register.begin(3);
        register.acknowledge(three);
        assert_eq!(possible(&register), [3]);
    }

    #[test]
    fn one_in_doubt_stays_possible_until_it_is_settled() {
        let mut register = Register::new(0);
        let doubtful = register.begin(1);
        let two = register.begin(2);
        register.acknowledge(two);
        assert_eq!(possible(&register), [1, 2]);
        assert!(register.may_be(&1) && !register.may_be(&0));
        register.settle(2);
        assert_eq!(possible(&register), [2]);
        register.acknowledge(doubtful);
        assert_eq!(possible(&register), [2], "an answer that was overtaken");
    }

    #[test]
    fn one_that_was_refused_never_was() {
        let mut register = Register::new(0);
        let one = register.begin(1);
        register.refuse(one);
        assert_eq!(possible(&register), [0]);
    }
}
