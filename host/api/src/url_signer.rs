//! Signatures of URLs: pictures and sources that need no token until they expire.
//!
//! An `<img>` of a page and a program that is given a URL cannot send a header. A signature covers
//! the path with its whole query, and holds for GET and HEAD only; it ends with its time, or when
//! the key is replaced.

use std::{fmt, time::Duration};

use axum::http::{Method, Uri};
use hmac::{Hmac, KeyInit, Mac};
use ocellus_core::{Error, Result, Timestamp};
use sha2::Sha256;

/// A week.
const MAX_SECONDS: u64 = 604_800;
/// Expiry times are rounded up to this, so that URLs stay the same for a while and browsers can
/// cache what they fetched.
const STEP_SECONDS: i64 = 60;
const SIGNATURE: &str = "&signature=";
const EXPIRES: &str = "expires=";

/// Key of signatures. Never printed.
#[derive(Clone)]
pub struct UrlSigner(Hmac<Sha256>);

impl fmt::Debug for UrlSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UrlSigner(..)")
    }
}

impl UrlSigner {
    /// Signs with this key. URLs outlive a restart of the server where the key does.
    pub fn new(key: &[u8; 32]) -> Self {
        // A derived key for this purpose only, whatever else the bytes are used for.
        let mut block = [0; 64];
        for (to, from) in block.iter_mut().zip(key.iter().chain(b"ocellus signed url v1")) {
            *to = *from;
        }
        Self(<Hmac<Sha256> as KeyInit>::new(&block.into()))
    }

    /// Signs `path`, which may have a query: the URL is valid for `valid` from now, or up to a
    /// minute longer.
    pub(crate) fn sign(&self, path: &str, now: Timestamp, valid: Duration) -> String {
        let end = now.as_second().saturating_add_unsigned(valid.as_secs());
        let end = end.saturating_add(STEP_SECONDS - 1) / STEP_SECONDS * STEP_SECONDS;
        let joint = if path.contains('?') { '&' } else { '?' };
        let signed = format!("{path}{joint}{EXPIRES}{end}");
        let mac = self.0.clone().chain_update(&signed).finalize().into_bytes();
        let digits: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{signed}{SIGNATURE}{digits}")
    }

    /// Whether a request needs no token.
    pub(crate) fn allows(&self, method: &Method, uri: &Uri, now: Timestamp) -> bool {
        matches!(*method, Method::GET | Method::HEAD) && self.verify(uri, now)
    }

    fn verify(&self, uri: &Uri, now: Timestamp) -> bool {
        let verified = || {
            let (signed, digits) = uri.path_and_query()?.as_str().rsplit_once(SIGNATURE)?;
            let (_, end) = signed.rsplit_once(EXPIRES)?;
            let mac: Option<Vec<u8>> = digits
                .as_bytes()
                .chunks(2)
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
                .collect();
            self.0.clone().chain_update(signed).verify_slice(&mac?).ok()?;
            (now.as_second() <= end.parse().ok()?).then_some(())
        };
        verified().is_some()
    }
}

/// The validity of a URL that a client asks for, in seconds.
pub(crate) fn validity(param: &str, seconds: u64) -> Result<Duration> {
    match seconds {
        1..=MAX_SECONDS => Ok(Duration::from_secs(seconds)),
        _ => Err(Error::bad_param(param, format!("Give a number of seconds from 1 to {MAX_SECONDS}."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_signature_holds_for_its_path_its_query_and_its_time() {
        let signer = UrlSigner::new(&[7; 32]);
        for path in ["/objects/6-1-face-3-0/thumbnail/", "/videos/6/frame/?time=1.5&width=320"] {
            let url = signer.sign(path, at(1_000_000_000), HOUR);
            let valid = |url: &str, second: i64| signer.verify(&url.parse().unwrap(), at(second));
            assert!(valid(&url, 1_000_000_000) && valid(&url, 1_000_003_600), "{url}");
            assert!(!valid(&url, 1_000_003_661), "{url}");
            assert!(!valid(&url.replace("expires=1", "expires=2"), 1_000_000_000));
            assert!(!valid(&url.replace("/6", "/7"), 1_000_000_000));
            assert!(!valid(path, 1_000_000_000) && !valid(url.get(..url.len() - 2).unwrap(), 1_000_000_000));
            assert!(!UrlSigner::new(&[8; 32]).verify(&url.parse().unwrap(), at(1_000_000_000)));
        }
    }

    #[test]
    fn a_url_stays_the_same_for_a_minute() {
        let signer = UrlSigner::new(&[7; 32]);
        let url = |second| signer.sign("/objects/a/thumbnail/", at(second), HOUR);
        assert_eq!(url(1_000_000_021), url(1_000_000_079));
        assert_ne!(url(1_000_000_021), url(1_000_000_081));
    }
}
