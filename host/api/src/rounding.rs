//! Numbers as the API shows them: six decimals, which are microseconds of stream times, and about
//! the precision of a network's 32-bit floats.
//!
//! Archives keep full precision. The API leaves out the rounding noise of sums of doubles
//! (1.3339999999999999).

/// The nearest multiple of a millionth.
pub(crate) fn rounded(value: impl Into<f64>) -> f64 {
    (value.into() * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_doubles_lose_their_noise() {
        assert_eq!((rounded(1.333_999_999_999_999_9), rounded(0.1 + 0.2)), (1.334, 0.3));
        assert_eq!((rounded(93_596.123_456_7), rounded(0.1_f32), rounded(0)), (93_596.123_457, 0.1, 0.0));
    }
}
