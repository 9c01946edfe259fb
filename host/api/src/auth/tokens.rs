//! `/tokens/`: the tokens of the data folder, as `ocellus token` has them, for administrators.
//!
//! Owns their JSON and the checks of a new one. Secrets are made here, shown once, and kept
//! nowhere.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::CACHE_CONTROL},
    response::{IntoResponse, Response},
};
use ocellus_core::{Error, Result, Timestamp};
use ocellus_store::{NewToken, Scope, Token};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::session::random_digits;
use crate::{
    Api, blocking,
    body::JsonObject,
    error::{ApiError, BadParam, Conflict, NotFound, Unauthorized},
    path::NumberPath,
};

/// A token, without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
pub(crate) struct TokenJson {
    /// From 2 on: 1 is the admin token, which is not listed.
    id: u32,
    name: String,
    /// `read`, `operate` or `admin`; each includes those before it.
    #[schema(value_type = String, examples("read"))]
    scope: Scope,
    #[schema(value_type = String, format = DateTime)]
    created_date: Timestamp,
    /// When it ends; null for never.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    expires: Option<Timestamp>,
    /// Accurate to a minute; null where it was never used.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    last_used: Option<Timestamp>,
    /// Of a login, the id of the token that was logged in with; null for a token that was added.
    #[schema(required)]
    session_of: Option<u32>,
}

impl From<Token> for TokenJson {
    fn from(token: Token) -> Self {
        Self {
            id: token.id,
            name: token.name,
            scope: token.scope,
            created_date: token.created_date,
            expires: token.expires,
            last_used: token.last_used,
            session_of: token.session.map(|session| session.user),
        }
    }
}

/// A token that was just added, with its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct AddedToken {
    token: TokenJson,
    /// For the header Authorization. It is shown only here.
    secret: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct TokenList {
    /// By id.
    results: Vec<TokenJson>,
}

/// A token to add.
#[derive(ToSchema)]
#[schema(as = NewToken)]
#[expect(dead_code, reason = "for the document: the body is read as any JSON object")]
pub(crate) struct TokenWrite {
    /// Letters, digits, dots, dashes and underscores, and not digits alone.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]*[A-Za-z._-][A-Za-z0-9._-]*$")]
    name: String,
    /// `read`, `operate` or `admin`; `read` without it.
    #[schema(required = false, pattern = "^(read|operate|admin)$")]
    scope: String,
    /// When it ends, in the future; null or absent for never.
    #[schema(required = false, format = DateTime)]
    expires: Option<String>,
}

/// The tokens beside the admin token, the sessions of logins among them.
///
/// Needs the scope `admin`.
#[utoipa::path(
    get, path = "/tokens/", tag = "server", operation_id = "listTokens",
    responses((status = 200, description = "The tokens, without their secrets.", body = TokenList), Unauthorized),
)]
pub(crate) async fn list(State(api): State<Arc<Api>>) -> Result<Json<TokenList>, ApiError> {
    let tokens = api.access.tokens.clone();
    let tokens = blocking(move || Ok(tokens.list()?)).await?;
    Ok(Json(TokenList { results: tokens.into_iter().map(TokenJson::from).collect() }))
}

/// Adds a token.
///
/// The answer has its secret, which cannot be shown again: only its hash is stored. A name that is
/// taken is a 409.
#[utoipa::path(
    post, path = "/tokens/", tag = "server", operation_id = "addToken", request_body = TokenWrite,
    responses((status = 201, description = "The token.", body = AddedToken), BadParam, Unauthorized, Conflict),
)]
pub(crate) async fn add(State(api): State<Arc<Api>>, JsonObject(sent): JsonObject) -> Result<Response, ApiError> {
    let now = api.clock.now();
    let new = parse(&sent, now)?;
    let secret = random_digits::<32>()?;
    let (tokens, text) = (api.access.tokens.clone(), secret.clone());
    let token = blocking(move || Ok(tokens.add(new, &text, now)?)).await?;
    let added = Json(AddedToken { token: token.into(), secret });
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], added).into_response())
}

/// Revokes a token, and the sessions that were begun with it.
///
/// Of the admin token, which has the id 1, only the sessions end.
#[utoipa::path(
    delete, path = "/tokens/{id}/", tag = "server", operation_id = "revokeToken",
    params(("id" = u32, Path, description = "Token ID.")),
    responses((status = 204, description = "It is no longer accepted."), Unauthorized, NotFound),
)]
pub(crate) async fn revoke(State(api): State<Arc<Api>>, NumberPath(id): NumberPath) -> Result<StatusCode, ApiError> {
    let id = id.and_then(|id| u32::try_from(id).ok()).ok_or_else(|| Error::not_found("Token"))?;
    let tokens = api.access.tokens.clone();
    blocking(move || Ok(tokens.revoke(&id.to_string())?)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parse(sent: &Map<String, Value>, now: Timestamp) -> Result<NewToken> {
    let text = |name: &str| match sent.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(Error::bad_param(name, "Not a valid string.")),
    };
    let name = text("name")?.ok_or_else(|| Error::bad_param("name", "This field is required."))?.to_owned();
    let scope = match text("scope")? {
        None => Scope::Read,
        Some(text) => text.parse().map_err(|_| Error::bad_param("scope", "Select of read, operate, admin."))?,
    };
    let expires = text("expires")?
        .map(|text| text.parse::<Timestamp>().map_err(|_| Error::bad_param("expires", "Enter a valid date/time.")))
        .transpose()?;
    if expires.is_some_and(|expires| expires <= now) {
        return Err(Error::bad_param("expires", "This time is over already."));
    }
    Ok(NewToken { name, scope, expires, session: None })
}
