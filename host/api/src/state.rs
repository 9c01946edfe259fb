//! State that all handlers share.

use std::sync::Arc;

use ocellus_core::{Clock, Error, ErrorKind, Result};
use ocellus_pipeline::Engine;

use crate::{access::Access, http_metrics::HttpMetrics, recent_log::RecentLog, url_signer::UrlSigner};

/// Configuration by the operator.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// Limit of the size of a source file, in bytes; `None` is no limit.
    pub max_upload_bytes: Option<u64>,
    /// The values that `camera_group` may have.
    pub camera_groups: Vec<i64>,
    /// The values that `camera` may have, beside null.
    pub cameras: Vec<i64>,
    /// Beginning of absolute URLs, for example `https://archive.example.org`; `None` takes the host
    /// of the request.
    pub public_url: Option<String>,
    /// Origins whose pages may use the API (CORS), for example `https://board.example.org`; `*` is
    /// any. Where there are none, no CORS header is sent.
    pub cors_origins: Vec<String>,
    /// Signs URLs that need no token; `None` signs none.
    pub url_signer: Option<UrlSigner>,
    /// Whether connections are encrypted: absolute URLs begin with `https` then.
    pub https: bool,
    /// The newest lines of the server's log.
    pub log: RecentLog,
}

impl Default for ApiConfig {
    fn default() -> Self {
        // The two groups that the vendor's server is installed with: -1 is that of video archives,
        // 1 the default one.
        Self {
            max_upload_bytes: None,
            camera_groups: vec![-1, 1],
            cameras: Vec::new(),
            public_url: None,
            cors_origins: Vec::new(),
            url_signer: None,
            https: false,
            log: RecentLog::default(),
        }
    }
}

/// State that all handlers share.
pub struct Api {
    /// Videos, jobs, deliveries, plugins and the archive.
    pub engine: Engine,
    /// Authentication for all routes except `/health/`, `/openapi.json`, `/ui/` and those that
    /// begin a session.
    pub access: Access,
    /// Configuration by the operator.
    pub config: ApiConfig,
    /// Current time, for filters such as `created_date_last_n_days`.
    pub clock: Arc<dyn Clock>,
    pub(crate) http: HttpMetrics,
}

impl Api {
    /// The state of a server that has had no request yet.
    ///
    /// # Errors
    /// `Internal` where the metrics cannot be registered, which would be a bug in their
    /// declarations.
    pub fn new(engine: Engine, access: Access, config: ApiConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        let http = HttpMetrics::new().map_err(Error::internal)?;
        Ok(Self { engine, access, config, clock, http })
    }

    /// The server's signer.
    ///
    /// # Errors
    /// `Unavailable` where it has none.
    pub(crate) fn url_signer(&self) -> Result<&UrlSigner> {
        let none = || Error::new(ErrorKind::Unavailable, "This server signs no URLs.");
        self.config.url_signer.as_ref().ok_or_else(none)
    }
}

/// Runs work that blocks (disk, plugins) on the runtime's pool for blocking tasks.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}
