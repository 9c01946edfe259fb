//! Base URL: the beginning of every absolute URL in a response, as clients reach the server.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::FromRequestParts,
    http::{
        HeaderMap, Request, Uri,
        header::HOST,
        request::Parts,
        uri::{Authority, PathAndQuery},
    },
};

use ocellus_core::Timestamp;
use utoipa::IntoParams;

use crate::{
    Api, ApiConfig,
    error::ApiError,
    query::Query,
    url_signer::{UrlSigner, validity},
};

/// Header in which a proxy names the path that it serves this server under.
const PREFIX: &str = "x-forwarded-prefix";
/// Query parameter that asks for URLs which need no token.
const SIGN_URLS: &str = "sign_urls";

/// The parameter that [`BaseUrl`] reads, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct SignUrls {
    /// Makes the URLs of pictures in the answer valid without a token for this many seconds.
    #[param(minimum = 1, maximum = 604800)]
    sign_urls: Option<u64>,
}

/// Scheme, host, port and the path of a proxy, without a slash at the end; and whether URLs of
/// pictures are signed.
#[derive(Clone, Debug)]
pub(crate) struct BaseUrl {
    /// Scheme, host and port; as configured, with the path.
    origin: String,
    /// Empty, or begins with a slash.
    prefix: String,
    /// From the configuration, and not from the request.
    is_configured: bool,
    signing: Option<Signing>,
}

#[derive(Clone, Debug)]
struct Signing {
    signer: UrlSigner,
    now: Timestamp,
    valid: Duration,
}

impl BaseUrl {
    pub(crate) fn of(config: &ApiConfig, uri: &Uri, headers: &HeaderMap) -> Self {
        if let Some(url) = &config.public_url {
            let origin = url.trim_end_matches('/').to_owned();
            return Self { origin, prefix: String::new(), is_configured: true, signing: None };
        }
        let authority = authority(uri, headers);
        let scheme = match headers.get("x-forwarded-proto").map(|v| v.as_bytes()) {
            Some(b"https") => "https",
            _ if config.https => "https",
            _ => "http",
        };
        let origin = format!("{scheme}://{}", authority.as_ref().map_or("localhost", Authority::as_str));
        let prefix = headers.get(PREFIX).and_then(|v| v.to_str().ok()).map_or("", |v| v.trim_end_matches('/'));
        let prefix = if is_plain_path(prefix) { prefix.to_owned() } else { String::new() };
        Self { origin, prefix, is_configured: false, signing: None }
    }

    /// The absolute URL of a path, which begins with a slash.
    pub(crate) fn join(&self, path: &str) -> String {
        format!("{}{}{path}", self.origin, self.prefix)
    }

    /// URL of a picture, signed where the client asked for that.
    pub(crate) fn picture(&self, path: &str) -> String {
        match &self.signing {
            Some(Signing { signer, now, valid }) => self.join(&signer.sign(path, *now, *valid)),
            None => self.join(path),
        }
    }

    /// The path under which clients reach the server; `/` where there is none.
    pub(crate) fn root(&self) -> String {
        match self.origin.splitn(4, '/').nth(3) {
            Some(configured) => format!("/{configured}"),
            None if self.prefix.is_empty() => "/".to_owned(),
            None => self.prefix.clone(),
        }
    }

    /// Host and port at which clients reach the server.
    pub(crate) fn host(&self) -> &str {
        self.origin.split('/').nth(2).unwrap_or_default()
    }

    /// Whether clients reach the server by https.
    pub(crate) fn is_https(&self) -> bool {
        self.origin.starts_with("https://")
    }

    /// Target of a redirect: absolute where the base URL is configured, otherwise relative to the
    /// host.
    pub(crate) fn location(&self, path: &str) -> String {
        if self.is_configured { self.join(path) } else { format!("{}{path}", self.prefix) }
    }
}

/// Host and port that a request is for. Headers are untrusted: only a valid host goes into a URL.
pub(crate) fn authority(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let host = || headers.get(HOST)?.to_str().ok()?.parse::<Authority>().ok().filter(|a| !a.as_str().contains('@'));
    uri.authority().cloned().or_else(host)
}

/// Whether a path has no double slashes and no characters with a meaning in URLs or HTML.
fn is_plain_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.contains("//")
        && path.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.' | b'~'))
}

/// The path of `public_url`, where it has one.
pub(crate) fn public_path(config: &ApiConfig) -> Option<String> {
    let url = url::Url::parse(config.public_url.as_deref()?).ok()?;
    Some(url.path().trim_end_matches('/').to_owned()).filter(|path| !path.is_empty())
}

/// Removes the path of `public_url` from a request, for proxies that do not remove it themselves.
pub(crate) fn without_prefix<B>(mut request: Request<B>, prefix: &str) -> Request<B> {
    let uri = request.uri();
    let rest = uri.path_and_query().and_then(|all| all.as_str().strip_prefix(prefix));
    if let Some(rest) = rest.filter(|rest| rest.starts_with('/'))
        && let Ok(path) = rest.parse::<PathAndQuery>()
    {
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(path);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

impl FromRequestParts<Arc<Api>> for BaseUrl {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let base = Self::of(&api.config, &parts.uri, &parts.headers);
        let signing = match Query::parse(parts.uri.query().unwrap_or_default()).integer(SIGN_URLS)? {
            Some(seconds) => {
                let valid = validity(SIGN_URLS, seconds)?;
                Some(Signing { signer: api.url_signer()?.clone(), now: api.clock.now(), valid })
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
        of(public_url, &headers).join("/x/")
    }

    fn of(public_url: Option<&str>, headers: &HeaderMap) -> BaseUrl {
        let config = ApiConfig { public_url: public_url.map(str::to_owned), ..ApiConfig::default() };
        BaseUrl::of(&config, &Uri::from_static("/videos/"), headers)
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

    #[test]
    fn the_path_of_a_proxy_is_in_links_and_redirects() {
        let headers = [("host", "a.example"), ("x-forwarded-prefix", "/sub/")];
        assert_eq!(base(None, &headers), "http://a.example/sub/x/");
        for bad in ["//evil.example", "/a//b", "sub", "/a?b", "/\"><script>"] {
            let headers = [("host", "a.example"), ("x-forwarded-prefix", bad)];
            assert_eq!(base(None, &headers), "http://a.example/x/", "{bad:?}");
        }
        let prefixed = HeaderMap::from_iter([(PREFIX.parse().unwrap(), "/sub".parse().unwrap())]);
        assert_eq!(of(None, &prefixed).location("/x/"), "/sub/x/");
        assert_eq!(of(Some("https://b.example/sub/"), &prefixed).location("/x/"), "https://b.example/sub/x/");
    }

    #[test]
    fn the_path_of_public_url_is_removed_from_requests() {
        for (path, expected) in [
            ("/sub/videos/?limit=2", "/videos/?limit=2"),
            ("/sub/", "/"),
            ("/sub", "/sub"),
            ("/subway/", "/subway/"),
            ("/videos/sub/", "/videos/sub/"),
            ("http://a.example/sub/videos/", "http://a.example/videos/"),
        ] {
            let request = Request::builder().uri(path).body(()).unwrap();
            assert_eq!(without_prefix(request, "/sub").uri().to_string(), expected, "{path}");
        }
    }
}
