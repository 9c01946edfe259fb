//! HTTP authentication with the user name and password of a URL, for HTTP and RTSP.
//!
//! Guarantees: they are sent only to the server of their URL, and only after its challenge, by
//! Basic or Digest (RFC 7617, RFC 7616). End with the session of the source. HTTP credentials are
//! bound to an origin, since redirects may leave it; an RTSP dialogue has one server only.

use http_auth::{PasswordClient, PasswordParams};
use percent_encoding::percent_decode_str;
use reqwest::{
    RequestBuilder,
    header::{AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE},
};
use url::{Origin, Url};

pub(crate) struct Credentials {
    /// The server that they are for.
    origin: Origin,
    username: String,
    password: String,
    /// Set by the server's challenge.
    client: Option<PasswordClient>,
}

impl Credentials {
    /// Removes them from a URL that has some.
    pub(crate) fn take_from(url: &mut Url) -> Option<Self> {
        let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let (username, password) = (plain(url.username()), plain(url.password().unwrap_or_default()));
        if username.is_empty() && password.is_empty() {
            return None;
        }
        url.set_username("").ok()?;
        url.set_password(None).ok()?;
        Some(Self { origin: url.origin(), username, password, client: None })
    }

    /// Whether a response is a challenge that they can answer.
    pub(crate) fn take_challenge(&mut self, url: &Url, headers: &HeaderMap) -> bool {
        let challenges = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        url.origin() == self.origin && self.take_challenges(challenges)
    }

    /// The same, for a response of their own server.
    pub(crate) fn take_challenges<'a>(&mut self, challenges: impl Iterator<Item = &'a str>) -> bool {
        self.client = challenges.fold(PasswordClient::builder(), |builder, one| builder.challenges(one)).build().ok();
        self.client.is_some()
    }

    /// Adds them to a request to their server, after its challenge.
    pub(crate) fn identify(&mut self, request: RequestBuilder, url: &Url) -> RequestBuilder {
        if url.origin() != self.origin {
            return request;
        }
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        match self.answer("GET", &target) {
            Some(answer) => request.header(AUTHORIZATION, answer),
            None => request,
        }
    }

    /// The header `Authorization` of a request to their server, after its challenge.
    pub(crate) fn answer(&mut self, method: &str, uri: &str) -> Option<String> {
        let (username, password) = (&self.username, &self.password);
        let parameters = PasswordParams { username, password, uri, method, body: None };
        // Without an answer the server refuses again, and the user sees that.
        self.client.as_mut()?.respond(&parameters).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_removed_from_the_url() {
        let mut url = Url::parse("http://us%40er:p%3Aw@host:81/a?b").unwrap();
        let own = Credentials::take_from(&mut url).unwrap();
        assert_eq!((own.username.as_str(), own.password.as_str()), ("us@er", "p:w"));
        assert_eq!(url.as_str(), "http://host:81/a?b");
        assert!(Credentials::take_from(&mut url).is_none());
    }

    #[test]
    fn other_servers_get_no_credentials() {
        let mut own = Credentials::take_from(&mut Url::parse("http://user:pw@host/").unwrap()).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(WWW_AUTHENTICATE, "Basic realm=\"cameras\"".parse().unwrap());
        let (here, elsewhere) = (Url::parse("http://host/x").unwrap(), Url::parse("http://other/x").unwrap());
        assert!(!own.take_challenge(&elsewhere, &headers));
        assert!(own.take_challenge(&here, &headers));
        let client = reqwest::Client::new();
        let mut shown = |url: &Url| own.identify(client.get(url.clone()), url).build().unwrap();
        assert_eq!(shown(&here).headers()[AUTHORIZATION], "Basic dXNlcjpwdw==");
        assert!(shown(&elsewhere).headers().get(AUTHORIZATION).is_none());
    }
}
