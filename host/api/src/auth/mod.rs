//! Authorization: whether the client of a request may send it.
//!
//! A request is identified once, by its `Authorization` header ([`Access`](crate::access::Access)),
//! or else by the cookie of a browser's session. [`require_scope`] guards every route but the open
//! ones, refuses changes by cookie that another site's page may have caused, and writes changes
//! into the audit log, refused ones included.

mod audit;
pub(crate) mod browser;
pub(crate) mod cookie;
mod rules;
pub(crate) mod session;
pub(crate) mod tokens;

use std::sync::{Arc, Weak};

use axum::{
    extract::{MatchedPath, Request, State},
    http::HeaderMap,
    middleware::Next,
    response::{IntoResponse, Response},
};
use ocellus_core::{Error, ErrorKind, Timestamp};
use ocellus_store::Scope;

use self::{audit::Entry, rules::needed_scope};

use crate::{
    Api,
    access::{Access, Client, ClientAddress, Refusal},
    base_url::BaseUrl,
    error::ApiError,
    serve::Permit,
    trace::RequestId,
};

/// The client of a request, as an extension of it.
#[derive(Clone)]
struct Identified {
    client: Result<Client, Refusal>,
    /// Browsers add cookies to requests that another site's page causes.
    by_cookie: bool,
}

/// Identifies the client of a request, and marks its connection as authenticated, whatever the
/// path.
pub(crate) async fn identify(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let permit = request.extensions().get::<Weak<Permit>>().and_then(Weak::upgrade);
    let address = permit.as_ref().map(|permit| ClientAddress::of(permit.address(), request.headers()));
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
    match access.check(headers, address, now) {
        Err(Refusal::NoCredentials) => {
            Identified { client: cookie::client(access, headers, address, now), by_cookie: true }
        }
        client => Identified { client, by_cookie: false },
    }
}

/// Whether a request has a signed URL, which needs no token.
fn is_signed(api: &Api, request: &Request) -> bool {
    let signer = api.config.url_signer.as_ref();
    signer.is_some_and(|signer| signer.allows(request.method(), request.uri(), api.clock.now()))
}

/// Refuses requests whose client lacks the scope, except those with a signed URL, and records
/// changes in the audit log.
pub(crate) async fn require_scope(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let nobody = || Identified { client: Err(Refusal::NoCredentials), by_cookie: false };
    let found = request.extensions().get().cloned().unwrap_or_else(nobody);
    let address = request.extensions().get::<ClientAddress>().copied();
    let client = match found.client {
        Ok(client) => client,
        Err(_) if is_signed(&api, &request) => return next.run(request).await,
        Err(refusal) => {
            api.access.count(&refusal, address, api.clock.now());
            return refusal.into_response();
        }
    };
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let needed = needed_scope(request.method(), route);
    // Reading is no change, whatever scope it takes.
    let recorded = !request.method().is_safe() && (needed > Scope::Read || route.starts_with("/auth/"));
    let entry = recorded.then(|| {
        let id = request.extensions().get::<RequestId>().cloned();
        Entry::of(&client, address, id, request.method(), request.uri().path(), api.clock.now())
    });
    let base = BaseUrl::of(&api.config, request.uri(), request.headers());
    let is_foreign = found.by_cookie
        && !request.method().is_safe()
        && !cookie::comes_from_own_page(request.headers(), request.uri(), &base);
    let response = if is_foreign {
        cookie::other_page()
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
