//! One error type for everything that can reach a user, and its kinds.
//!
//! Guarantees: [`Error::public`] never holds internal detail (paths, library messages, SQL, back
//! traces); what happened inside travels in `source` and goes to the log only. `host/api` maps a
//! kind to an HTTP status in one place.

use std::{error::Error as StdError, fmt};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong; `param` names the offending field by its dotted path.
    BadParam,
    /// No such thing (any more).
    NotFound,
    /// Who asks is not known.
    Unauthorized,
    /// Who asks is known and may not.
    PermissionDenied,
    /// The thing is in a state that does not allow this now.
    Conflict,
    /// More bytes than the operator allows.
    TooLarge,
    /// The server is going down or has no room; trying again later may work.
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
    pub fn new(kind: ErrorKind, public: impl Into<String>) -> Self {
        Self { kind, public: public.into(), param: None, source: None }
    }

    /// A wrong value; `param` is the dotted path of the field
    /// (`stream_settings.detectors.face.roi`).
    pub fn bad_param(param: impl Into<String>, public: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..Self::new(ErrorKind::BadParam, public) }
    }

    /// `what` as the vendor's API spells it: `VideoArchive`, `Object`.
    pub fn not_found(what: &str) -> Self {
        Self::new(ErrorKind::NotFound, format!("No {what} matches the given query."))
    }

    /// A fault inside; the user only learns that there was one.
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Internal, "Internal server error.").because(source)
    }

    /// Attaches the cause, for the log.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence for the user.
    pub fn public(&self) -> &str {
        &self.public
    }

    pub fn param(&self) -> Option<&str> {
        self.param.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(param) = &self.param {
            write!(f, "{param}: ")?;
        }
        f.write_str(&self.public)?;
        let mut cause = self.source.as_deref().map(|e| e as &dyn StdError);
        while let Some(e) = cause {
            write!(f, ": {e}")?;
            cause = e.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}
