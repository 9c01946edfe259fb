//! Covers: `ocellus token`, whose changes a running server applies at once.

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::server::{Server, run};

async fn status(server: &Server, token: &str, method: Method, path: &str) -> StatusCode {
    let body = json!({"camera_group": 1, "name": "a"}).to_string();
    let request = Client::new().request(method, format!("{}{path}", server.base())).bearer_auth(token).body(body);
    request.send().await.unwrap().status()
}

fn token(data: &str, arguments: &[&str]) -> (bool, String, String) {
    let arguments = [&["token"], arguments, &["--data", data]].concat();
    let (status, out, err) = run(&arguments);
    (status.success(), out, err)
}

#[tokio::test]
async fn a_token_is_added_listed_and_revoked_beside_a_running_server() {
    let data = tempfile::tempdir().unwrap();
    let (refused, _, error) = token(data.path().to_str().unwrap(), &["list"]);
    assert!(!refused && error.contains("is no data folder"), "{error}");

    let server = Server::start(data.path());
    let data = data.path().to_str().unwrap();
    let (added, secret, error) = token(data, &["add", "viewer", "--expires-days", "7"]);
    assert!(added, "{error}");
    let secret = secret.trim();
    assert_eq!(secret.len(), 64);
    assert_eq!(status(&server, secret, Method::GET, "/videos/").await, 200);
    assert_eq!(status(&server, secret, Method::POST, "/videos/").await, 403);
    let (again, _, error) = token(data, &["add", "viewer"]);
    assert!(!again && error.contains("There is a token viewer already."), "{error}");

    let listed = token(data, &["list"]).1;
    assert!(listed.contains("viewer") && listed.contains("read") && !listed.contains(secret), "{listed}");
    // A server that stops stores when tokens were last used.
    assert!(server.terminate().success());
    let listed: Value = serde_json::from_str(&token(data, &["list", "--json"]).1).unwrap();
    assert!(listed[0]["last_used"].is_string() && listed[0]["expires"].is_string(), "{listed}");

    let server = Server::start(std::path::Path::new(data));
    assert_eq!(status(&server, secret, Method::GET, "/videos/").await, 200);
    assert!(token(data, &["revoke", "viewer"]).0);
    assert_eq!(status(&server, secret, Method::GET, "/videos/").await, 401);
    let audit = std::fs::read_to_string(std::path::Path::new(data).join("audit.log")).unwrap();
    assert!(audit.contains("token add") && audit.contains("token revoke") && !audit.contains(secret), "{audit}");
}
