//! `GET /openapi.json`: the document that is generated from the routes.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{
        HeaderMap, Method, Uri,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use ocellus_core::{Error, SettingsSchema};
use parking_lot::Mutex;
use serde_json::Value;
use utoipa::{
    IntoResponses, Modify, OpenApi, PartialSchema, ToSchema,
    openapi::{
        KnownFormat, ObjectBuilder, OpenApi as Doc, Ref, RefOr, Schema, SchemaFormat, Server, ServerBuilder, Type,
        security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme},
    },
};

use crate::{
    Api,
    auth::cookie,
    base_url::BaseUrl,
    error::{self, ApiError},
};

const SETTINGS: &str = "StreamSettings";
const SERVERS: &str = "servers";

/// Bytes of a file or a picture: `string` in the format `binary`, which is how generators know a
/// body that is not JSON.
pub(crate) enum Binary {}

impl PartialSchema for Binary {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::Binary);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
    }
}

impl ToSchema for Binary {}

/// Reference to the settings' own JSON Schema, which is inserted when the document is requested: it
/// depends on the installed plugins and detectors.
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
    security(("token" = []), ("bearer" = []), ("session" = [])),
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
        let header = ApiKeyValue::with_description(
            "Authorization",
            "`Token <token>`: a token of `ocellus token add`, of `/auth/login/`, or the one that the first start leaves \
             in `admin.token` in the data folder.",
        );
        components.add_security_scheme("token", SecurityScheme::ApiKey(ApiKey::Header(header)));
        // The same tokens, for clients that support only the scheme Bearer.
        components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        let session = ApiKeyValue::with_description(
            cookie::NAME,
            "Of `/auth/session/`, for a page of this server: a request that changes something needs its `Origin`, too.",
        );
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(session)));
        components.add_security_scheme("basic", SecurityScheme::Http(Http::new(HttpAuthScheme::Basic)));
        components.schemas.insert("Error".into(), error::schema());
    }
}

/// The document before any route is added.
pub(crate) fn base() -> Doc {
    let mut document = Base::openapi();
    document.servers = Some(vec![server("/")]);
    document
}

/// The server as clients reach it: a path at the host that the document was read from.
fn server(path: &str) -> Server {
    ServerBuilder::new().url(path).description(Some("This server.")).build()
}

/// Adds 429, and 403 where a scope or the origin can be refused, to the operations that need a
/// token.
pub(crate) fn document_access(document: &mut Doc) {
    for item in document.paths.paths.values_mut() {
        let methods = [
            (Method::GET, &mut item.get),
            (Method::PUT, &mut item.put),
            (Method::POST, &mut item.post),
            (Method::PATCH, &mut item.patch),
            (Method::DELETE, &mut item.delete),
        ];
        for (method, operation) in methods {
            let Some(operation) = operation.as_mut().filter(|o| o.responses.responses.contains_key("401")) else {
                continue;
            };
            let responses = &mut operation.responses.responses;
            responses.extend(error::TooManyRequests::responses());
            // For a token with too small a scope, or a cookie that another site's page sent.
            if method != Method::GET {
                responses.extend(error::Forbidden::responses());
            }
        }
    }
}

/// The generated document, kept for requests.
#[derive(Clone)]
pub(crate) struct Document(Arc<Inner>);

struct Inner {
    made: Doc,
    /// Its text without `servers`, and the settings that this has. The document needs no token, and
    /// clients may read it as slowly as they like: all of them share one copy.
    served: Mutex<Option<(Arc<SettingsSchema>, Bytes)>>,
}

impl Document {
    pub(crate) fn new(made: Doc) -> Self {
        Self(Arc::new(Inner { made, served: Mutex::new(None) }))
    }

    fn text(&self, schema: Arc<SettingsSchema>) -> serde_json::Result<Bytes> {
        let mut served = self.0.served.lock();
        if let Some((made_for, text)) = &*served
            && Arc::ptr_eq(made_for, &schema)
        {
            return Ok(text.clone());
        }
        let mut document = self.with_settings(&schema)?;
        if let Some(document) = document.as_object_mut() {
            document.remove(SERVERS);
        }
        let text = Bytes::from(serde_json::to_vec(&document)?);
        *served = Some((schema, text.clone()));
        Ok(text)
    }

    pub(crate) fn with_settings(&self, schema: &SettingsSchema) -> serde_json::Result<Value> {
        let mut document = serde_json::to_value(&self.0.made)?;
        if let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
            let mut settings = schema.document().clone();
            remove_object_defaults(&mut settings);
            schemas.insert(SETTINGS.into(), settings);
        }
        Ok(document)
    }
}

/// Removes defaults of objects, which generators of clients do not support: some leave out every
/// operation whose body has one. The meaning of an absent object is in the description of its key.
fn remove_object_defaults(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.get("default").is_some_and(Value::is_object) {
                map.remove("default");
            }
            map.values_mut().for_each(remove_object_defaults);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_object_defaults),
        _ => {}
    }
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "server", operation_id = "openapi", security(()),
    responses((status = 200, description = "OpenAPI 3.1.", body = Object)),
)]
pub(crate) async fn openapi(
    State(api): State<Arc<Api>>,
    Extension(document): Extension<Document>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let text = document.text(api.engine.settings_schema()?).map_err(Error::internal)?;
    // A proxy's path, which a request may name, goes before the shared copy.
    let servers = [server(&BaseUrl::of(&api.config, &uri, &headers).root())];
    let servers = serde_json::to_string(&servers).map_err(Error::internal)?;
    let begin = Bytes::from(format!("{{\"{SERVERS}\":{servers},"));
    let rest = text.slice(1..);
    let length = begin.len() + rest.len();
    let body = Body::from_stream(stream::iter([begin, rest].map(Ok::<_, Infallible>)));
    Ok(([(CONTENT_TYPE, "application/json".to_owned()), (CONTENT_LENGTH, length.to_string())], body).into_response())
}
