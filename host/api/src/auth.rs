//! Authentication: one token, in the `Authorization` header.

use std::sync::{Arc, Weak};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header::AUTHORIZATION},
    middleware::Next,
    response::{IntoResponse, Response},
};
use ocellus_core::{Error, ErrorKind};

use crate::{Api, error::ApiError, serve::Permit, signed_url, token::AdminToken};

/// Marks the connection of a request with the token as authenticated, whatever its path.
pub(crate) async fn mark_authenticated(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    if let Some(permit) = request.extensions().get::<Weak<Permit>>().and_then(Weak::upgrade)
        && check(&api.token, request.headers()).is_ok()
    {
        permit.set_authenticated();
    }
    next.run(request).await
}

/// Refuses requests without the token, but for those with a signed URL.
pub(crate) async fn require_token(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    match check(&api.token, request.headers()) {
        Err(_) if signed_url::allows(&api, &request) => next.run(request).await,
        Ok(()) => next.run(request).await,
        Err(desc) => ApiError::from(Error::new(ErrorKind::Unauthorized, desc)).into_response(),
    }
}

fn check(token: &AdminToken, headers: &HeaderMap) -> Result<(), &'static str> {
    const NONE: &str = "Authentication credentials were not provided.";
    let header = headers.get(AUTHORIZATION).ok_or(NONE)?.as_bytes().trim_ascii();
    let split = header.iter().position(|b| *b == b' ').unwrap_or(header.len());
    let (scheme, credentials) = header.split_at_checked(split).ok_or(NONE)?;
    if !scheme.eq_ignore_ascii_case(b"Token") {
        return Err(NONE);
    }
    if token.matches(credentials.trim_ascii()) { Ok(()) } else { Err("Invalid token.") }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn check_header(header: Option<&str>) -> Result<(), &'static str> {
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        check(&AdminToken::new(TOKEN).unwrap(), &headers)
    }

    #[test]
    fn only_the_token_is_accepted() {
        assert!(check_header(Some("Token 0123456789abcdef")).is_ok());
        assert!(check_header(Some("token   0123456789abcdef ")).is_ok());
        for none in [None, Some(""), Some("Basic eDp5"), Some("Bearer 0123456789abcdef"), Some("0123456789abcdef")] {
            assert_eq!(check_header(none), Err("Authentication credentials were not provided."), "{none:?}");
        }
        for wrong in ["Token", "Token 0123456789abcde", "Token 0123456789abcdef0", "Token 0123456789abcdeF"] {
            assert_eq!(check_header(Some(wrong)), Err("Invalid token."), "{wrong:?}");
        }
    }
}
