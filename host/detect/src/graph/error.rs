//! Error of a value or an operator, without location; the plan adds the node.

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OperatorError(pub(super) String);

impl OperatorError {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }

    pub(super) fn expected(wanted: &str, given: &str) -> Self {
        Self(format!("expected {wanted}, got {given}"))
    }
}
