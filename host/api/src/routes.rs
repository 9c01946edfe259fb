//! Routes of the API, and the middleware that all of them share.

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::Request,
    middleware,
    response::Redirect,
    routing::{any, get, post, put},
};
use ocellus_core::SettingsSchema;
use serde_json::Value;
use tower::ServiceExt;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api, auth, base_url, cameras, deliveries, docs, event_stream, health, log, metrics, objects, openapi, path,
    plugins, signed_url, trace, transfer, ui, unread, videos,
};

const DETECT: &str = "/detect";

/// The routes for clients with a token.
fn guarded() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(videos::list::list, videos::create::create))
        .routes(routes!(videos::count::count))
        .routes(routes!(videos::read::read, videos::replace::replace, videos::patch::patch, videos::delete::delete))
        .routes(routes!(videos::delete_file::delete_file, videos::source_file::file))
        .routes(routes!(videos::source_file::source_file))
        .routes(routes!(videos::frame::frame))
        .routes(routes!(signed_url::sign))
        .routes(routes!(videos::upload::upload))
        // `curl -T FILE URL/` adds the file's name to the URL.
        .route("/videos/{id}/upload/source_file/{name}", put(videos::upload::upload))
        .route("/videos/{id}/uploads/", videos::resumable::uploads())
        .route("/videos/{id}/uploads/{upload}/", videos::resumable::upload())
        .routes(routes!(videos::process::process))
        .routes(routes!(videos::stop::stop))
        .routes(routes!(videos::screenshot::screenshot, videos::screenshot::retake))
        .routes(routes!(videos::replay::replay))
        .routes(routes!(videos::replay::decisions))
        .routes(routes!(videos::tracks::tracks))
        .routes(routes!(objects::list::list))
        .routes(routes!(objects::clusters::list::list))
        .routes(routes!(objects::clusters::list::objects))
        .routes(routes!(objects::clusters::correct::read, objects::clusters::correct::name))
        .routes(routes!(objects::clusters::correct::merge))
        .routes(routes!(objects::clusters::correct::take_out))
        .routes(routes!(objects::clusters::corrections::list))
        .routes(routes!(objects::clusters::corrections::undo))
        .routes(routes!(objects::events::routes::faces))
        .routes(routes!(objects::events::routes::count_faces))
        .routes(routes!(objects::events::routes::face))
        .routes(routes!(objects::events::routes::bodies))
        .routes(routes!(objects::events::routes::count_bodies))
        .routes(routes!(objects::events::routes::body))
        .routes(routes!(objects::events::routes::cars))
        .routes(routes!(objects::events::routes::count_cars))
        .routes(routes!(objects::events::routes::car))
        .routes(routes!(objects::detect::detect))
        // Clients of the vendor's server send forms to it; some of them cannot send a form again
        // after a redirect.
        .route(DETECT, post(objects::detect::detect))
        .routes(routes!(objects::search::everywhere))
        .routes(routes!(objects::search::in_video))
        .routes(routes!(objects::read::read))
        .routes(routes!(objects::picture::thumbnail))
        .routes(routes!(objects::picture::fullframe))
        .routes(routes!(objects::clusters::list::faces))
        .routes(routes!(objects::clusters::list::bodies))
        .routes(routes!(objects::clusters::list::cars))
        .routes(routes!(cameras::groups))
        .routes(routes!(cameras::group))
        .routes(routes!(cameras::cameras))
        .routes(routes!(cameras::camera))
        .routes(routes!(videos::defaults::defaults))
        .routes(routes!(deliveries::list::list))
        .routes(routes!(deliveries::retry::one))
        .routes(routes!(deliveries::retry::all))
        .routes(routes!(plugins::plugins))
        .routes(routes!(plugins::plugin, plugins::install, plugins::remove))
        .routes(routes!(plugins::canary, plugins::install_canary, plugins::remove_canary))
        .routes(routes!(plugins::promote))
        .routes(routes!(plugins::trace))
        .routes(routes!(event_stream::stream))
        .routes(routes!(metrics::metrics))
        .routes(routes!(log::lines))
        .routes(routes!(auth::tokens::list, auth::tokens::add))
        .routes(routes!(auth::tokens::revoke))
        .routes(routes!(auth::session::logout))
        .routes(routes!(auth::session::me))
        .routes(routes!(auth::browser::read))
}

/// Routes for anyone.
fn open() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(health::health))
        .routes(routes!(openapi::openapi))
        .routes(routes!(auth::session::login))
        .routes(routes!(auth::browser::begin, auth::browser::end))
}

/// The service, ready for [`serve`].
pub fn router(api: Arc<Api>) -> Router {
    let guarded = guarded().route_layer(middleware::from_fn_with_state(Arc::clone(&api), auth::require_scope));
    let (router, mut document) =
        OpenApiRouter::with_openapi(openapi::base()).merge(open()).merge(guarded).split_for_parts();
    openapi::document_access(&mut document);
    let without_slash = document
        .paths
        .paths
        .keys()
        .filter_map(|path| path.strip_suffix('/'))
        .filter(|path| *path != DETECT)
        .map(str::to_owned)
        .collect::<Vec<_>>();
    let prefix = base_url::public_path(&api.config);
    // Where clients of the vendor's server look for the document.
    let router = router.route("/swagger.json", get(openapi::openapi)).route("/api-docs/", get(openapi::openapi));
    let router = router
        .route("/docs/", get(docs::page))
        .route("/docs/{*file}", get(docs::file))
        .route("/docs", any(path::add_slash))
        .route("/ui/", get(ui::page))
        .route("/ui/{*file}", get(ui::file))
        .route("/ui", any(path::add_slash))
        .route("/", any(ui::root));
    let router = without_slash
        .iter()
        .fold(router, |router, path| router.route(path, any(path::add_slash)))
        .fallback(path::unknown_path)
        .method_not_allowed_fallback(path::wrong_method)
        .layer(Extension(openapi::Document::new(document)))
        .layer(transfer::compression())
        .layer(middleware::from_fn(unread::close))
        .layer(middleware::from_fn_with_state(Arc::clone(&api), auth::identify))
        .layer(transfer::cors(&api.config.cors_origins))
        .layer(middleware::from_fn_with_state(api.http.clone(), trace::trace))
        .with_state(api);
    match prefix {
        // A layer of the router itself would see the path after it was routed.
        Some(prefix) => {
            let root = format!("{prefix}/");
            Router::new()
                // A segment may begin as parameters of older versions of axum did.
                .without_v07_checks()
                .route(&prefix, any(move || async move { Redirect::permanent(&root) }))
                .fallback_service(
                    router.map_request(move |request: Request| base_url::without_prefix(request, &prefix)),
                )
        }
        None => router,
    }
}

/// The OpenAPI 3.1 document of a server with these settings.
///
/// # Errors
/// Where the document cannot be written as JSON, which would be a bug in the declarations.
pub fn openapi_document(schema: &SettingsSchema) -> serde_json::Result<Value> {
    let routes: OpenApiRouter<Arc<Api>> = OpenApiRouter::with_openapi(openapi::base()).merge(open()).merge(guarded());
    let mut document = routes.into_openapi();
    openapi::document_access(&mut document);
    openapi::Document::new(document).with_settings(schema)
}
