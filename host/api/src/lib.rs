//! HTTP API of the server: routes, the token, errors, pages, OpenAPI.
//!
//! Owns what goes over the wire, FindFace's shapes among it, and nothing behind it. A handler reads
//! a request, asks the [`Engine`] or its archive, and writes a response; rules about videos and
//! jobs live there. The routes and the OpenAPI document come from the same declarations
//! ([`routes`]).
//!
//! Guarantees: whatever a client sends, the answer is a response of the documented shape. No error
//! body holds more than [`ocellus_core::Error::public`] allows. An upload is read in constant
//! memory; other bodies are limited (JSON 1 MiB, a picture to search with 32 MiB).
//! Nothing here outlives [`serve`]: it returns once every connection is closed or the time for that
//! is over.

mod auth;
mod base_url;
mod body;
mod deliveries;
mod error;
mod health;
mod objects;
mod openapi;
mod page;
mod path;
mod picture;
mod plugins;
mod query;
mod serve;
mod time;
mod trace;
mod unread;
mod videos;

use std::sync::Arc;

use axum::{Extension, Router, middleware, routing::any};
use ocellus_core::{Clock, Error, Result};
use ocellus_pipeline::Engine;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use auth::{AdminToken, InvalidToken};
pub use openapi::document as openapi_document;
pub use serve::{ConnectionLimits, serve};

/// Options of the operator.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// The largest source file that is taken, in bytes; `None` is no limit.
    pub max_upload_bytes: Option<u64>,
    /// The values that `camera_group` may have.
    pub camera_groups: Vec<i64>,
    /// The values that `camera` may have, beside null.
    pub cameras: Vec<i64>,
    /// Beginning of absolute URLs, for example `https://archive.example.org`; `None` takes the host
    /// of the request.
    pub public_url: Option<String>,
}

impl Default for ApiConfig {
    fn default() -> Self {
        // The two groups that the vendor's server is installed with: -1 is that of video archives,
        // 1 the default one.
        Self { max_upload_bytes: None, camera_groups: vec![-1, 1], cameras: Vec::new(), public_url: None }
    }
}

/// State that all handlers share.
pub struct Api {
    /// Videos, jobs, deliveries, plugins and the archive.
    pub engine: Engine,
    /// Opens every route but `/health/` and `/openapi.json`.
    pub token: AdminToken,
    /// Options of the operator.
    pub config: ApiConfig,
    /// The present, for filters such as `created_date_last_n_days`.
    pub clock: Arc<dyn Clock>,
}

/// The routes behind the token.
fn guarded() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(videos::list::list, videos::create::create))
        .routes(routes!(videos::count::count))
        .routes(routes!(videos::read::read, videos::replace::replace, videos::patch::patch, videos::delete::delete))
        .routes(routes!(videos::delete_file::delete_file))
        .routes(routes!(videos::upload::upload))
        .routes(routes!(videos::process::process))
        .routes(routes!(videos::stop::stop))
        .routes(routes!(videos::screenshot::screenshot, videos::screenshot::retake))
        .routes(routes!(videos::replay::replay))
        .routes(routes!(videos::replay::decisions))
        .routes(routes!(objects::list::list))
        .routes(routes!(videos::clusters::list))
        .routes(routes!(videos::clusters::objects))
        .routes(routes!(objects::events::faces))
        .routes(routes!(objects::events::bodies))
        .routes(routes!(objects::events::cars))
        .routes(routes!(objects::search::everywhere))
        .routes(routes!(objects::search::in_video))
        .routes(routes!(objects::picture::thumbnail))
        .routes(routes!(objects::picture::fullframe))
        .routes(routes!(deliveries::list::list))
        .routes(routes!(deliveries::retry::one))
        .routes(routes!(deliveries::retry::all))
        .routes(routes!(plugins::plugins))
        .routes(routes!(plugins::plugin, plugins::install, plugins::remove))
        .routes(routes!(plugins::candidate, plugins::install_candidate, plugins::remove_candidate))
        .routes(routes!(plugins::trace))
}

/// Routes for anyone.
fn open() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(health::health)).routes(routes!(openapi::openapi))
}

/// The service, ready for [`serve`].
pub fn router(api: Api) -> Router {
    let api = Arc::new(api);
    let guarded = guarded().route_layer(middleware::from_fn_with_state(Arc::clone(&api), auth::require_token));
    let (router, document) =
        OpenApiRouter::with_openapi(openapi::base()).merge(open()).merge(guarded).split_for_parts();
    let without_slash =
        document.paths.paths.keys().filter_map(|path| path.strip_suffix('/')).map(str::to_owned).collect::<Vec<_>>();
    without_slash
        .iter()
        .fold(router, |router, path| router.route(path, any(path::add_slash)))
        .fallback(path::unknown)
        .method_not_allowed_fallback(path::wrong_method)
        .layer(Extension(openapi::Document::new(document)))
        .layer(middleware::from_fn(unread::close))
        .layer(middleware::from_fn_with_state(Arc::clone(&api), auth::recognise))
        .layer(middleware::from_fn(trace::trace))
        .with_state(api)
}

/// Runs work that waits for the disk on a thread that may wait.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}
