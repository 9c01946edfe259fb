//! Authentication and authorization: who sends a request, and whether that client may.
//!
//! A request is identified once, by its `Authorization` header, or else by the cookie of a
//! browser's session. [`require_scope`] guards every route but the open ones, refuses changes by cookie that
//! another site's page may have caused, and writes changes into the audit log, refused ones
//! included.

mod admin_token;
mod audit;
pub(crate) mod browser;
pub(crate) mod cookie;
mod guesses;
mod rules;
pub(crate) mod session;

use std::{
    net::IpAddr,
    sync::{Arc, Weak},
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, header::AUTHORIZATION},
    middleware::Next,
    response::{IntoResponse, Response},
};
use ocellus_core::{Error, ErrorKind, Timestamp};
use ocellus_store::{ADMIN, AuditLog, Scope, Token, Tokens};

pub use self::admin_token::{AdminToken, InvalidToken};
use self::{audit::Entry, guesses::Guesses, rules::needed_scope};
use crate::{
    Api,
    base_url::BaseUrl,
    error::{ApiError, too_many_requests},
    serve::{Peer, Permit},
    signed_url,
    trace::RequestId,
};

/// What requests are authenticated by, and where changes are recorded.
pub struct Access {
    admin: AdminToken,
    tokens: Tokens,
    audit: AuditLog,
    guesses: Guesses,
}

impl Access {
    /// Access by the admin token, and by those of a data folder.
    pub fn new(admin: AdminToken, tokens: Tokens, audit: AuditLog) -> Self {
        Self { admin, tokens, audit, guesses: Guesses::default() }
    }

    /// Whether a client that was identified would be once more.
    pub(crate) fn still_admits(&self, client: &Client, now: Timestamp) -> bool {
        match client {
            Client::Admin => true,
            Client::Token(token) => self.tokens.is_valid(token.id, now),
        }
    }

    /// Refuses to look at the credentials of an address that guesses.
    fn unlocked(&self, address: Option<ClientAddress>, now: Timestamp) -> Result<(), Refusal> {
        match address.and_then(|address| self.guesses.locked_for(address, now)) {
            Some(seconds) => Err(Refusal::LockedOut { seconds }),
            None => Ok(()),
        }
    }

    /// Counts wrong credentials.
    fn count(&self, refusal: &Refusal, address: Option<ClientAddress>, now: Timestamp) {
        if let (Refusal::Wrong(secret), Some(address)) = (refusal, address) {
            self.guesses.count(address, secret, now);
        }
    }
}

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

    /// When it ends; `None` for never.
    fn expires(&self) -> Option<Timestamp> {
        match self {
            Self::Admin => None,
            Self::Token(token) => token.expires,
        }
    }

    /// Whether a login made the token.
    fn is_session(&self) -> bool {
        matches!(self, Self::Token(token) if token.session.is_some())
    }
}

/// Why a request has no [`Client`].
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refusal {
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
    fn into_response(self) -> Response {
        let desc = match self {
            Self::NoCredentials => "Authentication credentials were not provided.",
            // Without what was sent, which may be a token.
            Self::WrongScheme => "The header Authorization must be \"Token <token>\" or \"Bearer <token>\".",
            Self::Expired => "Token has expired.",
            Self::Wrong(_) => "Invalid token.",
            Self::LockedOut { seconds } => return too_many_requests(seconds),
        };
        ApiError::from(Error::new(ErrorKind::Unauthorized, desc)).into_response()
    }
}

/// Who sends a request, as an extension of it.
#[derive(Clone)]
struct Identified {
    client: Result<Client, Refusal>,
    /// A browser may send it without its user's or its page's knowing.
    by_cookie: bool,
}

/// Address of the client of a request, as an extension of it: that of the connection, or the one
/// that a reverse proxy on this machine names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

fn client_address(connection: IpAddr, headers: &HeaderMap) -> ClientAddress {
    // Anyone else could name any address. Of a list, the last one is the proxy's.
    let named = || headers.get("x-forwarded-for")?.to_str().ok()?.rsplit(',').next()?.trim().parse().ok();
    let connection = connection.to_canonical();
    ClientAddress(Some(connection).filter(IpAddr::is_loopback).and_then(|_| named()).unwrap_or(connection))
}

/// Identifies the client of a request, and marks its connection as authenticated, whatever the
/// path.
pub(crate) async fn identify(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let permit = request.extensions().get::<Weak<Permit>>().and_then(Weak::upgrade);
    let address = permit.as_ref().map(|permit| client_address(permit.address(), request.headers()));
    let identified = check(&api.access, request.headers(), address, api.clock.now());
    if let (Some(permit), Ok(_)) = (permit, &identified.client) {
        permit.set_authenticated();
    }
    if let Some(address) = address {
        request.extensions_mut().insert(address);
    }
    request.extensions_mut().insert(identified);
    next.run(request).await
}

fn check(access: &Access, headers: &HeaderMap, address: Option<ClientAddress>, now: Timestamp) -> Identified {
    let header = headers.get(AUTHORIZATION).map(|h| h.as_bytes().trim_ascii()).filter(|h| !h.is_empty());
    match header {
        Some(header) => Identified { client: by_header(access, header, address, now), by_cookie: false },
        None => Identified { client: by_cookie(access, headers, address, now), by_cookie: true },
    }
}

fn by_header(
    access: &Access,
    header: &[u8],
    address: Option<ClientAddress>,
    now: Timestamp,
) -> Result<Client, Refusal> {
    let (scheme, credentials) = split(header);
    if !scheme.eq_ignore_ascii_case(b"Token") && !scheme.eq_ignore_ascii_case(b"Bearer") {
        return Err(Refusal::WrongScheme);
    }
    access.unlocked(address, now)?;
    find(access, credentials, now)
}

/// The client of a session: a cookie holds no other token.
fn by_cookie(
    access: &Access,
    headers: &HeaderMap,
    address: Option<ClientAddress>,
    now: Timestamp,
) -> Result<Client, Refusal> {
    let secret = cookie::secret(headers).ok_or(Refusal::NoCredentials)?;
    access.unlocked(address, now)?;
    let client = find(access, secret, now)?;
    if client.is_session() { Ok(client) } else { Err(Refusal::Wrong(secret.into())) }
}

/// The scheme and the credentials of an `Authorization` header.
fn split(header: &[u8]) -> (&[u8], &[u8]) {
    let end = header.iter().position(|b| *b == b' ').unwrap_or(header.len());
    let (scheme, credentials) = header.split_at_checked(end).unwrap_or_default();
    (scheme, credentials.trim_ascii())
}

fn find(access: &Access, secret: &[u8], now: Timestamp) -> Result<Client, Refusal> {
    if access.admin.matches(secret) {
        return Ok(Client::Admin);
    }
    match access.tokens.find(secret, now) {
        Some(token) if token.is_expired(now) => Err(Refusal::Expired),
        Some(token) => Ok(Client::Token(Box::new(token))),
        None => Err(Refusal::Wrong(secret.into())),
    }
}

/// Refuses requests of clients that may not send them, but for those with a signed URL, and records
/// changes.
pub(crate) async fn require_scope(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let nobody = || Identified { client: Err(Refusal::NoCredentials), by_cookie: false };
    let found = request.extensions().get().cloned().unwrap_or_else(nobody);
    let address = request.extensions().get::<ClientAddress>().copied();
    let client = match found.client {
        Ok(client) => client,
        Err(_) if signed_url::allows(&api, &request) => return next.run(request).await,
        Err(refusal) => {
            api.access.count(&refusal, address, api.clock.now());
            return refusal.into_response();
        }
    };
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let needed = needed_scope(request.method(), route);
    let recorded = needed > Scope::Read || (route.starts_with("/auth/") && !request.method().is_safe());
    let entry = recorded.then(|| {
        let id = request.extensions().get::<RequestId>().cloned();
        Entry::of(&client, address, id, request.method(), request.uri().path(), api.clock.now())
    });
    let base = BaseUrl::of(&api.config, request.uri(), request.headers());
    let is_foreign = found.by_cookie
        && !request.method().is_safe()
        && !cookie::comes_from_own_page(request.headers(), request.uri(), &base);
    let response = if is_foreign {
        other_page()
    } else if client.scope() >= needed {
        request.extensions_mut().insert(client);
        next.run(request).await
    } else {
        let desc = format!("This takes a token with the scope {needed}; this one has {}.", client.scope());
        ApiError::from(Error::new(ErrorKind::PermissionDenied, desc)).into_response()
    };
    if let Some(entry) = entry {
        entry.write(&api.access.audit, response.status()).await;
    }
    response
}

/// The refusal of a change that another site's page may have caused.
fn other_page() -> Response {
    let desc = "The session of a browser is for this server's own page: send the header Origin with its origin, or a \
                token.";
    ApiError::from(Error::new(ErrorKind::PermissionDenied, desc)).into_response()
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
        check(&access, &headers, None, Timestamp::UNIX_EPOCH).client
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

    #[test]
    fn only_a_proxy_on_this_machine_names_the_client() {
        let headers =
            HeaderMap::from_iter([("x-forwarded-for".parse().unwrap(), "10.0.0.9, 10.0.0.1".parse().unwrap())]);
        let of = |address: &str| client_address(address.parse().unwrap(), &headers).0.to_string();
        assert_eq!(of("127.0.0.1"), "10.0.0.1");
        assert_eq!(of("10.0.0.2"), "10.0.0.2");
        assert_eq!(client_address("::1".parse().unwrap(), &HeaderMap::new()).0.to_string(), "::1");
    }
}
