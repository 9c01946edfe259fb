//! Signatures by Standard Webhooks, symmetric (`v1`): HMAC-SHA-256 over `id.timestamp.body`.
//!
//! The standard's libraries expect a body of JSON text. For a form, the digests of its parts are
//! signed besides its bytes, and sent as a header that those libraries can verify.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use ocellus_core::{ObjectId, Timestamp};
use sha2::Sha256;

/// Lengths of a secret that the standard allows, in bytes.
const LENGTH: std::ops::RangeInclusive<usize> = 24..=64;

/// The header that holds the digests of a form's parts.
const PART_DIGESTS: &str = "webhook-part-digests";

/// Secret by which receivers verify requests of this server. Written `whsec_<base64>`; never
/// printed.
#[derive(Clone)]
pub struct SigningSecret(Hmac<Sha256>);

impl FromStr for SigningSecret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = text.strip_prefix("whsec_").and_then(|encoded| STANDARD.decode(encoded).ok());
        let bytes = bytes.ok_or("expected whsec_ and the secret in base64")?;
        if !LENGTH.contains(&bytes.len()) {
            return Err(format!(
                "a secret of {} bytes; {} to {} are allowed",
                bytes.len(),
                LENGTH.start(),
                LENGTH.end()
            ));
        }
        Hmac::new_from_slice(&bytes).map(Self).map_err(|e| e.to_string())
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

impl SigningSecret {
    /// The headers of an attempt made now. `digests` are those of a form's parts.
    pub(crate) fn headers(
        &self,
        id: &ObjectId,
        now: Timestamp,
        body: &[u8],
        digests: Option<&str>,
    ) -> Vec<(&'static str, String)> {
        let seconds = now.as_second();
        let sign = |payload: &[u8]| {
            let mac = self.0.clone().chain_update(format!("{id}.{seconds}.")).chain_update(payload).finalize();
            format!("v1,{}", STANDARD.encode(mac.into_bytes()))
        };
        let mut signatures = vec![sign(body)];
        signatures.extend(digests.map(|digests| sign(digests.as_bytes())));
        let mut headers = vec![
            ("webhook-id", id.to_string()),
            ("webhook-timestamp", seconds.to_string()),
            ("webhook-signature", signatures.join(" ")),
        ];
        headers.extend(digests.map(|digests| (PART_DIGESTS, digests.to_owned())));
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_equals_that_of_another_implementation() {
        // Computed with Python's hmac.
        let secret: SigningSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        let now = Timestamp::from_second(1_614_265_330).unwrap();
        let id = "7-1-face-3-0".parse().unwrap();
        let headers = secret.headers(&id, now, br#"{"test": 2432232314}"#, None);
        let expected = [
            ("webhook-id", "7-1-face-3-0"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", "v1,syEYEf+QmUg3Ub7ej5UqGtfSgRfIF2QbS3agBYoYwwI="),
        ];
        assert_eq!(headers, expected.map(|(name, value)| (name, value.to_owned())));

        let form = secret.headers(&id, now, b"form", Some(r#"{"test": 2432232314}"#));
        let signature = |headers: &[(&str, String)]| headers[2].1.clone();
        assert_eq!(
            signature(&form),
            format!("{} {}", signature(&secret.headers(&id, now, b"form", None)), signature(&headers))
        );
        assert_eq!(form[3], (PART_DIGESTS, r#"{"test": 2432232314}"#.to_owned()));
    }

    #[test]
    fn an_invalid_secret_is_refused_and_a_valid_one_is_not_printed() {
        for bad in ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_%%%", "whsec_c2hvcnQ="] {
            assert!(bad.parse::<SigningSecret>().is_err(), "{bad}");
        }
        let secret: SigningSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        assert!(!format!("{secret:?}").contains("49"), "{secret:?}");
    }
}
