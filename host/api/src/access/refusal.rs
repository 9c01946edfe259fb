//! Refusals of credentials.

use axum::response::{IntoResponse, Response};
use ocellus_core::{Error, ErrorKind};

use crate::error::{ApiError, too_many_requests};

/// Why a request has no [`Client`](super::Client).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoCredentials,
    WrongScheme,
    Expired,
    /// The credentials, so that guesses can be counted.
    Wrong(Box<[u8]>),
    LockedOut {
        seconds: u64,
    },
}

impl Refusal {
    pub(crate) fn into_response(self) -> Response {
        let desc = match self {
            Self::NoCredentials => "Authentication credentials were not provided.",
            // Does not repeat the header, which may hold a token.
            Self::WrongScheme => "The header Authorization must be \"Token <token>\" or \"Bearer <token>\".",
            Self::Expired => "Token has expired.",
            Self::Wrong(_) => "Invalid token.",
            Self::LockedOut { seconds } => return too_many_requests(seconds),
        };
        ApiError::from(Error::new(ErrorKind::Unauthorized, desc)).into_response()
    }
}
