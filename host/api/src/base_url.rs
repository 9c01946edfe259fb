//! Base URL: where the client sees this server, the beginning of every absolute URL in a response.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Uri, header::HOST, request::Parts, uri::Authority},
};

use ocellus_core::Timestamp;
use utoipa::IntoParams;

use crate::{
    Api,
    error::ApiError,
    query::Query,
    signed_url::{self, UrlSigner},
};

/// How a client asks for URLs that need no token.
const SIGN_URLS: &str = "sign_urls";

/// The parameter that [`BaseUrl`] reads, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct SignUrls {
    /// Makes the URLs of pictures in the answer valid without a token for so many seconds.
    #[param(minimum = 1, maximum = 604800)]
    sign_urls: Option<u64>,
}

/// Scheme, host and port (and the path of `public_url`, where it has one), without a slash at the
/// end; and whether URLs of pictures are signed.
#[derive(Clone, Debug)]
pub(crate) struct BaseUrl {
    text: String,
    signing: Option<Signing>,
}

#[derive(Clone, Debug)]
struct Signing {
    signer: UrlSigner,
    now: Timestamp,
    valid: Duration,
}

impl BaseUrl {
    fn of(public_url: Option<&str>, uri: &Uri, headers: &HeaderMap) -> Self {
        if let Some(url) = public_url {
            return Self { text: url.trim_end_matches('/').to_owned(), signing: None };
        }
        // Headers are untrusted: only a valid host goes into a URL.
        let host = || headers.get(HOST)?.to_str().ok()?.parse::<Authority>().ok().filter(|a| !a.as_str().contains('@'));
        let authority = uri.authority().cloned().or_else(host);
        let scheme = match headers.get("x-forwarded-proto").map(|v| v.as_bytes()) {
            Some(b"https") => "https",
            _ => "http",
        };
        let text = format!("{scheme}://{}", authority.as_ref().map_or("localhost", Authority::as_str));
        Self { text, signing: None }
    }

    /// `path` begins with a slash.
    pub(crate) fn join(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }

    /// URL of a picture, signed where the client asked for that.
    pub(crate) fn picture(&self, path: &str) -> String {
        match &self.signing {
            Some(Signing { signer, now, valid }) => self.join(&signer.sign(path, *now, *valid)),
            None => self.join(path),
        }
    }
}

impl FromRequestParts<Arc<Api>> for BaseUrl {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let base = Self::of(api.config.public_url.as_deref(), &parts.uri, &parts.headers);
        let signing = match Query::parse(parts.uri.query().unwrap_or_default()).integer(SIGN_URLS)? {
            Some(seconds) => {
                let valid = signed_url::validity(SIGN_URLS, seconds)?;
                Some(Signing { signer: signed_url::signer(api)?, now: api.clock.now(), valid })
            }
            None => None,
        };
        Ok(Self { signing, ..base })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(public_url: Option<&str>, headers: &[(&'static str, &str)]) -> String {
        let headers = headers.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect();
        BaseUrl::of(public_url, &Uri::from_static("/videos/"), &headers).join("/x/")
    }

    #[test]
    fn base_url_is_that_of_the_request_unless_one_is_configured() {
        assert_eq!(base(None, &[("host", "a.example:8080")]), "http://a.example:8080/x/");
        assert_eq!(base(None, &[("host", "a.example"), ("x-forwarded-proto", "https")]), "https://a.example/x/");
        assert_eq!(base(Some("https://b.example/sub/"), &[("host", "a.example")]), "https://b.example/sub/x/");
    }

    #[test]
    fn an_invalid_host_or_scheme_is_ignored() {
        for bad in ["", "a/b", "user@a", "a b", "a\"><script>"] {
            assert_eq!(
                base(None, &[("host", bad), ("x-forwarded-proto", "javascript")]),
                "http://localhost/x/",
                "{bad:?}"
            );
        }
    }
}
