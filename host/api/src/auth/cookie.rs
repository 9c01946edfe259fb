//! Cookie of a browser's session: its text, and protection against cross-site request forgery.
//!
//! A browser sends a cookie with whatever request a page causes. `SameSite=Strict` keeps it from
//! requests of other sites' pages, and [`comes_from_own_page`] refuses changes by what is left:
//! pages on other ports or below the same domain, and browsers that do not know the attribute.

use axum::{
    http::{
        HeaderMap, HeaderValue, Uri,
        header::{COOKIE, ORIGIN},
    },
    response::{IntoResponse, Response},
};
use ocellus_core::{Error, ErrorKind, Timestamp};

use crate::{
    access::{Access, Client, ClientAddress, Refusal},
    base_url::{self, BaseUrl},
    error::ApiError,
};

pub(crate) const NAME: &str = "ocellus_session";
/// Header by which browsers say how the page that caused a request relates to this server. They
/// send it only from pages that are encrypted or local.
const SITE: &str = "sec-fetch-site";

/// The secret that a request's cookie holds.
fn secret(headers: &HeaderMap) -> Option<&[u8]> {
    let mut pairs = headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|b| *b == b';'));
    pairs.find_map(|pair| pair.trim_ascii().strip_prefix(NAME.as_bytes())?.strip_prefix(b"="))
}

/// The client of the session in the cookie. A token that is not a session's is refused.
pub(super) fn client(
    access: &Access,
    headers: &HeaderMap,
    address: Option<ClientAddress>,
    now: Timestamp,
) -> Result<Client, Refusal> {
    let secret = secret(headers).ok_or(Refusal::NoCredentials)?;
    access.unlocked(address, now)?;
    let client = access.find(secret, now)?;
    if client.is_session() { Ok(client) } else { Err(Refusal::Wrong(secret.into())) }
}

/// The refusal of a change that another site's page may have caused.
pub(super) fn other_page() -> Response {
    let desc = "The session of a browser is for this server's own page: send the header Origin with its origin, or a \
                token.";
    ApiError::from(Error::new(ErrorKind::PermissionDenied, desc)).into_response()
}

/// `Set-Cookie` for a session of this many seconds.
pub(super) fn set(secret: &str, seconds: i64, base: &BaseUrl) -> Option<HeaderValue> {
    let secure = if base.is_https() { "; Secure" } else { "" };
    let path = base.root();
    let text = format!("{NAME}={secret}; HttpOnly; SameSite=Strict; Path={path}; Max-Age={seconds}{secure}");
    HeaderValue::try_from(text).ok()
}

/// `Set-Cookie` that removes the session.
pub(super) fn clear(base: &BaseUrl) -> Option<HeaderValue> {
    set("", 0, base)
}

/// Whether a browser says that a page of this server's origin caused a request. The scheme is not
/// compared: a proxy that terminates TLS may not tell.
pub(super) fn comes_from_own_page(headers: &HeaderMap, uri: &Uri, base: &BaseUrl) -> bool {
    if headers.get(SITE).is_some_and(|site| site == "same-origin") {
        return true;
    }
    let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok()?.split_once("://"));
    origin.is_some_and(|(_, host)| {
        let asked = base_url::authority(uri, headers);
        host.eq_ignore_ascii_case(base.host()) || asked.is_some_and(|asked| host.eq_ignore_ascii_case(asked.as_str()))
    })
}

/// Whether a browser says that another page caused a request. Programs send no `Origin`.
pub(super) fn comes_from_other_page(headers: &HeaderMap, uri: &Uri, base: &BaseUrl) -> bool {
    headers.contains_key(ORIGIN) && !comes_from_own_page(headers, uri, base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ApiConfig;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect()
    }

    fn base(public_url: Option<&str>, headers: &HeaderMap) -> BaseUrl {
        let config = ApiConfig { public_url: public_url.map(str::to_owned), ..ApiConfig::default() };
        BaseUrl::of(&config, &Uri::from_static("/videos/"), headers)
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let of = |pairs: &[(&str, &str)]| secret(&headers(pairs)).map(<[u8]>::to_vec);
        assert_eq!(of(&[("cookie", "a=b; ocellus_session=00ff; c=d")]), Some(b"00ff".to_vec()));
        assert_eq!(of(&[("cookie", "ocellus_session=00ff")]), Some(b"00ff".to_vec()));
        for none in ["", "a=b", "ocellus_sessions=1", "x_ocellus_session=1", "ocellus_session"] {
            assert_eq!(of(&[("cookie", none)]), None, "{none}");
        }
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn the_cookie_is_for_the_path_and_the_scheme_that_clients_see() {
        let of = |public_url, pairs: &[(&str, &str)]| {
            let headers = headers(pairs);
            set("00ff", 60, &base(public_url, &headers)).unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(
            of(None, &[("host", "a.example")]),
            "ocellus_session=00ff; HttpOnly; SameSite=Strict; Path=/; Max-Age=60"
        );
        assert!(of(None, &[("x-forwarded-prefix", "/sub/")]).contains("; Path=/sub; "));
        assert!(of(None, &[("x-forwarded-proto", "https")]).ends_with("; Secure"));
        let configured = of(Some("https://b.example/archive/"), &[("host", "127.0.0.1:8000")]);
        assert!(configured.contains("; Path=/archive; ") && configured.ends_with("; Secure"), "{configured}");
        assert!(of(Some("http://b.example"), &[]).ends_with("; Path=/; Max-Age=60"));
    }

    #[test]
    fn only_pages_of_the_same_origin_are_its_own() {
        let own = |public_url, pairs: &[(&str, &str)]| {
            let headers = headers(pairs);
            comes_from_own_page(&headers, &Uri::from_static("/videos/"), &base(public_url, &headers))
        };
        const HOST: (&str, &str) = ("host", "a.example:8000");
        for origin in ["http://a.example:8000", "https://A.example:8000"] {
            assert!(own(None, &[HOST, ("origin", origin)]), "{origin}");
        }
        for origin in ["http://a.example", "http://b.example:8000", "http://a.example:8001", "null", ""] {
            assert!(!own(None, &[HOST, ("origin", origin)]), "{origin}");
        }
        assert!(!own(None, &[HOST]), "a program is no page");
        assert!(own(None, &[HOST, ("sec-fetch-site", "same-origin")]));
        for site in ["same-site", "cross-site", "none"] {
            assert!(!own(None, &[HOST, ("sec-fetch-site", site)]), "{site}");
        }
        // Behind a proxy that replaces the Host header.
        let behind = [("host", "127.0.0.1:8000"), ("origin", "https://b.example")];
        assert!(own(Some("https://b.example/sub"), &behind) && !own(None, &behind));
    }
}
