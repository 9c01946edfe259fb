//! `POST`, `GET` and `DELETE /auth/session/`: the session of a browser.
//!
//! Like a login, but the token goes into a cookie that scripts cannot read.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{FromRequest, Request, State},
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, SET_COOKIE},
    },
    response::{IntoResponse, Response},
};
use ocellus_core::{Error, ErrorKind, Result, Timestamp};
use ocellus_store::Scope;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    audit::Entry,
    cookie,
    session::{issue, may_begin, random_digits},
};
use crate::{
    Api,
    access::{Client, ClientAddress, Refusal},
    base_url::BaseUrl,
    blocking,
    body::JsonObject,
    error::{ApiError, BadParam, Forbidden, Unauthorized},
    trace::RequestId,
};

/// Validity of a session, in hours.
const HOURS: i64 = 30 * 24;
const PATH: &str = "/auth/session/";

/// Who uses the server, and what they may do.
#[derive(Serialize, ToSchema)]
#[schema(as = BrowserSession)]
pub(crate) struct SessionJson {
    /// Name of the token.
    name: String,
    /// `read`, `operate`, `admin`: what the token's scope includes.
    #[schema(value_type = Vec<String>, examples(json!(["read", "operate"])))]
    scopes: Vec<Scope>,
    /// When the session, or the token, ends; null for never.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    expires: Option<Timestamp>,
}

impl SessionJson {
    fn of(client: &Client) -> Self {
        let mut scopes = vec![Scope::Read, Scope::Operate, Scope::Admin];
        scopes.retain(|scope| *scope <= client.scope());
        Self { name: client.name().to_owned(), scopes, expires: client.expires() }
    }
}

/// Credentials of a new session: a token, or the name of a token and its secret.
#[derive(Serialize, ToSchema)]
#[expect(dead_code, reason = "for the document: the body is read as any JSON object")]
#[serde(untagged)]
pub(crate) enum BeginSession {
    Token {
        /// The admin token, or one of `ocellus token add`.
        token: String,
    },
    Name {
        /// Name of a token; `admin` for the admin token.
        username: String,
        /// The secret of the token with this name.
        password: String,
    },
}

/// Credentials as sent.
struct Credentials {
    name: Option<String>,
    secret: String,
}

impl Credentials {
    fn read(sent: &Map<String, Value>) -> Result<Self> {
        let text = |name: &str| match sent.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(Error::bad_param(name, "Not a valid string.")),
        };
        let missing = |name: &str| Error::bad_param(name, "This field is required.");
        if let Some(secret) = text("token")? {
            return Ok(Self { name: None, secret });
        }
        let name = text("username")?.ok_or_else(|| missing("token"))?;
        let secret = text("password")?.ok_or_else(|| missing("password"))?;
        Ok(Self { name: Some(name), secret })
    }
}

/// Begins a session of a browser: its token is in a cookie.
///
/// The cookie is accepted wherever a token is. It has the scope of the token it was begun with, and
/// ends after 30 days, with that token, or by `DELETE`.
#[utoipa::path(
    post, path = "/auth/session/", tag = "server", operation_id = "beginSession", security(()),
    request_body = BeginSession,
    responses(
        (status = 200, description = "Who it is.", body = SessionJson, headers(("Set-Cookie" = String, description = "The session."))),
        BadParam, Unauthorized, Forbidden,
    ),
)]
pub(crate) async fn begin(State(api): State<Arc<Api>>, base: BaseUrl, request: Request) -> Response {
    if cookie::comes_from_other_page(request.headers(), request.uri(), &base) {
        return cookie::other_page();
    }
    let address = request.extensions().get::<ClientAddress>().copied();
    let id = request.extensions().get::<RequestId>().cloned();
    let sent = JsonObject::from_request(request, &api).await;
    let credentials = match sent.and_then(|JsonObject(sent)| Ok(Credentials::read(&sent)?)) {
        Ok(credentials) => credentials,
        Err(error) => return error.into_response(),
    };
    let now = api.clock.now();
    let (name, secret) = (credentials.name.as_deref().map(str::as_bytes), credentials.secret.trim().as_bytes());
    let client = api.access.unlocked(address, now).and_then(|()| may_begin(&api.access, name, secret, now));
    if let Err(refusal) = &client {
        api.access.count(refusal, address, now);
    }
    let entry = Entry::login(client.as_ref().ok(), address, id, PATH, now);
    let response = match client {
        Ok(client) => begin_session(&api, &client, &base).await.unwrap_or_else(|e| ApiError::from(e).into_response()),
        Err(Refusal::Wrong(_)) if name.is_some() => {
            ApiError::from(Error::new(ErrorKind::Unauthorized, "Invalid username/password.")).into_response()
        }
        Err(refusal) => refusal.into_response(),
    };
    entry.write(&api.access.audit, response.status()).await;
    response
}

/// Issues the token of a session; the response has its cookie.
async fn begin_session(api: &Api, client: &Client, base: &BaseUrl) -> Result<Response> {
    // A device of its own for each login, so that a login in one browser does not end another's
    // session.
    let device = format!("browser {}", random_digits::<8>()?);
    let (token, secret) = issue(api, client, device, HOURS).await?;
    let left = token.expires.map_or(0, |end| end.duration_since(token.created_date).as_secs());
    let mut response = Json(SessionJson::of(&Client::Token(Box::new(token)))).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let cookie = cookie::set(&secret, left, base).ok_or_else(|| Error::internal("the cookie fits no header"))?;
    response.headers_mut().insert(SET_COOKIE, cookie);
    Ok(response)
}

/// Who uses the server, and what they may do.
#[utoipa::path(
    get, path = "/auth/session/", tag = "server", operation_id = "session",
    responses((status = 200, description = "Who it is.", body = SessionJson), Unauthorized),
)]
pub(crate) async fn read(Extension(client): Extension<Client>) -> Json<SessionJson> {
    Json(SessionJson::of(&client))
}

/// Ends the session of a browser, and takes the cookie from it.
#[utoipa::path(
    delete, path = "/auth/session/", tag = "server", operation_id = "endSession", security(("session" = [])),
    responses(
        (status = 204, description = "The session is over.", headers(("Set-Cookie" = String, description = "Empty."))),
        Unauthorized, Forbidden,
    ),
)]
pub(crate) async fn end(State(api): State<Arc<Api>>, base: BaseUrl, request: Request) -> Response {
    if !cookie::comes_from_own_page(request.headers(), request.uri(), &base) {
        return cookie::other_page();
    }
    let address = request.extensions().get::<ClientAddress>().copied();
    let id = request.extensions().get::<RequestId>().cloned();
    let now = api.clock.now();
    let mut response = match cookie::client(&api.access, request.headers(), address, now) {
        Ok(client) => {
            let entry = Entry::of(&client, address, id, request.method(), PATH, now);
            let response = revoke(&api, client)
                .await
                .map_or_else(|e| ApiError::from(e).into_response(), |()| StatusCode::NO_CONTENT.into_response());
            entry.write(&api.access.audit, response.status()).await;
            response
        }
        Err(refusal) => {
            api.access.count(&refusal, address, now);
            refusal.into_response()
        }
    };
    // Also where the session is over already: scripts cannot remove the cookie.
    if let Some(cleared) = cookie::clear(&base) {
        response.headers_mut().insert(SET_COOKIE, cleared);
    }
    response
}

async fn revoke(api: &Api, client: Client) -> Result<()> {
    let Client::Token(token) = client else { return Ok(()) };
    let tokens = api.access.tokens.clone();
    match blocking(move || Ok(tokens.revoke(&token.id.to_string())?)).await {
        // Another request has revoked it meanwhile.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        revoked => revoked.map(drop),
    }
}
