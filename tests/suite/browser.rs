//! Covers: a browser: the redirect from `/` to the page, and a session by cookie, which outlives a
//! restart of the server.

use reqwest::{Client, StatusCode, redirect::Policy};
use serde_json::{Value, json};

use crate::server::Server;

const HTML: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

#[tokio::test]
async fn a_browser_is_redirected_to_the_page_and_stays_logged_in() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let browser = Client::builder().redirect(Policy::limited(2)).build().unwrap();
    let page = browser.get(server.base()).header("accept", HTML).send().await.unwrap();
    assert_eq!((page.status(), page.url().path()), (StatusCode::OK, "/ui/"));
    assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("script-src 'self'"));

    let credentials = json!({"token": server.token()}).to_string();
    let begun = browser.post(format!("{}/auth/session/", server.base())).body(credentials).send().await.unwrap();
    assert_eq!(begun.status(), StatusCode::OK);
    let cookie = begun.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let who: Value = begun.json().await.unwrap();
    assert!(server.terminate().success());

    let server = Server::start(data.path());
    let request = |path: &str| browser.get(format!("{}{path}", server.base())).header("cookie", &cookie);
    let session: Value = request("/auth/session/").send().await.unwrap().json().await.unwrap();
    assert_eq!(session, who);
    assert_eq!(request("/videos/").send().await.unwrap().status(), StatusCode::OK);
}
