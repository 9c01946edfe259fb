//! Covers: the page at `/ui/`, its headers and caching, and the redirect of browsers from `/`.

use reqwest::Method;

use crate::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn the_page_needs_no_token_and_loads_nothing_from_elsewhere() {
    let server = Server::start().await;
    let page = server.send(server.request(Method::GET, "/ui/")).await.expect(200);
    assert!(String::from_utf8_lossy(&page.body).starts_with("<!doctype html>"));
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-cache"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
    ] {
        assert_eq!(page.headers[name], value, "{name}");
    }
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    for rule in ["default-src 'self'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.split("; ").any(|r| r == rule), "{policy}");
    }
    let named = server.send(server.request(Method::GET, "/ui/index.html")).await.expect(200);
    assert_eq!(named.body, page.body);

    let again = server.request(Method::GET, "/ui/").header("if-none-match", &page.headers["etag"]);
    let again = server.send(again).await.expect(304);
    assert!(again.body.is_empty() && again.headers.contains_key("content-security-policy"));
    server.send(server.request(Method::HEAD, "/ui/")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_files_of_the_page_are_not_found() {
    let server = Server::start().await;
    for path in ["/ui/videos/7", "/ui/assets/none.js", "/ui/..%2f..%2fadmin.token", "/ui/assets"] {
        server.send(server.request(Method::GET, path)).await.expect(404);
    }
    let slash = server.send(server.request(Method::GET, "/ui")).await.expect(308);
    assert_eq!(slash.headers["location"], "/ui/");
    server.send(server.request(Method::POST, "/ui/")).await.expect(405);
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_are_redirected_to_the_page_and_programs_are_not() {
    let server = Server::start().await;
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    for method in [Method::GET, Method::HEAD] {
        let led = server.send(server.request(method, "/").header("accept", browser)).await.expect(303);
        assert_eq!(
            (&led.headers["location"], &led.headers["vary"]),
            (&"ui/".parse().unwrap(), &"accept".parse().unwrap())
        );
    }
    server.send(server.request(Method::POST, "/").header("accept", browser)).await.expect(404);
    for accept in ["*/*", "application/json"] {
        server.send(server.request(Method::GET, "/").header("accept", accept)).await.expect(404);
    }
}
