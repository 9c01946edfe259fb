//! Empty crate: the tests are in `tests/suite`.
