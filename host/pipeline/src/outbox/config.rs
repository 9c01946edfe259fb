//! Configuration of the outbox.

use std::{fmt, str::FromStr, time::Duration};

use reqwest::header::HeaderValue;

use super::{post_pictures::PictureUrls, signature::SigningSecret};

/// Configuration of the outbox by the operator.
#[derive(Clone, Debug)]
pub struct OutboxConfig {
    /// Sent to routers as `Authorization: Token …`.
    pub token: Option<RouterToken>,
    /// Signs posts as Standard Webhooks specifies.
    pub signing_secret: Option<SigningSecret>,
    /// URLs of pictures, for router plugins that send these instead; without it they get none.
    pub picture_urls: Option<PictureUrls>,
    /// Time from its first attempt after which a delivery is given up.
    pub give_up_after: Duration,
}

impl Default for OutboxConfig {
    fn default() -> Self {
        Self { token: None, signing_secret: None, picture_urls: None, give_up_after: Duration::from_secs(24 * 3600) }
    }
}

/// Token by which routers authenticate this server. Never printed.
#[derive(Clone)]
pub struct RouterToken(pub(super) HeaderValue);

impl FromStr for RouterToken {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("it is empty".into());
        }
        let value = HeaderValue::from_str(&format!("Token {text}"));
        let mut value = value.map_err(|_| "a header can hold visible ASCII characters, spaces and tabs only")?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl fmt::Debug for RouterToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RouterToken(…)")
    }
}
