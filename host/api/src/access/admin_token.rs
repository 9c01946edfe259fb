//! Admin token: a secret that opens every route, and is never printed or logged.

use std::fmt;

use subtle::ConstantTimeEq;
use thiserror::Error as ThisError;

/// The secret that opens every route.
#[derive(Clone)]
pub struct AdminToken(Box<str>);

/// A text that cannot be a token.
#[derive(Debug, ThisError)]
#[error("a token is 16 to 256 visible ASCII characters without spaces")]
pub struct InvalidToken;

impl AdminToken {
    /// A token of 16 to 256 characters: visible ASCII only, since it has to fit into a header.
    ///
    /// # Errors
    /// [`InvalidToken`] for any other text.
    pub fn new(text: &str) -> Result<Self, InvalidToken> {
        let fits = (16..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if fits { Ok(Self(text.into())) } else { Err(InvalidToken) }
    }

    /// Constant-time comparison with a text of the same length.
    pub(crate) fn matches(&self, given: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(given).into()
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_prints_itself_and_fits_a_header() {
        assert_eq!(format!("{:?}", AdminToken::new("0123456789abcdef").unwrap()), "AdminToken(..)");
        for bad in ["", "short", "0123456789 abcdef", "0123456789abcdéf"] {
            assert!(AdminToken::new(bad).is_err(), "{bad:?}");
        }
    }
}
