//! `/plugins/`, `/plugins/{name}/`, and below that `shadow/` and `trace/`

use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRequestParts, RawPathParams, Request, State},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use ocellus_core::{Error, ErrorKind, Result};
use ocellus_runtime::{InstallError, Refusal, RemoveError, Role};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::{
    Api, blocking,
    body::{self, BODY},
    documented,
    error::{ApiError, BadParam, Conflict, NotFound, TooLarge, Unauthorized},
    openapi::Binary,
};

/// Limit of a component, which is in memory as a whole.
const MOST_BYTES: usize = 64 << 20;

/// One component is compiled at a time. Requests wait for their turn without holding a thread.
static INSTALLING: Semaphore = Semaphore::const_new(1);

/// `{name}` of a plugin.
pub(crate) struct PluginPath(String);

impl<S: Send + Sync> FromRequestParts<S> for PluginPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| no_plugin())?;
        let name = params.iter().find(|(key, _)| *key == "name").map(|(_, value)| value.to_owned());
        name.map(Self).ok_or_else(|| no_plugin().into())
    }
}

fn no_plugin() -> Error {
    Error::not_found("Plugin")
}

/// Built-in plugins and those that users installed.
///
/// `origin` says which folder a plugin comes from: `user` or `shipped`. A user's overrides a
/// built-in one of the same name.
#[utoipa::path(
    get, path = "/plugins/", tag = "plugins", operation_id = "listPlugins",
    responses((status = 200, description = "Filters, trackers and routers, what they cost since the server's start, and what was refused and why.", body = documented::PluginList), Unauthorized),
)]
pub(crate) async fn plugins(State(api): State<Arc<Api>>) -> Json<Value> {
    Json(json!({"results": api.engine.plugins().list()}))
}

/// One plugin.
#[utoipa::path(
    get, path = "/plugins/{name}/", tag = "plugins", operation_id = "getPlugin",
    params(("name" = String, Path, description = "As settings call it.")),
    responses((status = 200, description = "The plugin.", body = documented::Plugin), Unauthorized, NotFound),
)]
pub(crate) async fn plugin(State(api): State<Arc<Api>>, PluginPath(name): PluginPath) -> Result<Json<Value>, ApiError> {
    get(&api, &name, Role::Active)
}

/// Installs a plugin, or replaces it.
///
/// The body is the component. It is checked and compiled, within limits of time and memory, before
/// anything changes; running jobs switch to it between two frames, with the state of the one
/// before, or keep the old one where the new one does not accept its state. It overrides a built-in
/// one of the same name, and is kept in the data folder.
#[utoipa::path(
    put, path = "/plugins/{name}/", tag = "plugins", operation_id = "installPlugin",
    params(("name" = String, Path, description = "As the component calls itself.")),
    request_body(content = inline(Binary), content_type = "application/wasm", description = "A component of a world of wit/."),
    responses((status = 200, description = "The plugin.", body = documented::Plugin), BadParam, Unauthorized, TooLarge),
)]
pub(crate) async fn install(
    State(api): State<Arc<Api>>,
    PluginPath(name): PluginPath,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    put(&api, name, Role::Active, request).await
}

/// Removes a user's plugin.
///
/// Running jobs that use it finish with it; new ones do not find it. Where a built-in one has the
/// same name, it is used again: running jobs switch to it. A built-in one cannot be removed: 409.
#[utoipa::path(
    delete, path = "/plugins/{name}/", tag = "plugins", operation_id = "removePlugin",
    params(("name" = String, Path, description = "As settings call it.")),
    responses((status = 204, description = "It is gone."), Unauthorized, NotFound, Conflict),
)]
pub(crate) async fn remove(State(api): State<Arc<Api>>, PluginPath(name): PluginPath) -> Result<StatusCode, ApiError> {
    delete(&api, name, Role::Active).await
}

/// The canary beside a plugin.
#[utoipa::path(
    get, path = "/plugins/{name}/shadow/", tag = "plugins", operation_id = "getCandidate",
    params(("name" = String, Path, description = "As settings call the plugin.")),
    responses((status = 200, description = "The canary.", body = documented::Plugin), Unauthorized, NotFound),
)]
pub(crate) async fn canary(State(api): State<Arc<Api>>, PluginPath(name): PluginPath) -> Result<Json<Value>, ApiError> {
    get(&api, &name, Role::Canary)
}

/// Puts a canary beside a plugin.
///
/// The body is the component. In every job it gets the same input as the plugin of its name,
/// without effect; how often its answers differ, and its cost, are in the plugin's `used.shadow`
/// and in the job's `statistic.plugins`.
#[utoipa::path(
    put, path = "/plugins/{name}/shadow/", tag = "plugins", operation_id = "installCandidate",
    params(("name" = String, Path, description = "As the component calls itself.")),
    request_body(content = inline(Binary), content_type = "application/wasm", description = "A component of a world of wit/."),
    responses((status = 200, description = "The canary.", body = documented::Plugin), BadParam, Unauthorized, TooLarge),
)]
pub(crate) async fn install_canary(
    State(api): State<Arc<Api>>,
    PluginPath(name): PluginPath,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    put(&api, name, Role::Canary, request).await
}

/// Removes a canary.
#[utoipa::path(
    delete, path = "/plugins/{name}/shadow/", tag = "plugins", operation_id = "removeCandidate",
    params(("name" = String, Path, description = "As settings call the plugin.")),
    responses((status = 204, description = "It is gone."), Unauthorized, NotFound, Conflict),
)]
pub(crate) async fn remove_canary(
    State(api): State<Arc<Api>>,
    PluginPath(name): PluginPath,
) -> Result<StatusCode, ApiError> {
    delete(&api, name, Role::Canary).await
}

/// Promotes a canary: it becomes the plugin.
///
/// Running jobs switch to it between two frames, as where a plugin is installed. It is not compiled
/// again. A canary that is not in the data folder cannot be promoted.
#[utoipa::path(
    post, path = "/plugins/{name}/shadow/promote/", tag = "plugins", operation_id = "promoteCandidate",
    params(("name" = String, Path, description = "As settings call the plugin.")),
    responses((status = 200, description = "The plugin.", body = documented::Plugin), Unauthorized, NotFound, Conflict),
)]
pub(crate) async fn promote(
    State(api): State<Arc<Api>>,
    PluginPath(name): PluginPath,
) -> Result<Json<Value>, ApiError> {
    let plugins = api.engine.plugins().clone();
    let promoted = blocking(move || match plugins.promote(&name) {
        // What was sent is no component here: its file cannot be read.
        Err(InstallError::Refused(refusal)) => Err(Error::internal(refusal)),
        promoted => promoted.map_err(not_installed),
    });
    Ok(Json(json!(promoted.await?.ok_or_else(no_plugin)?)))
}

/// The trace of a plugin's last fault.
///
/// `ocellus plugin test COMPONENT --trace FILE` reproduces the fault.
#[utoipa::path(
    get, path = "/plugins/{name}/trace/", tag = "plugins", operation_id = "getTrace",
    params(("name" = String, Path, description = "As settings call it.")),
    responses((status = 200, description = "The input of the session until it failed.", body = Object), Unauthorized, NotFound),
)]
pub(crate) async fn trace(State(api): State<Arc<Api>>, PluginPath(name): PluginPath) -> Result<Response, ApiError> {
    let plugins = api.engine.plugins().clone();
    let trace = blocking(move || plugins.last_trace(&name).map_err(Error::internal)).await?;
    let trace = trace.ok_or_else(|| Error::not_found("Trace"))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], trace).into_response())
}

fn get(api: &Api, name: &str, role: Role) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!(api.engine.plugins().info(name, role).ok_or_else(no_plugin)?)))
}

async fn put(api: &Api, name: String, role: Role, request: Request) -> Result<Json<Value>, ApiError> {
    let bytes = body::whole(request, MOST_BYTES).await?;
    let plugins = api.engine.plugins().clone();
    let turn = INSTALLING.acquire().await.map_err(Error::internal)?;
    let installed = blocking(move || {
        // Held until the installation is over, also where the client goes away meanwhile.
        let _turn = turn;
        plugins.install(&name, role, &bytes).map_err(not_installed)
    });
    Ok(Json(json!(installed.await?)))
}

fn not_installed(error: InstallError) -> Error {
    match error {
        InstallError::Refused(Refusal::Stopping) => Error::new(ErrorKind::Unavailable, "The server is stopping."),
        InstallError::Refused(Refusal::NoCompiler(_)) => Error::internal(error),
        InstallError::Refused(refusal) => Error::bad_param(BODY, format!("The component {refusal}.")),
        InstallError::OtherName { .. } => Error::bad_param("name", format!("{error}.")),
        InstallError::Changed(_) => Error::new(ErrorKind::Conflict, "The plugin's file was changed meanwhile."),
        InstallError::Io { .. } => Error::new(
            ErrorKind::Internal,
            "The component is sound, but the server cannot write to its folder of plugins.",
        )
        .because(error),
    }
}

async fn delete(api: &Api, name: String, role: Role) -> Result<StatusCode, ApiError> {
    let plugins = api.engine.plugins().clone();
    let removed = blocking(move || {
        plugins.remove(&name, role).map_err(|error| match error {
            RemoveError::Ships(_) => Error::new(ErrorKind::Conflict, "The plugin is built in and cannot be removed."),
            RemoveError::Io { .. } => {
                Error::new(ErrorKind::Internal, "The server cannot write to its folder of plugins.").because(error)
            }
        })
    });
    if removed.await? { Ok(StatusCode::NO_CONTENT) } else { Err(no_plugin().into()) }
}
