//! Error type for everything that can reach a user, and its kinds.
//!
//! Guarantees: [`Error::public`] never holds internal detail (paths, library messages, backtraces);
//! the cause travels as the `source` and goes to the log only. `host/api` maps a kind to an HTTP
//! status in one place.

use std::{error::Error as StdError, fmt};

/// A result whose error can reach a user.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Kind of a failure, by what a caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong; `param` names the offending field by its dotted path.
    BadParam,
    /// It does not exist, or no longer.
    NotFound,
    /// The client did not authenticate.
    Unauthorized,
    /// The client is authenticated and lacks the right to do this.
    PermissionDenied,
    /// The state of the resource does not allow this now.
    Conflict,
    /// The resource is no longer the one that the client wanted to change.
    PreconditionFailed,
    /// More bytes than the operator allows.
    TooLarge,
    /// Bytes in an encoding that is not supported.
    UnsupportedMedia,
    /// The server is shutting down or out of space; trying again later may work.
    Unavailable,
    /// A fault of the server or of the machine under it.
    Internal,
}

/// A failure: a kind, a sentence for the user, and the cause for the log.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    public: String,
    param: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error without a cause. `public` is the sentence for the user. For
    /// [`ErrorKind::BadParam`], which always names a parameter, use [`Error::bad_param`].
    pub fn new(kind: ErrorKind, public: impl Into<String>) -> Self {
        Self { kind, public: public.into(), param: None, source: None }
    }

    /// A wrong value. `param` is the dotted path of the field
    /// (`stream_settings.detectors.face.roi`), the name of a query parameter or a header, or `body`
    /// for the body as a whole.
    pub fn bad_param(param: impl Into<String>, public: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..Self::new(ErrorKind::BadParam, public) }
    }

    /// `what` as the vendor's API spells it: `VideoArchive`, `Object`.
    pub fn not_found(what: &str) -> Self {
        Self::new(ErrorKind::NotFound, format!("No {what} matches the given query."))
    }

    /// An internal fault. The user only learns that there was one; `source` goes to the log.
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Internal, "Internal server error.").because(source)
    }

    /// Attaches the cause, for the log.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Its kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence for the user.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// The offending parameter of the request; see [`Error::bad_param`]. `None` for the other
    /// kinds.
    pub fn param(&self) -> Option<&str> {
        self.param.as_deref()
    }
}

/// For the log: parameter, sentence and causes.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(param) = &self.param {
            write!(f, "{param}: ")?;
        }
        f.write_str(&self.public)?;
        // An error often has the same sentence as the one that it was converted from: it is written
        // once.
        let mut written = self.public.clone();
        let mut cause = self.source.as_deref().map(|e| e as &dyn StdError);
        while let Some(e) = cause {
            let text = e.downcast_ref::<Self>().map_or_else(|| e.to_string(), |e| e.public.clone());
            if text != written {
                write!(f, ": {text}")?;
            }
            (written, cause) = (text, e.source());
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_gets_every_cause_once_and_the_user_none() {
        let disk = Error::internal("sector 5");
        assert_eq!(disk.to_string(), "Internal server error.: sector 5");
        let unreadable = Error::new(ErrorKind::Conflict, "The source cannot be read.").because(disk);
        let error = Error::bad_param("url", "The source cannot be read.").because(unreadable);
        assert_eq!(error.public(), "The source cannot be read.");
        assert_eq!(error.to_string(), "url: The source cannot be read.: Internal server error.: sector 5");
    }
}
