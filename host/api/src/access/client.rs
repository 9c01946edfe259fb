//! Clients: who sends a request.

use ocellus_store::{ADMIN, Scope, Token};

/// Who sends a request.
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

    /// Id of the token, or of the one that was logged in with.
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
}
