//! File in the body of a request: the body itself, or the one file of a multipart form.
//!
//! Owns which bodies are accepted as a file. A range of a file, compressed bytes and the fields of
//! a form are refused: stored as they arrive, they would not be the file.

use axum::{
    body::Body,
    extract::Request,
    http::{
        HeaderMap,
        header::{CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE},
    },
};
use bytes::Bytes;
use futures_util::stream;
use multer::{Field, Multipart};
use ocellus_core::{Error, ErrorKind, Result};

use crate::body::{BODY, next_chunk, too_large};

/// Advice of the error messages.
const ADVICE: &str = "send the file itself as the body (curl -T FILE)";

pub(crate) enum FileBody {
    Plain(Body),
    Form(Box<Form>),
}

pub(crate) struct Form {
    parts: Multipart<'static>,
    /// The field that holds the file, while it is read.
    file: Option<Field<'static>>,
    found_file: bool,
}

impl FileBody {
    /// Decides by the headers, and reads nothing of the body.
    ///
    /// # Errors
    /// `BadParam` with the name of the header, and `UnsupportedMedia`, for what is not a file.
    pub(crate) fn open(request: Request) -> Result<Self> {
        let headers = request.headers();
        if headers.contains_key(CONTENT_RANGE) {
            return Err(Error::bad_param("Content-Range", "Parts of a file are not taken: send the whole file."));
        }
        let value = |name| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
        let encoding = value(CONTENT_ENCODING);
        if !matches!(encoding.as_str(), "" | "identity") {
            let reason = format!("Bodies in the encoding {encoding:?} are not taken: {ADVICE}.");
            return Err(Error::new(ErrorKind::UnsupportedMedia, reason));
        }
        let media = value(CONTENT_TYPE);
        if media.starts_with("application/x-www-form-urlencoded") {
            // `curl -d` silently strips line breaks.
            let reason = format!("Clients change a file that they send as the fields of a form: {ADVICE}.");
            return Err(Error::bad_param("Content-Type", reason));
        }
        if !media.starts_with("multipart/") {
            return Ok(Self::Plain(request.into_body()));
        }
        let boundary = boundary(headers).ok_or_else(|| {
            Error::bad_param("Content-Type", format!("The form has no boundary between its parts: {ADVICE}."))
        })?;
        let chunks = stream::unfold(request.into_body(), |mut body| async move {
            next_chunk(&mut body).await.transpose().map(|chunk| (chunk, body))
        });
        Ok(Self::Form(Box::new(Form { parts: Multipart::new(chunks, boundary), file: None, found_file: false })))
    }

    /// Whether the body is the file, so that its length is known from the headers.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// The next bytes of the file; `None` at its end.
    ///
    /// # Errors
    /// As [`next_chunk`]; `BadParam` for a form with several files or with none.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        match self {
            Self::Plain(body) => next_chunk(body).await,
            Self::Form(form) => form.next().await,
        }
    }

    /// The whole file.
    ///
    /// # Errors
    /// As [`Self::next`]; `TooLarge` for more than `most` bytes.
    pub(crate) async fn whole(mut self, most: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.next().await? {
            if bytes.len() + chunk.len() > most {
                return Err(too_large(most as u64));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}

fn boundary(headers: &HeaderMap) -> Option<String> {
    multer::parse_boundary(headers.get(CONTENT_TYPE)?.to_str().ok()?).ok()
}

impl Form {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(file) = &mut self.file {
                match file.chunk().await.map_err(unreadable)? {
                    Some(bytes) if bytes.is_empty() => continue,
                    Some(bytes) => return Ok(Some(bytes)),
                    None => self.file = None,
                }
            }
            match self.parts.next_field().await.map_err(unreadable)? {
                Some(part) if part.file_name().is_none() => {}
                Some(_) if self.found_file => {
                    return Err(Error::bad_param(BODY, "The form holds more than one file."));
                }
                Some(file) => (self.file, self.found_file) = (Some(file), true),
                None if self.found_file => return Ok(None),
                None => return Err(Error::bad_param(BODY, format!("The form holds no file: {ADVICE}."))),
            }
        }
    }
}

fn unreadable(error: multer::Error) -> Error {
    match error {
        multer::Error::StreamReadFailed(cause) => match cause.downcast::<Error>() {
            Ok(error) => *error,
            Err(cause) => Error::bad_param(BODY, "The form cannot be read.").because(cause),
        },
        error => Error::bad_param(BODY, "The form cannot be read.").because(error),
    }
}
