//! Covers: sessions of browsers: how they begin and end, their cookie, and cross-site requests.

use std::{sync::Arc, time::Duration};

use ocellus_api::ApiConfig;
use ocellus_core::{ManualClock, Timestamp};
use ocellus_store::{NewToken, Scope, Tokens};
use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Answer, Server, TOKEN};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn add(server: &Server, name: &str, scope: Scope, expires: Option<Timestamp>) -> String {
    let secret = format!("secret-of-{name}");
    let new = NewToken { name: name.into(), scope, expires, session: None };
    Tokens::new(&server.data()).add(new, &secret, Timestamp::now()).unwrap();
    secret
}

async fn begin(server: &Server, sent: Value) -> Answer {
    server.send(server.request(Method::POST, "/auth/session/").body(sent.to_string())).await
}

/// The cookie that an answer sets, as a browser sends it.
fn cookie(answer: &Answer) -> String {
    answer.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
}

/// A request with a cookie, and with headers as a browser adds them.
async fn send(server: &Server, cookie: &str, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let body = json!({"camera_group": 1, "name": "a"}).to_string();
    let request = server.request(method, path).header("cookie", cookie);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    server.send(request.body(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_accepted_wherever_a_token_is() {
    let server = Server::start().await;
    let secret = add(&server, "ui", Scope::Operate, None);
    let by_token = begin(&server, json!({"token": secret})).await.expect(200);
    let by_name = begin(&server, json!({"username": "ui", "password": secret})).await.expect(200);
    let attributes = by_token.headers["set-cookie"].to_str().unwrap().to_owned();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=2592000"] {
        assert!(attributes.split("; ").any(|a| a == attribute), "{attributes}");
    }
    assert!(!attributes.contains("Secure") && !attributes.contains(&secret), "{attributes}");
    assert_eq!(by_token.headers["cache-control"], "no-store");
    assert_ne!(cookie(&by_token), cookie(&by_name));
    for answer in [&by_token, &by_name] {
        let who = answer.json();
        assert_eq!((&who["name"], &who["scopes"]), (&json!("ui"), &json!(["read", "operate"])));
        let session = send(&server, &cookie(answer), Method::GET, "/auth/session/", &[]).await.expect(200).json();
        assert_eq!(session, who);
        send(&server, &cookie(answer), Method::GET, "/videos/", &[]).await.expect(200);
    }
    let admin = begin(&server, json!({"username": "admin", "password": TOKEN})).await.expect(200);
    assert_eq!(admin.json()["scopes"], json!(["read", "operate", "admin"]));
    let by_header = server.get("/auth/session/").await.expect(200).json();
    assert_eq!(by_header, json!({"name": "admin", "scopes": ["read", "operate", "admin"], "expires": null}));
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_by_cookie_are_for_the_servers_own_page() {
    let server = Server::start().await;
    let session = cookie(&begin(&server, json!({"token": TOKEN})).await.expect(200));
    let own = format!("http://{}", server.address);
    let create = async |headers: &[(&str, &str)]| {
        send(&server, &session, Method::POST, "/videos/", headers).await.status.as_u16()
    };
    assert_eq!(create(&[("origin", &own)]).await, 201);
    assert_eq!(create(&[("sec-fetch-site", "same-origin")]).await, 201);
    for headers in [
        &[][..],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("origin", "http://127.0.0.1:1")],
    ] {
        assert_eq!(create(headers).await, 403, "{headers:?}");
    }
    // Also requests that only read, with a method that pages of other sites can send.
    send(&server, &session, Method::POST, "/videos/1/replay/", &[]).await.expect(403);
    send(&server, &session, Method::DELETE, "/auth/session/", &[]).await.expect(403);
    send(&server, &session, Method::GET, "/videos/", &[("origin", "https://evil.example")]).await.expect(200);
    // Browsers do not add a token to the header by themselves.
    let by_header = server.request(Method::POST, "/videos/").bearer_auth(TOKEN).header("cookie", &session);
    let by_header = by_header.header("origin", "https://board.example").body(r#"{"camera_group": 1, "name": "a"}"#);
    server.send(by_header).await.expect(201);
    assert_eq!(server.count().await, 3);
    let foreign = server.request(Method::POST, "/auth/session/").header("origin", "https://evil.example");
    server.send(foreign.body(json!({"token": TOKEN}).to_string())).await.expect(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_has_the_scope_of_its_token() {
    let server = Server::start().await;
    let secret = add(&server, "viewer", Scope::Read, None);
    let session = cookie(&begin(&server, json!({"token": secret})).await.expect(200));
    let own = [("sec-fetch-site", "same-origin")];
    let refused = send(&server, &session, Method::POST, "/videos/", &own).await.expect(403).json();
    assert!(refused["desc"].as_str().unwrap().contains("scope operate"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_by_its_time_by_its_token_and_by_a_request() {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let clock = Arc::new(ManualClock::new(start));
    let server = Server::with(ApiConfig::default(), clock.clone()).await;
    let (secret, short) =
        (add(&server, "ui", Scope::Read, None), add(&server, "short", Scope::Read, Some(start + DAY)));
    let sessions = [begin(&server, json!({"token": secret})).await, begin(&server, json!({"token": secret})).await];
    let brief = begin(&server, json!({"token": short})).await.expect(200);
    assert_eq!(brief.json()["expires"], "2026-01-02T00:00:00Z");
    assert!(brief.headers["set-cookie"].to_str().unwrap().contains("Max-Age=86400"));
    let [first, second] = sessions.map(|answer| cookie(&answer.expect(200)));
    let get = async |cookie: &str| send(&server, cookie, Method::GET, "/videos/", &[]).await.status.as_u16();

    let own = [("sec-fetch-site", "same-origin")];
    let ended = send(&server, &first, Method::DELETE, "/auth/session/", &own).await.expect(204);
    assert!(ended.headers["set-cookie"].to_str().unwrap().starts_with("ocellus_session=; "));
    assert_eq!((get(&first).await, get(&second).await), (401, 200), "each browser has its own");
    let again = send(&server, &first, Method::DELETE, "/auth/session/", &own).await.expect(401);
    assert!(again.headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"), "no script can remove it");

    clock.advance(29 * DAY);
    assert_eq!((get(&second).await, get(&cookie(&brief)).await), (200, 401));
    let third = cookie(&begin(&server, json!({"token": secret})).await.expect(200));
    clock.advance(DAY);
    assert_eq!((get(&second).await, get(&third).await), (401, 200));
    Tokens::new(&server.data()).revoke("ui").unwrap();
    assert_eq!(get(&third).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_begin_nothing_and_are_counted_as_guesses() {
    let server = Server::start().await;
    let secret = add(&server, "ui", Scope::Read, None);
    begin(&server, json!({})).await.refuses("token");
    begin(&server, json!({"username": "ui"})).await.refuses("password");
    begin(&server, json!({"token": 7})).await.refuses("token");
    let wrong = begin(&server, json!({"username": "other", "password": secret})).await.expect(401);
    assert_eq!(wrong.json()["desc"], "Invalid username/password.");
    // With `Basic` a browser would open a login dialog.
    assert!(wrong.headers.get_all("www-authenticate").iter().all(|value| value != "Basic"));
    let session = cookie(&begin(&server, json!({"token": secret})).await.expect(200));
    let token = session.split_once('=').unwrap().1;
    begin(&server, json!({"token": token})).await.expect(401);
    // The cookie is accepted with the token of a session only.
    send(&server, &format!("ocellus_session={TOKEN}"), Method::GET, "/videos/", &[]).await.expect(401);

    begin(&server, json!({"token": "guess"})).await.expect(401);
    for n in 0..3 {
        begin(&server, json!({"token": format!("guess-{n}")})).await.expect(401);
        let guess = format!("ocellus_session=guessed-{n}");
        send(&server, &guess, Method::GET, "/videos/", &[]).await.expect(401);
    }
    begin(&server, json!({"token": TOKEN})).await.expect(429);
    send(&server, &session, Method::GET, "/videos/", &[]).await.expect(429);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_in_the_audit_log() {
    let server = Server::start().await;
    begin(&server, json!({"token": "none"})).await.expect(401);
    let session = cookie(&begin(&server, json!({"token": TOKEN})).await.expect(200));
    send(&server, &session, Method::POST, "/videos/", &[]).await.expect(403);
    // Not in the log: every page reads it.
    send(&server, &session, Method::GET, "/auth/session/", &[]).await.expect(200);
    let own = [("sec-fetch-site", "same-origin")];
    send(&server, &session, Method::DELETE, "/auth/session/", &own).await.expect(204);
    let text = std::fs::read_to_string(server.data().join("audit.log")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let seen: Vec<_> = lines.map(|l| json!([l["token"], l["method"], l["path"], l["status"]])).collect();
    assert_eq!(
        json!(seen),
        json!([
            [null, "POST", "/auth/session/", 401],
            ["admin", "POST", "/auth/session/", 200],
            ["admin", "POST", "/videos/", 403],
            ["admin", "DELETE", "/auth/session/", 204],
        ])
    );
}
