//! Times as the API writes them.

use ocellus_core::Timestamp;

/// RFC 3339 in UTC with microseconds, always six digits.
pub(crate) fn text(time: Timestamp) -> String {
    format!("{time:.6}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_always() {
        assert_eq!(text("2025-03-28T11:55:13.33502Z".parse().unwrap()), "2025-03-28T11:55:13.335020Z");
        assert_eq!(text("2025-03-28T11:55:13Z".parse().unwrap()), "2025-03-28T11:55:13.000000Z");
    }
}
