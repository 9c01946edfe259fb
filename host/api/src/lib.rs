//! HTTP API of the server: routes, access, errors, pages, OpenAPI.
//!
//! Owns what goes over the wire, including FindFace's JSON, and no rules about videos and jobs: a
//! handler reads a request, calls the [`Engine`] or its archive, and writes a response. The routes
//! and the OpenAPI document come from the same declarations (`routes`).
//!
//! Guarantees: whatever a client sends, the answer is a response of the documented shape. No error
//! body holds more than [`ocellus_core::Error::public`] allows. An upload is read in constant
//! memory; other bodies are limited (JSON 1 MiB, a picture to search with 32 MiB).
//! Nothing here outlives [`serve`]: it returns once every connection is closed or the time for that
//! is over.

mod access;
mod auth;
mod base_url;
mod body;
mod cameras;
mod conditional;
mod deliveries;
mod docs;
mod documented;
mod error;
mod event_stream;
mod file_body;
mod health;
mod http_metrics;
mod log;
mod media_type;
mod metrics;
mod objects;
mod openapi;
mod page;
mod path;
mod picture;
mod picture_urls;
mod plugins;
mod query;
mod recent_log;
mod rounding;
mod routes;
mod serve;
mod signed_url;
mod state;
mod time;
mod trace;
mod transfer;
mod ui;
mod unread;
mod url_signer;
mod videos;

pub use access::{Access, AdminToken, InvalidToken};
pub use metrics::metrics_router;
pub use picture_urls::picture_urls;
pub use recent_log::{LogLevel, LogLine, RecentLog};
pub use routes::{openapi_document, router};
pub use serve::{ConnectionLimits, Tls, TlsError, serve};
pub use state::{Api, ApiConfig};
pub use url_signer::UrlSigner;

pub(crate) use state::blocking;
