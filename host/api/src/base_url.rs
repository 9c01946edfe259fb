//! Base URL: where the client sees this server, the beginning of every absolute URL in a response.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Uri, header::HOST, request::Parts, uri::Authority},
};

use crate::Api;

/// Scheme, host and port (and the path of `public_url`, where it has one), without a slash at the
/// end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BaseUrl(String);

impl BaseUrl {
    fn of(public_url: Option<&str>, uri: &Uri, headers: &HeaderMap) -> Self {
        if let Some(url) = public_url {
            return Self(url.trim_end_matches('/').to_owned());
        }
        // Headers are untrusted: only a valid host goes into a URL.
        let host = || headers.get(HOST)?.to_str().ok()?.parse::<Authority>().ok().filter(|a| !a.as_str().contains('@'));
        let authority = uri.authority().cloned().or_else(host);
        let scheme = match headers.get("x-forwarded-proto").map(|v| v.as_bytes()) {
            Some(b"https") => "https",
            _ => "http",
        };
        Self(format!("{scheme}://{}", authority.as_ref().map_or("localhost", Authority::as_str)))
    }

    /// `path` begins with a slash.
    pub(crate) fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

impl FromRequestParts<Arc<Api>> for BaseUrl {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Infallible> {
        Ok(Self::of(api.config.public_url.as_deref(), &parts.uri, &parts.headers))
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
