//! Possible values of a register that several clients write concurrently, some without an
//! acknowledgement.

/// The values that a register may have now, by the responses that clients got.
///
/// A write is acknowledged, refused, or in doubt. It is superseded once another write is
/// acknowledged that began after its end. A write in doubt may take effect at any time, until
/// [`settle`](Self::settle) gives the observed value.
#[derive(Clone, Debug)]
pub(super) struct Register<T> {
    writes: Vec<Write<T>>,
    /// Logical clock: orders the beginnings and ends of writes.
    now: u64,
}

#[derive(Clone, Debug)]
struct Write<T> {
    value: T,
    begun: u64,
    /// `None` while it is in progress or in doubt.
    ended: Option<u64>,
}

/// Identifies a write by the time at which it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WriteId(u64);

impl<T: PartialEq> Register<T> {
    pub(super) fn new(value: T) -> Self {
        Self { writes: vec![Write { value, begun: 0, ended: Some(0) }], now: 0 }
    }

    pub(super) fn begin(&mut self, value: T) -> WriteId {
        self.now += 1;
        self.writes.push(Write { value, begun: self.now, ended: None });
        WriteId(self.now)
    }

    pub(super) fn acknowledge(&mut self, WriteId(begun): WriteId) {
        self.now += 1;
        // Settled meanwhile: the outcome is known already.
        let Some(write) = self.writes.iter_mut().find(|write| write.begun == begun) else { return };
        write.ended = Some(self.now);
        self.writes.retain(|write| write.ended.is_none_or(|ended| ended >= begun));
    }

    /// Removes a write that had no effect.
    pub(super) fn refuse(&mut self, WriteId(begun): WriteId) {
        self.writes.retain(|write| write.begun != begun);
    }

    /// Sets the observed value, when no write is in progress.
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
    fn an_acknowledged_write_supersedes_those_that_ended_before_it_began() {
        let mut register = Register::new(0);
        let one = register.begin(1);
        assert_eq!(possible(&register), [0, 1], "in progress");
        register.acknowledge(one);
        assert_eq!(possible(&register), [1]);
    }

    #[test]
    fn either_of_two_concurrent_writes_may_be_the_last() {
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
    fn a_write_in_doubt_stays_possible_until_it_is_settled() {
        let mut register = Register::new(0);
        let in_doubt = register.begin(1);
        let two = register.begin(2);
        register.acknowledge(two);
        assert_eq!(possible(&register), [1, 2]);
        assert!(register.may_be(&1) && !register.may_be(&0));
        register.settle(2);
        assert_eq!(possible(&register), [2]);
        register.acknowledge(in_doubt);
        assert_eq!(possible(&register), [2], "a late acknowledgement");
    }

    #[test]
    fn a_refused_write_has_no_effect() {
        let mut register = Register::new(0);
        let one = register.begin(1);
        register.refuse(one);
        assert_eq!(possible(&register), [0]);
    }
}
