//! Authentication: who sends a request, by its `Authorization` header.
//!
//! Owns the admin token, the tokens of a data folder, the lock-out for guessing, and the audit log
//! that changes are recorded in.

mod address;
mod admin_token;
mod client;
mod guesses;
mod refusal;

use axum::http::{HeaderMap, header::AUTHORIZATION};
use ocellus_core::Timestamp;
use ocellus_store::{AuditLog, Tokens};

pub use self::admin_token::{AdminToken, InvalidToken};
use self::guesses::Guesses;
pub(crate) use self::{address::ClientAddress, client::Client, refusal::Refusal};

/// Credentials that requests are checked against, and the audit log of changes.
pub struct Access {
    admin: AdminToken,
    pub(crate) tokens: Tokens,
    pub(crate) audit: AuditLog,
    guesses: Guesses,
}

impl Access {
    /// Access by the admin token, and by those of a data folder.
    pub fn new(admin: AdminToken, tokens: Tokens, audit: AuditLog) -> Self {
        Self { admin, tokens, audit, guesses: Guesses::default() }
    }

    /// Who sends a request with these headers, from this address.
    pub(crate) fn check(
        &self,
        headers: &HeaderMap,
        address: Option<ClientAddress>,
        now: Timestamp,
    ) -> Result<Client, Refusal> {
        let header = headers.get(AUTHORIZATION).map(|h| h.as_bytes().trim_ascii()).filter(|h| !h.is_empty());
        let (scheme, credentials) = split_authorization(header.ok_or(Refusal::NoCredentials)?);
        if !scheme.eq_ignore_ascii_case(b"Token") && !scheme.eq_ignore_ascii_case(b"Bearer") {
            return Err(Refusal::WrongScheme);
        }
        self.unlocked(address, now)?;
        self.find(credentials, now)
    }

    /// Refuses an address that is locked out, before its credentials are checked.
    pub(crate) fn unlocked(&self, address: Option<ClientAddress>, now: Timestamp) -> Result<(), Refusal> {
        match address.and_then(|address| self.guesses.locked_for(address, now)) {
            Some(seconds) => Err(Refusal::LockedOut { seconds }),
            None => Ok(()),
        }
    }

    /// Counts wrong credentials.
    pub(crate) fn count(&self, refusal: &Refusal, address: Option<ClientAddress>, now: Timestamp) {
        if let (Refusal::Wrong(secret), Some(address)) = (refusal, address) {
            self.guesses.count(address, secret, now);
        }
    }

    /// Whether the token of an identified client is still valid.
    pub(crate) fn still_admits(&self, client: &Client, now: Timestamp) -> bool {
        match client {
            Client::Admin => true,
            Client::Token(token) => self.tokens.is_valid(token.id, now),
        }
    }

    /// The client that a secret belongs to.
    pub(crate) fn find(&self, secret: &[u8], now: Timestamp) -> Result<Client, Refusal> {
        if self.admin.matches(secret) {
            return Ok(Client::Admin);
        }
        match self.tokens.find(secret, now) {
            Some(token) if token.is_expired(now) => Err(Refusal::Expired),
            Some(token) => Ok(Client::Token(Box::new(token))),
            None => Err(Refusal::Wrong(secret.into())),
        }
    }
}

/// The scheme and the credentials of an `Authorization` header.
pub(crate) fn split_authorization(header: &[u8]) -> (&[u8], &[u8]) {
    let end = header.iter().position(|b| *b == b' ').unwrap_or(header.len());
    let (scheme, credentials) = header.split_at_checked(end).unwrap_or_default();
    (scheme, credentials.trim_ascii())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn check_header(header: Option<&str>) -> Result<Client, Refusal> {
        let dir = tempfile::tempdir().unwrap();
        let access = Access::new(AdminToken::new(TOKEN).unwrap(), Tokens::new(dir.path()), AuditLog::new(dir.path()));
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        access.check(&headers, None, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn only_the_token_is_accepted() {
        for right in ["Token 0123456789abcdef", "token   0123456789abcdef ", "Bearer 0123456789abcdef"] {
            assert_eq!(check_header(Some(right)), Ok(Client::Admin), "{right:?}");
        }
        for none in [None, Some("")] {
            assert_eq!(check_header(none), Err(Refusal::NoCredentials), "{none:?}");
        }
        for scheme in ["Basic eDp5", "0123456789abcdef", "Tokens 0123456789abcdef"] {
            assert_eq!(check_header(Some(scheme)), Err(Refusal::WrongScheme), "{scheme:?}");
        }
        for wrong in ["Token", "Token 0123456789abcde", "Token 0123456789abcdef0", "Bearer 0123456789abcdeF"] {
            assert!(matches!(check_header(Some(wrong)), Err(Refusal::Wrong(_))), "{wrong:?}");
        }
    }
}
