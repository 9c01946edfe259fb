//! Covers: the token on every route, routes without one, HEAD, OPTIONS, wrong methods, unknown
//! paths, missing slashes, request ids, HTTP/2, shutting down.

use reqwest::Method;
use serde_json::json;

use crate::server::{Server, TOKEN};

const GUARDED: [(&str, &str); 56] = [
    ("GET", "/videos/"),
    ("POST", "/videos/"),
    ("GET", "/videos/count/"),
    ("GET", "/videos/1/"),
    ("PUT", "/videos/1/"),
    ("PATCH", "/videos/1/"),
    ("DELETE", "/videos/1/"),
    ("DELETE", "/videos/1/file/"),
    ("PUT", "/videos/1/upload/source_file/"),
    ("POST", "/videos/1/process/"),
    ("POST", "/videos/1/stop/"),
    ("GET", "/videos/1/screenshot/"),
    ("POST", "/videos/1/screenshot/"),
    ("GET", "/videos/1/objects/"),
    ("GET", "/objects/1-1-face-1-0/"),
    ("GET", "/objects/1-1-face-1-0/thumbnail/"),
    ("GET", "/objects/1-1-face-1-0/fullframe/"),
    ("GET", "/videos/1/deliveries/"),
    ("POST", "/videos/1/deliveries/retry/"),
    ("POST", "/deliveries/1-1-face-1-0/retry/"),
    ("POST", "/videos/1/replay/"),
    ("GET", "/videos/1/decisions/"),
    ("GET", "/videos/1/clusters/"),
    ("GET", "/clusters/1-1-face-1-0/objects/"),
    ("GET", "/clusters/1-1-face-1-0/"),
    ("PATCH", "/clusters/1-1-face-1-0/"),
    ("POST", "/clusters/1-1-face-1-0/merge/"),
    ("POST", "/clusters/1-1-face-1-0/take-out/"),
    ("GET", "/videos/1/corrections/"),
    ("DELETE", "/videos/1/corrections/1/"),
    ("POST", "/detect"),
    ("POST", "/detect/"),
    ("POST", "/search/"),
    ("POST", "/videos/1/search/"),
    ("GET", "/events/faces/"),
    ("GET", "/events/bodies/"),
    ("GET", "/events/cars/"),
    ("GET", "/plugins/"),
    ("GET", "/plugins/quality/"),
    ("PUT", "/plugins/quality/"),
    ("DELETE", "/plugins/quality/"),
    ("GET", "/plugins/quality/shadow/"),
    ("PUT", "/plugins/quality/shadow/"),
    ("DELETE", "/plugins/quality/shadow/"),
    ("POST", "/plugins/quality/shadow/promote/"),
    ("GET", "/plugins/quality/trace/"),
    ("GET", "/log/"),
    ("GET", "/tokens/"),
    ("POST", "/tokens/"),
    ("DELETE", "/tokens/2/"),
    ("GET", "/metrics"),
    ("GET", "/users/me/"),
    ("POST", "/auth/logout/"),
    ("GET", "/auth/session/"),
    ("GET", "/events/stream/"),
    ("GET", "/videos/1/tracks/"),
];

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_a_token_are_refused_and_change_nothing() {
    let server = Server::start().await;
    let id = server.add("kept").await;
    assert_eq!(id, 1);
    let body = json!({"camera_group": 1, "name": "changed"}).to_string();
    for (method, path) in GUARDED {
        let request = || server.request(method.parse().unwrap(), path).body(body.clone());
        let none = server.send(request()).await.expect(401);
        assert_eq!(none.headers["www-authenticate"], "Token", "{method} {path}");
        assert_eq!(
            none.body, br#"{"code":"UNAUTHORIZED","desc":"Authentication credentials were not provided."}"#,
            "{method} {path}"
        );
        let wrong = server.send(request().header("authorization", "Token nope")).await.expect(401);
        assert_eq!(wrong.body, br#"{"code":"UNAUTHORIZED","desc":"Invalid token."}"#, "{method} {path}");
    }
    assert_eq!(server.count().await, 1);
    let video = server.video(id).await;
    assert_eq!(
        (&video["name"], &video["file_size"], &video["health_status"]["status"]),
        (&json!("kept"), &json!(0), &json!("WAITING_FOR_SYNC"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_the_document_are_for_anyone() {
    let server = Server::start().await;
    let health = server.send(server.request(Method::GET, "/health/")).await.expect(200).json();
    assert!(health["version"].is_string() && health["detectors"]["device"].is_string(), "{health}");
    let document = server.send(server.request(Method::GET, "/openapi.json")).await.expect(200).json();
    assert!(document["paths"]["/videos/{id}/"]["patch"].is_object());
    assert!(document["components"]["schemas"]["StreamSettings"]["properties"]["play_speed"].is_object());
    server.get("/plugins/").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn head_options_and_wrong_methods() {
    let server = Server::start().await;
    let id = server.add("a").await;
    let head = server.call(Method::HEAD, &format!("/videos/{id}/"), "").await.expect(200);
    assert!(head.body.is_empty());
    let options = server.call(Method::OPTIONS, &format!("/videos/{id}/"), "").await.expect(204);
    let allowed = options.headers["allow"].to_str().unwrap().to_owned();
    assert!(["GET", "HEAD", "PUT", "PATCH", "DELETE"].iter().all(|m| allowed.split(',').any(|a| a == *m)), "{allowed}");
    let wrong = server.call(Method::DELETE, "/videos/", "").await.expect(405);
    assert_eq!(wrong.headers["allow"], "GET,HEAD,POST");
    assert_eq!(
        wrong.json(),
        json!({"traceback": "", "code": "METHOD_NOT_ALLOWED", "desc": "Method \"DELETE\" not allowed."})
    );
    assert_eq!(server.count().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_ids_are_not_found() {
    let server = Server::start().await;
    for path in ["/", "/video/", "/videos/1/nothing/", "/videos//", "/static/../videos/x/y/"] {
        let answer = server.get(path).await.expect(404).json();
        assert_eq!(answer["code"], "NOT_FOUND", "{path}");
    }
    for id in ["abc", "-1", "1.5", "0", "99", "99999999999999999999999", "1%00", "%ff", "1%2F2"] {
        for (method, rest) in [
            ("GET", ""),
            ("DELETE", ""),
            ("POST", "process/"),
            ("POST", "stop/"),
            ("GET", "objects/"),
            ("GET", "screenshot/"),
            ("DELETE", "file/"),
        ] {
            server.call(method.parse().unwrap(), &format!("/videos/{id}/{rest}"), "").await.finds_no_video();
        }
    }
    for id in ["x", "1-1-face-1-0", "01-1-face-1-0", "..%2f..%2fadmin.token"] {
        let answer = server.get(&format!("/objects/{id}/thumbnail/")).await.expect(404).json();
        assert_eq!(answer["desc"], "No Object matches the given query.", "{id}");
        server.get(&format!("/objects/{id}/")).await.expect(404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_slash_is_added() {
    let server = Server::start().await;
    for (method, path, target) in [
        ("GET", "/videos?limit=2", "/videos/?limit=2"),
        ("POST", "/videos/1/process", "/videos/1/process/"),
        ("GET", "/health", "/health/"),
    ] {
        let answer = server.call(method.parse().unwrap(), path, "").await.expect(308);
        assert_eq!(answer.headers["location"], target);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_an_id_of_its_own() {
    let server = Server::start().await;
    let (a, b) = (server.get("/videos/").await, server.get("/nothing/").await);
    assert_ne!(a.headers["x-request-id"], b.headers["x-request-id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_leaves_the_body_unread_says_that_the_connection_ends() {
    let server = Server::start().await;
    let large = " ".repeat(3 << 20);
    for _ in 0..20 {
        let answer = server.call(Method::POST, "/videos/", large.clone()).await.expect(413);
        assert_eq!(answer.headers["connection"], "close");
        let answer = server.post("/videos/", json!({})).await.expect(400);
        assert!(!answer.headers.contains_key("connection"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_supported() {
    let server = Server::start().await;
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let response =
        client.get(server.url("/videos/")).header("authorization", format!("Token {TOKEN}")).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, reqwest::Version::HTTP_2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_server_accepts_no_connections() {
    let server = Server::start().await;
    server.add("a").await;
    let (address, archive) = (server.address.clone(), server.archive.clone());
    let _folder = server.stop().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    assert!(archive.video(ocellus_core::VideoId(1)).unwrap().is_some());
}
