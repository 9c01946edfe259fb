//! Covers: tokens with scopes and an end, adding, listing and revoking them, Bearer and Token,
//! logins, the lock-out for guessing, the audit log.

use std::{sync::Arc, time::Duration};

use ocellus_api::ApiConfig;
use ocellus_core::{Clock, ManualClock, Timestamp};
use ocellus_store::{NewToken, Scope, Tokens};
use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Answer, Server, TOKEN};

fn add(server: &Server, name: &str, scope: Scope, expires: Option<Timestamp>) -> String {
    let secret = format!("secret-of-{name}");
    let new = NewToken { name: name.into(), scope, expires, session: None };
    Tokens::new(&server.data()).add(new, &secret, Timestamp::now()).unwrap();
    secret
}

async fn call(server: &Server, token: &str, method: Method, path: &str) -> Answer {
    let body = json!({"camera_group": 1, "name": "a"}).to_string();
    let request = server.request(method, path).header("authorization", format!("Bearer {token}"));
    server.send(request.body(body)).await
}

async fn login(server: &Server, name: &str, secret: &str, body: Value) -> Answer {
    let request = server.request(Method::POST, "/auth/login/").basic_auth(name, Some(secret));
    server.send(request.body(body.to_string())).await
}

fn audit(server: &Server) -> Vec<Value> {
    let text = std::fs::read_to_string(server.data().join("audit.log")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_scope_includes_the_one_before() {
    let server = Server::start().await;
    let [read, operate, admin] = [("reader", Scope::Read), ("operator", Scope::Operate), ("owner", Scope::Admin)]
        .map(|(name, scope)| add(&server, name, scope, None));
    for (token, operates, installs) in [(&read, false, false), (&operate, true, false), (&admin, true, true)] {
        call(&server, token, Method::GET, "/videos/").await.expect(200);
        call(&server, token, Method::GET, "/plugins/").await.expect(200);
        let created = call(&server, token, Method::POST, "/videos/").await;
        assert_eq!(created.status.as_u16(), if operates { 201 } else { 403 });
        // 404: the scope suffices, and there is no such plugin.
        let removed = call(&server, token, Method::DELETE, "/plugins/none/").await;
        assert_eq!(removed.status.as_u16(), if installs { 404 } else { 403 });
    }
    assert_eq!(server.count().await, 2);
    let refused = call(&server, &read, Method::DELETE, "/videos/1/").await.expect(403).json();
    assert_eq!(
        refused,
        json!({"traceback": "", "code": "PERMISSION_DENIED",
            "desc": "This takes a token with the scope operate; this one has read."})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_refusal_of_a_wrong_scheme_names_the_right_ones() {
    let server = Server::start().await;
    for header in [format!("Basic {TOKEN}"), TOKEN.to_owned()] {
        let refused = server.send(server.request(Method::GET, "/videos/").header("authorization", &header)).await;
        let refused = refused.expect(401).json();
        assert_eq!(refused["desc"], "The header Authorization must be \"Token <token>\" or \"Bearer <token>\".");
        assert!(!refused.to_string().contains(TOKEN));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_when_it_expires_and_when_it_is_revoked() {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let clock = Arc::new(ManualClock::new(start));
    let server = Server::with(ApiConfig::default(), clock.clone()).await;
    let expiring = add(&server, "expiring", Scope::Read, Some(start + Duration::from_secs(60)));
    let revoked = add(&server, "revoked", Scope::Read, None);
    for token in [&expiring, &revoked] {
        call(&server, token, Method::GET, "/videos/").await.expect(200);
    }
    clock.advance(Duration::from_secs(60));
    let refused = call(&server, &expiring, Method::GET, "/videos/").await.expect(401).json();
    assert_eq!(refused, json!({"code": "UNAUTHORIZED", "desc": "Token has expired."}));
    Tokens::new(&server.data()).revoke("revoked").unwrap();
    let refused = call(&server, &revoked, Method::GET, "/videos/").await.expect(401).json();
    assert_eq!(refused["desc"], "Invalid token.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_begins_a_session_and_a_logout_ends_it() {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let clock = Arc::new(ManualClock::new(start));
    let server = Server::with(ApiConfig::default(), clock.clone()).await;
    let secret = add(&server, "ui", Scope::Operate, None);
    login(&server, "ui", &secret, json!({"mobile": false})).await.refuses("uuid");
    let device = json!({"uuid": "phone", "mobile": false, "device_info": {}});
    let session = login(&server, "ui", &secret, device.clone()).await.expect(200).json();
    assert_eq!(session["token_expiration_datetime"], "2026-06-30T00:00:00Z");
    let token = session["token"].as_str().unwrap();
    assert_eq!(token.len(), 64);
    let me = call(&server, token, Method::GET, "/users/me/").await.expect(200).json();
    assert_eq!(me, session["user"]);
    assert_eq!((&me["name"], &me["scope"], &me["active"]), (&json!("ui"), &json!("operate"), &json!(true)));
    call(&server, token, Method::POST, "/videos/").await.expect(201);
    login(&server, "ui", token, device.clone()).await.expect(401);

    call(&server, token, Method::POST, "/auth/logout/").await.expect(204);
    call(&server, token, Method::GET, "/users/me/").await.expect(401);
    call(&server, &secret, Method::POST, "/auth/logout/").await.expect(403);
    call(&server, &secret, Method::GET, "/users/me/").await.expect(200);

    let admin = login(&server, "admin", TOKEN, device).await.expect(200).json();
    let token = admin["token"].as_str().unwrap();
    assert_eq!(call(&server, token, Method::GET, "/users/me/").await.expect(200).json()["id"], 1);
    clock.advance(Duration::from_secs(180 * 24 * 3600));
    call(&server, token, Method::GET, "/users/me/").await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_fails_says_so_and_asks_for_basic() {
    let server = Server::start().await;
    let secret = add(&server, "ui", Scope::Read, None);
    for (name, secret) in [("ui", "wrong"), ("other", secret.as_str()), ("admin", secret.as_str()), ("ui", TOKEN)] {
        let refused = login(&server, name, secret, json!({"uuid": "a"})).await.expect(401);
        assert_eq!(refused.headers["www-authenticate"], "Basic realm=\"ocellus\"");
        assert_eq!(refused.json(), json!({"code": "UNAUTHORIZED", "desc": "Invalid username/password."}));
    }
    server.post("/auth/login/", json!({"uuid": "a"})).await.expect(401);
    assert_eq!(Tokens::new(&server.data()).list().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_guesses_is_locked_out_for_a_while() {
    let clock = Arc::new(ManualClock::new(Timestamp::now()));
    let server = Server::with(ApiConfig::default(), clock.clone()).await;
    for n in 0..9 {
        call(&server, &format!("guess-{n}"), Method::GET, "/videos/").await.expect(401);
    }
    server.get("/videos/").await.expect(200);
    login(&server, "ui", "tenth", json!({"uuid": "a"})).await.expect(401);
    let locked = server.get("/videos/").await.expect(429);
    assert_eq!(
        (&locked.headers["retry-after"], &locked.json()["code"]),
        (&"600".parse().unwrap(), &json!("TOO_MANY_REQUESTS"))
    );
    login(&server, "admin", TOKEN, json!({"uuid": "a"})).await.expect(429);
    // Another client of the same proxy, which runs on this machine.
    let other = server.request(Method::GET, "/videos/").header("x-forwarded-for", "192.0.2.7");
    server.send(other.header("authorization", format!("Token {TOKEN}"))).await.expect(200);
    clock.advance(Duration::from_secs(600));
    server.get("/videos/").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_in_the_audit_log_with_who_made_them() {
    let clock = Arc::new(ManualClock::new(Timestamp::now()));
    let server = Server::with(ApiConfig::default(), clock.clone()).await;
    let read = add(&server, "reader", Scope::Read, None);
    let id = server.add("a").await;
    server.video(id).await;
    call(&server, &read, Method::DELETE, &format!("/videos/{id}/")).await.expect(403);
    login(&server, "reader", "wrong", json!({"uuid": "a"})).await.expect(401);
    let lines = audit(&server);
    let of = |line: &Value| [&line["token"], &line["method"], &line["path"], &line["status"]].map(Value::clone);
    assert_eq!(of(&lines[0]), [json!("admin"), json!("POST"), json!("/videos/"), json!(201)]);
    assert_eq!(of(&lines[1]), [json!("reader"), json!("DELETE"), json!(format!("/videos/{id}/")), json!(403)]);
    assert_eq!(of(&lines[2]), [json!(null), json!("POST"), json!("/auth/login/"), json!(401)]);
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines.iter().all(|line| line["address"] == "127.0.0.1" && line["request_id"].is_string()));
    assert_eq!(lines[0]["time"], json!(clock.now()));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_added_listed_and_revoked_over_the_api() {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let server = Server::with(ApiConfig::default(), Arc::new(ManualClock::new(start))).await;
    let list = async || server.get("/tokens/").await.expect(200).json()["results"].clone();
    assert_eq!(list().await, json!([]));
    let new = json!({"name": "board", "scope": "operate", "expires": "2026-02-01T00:00:00Z"});
    let added = server.post("/tokens/", new.clone()).await.expect(201);
    assert_eq!(added.headers["cache-control"], "no-store");
    let added = added.json();
    let secret = added["secret"].as_str().unwrap();
    assert_eq!(secret.len(), 64);
    call(&server, secret, Method::POST, "/videos/").await.expect(201);
    let login = login(&server, "board", secret, json!({"uuid": "a"})).await.expect(200).json();
    let session = login["token"].as_str().unwrap();

    let listed = list().await;
    assert_eq!(
        (&listed[0]["name"], &listed[0]["scope"], &listed[0]["expires"], &listed[0]["session_of"]),
        (&json!("board"), &json!("operate"), &json!("2026-02-01T00:00:00Z"), &json!(null))
    );
    assert_eq!((&listed[0]["last_used"], &listed[1]["session_of"]), (&json!(start), &listed[0]["id"]));
    let text = listed.to_string();
    assert!(!text.contains(secret) && !text.contains(session) && !text.contains("sha256"), "{text}");
    for token in [secret, session] {
        call(&server, token, Method::GET, "/tokens/").await.expect(403);
    }

    let path = format!("/tokens/{}/", listed[0]["id"]);
    server.call(Method::DELETE, &path, "").await.expect(204);
    server.call(Method::DELETE, &path, "").await.expect(404);
    for token in [secret, session] {
        call(&server, token, Method::GET, "/videos/").await.expect(401);
    }
    assert_eq!(list().await, json!([]));
    let changes = audit(&server).into_iter().map(|line| line["path"].clone()).collect::<Vec<_>>();
    assert_eq!(changes.iter().filter(|p| *p == "/tokens/").count(), 1, "reading is no change: {changes:?}");
    assert!(changes.contains(&json!(path)), "{changes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_has_to_be_right() {
    let server = Server::start().await;
    let post = async |body: Value| server.post("/tokens/", body).await;
    post(json!({})).await.refuses("name");
    for name in [json!(""), json!("12"), json!("a b"), json!("a".repeat(65)), json!(7)] {
        post(json!({"name": name})).await.refuses("name");
    }
    post(json!({"name": "a", "scope": "owner"})).await.refuses("scope");
    for expires in [json!("tomorrow"), json!("2020-01-01T00:00:00Z"), json!(3)] {
        post(json!({"name": "a", "expires": expires})).await.refuses("expires");
    }
    let added = post(json!({"name": "a", "expires": null})).await.expect(201).json();
    assert_eq!((&added["token"]["scope"], &added["token"]["expires"]), (&json!("read"), &json!(null)));
    post(json!({"name": "a"})).await.expect(409);
    for id in ["0", "99", "abc", "-1", "99999999999"] {
        server.call(Method::DELETE, &format!("/tokens/{id}/"), "").await.expect(404);
    }
}
