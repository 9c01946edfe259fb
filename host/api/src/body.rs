//! Request bodies, read chunk by chunk, with limits of size and idle time.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::header::CONTENT_LENGTH,
};
use bytes::Bytes;
use http_body_util::BodyExt;
use ocellus_core::{Error, ErrorKind, Result};
use serde_json::{Map, Value};

use crate::{Api, error::ApiError};

/// Time without data after which the client of a body is considered gone.
const IDLE: Duration = Duration::from_secs(60);
/// Far above any document of this API.
const MAX_JSON_BYTES: usize = 1 << 20;
/// `param` of a refusal for the body as a whole.
pub(crate) const BODY: &str = "body";

/// The next chunk, never an empty one; `None` at the announced end. A truncated body is an error.
pub(crate) async fn next_chunk(body: &mut Body) -> Result<Option<Bytes>> {
    loop {
        let frame = tokio::time::timeout(IDLE, body.frame())
            .await
            .map_err(|_| Error::bad_param(BODY, format!("No data was received for {} seconds.", IDLE.as_secs())))?;
        match frame {
            None => return Ok(None),
            Some(Err(e)) => return Err(Error::bad_param(BODY, "The body broke off before its end.").because(e)),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data()
                    && !data.is_empty()
                {
                    return Ok(Some(data));
                }
            }
        }
    }
}

pub(crate) fn too_large(limit: u64) -> Error {
    Error::new(ErrorKind::TooLarge, format!("The body is larger than {limit} bytes."))
}

/// `Content-Length`; `None` for a body of unknown length.
pub(crate) fn announced(request: &Request) -> Option<u64> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A whole body, of at most `most` bytes.
pub(crate) async fn whole(request: Request, most: usize) -> Result<Vec<u8>> {
    if announced(&request).is_some_and(|n| n > most as u64) {
        return Err(too_large(most as u64));
    }
    let mut body = request.into_body();
    let mut bytes = Vec::new();
    while let Some(chunk) = next_chunk(&mut body).await? {
        if bytes.len() + chunk.len() > most {
            return Err(too_large(most as u64));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// A body that is one JSON object; an empty body is an empty object. `Content-Type` is ignored: no
/// other format is accepted.
pub(crate) struct JsonObject(pub(crate) Map<String, Value>);

impl FromRequest<Arc<Api>> for JsonObject {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<Api>) -> Result<Self, ApiError> {
        let bytes = whole(request, MAX_JSON_BYTES).await?;
        if bytes.is_empty() {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(map)) => Ok(Self(map)),
            Ok(_) => Err(Error::bad_param(BODY, "Invalid data. Expected a JSON object.").into()),
            Err(e) => Err(Error::bad_param(BODY, format!("JSON parse error - {e}")).into()),
        }
    }
}
