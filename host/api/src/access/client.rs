//! Client of a request: its name, scope and token.

use ocellus_core::Timestamp;
use ocellus_store::{ADMIN, Scope, Token};

/// The authenticated sender of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    Admin,
    Token(Box<Token>),
}

impl Client {
    pub(crate) fn scope(&self) -> Scope {
        match self {
            Self::Admin => Scope::Admin,
            Self::Token(token) => token.scope,
        }
    }

    /// Id of the token; of a session, that of the token it was begun with.
    pub(crate) fn user(&self) -> u32 {
        match self {
            Self::Admin => ADMIN.0,
            Self::Token(token) => token.session.as_ref().map_or(token.id, |session| session.user),
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Admin => ADMIN.1,
            Self::Token(token) => &token.name,
        }
    }

    /// When its token expires; `None` for never.
    pub(crate) fn expires(&self) -> Option<Timestamp> {
        match self {
            Self::Admin => None,
            Self::Token(token) => token.expires,
        }
    }

    /// Whether a login made the token.
    pub(crate) fn is_session(&self) -> bool {
        matches!(self, Self::Token(token) if token.session.is_some())
    }
}
