//! `GET /openapi.json`: the document that the routes make of themselves.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use ocellus_core::SettingsSchema;
use serde_json::Value;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        OpenApi as Doc, Ref,
        security::{ApiKey, ApiKeyValue, SecurityScheme},
    },
};
use utoipa_axum::router::OpenApiRouter;

use crate::{Api, error::ApiError};

const SETTINGS: &str = "StreamSettings";

/// Refers to the settings' own JSON Schema, which is put in when the document is asked for: it depends on what is
/// installed.
pub(crate) fn settings() -> Ref {
    Ref::from_schema_name(SETTINGS)
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Ocellus",
        description = "A server for video archives: a recording goes in, its faces, bodies and vehicles come out. The paths under /videos/ are those of the FindFace Multi 2 Videos API.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    modifiers(&TokenScheme),
    security(("token" = [])),
    tags(
        (name = "videos", description = "Archive records, their sources and their processing."),
        (name = "objects", description = "What was found in a video."),
        (name = "deliveries", description = "Objects on their way to the router of their video."),
        (name = "plugins", description = "WebAssembly components that filter, track and route."),
        (name = "server", description = "The server itself."),
    ),
)]
struct Base;

struct TokenScheme;

impl Modify for TokenScheme {
    fn modify(&self, document: &mut Doc) {
        let components = document.components.get_or_insert_default();
        // OpenAPI has no name for Django's scheme; as a key in a header it is described in full.
        let header = ApiKeyValue::with_description("Authorization", "`Token <token>`, as printed at the first start.");
        components.add_security_scheme("token", SecurityScheme::ApiKey(ApiKey::Header(header)));
        components.schemas.insert("Error".into(), crate::error::schema());
    }
}

/// The document before any route is added.
pub(crate) fn base() -> Doc {
    Base::openapi()
}

/// What the routes made, kept for requests.
#[derive(Clone)]
pub(crate) struct Document(Arc<Doc>);

impl Document {
    pub(crate) fn new(document: Doc) -> Self {
        Self(Arc::new(document))
    }

    fn with_settings(&self, schema: &SettingsSchema) -> serde_json::Result<Value> {
        let mut document = serde_json::to_value(&*self.0)?;
        if let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
            schemas.insert(SETTINGS.into(), schema.document().clone());
        }
        Ok(document)
    }
}

/// The OpenAPI 3.1 document of a server with these settings.
///
/// # Errors
/// Where the document cannot be written as JSON, which would be a fault of the declarations.
pub fn document(schema: &SettingsSchema) -> serde_json::Result<Value> {
    let routes: OpenApiRouter<Arc<Api>> = OpenApiRouter::with_openapi(base()).merge(crate::open()).merge(crate::guarded());
    Document::new(routes.into_openapi()).with_settings(schema)
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "server", operation_id = "openapi", security(()),
    responses((status = 200, description = "OpenAPI 3.1.", body = Object)),
)]
pub(crate) async fn openapi(State(api): State<Arc<Api>>, Extension(document): Extension<Document>) -> Result<Json<Value>, ApiError> {
    let schema = api.engine.settings_schema()?;
    Ok(Json(document.with_settings(&schema).map_err(ocellus_core::Error::internal)?))
}
