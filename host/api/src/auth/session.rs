//! `POST /auth/login/`, `POST /auth/logout/`, `GET /users/me/`
//!
//! FindFace's clients log in with a name and a password, and get a token for a device. Here the
//! name is that of a token, and the password its secret; the session has the same scope, and ends
//! with that token.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{FromRequest, Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use ocellus_core::{Error, ErrorKind, Result, Timestamp};
use ocellus_store::{NewToken, Scope, Session, Token};
use serde::Serialize;
use serde_json::Value;
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use super::audit::Entry;
use crate::{
    Api,
    access::{Access, Client, ClientAddress, Refusal, split_authorization},
    blocking,
    body::JsonObject,
    error::{ApiError, BadParam, Unauthorized},
    trace::RequestId,
};

/// Validity of a login, in hours.
const HOURS: i64 = 180 * 24;

/// The holder of a token, as FindFace shows a user.
#[derive(Serialize, ToSchema)]
pub(crate) struct User {
    /// Id of the token; 1 is the admin token.
    id: u32,
    /// Name of the token.
    name: String,
    real_name: String,
    email: &'static str,
    phone: &'static str,
    comment: &'static str,
    #[schema(value_type = Vec<i64>)]
    groups: [i64; 0],
    #[schema(value_type = Option<i64>)]
    primary_group: Option<i64>,
    active: bool,
    /// What the token may be used for: `read`, `operate` or `admin`.
    #[schema(value_type = String, examples("read"))]
    scope: Scope,
    /// When the token ends; null for never.
    #[schema(value_type = Option<String>, format = DateTime)]
    token_expiration_datetime: Option<Timestamp>,
}

impl User {
    fn of(client: &Client) -> Self {
        Self {
            id: client.user(),
            name: client.name().to_owned(),
            real_name: client.name().to_owned(),
            email: "",
            phone: "",
            comment: "",
            groups: [],
            primary_group: None,
            active: true,
            scope: client.scope(),
            token_expiration_datetime: client.expires(),
        }
    }
}

/// Body of a login. Name and secret are in the header Authorization.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the document: the body is read as any JSON object")]
pub(crate) struct Login {
    /// Names the client's device. A further login with it ends the session before.
    #[schema(min_length = 1, max_length = 256)]
    uuid: String,
    /// Ignored.
    #[schema(required = false)]
    mobile: bool,
    /// Ignored.
    #[schema(required = false, value_type = Object)]
    device_info: Value,
}

/// The session that a login began.
#[derive(Serialize, ToSchema)]
pub(crate) struct LoggedIn {
    /// For the header Authorization.
    token: String,
    user: User,
    /// When the token ends.
    #[schema(value_type = String, format = DateTime)]
    token_expiration_datetime: Timestamp,
}

/// Begins a session: a token for one device.
///
/// HTTP Basic authentication with the name of a token and its secret; `admin` and the admin token
/// are taken, too. The session has the scope of that token and ends after 180 days, with that
/// token, or by a logout.
#[utoipa::path(
    post, path = "/auth/login/", tag = "server", operation_id = "login", security(("basic" = [])),
    request_body = Login,
    responses((status = 200, description = "The session.", body = LoggedIn), BadParam, Unauthorized),
)]
pub(crate) async fn login(State(api): State<Arc<Api>>, request: Request) -> Response {
    let address = request.extensions().get::<ClientAddress>().copied();
    let id = request.extensions().get::<RequestId>().cloned();
    let client = basic(&api.access, request.headers(), address, api.clock.now());
    if let Err(refusal) = &client {
        api.access.count(refusal, address, api.clock.now());
    }
    let entry = Entry::login(client.as_ref().ok(), address, id, "/auth/login/", api.clock.now());
    let response = match client {
        Ok(client) => {
            begin(&api, client, request).await.map_or_else(IntoResponse::into_response, |s| Json(s).into_response())
        }
        Err(refusal) => refused(refusal),
    };
    entry.write(&api.access.audit, response.status()).await;
    response
}

fn refused(refusal: Refusal) -> Response {
    let desc = match refusal {
        Refusal::Wrong(_) => "Invalid username/password.",
        Refusal::WrongScheme => "A login takes HTTP Basic authentication: the name of a token, and its secret.",
        other => return other.into_response(),
    };
    let mut response = ApiError::from(Error::new(ErrorKind::Unauthorized, desc)).into_response();
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"ocellus\""));
    response
}

/// The client that HTTP Basic credentials belong to.
fn basic(
    access: &Access,
    headers: &HeaderMap,
    address: Option<ClientAddress>,
    now: Timestamp,
) -> Result<Client, Refusal> {
    let (scheme, credentials) =
        split_authorization(headers.get(AUTHORIZATION).ok_or(Refusal::NoCredentials)?.as_bytes());
    if !scheme.eq_ignore_ascii_case(b"Basic") {
        return Err(Refusal::WrongScheme);
    }
    access.unlocked(address, now)?;
    let wrong = || Refusal::Wrong(credentials.into());
    let decoded = BASE64_STANDARD.decode(credentials).map_err(|_| wrong())?;
    let mut parts = decoded.splitn(2, |b| *b == b':');
    let (Some(name), Some(secret)) = (parts.next(), parts.next()) else { return Err(wrong()) };
    may_begin(access, Some(name), secret, now).map_err(|refusal| match refusal {
        Refusal::Wrong(_) => wrong(),
        other => other,
    })
}

/// The client that a secret belongs to, if it may begin a session. Where a name is given, it has to
/// match. A session may not begin another, which would outlive it.
pub(super) fn may_begin(
    access: &Access,
    name: Option<&[u8]>,
    secret: &[u8],
    now: Timestamp,
) -> Result<Client, Refusal> {
    let client = access.find(secret, now)?;
    let has_name = name.is_none_or(|name| client.name().as_bytes().ct_eq(name).into());
    if has_name && !client.is_session() { Ok(client) } else { Err(Refusal::Wrong(secret.into())) }
}

async fn begin(api: &Arc<Api>, client: Client, request: Request) -> Result<LoggedIn, ApiError> {
    let JsonObject(body) = JsonObject::from_request(request, api).await?;
    let device = match body.get("uuid") {
        None => return Err(Error::bad_param("uuid", "This field is required.").into()),
        Some(Value::String(uuid)) if (1..=256).contains(&uuid.len()) => uuid.clone(),
        Some(_) => return Err(Error::bad_param("uuid", "A text of 1 to 256 characters is required.").into()),
    };
    let (token, secret) = issue(api, &client, device, HOURS).await?;
    let end = token.expires.unwrap_or(Timestamp::MAX);
    Ok(LoggedIn { token: secret, user: User::of(&Client::Token(Box::new(token))), token_expiration_datetime: end })
}

/// Makes a token for the session of a client, which ends after this many hours, or with the
/// client's own; returns it with its secret.
pub(super) async fn issue(api: &Api, client: &Client, device: String, hours: i64) -> Result<(Token, String)> {
    let now = api.clock.now();
    let end = now.checked_add(jiff::SignedDuration::from_hours(hours)).unwrap_or(Timestamp::MAX);
    let new = NewToken {
        name: client.name().to_owned(),
        scope: client.scope(),
        expires: Some(client.expires().map_or(end, |own| own.min(end))),
        session: Some(Session { device, user: client.user() }),
    };
    let secret = random_digits::<32>()?;
    let (tokens, text) = (api.access.tokens.clone(), secret.clone());
    let token = blocking(move || Ok(tokens.add(new, &text, now)?)).await?;
    Ok((token, secret))
}

/// Random bytes as hexadecimal digits.
pub(super) fn random_digits<const BYTES: usize>() -> Result<String> {
    let mut bytes = [0_u8; BYTES];
    getrandom::fill(&mut bytes).map_err(Error::internal)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Ends the session of the token that is sent.
///
/// A token that no login made is refused: `ocellus token revoke` ends those.
#[utoipa::path(
    post, path = "/auth/logout/", tag = "server", operation_id = "logout",
    responses((status = 204, description = "The token is no longer valid."), Unauthorized),
)]
pub(crate) async fn logout(
    State(api): State<Arc<Api>>,
    Extension(client): Extension<Client>,
) -> Result<StatusCode, ApiError> {
    let Client::Token(token) = client else { return Err(no_session()) };
    if token.session.is_none() {
        return Err(no_session());
    }
    let tokens = api.access.tokens.clone();
    blocking(move || Ok(tokens.revoke(&token.id.to_string())?)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn no_session() -> ApiError {
    let desc = "No login made this token; `ocellus token revoke` ends it.";
    Error::new(ErrorKind::PermissionDenied, desc).into()
}

/// Whose token this is, and what it may be used for.
#[utoipa::path(
    get, path = "/users/me/", tag = "server", operation_id = "me",
    responses((status = 200, description = "The holder of the token.", body = User), Unauthorized),
)]
pub(crate) async fn me(Extension(client): Extension<Client>) -> Json<User> {
    Json(User::of(&client))
}
